"""Who is measured: each contestant says how httpd is to be configured for it.

The same bytes, the same rows, the same modules of httpd's for all; where a contestant has a choice it gets the one that
serves it best.
"""

from . import page as pages
from .system import EVENT_THREADS, ROOT, Failure, run

PEERS = ROOT / "bench" / "peers"


class Contestant:
    """Somebody who answers GET and POST."""

    name = ""
    title = ""
    get = "/get/"
    post = "/post/"
    # a peer that is slower by an order of magnitude needs fewer rounds
    every = 1
    # PHP's libraries are not built for threads
    threads = True

    def conf(self, bench, database, directory):
        """Lines for httpd.conf; may write files into the server's directory."""
        raise NotImplementedError


class DBTest(Contestant):
    name = "dbtest"
    title = "mod_dbtest"

    def conf(self, bench, database, directory):
        return self.load(bench, directory) + self.place("/get", database, "stuff") + self.place("/post", database, "added")

    @staticmethod
    def load(bench, directory):
        state = directory / "state"
        return f'LoadModule dbtest_module {bench.module}\nDBTestStateDir "{state}"\n'

    @staticmethod
    def place(path, database, table, more=""):
        return (
            f'<Location "{path}">\nSetHandler dbtest\n{database.dbtest()}\nDBTestTable {table}\n{more}'
            "Require all granted\n</Location>\n"
        )


class Static(Contestant):
    name = "static"
    title = "a file of the same bytes"
    get = "/page.html"
    post = None

    def conf(self, bench, database, directory):
        (directory / "page.html").write_text(bench.body(database), encoding="utf-8")
        return f'<Directory "{directory}">\nRequire all granted\n</Directory>\nAddDefaultCharset utf-8\n'


class CPeer(Contestant):
    name = "c"
    title = "C with libpq or sqlite3"

    def conf(self, bench, database, directory):
        template = directory / "page.tpl"
        template.write_text(pages.for_c(bench.page(database)), encoding="utf-8")
        place = lambda path, table: (
            f'<Location "{path}">\nSetHandler cpeer\n{database.cpeer()}\nCPeerTable {table}\n'
            f'CPeerPage "{template}"\nRequire all granted\n</Location>\n'
        )
        return f"LoadModule cpeer_module {bench.cpeer}\n" + place("/get", "stuff") + place("/post", "added")


class Flask(Contestant):
    """The application in httpd's own processes (embedded)."""

    name = "flask-embedded"
    title = "Flask, mod_wsgi embedded"
    every = 3

    def daemon(self):
        return ""

    def loaded(self, script):
        """The application is loaded before the first request."""
        return f'WSGIImportScript "{script}" process-group=%{{GLOBAL}} application-group=%{{GLOBAL}}\n'

    def connections(self):
        """In one process: as many as the threads of event; under prefork one is used."""
        return EVENT_THREADS

    def conf(self, bench, database, directory):
        (directory / "page.html").write_text(pages.for_jinja(bench.page(database)), encoding="utf-8")
        script = directory / "peer.wsgi"
        script.write_text(
            f"import sys\nsys.path.insert(0, {str(PEERS)!r})\nsys.dont_write_bytecode = True\n"
            f"from flask_peer import create\n"
            f"application = create({database.sqlalchemy()!r}, {str(directory)!r}, {self.connections()})\n"
        )
        return (
            f"LoadModule wsgi_module {bench.installation.modules}/mod_wsgi.so\n"
            f"WSGISocketPrefix {directory}/wsgi\n{self.daemon()}"
            f'WSGIScriptAlias / "{script}"\n{self.loaded(script)}'
            f'<Directory "{directory}">\nWSGIApplicationGroup %{{GLOBAL}}\nRequire all granted\n</Directory>\n'
        )


class FlaskDaemon(Flask):
    """The application in processes of its own, as many as there are cores."""

    name = "flask-daemon"
    title = "Flask, mod_wsgi daemon"
    PROCESSES, THREADS = 2, 16

    def daemon(self):
        return (
            f"WSGIDaemonProcess peer processes={self.PROCESSES} threads={self.THREADS}\nWSGIProcessGroup peer\n"
            "WSGIRestrictEmbedded On\n"
        )

    def loaded(self, script):
        return f'WSGIImportScript "{script}" process-group=peer application-group=%{{GLOBAL}}\n'

    def connections(self):
        return self.THREADS


class Php(Contestant):
    name = "php"
    title = "PHP, persistent PDO"
    every = 3
    threads = False

    def conf(self, bench, database, directory):
        (directory / "page.php").write_text(pages.for_php(bench.page(database)), encoding="utf-8")
        found = sorted(bench.installation.modules.glob("libphp*.so"))
        if not found:
            raise Failure("there is no PHP for httpd here: install libapache2-mod-php")
        dsn, user = database.pdo()
        return (
            f"LoadModule php_module {found[-1]}\n"
            f'Alias "/get/" "{PEERS}/peer.php"\nAlias "/post/" "{PEERS}/peer.php"\n'
            f'<Directory "{PEERS}">\nSetHandler application/x-httpd-php\nRequire all granted\n'
            # SetEnv without mod_env: PHP reads these as it reads any other variable of the request
            f"</Directory>\nLoadModule env_module {bench.installation.modules}/mod_env.so\n"
            f'SetEnv PEER_DSN "{dsn}"\nSetEnv PEER_USER "{user}"\nSetEnv PEER_PAGE "{directory}/page.php"\n'
        )


def build_cpeer(installation, target):
    """Compiles the C peer as a distribution would, and a little better."""
    flags = run("apr-1-config", "--includes", "--cppflags").split()
    run(
        "cc", "-std=gnu11", "-O3", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared",
        f"-I{installation.includes}", *flags, f"-I{run('pg_config', '--includedir').strip()}",
        PEERS / "mod_cpeer.c", "-lpq", "-lsqlite3", "-o", target,
    )  # fmt: skip
    return target


ALL = [DBTest(), Static(), CPeer(), Flask(), FlaskDaemon(), Php()]
