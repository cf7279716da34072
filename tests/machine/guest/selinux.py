"""SELinux: what httpd_t is refused, and what is right to say of it."""

from machine import TABLE, Case

# SQLite file NAME in directory DIR, as the server's user
def sqlite(directory: str, name: str = "app.db") -> str:
    path = f"{directory}/{name}"
    return f"install -d -o www-data -g www-data {directory}; runuser -u www-data -- sqlite3 {path} '{TABLE}'\n"


NOT_APPARMOR = ("AppArmor", "not in this kernel", "not enforc")


def by_socket(more: str = "") -> str:
    return f'DBTestDatabase "postgresql://web:secret@/site{more}"'


def by_tcp(more: str = "") -> str:
    return f'DBTestDatabase "postgresql://web:secret@127.0.0.1{more}"'


BOOLEAN_OFF = "setsebool -P httpd_can_network_connect_db 0"
# PostgreSQL on another port, where the policy does not let it listen: somebody started it otherwise
MOVED = """setenforce 0
sed -i 's/^port = .*/port = {port}/' /etc/postgresql/*/main/postgresql.conf
systemctl restart postgresql
setenforce 1
"""
MOVED_BACK = """sed -i 's/^port = .*/port = 5432/' /etc/postgresql/*/main/postgresql.conf
systemctl restart postgresql; semanage port -d -p tcp {port}
"""

CASES = [
    Case("healthy", "", ""),
    Case("socket", by_socket(), ""),
    Case(
        "S1-sqlite",
        'DBTestDatabase "sqlite:/srv/app/app.db"',
        sqlite("/srv/app"),
        ids=("DBT0460",),
        says=("httpd_t", "httpd_var_lib_t"),
        never=NOT_APPARMOR,
        shell_says=("DBT0210", "httpd_var_lib_t"),
        lasting=True,
    ),
    Case(
        "S1-tcp",
        by_tcp("/site"),
        "",
        ids=("DBT0406",),
        says=("httpd_can_network_connect_db",),
        never=(*NOT_APPARMOR, "prohibit"),
        shell_says=("DBT0210", "not confined", "httpd_can_network_connect_db"),
        lasting=True,
    ),
    Case(
        "S2-home",
        'DBTestDatabase "sqlite:/home/dev/site/app.db"',
        "install -d -m 755 /home/dev; " + sqlite("/home/dev/site") + "restorecon -RF /home",
        ids=("DBT0460",),
        says=("httpd_t", "/var/lib/dbtest"),
        never=NOT_APPARMOR,
        undo="rm -rf /home/dev",
    ),
    Case(
        "S2-root",
        'DBTestDatabase "sqlite:/root/app.db"',
        f"chmod 755 /root; sqlite3 /root/app.db '{TABLE}'; chown www-data /root/app.db",
        ids=("DBT0460",),
        never=NOT_APPARMOR,
        undo="chmod 700 /root; rm -f /root/app.db",
    ),
    Case(
        "S3-script-label",
        'DBTestDatabase "sqlite:/srv/script/app.db"',
        sqlite("/srv/script") + "chcon -R -t httpd_sys_rw_content_t /srv/script",
        ids=("DBT0460",),
        says=("httpd_var_lib_t",),
        never=NOT_APPARMOR,
        undo="rm -rf /srv/script",
    ),
    Case(
        "S4-socket-label",
        by_socket(),
        "chcon -t user_home_t /run/postgresql/.s.PGSQL.5432",
        ids=("DBT0427",),
        says=("restorecon -Rv /run/postgresql",),
        never=(*NOT_APPARMOR, "0777", "fcontext"),
    ),
    Case(
        "S5-socket-directory",
        by_socket(),
        "chcon -R -t user_home_t /run/postgresql",
        ids=("DBT0427",),
        says=("restorecon -Rv /run/postgresql",),
        never=(*NOT_APPARMOR, "0777", "fcontext"),
        undo="restorecon -R /run/postgresql",
    ),
    Case(
        "S5-socket-elsewhere",
        by_socket("?host=/srv/pg"),
        "install -d -o postgres -g postgres -m 2775 /srv/pg; chcon -t var_t /srv/pg\n"
        "echo \"unix_socket_directories = '/run/postgresql, /srv/pg'\" >>/etc/postgresql/15/main/postgresql.conf\n"
        "setenforce 0; systemctl restart postgresql; setenforce 1",
        ids=("DBT0427",),
        says=("/srv/pg",),
        never=(*NOT_APPARMOR, "0777"),
        undo="sed -i '/srv.pg/d' /etc/postgresql/*/main/postgresql.conf; systemctl restart postgresql; rm -rf /srv/pg",
    ),
    Case(
        "S6-stopped",
        by_socket(),
        "systemctl stop postgresql; rm -rf /run/postgresql",
        ids=("DBT0421", "DBT0420"),
        never=("AppArmor",),
        undo="systemd-tmpfiles --create; install -d -o postgres -g postgres -m 2775 /run/postgresql; restorecon -R /run/postgresql; systemctl restart postgresql",
    ),
    Case(
        "S11-open",
        'DBTestDatabase "sqlite:/srv/tmpfile/app.db"',
        sqlite("/srv/tmpfile") + "chcon -R -t httpd_var_lib_t /srv/tmpfile; chcon -t user_tmp_t /srv/tmpfile/app.db",
        ids=("DBT0460",),
        says=("user_tmp_t|nor at its label",),
        never=(*NOT_APPARMOR, "permissions: "),
        undo="rm -rf /srv/tmpfile",
    ),
    Case(
        "S12-port",
        by_tcp(":5999/site"),
        BOOLEAN_OFF + "; " + MOVED.format(port=5999),
        ids=("DBT0406",),
        says=("semanage port", "5999"),
        never=(*NOT_APPARMOR, "prohibit"),
        undo=MOVED_BACK.format(port=5999),
    ),
    Case(
        "modes-and-label",
        'DBTestDatabase "sqlite:/srv/both/app.db"',
        sqlite("/srv/both") + "chown root:root /srv/both /srv/both/app.db; chmod 755 /srv/both; chmod 600 /srv/both/app.db",
        ids=("DBT0460", "DBT0352", "DBT0452", "DBT0453"),
        rounds=2,
        never=NOT_APPARMOR,
        undo="rm -rf /srv/both",
    ),
]

# in permissive mode everything works, and the check says what an enforcing policy will refuse
PERMISSIVE = [
    Case("healthy", "", ""),
    Case(
        "S10-file",
        'DBTestDatabase "sqlite:/srv/later/app.db"',
        sqlite("/srv/later"),
        ids=("DBT0210",),
        says=("enforcing, it would not let httpd_t", "httpd_var_lib_t"),
        verdict="warn",
        undo="rm -rf /srv/later",
    ),
    Case(
        "S10-port",
        by_tcp("/site"),
        "",
        ids=("DBT0210",),
        says=("httpd_can_network_connect_db",),
        verdict="warn",
    ),
    Case(
        "S10-socket",
        by_socket(),
        "chcon -t user_home_t /run/postgresql/.s.PGSQL.5432",
        ids=("DBT0210",),
        says=("restorecon -Rv /run/postgresql",),
        verdict="warn",
    ),
]
