//! The model: unchanged from the original, which called its columns and its form's fields so.

use super::model::{Field, Model};

/// Table `stuff`: `id` assigned by the database, `stuff` varchar(255), `things` text.
pub static STUFF: Model = Model {
    fields: &[
        Field { name: "stuff", label: "Stuff", hint: "At most 255 characters.", most: Some(255), lines: false },
        Field { name: "things", label: "Things", hint: "Any text.", most: None, lines: true },
    ],
    submit: ("submit", "Add row"),
};
