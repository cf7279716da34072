//! The table of wrong snippets and the message each must get, and what right ones come to.

use std::ffi::CStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::checks::{Finding, PlaceView, ServerView, Severity, check};
use super::directives::Directive;
use super::{ConfigError, Context, DIRECTIVES, Detail, Environment, Origin, Place, Settings};

/// A directive with its arguments, as httpd hands them over.
pub struct Line(pub &'static str, pub &'static [&'static str]);

fn find(name: &str) -> &'static Directive {
    DIRECTIVES.iter().find(|directive| directive.name.to_str() == Ok(name)).expect(name)
}

fn apply(settings: &mut Settings, line: u32, name: &str, arguments: &[&str]) -> Result<Option<String>, String> {
    let context = Context {
        origin: Origin { file: "httpd.conf".into(), line },
        server_root: Path::new("/etc/httpd"),
        place: Place::Server,
        parser: &|_| Err("no httpd here".into()),
    };
    (find(name).apply)(settings, &context, arguments)
}

/// One section, in which every line must be right.
pub fn read(lines: &[Line]) -> Settings {
    let mut settings = Settings::default();
    for (line, Line(name, arguments)) in (1..).zip(lines) {
        assert_eq!(apply(&mut settings, line, name, arguments), Ok(None), "{name} {arguments:?}");
    }
    settings
}

fn environment() -> Environment {
    Environment { default_state_dir: "/nonexistent/state".into() }
}

/// A directive, its arguments, and the beginning of the message.
#[rustfmt::skip]
const WRONG: &[(&str, &[&str], &str)] = &[
    ("DBTestDatabase", &[], "DBTestDatabase takes one argument, the database: sqlite:PATH, postgresql://USER@HOST/NAME or a libpq connection string"),
    ("DBTestDatabase", &["host=h", "user=u"], "DBTestDatabase takes one argument, the database: sqlite:PATH, postgresql://USER@HOST/NAME or a libpq connection string; put one with spaces in double quotes"),
    ("DBTestDatabase", &[""], "DBTestDatabase: it is empty: write sqlite:PATH"),
    ("DBTestDatabase", &["mysql://u:SECRET@h/d"], "DBTestDatabase: \"mysql\" is not a database this module speaks to"),
    ("DBTestDatabase", &["/var/lib/x.db"], "DBTestDatabase: there is no \"sqlite:\" before the path: write sqlite:/var/lib/x.db"),
    ("DBTestDatabase", &["sqlite::memory:"], "DBTestDatabase: a database in memory"),
    ("DBTestDatabase", &["sqlite3:x"], "DBTestDatabase: \"sqlite3:\" is not a scheme"),
    ("DBTestDatabase", &["postgresql://u:SEC@RET@h/d"], "DBTestDatabase: there is more than one \"@\" before the host: write"),
    ("DBTestDatabase", &["postgresql://h/d?databse=x"], "DBTestDatabase: there is no connection parameter \"databse\": did you mean \"dbname\"?"),
    ("DBTestDatabase", &["host=h port=74320"], "DBTestDatabase: port 74320 is out of range"),
    ("DBTestDatabase", &["postgresql://u:${PASS}@h/d"], "DBTestDatabase: the variable ${PASS} is not defined"),
    ("DBTestDatabase", &["host=h sslmode=verify-full"], "DBTestDatabase: sslmode=verify-full needs a root certificate"),
    ("DBTestPasswordFile", &[], "DBTestPasswordFile takes one argument, a file that holds"),
    ("DBTestPasswordFile", &["exec:/bin/echo", "x"], "DBTestPasswordFile takes one argument, a file that holds the database password, or exec: and a program that prints it; put one with spaces in double quotes"),
    ("DBTestPasswordFile", &["${FILE}"], "DBTestPasswordFile: the variable ${FILE} is not defined"),
    ("DBTestPasswordFile", &["exec:echo x"], "DBTestPasswordFile: echo is not an absolute path"),
    ("DBTestPasswordFile", &["a\r"], "DBTestPasswordFile: there is a control character (U+000D) in the path"),
    ("DBTestTable", &[], "DBTestTable takes one argument, the table to show, with or without its schema"),
    ("DBTestTable", &["a", "b"], "DBTestTable takes one argument, "),
    ("DBTestTable", &["a;drop"], "DBTestTable: \"a;drop\" is not a table name: only letters"),
    ("DBTestTable", &["a.b.c"], "DBTestTable: \"a.b.c\" is not a table name: more than one dot"),
    ("DBTestCreateTable", &["yes"], "DBTestCreateTable must be On or Off"),
    ("DBTestCreateTable", &[], "DBTestCreateTable must be On or Off"),
    ("DBTestReadOnly", &["1"], "DBTestReadOnly must be On or Off"),
    ("DBTestReadOnly", &["On", "Off"], "DBTestReadOnly must be On or Off"),
    ("DBTestPageSize", &[], "DBTestPageSize takes one argument, rows on a page, from 1 to 1000"),
    ("DBTestPageSize", &["0"], "DBTestPageSize must be a number from 1 to 1000, not \"0\""),
    ("DBTestPageSize", &["1001"], "DBTestPageSize must be a number from 1 to 1000, not \"1001\""),
    ("DBTestPageSize", &["twenty"], "DBTestPageSize must be a number from 1 to 1000, not \"twenty\""),
    ("DBTestPageSize", &["-5"], "DBTestPageSize must be a number from 1 to 1000, not \"-5\""),
    ("DBTestMaxBody", &["0"], "DBTestMaxBody must be from 1 to 16M bytes"),
    ("DBTestMaxBody", &["1G"], "DBTestMaxBody must be a size such as 65536, 64K or 1M, not \"1G\""),
    ("DBTestDetail", &["verbose"], "DBTestDetail must be brief, full or \"expr=EXPRESSION\", not \"verbose\""),
    ("DBTestTimeout", &[], "DBTestTimeout requires at least one argument, how long"),
    ("DBTestTimeout", &["5"], "DBTestTimeout: \"5\" must be connect=, query= or wait= and a time"),
    ("DBTestTimeout", &["conect=5s"], "DBTestTimeout: \"conect\" is not one of connect, query and wait"),
    ("DBTestTimeout", &["connect=5sec"], "DBTestTimeout connect must be a time such as 500ms, 3s or 1min, not \"5sec\""),
    ("DBTestTimeout", &["connect=0"], "DBTestTimeout connect must be longer than nothing"),
    ("DBTestTimeout", &["query=2h"], "DBTestTimeout query must be at most one hour"),
    ("DBTestTimeout", &["query=2s", "query=3s"], "DBTestTimeout query is already set in this section, at httpd.conf:1"),
    ("DBTestConnections", &["0"], "DBTestConnections must be a number from 1 to 1000, not \"0\""),
    ("DBTestOrigin", &["www.example.org"], "DBTestOrigin: \"www.example.org\" must be https://HOST"),
    ("DBTestOrigin", &["https://a.example/x"], "DBTestOrigin: \"https://a.example/x\" must be"),
    ("DBTestStateDir", &[""], "DBTestStateDir must not be empty"),
    ("DBTestStateDir", &["a", "b"], "DBTestStateDir takes one argument, the directory of the module's own"),
];

#[test]
fn wrong_directives_get_their_message() {
    for (name, arguments, expected) in WRONG {
        let message = apply(&mut Settings::default(), 1, name, arguments).expect_err(name);
        assert!(message.starts_with(expected), "{name} {arguments:?}\n  says     {message}\n  expected {expected}");
        assert!(!message.contains("SEC"), "{message}");
        assert!(!message.contains(['\r', '\n']), "{message:?}");
    }
}

#[test]
fn right_directives_fill_their_fields() {
    let settings = read(&[
        Line("DBTestDatabase", &["sqlite:x.db"]),
        Line("DBTestPasswordFile", &["exec:/bin/echo secret"]),
        Line("DBTestTable", &["app.stuff"]),
        Line("DBTestCreateTable", &["oFF"]),
        Line("DBTestReadOnly", &["ON"]),
        Line("DBTestPageSize", &["7"]),
        Line("DBTestMaxBody", &["2K"]),
        Line("DBTestDetail", &["Full"]),
        Line("DBTestTimeout", &["connect=1s", "QUERY=2s"]),
        Line("DBTestTimeout", &["wait=0"]),
        Line("DBTestConnections", &["3"]),
        Line("DBTestStateDir", &["state"]),
    ]);
    assert_eq!(settings.password.as_ref().unwrap().value().secret().unwrap().reveal(), "secret");
    assert_eq!(settings.password_file.as_ref().unwrap().value(), "exec:/bin/echo secret");
    let resolved = settings.resolve(&environment()).unwrap();
    assert_eq!(resolved.target.file(), Some(Path::new("/etc/httpd/state/x.db")));
    assert_eq!(resolved.table.to_string(), "app.stuff");
    assert!(resolved.read_only && !resolved.create_table && !resolved.is_default_database);
    assert_eq!((resolved.page_size, resolved.max_body, resolved.connections), (7, 2048, 3));
    assert!(matches!(resolved.detail, Detail::Full));
    let limits = resolved.limits;
    assert_eq!(
        (limits.connect, limits.query, limits.wait),
        (Duration::from_secs(1), Duration::from_secs(2), Duration::ZERO)
    );
}

#[test]
fn defaults() {
    let resolved = Settings::default().resolve(&environment()).unwrap();
    assert_eq!(resolved.target.file(), Some(Path::new("/nonexistent/state/dbtest.sqlite")));
    assert_eq!(resolved.table.to_string(), "stuff");
    assert!(!resolved.read_only && !resolved.create_table && resolved.is_default_database);
    assert_eq!((resolved.page_size, resolved.max_body, resolved.connections), (20, 65536, 1));
    assert!(matches!(resolved.detail, Detail::Brief));
    let limits = resolved.limits;
    let seconds = Duration::from_secs;
    assert_eq!((limits.connect, limits.query, limits.wait), (seconds(3), seconds(5), seconds(1)));
}

#[test]
fn a_second_one_in_the_same_section_is_refused_and_in_an_inner_one_wins() {
    for (name, argument) in [
        ("DBTestDatabase", "sqlite:x"),
        ("DBTestPasswordFile", "exec:/bin/echo x"),
        ("DBTestTable", "x"),
        ("DBTestCreateTable", "On"),
        ("DBTestReadOnly", "On"),
        ("DBTestPageSize", "3"),
        ("DBTestMaxBody", "2K"),
        ("DBTestDetail", "full"),
        ("DBTestTimeout", "query=1s"),
        ("DBTestConnections", "3"),
        ("DBTestOrigin", "https://www.example.org"),
        ("DBTestStateDir", "/x"),
    ] {
        let mut section = Settings::default();
        apply(&mut section, 4, name, &[argument]).unwrap();
        let message = apply(&mut section, 9, name, &[argument]).unwrap_err();
        assert!(
            message.starts_with(name) && message.ends_with("is already set in this section, at httpd.conf:4"),
            "{message}"
        );
    }
    let outer = read(&[Line("DBTestPageSize", &["3"]), Line("DBTestReadOnly", &["On"])]);
    let inner = read(&[Line("DBTestPageSize", &["4"])]);
    let resolved = Settings::merge(&outer, &inner).resolve(&environment()).unwrap();
    assert_eq!((resolved.page_size, resolved.read_only), (4, true));
}

#[test]
fn a_password_file_is_relative_to_the_server_root_and_its_oddities_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pass");
    fs::write(&path, "secret\r\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let mut settings = Settings::default();
    let context = Context {
        origin: Origin { file: "httpd.conf".into(), line: 1 },
        server_root: dir.path(),
        place: Place::Server,
        parser: &|_| Err("no httpd here".into()),
    };
    let warning = (find("DBTestPasswordFile").apply)(&mut settings, &context, &["pass"]).unwrap().unwrap();
    assert!(warning.starts_with("DBTestPasswordFile: ") && warning.contains("carriage return"), "{warning}");
    assert_eq!(settings.password.unwrap().value().secret().unwrap().reveal(), "secret");
    assert_eq!(settings.password_file.unwrap().value(), &path.display().to_string());
}

#[test]
fn no_directive_of_ours_stands_in_a_directory() {
    for directive in &DIRECTIVES {
        let context = Context {
            origin: Origin { file: "httpd.conf".into(), line: 1 },
            server_root: Path::new("/"),
            place: Place::within(["<Directory"]),
            parser: &|_| Err("no httpd here".into()),
        };
        let message = (directive.apply)(&mut Settings::default(), &context, &["x"]).unwrap_err();
        let name = directive.name.to_str().unwrap();
        assert_eq!(message, format!("{name} not allowed in <Directory> context; it belongs in <Location>"));
    }
}

#[test]
fn the_table_can_be_read_in_const_context() {
    static NAMES: [&CStr; DIRECTIVES.len()] = {
        let mut names = [c""; DIRECTIVES.len()];
        let mut i = 0;
        while i < names.len() {
            names[i] = DIRECTIVES[i].name;
            i += 1;
        }
        names
    };
    for (name, directive) in NAMES.iter().zip(&DIRECTIVES) {
        assert_eq!(*name, directive.name);
        assert!(directive.syntax.starts_with(name.to_str().unwrap()));
        assert!(!directive.help.is_empty());
    }
}

#[test]
fn a_password_in_two_places_is_a_contradiction() {
    let settings = read(&[
        Line("DBTestDatabase", &["postgresql://u:SECRET@h/d"]),
        Line("DBTestPasswordFile", &["exec:/bin/echo SECRET"]),
    ]);
    let error = settings.resolve(&environment()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "DBTestDatabase: the password stands both here and in DBTestPasswordFile: take it out of DBTestDatabase; \
         DBTestPasswordFile is at httpd.conf:2 (httpd.conf:1)"
    );
}

/// What is found about one place.
fn findings(lines: &[Line], open: bool, roots: &[PathBuf]) -> Vec<Finding> {
    let settings = read(lines);
    let resolved = settings.resolve(&environment());
    let view = || PlaceView {
        server: "",
        location: "/dbtest",
        settings: &settings,
        resolved: resolved.as_ref(),
        open_to_everyone: open,
    };
    // Twice: what two places inherit must be said once.
    check(&[view(), view()], &ServerView { document_roots: roots.to_vec(), threads_per_child: 2 })
}

#[test]
fn findings_of_a_place() {
    use Severity::{Error, Warning};
    let plain = Line("DBTestDatabase", &["postgresql://app@db.example.com/app"]);
    for (lines, open, expected) in [
        (vec![plain], false, vec![]),
        (
            vec![],
            true,
            vec![(Warning, "/dbtest: everybody may reach this page of a database: write \"Require local\"")],
        ),
        (
            vec![Line("DBTestDatabase", &["postgresql://app:mySECRET1@localhost/app"])],
            false,
            vec![(Warning, "DBTestDatabase: the password is visible to whoever may read this file")],
        ),
        (
            vec![Line("DBTestDatabase", &["postgresql://app:mySECRET1@h1/app"])],
            false,
            vec![
                (Warning, "DBTestDatabase: the password is visible to whoever may read this file"),
                (
                    Warning,
                    "DBTestDatabase: the password goes to h1 without proof that this is the server that is meant",
                ),
            ],
        ),
        (
            vec![Line("DBTestDatabase", &["postgresql://user@h1/app"])],
            false,
            vec![(Warning, "DBTestDatabase: the user name \"user\" looks like a template's placeholder")],
        ),
        (
            vec![Line("DBTestDatabase", &["sqlite:/nonexistent/dir/x.db"])],
            false,
            vec![(
                Warning,
                "DBTestDatabase: /nonexistent/dir/x.db cannot exist, for the directory /nonexistent/dir does not",
            )],
        ),
        (
            vec![Line("DBTestDatabase", &["sqlite:/tmp/nonexistent.db"])],
            false,
            vec![(
                Warning,
                "DBTestDatabase: /tmp/nonexistent.db does not exist: create it with httpd -t -D DBTEST_INIT",
            )],
        ),
        (
            vec![Line("DBTestStateDir", &["/nonexistent/own"]), Line("DBTestDatabase", &["sqlite:x.db"])],
            false,
            vec![(
                Warning,
                "DBTestDatabase: /nonexistent/own/x.db does not exist: create it with httpd -t -D DBTEST_INIT",
            )],
        ),
        (vec![Line("DBTestDatabase", &["sqlite:/tmp"])], false, vec![(Warning, "DBTestDatabase: /tmp is a directory")]),
        (
            vec![Line("DBTestDatabase", &["host=h1 sslmode=verify-ca sslrootcert=/nonexistent"])],
            false,
            vec![(Warning, "DBTestDatabase: ")],
        ),
        (
            vec![Line("DBTestPasswordFile", &["none"])],
            false,
            vec![(
                Warning,
                "DBTestPasswordFile: /etc/httpd/none does not exist: put the password in it, and chmod 600 /etc/httpd/none; \
                 the page goes without a password",
            )],
        ),
        (
            vec![Line("DBTestPasswordFile", &["/etc/passwd"])],
            false,
            vec![(Warning, "DBTestPasswordFile: /etc/passwd is open to others than its owner (mode 0644): chmod 600")],
        ),
        (
            vec![Line("DBTestPasswordFile", &["exec:/bin/false"])],
            false,
            vec![(Warning, "DBTestPasswordFile: /bin/false failed: exit status: 1")],
        ),
        (
            vec![Line("DBTestDatabase", &["host=h1 password=SECRET"]), Line("DBTestPasswordFile", &["none"])],
            false,
            vec![(Error, "DBTestDatabase: the password stands both here and in DBTestPasswordFile")],
        ),
        (
            vec![Line("DBTestConnections", &["3"])],
            false,
            vec![(Warning, "DBTestConnections 3: a child has only 2 thread(s)")],
        ),
        (vec![Line("DBTestConnections", &["2"])], false, vec![]),
        (
            vec![Line("DBTestCreateTable", &["On"]), Line("DBTestReadOnly", &["On"])],
            false,
            vec![(Warning, "DBTestCreateTable On has no effect where DBTestReadOnly is On")],
        ),
        (
            vec![
                Line("DBTestDatabase", &["host=h1 password=SECRET"]),
                Line("DBTestPasswordFile", &["exec:/bin/echo x"]),
            ],
            false,
            vec![(Error, "DBTestDatabase: the password stands both here and in DBTestPasswordFile")],
        ),
    ] {
        let named: Vec<String> = lines.iter().map(|Line(name, arguments)| format!("{name} {arguments:?}")).collect();
        let found = findings(&lines, open, &[]);
        assert_eq!(found.len(), expected.len(), "{named:?}: {found:?}");
        for (finding, (severity, message)) in found.iter().zip(expected) {
            assert_eq!(finding.severity, severity, "{finding}");
            assert!(finding.message.starts_with(message), "{named:?}\n  says     {finding}\n  expected {message}");
            assert!(!finding.to_string().contains("SECRET"), "{finding}");
        }
    }
}

#[test]
fn a_database_that_a_browser_could_download_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("www");
    fs::create_dir(&root).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&root, &link).unwrap();
    for (file, document_root, expected) in [
        (root.join("x.db"), &root, true),
        (link.join("x.db"), &root, true),
        (root.join("x.db"), &link, true),
        (root.join("deep/x.db"), &root, true),
        (dir.path().join("x.db"), &root, false),
        (dir.path().join("www2.db"), &root, false),
    ] {
        let mut settings = Settings::default();
        let url = format!("sqlite:{}", file.display());
        apply(&mut settings, 1, "DBTestDatabase", &[&url]).unwrap();
        let resolved = settings.resolve(&environment());
        let view = PlaceView {
            server: "",
            location: "",
            settings: &settings,
            resolved: resolved.as_ref(),
            open_to_everyone: false,
        };
        let server = ServerView { document_roots: vec![document_root.clone()], threads_per_child: 1 };
        let found = check(&[view], &server);
        let is_error = found.iter().any(|finding| {
            finding.severity == Severity::Error && finding.message.contains("where a browser can download it")
        });
        assert_eq!(is_error, expected, "{}: {found:?}", file.display());
    }
}

#[test]
fn an_error_names_its_place() {
    let origin = Some(Origin { file: "httpd.conf".into(), line: 7 });
    assert_eq!(ConfigError { message: "it is wrong".into(), origin }.to_string(), "it is wrong (httpd.conf:7)");
}

/// Where a directive may stand that is a page's.
const IN_LOCATION: &str = "server config, virtual host, directory (`<Location>` only; not .htaccess)";

/// The reference that administrators read.
const DOCUMENT: &str = include_str!("../../docs/directives.md");

#[test]
fn every_directive_has_its_entry_in_the_reference_and_no_other_has() {
    let entries: Vec<&str> = DOCUMENT.split("\n## ").skip(1).collect();
    let names: Vec<&str> = entries.iter().filter_map(|entry| entry.lines().next()).collect();
    let known: Vec<&str> = DIRECTIVES.iter().filter_map(|directive| directive.name.to_str().ok()).collect();
    assert_eq!(names, known, "docs/directives.md: one \"## NAME\" for each directive, in the order of the table");
    for (entry, directive) in entries.iter().zip(&DIRECTIVES) {
        let name = directive.name.to_str().unwrap();
        let syntax = directive.syntax.replace('|', "\\|");
        for row in [
            format!("| **Description** | {} |", directive.help.to_str().unwrap()),
            format!("| **Syntax** | `{syntax}` |"),
            format!("| **Context** | {} |", if name == "DBTestOnly" { "server config" } else { IN_LOCATION }),
            "| **Module** | mod_dbtest |".into(),
        ] {
            assert!(entry.contains(&row), "docs/directives.md, {name}: lacks the row\n{row}");
        }
        for row in ["**Default**", "**Status**", "**Compatibility**"] {
            assert!(entry.contains(&format!("| {row} | ")), "docs/directives.md, {name}: lacks the row {row}");
        }
        assert!(DOCUMENT.contains(&format!("[{name}](#{})", name.to_lowercase())), "{name}: not in the contents");
    }
}

#[test]
fn the_reference_and_the_example_state_the_true_defaults() {
    let example = include_str!("../../conf/dbtest.conf");
    let mut settings = Settings::default();
    for (name, arguments) in [
        ("DBTestTable", "stuff"),
        ("DBTestCreateTable", "Off"),
        ("DBTestReadOnly", "Off"),
        ("DBTestPageSize", "20"),
        ("DBTestMaxBody", "64K"),
        ("DBTestDetail", "brief"),
        ("DBTestTimeout", "connect=3s query=5s wait=1s"),
        ("DBTestConnections", "1"),
    ] {
        assert!(DOCUMENT.contains(&format!("| **Default** | `{name} {arguments}` |")), "docs/directives.md: {name}");
        assert!(example.contains(&format!("    #{name} {arguments}\n")), "conf/dbtest.conf: {name}");
        let arguments: Vec<&str> = arguments.split(' ').collect();
        apply(&mut settings, 1, name, &arguments).unwrap();
    }
    let (stated, real) =
        (settings.resolve(&environment()).unwrap(), Settings::default().resolve(&environment()).unwrap());
    assert_eq!(format!("{stated:?}"), format!("{real:?}"));
}
