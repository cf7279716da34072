//! Words as sh(1) reads them. What is printed is typed as it stands, so a path with a space or a quote must survive it.

use std::path::Path;

/// A path as one word of sh(1).
pub fn quote(path: &Path) -> String {
    word(&path.to_string_lossy())
}

/// A text as one word of sh(1).
pub fn word(text: &str) -> String {
    // in one form, single quotes, which people read; shlex::try_quote changes between three. Its reader is the test below.
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
        // whatever it looks like, it is read as it was
        for text in ["it's; rm -rf /", "a b", "\"$x\"", "`id`", "a\\b", "-o", "~", "a=b", "100%", "#x", "!x"] {
            assert_eq!(shlex::split(&word(text)), Some(vec![text.to_owned()]), "{text}");
            let said =
                std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", word(text))).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&said.stdout), text);
        }
        assert_eq!(word(""), "''");
        assert_eq!(word("$(x)"), "'$(x)'");
    }
}
