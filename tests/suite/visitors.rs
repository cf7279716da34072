//! Who is told what: by DBTestDetail alone, never by a guess about where a request comes from.

use crate::support::{Database, Httpd, Kind, Mpm, configtest};

/// A login of httpd's own: anna and bert, both with the password "secret".
const LOGIN: &str = "AuthType Basic\nAuthName x\nAuthUserFile \"${ROOT}/htdocs/users\"";
const USERS: &str = "anna:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nbert:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n";
/// anna:secret and bert:secret.
const ANNA: (&str, &str) = ("Authorization", "Basic YW5uYTpzZWNyZXQ=");
const BERT: (&str, &str) = ("Authorization", "Basic YmVydDpzZWNyZXQ=");

fn with_login(mpm: Mpm, conf: &str) -> Httpd {
    let mut builder = Httpd::builder(mpm).conf(conf);
    for module in ["authn_core", "authn_file", "auth_basic", "authz_user"] {
        builder = builder.module(module);
    }
    let httpd = builder.start();
    std::fs::write(httpd.root().join("htdocs/users"), USERS).expect("users");
    httpd
}

crate::on_each_mpm![an_expression_says_who_is_told];

fn an_expression_says_who_is_told(mpm: Mpm) {
    let database = Database::new(Kind::Postgresql);
    let httpd = with_login(
        mpm,
        &format!(
            "<Location \"/dbtest\">\nSetHandler dbtest\n{LOGIN}\nRequire valid-user\n{}\n\
             DBTestDetail \"expr=%{{REMOTE_USER}} == 'anna'\"\n</Location>",
            database.directive()
        ),
    );
    let (_, name) = database.cluster();
    for page in ["/dbtest/", "/dbtest/check", "/dbtest/?format=json", "/dbtest/check?format=text"] {
        let ask = |user| httpd.request("GET", page, &[user], b"").expect(200);
        ask(ANNA).expect_text(name);
        // logged in, at this machine, and yet not told
        ask(BERT).expect_no_text(name).expect_no_text("PostgreSQL 1");
    }
}

#[test]
fn nobody_is_told_by_where_a_request_seems_to_come_from() {
    let database = Database::new(Kind::Postgresql);
    let directives = format!("{}\nDBTestDetail brief", database.directive());
    let httpd = Httpd::builder(Mpm::Event).location("/dbtest", &directives).start();
    let (_, name) = database.cluster();
    for host in ["localhost", "127.0.0.1", "evil.example"] {
        let reply = httpd.request("GET", "/dbtest/check", &[("Host", host)], b"").expect(200);
        reply.expect_no_text(name).expect_no_text("PostgreSQL 1").expect_no_text("127.0.0.1");
    }
}

#[test]
fn an_expression_that_is_none_is_a_syntax_error_with_its_line() {
    let outcome =
        configtest("<Location /x>\nSetHandler dbtest\nRequire local\nDBTestDetail \"expr=((\"\n</Location>", &[]);
    let output = &outcome.outcome().output;
    assert!(output.contains("Syntax error on line") && output.contains("DBTestDetail: cannot read"), "{output}");
}

#[test]
fn the_status_shows_a_visitor_only_what_its_own_location_would() {
    let (open, hidden, other) =
        (Database::new(Kind::Sqlite), Database::new(Kind::Postgresql), Database::new(Kind::Postgresql));
    let httpd = with_login(
        Mpm::Event,
        &format!(
            "<Location \"/open\">\nSetHandler dbtest\nRequire all granted\n{}\nDBTestDetail brief\n</Location>\n\
             <Location \"/hidden\">\nSetHandler dbtest\n{LOGIN}\nRequire user anna\n{}\n</Location>\n\
             <VirtualHost 127.0.0.1:${{PORT}}>\nServerName a.example\n</VirtualHost>\n\
             <VirtualHost 127.0.0.1:${{PORT}}>\nServerName b.example\n\
             <Location \"/other\">\nSetHandler dbtest\n{LOGIN}\nRequire user bert\n{}\n</Location>\n</VirtualHost>\n\
             <Location \"/dbtest-status\">\nSetHandler dbtest-status\nRequire all granted\n</Location>",
            open.directive(),
            hidden.directive(),
            other.directive()
        ),
    );
    httpd.expect_log("everybody may reach");
    // what a visitor may not see is refused as if the visitor had asked for it
    httpd.allow_log("AH01");
    httpd.allow_log("AH00");
    let see = |headers: &[(&str, &str)]| {
        let text = httpd.request("GET", "/dbtest-status?format=json", headers, b"").text().to_owned();
        ["/open", "/hidden", "/other"].map(|place| text.contains(place))
    };
    assert_eq!(see(&[("Host", "a.example")]), [true, false, false]);
    assert_eq!(see(&[("Host", "a.example"), ANNA]), [true, true, false]);
    assert_eq!(see(&[("Host", "a.example"), BERT]), [true, false, true]);
    let (_, name) = hidden.cluster();
    let told = httpd.request("GET", "/dbtest-status", &[("Host", "a.example"), ANNA], b"");
    told.expect_text(name).expect_no_text(open.url().as_str());
}

#[test]
fn a_strangers_check_changes_nothing_and_a_sent_one_is_whole() {
    let database = Database::new(Kind::Postgresql);
    let directives = format!("{}\nDBTestDetail brief", database.directive());
    let httpd = Httpd::builder(Mpm::Prefork).location("/dbtest", &directives).start();
    let (cluster, name) = database.cluster();
    let ids = || cluster.psql_in(name, "SELECT last_value, is_called FROM stuff_id_seq");
    let before = ids();
    for _ in 0..20 {
        httpd.get("/dbtest/check").expect(200);
    }
    assert_eq!(ids(), before, "an id was burnt");
    httpd.request("POST", "/dbtest/check", &[], b"").expect(200).expect_no_text(name);
    assert_ne!(ids(), before, "the whole check inserts, and rolls back");
    httpd.expect_log("a form from the origin");
    let foreign = [("Origin", "http://evil.example")];
    httpd.request("POST", "/dbtest/check", &foreign, b"").expect(403);
}

/// An application of its own that reads without a busy timeout is never locked out by a check.
#[test]
fn a_check_locks_no_reader_out() {
    let database = Database::new(Kind::Sqlite);
    database.fill(200);
    database.run("PRAGMA journal_mode = delete");
    let httpd = Httpd::builder(Mpm::Event).location("/dbtest", &database.directive()).start();
    let done = std::sync::atomic::AtomicBool::new(false);
    let (reads, failed) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let connection = rusqlite::Connection::open(database.file()).expect("the file");
            connection.busy_timeout(std::time::Duration::ZERO).expect("a timeout");
            let (mut reads, mut failed) = (0, 0);
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                reads += 1;
                std::thread::sleep(std::time::Duration::from_micros(300));
                failed += u32::from(connection.query_row("SELECT count(*) FROM stuff", [], |_| Ok(())).is_err());
            }
            (reads, failed)
        });
        for _ in 0..30 {
            httpd.get("/dbtest/check");
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        reader.join().expect("the reader")
    });
    assert!(reads > 30 && failed == 0, "{failed} of {reads} reads were locked out");
}
