//! Running PostgreSQL's programs, which refuse to be root, from tests that are root in CI and an ordinary user elsewhere.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// The account that runs servers: `postgres` when we are root, else we ourselves.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}

/// `None` when we are not root and everything simply runs as ourselves.
pub fn account() -> Option<Account> {
    static ACCOUNT: OnceLock<Option<Account>> = OnceLock::new();
    *ACCOUNT.get_or_init(|| {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        let line =
            passwd.lines().find(|line| line.starts_with("postgres:")).expect("no user postgres: install a server");
        let mut fields = line.split(':').skip(2).map(|field| field.parse().expect("a number in /etc/passwd"));
        Some(Account { uid: fields.next()?, gid: fields.next()? })
    })
}

/// A command that runs as the servers' account.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if let Some(account) = account() {
        command.uid(account.uid).gid(account.gid);
    }
    command.env_remove("PGHOST").env_remove("PGUSER").env_remove("PGPASSWORD").env("LC_ALL", "C").current_dir("/");
    command
}

/// Hands a file or directory to the servers' account.
pub fn give(path: &Path) {
    if let Some(account) = account() {
        std::os::unix::fs::chown(path, Some(account.uid), Some(account.gid)).expect("chown as root");
    }
}

/// A directory for a server, removed with the value. Short: the path of a Unix socket has 107 bytes at most.
pub fn directory(prefix: &str) -> TempDir {
    let dir = tempfile::Builder::new().prefix(prefix).tempdir_in("/tmp").expect("a directory in /tmp");
    give(dir.path());
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    dir
}

/// A port that nobody listens on. Somebody may take it before the server does: then start again with another.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// The path of one of PostgreSQL's programs, newest version first.
pub fn program(name: &str) -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for root in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"] {
        for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
            let digits: String = entry.file_name().to_string_lossy().chars().filter(char::is_ascii_digit).collect();
            let path = entry.path().join("bin").join(name);
            if path.is_file() {
                found.push((digits.parse().unwrap_or(0), path));
            }
        }
    }
    found.sort();
    // elsewhere (Fedora, RHEL) they are in PATH
    found.pop().map_or_else(|| name.into(), |(_, path)| path)
}

/// Runs to the end and gives what it wrote, or panics with all of it.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
