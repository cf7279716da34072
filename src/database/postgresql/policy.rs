//! What a server may ask of us before we answer, and what it must prove: decided on what it sends, before the driver
//! sees it, so that nothing is sent to one that asks for too much.

use crate::database::LoginRefusal;

use super::auth_request::AuthRequest;
use super::settings::{AuthMethod, ChannelBinding, PgSettings, RequireAuth};

/// The greatest count of iterations that `postgres-protocol` 0.6.12 computes (sasl.rs): the server sets it (PostgreSQL
/// 16's `scram_iterations`, up to 2147483647), and each login costs us as many hashes.
pub const MOST_ITERATIONS: u32 = 100_000;

/// What the settings demand of a login.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    require_auth: Option<RequireAuth>,
    binding: bool,
    encrypted: bool,
}

impl Policy {
    pub fn of(settings: &PgSettings, encrypted: bool) -> Self {
        let binding = settings.channel_binding == ChannelBinding::Require;
        Self { require_auth: settings.require_auth.clone(), binding, encrypted }
    }

    /// The server asks for this.
    pub fn asked(&self, request: &AuthRequest) -> Result<(), LoginRefusal> {
        if let AuthRequest::Sasl(names) = request
            && !names.iter().any(|name| name.starts_with("SCRAM-SHA-256"))
            && !names.is_empty()
        {
            return Err(LoginRefusal::Mechanisms(names.clone()));
        }
        if let Some(method) = request.known() {
            self.allow(method, request.method())?;
        }
        let mechanisms = match request {
            AuthRequest::Sasl(names) => names.clone(),
            _ => Vec::new(),
        };
        let bound = self.encrypted && mechanisms.iter().any(|name| name == "SCRAM-SHA-256-PLUS");
        if self.binding && !bound {
            let (asked, encrypted) = (request.method(), self.encrypted);
            return Err(LoginRefusal::NoChannelBinding { mechanisms, asked, encrypted });
        }
        Ok(())
    }

    /// The server lets us in without having asked for anything.
    pub fn let_in(&self) -> Result<(), LoginRefusal> {
        self.allow(AuthMethod::None, "none")?;
        match self.binding {
            true => {
                let (mechanisms, encrypted) = (Vec::new(), self.encrypted);
                Err(LoginRefusal::NoChannelBinding { mechanisms, asked: "none", encrypted })
            }
            false => Ok(()),
        }
    }

    fn allow(&self, method: AuthMethod, asked: &'static str) -> Result<(), LoginRefusal> {
        match &self.require_auth {
            Some(required) if !required.allows(method) => {
                Err(LoginRefusal::Method { asked, require_auth: required.written() })
            }
            _ => Ok(()),
        }
    }
}

/// The count of iterations in SCRAM's server-first-message (RFC 5802, §5.1: `r=…,s=…,i=…`).
pub fn iterations(message: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(message).ok()?;
    text.split(',').find_map(|part| part.strip_prefix("i="))?.parse().ok()
}
