"""Load and checks: wrk for GET (as many as can be had in a time), h2load for POST (an exact number, so that the rows
can be counted afterwards), Python for looking at single answers."""

import http.client
import math
import re
import statistics
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from . import page as pages
from .system import Failure, run

# wrk reads the body's length but not its text; this tells what it saw
REPORT = """done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("REPORT %d %d %d %d %d %d %d\\n", summary.requests, summary.duration, summary.bytes,
    e.status + e.timeout, e.connect + e.read + e.write, latency:percentile(50), latency:percentile(99)))
end
"""

FORM = urllib.parse.urlencode({"stuff": pages.row(1)[0], "things": pages.row(1)[1], "submit": "Submit"})


@dataclass
class Sample:
    """One measurement of one contestant."""

    rate: float  # requests per second
    p50: float  # milliseconds
    p99: float
    requests: int
    wrong: str = ""  # what was not as it should be
    server: float = math.nan  # microseconds of processor time for each request: httpd's processes
    database: float = math.nan  # and the database server's


@dataclass
class Answer:
    status: int
    headers: list
    body: str
    size: int  # bytes on the wire


def ask(port, path, method="GET", body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        data = response.read()
    finally:
        connection.close()
    size = sum(len(name) + len(value) + 4 for name, value in response.getheaders()) + len(data)
    size += len(f"HTTP/1.1 {response.status} {response.reason}\r\n\r\n")
    return Answer(response.status, response.getheaders(), data.decode(), size)


def check_page(server, path, expected):
    """The page is right: status, type, length and every row. Gives the bytes of one answer on the wire."""
    answer = ask(server.port, path)
    if answer.status != 200:
        raise Failure(f"{path}: {answer.status}\n{answer.body[:2000]}\n{server.log()[-2000:]}")
    if pages.text_of(answer.body) != pages.text_of(expected):
        raise Failure(f"{path}: this is not the page that was expected:\n{answer.body[:6000]}")
    names = {name.lower(): value for name, value in answer.headers}
    if names.get("content-length") != str(len(answer.body.encode())):
        raise Failure(f"{path}: Content-Length is {names.get('content-length')}")
    return answer.size


def check_post(server, path, database):
    """One row is added, counted, and acknowledged with 303."""
    before = database.added()
    answer = ask(server.port, path, "POST", FORM)
    if answer.status != 303 or database.added() != before + 1:
        raise Failure(f"{path}: POST gave {answer.status}\n{answer.body[:2000]}\n{server.log()[-2000:]}")


def get(server, path, clients, seconds, size, scratch):
    """As many pages as can be had. `size`: of one answer on the wire, within which the time of the query may vary."""
    script = scratch / "report.lua"
    if not script.exists():
        script.write_text(REPORT)
    text = run("wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "10s", "-s", script, server.url(path))
    found = re.search("REPORT" + r" (\d+)" * 7, text)
    requests, duration, got, errors, closed, p50, p99 = map(int, found.groups())
    wrong = []
    if errors:
        wrong.append(f"{errors} errors")
    # event closes kept connections when all its workers are busy, and wrk may just have asked again: not many
    if closed > clients:
        wrong.append(f"{closed} connections broke")
    # what is cut off at the end counts as bytes but not as requests: at most one answer for each client
    if not requests * (size - 8) <= got <= (requests + closed + clients) * (size + 8):
        wrong.append(f"{requests} answers had {got} bytes, not {size} each")
    return Sample(requests / duration * 1e6, p50 / 1000, p99 / 1000, requests, ", ".join(wrong))


def post(server, path, clients, count, database, scratch):
    """Adds `count` rows; every one must be acknowledged, and there."""
    body, log = scratch / "form", scratch / "post.log"
    body.write_text(FORM)
    log.unlink(missing_ok=True)
    before = database.added()
    text = run(
        "h2load", "--h1", "-t1", f"-n{count}", f"-c{clients}", f"-d{body}", f"--log-file={log}",
        "-H", "content-type: application/x-www-form-urlencoded", server.url(path),
    )  # fmt: skip
    there = database.added() - before
    took = seconds_of(re.search(r"finished in ([\d.]+)(us|ms|s|m)", text))
    acknowledged = int(re.search(r"(\d+) 3xx", text).group(1))
    others = sum(int(found) for found in re.findall(r"(\d+) [245]xx", text))
    wrong = ""
    # what is neither was on a kept connection that httpd closed just then: not many, and none of it stored
    if acknowledged != there or others or count - acknowledged > clients:
        wrong = f"{count} posted, {acknowledged} acknowledged, {others} refused, {there} there"
    times = [int(line.split("\t")[2]) / 1000 for line in log.read_text().splitlines()]
    return Sample(acknowledged / took, percentile(times, 50), percentile(times, 99), acknowledged, wrong)


def seconds_of(found):
    return float(found.group(1)) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[found.group(2)]


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan


def spread(values):
    """Median, least and most."""
    return statistics.median(values), min(values), max(values)


def version(program, argument="--version"):
    """The first line that a tool says about itself; wrk ends with 1 when it does."""
    import subprocess

    done = subprocess.run([program, argument], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def first_line(path):
    return Path(path).read_text(encoding="utf-8").splitlines()[0]
