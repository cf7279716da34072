"""What one request costs, counted rather than timed: instructions by callgrind, system calls by strace. Both hardly change
with what else the machine does, so they are what a change to the code is judged by.

httpd runs as one process (-X) under prefork and answers on one kept connection; the first requests, which connect to
the database, are not counted.
"""

import http.client
import re
import shutil
import signal
import subprocess
import time
from collections import Counter

from . import contestants, load
from .bench import say
from .system import Failure, as_account, family, give, run

WARM = 20
COUNTED = 200


def profile(bench, results):
    for database in bench.databases:
        for one in (contestants.DBTest(), contestants.CPeer(), contestants.Static()):
            for method, path in (("get", one.get), ("post", one.post)):
                name = f"profile/{database.name}/{method}/{one.name}"
                if path is None or not bench.options.wants(name) or not new(one, database):
                    continue
                key = database.name, method, one.name
                calls = system_calls(bench, database, one, method, path)
                objects, functions = instructions(bench, database, one, method, path)
                results.single.setdefault("calls", {})[key] = calls
                results.single.setdefault("instructions", {})[key] = objects, functions
                total = sum(objects.values())
                say(f"{name}: {total:.0f} instructions, {sum(calls.values()):.2f} system calls")
                own = Counter(functions).most_common(12)
                (bench.directory.parent / f"profile-{'-'.join(key)}.txt").write_text(details(objects, functions, calls))
                if one.name == "dbtest" and bench.options.only:
                    for function, cost in own:
                        say(f"    {cost:9.0f} {function}")
        database.empty()


def new(one, database):
    """A file is a file, whatever the database."""
    return one.name != "static" or database.name == "postgresql"


def details(objects, functions, calls):
    """Everything that was counted, for whoever looks for what costs."""
    lines = [f"{cost:10.0f}  {name}" for name, cost in Counter(objects).most_common()]
    lines += ["", *(f"{cost:10.1f}  {name}" for name, cost in Counter(functions).most_common(150))]
    lines += ["", *(f"{count:10.2f}  {name}" for name, count in Counter(calls).most_common())]
    return "\n".join(lines) + "\n"


class Kept:
    """One connection that is kept."""

    def __init__(self, server, method, path):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        self.method, self.path = method.upper(), path

    def ask(self, times):
        form = load.FORM if self.method == "POST" else None
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        for _ in range(times):
            self.connection.request(self.method, self.path, form, headers)
            response = self.connection.getresponse()
            response.read()
            if response.status not in (200, 303):
                raise Failure(f"{self.method} {self.path}: {response.status}")

    def close(self):
        self.connection.close()


# --- instructions -----------------------------------------------------------------------------------


def instructions(bench, database, one, method, path):
    """Instructions for each request, by object and by function, of everything from httpd's choice of a handler on."""
    server = bench.prepared("prefork", database, one, f"callgrind-{method}", keep_alive=0)
    give(server.directory, bench.installation.user)
    out = server.directory / "callgrind.out"
    out.unlink(missing_ok=True)
    valgrind = ("valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}", "--toggle-collect=ap_invoke_handler")
    # not as root, to become the server's user later: such a process can no longer be controlled from outside
    user = as_account(bench.installation.user)
    server.start(before=valgrind, arguments=("-X",), patience=120, options=user)
    try:
        client = Kept(server, method, path)
        client.ask(WARM)
        run("callgrind_control", "-z", str(server.process.pid), timeout=60, **user)
        client.ask(COUNTED)
        client.close()
    finally:
        server.stop(60)
    return read_callgrind(out.read_text())


def read_callgrind(text):
    """Self cost for each request from callgrind's own format; names are given once and then by number."""
    names = {"ob": {}, "fn": {}}
    now = {"ob": "", "fn": ""}
    objects, functions = Counter(), Counter()
    skip = False
    for line in text.splitlines():
        found = re.match(r"c?(ob|fn)=\((\d+)\)(?: (.*))?", line)
        if found:
            kind, number, name = found.groups()
            if name is not None:
                names[kind][number] = name
            if not line.startswith("c"):
                now[kind] = names[kind][number]
        elif line.startswith("calls="):
            # the line after it is the cost of the callee, which is counted where it arises
            skip = True
        elif re.match(r"[0-9+*-]", line):
            if not skip:
                cost = int(line.split()[1])
                objects[now["ob"].rpartition("/")[2] or "?"] += cost
                functions[f"{now['fn']} ({now['ob'].rpartition('/')[2]})"] += cost
            skip = False
    each = lambda counted: {name: cost / COUNTED for name, cost in counted.items()}
    return each(objects), each(functions)


# --- system calls -----------------------------------------------------------------------------------


def system_calls(bench, database, one, method, path):
    """System calls of the child for each request, all of httpd's included."""
    server = bench.prepared("prefork", database, one, f"strace-{method}", keep_alive=0)
    server.start(arguments=("-X",))
    try:
        client = Kept(server, method, path)
        client.ask(WARM)
        out = server.directory / "strace.out"
        pids = [word for pid in family(server.process.pid) for word in ("-p", str(pid))]
        tracer = subprocess.Popen(
            [shutil.which("strace"), "-f", "-c", "-U", "calls,name", "-o", str(out), *pids], stderr=subprocess.PIPE
        )
        tracer.stderr.readline()  # "Process N attached"
        client.ask(COUNTED)
        time.sleep(0.1)
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
        client.close()
    finally:
        server.stop()
    found = re.findall(r"^\s*(\d+)\s+(\w+)\s*$", out.read_text(), re.MULTILINE)
    return {name: int(count) / COUNTED for count, name in found if name != "total"}
