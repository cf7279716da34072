//! Binds the module to the httpd installed here: its headers by bindgen, what only C can say by the shim.
//! Everything about that httpd is asked of its `apxs` (another one: environment variable APXS).

use std::env;
use std::path::PathBuf;
use std::process::{Command, exit};

fn main() {
    println!("cargo:rerun-if-env-changed=APXS");
    for file in ["src/httpd/shim.c", "src/httpd/shim.h"] {
        println!("cargo:rerun-if-changed={file}");
    }
    let apxs = Apxs::find();
    let includes = apxs.includes();
    refuse_old_headers(&includes);

    let mut shim = cc::Build::new();
    shim.file("src/httpd/shim.c").includes(&includes).warnings(true).extra_warnings(false);
    for (name, value) in apxs.defines() {
        shim.define(&name, value.as_deref());
    }
    shim.compile("dbtest_shim");

    bind(&includes, &apxs);

    println!("cargo:rustc-env=DBTEST_STATE_DIR={}", apxs.state_dir());
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("macos") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-undefined,dynamic_lookup");
    } else {
        // httpd unloads and reloads its modules at start and at each graceful restart; Rust's std does not
        // expect to be unloaded (rust-lang/rust#59629, #91979). This makes it stay, whatever a dependency does.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}

fn bind(includes: &[PathBuf], apxs: &Apxs) {
    let mut builder = bindgen::Builder::default()
        .header("src/httpd/shim.h")
        .clang_args(includes.iter().map(|dir| format!("-I{}", dir.display())))
        .clang_args(apxs.defines().iter().map(|(name, value)| match value {
            Some(value) => format!("-D{name}={value}"),
            None => format!("-D{name}"),
        }))
        .use_core()
        .derive_debug(false)
        .layout_tests(false)
        .generate_comments(false)
        .default_macro_constant_type(bindgen::MacroTypeVariation::Signed);
    for function in [
        "ap_add_version_component",
        "ap_destroy_sub_req",
        "ap_exists_config_define",
        "ap_expr_exec",
        "ap_expr_parse_cmd_mi",
        "ap_get_core_module_config",
        "ap_get_module_config",
        "ap_hook_check_config",
        "ap_hook_child_init",
        "ap_hook_handler",
        "ap_hook_post_config",
        "ap_hook_test_config",
        "ap_is_initial_req",
        "ap_mpm_query",
        "ap_run_generate_log_id",
        "ap_rwrite",
        "ap_rflush",
        "ap_set_content_type",
        "ap_set_content_length",
        "ap_state_query",
        "ap_sub_req_lookup_uri",
        "apr_palloc",
        "apr_pool_cleanup_null",
        "apr_pool_cleanup_register",
        "apr_pstrmemdup",
        "apr_table_addn",
        "apr_table_get",
        "apr_table_setn",
        "dbtest_.*",
    ] {
        builder = builder.allowlist_function(function);
    }
    for kind in [
        "ap_directive_t",
        "ap_conn_keepalive_e",
        "cmd_parms",
        "command_rec",
        "core_dir_config",
        "core_server_config",
        "module",
        "process_rec",
        "request_rec",
        "scoreboard",
        "server_rec",
        "unixd_config_rec",
    ] {
        builder = builder.allowlist_type(kind);
    }
    for constant in [
        "ACCESS_CONF",
        "AP_EXPR_FLAG_DONT_VARY",
        "AP_MPMQ_HARD_LIMIT_DAEMONS",
        "AP_MPMQ_MAX_DAEMONS",
        "AP_MPMQ_MAX_THREADS",
        "AP_MPMQ_MPM_STATE",
        "AP_MPMQ_STOPPING",
        "AP_SQ_MAIN_STATE",
        "AP_STATUS_SHORT",
        "AP_SQ_MS_.*",
        "AP_SQ_RM_.*",
        "AP_SQ_RUN_MODE",
        "APLOG_.*",
        "APR_HOOK_.*",
        "DECLINED",
        "DONE",
        "HTTP_INTERNAL_SERVER_ERROR",
        "HTTP_REQUEST_ENTITY_TOO_LARGE",
        "HTTP_OK",
        "MODULE_MAGIC_.*",
        "M_OPTIONS",
        "OK",
        "RSRC_CONF",
        "SERVER_BUSY_READ",
        "SERVER_CLOSING",
        "SERVER_DEAD",
        "SERVER_GRACEFUL",
        "SERVER_READY",
        "ap_conftree",
        "ap_scoreboard_image",
        "ap_server_conf",
        "ap_server_config_defines",
        "ap_server_root",
        "ap_unixd_config",
        "core_module",
    ] {
        builder = builder.allowlist_var(constant);
    }
    let bindings = match builder.generate() {
        Ok(bindings) => bindings,
        Err(error) => fail(&format!(
            "bindgen cannot read httpd's headers: {error}. It needs libclang: install libclang-dev (Debian, Ubuntu), \
             clang-devel (RHEL, Fedora), or llvm (Homebrew)."
        )),
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("bindings.rs");
    bindings.write_to_file(out).expect("OUT_DIR is writable");
}

/// RHEL 8 has httpd 2.4.37, whose magic number this is (ap_mmn.h). Asked before anything is compiled, so that the
/// sentence does not drown in a compiler's messages.
const OLDEST: (u32, u32) = (20120211, 83);

fn refuse_old_headers(includes: &[PathBuf]) {
    let Some(text) = includes.iter().find_map(|dir| std::fs::read_to_string(dir.join("ap_mmn.h")).ok()) else {
        fail("httpd's headers are not where its apxs says (ap_mmn.h is missing): install its development package.")
    };
    let number = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("#define {name}")))?;
        line.split_whitespace().nth(2)?.parse::<u32>().ok()
    };
    let found = (number("MODULE_MAGIC_NUMBER_MAJOR"), number("MODULE_MAGIC_NUMBER_MINOR"));
    if let (Some(major), Some(minor)) = found
        && (major, minor) < OLDEST
    {
        fail("mod_dbtest needs httpd 2.4.37 or later; the headers here are of an older one.");
    }
}

/// The `apxs` of the httpd to build for.
struct Apxs(String);

impl Apxs {
    fn find() -> Self {
        let named = env::var("APXS").ok();
        let candidates = match &named {
            Some(name) => vec![name.as_str()],
            None => vec!["apxs", "apxs2", "/usr/sbin/apxs", "/usr/bin/apxs", "/opt/homebrew/bin/apxs"],
        };
        for candidate in candidates {
            if Command::new(candidate).args(["-q", "INCLUDEDIR"]).output().is_ok_and(|run| run.status.success()) {
                return Self(candidate.to_owned());
            }
        }
        fail(
            "httpd's apxs is not here: install apache2-dev (Debian, Ubuntu), httpd-devel (RHEL, Fedora) or httpd \
             (Homebrew), or say where it is with APXS=/path/to/apxs.",
        )
    }

    fn query(&self, name: &str) -> String {
        match Command::new(&self.0).args(["-q", name]).output() {
            Ok(run) if run.status.success() => String::from_utf8_lossy(&run.stdout).trim().to_owned(),
            _ => String::new(),
        }
    }

    /// Where httpd's, APR's and APR-util's headers are.
    fn includes(&self) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> = ["INCLUDEDIR", "EXTRA_INCLUDES", "APR_INCLUDEDIR", "APU_INCLUDEDIR"]
            .iter()
            .flat_map(|name| split(&self.query(name)))
            .collect();
        dirs.extend(
            self.query("EXTRA_INCLUDES")
                .split_whitespace()
                .filter_map(|flag| flag.strip_prefix("-I"))
                .map(PathBuf::from),
        );
        dirs.retain(|dir| dir.is_dir());
        dirs.dedup();
        dirs
    }

    /// The preprocessor flags that httpd itself was built with, on which its structures depend.
    fn defines(&self) -> Vec<(String, Option<String>)> {
        [self.query("EXTRA_CPPFLAGS"), self.query("CFLAGS")]
            .iter()
            .flat_map(|flags| flags.split_whitespace())
            .filter_map(|flag| flag.strip_prefix("-D"))
            .filter(|define| !define.contains(['"', '(']) && !define.starts_with("_FORTIFY_SOURCE"))
            .map(|define| match define.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (define.to_owned(), None),
            })
            .collect()
    }

    /// Beside the state of this httpd's other programs: /var/lib/apache2/dbtest on Debian, /var/lib/httpd/dbtest on
    /// RHEL (where SELinux' policy lets httpd_t write: httpd_var_lib_t).
    fn state_dir(&self) -> String {
        // Debian says /var/lock/apache2, RHEL /var, Homebrew /opt/homebrew/var: up to "var" it is the same thing
        let local = self.query("localstatedir");
        let var = match local.find("/var") {
            Some(at) => &local[..at + "/var".len()],
            None => "/var",
        };
        let program = match self.query("progname") {
            name if name.is_empty() => "httpd".to_owned(),
            name => name,
        };
        format!("{var}/lib/{program}/dbtest")
    }
}

fn split(text: &str) -> Vec<PathBuf> {
    text.split_whitespace().filter(|word| !word.starts_with('-')).map(PathBuf::from).collect()
}

fn fail(message: &str) -> ! {
    println!("cargo:warning={message}");
    eprintln!("\n{message}\n");
    exit(1)
}
