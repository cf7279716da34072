//! Faults of what the administrator wrote: `httpd -t` refuses them and says what to write, before anything runs.

use super::record::note;
use crate::support::configtest;

/// A person writes what the message says; the test writes the corrected directive and sees it accepted.
const BY_HAND: &str = "not-run-here: configtest says what to write, and a person writes it";

fn check(directives: &str) -> (bool, String) {
    let checked = configtest(
        &format!("<Location \"/dbtest\">\nSetHandler dbtest\nRequire local\n{directives}\n</Location>"),
        &["DUMP_DBTEST"],
    );
    (checked.outcome().success, checked.outcome().output.clone())
}

/// The fault of the list, what was written, what the message says, and what is right.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    (
        "CFG-03",
        "DBTestDatabase postgresql://flasktest:p@ss@127.0.0.1:7432/d",
        "write an \"@\" in a user name or password as %40",
        "DBTestDatabase postgresql://flasktest:p%40ss@127.0.0.1:7432/d",
    ),
    (
        "CFG-04",
        "DBTestDatabase postgresql://flasktest:p/ss@127.0.0.1:7432/d",
        "write a \"/\" in a user name or password as %2F",
        "DBTestDatabase postgresql://flasktest:p%2Fss@127.0.0.1:7432/d",
    ),
    (
        "CFG-05",
        "DBTestDatabase postgresql://flasktest:p%ss@127.0.0.1:7432/d",
        "write a \"%\" itself as %25",
        "DBTestDatabase postgresql://flasktest:p%25ss@127.0.0.1:7432/d",
    ),
    (
        "CFG-06",
        "DBTestDatabase \"host=127.0.0.1 databse=x\"",
        "did you mean \"dbname\"?",
        "DBTestDatabase \"host=127.0.0.1 dbname=x\"",
    ),
    (
        "CFG-07",
        "DBTestDatabase \"host=127.0.0.1 port=74320 dbname=x\"",
        "port 74320 is out of range",
        "DBTestDatabase \"host=127.0.0.1 port=5432 dbname=x\"",
    ),
    (
        "CFG-09",
        "DBTestDatabase \"host=127.0.0.1 password=my pass dbname=d\"",
        "password='VALUE WITH SPACES'",
        "DBTestDatabase \"host=127.0.0.1 password='my pass' dbname=d\"",
    ),
    (
        "CFG-11",
        "DBTestDatabase \"postgresql://u:${PGPASS_NOT_SET}@h/d\"",
        "write \"Define PGPASS_NOT_SET VALUE\" before it",
        "Define PGPASS_NOT_SET secret\nDBTestDatabase \"postgresql://u:${PGPASS_NOT_SET}@h/d\"",
    ),
    (
        "CFG-12",
        "DBTestDatabase host=127.0.0.1 user=x dbname=y",
        "put one with spaces in double quotes",
        "DBTestDatabase \"host=127.0.0.1 user=x dbname=y\"",
    ),
    (
        "CFG-14",
        "DbAppDatabase x",
        "Invalid command 'DbAppDatabase', perhaps misspelled",
        "DBTestDatabase postgresql://h/d",
    ),
    (
        "CFG-20",
        "DBTestDatabase \"sqlite:/var/lib/a.db\r\"",
        "a carriage return",
        "DBTestDatabase \"sqlite:/var/lib/a.db\"",
    ),
    (
        "SQF-28",
        "DBTestDatabase \"sqlite:/var/lib/a.db \"",
        "write sqlite:/var/lib/a.db",
        "DBTestDatabase sqlite:/var/lib/a.db",
    ),
    (
        "SQF-19",
        "DBTestDatabase sqlite:/var/lib/a.db?mode=ro",
        "write DBTestReadOnly On",
        "DBTestDatabase sqlite:/var/lib/a.db\nDBTestReadOnly On",
    ),
];

#[test]
fn configtest_refuses_with_what_to_write() {
    for (id, wrong, said, right) in REFUSED {
        let (accepted, output) = check(wrong);
        assert!(!accepted && output.contains(said), "{id} {wrong}\n{output}");
        assert!(!output.contains("ss@127"), "a part of the password is shown: {output}");
        let (accepted, output) = check(right);
        assert!(accepted, "{id} {right}\n{output}");
        note(&[id], true, BY_HAND);
    }
}

#[test]
fn what_others_write_is_taken_as_it_was_meant() {
    for (id, written, shown) in [
        ("CFG-01", "postgresql+psycopg2://u:p@127.0.0.1:7432/d", "postgresql://u:***@127.0.0.1:7432/d"),
        ("CFG-02", "postgresql://u:p@/d", "postgresql://u:***@/d"),
    ] {
        let (accepted, output) = check(&format!("DBTestDatabase {written}"));
        assert!(accepted && output.contains(shown), "{id}\n{output}");
        note(&[id], true, "yes");
    }
}

#[test]
fn a_template_that_was_never_filled_in_is_a_warning() {
    let (_, output) = check("DBTestDatabase postgresql://user:password@localhost:7432/dbname");
    let line = output.lines().find(|line| line.contains("warn") && line.contains("dbname"));
    assert!(line.is_some(), "{output}");
    note(&["CFG-19"], true, BY_HAND);
}
