//! Why a login was given up by us, though the server would have gone on: facts, for whoever explains them.

use std::fmt;

/// Why we did not go on with a login, though the server would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginRefusal {
    /// `require_auth` does not allow what the server asks for, in pg_hba.conf's words ("none": it asks for nothing).
    /// Nothing was sent.
    Method { asked: &'static str, require_auth: String },
    /// `channel_binding=require`, and this login cannot be bound to the TLS connection. Nothing was sent.
    NoChannelBinding {
        /// The SASL mechanisms on offer, without SCRAM-SHA-256-PLUS; empty if it asks for something else.
        mechanisms: Vec<String>,
        /// What it asks for, in pg_hba.conf's words; "none": it lets everybody in, and so proves nothing.
        asked: &'static str,
        /// The connection is encrypted; if not, there is nothing to bind to.
        encrypted: bool,
    },
    /// The server offers only SASL mechanisms that we do not know, by their names, e.g. OAUTHBEARER. Nothing was sent.
    Mechanisms(Vec<String>),
    /// The server's `scram_iterations` for this role's password are more than we compute.
    Iterations { count: u32, most: u32 },
    /// The server did not prove that it knows the password: it may be an impostor. `skipped`: it said that the login was
    /// good without any proof; else its SCRAM signature is wrong.
    Unproven { skipped: bool },
}

impl fmt::Display for LoginRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method { asked, require_auth } => {
                write!(f, "the server asks for authentication by {asked}, and require_auth={require_auth} forbids it; nothing was sent")
            }
            Self::NoChannelBinding { mechanisms, asked, encrypted } => {
                let offer = match &mechanisms[..] {
                    [] => format!("the server asks for {asked}"),
                    names => format!("the server offers {}", names.join(" and ")),
                };
                let tls = if *encrypted { "" } else { " over a connection without TLS" };
                write!(f, "channel_binding=require, and {offer}{tls}: that cannot be bound to the connection")
            }
            Self::Mechanisms(names) => {
                write!(f, "the server asks for {}, which mod_dbtest does not know", names.join(" or "))
            }
            Self::Iterations { count, most } => {
                write!(f, "the password is stored with {count} SCRAM iterations, and mod_dbtest computes at most {most}")
            }
            Self::Unproven { skipped: true } => {
                f.write_str("the server says that the login is good and has not proved that it knows the password")
            }
            Self::Unproven { skipped: false } => {
                f.write_str("the server's SCRAM signature is wrong: it does not know the password, and is not the one that is meant")
            }
        }
    }
}
