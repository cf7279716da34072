//! Faults of PgBouncer, and of the server behind it.

use super::ground::{Case, Ground, PASSWORD};
use crate::support::postgresql::{PgBouncer, Pki};

/// A pooler whose user list is that of the cases, and to which they connect.
fn ground(conf: &str, users: usize) -> Ground {
    let mut ground = Ground::new("");
    let mut list: String = (0..users).map(|number| format!("\"web{number}\" \"{PASSWORD}\"\n")).collect();
    list.push_str(&format!("\"pgbouncer\" \"{PASSWORD}\"\n"));
    let conf = format!("query_wait_timeout = 1\nserver_login_retry = 1\nadmin_users = pgbouncer\n{conf}");
    let pooler = PgBouncer::new(&ground.cluster, &list, &conf);
    ground.words.push(("{pooler}", pooler.port.to_string()));
    ground.words.push(("{pooler_dir}", pooler.socket_dir.display().to_string()));
    ground.pooler = Some(pooler);
    ground
}

fn case(ids: &'static [&'static str], step: &'static str, id: &'static str) -> Case {
    Case::new(ids, step, id).url("postgresql://{role}:{password}@127.0.0.1:{pooler}/{db}")
}

/// Changes a file of the pooler's, and puts it back afterwards.
fn file(case: Case, name: &'static str, change: impl Fn(String, &Ground, &Case) -> String + 'static) -> Case {
    let before: std::rc::Rc<std::cell::RefCell<String>> = std::rc::Rc::default();
    let kept = std::rc::Rc::clone(&before);
    case.make(move |ground, case| {
        let pooler = ground.pooler.as_ref().expect("a pooler");
        pooler.rewrite(name, |text| {
            before.borrow_mut().clone_from(&text);
            change(text, ground, case)
        });
    })
    .undo(move |ground, _| {
        ground.pooler.as_ref().expect("a pooler").rewrite(name, |_| kept.borrow().clone());
    })
}

#[test]
fn pgbouncer() {
    ground("auth_type = scram-sha-256\npool_mode = transaction", 20).run(vec![
        file(case(&["PGB-02"], "authenticated", "DBT0845"), "users.txt", |list, _, case| {
            list.replace(&format!("\"{}\" \"{PASSWORD}\"", case.role()), &format!("\"{}\" \"other\"", case.role()))
        })
        .maybe(),
        file(case(&["PGB-05"], "authenticated", "DBT0845"), "users.txt", |list, _, case| {
            list.replace(&format!("\"{}\" \"{PASSWORD}\"\n", case.role()), "")
        })
        .maybe(),
        case(&["PGB-03"], "authenticated", "DBT0850").cold().admin("ALTER ROLE {role} PASSWORD 'other'").maybe(),
        case(&["PGB-13"], "authenticated", "DBT0740")
            .hba("local all all reject\nhost all all 127.0.0.1/32 scram-sha-256")
            .make(|ground, case| {
                // by TCP, so that an address is seen
                let pooler = ground.pooler.as_ref().expect("a pooler");
                let port = ground.cluster.port;
                pooler.rewrite("pgbouncer.ini", |ini| {
                    ini.replace("* = host=", &format!("{} = host=127.0.0.1 port={port}\n* = host=", case.database()))
                });
                ground.cluster.hba("");
                ground.cluster.reload();
            })
            .undo(|ground, _| {
                let pooler = ground.pooler.as_ref().expect("a pooler");
                pooler.rewrite("pgbouncer.ini", |ini| {
                    ini.lines().filter(|line| !line.starts_with("site")).collect::<Vec<_>>().join("\n")
                });
            }),
        // what the server behind it says is not said of the pooler
        case(&["PGB-31"], "authenticated", "DBT1512").cold().admin("ALTER ROLE {role} CONNECTION LIMIT 0")
            .not_cured("which limit is right is for a person to say"),
        case(&["PGB-32"], "authenticated", "DBT0852").cold()
            .url("postgresql://{role}:{password}@127.0.0.1:{pooler}/elsewhere")
            .not_cured("whether it is created or the pooler's entry is wrong is for a person to say"),
        case(&["PGB-33"], "authenticated", "DBT0853").cold().admin("REVOKE CONNECT ON DATABASE {db} FROM PUBLIC"),
        case(&["PGB-09"], "authenticated", "DBT0848").cold()
            .make(|ground, _| ground.cluster.stop())
            .not_cured("the printed fix starts the system's own PostgreSQL"),
        case(&["PGB-10"], "tls", "DBT0619")
            .url("postgresql://{role}:{password}@127.0.0.1:{pooler}/{db}?sslmode=require"),
        file(case(&["PGB-11b"], "authenticated", "DBT0845"), "users.txt", |list, ground, case| {
            let role = case.role();
            let hash = ground.cluster.psql(&format!("SELECT 'md5' || md5('{PASSWORD}{role}')"));
            list.replace(&format!("\"{role}\" \"{PASSWORD}\""), &format!("\"{role}\" \"{hash}\""))
        })
        .maybe(),
        case(&["PGB-12"], "admitted", "DBT0846")
            .url("postgresql://{role}:{password}@127.0.0.1:{pooler}/{db}?options=-c%20geqo%3Doff"),
        case(&["PGB-15"], "authenticated", "DBT0848").cold()
            .make(|ground, case| console(ground, &format!("PAUSE {}", case.database())))
            .undo(|ground, case| console(ground, &format!("RESUME {}", case.database())))
            .not_cured("the printed fix logs in to the console as the pooler's own user, which only one with a running service has"),
        case(&["PGB-15b"], "authenticated", "DBT0843")
            .make(|ground, case| {
                // it learns of the database by the first login
                let _ = ground.check(case);
                console(ground, &format!("DISABLE {}", case.database()));
            })
            .undo(|ground, case| console(ground, &format!("ENABLE {}", case.database())))
            .not_cured("as PGB-15"),
        file(case(&["PGB-20"], "session", "DBT1210"), "pgbouncer.ini", |ini, _, _| {
            ini.replace("pool_mode = transaction", "pool_mode = statement")
        }),
        file(case(&["PGB-06"], "session", "DBT1510"), "pgbouncer.ini", |ini, _, _| {
            format!("{ini}\ndefault_pool_size = 1")
        })
        .make(|ground, case| {
            let pooler = ground.pooler.as_ref().expect("a pooler");
            let mut config = postgres::Config::new();
            config.host("127.0.0.1").port(pooler.port).user(&case.role()).password(PASSWORD).dbname(&case.database());
            let mut client = config.connect(postgres::NoTls).expect("the pooler");
            client.batch_execute("BEGIN; SELECT 1").expect("begin");
            HELD.with(|held| held.borrow_mut().push(client));
        })
        .undo(|_, _| HELD.with(|held| held.borrow_mut().clear())),
    ]);
}

/// A pooler that demands TLS, checks by MD5, and knows its databases by name.
#[test]
fn pgbouncer_with_tls_and_a_list_of_databases() {
    let pki = Pki::new("the pooler's authority");
    let certificate = pki.issue("localhost", &["localhost"]);
    let conf = format!(
        // PgBouncer wants authorities to start, and a system need not have a list of them
        "auth_type = md5\nclient_tls_sslmode = require\nclient_tls_cert_file = {}\nclient_tls_key_file = {}\n\
         client_tls_ca_file = {}",
        certificate.cert.display(),
        certificate.key.display(),
        pki.ca().display()
    );
    let mut ground = ground(&conf, 3);
    let place = format!("host={} port={}", ground.cluster.socket_dir.display(), ground.cluster.port);
    let pooler = ground.pooler.as_mut().expect("a pooler");
    pooler.rewrite("pgbouncer.ini", |ini| {
        let known = |line: &str| {
            if line.starts_with("* =") { format!("site0 = {place}\nsite1 = {place}") } else { line.to_owned() }
        };
        ini.lines().map(known).collect::<Vec<_>>().join("\n")
    });
    pooler.restart();
    ground.run(vec![
        case(&["PGB-17"], "admitted", "DBT0847")
            .url("postgresql://{role}:{password}@127.0.0.1:{pooler}/{db}?sslmode=disable"),
        file(case(&["PGB-11"], "authenticated", "DBT0844").cold(), "users.txt", |list, ground, case| {
            let role = case.role();
            let hash = ground.cluster.psql(&format!("SELECT 'md5' || md5('{PASSWORD}{role}')"));
            list.replace(&format!("\"{role}\" \"{PASSWORD}\""), &format!("\"{role}\" \"{hash}\""))
        }),
        case(&["PGB-04"], "authenticated", "DBT0840"),
    ]);
}

/// A command for the pooler's console, by its socket, as its administrator.
fn console(ground: &Ground, command: &str) {
    let pooler = ground.pooler.as_ref().expect("a pooler");
    let mut config = postgres::Config::new();
    config.host("127.0.0.1").port(pooler.port).user("pgbouncer").password(PASSWORD).dbname("pgbouncer");
    let mut client = config.connect(postgres::NoTls).expect("the console");
    client.simple_query(command).expect(command);
}

thread_local! {
    static HELD: std::cell::RefCell<Vec<postgres::Client>> = const { std::cell::RefCell::new(Vec::new()) };
}
