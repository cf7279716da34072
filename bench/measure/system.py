"""What a measurement runs on: private directories, an httpd and a PostgreSQL of its own, memory as the kernel counts it.

Everything listens on ports that the kernel picked (PostgreSQL on a Unix socket only), runs as the accounts that the
distribution means for it when we are root, and ends with the program.
"""

import atexit
import glob
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "target" / "bench"

# Debian's programs and Debian's Python packages, whatever else stands in the PATH of whoever measures
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}


class Failure(Exception):
    """Something without which no number would mean anything."""


def run(*command, **options):
    """Runs to the end; gives what it wrote, or fails with all of it."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise Failure(f"{command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def account(name):
    """User and group numbers to run as, or None when we are not root and run as ourselves."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid


def as_account(name):
    """The options of subprocess for running as that account."""
    ids = account(name)
    return {} if ids is None else {"user": ids[0], "group": ids[1], "extra_groups": []}


def give(path, name):
    ids = account(name)
    if ids is not None:
        os.chown(path, *ids)


def scratch(prefix, under="/tmp"):
    """A directory that goes when we go. Short, since the path of a Unix socket has 107 bytes at most."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=under))
    path.chmod(0o755)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


# --- processes --------------------------------------------------------------------------------------


def family(pid):
    """The process and all that descend from it."""
    parents = {}
    for entry in glob.glob("/proc/[0-9]*/stat"):
        try:
            fields = Path(entry).read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.split("/")[2]))
    found = [pid]
    for one in found:
        found.extend(parents.get(one, []))
    return found


def memory(pids, field):
    """Sum in KiB of one field of smaps_rollup: Pss, Private_Dirty, …"""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(field + ":"):
                total += int(line.split()[1])
    return total


def processor_seconds(pids):
    """Processor time that they have used, in user mode and in the kernel's; of those that still live."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# --- httpd ------------------------------------------------------------------------------------------


class Installation:
    """The httpd of this machine, as its apxs tells it."""

    def __init__(self):
        apxs = os.environ.get("APXS") or shutil.which("apxs") or shutil.which("apxs2")
        if apxs is None:
            raise Failure("there is no apxs here: install apache2-dev")
        self.modules = Path(run(apxs, "-q", "LIBEXECDIR").strip())
        self.includes = run(apxs, "-q", "INCLUDEDIR").strip()
        names = [run(apxs, "-q", "PROGNAME").strip(), "httpd", "apache2"]
        places = [Path(run(apxs, "-q", "SBINDIR").strip()) / name for name in names]
        self.httpd = next(place for place in places if place.is_file())
        self.user = next(name for name in ("www-data", "apache", "nobody") if self.known(name))

    @staticmethod
    def known(name):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            return None


# What the targets speak of. event has more threads than the load has clients: with all of them busy it would
# close connections that are kept.
PREFORK_CHILDREN = 16
EVENT_THREADS = 96

# All contestants load the same of httpd's modules: those that a plain server has.
MODULES = ("authz_core", "mime", "alias")


class Httpd:
    """A private server. Started on demand, stopped with the program at the latest."""

    def __init__(self, installation, directory, sizes, conf, keep_alive=100):
        self.installation = installation
        self.directory = directory
        self.sizes = sizes
        self.conf = conf
        self.keep_alive = keep_alive
        self.process = None
        self.port = None
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
        atexit.register(self.stop)

    def write_conf(self):
        user = f"User {self.installation.user}\nGroup {self.group()}\n" if os.geteuid() == 0 else ""
        loads = "".join(
            f"LoadModule {name}_module {self.installation.modules}/mod_{name}.so\n" for name in MODULES
        )
        text = f"""ServerRoot "{self.directory}"
ServerName localhost
Listen 127.0.0.1:{self.port}
PidFile httpd.pid
DefaultRuntimeDir "{self.directory}"
ErrorLog error.log
LogLevel warn
{loads}{user}TypesConfig /etc/mime.types
DocumentRoot "{self.directory}"
<Directory />
AllowOverride None
Options FollowSymLinks
</Directory>
KeepAlive On
MaxKeepAliveRequests {self.keep_alive}
{self.sizes}
{self.conf}
"""
        path = self.directory / "httpd.conf"
        path.write_text(text)
        return path

    def group(self):
        return grp.getgrgid(pwd.getpwnam(self.installation.user).pw_gid).gr_name

    def start(self, *, before=(), arguments=("-D", "FOREGROUND"), patience=30.0, options=None):
        """Starts it, perhaps under another program, and waits until it listens."""
        for _ in range(5):
            self.port = free_port()
            command = [*before, self.installation.httpd, "-f", self.write_conf(), *arguments]
            with open(self.directory / "output", "ab") as output:
                self.process = subprocess.Popen(
                    [str(word) for word in command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd="/",
                    env=ENVIRONMENT,
                    start_new_session=True,
                    **(options or {}),
                )
            if self.listens(patience):
                return self
            if "AH00072" not in self.log():
                raise Failure(f"httpd does not start:\n{self.log()}")
            (self.directory / "error.log").unlink(missing_ok=True)
        raise Failure("five ports that the kernel picked were taken by others")

    def listens(self, patience):
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if self.process.poll() is not None:
                return False
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return True
            time.sleep(0.002)
        self.stop()
        raise Failure(f"httpd has not begun to listen for {patience:.0f} seconds:\n{self.log()}")

    def settle(self, patience=90.0):
        """Waits until nothing works in it any more: Flask's children load the application before they serve."""
        until = time.monotonic() + patience
        before = None
        while time.monotonic() < until:
            now = len(self.pids()), processor_seconds(self.pids())
            if now == before:
                return
            before = now
            time.sleep(0.25)

    def log(self):
        return "".join(
            (self.directory / name).read_text(errors="replace")
            for name in ("output", "error.log")
            if (self.directory / name).exists()
        )

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def pids(self):
        return family(self.process.pid)

    def children(self):
        return self.pids()[1:]

    def stop(self, patience=15.0):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None


def sizes(installation, mpm):
    """As many workers from the start and for ever: so many children of prefork, so many threads of event's one child."""
    load = f"LoadModule mpm_{mpm}_module {installation.modules}/mod_mpm_{mpm}.so\nMaxConnectionsPerChild 0\n"
    if mpm == "prefork":
        count = PREFORK_CHILDREN
        return load + (
            f"StartServers {count}\nMinSpareServers {count}\nMaxSpareServers {count + 1}\n"
            f"ServerLimit {count}\nMaxRequestWorkers {count}\n"
        )
    count = EVENT_THREADS
    return load + (
        f"StartServers 1\nServerLimit 1\nThreadLimit {count}\nThreadsPerChild {count}\n"
        f"MinSpareThreads {count}\nMaxSpareThreads {count}\nMaxRequestWorkers {count}\n"
    )


# --- PostgreSQL -------------------------------------------------------------------------------------


class PostgreSQL:
    """A private cluster on a Unix socket, with the server's default settings: fsync and synchronous_commit on."""

    USER = "bench"

    def __init__(self, directory):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin") + glob.glob("/usr/pgsql-*/bin"))
        self.programs = Path(found[-1]) if found else Path(shutil.which("initdb") or "/nonexistent").parent
        if not (self.programs / "initdb").exists():
            raise Failure("there is no PostgreSQL server here: install postgresql")
        self.run_dir = scratch("mdb", "/tmp")
        self.data = directory / "pgdata"
        directory.mkdir()
        for path in (self.run_dir, directory):
            give(path, "postgres")
        self.pg("initdb", "-D", self.data, "-U", self.USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as conf:
            conf.write(
                "listen_addresses = ''\nmax_connections = 300\nautovacuum = off\n"
                f"unix_socket_directories = '{self.run_dir}'\n"
            )
        atexit.register(self.stop)
        self.pg("pg_ctl", "-D", self.data, "-l", self.data / "log", "-w", "start")
        self.version = self.sql("SHOW server_version").split()[0]

    def pg(self, name, *arguments, **options):
        return run(self.programs / name, *arguments, cwd="/", env=ENVIRONMENT, **as_account("postgres"), **options)

    def sql(self, statements):
        connect = ("-h", self.run_dir, "-U", self.USER, "-d", "postgres")
        return self.pg("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *connect, input=statements).strip()

    def pids(self):
        return family(int((self.data / "postmaster.pid").read_text().split()[0]))

    def stop(self):
        if (self.data / "postmaster.pid").exists():
            self.pg("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")
