//! A private PgBouncer in front of a private cluster.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::cluster::{Cluster, wait};
use super::system::{command, directory, free_port, give};

/// A running pooler.
pub struct PgBouncer {
    dir: TempDir,
    process: Child,
    pub port: u16,
    pub socket_dir: PathBuf,
}

impl PgBouncer {
    /// A pooler that hands every database to `cluster` by its socket. `users` is the user list, `"user" "secret"` a
    /// line; `conf` more lines for the section `[pgbouncer]`, e.g. `pool_mode = transaction`.
    pub fn new(cluster: &Cluster, users: &str, conf: &str) -> Self {
        let dir = directory("pgb");
        let port = free_port();
        let socket_dir = dir.path().to_owned();
        let file = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).expect(name);
            give(&dir.path().join(name));
        };
        file("users.txt", users);
        let ini = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir = {}\nauth_type = trust\nauth_file = {}/users.txt\nlogfile = {}/log\n{conf}\n",
            cluster.socket_dir.display(),
            cluster.port,
            socket_dir.display(),
            dir.path().display(),
            dir.path().display(),
        );
        file("pgbouncer.ini", &ini);
        let process = Self::spawn(&dir);
        let pooler = Self { dir, process, port, socket_dir };
        pooler.wait();
        pooler
    }

    fn spawn(dir: &TempDir) -> Child {
        let mut pgbouncer = command("pgbouncer");
        pgbouncer.args(["-q"]).arg(dir.path().join("pgbouncer.ini")).stdout(Stdio::null()).stderr(Stdio::null());
        pgbouncer.spawn().expect("pgbouncer")
    }

    fn wait(&self) {
        wait("pgbouncer listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Starts it anew: a reload keeps what it knows of databases.
    pub fn restart(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.process = Self::spawn(&self.dir);
        self.wait();
    }

    /// Replaces a file beside its configuration (`pgbouncer.ini`, `users.txt`) and reloads.
    pub fn rewrite(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.dir.path().join(name);
        let text = std::fs::read_to_string(&path).expect(name);
        std::fs::write(&path, change(text)).expect(name);
        Command::new("kill").args(["-HUP", &self.process.id().to_string()]).output().expect("kill");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// A URL by TCP.
    pub fn tcp_url(&self, user: &str, database: &str) -> String {
        format!("postgresql://{user}@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
