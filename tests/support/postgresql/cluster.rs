//! A private PostgreSQL cluster: made in a moment from a template, stopped and removed with the value, even by a panic.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::system::{command, directory, free_port, give, program, run};

/// The tests' own superuser. The first line of every pg_hba.conf lets it in by the socket, so that a test can ask the
/// server about anything whatever the rest of the file says.
pub const HELM: &str = "helm";

/// A running (or stopped) server.
pub struct Cluster {
    dir: TempDir,
    /// The same for TCP and in the socket's name.
    pub port: u16,
    /// PGDATA.
    pub data: PathBuf,
    pub socket_dir: PathBuf,
    // a lock, so that tests can share a cluster
    stopped: Mutex<Vec<String>>,
}

impl Cluster {
    /// A server on 127.0.0.1 and a Unix socket, with `hba` as its pg_hba.conf (below the tests' own line).
    pub fn new(hba: &str) -> Self {
        Self::with_conf(hba, "")
    }

    /// The same with lines for postgresql.conf.
    pub fn with_conf(hba: &str, conf: &str) -> Self {
        let dir = directory("pg");
        let data = dir.path().join("data");
        run(command("cp").arg("-a").arg(template()).arg(&data));
        Self::begin(dir, data, hba, conf)
    }

    /// A hot standby of this cluster. Its pg_hba.conf must let `helm` replicate: see [`Cluster::hba`]'s own line.
    pub fn standby(&self, hba: &str, conf: &str) -> Self {
        let dir = directory("pgs");
        let data = dir.path().join("data");
        let mut backup = command(program("pg_basebackup"));
        backup.arg("-h").arg(&self.socket_dir).args(["-p", &self.port.to_string(), "-U", HELM]);
        run(backup.args(["-c", "fast", "-X", "stream", "-R", "-N", "-D"]).arg(&data));
        Self::begin(dir, data, hba, conf)
    }

    fn begin(dir: TempDir, data: PathBuf, hba: &str, conf: &str) -> Self {
        let socket_dir = dir.path().join("s");
        fs::create_dir_all(&socket_dir).expect("the socket's directory");
        give(&socket_dir);
        let mut cluster = Self { dir, port: 0, data, socket_dir, stopped: Mutex::default() };
        cluster.hba(hba);
        cluster.conf(conf);
        let started = (0..5).any(|_| {
            cluster.port = free_port();
            let place = format!(
                "port = {}\nunix_socket_directories = '{}'\n",
                cluster.port,
                cluster.socket_dir.to_string_lossy()
            );
            fs::write(cluster.data.join("place.conf"), place).expect("place.conf");
            cluster.pg_ctl(&["start"]).output().expect("pg_ctl").status.success()
        });
        assert!(started, "the server does not start:\n{}", cluster.log());
        cluster
    }

    /// Replaces pg_hba.conf; [`Cluster::reload`] makes it hold.
    pub fn hba(&self, lines: &str) {
        let text = format!("local all {HELM} trust\nlocal replication {HELM} trust\n{lines}\n");
        self.write("pg_hba.conf", &text);
    }

    /// Replaces pg_ident.conf.
    pub fn ident(&self, lines: &str) {
        self.write("pg_ident.conf", lines);
    }

    /// Replaces the test's own part of postgresql.conf; [`Cluster::reload`] or [`Cluster::restart`] makes it hold.
    pub fn conf(&self, lines: &str) {
        self.write("test.conf", lines);
    }

    /// Writes a file into PGDATA as the server's account, private to it.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.data.join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        give(&path);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    }

    /// Runs statements as the superuser `helm` in the database postgres; gives the values, a row a line, columns
    /// parted by `|`.
    pub fn psql(&self, sql: &str) -> String {
        self.psql_in("postgres", sql)
    }

    /// The same in another database.
    pub fn psql_in(&self, database: &str, sql: &str) -> String {
        run(&mut self.psql_command(database, sql)).trim_end().to_owned()
    }

    /// Whether the statements succeed, with what psql wrote.
    pub fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = self.psql_command(database, sql).output().expect("psql");
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn psql_command(&self, database: &str, sql: &str) -> Command {
        let mut psql = command(program("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", HELM, "-d", database]);
        psql.arg("-h").arg(&self.socket_dir).args(["-p", &self.port.to_string(), "-c", sql]);
        psql
    }

    /// Reloads the configuration and waits until the server has read it.
    pub fn reload(&self) {
        let loaded = || self.psql("SELECT pg_conf_load_time()");
        let before = loaded();
        run(&mut self.pg_ctl(&["reload"]));
        wait("the configuration is loaded", || loaded() != before);
    }

    pub fn restart(&self) {
        run(&mut self.pg_ctl(&["restart", "-m", "fast"]));
    }

    pub fn start(&self) {
        let output = self.pg_ctl(&["start"]).output().expect("pg_ctl");
        assert!(output.status.success(), "the server does not start:\n{}", self.log());
    }

    /// Stops it; clients are thrown out.
    pub fn stop(&self) {
        run(&mut self.pg_ctl(&["stop", "-m", "fast"]));
    }

    /// Process id of the postmaster.
    pub fn pid(&self) -> u32 {
        let text = fs::read_to_string(self.data.join("postmaster.pid")).expect("postmaster.pid: is it running?");
        text.lines().next().and_then(|line| line.parse().ok()).expect("a process id")
    }

    /// Freezes every process of the server: connections stay, nothing answers.
    pub fn sigstop(&self) {
        let postmaster = self.pid().to_string();
        let mut pids = vec![postmaster.clone()];
        let children = Command::new("pgrep").args(["-P", &postmaster]).output().expect("pgrep").stdout;
        pids.extend(String::from_utf8_lossy(&children).lines().map(str::to_owned));
        run(Command::new("kill").arg("-STOP").args(&pids));
        *self.stopped.lock().expect("no test panics here") = pids;
    }

    /// Lets them go on.
    pub fn sigcont(&self) {
        let pids = std::mem::take(&mut *self.stopped.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        if !pids.is_empty() {
            // one of them may have ended
            Command::new("kill").arg("-CONT").args(&pids).output().expect("kill");
        }
    }

    /// What the server has logged, since the cluster was made.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// A URL by the Unix socket.
    pub fn socket_url(&self, user: &str, database: &str) -> String {
        format!("postgresql://{user}@/{database}?host={}&port={}", self.socket_dir.display(), self.port)
    }

    /// A URL by TCP on 127.0.0.1.
    pub fn tcp_url(&self, user: &str, database: &str) -> String {
        format!("postgresql://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// A directory beside PGDATA for whatever else the test needs.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn pg_ctl(&self, action: &[&str]) -> Command {
        let mut pg_ctl = command(program("pg_ctl"));
        pg_ctl.args(action).args(["-w", "-t", "60", "-s", "-D"]).arg(&self.data);
        if action[0] == "start" || action[0] == "restart" {
            // a server that inherited our pipes would keep whoever reads them waiting
            pg_ctl.arg("-l").arg(self.dir.path().join("log"));
        }
        pg_ctl
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.sigcont();
        // it may be stopped already
        let _ = self.pg_ctl(&["stop", "-m", "immediate"]).output();
    }
}

/// Waits for something that the server does in its own time; panics after ten seconds.
pub fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A data directory fresh from initdb, kept between runs: copying it takes a tenth of initdb's time.
fn template() -> PathBuf {
    let version = run(command(program("postgres")).arg("--version"));
    let version: String = version.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    let uid = super::system::account().map_or(rustix::process::geteuid().as_raw(), |account| account.uid);
    let place = std::env::temp_dir().join(format!("mod_dbtest-template2-{version}-{uid}"));
    if !place.is_dir() {
        let dir = directory("pgt");
        let data = dir.path().join("data");
        let initdb = ["-A", "trust", "-U", HELM, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"];
        run(command(program("initdb")).args(initdb).arg(&data));
        let conf = data.join("postgresql.conf");
        let mut text = fs::read_to_string(&conf).expect("postgresql.conf");
        text.push_str(CONF);
        fs::write(&conf, text).expect("postgresql.conf");
        // loses against another test program that was quicker, which is as good
        let _ = fs::rename(&data, &place);
    }
    place
}

/// Small. fsync stays on: the check warns of a server that would not survive a crash.
const CONF: &str = "
shared_buffers = 16MB
max_wal_senders = 4
wal_keep_size = 16MB
dynamic_shared_memory_type = posix
listen_addresses = '127.0.0.1'
log_destination = stderr
logging_collector = off
include = 'place.conf'
include = 'test.conf'
";
