"""What all measurements share: the built module and peer, the databases, the page; and the rounds themselves."""

import os
import re
import shutil
import time
from dataclasses import dataclass, field

from . import contestants, data, load, page, system
from .system import BUILD, Failure, Httpd


@dataclass
class Options:
    rounds: int
    seconds: int
    only: object  # a compiled pattern, or None
    quick: bool

    def wants(self, name):
        return self.only is None or self.only.search(name) is not None


@dataclass
class Results:
    """Everything measured, as the report reads it."""

    # (mpm, database, method, clients) -> contestant -> a Sample for each round, None where it was not measured
    rounds: dict = field(default_factory=dict)
    # (mpm, database) -> contestant -> {"pss": KiB of the whole server, "private": KiB of a child}
    memory: dict = field(default_factory=dict)
    # what the single measurements found: name -> whatever they like
    single: dict = field(default_factory=dict)
    wrong: list = field(default_factory=list)


class Bench:
    def __init__(self, options, module):
        self.options = options
        self.module = module
        self.installation = system.Installation()
        BUILD.mkdir(parents=True, exist_ok=True)
        # the databases: on the disk that target/ is on, not in a /tmp that may be memory
        self.directory = system.scratch("run-", BUILD)
        self.scratch = system.scratch("mdl")
        self.cpeer = contestants.build_cpeer(self.installation, BUILD / "mod_cpeer.so")
        self.cluster = system.PostgreSQL(self.directory / "postgresql")
        self.databases = [
            data.Postgres(self.cluster),
            data.SQLite(self.directory / "sqlite", self.installation.user),
        ]
        self.pages = {}

    # --- the page -----------------------------------------------------------------------------------

    def body(self, database):
        """mod_dbtest's answer, which becomes the static file and everybody's template."""
        if database.name not in self.pages:
            self.pages[database.name] = self.fetch(database)
        return self.pages[database.name]

    def fetch(self, database):
        server = self.server("prefork", database, contestants.DBTest(), purpose="page")
        try:
            answer = load.ask(server.port, "/get/")
            if answer.status != 200:
                raise Failure(f"mod_dbtest answered {answer.status}:\n{answer.body[:3000]}\n{server.log()}")
            return answer.body
        finally:
            server.stop()

    def page(self, database):
        return page.take_apart(self.body(database), data.newest())

    # --- servers ------------------------------------------------------------------------------------

    def server(self, mpm, database, contestant, *, purpose="rounds", keep_alive=100, conf=None, **start):
        """A running server for one contestant."""
        return self.prepared(mpm, database, contestant, purpose, keep_alive, conf).start(**start)

    def prepared(self, mpm, database, contestant, purpose, keep_alive=100, conf=None):
        # a short path: httpd asks the file system about each of its parts, for every request
        directory = self.scratch / f"{purpose}-{mpm}-{database.name}-{contestant.name}"
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)
        if conf is None:
            conf = contestant.conf(self, database, directory)
        else:
            conf = contestant.load(self, directory) + conf
        return Httpd(self.installation, directory, system.sizes(self.installation, mpm), conf, keep_alive)

    # --- rounds -------------------------------------------------------------------------------------

    def names(self, mpm, database, method, clients):
        """The contestants of one row of the table."""
        return [
            one
            for one in contestants.ALL
            if (one.threads or mpm == "prefork")
            and (method == "get" or one.post)
            and self.options.wants(f"{mpm}/{database.name}/{method}/{clients}/{one.name}")
        ]

    def group(self, mpm, database, clients, results):
        """All that is measured on one MPM and one database: every server is up, and takes its turn."""
        rows = [(method, count) for method in ("get", "post") for count in clients]
        wanted = {one.name: one for row in rows for one in self.names(mpm, database, *row)}
        servers = {}
        try:
            sizes = {}
            for one in wanted.values():
                servers[one.name] = self.server(mpm, database, one)
            for one in wanted.values():
                servers[one.name].settle()
                sizes[one.name] = load.check_page(servers[one.name], one.get, self.body(database))
            for count in clients:
                self.gets(mpm, database, count, servers, sizes, results)
            self.weigh(mpm, database, servers, results)
            for one in wanted.values():
                if one.post:
                    load.check_post(servers[one.name], one.post, database)
            for count in clients:
                self.posts(mpm, database, count, servers, results)
            for one in wanted.values():
                # once more, after everything that it has been through
                load.check_page(servers[one.name], one.get, self.body(database))
                self.note_log(mpm, database, one, servers[one.name], results)
        finally:
            for server in servers.values():
                server.stop()

    def gets(self, mpm, database, clients, servers, sizes, results):
        measure = lambda one: load.get(
            servers[one.name], one.get, clients, self.options.seconds, sizes[one.name], self.scratch
        )
        warm = lambda one: load.get(servers[one.name], one.get, clients, 1, sizes[one.name], self.scratch)
        self.turns((mpm, database.name, "get", clients), database, servers, warm, measure, results)

    def posts(self, mpm, database, clients, servers, results):
        counts = {}

        def warm(one):
            found = load.post(servers[one.name], one.post, clients, 10 * clients, database, self.scratch)
            counts[one.name] = max(10 * clients, int(found.rate * self.options.seconds))
            return found

        measure = lambda one: load.post(
            servers[one.name], one.post, clients, counts[one.name], database, self.scratch
        )
        self.turns((mpm, database.name, "post", clients), database, servers, warm, measure, results)
        database.empty()

    def turns(self, key, database, servers, warm, measure, results):
        """A B C A B C …: what changes on the machine meanwhile changes for all."""
        mpm, _, method, clients = key
        taking_part = self.names(mpm, database, method, clients)
        found = results.rounds.setdefault(key, {one.name: [] for one in taking_part})
        for one in taking_part:
            self.judge(key, one, warm(one), results)
        for turn in range(self.options.rounds):
            for one in taking_part:
                sample = self.costed(one, servers, measure) if turn % one.every == 0 else None
                if sample:
                    self.judge(key, one, sample, results)
                found[one.name].append(sample)
        rates = ", ".join(
            f"{name} {load.spread([sample.rate for sample in samples if sample])[0]:.0f}"
            for name, samples in found.items()
        )
        say(f"{mpm} {key[1]} {method} {clients}: {rates}")

    def costed(self, one, servers, measure):
        """A sample with the processor time that it took, which others on the machine disturb less than the clock's."""
        processes = {"server": servers[one.name].pids(), "database": self.cluster.pids()}
        before = {name: system.processor_seconds(pids) for name, pids in processes.items()}
        sample = measure(one)
        if sample.requests:
            for name, pids in processes.items():
                setattr(sample, name, (system.processor_seconds(pids) - before[name]) / sample.requests * 1e6)
        return sample

    @staticmethod
    def judge(key, one, sample, results):
        if sample.wrong:
            line = f"{'/'.join(map(str, key))}/{one.name}: {sample.wrong}"
            results.wrong.append(line)
            say(f"WRONG: {line}")

    def weigh(self, mpm, database, servers, results):
        """Memory after the load of the GETs; the database's own processes are not in it."""
        found = results.memory.setdefault((mpm, database.name), {})
        for name, server in servers.items():
            children = server.children()
            private = [system.memory([pid], "Private_Dirty") + system.memory([pid], "Private_Clean") for pid in children]
            found[name] = {
                "pss": system.memory(server.pids(), "Pss"),
                "processes": len(children) + 1,
                "private": load.spread(private)[0],
            }

    @staticmethod
    def note_log(mpm, database, one, server, results):
        """Nothing that was measured may have failed unseen."""
        # that all workers are busy is what the load is for
        expected = re.compile("AH00161|AH00484|AH10159")
        failure = re.compile(r":(error|crit|alert|emerg)\]|AH00052")
        lines = [line for line in server.log().splitlines() if failure.search(line) and not expected.search(line)]
        if lines:
            line = f"{mpm}/{database.name}/{one.name}: {len(lines)} errors in its log, the first: {lines[0]}"
            results.wrong.append(line)
            say(f"WRONG: {line}")


def say(text):
    print(time.strftime("%H:%M:%S"), text, flush=True)


def need(program, package):
    if shutil.which(program, path=system.ENVIRONMENT["PATH"] + os.pathsep + os.environ.get("PATH", "")) is None:
        raise Failure(f"{program} is missing: install {package}")
