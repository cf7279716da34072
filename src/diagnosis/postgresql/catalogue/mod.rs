//! PostgreSQL's part of the catalogue: every id that this ladder can print.

mod connecting;
mod login;
mod statements;
mod table;

use crate::diagnosis::engine::kind::Entry;

/// In the order of the steps.
pub static ENTRIES: &[&[Entry]] = &[connecting::ENTRIES, login::ENTRIES, table::ENTRIES, statements::ENTRIES];

/// One row, in the order in which it is read.
const fn entry(
    id: &'static str,
    title: &'static str,
    meaning: &'static str,
    recognised: &'static str,
    fixes: &'static str,
) -> Entry {
    Entry { id, title, meaning, recognised, fixes }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    fn collect(directory: &Path, printed: &mut BTreeSet<String>) {
        for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() && !path.ends_with("catalogue") {
                collect(&path, printed);
            } else if path.is_file() {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap();
                let ids = code.match_indices("\"DBT").filter_map(|(at, _)| code.get(at + 1..at + 8));
                printed.extend(ids.filter(|id| id[3..].chars().all(|c| c.is_ascii_digit())).map(str::to_owned));
            }
        }
    }

    /// The ids in the sources of this ladder are those in its catalogue.
    #[test]
    fn every_id_that_is_printed_has_its_entry_and_no_entry_is_unused() {
        let mut printed = BTreeSet::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/diagnosis/postgresql"), &mut printed);
        let listed: BTreeSet<String> =
            super::ENTRIES.iter().copied().flatten().map(|entry| entry.id.to_owned()).collect();
        assert_eq!(printed, listed);
    }
}
