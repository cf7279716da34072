//! Rows as they come from a database: their texts in one piece of memory, so that a page of them costs two allocations
//! and not two a row.

use std::fmt;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// Primary key, assigned by the database.
    pub id: i64,
    /// At most 255 characters, as the database counts them.
    pub stuff: &'a str,
    /// Any text.
    pub things: &'a str,
}

/// Some rows, in the order in which they were pushed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Rows {
    places: Vec<Place>,
    /// All texts, one behind the other.
    texts: String,
}

/// Where a row's texts end. They begin where those of the row before end.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    id: i64,
    stuff_end: usize,
    things_end: usize,
}

/// A page takes no more rows once its texts have so many bytes: there may be twenty of them at a time in a server, and
/// what is left out is on the next page. PostgreSQL and SQLite allow a gigabyte in a single text.
pub const MOST_TEXT: usize = 8 << 20;

/// Bytes reserved for the texts of a row, roughly.
const TEXTS: usize = 160;
/// More rows than this are not reserved for: nobody knows that they exist.
const MOST_RESERVED: usize = 256;

impl Rows {
    /// No rows yet, and room for about so many.
    pub fn with_capacity(rows: usize) -> Self {
        let rows = rows.min(MOST_RESERVED);
        Self { places: Vec::with_capacity(rows), texts: String::with_capacity(rows * TEXTS) }
    }

    pub fn push(&mut self, row: Row<'_>) {
        self.texts.push_str(row.stuff);
        let stuff_end = self.texts.len();
        self.texts.push_str(row.things);
        self.places.push(Place { id: row.id, stuff_end, things_end: self.texts.len() });
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The length of all texts together, in bytes.
    pub fn text_bytes(&self) -> usize {
        self.texts.len()
    }

    pub fn get(&self, at: usize) -> Option<Row<'_>> {
        let place = self.places.get(at)?;
        let start = at.checked_sub(1).map_or(0, |before| self.places[before].things_end);
        let (stuff, things) = (&self.texts[start..place.stuff_end], &self.texts[place.stuff_end..place.things_end]);
        Some(Row { id: place.id, stuff, things })
    }

    pub fn last(&self) -> Option<Row<'_>> {
        self.get(self.len().checked_sub(1)?)
    }

    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let mut start = 0;
        self.places.iter().map(move |place| {
            let texts = &self.texts[start..place.things_end];
            let (stuff, things) = texts.split_at(place.stuff_end - start);
            start = place.things_end;
            Row { id: place.id, stuff, things }
        })
    }

    /// Keeps the first so many rows.
    pub fn truncate(&mut self, rows: usize) {
        self.places.truncate(rows);
        self.texts.truncate(self.places.last().map_or(0, |last| last.things_end));
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> FromIterator<Row<'a>> for Rows {
    fn from_iter<T: IntoIterator<Item = Row<'a>>>(all: T) -> Self {
        let mut rows = Self::default();
        all.into_iter().for_each(|row| rows.push(row));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_as_they_were_pushed() {
        let given = [
            Row { id: 3, stuff: "", things: "" },
            Row { id: -2, stuff: "é", things: "b" },
            Row { id: 1, stuff: "c", things: "" },
        ];
        let mut rows: Rows = given.into_iter().collect();
        assert_eq!(rows.iter().collect::<Vec<_>>(), given);
        assert_eq!(
            [rows.get(0), rows.get(1), rows.get(2), rows.get(3)],
            [Some(given[0]), Some(given[1]), Some(given[2]), None]
        );
        assert_eq!((rows.len(), rows.last(), rows.text_bytes()), (3, Some(given[2]), 4));
        rows.truncate(2);
        assert_eq!(rows, given[..2].iter().copied().collect());
        rows.push(given[2]);
        assert_eq!(rows, given.into_iter().collect());
        rows.truncate(0);
        assert!(rows.is_empty() && rows.last().is_none() && rows == Rows::default());
    }
}
