//! Whether a request that changes something comes from a page of ours.
//!
//! As Go 1.25's net/http.CrossOriginProtection: browsers say where a request comes from in Sec-Fetch-Site, or
//! at least in Origin, which must name the host that was asked. Who sends neither is no browser and carries
//! nobody's credentials without his will. So no page needs a token or a cookie, and all may share one body.

use super::http::Request;

/// Whether a browser sent this request from another site's page.
pub fn is_foreign(request: &dyn Request) -> bool {
    match request.header("Sec-Fetch-Site") {
        Some(b"same-origin" | b"none") => false,
        Some(site) if !site.is_empty() => true,
        _ => match request.header("Origin") {
            None | Some(b"") => false,
            Some(origin) => !names_host(origin, request.header("Host").unwrap_or_default()),
        },
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
        is_foreign(&asked)
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
    fn what_is_no_browser_passes() {
        assert!(!foreign(&[]));
        assert!(!foreign(&[("Host", "a")]));
    }
}
