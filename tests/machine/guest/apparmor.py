"""AppArmor: what a profile refuses httpd."""

from machine import TABLE, Case

PROFILE = "/etc/apparmor.d/usr.sbin.apache2"
# everything but /srv, as a profile of a distribution leaves it to its local/ file
LOAD = f"""mkdir -p /etc/apparmor.d/local; : >/etc/apparmor.d/local/usr.sbin.apache2
cat >{PROFILE} <<'END'
profile /usr/sbin/apache2 /usr/sbin/apache2 flags=(attach_disconnected) {{
  capability,
  network,
  signal,
  unix,
  / r,
  /{{bin,dev,etc,home,lib,lib64,proc,root,run,sys,tmp,usr,var}}/{{,**}} mrwlkix,
  /srv/ r,
  include if exists <local/usr.sbin.apache2>
}}
END
apparmor_parser -r {PROFILE}
"""
UNLOAD = f"apparmor_parser -R {PROFILE}; rm -f {PROFILE} /etc/apparmor.d/local/usr.sbin.apache2"

CASES = [
    Case("healthy", "", ""),
    Case(
        "profile-file",
        'DBTestDatabase "sqlite:/srv/app/app.db"',
        LOAD + f"install -d -o www-data -g www-data /srv/app; runuser -u www-data -- sqlite3 /srv/app/app.db '{TABLE}'",
        ids=("DBT0461",),
        says=("AppArmor", "local/usr.sbin.apache2"),
        never=("SELinux does not let",),
        undo=f"{UNLOAD}; rm -rf /srv/app",
    ),
]
