"""SELinux: what httpd_t is refused, and what is right to say of it."""

from machine import TABLE, Case

# SQLite file NAME in directory DIR, as the server's user
def sqlite(directory: str, name: str = "app.db") -> str:
    path = f"{directory}/{name}"
    return f"install -d -o www-data -g www-data {directory}; runuser -u www-data -- sqlite3 {path} '{TABLE}'\n"


NOT_APPARMOR = ("AppArmor", "not in this kernel", "not enforc")

CASES = [
    Case("healthy", "", ""),
    Case("socket", 'DBTestDatabase "postgresql://web:secret@/site"', ""),
    Case(
        "S1-sqlite-srv",
        'DBTestDatabase "sqlite:/srv/app/app.db"',
        sqlite("/srv/app"),
        ids=("DBT0460",),
        says=("httpd_t", "httpd_var_lib_t"),
        never=NOT_APPARMOR,
        lasting=True,
    ),
    Case(
        "S1-tcp",
        'DBTestDatabase "postgresql://web:secret@127.0.0.1/site"',
        "",
        ids=("DBT0406",),
        says=("httpd_can_network_connect_db",),
        never=(*NOT_APPARMOR, "prohibit"),
        lasting=True,
    ),
]

PERMISSIVE: list[Case] = []
