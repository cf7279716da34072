//! A JSON object of texts, strictly: a name that comes twice is refused, since nobody could say which one was meant
//! (RFC 8259, 4), and what is not asked for is passed over without being kept.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};

/// The value of a name that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    /// Not a string.
    Other,
}

/// More names than any of our objects has.
const MOST_NAMES: usize = 16;

/// Reads the values of these names; the error is the reason, to stand behind "Nothing was saved:".
pub fn read(bytes: &[u8], names: &[&str]) -> Result<HashMap<String, Value>, String> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let object = json.deserialize_any(Object(names)).and_then(|object| json.end().map(|()| object));
    match object {
        Ok(object) => Ok(object),
        // an error of ours has no place
        Err(error) if error.is_data() => Err(error.to_string().split(" at line ").next().unwrap_or_default().into()),
        Err(error) => Err(format!("the body is not JSON: {error}")),
    }
}

struct Object<'a>(&'a [&'a str]);

impl<'de> Visitor<'de> for Object<'_> {
    type Value = HashMap<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = HashMap::new();
        let mut seen: Vec<String> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if seen.contains(&name) {
                return Err(de::Error::custom("the body names a field twice"));
            }
            if seen.len() == MOST_NAMES {
                return Err(de::Error::custom(format!("the body has more than {MOST_NAMES} fields")));
            }
            if self.0.contains(&name.as_str()) {
                values.insert(name.clone(), map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            seen.push(name);
        }
        Ok(values)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Text)
    }
}

struct Text;

/// A string, or anything else, which is passed over.
impl<'de> Visitor<'de> for Text {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<HashMap<String, Value>, String> {
        read(text.as_bytes(), &["a", "b"])
    }

    #[test]
    fn texts_and_what_is_none() {
        let object = of(r#"{"a":"\u00e9","x":{"deep":[1]},"b":[1,{"c":null}]}"#).unwrap();
        assert_eq!(object["a"], Value::Text("é".into()));
        assert_eq!(object["b"], Value::Other);
        assert_eq!(object.len(), 2);
        for other in ["true", "-1", "1.5", "7", "null", "{\"a\":1}"] {
            assert_eq!(of(&format!("{{\"a\":{other}}}")).unwrap()["a"], Value::Other, "{other}");
        }
    }

    #[test]
    fn a_name_twice_and_what_is_no_object_are_refused() {
        for (text, why) in [
            (r#"{"a":"1","\u0061":"2"}"#, "the body names a field twice"),
            (r#"{"x":1,"x":2}"#, "the body names a field twice"),
            ("[]", "invalid type: sequence, expected an object"),
            ("7", "invalid type: integer `7`, expected an object"),
            ("", "the body is not JSON: EOF"),
            ("{} {}", "the body is not JSON: trailing characters"),
        ] {
            assert!(of(text).unwrap_err().starts_with(why), "{text}: {:?}", of(text));
        }
        let many: Vec<String> = (0..17).map(|number| format!("\"f{number}\":0")).collect();
        assert!(of(&format!("{{{}}}", many.join(","))).unwrap_err().contains("more than 16 fields"));
    }
}
