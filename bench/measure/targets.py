"""What was promised, and whether it holds: each target of the issue as one line that is computed from the results."""

import math
from dataclasses import dataclass

from .load import spread


@dataclass
class Verdict:
    work: str
    against: str
    limit: float
    most: bool  # the limit is an upper one
    found: tuple  # median, least, most; NaN where nothing was measured

    @property
    def measured(self):
        return not math.isnan(self.found[0])

    @property
    def met(self):
        return self.found[0] <= self.limit if self.most else self.found[0] >= self.limit

    @property
    def word(self):
        return "not measured" if not self.measured else "met" if self.met else "**missed**"


NOTHING = (math.nan, math.nan, math.nan)


def ratios(results, key, other, value=lambda sample: sample.rate):
    """mod_dbtest against another contestant, round by round."""
    row = results.rounds.get(key, {})
    pairs = zip(row.get("dbtest", []), row.get(other, []), strict=True) if other in row and "dbtest" in row else []
    found = [value(ours) / value(theirs) for ours, theirs in pairs if ours and theirs and value(theirs)]
    return spread(found) if found else NOTHING


# MPM, database, method, clients, against, at least
RATES = [
    ("event", "postgresql", "get", 64, "c", 1.7),
    ("event", "postgresql", "get", 64, "static", 1.0),
    ("event", "sqlite", "get", 64, "static", 1.0),
    ("prefork", "postgresql", "get", 16, "c", 1.0),
    ("prefork", "sqlite", "get", 16, "c", 1.0),
    ("prefork", "postgresql", "get", 16, "flask-embedded", 45),
    ("prefork", "postgresql", "post", 16, "c", 1.0),
    ("event", "postgresql", "post", 64, "c", 1.2),
    ("prefork", "sqlite", "post", 16, "c", 1.0),
    ("event", "sqlite", "post", 64, "c", 1.2),
]
PRODUCTS = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}


def verdicts(results, titles):
    found = []
    for mpm, database, method, clients, other, least in RATES:
        work = f"{method.upper()}, {PRODUCTS[database]}, {mpm}, {clients} clients"
        key = mpm, database, method, clients
        found.append(Verdict(work, titles[other], least, False, ratios(results, key, other)))
    for database in PRODUCTS:
        found.append(memory(results, database, titles))
    for (mpm, database, clients), (_, cost) in sorted(results.single.get("flat", {}).items()):
        work = f"page at {results.single['flat rows']:,} rows, {PRODUCTS[database]}, {mpm}, {clients} client{'s' * (clients > 1)}"
        found.append(Verdict(work, "page at 20 rows", 1.1, True, cost))
    for database in PRODUCTS:
        key = "event", database, "get", 64
        cost = ratios(results, key, "c", lambda sample: sample.p99)
        found.append(Verdict(f"p99 of GET, {PRODUCTS[database]}, event, 64 clients", titles["c"], 1.0, True, cost))
    return found


def memory(results, database, titles):
    """One number: memory does not vary from round to round."""
    weighed = results.memory.get(("prefork", database), {})
    ratio = NOTHING
    if "dbtest" in weighed and "c" in weighed:
        ratio = (weighed["dbtest"]["pss"] / weighed["c"]["pss"],) * 3
    work = f"memory of the whole server (PSS), {PRODUCTS[database]}, prefork, 16 children after load"
    return Verdict(work, titles["c"], 1.0, True, ratio)
