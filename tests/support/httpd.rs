//! A private httpd: its own ServerRoot, a port that the kernel picks, the module under test. It ends with the value,
//! even by a panic, and fails the test if its error log holds anything that the test did not declare.

use std::cell::{Cell, RefCell};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tempfile::TempDir;

use super::client::{self, Reply};
use super::log;
use super::module::{installation, module, server_account};

/// httpd's multi-processing modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mpm {
    Prefork,
    Worker,
    Event,
}

impl Mpm {
    pub fn name(self) -> &'static str {
        match self {
            Mpm::Prefork => "prefork",
            Mpm::Worker => "worker",
            Mpm::Event => "event",
        }
    }

    pub fn is_threaded(self) -> bool {
        self != Mpm::Prefork
    }

    /// Few processes, as few threads as show what many do.
    fn conf(self) -> &'static str {
        match self {
            Mpm::Prefork => "StartServers 2\nMinSpareServers 1\nMaxSpareServers 4\nMaxRequestWorkers 8\n",
            _ => {
                "StartServers 1\nServerLimit 4\nThreadsPerChild 8\nMaxRequestWorkers 32\nMinSpareThreads 1\nMaxSpareThreads 32\n"
            }
        }
    }
}

/// A server that is being described.
pub struct Builder {
    mpm: Mpm,
    mpm_conf: String,
    modules: Vec<String>,
    conf: String,
    log_level: String,
    library: Option<PathBuf>,
    wrapper: Vec<String>,
}

impl Builder {
    /// Another build of the module.
    pub fn library(mut self, path: &Path) -> Self {
        self.library = Some(path.to_owned());
        self
    }

    /// Starts httpd by this command, which must end by executing its arguments: `unshare -m` gives it mounts of its own.
    pub fn under(mut self, command: &[&str]) -> Self {
        self.wrapper = command.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Lines for the main server.
    pub fn conf(mut self, lines: &str) -> Self {
        self.conf.push_str(lines);
        self.conf.push('\n');
        self
    }

    /// A Location with our handler, open to this machine, and these directives.
    pub fn location(self, path: &str, directives: &str) -> Self {
        self.conf(&format!("<Location \"{path}\">\nSetHandler dbtest\nRequire local\n{directives}\n</Location>"))
    }

    /// One more of httpd's modules, e.g. "http2".
    pub fn module(mut self, name: &str) -> Self {
        self.modules.push(name.to_owned());
        self
    }

    /// Replaces the sizes of the MPM.
    pub fn mpm_conf(mut self, lines: &str) -> Self {
        self.mpm_conf = format!("{lines}\n");
        self
    }

    /// "info" without this.
    pub fn log_level(mut self, level: &str) -> Self {
        self.log_level = level.to_owned();
        self
    }

    /// Starts it and waits until it listens.
    #[track_caller]
    pub fn start(self) -> Httpd {
        let root = Root::new();
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
            root.write_conf(&self, port);
            let mut process =
                root.command(&self.wrapper, &["-D", "FOREGROUND"]).process_group(0).spawn().expect("httpd");
            if root.await_start(&mut process, port) {
                return Httpd {
                    root,
                    mpm: self.mpm,
                    port,
                    process: RefCell::new(process),
                    expected: RefCell::default(),
                    allowed: RefCell::default(),
                    finished: Cell::new(false),
                };
            }
            assert!(root.log().contains("AH00072"), "httpd does not start:\n{}", root.log());
            let _ = fs::remove_file(root.path().join("error.log"));
        }
        panic!("five ports that the kernel picked were taken by others");
    }
}

/// A ServerRoot.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("httpd").tempdir_in("/tmp").expect("a directory in /tmp");
        // the server's own user must get in
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        fs::create_dir(dir.path().join("htdocs")).expect("htdocs");
        fs::write(dir.path().join("htdocs/index.html"), "a static file\n").expect("index.html");
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write_conf(&self, builder: &Builder, port: u16) {
        let root = self.path().display();
        let mut conf = format!(
            "ServerRoot \"{root}\"\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile \"{root}/httpd.pid\"\n\
             DefaultRuntimeDir \"{root}\"\nErrorLog \"{root}/error.log\"\nLogLevel {}\nGracefulShutdownTimeout 2\n",
            builder.log_level
        );
        let mpm = format!("mpm_{}", builder.mpm.name());
        let base = [&mpm, "authz_core", "authz_host", "unixd"];
        for name in base.into_iter().chain(builder.modules.iter().map(String::as_str)) {
            let file = installation().modules.join(format!("mod_{name}.so"));
            // what is built into this httpd has no file
            if file.is_file() {
                conf.push_str(&format!("LoadModule {name}_module \"{}\"\n", file.display()));
            }
        }
        let library = builder.library.as_deref().unwrap_or_else(|| module());
        conf.push_str(&format!("LoadModule dbtest_module \"{}\"\n{}", library.display(), builder.mpm_conf));
        if let Some(account) = server_account() {
            conf.push_str(&format!("User {0}\nGroup #{1}\n", account.user, account.gid));
        }
        conf.push_str(&format!("DocumentRoot \"{root}/htdocs\"\nDBTestStateDir \"{root}/state\"\n"));
        // a test that is about what strangers hear says brief in its Location
        if builder.conf.contains("SetHandler dbtest") {
            conf.push_str("<Location \"/\">\nDBTestDetail full\n</Location>\n");
        }
        // below, so that `${ROOT}` is known there
        conf.push_str(&format!("Define ROOT \"{root}\"\nDefine PORT {port}\n{}", builder.conf));
        fs::write(self.path().join("httpd.conf"), conf).expect("httpd.conf");
    }

    fn command(&self, wrapper: &[String], arguments: &[&str]) -> Command {
        let output = fs::OpenOptions::new().create(true).append(true).open(self.path().join("output")).expect("output");
        let httpd = &installation().httpd;
        let mut command = match wrapper {
            [] => Command::new(httpd),
            [program, rest @ ..] => {
                let mut command = Command::new(program);
                command.args(rest).arg(httpd);
                command
            }
        };
        command.arg("-f").arg(self.path().join("httpd.conf")).args(arguments);
        command.stdin(Stdio::null()).stdout(output.try_clone().expect("output")).stderr(output);
        command
    }

    /// False if it ended instead.
    fn await_start(&self, process: &mut Child, port: u16) -> bool {
        let start = Instant::now();
        loop {
            if process.try_wait().expect("wait").is_some() {
                return false;
            }
            // its own pid file first: somebody else could have taken the port
            if self.path().join("httpd.pid").exists() && TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return true;
            }
            if start.elapsed() > Duration::from_secs(20) {
                let _ = process.kill();
                panic!("httpd has not begun to listen for 20 seconds:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it wrote before it had a log, and the log.
    fn log(&self) -> String {
        ["output", "error.log"]
            .iter()
            .map(|name| String::from_utf8_lossy(&fs::read(self.path().join(name)).unwrap_or_default()).into_owned())
            .collect()
    }
}

/// A running server.
pub struct Httpd {
    root: Root,
    pub mpm: Mpm,
    pub port: u16,
    process: RefCell<Child>,
    expected: RefCell<Vec<String>>,
    allowed: RefCell<Vec<String>>,
    finished: Cell<bool>,
}

impl Httpd {
    pub fn builder(mpm: Mpm) -> Builder {
        Builder {
            mpm,
            mpm_conf: mpm.conf().to_owned(),
            modules: Vec::new(),
            conf: String::new(),
            log_level: "info".to_owned(),
            library: None,
            wrapper: Vec::new(),
        }
    }

    /// Its ServerRoot; in configuration, `${ROOT}`.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The process that children are forked from.
    pub fn pid(&self) -> u32 {
        self.process.borrow().id()
    }

    /// The processes that serve, lowest id first.
    pub fn children(&self) -> Vec<u32> {
        let output = Command::new("pgrep").args(["-P", &self.pid().to_string()]).output().expect("pgrep").stdout;
        String::from_utf8_lossy(&output).lines().filter_map(|line| line.parse().ok()).collect()
    }

    // --- asking ---

    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &[], b"")
    }

    #[track_caller]
    pub fn get_json(&self, path: &str) -> Reply {
        self.request("GET", path, &[("Accept", "application/json")], b"")
    }

    /// Posts a form as a browser does.
    #[track_caller]
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body = client::form(fields);
        self.request("POST", path, &[("Content-Type", "application/x-www-form-urlencoded")], body.as_bytes())
    }

    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut reply = self.exchange(&client::message(method, path, headers, body), method == "HEAD");
        for (_, value) in reply.headers.iter_mut().filter(|(name, _)| name == "location") {
            *value = client::resolved(path, value);
        }
        reply
    }

    /// Sends these very bytes, and reads the answer.
    #[track_caller]
    pub fn raw(&self, bytes: &[u8]) -> Reply {
        self.exchange(bytes, false)
    }

    /// `None` if no whole answer came within 30 seconds.
    pub fn try_get(&self, path: &str) -> Option<Reply> {
        let bytes = client::message("GET", path, &[], b"");
        client::exchange(self.port, &bytes, Duration::from_secs(30)).ok().and_then(|bytes| client::parse(&bytes, false))
    }

    #[track_caller]
    fn exchange(&self, bytes: &[u8], head_only: bool) -> Reply {
        let answer = client::exchange(self.port, bytes, Duration::from_secs(30));
        let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        client::parse(&answer, head_only)
            .unwrap_or_else(|| panic!("no whole answer: {:?}\n{}", String::from_utf8_lossy(&answer), self.log()))
    }

    // --- its life ---

    /// A graceful restart; returns when the new generation has been started.
    pub fn graceful(&self) {
        self.resume("the graceful restart", Signal::USR1);
    }

    /// A restart that ends every child; returns when the new ones serve.
    pub fn restart(&self) {
        self.resume("the restart", Signal::HUP);
    }

    /// Signals until httpd says that it goes on: a signal that comes while it still begins its last generation is lost
    /// (prefork.c clears `restart_pending` after its handlers are set).
    fn resume(&self, what: &str, signal: Signal) {
        let resumed = |log: &str| log.matches("resuming normal operations").count();
        let before = resumed(&self.log());
        let mut sent: Option<Instant> = None;
        self.wait(what, |httpd| {
            if sent.is_none_or(|at| at.elapsed() > Duration::from_secs(4)) {
                httpd.signal(signal);
                sent = Some(Instant::now());
            }
            resumed(&httpd.log()) > before
        });
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(pid(self.pid()), signal).expect("kill");
    }

    /// Waits for something that the server does in its own time; panics after twenty seconds.
    #[track_caller]
    pub fn wait(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < Duration::from_secs(20), "in vain: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Rewrites the configuration file; a [`graceful`](Self::graceful) makes it hold.
    pub fn edit_conf(&self, change: impl FnOnce(String) -> String) {
        let path = self.root().join("httpd.conf");
        fs::write(&path, change(fs::read_to_string(&path).expect("httpd.conf"))).expect("httpd.conf");
    }

    /// Runs the same httpd with the same configuration once more, e.g. with `-t`.
    pub fn command(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(Command::new(&installation().httpd).arg("-f").arg(self.root().join("httpd.conf")).args(arguments))
    }

    // --- its log ---

    pub fn log(&self) -> String {
        self.root.log()
    }

    /// A line of level warn or worse that holds this text is right, and must be there in the end.
    pub fn expect_log(&self, text: &str) {
        self.expected.borrow_mut().push(text.to_owned());
    }

    /// A line of level warn or worse that holds this text may be there.
    pub fn allow_log(&self, text: &str) {
        self.allowed.borrow_mut().push(text.to_owned());
    }

    /// Stops it and judges its log. Happens by itself when the value goes.
    #[track_caller]
    pub fn finish(self) {
        self.end();
        self.judge();
    }

    fn end(&self) {
        self.finished.set(true);
        let group = pid(self.pid());
        // Graceful first: event of httpd 2.4.71 may crash at SIGTERM while it serves. Prefork may not, and takes a second
        // less. The rest is for what hangs.
        let first = if self.mpm.is_threaded() { Signal::WINCH } else { Signal::TERM };
        for (signal, within) in [(first, 6), (Signal::TERM, 4)] {
            let _ = kill_process(group, signal);
            if self.is_gone_within(Duration::from_secs(within)) {
                break;
            }
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.process.borrow_mut().wait();
    }

    fn is_gone_within(&self, within: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < within {
            if !matches!(self.process.borrow_mut().try_wait(), Ok(None))
                && test_kill_process_group(pid(self.pid())).is_err()
            {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    #[track_caller]
    fn judge(&self) {
        let (expected, allowed) = (self.expected.borrow(), self.allowed.borrow());
        let declared: Vec<String> = expected.iter().chain(allowed.iter()).cloned().collect();
        let surprises = log::surprises(&self.root().join("error.log"), &declared);
        assert!(surprises.is_empty(), "lines in the error log that the test did not expect:\n{}", surprises.join("\n"));
        let log = self.log();
        for text in expected.iter() {
            assert!(log.contains(text.as_str()), "not in the error log: {text}\n{log}");
        }
    }
}

impl Drop for Httpd {
    fn drop(&mut self) {
        if self.finished.get() {
            return;
        }
        self.end();
        if std::thread::panicking() {
            eprintln!("the error log of the server:\n{}", self.log());
        } else {
            self.judge();
        }
    }
}

fn pid(id: u32) -> Pid {
    i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id")
}

/// What a run of httpd that ends by itself gave.
#[derive(Debug)]
pub struct Outcome {
    pub success: bool,
    pub code: Option<i32>,
    /// Both streams.
    pub output: String,
}

impl Outcome {
    fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().expect("httpd");
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Self { success: output.status.success(), code: output.status.code(), output: text }
    }
}

/// A configuration that is only checked.
pub struct Checked {
    root: Root,
    outcome: Outcome,
}

impl Checked {
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }
}

/// Runs `httpd -t` on a server with these lines (where `${ROOT}` is a directory that lasts as long as the value),
/// and these `-D` words.
pub fn configtest(lines: &str, defines: &[&str]) -> Checked {
    configtest_of(Httpd::builder(Mpm::Event).conf(lines), defines)
}

/// The same for a server that is already described.
pub fn configtest_of(builder: Builder, defines: &[&str]) -> Checked {
    let root = Root::new();
    // nobody listens during a check
    root.write_conf(&builder, 1);
    let mut command = Command::new(&installation().httpd);
    command.arg("-t").arg("-f").arg(root.path().join("httpd.conf"));
    for word in defines {
        command.args(["-D", word]);
    }
    let outcome = Outcome::of(&mut command);
    Checked { root, outcome }
}
