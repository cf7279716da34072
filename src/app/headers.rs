//! The headers that every answer carries.

use super::http::Response;

/// No script at all, styles only from our own style sheet, no frames, forms only to ourselves. `data:` is the
/// empty icon, which keeps browsers from asking the server for /favicon.ico.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// When to ask again after a failure of the database, which takes somebody's hand: seconds.
const RETRY_AFTER: &str = "5";

/// On every answer; a page of rows is nobody's to keep but the visitor's.
const ALWAYS: [(&str, &str); 5] = [
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
];

/// Adds what is not there yet. Every page but the style sheet comes in the format that Accept asks for.
pub fn complete(response: &mut Response) {
    let says_so = response.headers.iter().any(|(name, _)| *name == "Vary");
    if !says_so && !response.content_type.starts_with("text/css") {
        response.headers.push(("Vary", "Accept".into()));
    }
    if response.status == 503 && !response.headers.iter().any(|(name, _)| *name == "Retry-After") {
        response.headers.push(("Retry-After", RETRY_AFTER.into()));
    }
    response.headers.reserve_exact(ALWAYS.len());
    for (name, value) in ALWAYS {
        if !response.headers.iter().any(|(other, _)| *other == name) {
            response.headers.push((name, value.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_says_itself_stands() {
        let mut response = Response::default().with("Cache-Control", "max-age=60");
        complete(&mut response);
        let values: Vec<&str> =
            response.headers.iter().filter(|(name, _)| *name == "Cache-Control").map(|(_, value)| &**value).collect();
        assert_eq!(values, ["max-age=60"]);
        assert_eq!(response.headers.len(), ALWAYS.len() + 1, "Vary");
        assert!(POLICY.contains("default-src 'none'") && !POLICY.contains("unsafe"));
    }
}
