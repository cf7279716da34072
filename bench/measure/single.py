"""Measurements that are no race: the page of a large table, writes by the number of connections, what the module adds to
httpd's start and size."""

import socket
import statistics
import time

from . import contestants, load, page
from .bench import say

MANY = 10_000_000


def flat(bench, results, count=MANY):
    """The newest page of a table with ten million rows against that of one with twenty."""
    found = results.single.setdefault("flat", {})
    results.single["flat rows"] = count
    dbtest = contestants.DBTest()
    for database in bench.databases:
        if not bench.options.wants(f"flat/{database.name}"):
            continue
        say(f"flat: {count:,} rows into {database.name}")
        database.grow(count)
        conf = dbtest.place("/few", database, "few") + dbtest.place("/many", database, "many")
        for mpm, clients in (("prefork", 1), ("event", 64)):
            server = bench.server(mpm, database, dbtest, purpose="flat", conf=conf)
            try:
                found[mpm, database.name, clients] = both(bench, server, clients, results)
            finally:
                server.stop()
            _, ratios = found[mpm, database.name, clients]
            say(f"flat: {mpm} {database.name} {clients}: cost {ratios[0]:.3f} ({ratios[1]:.3f}–{ratios[2]:.3f})")


def both(bench, server, clients, results):
    """Rates of few and many, and how much more the many cost."""
    size = {}
    for path in ("/few/", "/many/"):
        answer = load.ask(server.port, path)
        if answer.status != 200 or answer.body.count(page.row(page.FIRST_ID + 19)[0][:20]) != 20:
            raise load.Failure(f"{path}: {answer.status}\n{answer.body[:3000]}")
        size[path] = answer.size
    rates = {"/few/": [], "/many/": []}
    for turn in range(bench.options.rounds + 1):
        for path, found in rates.items():
            sample = load.get(server, path, clients, bench.options.seconds, size[path], bench.scratch)
            if sample.wrong:
                results.wrong.append(f"flat{path}: {sample.wrong}")
            if turn:  # the first warms up
                found.append(sample.rate)
    ratios = [few / many for few, many in zip(*rates.values(), strict=True)]
    return {path: statistics.median(found) for path, found in rates.items()}, load.spread(ratios)


def connections(bench, results):
    """POST at event with 64 clients, by DBTestConnections."""
    dbtest = contestants.DBTest()
    for database in bench.databases:
        if not bench.options.wants(f"connections/{database.name}"):
            continue
        servers, rates = {}, {}
        try:
            for count in (1, 2, 4, 8):
                conf = dbtest.place("/post", database, "added", f"DBTestConnections {count}\n")
                servers[count] = bench.server("event", database, dbtest, purpose=f"connections{count}", conf=conf)
                rates[count] = []
            counts = {}
            for turn in range(bench.options.rounds + 1):
                for count, server in servers.items():
                    number = counts.get(count, 640)
                    sample = load.post(server, "/post/", 64, number, database, bench.scratch)
                    counts[count] = max(640, int(sample.rate * bench.options.seconds))
                    if sample.wrong:
                        results.wrong.append(f"connections/{database.name}/{count}: {sample.wrong}")
                    if turn:
                        rates[count].append(sample.rate)
        finally:
            for server in servers.values():
                server.stop()
            database.empty()
        results.single.setdefault("connections", {})[database.name] = {
            count: load.spread(found) for count, found in rates.items()
        }
        say(f"connections: {database.name}: " + ", ".join(f"{n}: {statistics.median(r):.0f}" for n, r in rates.items()))


def small(bench, results):
    """Size of the file, and what httpd's start takes until its first answer, with and without the module."""
    if not bench.options.wants("small"):
        return
    database = bench.databases[1]
    times = {}
    for turn in range(4 if bench.options.quick else 16):
        for one in (contestants.Static(), contestants.CPeer(), contestants.DBTest()):
            server = bench.prepared("event", database, one, "start")
            took = start_time(server)
            if turn:
                times.setdefault(one.name, []).append(took * 1000)
    results.single["small"] = {
        "bytes": bench.module.stat().st_size,
        "start": {name: load.spread(found) for name, found in times.items()},
    }
    say(f"small: {results.single['small']}")


def start_time(server):
    """Seconds from exec to the first answer."""
    begin = time.monotonic()
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(b"GET /nothing HTTP/1.0\r\n\r\n")
        client.recv(64)
    took = time.monotonic() - begin
    server.stop()
    return took
