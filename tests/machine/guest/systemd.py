"""systemd: what a unit's settings keep from httpd."""

from machine import TABLE, Case

DROP_INS = "/etc/systemd/system/apache2.service.d"
BY_TCP = 'DBTestDatabase "postgresql://web:secret@127.0.0.1/site"'
BY_SOCKET = 'DBTestDatabase "postgresql://web:secret@/site"'


def unit(lines: str) -> str:
    return f"mkdir -p {DROP_INS}; printf '[Service]\\n{lines}\\n' >{DROP_INS}/sandbox.conf\n"


def sqlite(directory: str) -> str:
    return (
        f"install -d -o www-data -g www-data {directory}; rm -f {directory}/app.db\n"
        f"runuser -u www-data -- sqlite3 {directory}/app.db '{TABLE}'\n"
    )


CASES = [
    Case(
        "private-tmp",
        'DBTestDatabase "sqlite:/tmp/site/app.db"',
        sqlite("/tmp/site"),
        ids=("DBT0357",),
        says=("PrivateTmp",),
        shell_says=("DBT0211", "PrivateTmp=true"),
        undo="rm -rf /tmp/site /var/lib/dbtest*",
    ),
    Case(
        "protect-system",
        'DBTestDatabase "sqlite:/var/lib/site/app.db"',
        unit("ProtectSystem=strict\\nReadWritePaths=/run /var/log/apache2") + sqlite("/var/lib/site"),
        ids=("DBT0459",),
        reads=True,
        says=("ReadWritePaths", "/etc/systemd/system/apache2.service.d", "systemctl daemon-reload"),
        undo="rm -rf /var/lib/site",
    ),
    Case(
        "read-only-paths",
        'DBTestDatabase "sqlite:/srv/readonly/app.db"',
        unit("ReadOnlyPaths=/srv/readonly") + sqlite("/srv/readonly"),
        ids=("DBT0459",),
        reads=True,
        says=("/etc/systemd/system/apache2.service.d",),
        undo="rm -rf /srv/readonly",
    ),
    Case(
        "protect-home",
        'DBTestDatabase "sqlite:/home/site/app.db"',
        unit("ProtectHome=true") + sqlite("/home/site"),
        ids=("DBT0358",),
        says=("ProtectHome",),
        undo="rm -rf /home/site /var/lib/dbtest*",
    ),
    Case(
        "protect-home-tmpfs",
        'DBTestDatabase "sqlite:/home/tmpfs/app.db"',
        unit("ProtectHome=tmpfs") + sqlite("/home/tmpfs"),
        ids=("DBT0358",),
        says=("ProtectHome",),
        undo="rm -rf /home/tmpfs /var/lib/dbtest*",
    ),
    Case(
        "inaccessible-paths",
        'DBTestDatabase "sqlite:/srv/hidden/app.db"',
        unit("InaccessiblePaths=/srv/hidden") + sqlite("/srv/hidden"),
        ids=("DBT0358",),
        undo="rm -rf /srv/hidden /var/lib/dbtest*",
    ),
    Case(
        "families-socket",
        BY_SOCKET,
        unit("RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK"),
        ids=("DBT0435",),
        says=("RestrictAddressFamilies=AF_UNIX", "sandbox.conf"),
    ),
    Case(
        "address-deny",
        'DBTestDatabase "postgresql://web:secret@127.0.0.2/site"',
        unit("IPAddressDeny=127.0.0.2"),
        ids=("DBT0436",),
        says=("IPAddressAllow=127.0.0.2", "sandbox.conf"),
    ),
]
