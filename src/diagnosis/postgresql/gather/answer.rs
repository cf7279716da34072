//! The answer to the question about the catalogue is one JSON text, so that the question can grow without a decoder
//! growing beside it.

use serde_json::Value;

use crate::diagnosis::postgresql::evidence::facts::{Facts, RoleSetting};

/// Reads the answer.
pub fn read(json: &str) -> Result<Facts, serde_json::Error> {
    from_parts(serde_json::from_str(json)?, Vec::new())
}

/// Reads an answer that was given in parts, and notes which were refused.
pub fn from_parts(value: Value, unknown: Vec<(String, String)>) -> Result<Facts, serde_json::Error> {
    let asked = value.get("relations").is_some();
    let mut facts: Facts = serde_json::from_value(value)?;
    (facts.asked, facts.unknown) = (asked, unknown);
    let settings = std::mem::take(&mut facts.settings);
    for parameter in facts.parameters.iter_mut().filter(|parameter| parameter.source == "session") {
        // the question itself sets some for its own transaction: where they were set before
        let is_this = |setting: &&RoleSetting| setting.config.split('=').next() == Some(parameter.name.as_str());
        let rank = |setting: &&RoleSetting| {
            ["global", "database", "user", "database user"].iter().position(|scope| *scope == setting.scope)
        };
        parameter.source = match settings.iter().filter(is_this).max_by_key(rank) {
            Some(setting) => setting.scope.clone(),
            None if parameter.reset == parameter.boot => "default".into(),
            None => "configuration file".into(),
        };
    }
    facts.statement_timeout = facts
        .parameter("statement_timeout")
        .and_then(|parameter| parameter.reset.as_deref())
        .and_then(|milliseconds| milliseconds.parse().ok());
    facts.settings = settings;
    Ok(facts)
}
