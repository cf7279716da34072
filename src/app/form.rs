//! `application/x-www-form-urlencoded`, strictly: what a browser's form or a query string holds.
//!
//! httpd's own parser (ap_parse_form_data) decodes before it splits, so that `%3D` in a text ends its name,
//! accepts `%zz`, and lets NUL through. Here the bytes are split first and decoded afterwards, and what is
//! not well formed is refused with the reason.

/// The pairs of a form in the order they came. Values are bytes: whether they are text is the model's question.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(Vec<u8>, Vec<u8>)>);

/// Why bytes are not a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A percent sign without two hexadecimal digits after it, at this byte.
    #[error("a % sign without two hexadecimal digits after it, at byte {0}")]
    Percent(usize),
    /// The same name twice: nobody could say which one was meant.
    #[error("the field \"{0}\" was sent twice")]
    Twice(String),
    /// A name that nobody asked for.
    #[error("the field \"{0}\", which is not one of the form's")]
    Unknown(String),
    /// More fields than any form or address of ours has.
    #[error("more than {MOST_FIELDS} fields")]
    TooMany,
}

/// Far more than any form or address of ours has: what a request costs must not grow with the square of its length.
const MOST_FIELDS: usize = 16;

impl Form {
    /// Splits at `&` and `=`, then decodes `+` and `%XX`. Names that mean nothing are kept: an address may carry marks of
    /// others.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        Self::read(bytes, |_| true)
    }

    /// The same for a form that has these fields and no other.
    pub fn parse_fields(bytes: &[u8], fields: &[&str]) -> Result<Self, FormError> {
        Self::read(bytes, |name| fields.iter().any(|field| field.as_bytes() == name))
    }

    fn read(bytes: &[u8], is_known: impl Fn(&[u8]) -> bool) -> Result<Self, FormError> {
        let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut start = 0;
        for pair in bytes.split(|&byte| byte == b'&') {
            if !pair.is_empty() {
                let equals = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
                let name = decode(&pair[..equals], start)?;
                if !is_known(&name) {
                    return Err(FormError::Unknown(shown(&name)));
                }
                if pairs.iter().any(|(other, _)| *other == name) {
                    return Err(FormError::Twice(shown(&name)));
                }
                if pairs.len() == MOST_FIELDS {
                    return Err(FormError::TooMany);
                }
                let value = decode(pair.get(equals + 1..).unwrap_or_default(), start + equals + 1)?;
                pairs.push((name, value));
            }
            start += pair.len() + 1;
        }
        Ok(Self(pairs))
    }

    /// The value of a field, if it was sent.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(other, _)| other == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// Takes the value of a field out, without a copy.
    pub fn take(&mut self, name: &str) -> Option<Vec<u8>> {
        let at = self.0.iter().position(|(other, _)| other == name.as_bytes())?;
        Some(self.0.swap_remove(at).1)
    }
}

/// A name for a message: its beginning, if it is long.
fn shown(name: &[u8]) -> String {
    const ENOUGH: usize = 40;
    let text = String::from_utf8_lossy(name);
    let cut: String = text.chars().filter(|c| !c.is_control()).take(ENOUGH).collect();
    if cut.chars().count() == ENOUGH { cut + "…" } else { cut }
}

/// Decodes one name or value that begins at byte `start` of the whole.
fn decode(bytes: &[u8], start: usize) -> Result<Vec<u8>, FormError> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().enumerate();
    while let Some((at, &byte)) = rest.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => match (rest.next().and_then(hex), rest.next().and_then(hex)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(FormError::Percent(start + at)),
            },
            byte => byte,
        });
    }
    Ok(out)
}

fn hex((_, digit): (usize, &u8)) -> Option<u8> {
    char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Result<Vec<(String, String)>, FormError> {
        let text_of = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
        Ok(Form::parse(text.as_bytes())?.0.iter().map(|(name, value)| (text_of(name), text_of(value))).collect())
    }

    fn owned(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_the_original_form_posts_is_read() {
        let got = pairs("stuff=a+b&things=caf%C3%A9%0D%0A%26%3D%2B&submit=Submit").unwrap();
        assert_eq!(got, owned(&[("stuff", "a b"), ("things", "café\r\n&=+"), ("submit", "Submit")]));
    }

    #[test]
    fn it_splits_before_it_decodes() {
        assert_eq!(pairs("a%3Db=c%26d=e").unwrap(), owned(&[("a=b", "c&d=e")]));
    }

    #[test]
    fn missing_parts_are_empty() {
        assert_eq!(pairs("").unwrap(), vec![]);
        assert_eq!(pairs("&&a&=b&c=&").unwrap(), owned(&[("a", ""), ("", "b"), ("c", "")]));
        assert_eq!(pairs("a==b=").unwrap(), owned(&[("a", "=b=")]));
    }

    #[test]
    fn a_broken_percent_is_refused_where_it_stands() {
        for (text, at) in [("a=%", 2), ("a=b&c=x%4", 7), ("%zz=1", 0), ("a=%+1", 2), ("a=1&b=%-1x", 6), ("x=%é", 2)] {
            assert_eq!(pairs(text), Err(FormError::Percent(at)), "{text}");
        }
    }

    #[test]
    fn a_field_sent_twice_is_refused_however_it_is_spelt() {
        assert_eq!(pairs("stuff=1&st%75ff=2"), Err(FormError::Twice("stuff".into())));
    }

    #[test]
    fn a_field_that_is_not_the_forms_is_refused_at_once_and_their_number_is_bounded() {
        let fields = ["stuff", "things"];
        assert!(Form::parse_fields(b"stuff=1&things=2", &fields).is_ok());
        assert_eq!(Form::parse_fields(b"stuff=1&x%3C=2&%", &fields), Err(FormError::Unknown("x<".into())));
        let long = format!("{}=1", "n".repeat(1000));
        let Err(FormError::Unknown(name)) = Form::parse_fields(long.as_bytes(), &fields) else { panic!() };
        assert_eq!(name.chars().count(), 41);
        let many: Vec<String> = (0..=MOST_FIELDS).map(|number| format!("f{number}=")).collect();
        assert!(Form::parse(many[1..].join("&").as_bytes()).is_ok());
        assert_eq!(Form::parse(many.join("&").as_bytes()), Err(FormError::TooMany));
    }

    #[test]
    fn bytes_that_are_not_text_are_kept_for_the_model_to_judge() {
        let mut form = Form::parse(b"stuff=%FF%00\xFE&b=1").unwrap();
        assert_eq!(form.get("stuff"), Some(&b"\xFF\x00\xFE"[..]));
        assert_eq!(form.take("stuff"), Some(b"\xFF\x00\xFE".to_vec()));
        assert_eq!(form.get("stuff"), None);
        assert_eq!(form.get("b"), Some(&b"1"[..]));
    }

    /// A small generator without a dependency: splitmix64.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn whatever_bytes_a_browser_encodes_come_back() {
        let mut state = 1;
        for _ in 0..2_000 {
            let mut bytes = || -> Vec<u8> { (0..random(&mut state) % 12).map(|_| random(&mut state) as u8).collect() };
            let (name, value) = (bytes(), bytes());
            let encode =
                |bytes: &[u8]| percent_encoding::percent_encode(bytes, percent_encoding::NON_ALPHANUMERIC).to_string();
            let text = format!("{}={}&{}x=1", encode(&name), encode(&value), encode(&name));
            let form = Form::parse(text.as_bytes()).unwrap();
            assert_eq!(form.0[0], (name, value), "{text}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut state = 2;
        for _ in 0..20_000 {
            let alphabet = b"%&=+aF0\xff\0";
            let bytes: Vec<u8> = (0..random(&mut state) % 16)
                .map(|_| alphabet[(random(&mut state) % alphabet.len() as u64) as usize])
                .collect();
            if let Err(FormError::Percent(at)) = Form::parse(&bytes) {
                assert_eq!(bytes[at], b'%', "{bytes:?}");
            }
        }
    }
}
