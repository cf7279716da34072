//! The module under test, and the httpd that loads it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The debug build of the module: built if need be, once, and copied by rename to a place where no later build
/// changes it under a running server.
pub fn module() -> &'static Path {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    MODULE.get_or_init(|| {
        // target/debug/deps/suite-0123456789abcdef
        let test = std::env::current_exe().expect("the path of this test");
        let profile = test.ancestors().nth(2).expect("target/debug");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--lib", "--manifest-path"]).arg(format!("{ROOT}/Cargo.toml"));
        cargo.arg("--target-dir").arg(profile.parent().expect("target"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo").success(), "the module does not build");
        let place = profile.join("suite");
        std::fs::create_dir_all(&place).expect("target/debug/suite");
        let fresh = place.join(format!("mod_dbtest.so.{}", std::process::id()));
        std::fs::copy(profile.join(BUILT), &fresh).expect(BUILT);
        let module = place.join("mod_dbtest.so");
        std::fs::rename(&fresh, &module).expect("rename");
        module
    })
}

/// The checkout.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[cfg(not(target_os = "macos"))]
const BUILT: &str = "libmod_dbtest.so";
#[cfg(target_os = "macos")]
const BUILT: &str = "libmod_dbtest.dylib";

/// Where httpd and its modules are, as its own apxs says.
pub struct Installation {
    pub httpd: PathBuf,
    pub modules: PathBuf,
}

pub fn installation() -> &'static Installation {
    static INSTALLATION: OnceLock<Installation> = OnceLock::new();
    INSTALLATION.get_or_init(|| {
        let ask = |what: &str| {
            let apxs = std::env::var("APXS").unwrap_or_else(|_| "apxs".into());
            let output = Command::new(apxs).args(["-q", what]).output().expect("apxs: install httpd's headers");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let directory = PathBuf::from(ask("SBINDIR"));
        let httpd = [ask("PROGNAME"), "httpd".into(), "apache2".into()]
            .iter()
            .filter(|name| !name.is_empty())
            .map(|name| directory.join(name))
            .find(|path| path.is_file())
            .expect("httpd beside apxs");
        Installation { httpd, modules: ask("LIBEXECDIR").into() }
    })
}

/// The account that httpd serves as: `None` when we are not root and it simply runs as ourselves.
pub fn server_account() -> Option<Account> {
    static ACCOUNT: OnceLock<Option<Account>> = OnceLock::new();
    ACCOUNT
        .get_or_init(|| {
            if !rustix::process::geteuid().is_root() {
                return None;
            }
            let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
            ["www-data", "apache", "_www", "daemon"].iter().find_map(|name| Account::find(&passwd, name))
        })
        .clone()
}

#[derive(Debug, Clone)]
pub struct Account {
    pub user: String,
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    fn find(passwd: &str, name: &str) -> Option<Self> {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(str::parse);
        Some(Self { user: name.to_owned(), uid: ids.next()?.ok()?, gid: ids.next()?.ok()? })
    }
}
