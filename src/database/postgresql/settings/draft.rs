//! The settings while they are being read, and the checks that need all of them.

use super::hosts::combine;
use super::types::{Host, HostPort, RootCert, SslMode, SslNegotiation};
use super::words::{SSL_MODE, TLS_VERSION, written};
use super::{ChannelBinding, PgSettings};
use crate::database::text::wrong;
use crate::database::{ParseError, Secret};

/// Settings to which not every key has been applied yet.
#[derive(Default)]
pub struct Draft {
    pub settings: PgSettings,
    pub host: Option<String>,
    pub hostaddr: Option<String>,
    pub port: Option<String>,
    pub sslmode_given: bool,
    /// `sslcertmode=disable`: sslcert and sslkey are not sent.
    pub no_client_certificate: bool,
}

impl Draft {
    /// `sslrootcert`: a file, or `system`.
    pub fn set_sslrootcert(&mut self, value: &str) -> Result<(), ParseError> {
        if value == "system" {
            self.settings.sslrootcert = Some(RootCert::System);
            return Ok(());
        }
        let mut path = None;
        super::values::file("sslrootcert", value, &mut path)?;
        self.settings.sslrootcert = path.map(RootCert::File);
        Ok(())
    }

    /// Puts the hosts together, takes the password of DBTestPasswordFile, and refuses what contradicts itself.
    pub fn finish(mut self, password: Option<&Secret>) -> Result<PgSettings, ParseError> {
        self.settings.hosts = combine(
            self.host.as_deref(),
            self.hostaddr.as_deref(),
            self.port.as_deref(),
            self.settings.password.is_none(),
        )?;
        self.take_password(password)?;
        self.check_client_certificate()?;
        self.check_tls()?;
        Ok(self.settings)
    }

    fn take_password(&mut self, password: Option<&Secret>) -> Result<(), ParseError> {
        self.settings.inline_password = self.settings.password.is_some();
        match (password, self.settings.inline_password) {
            (Some(_), true) => {
                Err(wrong("the password stands both here and in DBTestPasswordFile", "take it out of DBTestDatabase"))
            }
            (Some(password), false) => {
                self.settings.password = Some(password.clone());
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    fn check_client_certificate(&mut self) -> Result<(), ParseError> {
        if self.no_client_certificate {
            (self.settings.sslcert, self.settings.sslkey) = (None, None);
        }
        match (&self.settings.sslcert, &self.settings.sslkey) {
            (Some(_), None) => Err(wrong("sslcert is given without sslkey", "write sslkey=/PATH/TO/FILE as well")),
            (None, Some(_)) => Err(wrong("sslkey is given without sslcert", "write sslcert=/PATH/TO/FILE as well")),
            _ => Ok(()),
        }
    }

    fn check_tls(&mut self) -> Result<(), ParseError> {
        self.settle_sslmode()?;
        let settings = &self.settings;
        let over_tcp = settings.hosts.iter().any(|host| !is_socket(host));
        let mode = written(&SSL_MODE, &settings.sslmode);
        if settings.sslmode >= SslMode::VerifyCa && settings.sslrootcert.is_none() && over_tcp {
            return Err(wrong(
                format!("sslmode={mode} needs a root certificate to verify against"),
                "write sslrootcert=/PATH/TO/CA.crt, or sslrootcert=system for the public authorities",
            ));
        }
        if settings.sslmode == SslMode::VerifyFull && self.host.is_none() && over_tcp {
            let hint = "write host=NAME as well as hostaddr";
            return Err(wrong("sslmode=verify-full compares the certificate with a host, and none is given", hint));
        }
        if settings.sslnegotiation == SslNegotiation::Direct && settings.sslmode < SslMode::Require {
            let problem = format!("sslnegotiation=direct cannot be used with sslmode={mode}");
            return Err(wrong(problem, "write sslmode=require, verify-ca or verify-full"));
        }
        if settings.channel_binding == ChannelBinding::Require && settings.sslmode == SslMode::Disable {
            return Err(wrong(
                "channel_binding=require needs TLS, and sslmode=disable forbids it",
                "write sslmode=require",
            ));
        }
        if settings.channel_binding == ChannelBinding::Require && !over_tcp {
            let hint = "leave it out; a local socket has no TLS, and needs none";
            return Err(wrong("channel_binding=require cannot be met over a socket", hint));
        }
        match settings.ssl_max_protocol_version {
            Some(most) if most < settings.ssl_min_protocol_version => {
                let least = written(&TLS_VERSION, &settings.ssl_min_protocol_version);
                let most = written(&TLS_VERSION, &most);
                let problem = format!("ssl_max_protocol_version={most} is below the least allowed, {least}");
                Err(wrong(problem, format!("write ssl_min_protocol_version={most} too, or leave both out")))
            }
            _ => Ok(()),
        }
    }

    /// What libpq does to sslmode when a root certificate is given (fe-connect.c and fe-secure-openssl.c).
    fn settle_sslmode(&mut self) -> Result<(), ParseError> {
        let settings = &mut self.settings;
        match (&settings.sslrootcert, settings.sslmode) {
            (Some(RootCert::System), SslMode::VerifyFull) => {}
            (Some(RootCert::System), _) if !self.sslmode_given => settings.sslmode = SslMode::VerifyFull,
            (Some(RootCert::System), mode) => {
                let problem = format!("sslrootcert=system cannot be used with sslmode={}", written(&SSL_MODE, &mode));
                let hint = "write sslmode=verify-full: anybody can have a certificate of a public authority";
                return Err(wrong(problem, hint));
            }
            (Some(RootCert::File(_)), SslMode::Require) => settings.sslmode = SslMode::VerifyCa,
            _ => {}
        }
        Ok(())
    }
}

fn is_socket(host: &HostPort) -> bool {
    matches!(host.host, Host::SocketDir(_) | Host::LocalSocket)
}
