//! What a model is: its fields, their limits, and the check of what a visitor sent for them.
//!
//! A model is one [`Model`] value in one file (`stuff.rs`); form, validation, messages and JSON follow from it.

use super::form::Form;
use super::object;

/// A thing that can be entered and listed.
pub struct Model {
    pub fields: &'static [Field],
    /// The label of the button, and the name the button is posted under.
    pub submit: (&'static str, &'static str),
}

/// One field of a model. Every field is required.
#[derive(Debug)]
pub struct Field {
    /// Name in forms and JSON.
    pub name: &'static str,
    pub label: &'static str,
    /// Says what is expected, below the label; empty for nothing.
    pub hint: &'static str,
    /// At most this many characters (Unicode code points, as `varchar(n)` counts them).
    pub most: Option<usize>,
    /// Entered in several lines.
    pub lines: bool,
}

/// What a visitor sent for a model.
#[derive(Debug)]
pub struct Entry {
    pub inputs: Vec<Input>,
    /// What is wrong with the whole, where no field can be named.
    pub mistake: Option<String>,
}

/// What was sent for one field, and what is wrong with it.
#[derive(Debug)]
pub struct Input {
    pub field: &'static Field,
    /// As sent; bytes that are no text are shown as U+FFFD, and are a mistake.
    pub typed: String,
    pub mistake: Option<String>,
}

impl Model {
    /// Nothing typed yet.
    pub fn blank(&self) -> Entry {
        let blank = |field| Input { field, typed: String::new(), mistake: None };
        Entry { inputs: self.fields.iter().map(blank).collect(), mistake: None }
    }

    /// What a form of this model may hold: its fields and its button.
    pub fn names(&self) -> Vec<&'static str> {
        self.fields.iter().map(|field| field.name).chain([self.submit.0]).collect()
    }

    /// From a posted form.
    pub fn read_form(&self, form: &mut Form) -> Entry {
        self.entry(|field| match String::from_utf8(form.take(field.name).unwrap_or_default()) {
            Ok(text) => (text, None),
            Err(error) => (
                String::from_utf8_lossy(error.as_bytes()).into_owned(),
                Some("This is not text in UTF-8; the bytes that could not be read are shown as \u{fffd}.".into()),
            ),
        })
    }

    /// From a JSON object. What is not one is refused with the reason.
    pub fn read_json(&self, bytes: &[u8]) -> Result<Entry, String> {
        let mut object = object::read(bytes, &self.names())?;
        Ok(self.entry(|field| match object.remove(field.name) {
            Some(object::Value::Text(text)) => (text, None),
            Some(object::Value::Other) => (String::new(), Some("This must be a string.".into())),
            None => (String::new(), None),
        }))
    }

    fn entry(&self, mut read: impl FnMut(&'static Field) -> (String, Option<String>)) -> Entry {
        let inputs = self.fields.iter().map(|field| {
            let (typed, mistake) = read(field);
            let mistake = mistake.or_else(|| field.mistake(&typed));
            Input { field, typed, mistake }
        });
        Entry { inputs: inputs.collect(), mistake: None }
    }
}

impl Field {
    /// What is wrong with a text. White space counts towards the length and is stored as typed, but alone
    /// it is nothing.
    fn mistake(&self, text: &str) -> Option<String> {
        if text.trim().is_empty() {
            return Some("Please fill in this field.".into());
        }
        if text.contains('\0') {
            return Some("This holds a NUL character, which a text in a database cannot.".into());
        }
        let most = self.most?;
        // no text has more characters than bytes: most need no counting
        if text.len() <= most {
            return None;
        }
        let count = text.chars().count();
        (count > most).then(|| format!("At most {most} characters; this has {count}."))
    }
}

impl Entry {
    /// Whether it may be stored.
    pub fn is_sound(&self) -> bool {
        self.inputs.iter().all(|input| input.mistake.is_none())
    }

    /// Notes that the database does not take what stands in a field, or in all of them together.
    pub fn refuse(&mut self, field: Option<&str>, message: String) {
        match self.inputs.iter_mut().find(|input| Some(input.field.name) == field) {
            Some(input) => input.mistake = Some(message),
            None => self.mistake = Some(message),
        }
    }

    /// How many fields have a mistake.
    pub fn mistakes(&self) -> usize {
        self.inputs.iter().filter(|input| input.mistake.is_some()).count()
    }

    /// What was typed in a field.
    pub fn text(&self, name: &str) -> &str {
        self.inputs.iter().find(|input| input.field.name == name).map_or("", |input| &input.typed)
    }

    /// Whether this is the first input with a mistake: where the cursor belongs.
    pub fn is_first_mistake(&self, input: &Input) -> bool {
        self.inputs.iter().find(|input| input.mistake.is_some()).is_some_and(|first| std::ptr::eq(first, input))
    }
}

#[cfg(test)]
mod tests {
    use super::super::stuff::STUFF;
    use super::*;

    fn form(body: &str) -> Entry {
        STUFF.read_form(&mut Form::parse(body.as_bytes()).unwrap())
    }

    fn mistake(entry: &Entry, name: &str) -> String {
        let input = entry.inputs.iter().find(|input| input.field.name == name).unwrap();
        input.mistake.clone().unwrap_or_default()
    }

    #[test]
    fn a_sound_entry_is_kept_as_typed() {
        let entry = form("stuff=+a+&things=%0D%0A+b%0D%0A&submit=Submit");
        assert!(entry.is_sound());
        assert_eq!((entry.text("stuff"), entry.text("things")), (" a ", "\r\n b\r\n"));
        assert!(!entry.is_first_mistake(&entry.inputs[0]));
    }

    #[test]
    fn both_fields_are_required_and_white_space_is_nothing() {
        for body in ["", "stuff=&things=", "stuff=+%09&things=%0D%0A%C2%A0%E3%80%80"] {
            let entry = form(body);
            assert_eq!(entry.mistakes(), 2, "{body}");
            assert!(entry.is_first_mistake(&entry.inputs[0]) && !entry.is_first_mistake(&entry.inputs[1]));
            assert_eq!(mistake(&entry, "things"), "Please fill in this field.");
        }
    }

    #[test]
    fn stuff_is_counted_in_characters_as_the_database_counts() {
        let of = |text: &str| form(&format!("stuff={text}&things=x"));
        assert!(of(&"a".repeat(255)).is_sound());
        assert!(of(&"%F0%9F%98%80".repeat(255)).is_sound(), "255 characters of four bytes each");
        assert_eq!(mistake(&of(&"a".repeat(256)), "stuff"), "At most 255 characters; this has 256.");
        assert_eq!(mistake(&of(&"e%CC%81".repeat(128)), "stuff"), "At most 255 characters; this has 256.");
        assert!(form(&format!("stuff=a&things={}", "a".repeat(60_000))).is_sound(), "things have no limit");
    }

    #[test]
    fn what_is_no_text_is_said_beside_the_field() {
        let entry = form("stuff=a%FFb&things=a%00b");
        assert!(mistake(&entry, "stuff").contains("UTF-8"));
        assert_eq!(entry.text("stuff"), "a\u{fffd}b");
        assert!(mistake(&entry, "things").contains("NUL"));
        assert_eq!(entry.text("things"), "a\0b");
        assert!(mistake(&form("stuff=%ED%A0%80&things=x"), "stuff").contains("UTF-8"), "a lone surrogate");
    }

    #[test]
    fn json_is_checked_by_the_same_rules() {
        let entry = STUFF.read_json(br#"{"stuff":"caf\u00e9 \ud83d\ude00","things":"b","id":7}"#).unwrap();
        assert!(entry.is_sound());
        assert_eq!(entry.text("stuff"), "café 😀");
        let entry = STUFF.read_json(br#"{"stuff":7,"things":"a\u0000"}"#).unwrap();
        assert_eq!(mistake(&entry, "stuff"), "This must be a string.");
        assert!(mistake(&entry, "things").contains("NUL"));
        for bad in [&b"[]"[..], b"", b"{", b"\"\\ud800\"", b"{\"stuff\":\"\xff\"}", b"null"] {
            assert!(STUFF.read_json(bad).is_err(), "{bad:?}");
        }
        assert!(STUFF.read_json("[".repeat(100_000).as_bytes()).is_err(), "no stack is deep enough");
    }
}
