//! Every id the module can print, with its meaning: the source of docs/errors.md and of `check?explain=`.
//! An id is never given another meaning. Each kind of database brings its own tables; the first two digits
//! are the stage (01 config … 14 durable, 15 capacity), then 00–49 PostgreSQL, 50–89 SQLite, 90–99 any kind
//! (80–99 in 01, where no kind has any of its own).

use super::DIAGNOSES;
use crate::diagnosis::engine::generic;
use crate::diagnosis::engine::kind::Entry;

/// Every entry of every kind, in no order.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    let kinds = DIAGNOSES.iter().copied().chain([&generic::DIAGNOSIS]);
    kinds.flat_map(|diagnosis| diagnosis.entries.iter().copied()).flatten()
}

/// The entry of an id.
pub fn explain(id: &str) -> Option<&'static Entry> {
    entries().find(|entry| entry.id == id)
}

/// docs/errors.md.
#[cfg(test)]
pub fn document() -> String {
    let mut all: Vec<&Entry> = entries().collect();
    all.sort_by_key(|entry| entry.id);
    let mut text = String::from(
        "# The ids that mod_dbtest prints\n\n\
         Each message of the module has an id that never gets another meaning: on the check page, in JSON, on the command \
         line and in httpd's error log. The first two digits are the step of the ladder that failed: 01 config, 02 who, \
         03 resolve, 04 reach, 05 speaks, 06 tls, 07 admitted, 08 authenticated, 09 session, 10 schema, 11 privileges, \
         12 read, 13 write, 14 durable, 15 capacity. The last two: 00–49 PostgreSQL, 50–89 SQLite, 90–99 any database (01: 80–99).\n\n\
         The check page shows one with `?explain=`, for instance `/dbtest/check?explain=DBT0453`.\n\n\
         This file is made from the same source as the messages; a test keeps them equal \
         (`DBTEST_BLESS=1 cargo test --lib catalogue` writes it anew).\n",
    );
    for entry in all {
        text.push_str(&format!(
            "\n## {}\n\n**{}.** {}\n\n- Recognised by: {}\n- What helps: {}\n",
            entry.id, entry.title, entry.meaning, entry.recognised, entry.fixes
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn ids_are_unique_and_well_formed() {
        let mut seen = BTreeSet::new();
        for entry in entries() {
            assert!(seen.insert(entry.id), "{} is there twice", entry.id);
            let digits = entry.id.strip_prefix("DBT").expect("DBT");
            assert!(digits.len() == 4 && digits.chars().all(|c| c.is_ascii_digit()), "{}", entry.id);
            let stage: u32 = digits[..2].parse().unwrap();
            assert!((1..=15).contains(&stage), "{}", entry.id);
            for text in [entry.title, entry.meaning, entry.recognised, entry.fixes] {
                assert!(!text.trim().is_empty(), "{} lacks a text", entry.id);
            }
        }
    }

    #[test]
    fn docs_errors_md_is_the_catalogue() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
        let text = document();
        if std::env::var_os("DBTEST_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == text,
            "docs/errors.md differs: write it anew with DBTEST_BLESS=1 cargo test --lib catalogue"
        );
    }

    /// Every id that stands in the diagnosis' code is in the catalogue, and every id in the catalogue is used.
    #[test]
    fn every_id_in_the_code_is_explained_and_every_explained_one_is_used() {
        let known: BTreeSet<&str> = entries().map(|entry| entry.id).collect();
        let mut constants = std::collections::BTreeMap::new();
        let mut sources = Vec::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnosis"), &mut sources);
        for path in &sources {
            let text = std::fs::read_to_string(path).unwrap();
            let code: String = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap()
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .flat_map(|line| [line, "\n"])
                .collect();
            for (at, _) in code.match_indices("\"DBT") {
                let Some(id) = code.get(at + 1..at + 8).filter(|id| id[3..].chars().all(|c| c.is_ascii_digit())) else {
                    continue;
                };
                if path.file_name().is_some_and(|name| name == "builder.rs" || name == "tests.rs") {
                    continue;
                }
                assert!(known.contains(id), "{id} in {} is not in the catalogue", path.display());
                // `NAME = "DBT0350": …` in a table of constants
                let name = code[..at].trim_end().strip_suffix('=').map(|before| before.trim_end());
                let name = name.and_then(|before| before.rsplit(char::is_whitespace).next());
                if let Some(name) = name.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_')) {
                    constants.insert(name.to_owned(), id.to_owned());
                }
            }
        }
        let all: String = sources.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        for (name, id) in constants {
            assert!(all.contains(&format!("id::{name}")), "{id} ({name}) is explained and never used");
        }
    }

    fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
}
