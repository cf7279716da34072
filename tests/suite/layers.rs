//! The house keeps its order: no two files of src import each other, in however wide a circle, and nothing names what
//! stands above it. Read from the paths in the code (`use` lines and those within it), not from what it does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The module's path, as `diagnosis::report::text`, and the modules that its code names.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Who may not name whom: each rule with its reason.
const DIRECTIONS: &[(&str, &str, &str)] = &[
    ("config", "app", "settings know no pages"),
    ("config", "diagnosis", "settings know no diagnosis"),
    ("database", "app", "a connection knows no pages"),
    ("database", "config", "a connection knows no directives"),
    ("database", "diagnosis", "a connection knows no diagnosis"),
    ("diagnosis", "app", "the diagnosis knows no pages"),
    ("diagnosis", "httpd", "the diagnosis runs without a server"),
    ("app", "httpd", "the pages run without a server"),
    ("diagnosis::report", "diagnosis::engine", "a report is plain data"),
    ("diagnosis::report", "diagnosis::host", "a report is plain data"),
    ("diagnosis::report", "diagnosis::sqlite", "a report knows no kind"),
    ("diagnosis::report", "diagnosis::postgresql", "a report knows no kind"),
    ("diagnosis::host", "diagnosis::engine", "what the machine is asked does not depend on who runs it"),
    ("diagnosis::host", "diagnosis::sqlite", "the machine knows no kind"),
    ("diagnosis::host", "diagnosis::postgresql", "the machine knows no kind"),
    ("diagnosis::engine", "diagnosis::sqlite", "the engine knows no kind"),
    ("diagnosis::engine", "diagnosis::postgresql", "the engine knows no kind"),
    ("diagnosis::sqlite", "diagnosis::postgresql", "one kind knows no other"),
    ("diagnosis::postgresql", "diagnosis::sqlite", "one kind knows no other"),
    ("diagnosis::sqlite::gather", "diagnosis::sqlite::rules", "what looks does not judge"),
    ("diagnosis::postgresql::gather", "diagnosis::postgresql::rules", "what looks does not judge"),
    ("diagnosis::postgresql::evidence", "diagnosis::postgresql::gather", "evidence is plain data"),
    ("diagnosis::postgresql::evidence", "diagnosis::postgresql::rules", "evidence is plain data"),
    ("diagnosis::postgresql::gather", "diagnosis::postgresql::ladder", "what looks does not climb"),
    ("diagnosis::postgresql::rules", "diagnosis::postgresql::ladder", "what judges does not climb"),
    ("diagnosis::postgresql::rules", "diagnosis::postgresql::gather", "what judges does not look"),
];

#[test]
fn no_two_files_import_each_other() {
    let imports = imports();
    let mut circles = Vec::new();
    for module in imports.keys() {
        let mut seen = BTreeSet::new();
        if reaches(&imports, module, module, &mut seen) {
            circles.push(module.as_str());
        }
    }
    assert!(circles.is_empty(), "each of these leads back to itself: {circles:#?}");
}

#[test]
fn nothing_names_what_stands_above_it() {
    let imports = imports();
    let within = |module: &str, area: &str| module == area || module.starts_with(&format!("{area}::"));
    let mut wrong = Vec::new();
    for (from, to, why) in DIRECTIONS {
        for area in [from, to] {
            assert!(imports.keys().any(|module| within(module, area)), "there is no {area} any more");
        }
        for (module, named) in imports.iter().filter(|(module, _)| within(module, from)) {
            wrong.extend(
                named.iter().filter(|name| within(name, to)).map(|name| format!("{module} names {name}: {why}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Rules judge what was gathered: they open no file and no connection, and ask neither the process nor its clock.
#[test]
fn rules_name_no_io() {
    const IO: &[&str] =
        &["std::fs", "std::process", "std::env", "std::time::Instant", "std::time::SystemTime", "std::os::unix"];
    const CONNECTIONS: &[&str] = &["TcpStream", "UdpSocket", "UnixStream", "TcpListener", "ToSocketAddrs"];
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnosis/postgresql/rules");
    let mut files = Vec::new();
    collect(&rules, &mut files);
    assert!(files.len() > 20, "the rules are elsewhere: {files:?}");
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let code = code(&text);
        let named = IO.iter().chain(CONNECTIONS).filter(|name| code.contains(**name));
        wrong.extend(named.map(|name| format!("{} names {name}", file.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn reaches(imports: &Imports, from: &str, goal: &str, seen: &mut BTreeSet<String>) -> bool {
    imports[from].iter().any(|next| next == goal || seen.insert(next.clone()) && reaches(imports, next, goal, seen))
}

/// The imports of every file of src but for its tests.
fn imports() -> Imports {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    let modules: BTreeMap<String, PathBuf> = files.into_iter().map(|file| (module_of(&src, &file), file)).collect();
    assert!(modules.len() > 100, "src is elsewhere: {modules:?}");
    let named = |(module, file): (&String, &PathBuf)| {
        let text = std::fs::read_to_string(file).expect("a source file");
        let mut found: BTreeSet<String> =
            paths(&text).iter().filter_map(|path| resolve(&modules, module, path)).collect();
        found.remove(module);
        (module.clone(), found)
    };
    modules.iter().map(named).collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("src") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match path.is_dir() {
            true if name != "tests" => collect(&path, files),
            false if name.ends_with(".rs") && name != "tests.rs" && !name.contains("testing") => files.push(path),
            _ => {}
        }
    }
}

fn module_of(src: &Path, file: &Path) -> String {
    let inner = file.strip_prefix(src).expect("below src").with_extension("");
    let mut parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy()).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts.join("::")
}

/// A file without its tests and comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).flat_map(|line| [line, "\n"]).collect()
}

/// The paths that begin with `crate::` or `super::`, those in braces each for itself; without comments and tests.
fn paths(text: &str) -> Vec<String> {
    let code = code(text);
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(is_path) {
                continue;
            }
            let rest = &code[at..];
            let end = rest.find(|c| !is_path(c)).unwrap_or(rest.len());
            let (path, rest) = rest.split_at(end);
            match rest.strip_prefix('{').and_then(|list| list.split_once('}')) {
                Some((list, _)) if path.ends_with("::") => {
                    found.extend(list.split(',').map(|name| format!("{path}{}", name.trim())));
                }
                _ => found.push(path.to_owned()),
            }
        }
    }
    found
}

/// The file that a path leads to, from within `module`.
fn resolve(modules: &BTreeMap<String, PathBuf>, module: &str, path: &str) -> Option<String> {
    let mut at: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
    let mut parts = path.split("::").map(|part| part.split(' ').next().unwrap_or_default()).peekable();
    if parts.peek() == Some(&"crate") {
        at.clear();
        parts.next();
    }
    while parts.peek() == Some(&"super") {
        at.pop();
        parts.next();
    }
    at.extend(parts.filter(|part| !part.is_empty() && *part != "self"));
    (1..=at.len()).rev().map(|length| at[..length].join("::")).find(|name| modules.contains_key(name))
}
