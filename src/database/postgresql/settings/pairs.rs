//! What both syntaxes come to: pairs of a key and a value.

/// One parameter as it was written. Not `Debug`: the value may be a password.
pub struct Pair {
    pub key: String,
    pub value: String,
    /// The pair before it was a password: then this "key" may be the rest of one, and is not repeated in a message.
    pub after_secret: bool,
}
