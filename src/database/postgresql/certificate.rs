//! What a certificate says, and whether it is made out to a host, by libpq's rules: OpenSSL's own refuse `*.internal`
//! and an address in the common name, which libpq takes (fe-secure-common.c, fe-secure-openssl.c of PostgreSQL 15).

use std::fmt;
use std::net::IpAddr;

use openssl::asn1::Asn1Time;
use openssl::nid::Nid;
use openssl::x509::{GeneralNameRef, X509NameRef, X509Ref};

/// The facts about a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// "CN=db.example, O=Example".
    pub subject: String,
    pub issuer: String,
    /// DNS names and addresses that it is made out to.
    pub names: Vec<String>,
    /// As OpenSSL prints them, e.g. "Nov 27 00:59:50 2026 GMT".
    pub not_before: String,
    pub not_after: String,
    /// Until `not_after`, from now; negative once expired.
    pub days_left: i32,
}

impl Peer {
    pub fn of(certificate: &X509Ref) -> Self {
        let names = certificate.subject_alt_names();
        let names = names.iter().flatten().filter_map(|name| match Alternative::of(name) {
            Some(Alternative::Dns(name)) => Some(name.to_owned()),
            Some(Alternative::Address(address)) => Some(address.to_string()),
            None => None,
        });
        let left = Asn1Time::days_from_now(0).and_then(|now| now.diff(certificate.not_after()));
        Self {
            subject: text(certificate.subject_name()),
            issuer: text(certificate.issuer_name()),
            names: names.collect(),
            not_before: certificate.not_before().to_string(),
            not_after: certificate.not_after().to_string(),
            days_left: left.map_or(0, |left| left.days - i32::from(left.secs < 0)),
        }
    }

    /// Its names, else its subject.
    pub fn made_out_to(&self) -> String {
        if self.names.is_empty() { self.subject.clone() } else { self.names.join(", ") }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} issued by {}, valid {} to {}", self.subject, self.issuer, self.not_before, self.not_after)?;
        if !self.names.is_empty() {
            write!(f, ", for {}", self.names.join(", "))?;
        }
        Ok(())
    }
}

/// Whether the certificate is made out to `host`: by an alternative name, or by the common name if none is of the kind
/// that the host is (a name, an address).
pub fn is_for(certificate: &X509Ref, host: &str) -> bool {
    let address: Option<IpAddr> = host.parse().ok();
    let mut by_common_name = true;
    for name in certificate.subject_alt_names().iter().flatten() {
        let same = match Alternative::of(name) {
            Some(Alternative::Dns(name)) => {
                by_common_name &= address.is_some();
                matches(name, host)
            }
            Some(Alternative::Address(found)) => {
                by_common_name &= address.is_none();
                address == Some(found)
            }
            None => false,
        };
        if same {
            return true;
        }
    }
    let common_name = certificate.subject_name().entries_by_nid(Nid::COMMONNAME).next();
    by_common_name && common_name.is_some_and(|name| name.data().to_string().is_ok_and(|name| matches(&name, host)))
}

/// An alternative name that means a host.
enum Alternative<'a> {
    Dns(&'a str),
    Address(IpAddr),
}

impl<'a> Alternative<'a> {
    fn of(name: &'a GeneralNameRef) -> Option<Self> {
        if let Some(name) = name.dnsname() {
            return Some(Self::Dns(name));
        }
        let bytes = name.ipaddress()?;
        let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
        four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(Self::Address)
    }
}

/// Compares a name of a certificate with a host; a star stands for the whole first label.
fn matches(name: &str, host: &str) -> bool {
    // a NUL would let "db.example\0.evil" pass for the first part
    if name.contains('\0') {
        return false;
    }
    let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
    match name.strip_prefix('*') {
        Some(rest) if rest.len() > 1 && rest.starts_with('.') => {
            host.strip_suffix(rest).is_some_and(|label| !label.is_empty() && !label.contains('.'))
        }
        _ => name == host,
    }
}

fn text(name: &X509NameRef) -> String {
    let entries = name.entries().map(|entry| {
        let key = entry.object().nid().short_name().unwrap_or("?");
        format!("{key}={}", entry.data().to_string().unwrap_or_else(|_| "?".into()))
    });
    entries.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_one_whole_label() {
        for (name, host) in
            [("DB.example", "db.Example"), ("*.example", "db.example"), ("*.a.b", "x.a.b"), ("10.0.0.1", "10.0.0.1")]
        {
            assert!(matches(name, host), "{name} {host}");
        }
        let wrong = [
            ("*.example", "example"),
            ("*.example", ".example"),
            ("*.example", "a.b.example"),
            ("d*.example", "db.example"),
        ];
        for (name, host) in [("*", "db"), ("*.", "db."), ("db.example\0.evil", "db.example")].into_iter().chain(wrong) {
            assert!(!matches(name, host), "{name} {host}");
        }
    }
}
