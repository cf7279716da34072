//! docs/mod_dbtest.8, made from the table of directives; a test keeps the two equal
//! (`DBTEST_BLESS=1 cargo test --lib manual` writes it anew).

use super::DIRECTIVES;
use super::only::DEFINES;

/// What each word after -D does, in the order of [`DEFINES`].
const WORDS: [&str; DEFINES.len()] = [
    "prints the module's version, and what holds in each place and where it was written; secrets are masked",
    "opens every database as the server's own user and proves each layer; exit status 1 if one fails or none was checked",
    "creates the table, and the SQLite file, as the server's own user; a table that is there already stays",
    "drops the table of one database and creates it: its rows are lost. Never that of a Location with DBTestReadOnly On",
    "the second word that DBTEST_RESET wants for a table that has rows",
    "the check as one line of JSON",
    "the check as a monitoring plugin: OK, WARNING, CRITICAL or UNKNOWN, performance data, exit status 0, 1, 2 or 3",
];

/// Text for troff: no line of it begins as a request, and a minus is a minus.
fn troff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq")
}

fn page() -> String {
    let mut text = format!(
        ".\\\" made from src/config/directives.rs by src/config/manual.rs\n.TH MOD_DBTEST 8 \"\" \"mod_dbtest {}\" \"Apache HTTP Server\"\n",
        env!("CARGO_PKG_VERSION")
    );
    text.push_str(
        ".SH NAME\nmod_dbtest \\- proves that this web server reads and writes its database\n\
         .SH SYNOPSIS\n.nf\nLoadModule dbtest_module modules/mod_dbtest.so\n<Location \"/dbtest\">\n    SetHandler dbtest\n    \
         Require local\n    DBTestDatabase \"postgresql://flasktest@/flasktestdb\"\n</Location>\n.fi\n\
         .SH DESCRIPTION\nA module of the Apache HTTP Server 2.4. Browse to the Location: a page lists the rows of one table \
         and a form adds one, over the server child\\(aqs own connection to SQLite or PostgreSQL. If the database cannot be \
         reached, read or written, the page, its\n.I check\n\
         page, the error log and the commands below name the layer that failed and the fix.\n\
         .SH DIRECTIVES\nEach may stand in the server config, in a virtual host and in a <Location>, but for DBTestOnly, which \
         belongs on the command line.\n",
    );
    for directive in &DIRECTIVES {
        let help = directive.help.to_str().unwrap_or_default();
        text.push_str(&format!(".TP\n.B {}\n{}.\n", troff(directive.syntax), troff(help)));
    }
    text.push_str(".SH COMMANDS\nAfter\n.B httpd \\-t\n(Debian:\n.BR \"apache2ctl \\-t\" ):\n");
    for (word, meaning) in DEFINES.iter().zip(WORDS) {
        text.push_str(&format!(".TP\n.B \\-D {word}\n{}.\n", troff(meaning)));
    }
    text.push_str(
        ".TP\n.B \\-c \\(aqDBTestOnly /dbtest\\(aq\nall of these for one Location.\n.PP\nNothing else is made or changed. NO_COLOR \
         and TERM=dumb are honoured.\n.SH SEE ALSO\n.BR httpd (8),\n.BR apachectl (8),\n.BR psql (1),\n.BR sqlite3 (1)\n.PP\n\
         docs/directives.md has each directive in full, docs/errors.md each id that is printed.\n",
    );
    text
}

#[test]
fn the_manual_page_is_made_from_the_directives() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mod_dbtest.8");
    if std::env::var_os("DBTEST_BLESS").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page(), "DBTEST_BLESS=1 cargo test --lib manual");
    assert!(page().lines().all(|line| !line.starts_with('\'')), "a line that troff takes for a request");
}
