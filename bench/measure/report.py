"""RESULTS.md: what was measured, on what, and what of it was promised."""

import math
import os
import platform
import time
from pathlib import Path

from . import contestants, load
from .system import PREFORK_CHILDREN, EVENT_THREADS, ROOT, run
from .targets import PRODUCTS, ratios, verdicts

TITLES = {one.name: one.title for one in contestants.ALL}


def number(value):
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def span(found):
    """median (least–most)"""
    middle, least, most = found
    return number(middle) if least == most else f"{number(middle)} ({number(least)}–{number(most)})"


def table(head, rows):
    lines = ["| " + " | ".join(map(str, head)) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows] + [""]


def machine(bench):
    cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    memory = load.first_line("/proc/meminfo").split()
    commit = run("git", "-C", ROOT, "log", "-1", "--format=%h").strip()
    modified = "" if run("git", "-C", ROOT, "status", "--porcelain", "src").strip() == "" else ", modified"
    rows = [
        ("Date", time.strftime("%Y-%m-%d %H:%M %Z")),
        ("Commit", commit + modified),
        ("Machine", f"{cpu.split(': ', 1)[1]}, {os.cpu_count()} cores, {int(memory[1]) / 1048576:.0f} GiB"),
        ("System", f"{os_name()}, Linux {platform.release()}"),
        ("Load before", f"{bench.load_before:.2f} (average of one minute)"),
        ("httpd", load.version(bench.installation.httpd, "-v").split(": ", 1)[1]),
        ("PostgreSQL", f"{bench.cluster.version}, its defaults (fsync and synchronous_commit on), Unix socket"),
        ("SQLite", f"{sqlite_version()}, WAL, synchronous=FULL"),
        ("Rust, C", f"{load.version('rustc')}; {load.version('cc')}, -O3"),
        ("Python, PHP", python_and_php()),
        ("Load generators", f"{load.version('wrk', '-v').split(' Copyright')[0]}; {load.version('h2load')}"),
    ]
    return table(("", ""), rows)


def os_name():
    lines = Path("/etc/os-release").read_text().splitlines()
    return next(line.split("=", 1)[1].strip('"') for line in lines if line.startswith("PRETTY_NAME="))


def sqlite_version():
    import sqlite3

    return sqlite3.sqlite_version


def python_and_php():
    code = (
        "import flask, flask_sqlalchemy, sqlalchemy, psycopg2, platform;"
        "print('Python', platform.python_version(), 'Flask', flask.__version__, 'Flask-SQLAlchemy',"
        "flask_sqlalchemy.__version__, 'SQLAlchemy', sqlalchemy.__version__, 'psycopg2', psycopg2.__version__.split()[0])"
    )
    return run("/usr/bin/python3", "-W", "ignore", "-c", code).strip() + "; " + load.version("php").split(" (cli)")[0]


def target_table(results):
    rows = [
        (one.work, one.against, f"{'at most' if one.most else 'at least'} {one.limit:g}", span(one.found), one.word)
        for one in verdicts(results, TITLES)
    ]
    return table(("Work", "Against", "Target", "Measured", ""), rows)


def rate_tables(results):
    lines = []
    for mpm, database in dict.fromkeys(key[:2] for key in results.rounds):
        lines += [f"### {PRODUCTS[database]}, {mpm}", ""]
        rows = []
        for key, row in results.rounds.items():
            if key[:2] == (mpm, database):
                rows += rate_rows(results, key, row)
        head = ("", "Clients", "Contestant", "Requests/s", "mod_dbtest is faster by", "p50 ms", "p99 ms", "CPU µs: httpd", "PostgreSQL")
        lines += table(head, rows)
    return lines


def rate_rows(results, key, row):
    rows = []
    for name, samples in row.items():
        taken = [sample for sample in samples if sample]
        if not taken:
            continue
        middle = lambda value: load.spread([value(sample) for sample in taken])
        against = "" if name == "dbtest" else span(ratios(results, key, name))
        first = (key[2].upper(), key[3]) if not rows else ("", "")
        columns = [middle(lambda s, k=k: getattr(s, k))[0] for k in ("p50", "p99", "server", "database")]
        rate = span(middle(lambda s: s.rate))
        rows.append((*first, TITLES[name], rate, against, *map(number, columns)))
    return rows


def memory_table(results):
    rows = [
        (PRODUCTS[database], mpm, TITLES[name], found["processes"], f"{found['pss'] / 1024:.1f}",
         f"{found['private'] / 1024:.2f}")
        for (mpm, database), weighed in results.memory.items()
        for name, found in weighed.items()
    ]  # fmt: skip
    head = ("", "MPM", "Contestant", "Processes", "PSS of all, MiB", "Private memory of a child, MiB (median)")
    return table(head, rows)


def counted_tables(results):
    rows = []
    calls = results.single.get("calls", {})
    for key, (objects, _) in results.single.get("instructions", {}).items():
        database, method, name = key
        own = {"dbtest": "libmod_dbtest.so", "c": "mod_cpeer.so"}.get(name)
        biggest = sorted(((cost, one) for one, cost in objects.items() if one != own), reverse=True)[:4]
        rows.append(
            (
                f"{method.upper()}, {PRODUCTS[database]}" if name != "static" else "GET",
                TITLES[name],
                number(sum(objects.values())),
                number(objects[own]) if own in objects else "–",
                ", ".join(f"{one} {number(cost)}" for cost, one in biggest),
                f"{sum(calls[key].values()):.2f}: "
                + ", ".join(f"{call} {count:.2f}" for call, count in sorted(calls[key].items(), key=lambda c: -c[1])),
            )
        )
    head = ("", "Contestant", "Instructions", "in its own code", "elsewhere", "System calls")
    return table(head, rows)


def flat_table(results):
    rows = [
        (PRODUCTS[database], mpm, clients, number(rates["/few/"]), number(rates["/many/"]), span(cost))
        for (mpm, database, clients), (rates, cost) in results.single.get("flat", {}).items()
    ]
    many = f"{results.single.get('flat rows', 0):,} rows"
    return table(("", "MPM", "Clients", "Requests/s, 20 rows", many, "Cost of the latter"), rows)


def connection_table(results):
    found = results.single.get("connections", {})
    counts = sorted({count for rates in found.values() for count in rates})
    rows = [(PRODUCTS[name], *(span(rates[count]) for count in counts)) for name, rates in found.items()]
    return table(("DBTestConnections", *counts), rows)


def small_table(results):
    found = results.single.get("small")
    if not found:
        return []
    start = found["start"]
    rows = [("Size of the release module", f"{found['bytes'] / 1024:.0f} KiB")]
    rows += [(f"httpd's start to its first answer, {TITLES[name]}, ms", span(took)) for name, took in start.items()]
    return table(("", ""), rows)


def report(bench, results):
    options = bench.options
    lines = ["# Results of bench/run", ""]
    lines += [
        f"Written by `bench/run`; README.md beside this file says how it measures. {options.rounds} rounds of "
        f"{options.seconds} s for each contestant in turn; ratios are of the same round: median (least–most). "
        f"prefork has {PREFORK_CHILDREN} children, event one child of {EVENT_THREADS} threads. Load generator, httpd "
        "and PostgreSQL share the machine's cores.",
        "",
    ]
    lines += ["## Targets", "", *target_table(results)]
    lines += ["## Every answer was right" if not results.wrong else "## What was wrong", ""]
    if results.wrong:
        lines += [*(f"- {line}" for line in results.wrong), ""]
    else:
        lines += [
            "Each page was compared with what it must hold before and after the load, the bytes of all answers added "
            "up, and each acknowledged row was counted in the table.",
            "",
        ]
    lines += ["## On what", "", *machine(bench)]
    lines += ["## Rates and latencies", "", *rate_tables(results)]
    lines += ["## Memory after the load of GET", "", *memory_table(results)]
    for title, part in (
        ("What one request costs, counted", counted_tables),
        ("A large table", flat_table),
        ("Writes by the number of connections (event, 64 clients, rows/s)", connection_table),
        ("Size and start", small_table),
    ):
        lines += [f"## {title}", "", *part(results)]
    return "\n".join(lines).rstrip() + "\n"
