use crate::diagnosis::Entry;
pub static ENTRIES: &[Entry] = &[];
