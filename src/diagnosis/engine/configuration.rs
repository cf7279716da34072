//! The part of the catalogue about the configuration as a whole: what configtest finds, and a request that comes
//! to a section which configtest does not see.

use crate::config::ids;
use crate::diagnosis::engine::kind::Entry;

/// In the order of [`ids`].
pub static ENTRIES: &[Entry] = &[
    Entry {
        id: ids::NOT_OF_THE_SERVER,
        title: "The handler was set elsewhere than in the server's own configuration",
        meaning: "An .htaccess, an AddHandler or a rewrite rule asked for this module. It does not answer there: none of \
                  the Require lines around its Locations would apply, and whoever may write an .htaccess would read and \
                  write the server's databases.",
        recognised: "The SetHandler that holds for the request is not a line of httpd.conf or of what it includes.",
        fixes: "Write SetHandler dbtest and a Require into a <Location> of the server's configuration; remove the other.",
    },
    Entry {
        id: ids::PASSWORD_UNREAD,
        title: "DBTestPasswordFile gave no password",
        meaning: "When httpd read its configuration, the file could not be opened or is not private, or the program failed \
                  or is not safe to run as root. httpd serves all the same: at a reload with the password that was read \
                  before, else without one.",
        recognised: "Opening the file, or running the program, as the user who starts httpd. The message has what came back.",
        fixes: "What the message says; then reload httpd, which reads it anew.",
    },
    Entry {
        id: ids::STATE_DIR,
        title: "The DBTestStateDir is not one that the server can use",
        meaning: "The module makes its own directory at start and hands it to the server's user. One that is there already \
                  it never changes, since it may hold other things: it must be usable as it is.",
        recognised: "Its owner, group and modes against the server's User and Group, or the error of making it.",
        fixes: "Name a directory that is not there yet; or hand it to the server's user yourself, if nothing else is in it.",
    },
    Entry {
        id: ids::MISSPELT_DEFINE,
        title: "A word after -D that is nearly one of this module's",
        meaning: "httpd takes any word after -D and says Syntax OK; what was asked for is not done. Under httpd -t the exit \
                  status is then 1.",
        recognised: "The distance in letters to DUMP_DBTEST, DBTEST_CHECK, DBTEST_INIT, DBTEST_RESET, DBTEST_YES, \
                     DBTEST_JSON and DBTEST_NAGIOS.",
        fixes: "Write the word that was meant. A Location is named by -c 'DBTestOnly /dbtest'.",
    },
    Entry {
        id: ids::WRONG_SECTION,
        title: "SetHandler dbtest stands in a section where the page is not looked for",
        meaning: "In a Directory, Files or If section the handler answers, but with the default settings, and neither \
                  configtest nor DBTEST_CHECK nor DUMP_DBTEST sees it: a database belongs to a URL.",
        recognised: "The section around the SetHandler.",
        fixes: "Move it into a <Location>.",
    },
    Entry {
        id: ids::NO_HANDLER,
        title: "Settings without a page",
        meaning: "A Location has DBTest directives and there is no SetHandler dbtest that they concern; or a SetHandler has \
                  a name that is nearly dbtest or dbtest-status. httpd serves a file there, or 404.",
        recognised: "The Locations of the server as they are written. A pattern is taken to match.",
        fixes: "Write SetHandler dbtest into the Location.",
    },
    Entry {
        id: ids::TWICE,
        title: "One Location is written twice",
        meaning: "httpd merges the two, the later over the earlier, value by value. Often one of them is an old copy.",
        recognised: "Two Location sections of one server with the same path, both with a SetHandler or a directive of this module.",
        fixes: "Keep one.",
    },
    Entry {
        id: ids::CONTRADICTION,
        title: "Directives contradict each other",
        meaning: "Each is right by itself, but they cannot hold together: the password stands both in DBTestDatabase and in \
                  a DBTestPasswordFile, which may be inherited from an outer section.",
        recognised: "Reading DBTestDatabase with the other directives of its section and of the sections around it.",
        fixes: "Remove one of the two. httpd -t -D DUMP_DBTEST shows where each is written.",
    },
    Entry {
        id: ids::UNDER_DOCUMENT_ROOT,
        title: "A browser could download the database",
        meaning: "The SQLite file is under a DocumentRoot. Whoever asks for its address gets all of it.",
        recognised: "The path of the file begins with a DocumentRoot, symbolic links followed in both.",
        fixes: "Move the file to a directory of its own, such as /var/lib/dbtest, that the server's user may write to.",
    },
    Entry {
        id: ids::MISSING,
        title: "The SQLite file or its directory is missing",
        meaning: "A database that is named is never created by a request. Nor is its directory.",
        recognised: "stat of the path in DBTestDatabase, and of the directory that it is in.",
        fixes: "Correct the path; or make the directory for the server's user, then httpd -t -D DBTEST_INIT.",
    },
    Entry {
        id: ids::OFFLINE,
        title: "Something that the database's settings name is not usable",
        meaning: "A certificate, a key or a database file is missing, cannot be read, or is not what it should be.",
        recognised: "Opening what DBTestDatabase names, as the user who starts httpd, without the network.",
        fixes: "The message names the file and the parameter that names it.",
    },
    Entry {
        id: ids::INLINE_PASSWORD,
        title: "The password stands in httpd's configuration",
        meaning: "Whoever may read that file sees it, and so does whoever may see server-info or httpd -t -D DUMP_CONFIG.",
        recognised: "DBTestDatabase holds a password.",
        fixes: "Put it, and nothing else, into a file of mode 600 that belongs to root, and write DBTestPasswordFile FILE.",
    },
    Entry {
        id: ids::SUSPICION,
        title: "A value that was hardly meant",
        meaning: "A template's placeholder such as user:password@localhost/dbname was left in, or a parameter has no effect.",
        recognised: "The text of DBTestDatabase alone.",
        fixes: "Fill in what is yours. If it is meant, the warning can be left alone.",
    },
    Entry {
        id: ids::OPEN,
        title: "Everybody may reach the page",
        meaning: "No Require restricts who may read and add rows of the database.",
        recognised: "The Require, Allow and Deny lines of the Location and of those that hold it.",
        fixes: "Write Require local, Require ip, Require valid-user or what suits in the Location.",
    },
    Entry {
        id: ids::IDLE_CONNECTIONS,
        title: "More connections than threads",
        meaning: "A child never uses more connections at once than it has threads; under prefork that is one.",
        recognised: "DBTestConnections against ThreadsPerChild.",
        fixes: "Lower DBTestConnections.",
    },
    Entry {
        id: ids::NO_EFFECT,
        title: "A directive without effect",
        meaning: "Another directive of the same place leaves it nothing to do.",
        recognised: "The values that hold in this place: httpd -t -D DUMP_DBTEST.",
        fixes: "Remove the one that is not meant.",
    },
];

#[cfg(test)]
mod tests {
    use super::ENTRIES;

    #[test]
    fn every_id_of_the_configuration_is_explained() {
        let source = include_str!("../../config/ids.rs");
        let ids: Vec<&str> = source.split('"').filter(|text| text.starts_with("DBT")).collect();
        assert_eq!(ids, ENTRIES.iter().map(|entry| entry.id).collect::<Vec<_>>());
    }
}
