//! Whether a request that changes something comes from a page of ours.
//!
//! As Go 1.25's net/http.CrossOriginProtection: browsers say where a request comes from in Sec-Fetch-Site, or
//! at least in Origin, which must name the host that was asked. Who sends neither is no browser and carries
//! nobody's credentials without their will. So no page needs a token or a cookie, and all may share one body.

use super::Endpoint;
use super::child::CHILD;
use super::http::{Level, Request};
use crate::diagnosis;

/// Whether a browser sent this request from another site's page. What was refused only because a proxy in front asks
/// under another name is said in the error log, once for each section, with both names.
pub fn is_foreign(request: &dyn Request, endpoint: &Endpoint) -> bool {
    if !is_foreign_to(request, &endpoint.settings.origins) {
        return false;
    }
    if request.logs(Level::Warning) && CHILD.is_first_foreign(endpoint) {
        let shown = |name| diagnosis::one_line(&String::from_utf8_lossy(request.header(name).unwrap_or(b"(none)")));
        let (origin, host): (String, String) = (shown("Origin"), shown("Host"));
        let line = format!(
            "{}: a form from the origin {origin:.200} was refused: the request asked for the host {host:.200}. If both are this \
             page, seen through a proxy, write ProxyPreserveHost On in the proxy, or DBTestOrigin and that origin here",
            request.base()
        );
        request.log(Level::Warning, &line);
    }
    true
}

fn is_foreign_to(request: &dyn Request, trusted: &[String]) -> bool {
    let origin = request.header("Origin").filter(|origin| !origin.is_empty());
    if origin.is_some_and(|origin| trusted.iter().any(|trusted| trusted.as_bytes().eq_ignore_ascii_case(origin))) {
        return false;
    }
    match request.header("Sec-Fetch-Site") {
        Some(b"same-origin" | b"none") => false,
        Some(site) if !site.is_empty() => true,
        _ => origin.is_some_and(|origin| !names_host(origin, request.header("Host").unwrap_or_default())),
    }
}

/// Whether "scheme://host:port" names the Host that was asked.
fn names_host(origin: &[u8], host: &[u8]) -> bool {
    let Ok(origin) = std::str::from_utf8(origin) else { return false };
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port: &[u8] = match scheme {
        "http" => b":80",
        "https" => b":443",
        _ => return false,
    };
    let without = |name: &'_ [u8]| name.strip_suffix(default_port).unwrap_or(name).to_ascii_lowercase();
    !host.is_empty() && without(authority.as_bytes()) == without(host)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Asked;
    use super::*;

    fn foreign(headers: &[(&'static str, &str)]) -> bool {
        let mut asked = Asked::post("/", "");
        for (name, value) in headers {
            asked = asked.header(name, value);
        }
        is_foreign_to(&asked, &["https://public.example".to_owned()])
    }

    #[test]
    fn sec_fetch_site_decides() {
        assert!(!foreign(&[("Sec-Fetch-Site", "same-origin")]));
        assert!(!foreign(&[("Sec-Fetch-Site", "none")]));
        assert!(foreign(&[("Sec-Fetch-Site", "cross-site")]));
        assert!(foreign(&[("Sec-Fetch-Site", "same-site")]), "another host of the domain is another site to us");
        assert!(foreign(&[("Sec-Fetch-Site", "nonsense")]));
        assert!(foreign(&[("Sec-Fetch-Site", "cross-site"), ("Origin", "http://a"), ("Host", "a")]));
        assert!(!foreign(&[("Sec-Fetch-Site", "same-origin"), ("Origin", "null"), ("Host", "a")]));
    }

    #[test]
    fn without_it_origin_must_name_the_host() {
        let of = |origin, host| foreign(&[("Origin", origin), ("Host", host)]);
        assert!(!of("http://localhost:8080", "localhost:8080"));
        assert!(!of("http://Example.com", "example.COM"));
        assert!(!of("https://example.com", "example.com:443"));
        assert!(!of("http://[::1]:8080", "[::1]:8080"));
        assert!(of("http://localhost:8081", "localhost:8080"));
        assert!(of("http://evil.example", "example.com"));
        assert!(of("http://example.com.evil.example", "example.com"));
        assert!(of("http://example.com:443", "example.com"), "not the port of its scheme");
        assert!(of("null", "null"));
        assert!(of("file://", ""));
        assert!(of("http://", ""));
        assert!(foreign(&[("Origin", "http://a")]), "HTTP/1.0 without Host");
    }

    #[test]
    fn an_origin_that_is_named_passes_whatever_the_host() {
        let of = |origin| foreign(&[("Origin", origin), ("Host", "backend:8080"), ("Sec-Fetch-Site", "cross-site")]);
        assert!(!of("https://Public.example"));
        assert!(of("http://public.example"), "another scheme is another origin");
        assert!(of("https://public.example.evil.example"));
    }

    #[test]
    fn what_is_no_browser_passes() {
        assert!(!foreign(&[]));
        assert!(!foreign(&[("Host", "a")]));
    }
}
