//! PostgreSQL's part of the catalogue: every id that this ladder can print.

mod connecting;
mod login;
mod statements;
mod table;

use crate::diagnosis::Entry;

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

    /// The ids in the sources of this ladder, and those in its catalogue.
    #[test]
    fn every_id_that_is_printed_has_its_entry_and_no_entry_is_unused() {
        let mut printed = BTreeSet::new();
        for file in
            std::fs::read_dir("src/diagnosis/postgresql").unwrap().flatten().filter(|file| file.path().is_file())
        {
            let text = std::fs::read_to_string(file.path()).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            printed.extend(
                code.match_indices("\"DBT")
                    .filter_map(|(at, _)| code.get(at + 1..at + 8))
                    .filter(|id| id[3..].chars().all(|c| c.is_ascii_digit()))
                    .map(str::to_owned),
            );
        }
        let listed: BTreeSet<String> =
            super::ENTRIES.iter().copied().flatten().map(|entry| entry.id.to_owned()).collect();
        assert!(printed.len() > 150, "{}", printed.len());
        assert_eq!(printed, listed);
    }
}
