//! What a server asks for before it lets somebody in.

use super::settings::AuthMethod;

/// The authentication that pg_hba.conf's line demanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthRequest {
    /// In the clear: `password`, `ldap`, `pam`, `radius`.
    Cleartext,
    Md5,
    /// SASL; the names of the mechanisms on offer: SCRAM-SHA-256, SCRAM-SHA-256-PLUS, OAUTHBEARER, or others.
    Sasl(Vec<String>),
    /// Kerberos: `gss`.
    Gss,
    /// Windows: `sspi`.
    Sspi,
    /// A code of the protocol that nobody uses any more.
    Other(i32),
}

impl AuthRequest {
    /// In the words of pg_hba.conf.
    pub fn method(&self) -> &'static str {
        match self {
            AuthRequest::Cleartext => "password",
            AuthRequest::Md5 => "md5",
            AuthRequest::Sasl(names) if !self.is_scram() && names.iter().any(|name| name == "OAUTHBEARER") => "oauth",
            AuthRequest::Sasl(_) if !self.is_scram() => "an unknown SASL mechanism",
            AuthRequest::Sasl(_) => "scram-sha-256",
            AuthRequest::Gss => "gss",
            AuthRequest::Sspi => "sspi",
            AuthRequest::Other(_) => "unknown",
        }
    }

    /// In the words of `require_auth`; none for what has no word there.
    pub fn known(&self) -> Option<AuthMethod> {
        match self {
            AuthRequest::Cleartext => Some(AuthMethod::Password),
            AuthRequest::Md5 => Some(AuthMethod::Md5),
            AuthRequest::Sasl(_) if self.is_scram() => Some(AuthMethod::Scram),
            AuthRequest::Gss => Some(AuthMethod::Gss),
            AuthRequest::Sspi => Some(AuthMethod::Sspi),
            AuthRequest::Sasl(_) | AuthRequest::Other(_) => None,
        }
    }

    /// SCRAM is among the mechanisms on offer.
    fn is_scram(&self) -> bool {
        matches!(self, AuthRequest::Sasl(names) if names.iter().any(|name| name.starts_with("SCRAM-SHA-256")))
    }
}
