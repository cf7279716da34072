"""A machine with httpd, PostgreSQL and the module under systemd; what a case is, and how it is made, asked and mended."""

import dataclasses
import json
import pathlib
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

STATE = pathlib.Path("/var/lib/machine")
LASTING = str(STATE / "lasting")
SITE = pathlib.Path("/etc/apache2/conf-enabled/dbtest.conf")
BASE = pathlib.Path("/etc/apache2/conf-enabled/base.conf")
PIDS = pathlib.Path("/var/log/apache2/pids.log")
ERRORS = pathlib.Path("/var/log/apache2/error.log")
DROP_INS = pathlib.Path("/etc/systemd/system/apache2.service.d")
# seconds; the machine is emulated
PATIENCE = 60

TABLE = "CREATE TABLE stuff (id integer PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL);"


@dataclasses.dataclass
class Case:
    """A fault: how it is made, and what is right."""

    name: str
    directives: str
    # as root, with `sh -e`, before httpd is restarted
    make: str
    # the ids that are right; "" for a healthy one, which is only proved
    ids: tuple[str, ...] = ()
    # words that the report must hold, and those that it must not (regular expressions)
    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    # the first fix is sure
    sure: bool = True
    # how many printed fixes, one after the other, lead to a page that works: two where there are two faults
    rounds: int = 1
    # why no fix is applied
    not_mended: str = ""
    # fail, or warn
    verdict: str = "fail"
    # a GET is answered all the same: only writing fails
    reads: bool = False
    # kept until after a relabel and a reboot
    lasting: bool = False
    undo: str = ""
    # asked by `apache2ctl -t -D DBTEST_CHECK` from root's shell: words that it must hold
    shell_says: tuple[str, ...] = ()


def sh(script: str, check: bool = True) -> str:
    """Runs a script as an administrator's shell would, from /."""
    done = subprocess.run(["sh", "-e", "-c", script], cwd="/", text=True, capture_output=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"exit {done.returncode} of:\n{script}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


class Tally:
    """What came of the cases of one mode."""

    def __init__(self, mode: str):
        self.mode, self.cases, self.right, self.mended, self.proved, self.failures = mode, 0, 0, 0, 0, []
        self.expected = 0

    def fail(self, case: Case, why: str) -> None:
        self.failures.append(case.name)
        print(f"FAILED {case.name}: {why}\n", flush=True)

    def write(self) -> None:
        summary = STATE / "summary"
        if self.mode == "rebooted":
            line = f"after relabel and reboot: {self.proved} of {self.cases} pages proved\n"
            line = summary.read_text().rstrip("\n") + "; " + line
        else:
            line = (
                f"{self.mode}: {self.cases} cases, named rightly {self.right}, mended by the printed fix {self.mended} of "
                f"{self.expected}, page proved in every child {self.proved}"
            )
            line += f"; failed: {' '.join(self.failures)}\n" if self.failures else "\n"
        summary.write_text(line)


class Machine:
    """The machine that this runs on."""

    def prepare(self) -> None:
        """httpd with two children and a log of who answered; a role and a database."""
        sh("a2dismod -q -f mpm_event; a2enmod -q mpm_prefork; a2dissite -q 000-default")
        BASE.write_text(
            "LoadModule dbtest_module /usr/lib/apache2/modules/mod_dbtest.so\nServerName machine\n"
            "StartServers 2\nMinSpareServers 1\nMaxSpareServers 8\nMaxRequestWorkers 8\n"
            f'KeepAlive Off\nLogFormat "%P %>s" pid\nCustomLog {PIDS} pid\n'
        )
        if "site" in sh("su postgres -c 'psql -Atc \"SELECT datname FROM pg_database\"'"):
            return
        sql = f"{TABLE} GRANT SELECT, INSERT ON stuff TO web; GRANT USAGE ON SEQUENCE stuff_id_seq TO web"
        sql = sql.replace("integer PRIMARY KEY", "serial PRIMARY KEY")
        sh(
            "cd /; su postgres -c \"psql -qc \\\"CREATE ROLE web LOGIN PASSWORD 'secret'\\\" -c 'CREATE DATABASE site'\"; "
            f"su postgres -c 'psql -q site -c \"{sql}\"'; "
            "sed -i '1i local site web scram-sha-256' /etc/postgresql/*/main/pg_hba.conf; systemctl reload postgresql"
        )

    def run(self, case: Case, tally: Tally) -> None:
        tally.cases += 1
        sh(case.make)
        SITE.write_text(self.section(case))
        since = ERRORS.stat().st_size if ERRORS.exists() else 0
        self.restart()
        if not case.ids:
            self.prove(case)
            tally.right, tally.proved = tally.right + 1, tally.proved + 1
            print(f"ok {case.name}", flush=True)
            return
        report = self.check(case)
        self.judge(case, report, since)
        tally.right += 1
        if case.not_mended:
            print(f"ok {case.name}: {report['id']}; not mended: {case.not_mended}", flush=True)
            return
        tally.expected += 1
        for _ in range(case.rounds):
            for fix in self.steps(case, report):
                self.apply(fix)
            report = self.check(case)
            if report["verdict"] in ("pass", "warn" if case.verdict == "fail" else "pass"):
                break
        self.expect(report["verdict"] != case.verdict, f"not mended: {self.brief(report)}")
        tally.mended += 1
        self.prove(case)
        tally.proved += 1
        print(f"ok {case.name}: {', '.join(case.ids)}", flush=True)
        if case.lasting:
            with open(LASTING, "a", encoding="utf-8") as kept:
                kept.write(json.dumps({"name": case.name, "section": SITE.read_text()}) + "\n")

    def judge(self, case: Case, report: dict, since: int) -> None:
        """The verdict of the check, of the page, of the log and of the command line."""
        shown, brief = json.dumps(report, indent=1, ensure_ascii=False), self.brief(report)
        self.expect(report["verdict"] == case.verdict and report["id"] in case.ids, f"not {case.ids}:\n{brief}")
        for word in case.says:
            self.expect(re.search(word, shown), f"does not say {word!r}:\n{brief}")
        for word in case.never:
            self.expect(not re.search(word, shown), f"says {word!r}:\n{brief}")
        if case.verdict == "fail" and not case.reads:
            status, page = self.get(case, "/")
            self.expect(status >= 500 and report["id"] in page, f"the page: {status}\n{brief}")
            with open(ERRORS, encoding="utf-8", errors="replace") as log:
                log.seek(since)
                said = log.read()
            self.expect(report["id"] in said, f"the log lacks {report['id']}:\n{said[-2000:]}")
        if case.shell_says:
            said = sh("apache2ctl -t -D DBTEST_CHECK", check=False)
            for word in case.shell_says:
                self.expect(re.search(word, said), f"DBTEST_CHECK does not say {word!r}:\n{said}")

    def brief(self, report: dict) -> str:
        """A report without what went well."""
        failed = [step for step in report["steps"] if step["state"] in ("fail", "warn")]
        return json.dumps({**report, "steps": failed}, indent=1, ensure_ascii=False)

    def steps(self, case: Case, report: dict) -> list[dict]:
        """What a reader does: every step of the first fix. A directive that follows commands belongs to them."""
        fixes = report["fixes"]
        self.expect(fixes, f"no fix: {self.brief(report)}")
        self.expect(fixes[0]["sure"] == case.sure, f"sure is {fixes[0]['sure']}: {self.brief(report)}")
        follow = [fix for fix in fixes[1:] if "once " in fix["where"] or "after that" in fix["where"]]
        return fixes[:1] + follow[:1]

    def apply(self, fix: dict) -> None:
        """Exactly as printed."""
        kind, text = fix["kind"], fix["text"]
        if kind == "shell":
            sh(text)
        elif kind == "httpd":
            self.directive(text)
        elif kind == "sql":
            path = fix["where"].split("sqlite3 ")[-1]
            subprocess.run(f"runuser -u www-data -- sqlite3 -bail {path}", shell=True, input=text, text=True, check=True, cwd="/")
        elif kind == "postgresql.conf":
            sh(f"echo {json.dumps(text)} >>/etc/postgresql/*/main/postgresql.conf")
        else:
            raise RuntimeError(f"an unknown kind of fix: {fix}")
        concerns_server = kind in ("sql", "postgresql.conf") or "PostgreSQL" in fix["where"]
        if fix["then"] != "none":
            sh(f"systemctl {fix['then']} {'postgresql' if concerns_server else 'apache2'}")
        if fix["then"] == "reload" and not concerns_server:
            time.sleep(2)

    def directive(self, text: str) -> None:
        name = text.split()[0].lower()
        lines = [line for line in SITE.read_text().splitlines() if line.split()[:1] != [name] and not line.lower().startswith(name)]
        lines.insert(next(i for i, line in enumerate(lines) if line.startswith("<Location")) + 1, text)
        SITE.write_text("\n".join(lines) + "\n")

    def prove(self, case: Case) -> None:
        """A GET and a POST that works, from every child. One that is turned away for being too many counts for nothing."""
        for what in ("GET", "POST"):
            answered: set[str] = set()
            for _ in range(20):
                before = PIDS.stat().st_size
                jobs = [self.start(case, what) for _ in range(3)]
                for job in jobs:
                    said, _ = job.communicate(timeout=PATIENCE)
                    self.expect(said.strip() in ("200", "303", "503"), f"{what}: {said}")
                children = set(sh("pgrep -P $(cat /run/apache2/apache2.pid)").split())
                with open(PIDS, encoding="ascii") as log:
                    log.seek(before)
                    answered |= {line.split()[0] for line in log if line.split()[1:] in (["200"], ["303"])}
                if children <= answered:
                    break
            self.expect(children <= answered, f"{what}: only {answered} of the children {children} answered rightly: {self.brief(self.check(case))}")

    def start(self, case: Case, what: str) -> subprocess.Popen:
        form = ["-d", "stuff=machine&things=proof&submit=Submit"] if what == "POST" else []
        command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *form, self.url(case, "/")]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def check(self, case: Case) -> dict:
        _, text = self.get(case, "/check", "application/json")
        return json.loads(text)

    def get(self, case: Case, path: str, accept: str = "text/html") -> tuple[int, str]:
        request = urllib.request.Request(self.url(case, path), headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def url(self, case: Case, path: str) -> str:
        return f"http://127.0.0.1/{case.name}{path}"

    def section(self, case: Case) -> str:
        return (
            f'<Location "/{case.name}">\nSetHandler dbtest\nDBTestDetail full\nDBTestTimeout connect=20s query=20s wait=20s\n'
            f"{case.directives}\nRequire local\n</Location>\n"
        )

    def restart(self) -> None:
        done = sh("systemctl reset-failed apache2; systemctl daemon-reload; systemctl restart apache2 2>&1 || echo FAILED", check=False)
        if "FAILED" in done:
            tail = sh(f"tail -n 5 {ERRORS}; journalctl -n 10 -u apache2", check=False)
            raise RuntimeError(f"httpd does not start: {done}\n{tail}")

    def tidy(self, case: Case) -> None:
        SITE.unlink(missing_ok=True)
        if not case.lasting:
            sh(case.undo, check=False)
        sh(f"rm -rf {DROP_INS}; systemctl daemon-reload; systemctl stop apache2", check=False)
        kept = STATE / "lasting"
        if case.lasting and kept.exists():
            sh("restorecon -RF /etc /var /srv /home /run 2>/dev/null", check=False)

    def again(self, tally: Tally) -> None:
        """What was mended before the reboot still works."""
        tally.mode = "rebooted"
        for line in pathlib.Path(LASTING).read_text(encoding="utf-8").splitlines():
            kept = json.loads(line)
            case = Case(kept["name"], "", "")
            tally.cases += 1
            try:
                SITE.write_text(kept["section"])
                self.restart()
                self.prove(case)
                tally.proved += 1
            except Exception as error:  # the others count all the same
                tally.fail(case, f"after the reboot: {error}; {json.dumps(self.check(case), indent=1)}")

    def expect(self, holds: object, why: str) -> None:
        if not holds:
            raise AssertionError(why)
