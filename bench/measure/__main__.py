"""bench/run, once everything is installed and built."""

import argparse
import os
import pickle
import re
import signal
import sys
from pathlib import Path

from . import profile, single
from .bench import Bench, Options, Results, say
from .report import TITLES, report, span
from .system import BUILD, ROOT, Failure
from .targets import verdicts

CLIENTS = (1, 16, 64)


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description="Measures mod_dbtest against its peers.")
    parser.add_argument("--quick", action="store_true", help="one short round of everything, to see that it works")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="rounds of each measurement (4)")
    parser.add_argument("--seconds", type=int, default=1, metavar="S", help="length of a measurement (1)")
    parser.add_argument(
        "--only",
        metavar="FILTER",
        help="a regular expression over MPM/DATABASE/METHOD/CLIENTS/CONTESTANT, flat/DATABASE, "
        "connections/DATABASE, small, profile/DATABASE/METHOD/CONTESTANT",
    )
    parser.add_argument("--module", type=Path, required=True, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.quick:
        given.rounds, given.seconds = 1, 1
    only = re.compile(given.only) if given.only else None
    return given.module, Options(given.rounds, given.seconds, only, given.quick)


def measure(bench, results):
    options = bench.options
    for database in bench.databases:
        for mpm in ("prefork", "event"):
            clients = [
                count
                for count in CLIENTS
                if any(bench.names(mpm, database, method, count) for method in ("get", "post"))
            ]
            if clients:
                bench.group(mpm, database, clients, results)
    single.connections(bench, results)
    profile.profile(bench, results)
    single.small(bench, results)
    single.flat(bench, results, 100_000 if options.quick else single.MANY)


def main():
    # so that what is started is also stopped
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda number, frame: sys.exit(128 + number))
    module, options = arguments()
    load_before = os.getloadavg()[0]
    bench, results = Bench(options, module), Results()
    bench.load_before = load_before
    try:
        measure(bench, results)
    finally:
        # what was measured is not lost, whatever goes wrong later
        (BUILD / "results.pickle").write_bytes(pickle.dumps(results))
        complete = not options.quick and options.only is None
        path = ROOT / "bench" / "RESULTS.md" if complete and sys.exc_info()[0] is None else BUILD / "RESULTS.md"
        path.write_text(report(bench, results), encoding="utf-8")
    for one in verdicts(results, TITLES):
        if one.measured:
            bound = "at most" if one.most else "at least"
            say(f"{one.word.strip('*'):7} {one.work}, against {one.against}: {span(one.found)}, {bound} {one.limit:g}")
    say(f"written: {path}")
    return 1 if results.wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"bench/run: {failure}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
