"""The two databases and what stands in them.

`stuff` is read and never changes, so that every answer to GET can be checked byte by byte; `added` takes the rows that
POST adds, so that they can be counted. Each of the SQLite files is in WAL mode, as mod_dbtest's own default file is.
"""

import sqlite3

from . import page
from .system import as_account, give, run

READ_ROWS = 1000
COLUMNS = "(id {key}, stuff varchar(255) NOT NULL, things text NOT NULL)"


def rows(count=READ_ROWS):
    """(id, stuff, things), oldest first."""
    return [(number, *page.row(number)) for number in range(page.FIRST_ID, page.FIRST_ID + count)]


def newest():
    """The rows of the first page, as they stand in it."""
    return rows()[:-21:-1]


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def values(found):
    return ",".join(f"({number},{literal(stuff)},{literal(things)})" for number, stuff, things in found)


# what a table looks like that has grown: many small rows, and above them those of the page
OLD_ROWS = "INSERT INTO many (id, stuff, things) SELECT i, 'old ' || i, 'of no importance' FROM "


class Postgres:
    """The tables in PostgreSQL."""

    name = "postgresql"

    def __init__(self, cluster):
        self.cluster = cluster
        for table in ("stuff", "added", "few"):
            self.create(table)
        self.sql(f"INSERT INTO stuff VALUES {values(rows())}")
        self.sql(f"INSERT INTO few VALUES {values(rows(20))}")
        self.analyse()

    def create(self, table):
        self.sql(f"CREATE TABLE {table} " + COLUMNS.format(key="serial PRIMARY KEY"))

    def sql(self, statements):
        return self.cluster.sql(statements)

    def analyse(self):
        """What autovacuum does sooner or later; a fresh table has no statistics."""
        self.sql("VACUUM ANALYZE")

    def added(self):
        return int(self.sql("SELECT count(*) FROM added"))

    def empty(self):
        self.sql("TRUNCATE added")
        self.analyse()

    def grow(self, count):
        self.create("many")
        self.sql(f"{OLD_ROWS} generate_series(1, {count}) i")
        self.sql(f"INSERT INTO many VALUES {values(rows(20))}")
        self.analyse()

    # how each of the contestants names it

    def dbtest(self):
        return f'DBTestDatabase "postgresql://{self.cluster.USER}@/postgres?host={self.cluster.run_dir}"'

    def cpeer(self):
        return f'CPeerPostgreSQL "host={self.cluster.run_dir} user={self.cluster.USER} dbname=postgres"'

    def sqlalchemy(self):
        return f"postgresql+psycopg2://{self.cluster.USER}@/postgres?host={self.cluster.run_dir}"

    def pdo(self):
        return f"pgsql:host={self.cluster.run_dir};dbname=postgres", self.cluster.USER


class SQLite:
    """The tables in one file, which belongs to the account that httpd runs as."""

    name = "sqlite"

    def __init__(self, directory, user):
        directory.mkdir()
        give(directory, user)
        self.user = user
        self.path = directory / "bench.db"
        self.sql("PRAGMA journal_mode=WAL;")
        for table in ("stuff", "added", "few"):
            self.create(table)
        self.sql(f"INSERT INTO stuff VALUES {values(rows())}; INSERT INTO few VALUES {values(rows(20))}; ANALYZE;")

    def create(self, table):
        self.sql(f"CREATE TABLE {table} {COLUMNS.format(key='integer PRIMARY KEY')};")

    def sql(self, statements):
        """By a process of that account: whoever opens a file in WAL mode may create files beside it."""
        code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], 60); c.executescript(sys.stdin.read()); c.close()"
        run("/usr/bin/python3", "-c", code, self.path, input=statements, cwd="/", **as_account(self.user))

    def added(self):
        connection = sqlite3.connect(f"file:{self.path}?mode=ro", 60, uri=True)
        try:
            return connection.execute("SELECT count(*) FROM added").fetchone()[0]
        finally:
            connection.close()

    def empty(self):
        self.sql("DELETE FROM added; PRAGMA wal_checkpoint(TRUNCATE);")

    def grow(self, count):
        self.create("many")
        self.sql(
            "PRAGMA synchronous=OFF; "
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) {OLD_ROWS} n;"
            f" INSERT INTO many VALUES {values(rows(20))}; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE);"
        )

    # how each of the contestants names it

    def dbtest(self):
        return f'DBTestDatabase "sqlite:{self.path}"'

    def cpeer(self):
        return f'CPeerSQLite "{self.path}"'

    def sqlalchemy(self):
        return f"sqlite:///{self.path}"

    def pdo(self):
        return f"sqlite:{self.path}", ""
