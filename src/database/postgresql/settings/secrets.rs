//! Which parameters hold a secret, by their names: known ones and those that somebody may have meant.

/// Whether the value must never be shown.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pwd", "secret", "scram_"].iter().any(|part| name.contains(part)) && name != "passfile"
}
