//! `require_auth`: the ways of logging in that a server may ask for, as libpq has them (PostgreSQL 18, "require_auth").

use crate::database::ParseError;
use crate::database::text::{nearest, shown, wrong};

/// libpq's words.
const METHODS: [(&str, AuthMethod); 7] = [
    ("password", AuthMethod::Password),
    ("md5", AuthMethod::Md5),
    ("gss", AuthMethod::Gss),
    ("sspi", AuthMethod::Sspi),
    ("scram-sha-256", AuthMethod::Scram),
    ("oauth", AuthMethod::Oauth),
    ("none", AuthMethod::None),
];

/// What a server may ask for before it lets somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// The password in the clear.
    Password,
    Md5,
    Gss,
    Sspi,
    Scram,
    Oauth,
    /// Nothing at all: `trust`, `peer`, a client certificate.
    None,
}

/// The methods that were written, and whether they are those that are allowed or those that are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequireAuth {
    methods: Vec<AuthMethod>,
    /// Each was written with a `!` before it.
    negated: bool,
}

impl RequireAuth {
    /// Reads a list parted by commas; nothing written allows everything.
    pub fn parse(value: &str) -> Result<Option<Self>, ParseError> {
        if value.is_empty() {
            return Ok(None);
        }
        let mut read = Self { methods: Vec::new(), negated: value.trim_start().starts_with('!') };
        for part in value.split(',').map(str::trim) {
            let (negated, name) = part.strip_prefix('!').map_or((false, part), |name| (true, name));
            if negated != read.negated {
                return Err(wrong(
                    format!("require_auth mixes what is allowed and what is not: \"{}\"", shown(part)),
                    "write either all methods with a \"!\" or none",
                ));
            }
            let Some((_, method)) = METHODS.iter().find(|(known, _)| *known == name) else {
                let names = || METHODS.iter().map(|(name, _)| *name);
                let hint = match nearest(name, names()) {
                    Some(close) => format!("did you mean \"{close}\"?"),
                    None => format!("write a list of {}", names().collect::<Vec<_>>().join(", ")),
                };
                return Err(wrong(format!("require_auth knows no method \"{}\"", shown(name)), hint));
            };
            if read.methods.contains(method) {
                return Err(wrong(format!("require_auth names \"{name}\" more than once"), "write it once"));
            }
            read.methods.push(*method);
        }
        Ok(Some(read))
    }

    pub fn allows(&self, method: AuthMethod) -> bool {
        self.methods.contains(&method) != self.negated
    }

    /// As it was written.
    pub fn written(&self) -> String {
        let sign = if self.negated { "!" } else { "" };
        let name = |method| METHODS.iter().find(|(_, known)| known == method).map_or("", |(name, _)| name);
        self.methods.iter().map(|method| format!("{sign}{}", name(method))).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_negations_are_read_as_libpq_reads_them() {
        let read = |text| RequireAuth::parse(text).unwrap().unwrap();
        assert_eq!(RequireAuth::parse(""), Ok(None));
        let one = read("scram-sha-256");
        assert!(one.allows(AuthMethod::Scram) && !one.allows(AuthMethod::Md5) && !one.allows(AuthMethod::None));
        let some = read("scram-sha-256, none");
        assert!(some.allows(AuthMethod::None) && !some.allows(AuthMethod::Password));
        let not = read("!password,!md5");
        assert!(!not.allows(AuthMethod::Md5) && not.allows(AuthMethod::Scram) && not.allows(AuthMethod::None));
        assert_eq!((some.written(), not.written()), ("scram-sha-256,none".into(), "!password,!md5".into()));
        for (text, problem) in [
            ("scram-sha-256,!md5", "mixes"),
            ("!md5,password", "mixes"),
            ("md5,md5", "more than once"),
            ("scram-sha256", "did you mean \"scram-sha-256\"?"),
            ("kerberos", "write a list of"),
            ("md5,", "no method \"\""),
        ] {
            let error = RequireAuth::parse(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
