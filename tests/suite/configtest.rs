//! `apachectl configtest` finds what is wrong, says where, and what to write instead.

use std::fs;

use crate::support::{Database, Kind, configtest};

/// Directives for the Location, and what must be in the message. `${ROOT}` is a directory of the test's own.
const WRONG: &[(&str, &[&str])] = &[
    ("DBTestDatabase", &["DBTestDatabase takes one argument"]),
    ("DBTestDatabase mysql://root@localhost/test", &["mysql"]),
    ("DBTestDatabase nonsense", &["postgresql://"]),
    ("DBTestDatabase postgresql://db.example:99999/x", &["99999"]),
    ("DBTestDatabase postgresql://db.example:0/x", &["port"]),
    ("DBTestDatabase postgresql://db.example/x?ssl_mode=require", &["ssl_mode", "sslmode"]),
    ("DBTestDatabase \"host=db.example dbnme=x\"", &["dbnme", "dbname"]),
    ("DBTestDatabase postgresql://db.example/x?sslmode=verify-full", &["sslrootcert"]),
    ("DBTestDatabase postgresql://db.example/x?sslmode=always", &["always", "verify-full"]),
    ("DBTestDatabase postgresql://db.example/%zz", &["%zz"]),
    ("DBTestDatabase postgresql://[::1/x", &["]"]),
    ("DBTestDatabase sqlite:", &["sqlite"]),
    ("DBTestDatabase sqlite:${ROOT}/htdocs/site.db", &["DocumentRoot"]),
    (
        "DBTestDatabase postgresql://u:p@db.example/x\nDBTestPasswordFile ${ROOT}/pass",
        &["password", "DBTestPasswordFile"],
    ),
    ("DBTestTable \"\"", &["DBTestTable"]),
    ("DBTestTable a.b.c", &["a.b.c"]),
    ("DBTestPageSize 0", &["DBTestPageSize"]),
    ("DBTestPageSize many", &["many"]),
    ("DBTestPageSize 999999999999", &["DBTestPageSize"]),
    ("DBTestReadOnly maybe", &["DBTestReadOnly must be On or Off"]),
    ("DBTestDetail loud", &["loud", "full", "brief"]),
    ("DBTestDetail \"expr=%{REMOTE_USER} = = 1\"", &["DBTestDetail", "cannot read the expression"]),
    ("DBTestTimeout", &["DBTestTimeout"]),
    ("DBTestTimeout forever", &["forever"]),
    ("DBTestTimeout query=0", &["query"]),
    ("DBTestTimeout query=5parsecs", &["parsecs"]),
    ("DBTestTimeout conect=3s", &["conect", "connect"]),
    ("DBTestConnections 0", &["DBTestConnections"]),
    ("DBTestConnections -1", &["-1"]),
    ("DBTestMaxBody 0", &["DBTestMaxBody"]),
    ("DBTestMaxBody big", &["big"]),
    ("DBTestDatbase sqlite:x", &["DBTestDatbase"]),
];

#[test]
fn what_is_wrong_is_refused_with_the_line_and_the_remedy() {
    let mut missed = Vec::new();
    for (directives, expected) in WRONG {
        let marker = "# the place\n";
        // the files exist before httpd reads: a Checked server keeps its directory, so prepare and test by one call
        let conf =
            format!("{marker}<Location \"/dbtest\">\nSetHandler dbtest\nRequire local\n{directives}\n</Location>");
        let checked = configtest_with_files(&conf);
        let output = &checked.0;
        let told = !checked.1 && expected.iter().all(|text| output.contains(text));
        let placed = output.contains("line ") && output.contains("httpd.conf") || output.contains("httpd.conf:");
        if !told || !placed {
            missed.push(format!("{directives}\n    wanted {expected:?}, success {}, got {output}", checked.1));
        }
    }
    assert!(missed.is_empty(), "{} of {}:\n{}", missed.len(), WRONG.len(), missed.join("\n"));
}

/// Runs configtest where `${ROOT}` holds `pass`, which is private.
fn configtest_with_files(conf: &str) -> (String, bool) {
    let files = tempfile::tempdir_in("/tmp").expect("a directory");
    let path = files.path().join("pass");
    fs::write(&path, "secret\n").unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let conf = conf.replace("${ROOT}/pass", &path.display().to_string());
    let checked = configtest(&conf, &[]);
    (checked.outcome().output.clone(), checked.outcome().success)
}

#[test]
fn what_is_merely_unwise_is_a_warning() {
    for (conf, expected) in [
        ("<Location \"/dbtest\">\nSetHandler dbtest\n</Location>", "Require"),
        ("<Location \"/dbtest\">\nSetHandler dbtest\nRequire all granted\n</Location>", "Require"),
        (
            "<Location \"/dbtest\">\nSetHandler dbtest\nRequire local\nDBTestDatabase postgresql://u:secret@db.example/x\n</Location>",
            "DBTestPasswordFile",
        ),
        // not created unasked, and so perhaps a slip of the pen
        (
            "<Location \"/dbtest\">\nSetHandler dbtest\nRequire local\nDBTestDatabase sqlite:site.db\n</Location>",
            "-D DBTEST_INIT",
        ),
        (
            "<Location \"/dbtest\">\nSetHandler dbtest\nRequire local\nDBTestReadOnly On\nDBTestCreateTable On\n</Location>",
            "DBTestCreateTable",
        ),
        ("<Directory \"${ROOT}/htdocs\">\nSetHandler dbtest\nRequire local\n</Directory>", "in <Directory \""),
        ("<Location \"/dbtest\">\nSetHandler dbtets\nRequire local\n</Location>", "did you mean dbtest?"),
        (
            "<Location \"/dbtest\">\nRequire local\nDBTestPageSize 5\n</Location>",
            "there is no SetHandler dbtest for it",
        ),
        ("<Location \"/all\">\nSetHandler dbtest-status\n</Location>", "everybody may reach this overview"),
        (
            "<Location \"/dbtest\">\nSetHandler dbtest\nRequire local\n</Location>\n\
             <Location \"/dbtest\">\nSetHandler dbtest\nRequire local\nDBTestPageSize 5\n</Location>",
            "is written twice, first at",
        ),
        (
            "<Location \"/dbtest\">\nSetHandler dbtest\nRequire local\nDBTestDatabase \"host=${ROOT}/sockets user=u\"\n</Location>",
            "sockets does not exist",
        ),
    ] {
        let checked = configtest(conf, &[]);
        let output = &checked.outcome().output;
        assert!(checked.outcome().success, "{output}");
        assert!(output.contains("dbtest:warn") && output.contains(expected), "{conf}\n{output}");
        assert!(!output.contains("secret"), "{output}");
    }
}

#[test]
fn what_is_right_passes_without_a_word() {
    let database = Database::new(Kind::Sqlite);
    let file = database.file().display().to_string();
    for directives in [
        "",
        &format!("DBTestDatabase sqlite:{file}"),
        &format!("DBTestDatabase sqlite:///{file}"),
        "DBTestDatabase postgresql://flasktest@/flasktestdb",
        "DBTestDatabase postgresql+psycopg2://flasktest@db.example/flasktestdb",
        "DBTestDatabase postgres://u@[::1]:5433,db.example/x?target_session_attrs=read-write",
        "DBTestDatabase \"host=/run/postgresql dbname=x user='a b'\"",
        "DBTestTable public.stuff\nDBTestPageSize 50\nDBTestReadOnly On\nDBTestDetail full",
        "DBTestTimeout connect=3s query=500ms wait=1\nDBTestConnections 4\nDBTestMaxBody 1000",
    ] {
        let conf = format!("<Location \"/dbtest\">\nSetHandler dbtest\nRequire local\n{directives}\n</Location>");
        let checked = configtest(&conf, &[]);
        assert!(checked.outcome().success, "{directives}: {}", checked.outcome().output);
        assert!(!checked.outcome().output.contains("dbtest:"), "{directives}: {}", checked.outcome().output);
    }
}
