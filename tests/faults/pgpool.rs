//! Faults of pgpool-II before PostgreSQL. It names itself by the fields of its errors.

use std::process::{Child, Command, Stdio};

use super::ground::{Case, Ground};
use super::site::sh;

/// A pgpool that is ended with the value.
struct PgPool(Child);

impl Drop for PgPool {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

thread_local! {
    static RUNNING: std::cell::RefCell<Option<PgPool>> = const { std::cell::RefCell::new(None) };
}

/// Starts it on port 9999 with one line of pool_passwd and further lines of pgpool.conf.
fn start(ground: &Ground, case: &Case, passwd: &str, conf: &str) {
    let dir = ground.cluster.dir().join(format!("pgpool-{}", case.database()));
    let show = dir.display();
    sh(&format!("rm -rf {show}; install -d -o postgres {show}"));
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("a file of pgpool's");
    write(
        "pgpool.conf",
        &ground.fill(
            case,
            &format!(
                "backend_clustering_mode = 'raw'\nlisten_addresses = '127.0.0.1'\nport = 9999\nsocket_dir = '{show}'\n\
                 unix_socket_directories = '{show}'\npcp_listen_addresses = '127.0.0.1'\npcp_port = 9898\npcp_socket_dir = '{show}'\n\
                 backend_hostname0 = '127.0.0.1'\nbackend_port0 = {{port}}\nbackend_weight0 = 1\nnum_init_children = 4\n\
                 pid_file_name = '{show}/pgpool.pid'\nlogdir = '{show}'\npool_passwd = 'pool_passwd'\nhealth_check_period = 0\n{conf}\n"
            ),
        ),
    );
    write("pool_passwd", &ground.fill(case, passwd));
    write("pcp.conf", "");
    write("pool_hba.conf", "host all all 10.9.9.9/32 scram-sha-256\n");
    sh(&format!("chown -R postgres {show}; chmod 600 {show}/pool_passwd"));
    let files = [("-f", "pgpool.conf"), ("-F", "pcp.conf"), ("-a", "pool_hba.conf")];
    let arguments =
        files.iter().flat_map(|(option, name)| [(*option).to_owned(), dir.join(name).display().to_string()]);
    let child = Command::new("setpriv")
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "pgpool", "-n", "-D"])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("pgpool");
    RUNNING.with(|running| *running.borrow_mut() = Some(PgPool(child)));
    crate::support::postgresql::wait("pgpool listens", || std::net::TcpStream::connect(("127.0.0.1", 9999)).is_ok());
}

/// A fault of a pgpool with this line of pool_passwd and these of pgpool.conf.
fn case(
    ids: &'static [&'static str],
    step: &'static str,
    id: &'static str,
    passwd: &'static str,
    conf: &'static str,
) -> Case {
    Case::new(ids, step, id)
        .url("postgresql://{role}:{password}@127.0.0.1:9999/{db}")
        .cold()
        .make(move |ground, case| start(ground, case, passwd, conf))
        .undo(|_, _| RUNNING.with(|running| drop(running.borrow_mut().take())))
        .not_cured("pgpool's files are not where its packages put them")
}

#[test]
fn pgpool() {
    if Command::new("pgpool").arg("--version").output().is_err() {
        eprintln!("left out: pgpool is not installed here");
        return;
    }
    Ground::new("").run(vec![
        case(&["PGP-01"], "admitted", "DBT0830", "", ""),
        case(&["PGP-02"], "authenticated", "DBT0831", "{role}:TEXTanother", ""),
        case(&["PGP-03"], "admitted", "DBT0832", "{role}:TEXT{password}", "enable_pool_hba = on"),
    ]);
}
