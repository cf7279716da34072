//! What the commands of a shell do: each by itself, those within a `for`, a `$(…)` or behind `runuser` too. A command
//! that no row knows counts as a change.

use super::price::{DUMP, Deed, Effect, LINKED, Price, UNKNOWN, gravest, narrow, removes, wide};
use super::shell::{self, Simple};
use super::statements::{STATEMENTS, statements};

/// A command, and what one of its words holds. The first row that fits is taken.
pub const COMMANDS: &[Deed] = &[
    Deed("rm", "", removes("the file is gone", "only from a copy")),
    Deed("rmdir", "", removes("the directory is gone", "mkdir")),
    Deed("dropdb", "", removes("the database is gone", DUMP)),
    Deed("umount", "", removes("what is mounted there is gone from everybody's sight", "mount it again")),
    Deed("kill", "-HUP", narrow(Effect::Corrects)),
    Deed("kill", "", removes("the process ends, and its work with it", "start it again")),
    Deed("pkill", "", removes("the processes end, and their work with them", "start them again")),
    Deed("setenforce", "", removes("nothing on this machine is confined any more", "setenforce 1")),
    Deed("aa-disable", "", removes("the profile confines nothing any more", "aa-enforce")),
    Deed("aa-complain", "", removes("the profile confines nothing any more", "aa-enforce")),
    Deed("ip", "del", removes("others may need the route", "ip route add")),
    Deed("iptables", "-D", removes("what the rule kept out comes in", "the rule, added again")),
    Deed("nft", "delete", removes("what the rule kept out comes in", "the rule, added again")),
    Deed("pg_resetwal", "", removes("committed rows may be gone", "only from a backup")),
    Deed("chmod", "777", wide("everybody on this machine may write there", "the mode from before")),
    Deed("chmod", "666", wide("everybody on this machine may write there", "the mode from before")),
    Deed("chmod", "o+w", wide("everybody on this machine may write there", "the mode from before")),
    Deed("chmod", "a+w", wide("everybody on this machine may write there", "the mode from before")),
    Deed("chmod", "o+rw", wide("everybody on this machine may write there", "the mode from before")),
    // a link in its place leads whoever uses the old path to the new one
    Deed("mv", LINKED, narrow(Effect::Corrects)),
    Deed("mv", "", wide("whoever uses the old path no longer finds it", "mv it back")),
    Deed("sysctl", "-w", wide("it holds for every program of this machine", "sysctl with the value from before")),
    Deed("tune2fs", "", wide("root's reserve of the file system is given away", "tune2fs -m 5")),
    Deed("swapoff", "", wide("it holds for every program of this machine", "swapon")),
    Deed("systemctl", "restart", wide("sessions of others end when it stops", "nothing is left to take back")),
    Deed("pg_ctl", "restart", wide("sessions of others end when it stops", "nothing is left to take back")),
    Deed("pg_ctlcluster", "restart", wide("sessions of others end when it stops", "nothing is left to take back")),
    Deed("systemctl", "stop", removes("whoever uses it is turned away", "systemctl start")),
    Deed("chmod", "", narrow(Effect::Grants)),
    Deed("chgrp", "", narrow(Effect::Grants)),
    Deed("chown", "", narrow(Effect::Grants)),
    Deed("setfacl", "", narrow(Effect::Grants)),
    Deed("usermod", "-aG", narrow(Effect::Grants)),
    Deed("gpasswd", "-a", narrow(Effect::Grants)),
    Deed("setsebool", "", narrow(Effect::Grants)),
    Deed("semanage", "", narrow(Effect::Grants)),
    Deed("iptables", "-I", narrow(Effect::Grants)),
    Deed("ip6tables", "-I", narrow(Effect::Grants)),
    Deed("iptables", "-A", narrow(Effect::Grants)),
    Deed("ufw", "allow", narrow(Effect::Grants)),
    Deed("firewall-cmd", "--add-", narrow(Effect::Grants)),
    Deed("firewall-cmd", "--reload", narrow(Effect::Corrects)),
    Deed("ip", "add", wide("packets of others take the route as well", "ip route del")),
    Deed("ip", "replace", wide("packets of others take the route as well", "the route from before")),
    Deed("systemctl", "status", narrow(Effect::Looks)),
    Deed("systemctl", "show", narrow(Effect::Looks)),
    Deed("systemctl", "cat", narrow(Effect::Looks)),
    Deed("systemctl", "start", narrow(Effect::Corrects)),
    Deed("systemctl", "enable", narrow(Effect::Corrects)),
    Deed("systemctl", "reload", narrow(Effect::Corrects)),
    Deed("pg_ctl", "start", narrow(Effect::Corrects)),
    Deed("pg_ctl", "reload", narrow(Effect::Corrects)),
    Deed("pg_ctlcluster", "start", narrow(Effect::Corrects)),
    Deed("pg_ctlcluster", "reload", narrow(Effect::Corrects)),
    Deed("pgpool", "reload", narrow(Effect::Corrects)),
    Deed("find", "-delete", removes("the files are gone", "only from a copy")),
    Deed("find", "-exec", UNKNOWN),
    Deed("sed", "-i", narrow(Effect::Corrects)),
    Deed("openssl", "-out", narrow(Effect::Corrects)),
    Deed(
        "mount",
        "remount,rw",
        wide(
            "a file system that is read-only after an error of the disk is damaged more by writing",
            "mount -o remount,ro",
        ),
    ),
    Deed("mount", "", narrow(Effect::Corrects)),
];

/// Commands that add what is missing, or put back what was right, whatever their words.
const CORRECTS: &[&str] = &[
    "install",
    "mkdir",
    "ln",
    "cp",
    "touch",
    "tee",
    "dd",
    "restorecon",
    "apparmor_parser",
    "prlimit",
    "chattr",
    "createdb",
    "timedatectl",
    "make-ssl-cert",
    "pg_enc",
    "ssh-keygen",
];

/// The shell's own words, before which a command stands.
const KEYWORDS: &[&str] =
    &["{", "}", "!", "if", "then", "else", "elif", "fi", "do", "done", "while", "until", "time", "esac"];

/// Commands that only show something.
const LOOKS: &[&str] = &[
    "ls",
    "cat",
    "tail",
    "head",
    "namei",
    "stat",
    "getfacl",
    "df",
    "journalctl",
    "ss",
    "ip",
    "dig",
    "getent",
    "test",
    "findmnt",
    "lsattr",
    "lsblk",
    "grep",
    "id",
    "ps",
    "dmesg",
    "pg_lsclusters",
    "ausearch",
    "sesearch",
    "matchpathcon",
    "getsebool",
    "nft",
    "ping",
    "lsof",
    "fuser",
    "openssl",
    "curl",
    "nc",
    "aa-status",
    "tracepath",
    "awk",
    "cut",
    "paste",
    "sort",
    "uniq",
    "tr",
    "wc",
    "sed",
    "xargs",
    "od",
    "hostname",
    "date",
    "sleep",
    "pgrep",
    "readlink",
    "basename",
    "dirname",
    "find",
    "pg_config",
    "pg_isready",
    "gunzip",
    "zcat",
    "printf",
    "echo",
    "true",
    "false",
    "[",
    "exit",
    "break",
    "continue",
    "return",
    "cd",
    "umask",
    "set",
    "export",
    "read",
    "pg_dump",
    "du",
    "free",
    "uname",
    "sha256sum",
    "diff",
    "which",
    "type",
    "route",
    "resolvectl",
    "host",
    "nslookup",
    "traceroute",
];

/// What a shell text does: the gravest of its commands.
pub fn commands(text: &str) -> Price {
    let all = shell::commands(text);
    // `name() {` is read as the command `name`, and what is in it as commands of their own
    let functions: Vec<&str> =
        text.match_indices("()").filter_map(|(at, _)| text[..at].split([' ', '\n', ';']).next_back()).collect();
    let prices = all.iter().filter_map(|simple| price(simple, &functions));
    gravest(prices).unwrap_or(narrow(Effect::Looks))
}

fn price(simple: &Simple, functions: &[&str]) -> Option<Price> {
    let words: Vec<&str> = simple.words.iter().map(String::as_str).collect();
    let done = command(&words, functions);
    // what only shows something, and into a file, makes the file
    let written = simple.writes.then_some(narrow(Effect::Corrects));
    gravest(done.into_iter().chain(written))
}

/// What one command does; `None` for what is only the shell's grammar.
fn command(words: &[&str], functions: &[&str]) -> Option<Price> {
    let [head, rest @ ..] = words else { return None };
    let is_assignment =
        head.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_alphanumeric() || c == '_'));
    if KEYWORDS.contains(head) || is_assignment {
        return command(rest, functions);
    }
    let head = head.rsplit('/').next().unwrap_or(head);
    let after_options = || rest.iter().position(|word| !word.starts_with('-')).map_or(&[][..], |at| &rest[at..]);
    match head {
        // the words of a loop; what it does comes after `do`
        "for" | "case" => None,
        head if functions.contains(&head) => None,
        "runuser" | "setpriv" | "nsenter" | "sudo" | "su" | "chroot" | "unshare" => behind(rest, functions),
        "sh" | "bash" => rest
            .iter()
            .position(|word| *word == "-c")
            .map_or(Some(UNKNOWN), |at| rest.get(at + 1).map(|text| commands(text))),
        "env" | "nohup" | "exec" | "command" | "xargs" => {
            command(after_options(), functions).or(Some(narrow(Effect::Looks)))
        }
        "timeout" => command(after_options().get(1..).unwrap_or_default(), functions),
        "psql" | "sqlite3" => Some(given_to_a_database(rest)),
        _ => Some(by_its_row(head, rest)),
    }
}

/// What is run as somebody else, or in other namespaces.
fn behind(words: &[&str], functions: &[&str]) -> Option<Price> {
    if let Some(at) = words.iter().position(|word| *word == "--") {
        return command(&words[at + 1..], functions);
    }
    if let Some(at) = words.iter().position(|word| *word == "-c") {
        return words.get(at + 1).map(|text| commands(text));
    }
    let at = if words.first() == Some(&"-u") { 2 } else { 0 };
    command(words.get(at..).unwrap_or_default(), functions)
}

fn by_its_row(head: &str, rest: &[&str]) -> Price {
    let row = COMMANDS.iter().find(|Deed(first, then, _)| {
        *first == head && (then.is_empty() || rest.iter().any(|word| word.contains(then)))
    });
    match row {
        Some(Deed(_, _, price)) => *price,
        None if LOOKS.contains(&head) => narrow(Effect::Looks),
        None if CORRECTS.contains(&head) => narrow(Effect::Corrects),
        None => UNKNOWN,
    }
}

/// The statements that `psql -c '…'` or `sqlite3 FILE '…'` is given; without any it waits for some.
fn given_to_a_database(words: &[&str]) -> Price {
    let begins = |word: &&&str| {
        let word = word.trim_start().to_uppercase();
        STATEMENTS.iter().any(|Deed(first, _, _)| *first != "--" && word.starts_with(first))
    };
    let found: Vec<&str> = words.iter().filter(begins).copied().collect();
    match found.as_slice() {
        [] if words.iter().any(|word| word.starts_with(".restore")) => UNKNOWN,
        [] => narrow(Effect::Corrects),
        found => statements(&found.join(";")),
    }
}
