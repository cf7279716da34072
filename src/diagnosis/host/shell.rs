//! Words as sh(1) reads them. What is printed is typed as it stands, so a path with a space or a quote must survive it.

use std::path::Path;

/// A path as one word of sh(1).
pub fn quote(path: &Path) -> String {
    word(&path.to_string_lossy())
}

/// A text as one word of sh(1).
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_shell_are_quoted() {
        assert_eq!(word("/srv/a-b_c.db"), "/srv/a-b_c.db");
        assert_eq!(word("it's; rm -rf /"), r"'it'\''s; rm -rf /'");
        assert_eq!(word(""), "''");
        assert_eq!(word("$(x)"), "'$(x)'");
    }
}
