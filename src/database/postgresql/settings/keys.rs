//! Every parameter that libpq documents (PostgreSQL 18, "Parameter Key Words"), and what becomes of it here;
//! and the parameters of other drivers that people bring along.

use super::draft::Draft;
use super::pairs::Pair;
use super::require_auth::RequireAuth;
use super::values::{boolean, file, milliseconds, number, one_of, seconds, tls_version, word};
use super::words;
use crate::database::text::{nearest, shown, wrong};
use crate::database::{ParseError, Secret};

/// What becomes of a parameter.
pub enum Fate {
    /// It is stored.
    Honoured(fn(&mut Draft, &str) -> Result<(), ParseError>),
    /// It is refused, for this reason, unless its value (one of these) says what holds anyway.
    Refused { harmless: &'static [&'static str], reason: &'static str, instead: &'static str },
}

/// One of libpq's parameters.
pub struct Key {
    pub name: &'static str,
    pub fate: Fate,
}

/// Why nothing about Kerberos can be had.
const NO_KERBEROS: &str = "this module has no GSSAPI (Kerberos)";
/// What encrypts instead.
const USE_TLS: &str = "leave it out; sslmode=verify-full encrypts and authenticates the server";
/// The same for OAuth.
const NO_OAUTH: &str = "a web server's child has nobody who could log in to an OAuth provider";
const USE_PASSWORD: &str = "leave it out and use a password, a client certificate or peer authentication";

const fn honoured(name: &'static str, apply: fn(&mut Draft, &str) -> Result<(), ParseError>) -> Key {
    Key { name, fate: Fate::Honoured(apply) }
}

const fn refused(
    name: &'static str,
    harmless: &'static [&'static str],
    reason: &'static str,
    instead: &'static str,
) -> Key {
    Key { name, fate: Fate::Refused { harmless, reason, instead } }
}

/// libpq's parameters in the order of its documentation.
pub static KEYS: &[Key] = &[
    honoured("host", |draft, value| word(&mut draft.host, value)),
    honoured("hostaddr", |draft, value| word(&mut draft.hostaddr, value)),
    honoured("port", |draft, value| word(&mut draft.port, value)),
    honoured("dbname", |draft, value| word(&mut draft.settings.dbname, value)),
    honoured("user", |draft, value| word(&mut draft.settings.user, value)),
    honoured("password", |draft, value| {
        draft.settings.password = (!value.is_empty()).then(|| Secret::new(value));
        Ok(())
    }),
    refused(
        "passfile",
        &[],
        "its format serves many databases at once",
        "write DBTestPasswordFile with a file that holds only the password",
    ),
    honoured("require_auth", |draft, value| {
        draft.settings.require_auth = RequireAuth::parse(value)?;
        Ok(())
    }),
    honoured("channel_binding", |draft, value| {
        draft.settings.channel_binding = one_of("channel_binding", value, &words::CHANNEL_BINDING)?;
        Ok(())
    }),
    honoured("connect_timeout", |draft, value| {
        draft.settings.connect_timeout = seconds("connect_timeout", value)?;
        Ok(())
    }),
    honoured("client_encoding", |draft, value| match value.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "" => Ok(()),
        "utf8" | "unicode" => word(&mut draft.settings.client_encoding, "UTF8"),
        _ => Err(wrong(
            format!("client_encoding={} cannot be used", shown(value)),
            "the pages are UTF-8: leave it out, the server converts what it stores",
        )),
    }),
    honoured("options", |draft, value| word(&mut draft.settings.options, value)),
    honoured("application_name", |draft, value| word(&mut draft.settings.application_name, value)),
    honoured("fallback_application_name", |draft, value| word(&mut draft.settings.fallback_application_name, value)),
    honoured("keepalives", |draft, value| {
        draft.settings.keepalives = number("keepalives", value)? != 0;
        Ok(())
    }),
    honoured("keepalives_idle", |draft, value| {
        draft.settings.keepalives_idle = seconds("keepalives_idle", value)?;
        Ok(())
    }),
    honoured("keepalives_interval", |draft, value| {
        draft.settings.keepalives_interval = seconds("keepalives_interval", value)?;
        Ok(())
    }),
    honoured("keepalives_count", |draft, value| {
        let count = number("keepalives_count", value)?;
        draft.settings.keepalives_count = u32::try_from(count).ok().filter(|count| *count > 0);
        Ok(())
    }),
    honoured("tcp_user_timeout", |draft, value| {
        draft.settings.tcp_user_timeout = milliseconds("tcp_user_timeout", value)?;
        Ok(())
    }),
    refused(
        "replication",
        &["0", "false", "off", "no"],
        "a replication connection cannot read a table",
        "leave it out",
    ),
    honoured("gssencmode", |draft, value| match value {
        "require" => Err(wrong(format!("gssencmode=require cannot be met: {NO_KERBEROS}"), USE_TLS)),
        _ => {
            draft.settings.gssencmode = one_of("gssencmode", value, &words::GSS_ENC_MODE)?;
            Ok(())
        }
    }),
    honoured("sslmode", |draft, value| {
        draft.settings.sslmode = one_of("sslmode", value, &words::SSL_MODE)?;
        draft.sslmode_given = true;
        Ok(())
    }),
    refused("requiressl", &["0"], "PostgreSQL 14 took it out of libpq", "write sslmode=require"),
    honoured("sslnegotiation", |draft, value| {
        draft.settings.sslnegotiation = one_of("sslnegotiation", value, &words::SSL_NEGOTIATION)?;
        Ok(())
    }),
    refused(
        "sslcompression",
        &["0"],
        "TLS compression is unsafe (CRIME), and OpenSSL is built without it",
        "leave it out",
    ),
    honoured("sslcert", |draft, value| file("sslcert", value, &mut draft.settings.sslcert)),
    honoured("sslkey", |draft, value| file("sslkey", value, &mut draft.settings.sslkey)),
    refused("sslkeylogfile", &[""], "whoever reads that file reads the connection", "leave it out"),
    honoured("sslpassword", |draft, value| {
        draft.settings.sslpassword = (!value.is_empty()).then(|| Secret::new(value));
        Ok(())
    }),
    honoured("sslcertmode", |draft, value| match value {
        "disable" | "allow" => {
            draft.no_client_certificate = value == "disable";
            Ok(())
        }
        _ => Err(wrong(
            format!("sslcertmode={} cannot be used", shown(value)),
            "write disable, or allow; whether the server asks for a certificate is set in its pg_hba.conf",
        )),
    }),
    honoured("sslrootcert", |draft, value| draft.set_sslrootcert(value)),
    honoured("sslcrl", |draft, value| file("sslcrl", value, &mut draft.settings.sslcrl)),
    honoured("sslcrldir", |draft, value| file("sslcrldir", value, &mut draft.settings.sslcrldir)),
    honoured("sslsni", |draft, value| {
        draft.settings.sslsni = boolean("sslsni", value)?;
        Ok(())
    }),
    honoured("requirepeer", |draft, value| word(&mut draft.settings.requirepeer, value)),
    honoured("ssl_min_protocol_version", |draft, value| {
        if let Some(version) = tls_version("ssl_min_protocol_version", value)? {
            draft.settings.ssl_min_protocol_version = version;
        }
        Ok(())
    }),
    honoured("ssl_max_protocol_version", |draft, value| {
        draft.settings.ssl_max_protocol_version = tls_version("ssl_max_protocol_version", value)?;
        Ok(())
    }),
    refused("min_protocol_version", &["3.0"], "the driver speaks version 3.0 of PostgreSQL's protocol", "leave it out"),
    refused(
        "max_protocol_version",
        &["3.0", "latest"],
        "the driver speaks version 3.0 of PostgreSQL's protocol",
        "leave it out",
    ),
    refused("krbsrvname", &["postgres"], NO_KERBEROS, USE_TLS),
    refused("gsslib", &[], NO_KERBEROS, USE_TLS),
    refused("gssdelegation", &["0"], NO_KERBEROS, USE_TLS),
    refused(
        "scram_client_key",
        &[],
        "a SCRAM key is a password's equal and would stand in httpd.conf",
        "write DBTestPasswordFile",
    ),
    refused(
        "scram_server_key",
        &[],
        "a SCRAM key is a password's equal and would stand in httpd.conf",
        "write DBTestPasswordFile",
    ),
    refused(
        "service",
        &[],
        "what it stands for would be in a second file, outside httpd's configuration",
        "write host, port, dbname and user here",
    ),
    refused(
        "servicefile",
        &[],
        "what it stands for would be in a second file, outside httpd's configuration",
        "write host, port, dbname and user here",
    ),
    honoured("target_session_attrs", |draft, value| {
        draft.settings.target_session_attrs = one_of("target_session_attrs", value, &words::TARGET_SESSION_ATTRS)?;
        Ok(())
    }),
    honoured("load_balance_hosts", |draft, value| {
        draft.settings.load_balance_hosts = one_of("load_balance_hosts", value, &words::LOAD_BALANCE_HOSTS)?;
        Ok(())
    }),
    refused("oauth_issuer", &[], NO_OAUTH, USE_PASSWORD),
    refused("oauth_client_id", &[], NO_OAUTH, USE_PASSWORD),
    refused("oauth_client_secret", &[], NO_OAUTH, USE_PASSWORD),
    refused("oauth_scope", &[], NO_OAUTH, USE_PASSWORD),
];

/// Other names of libpq's parameters.
const ALIASES: &[(&str, &str)] = &[
    ("database", "dbname"),
    ("db", "dbname"),
    ("name", "dbname"),
    ("username", "user"),
    ("hostname", "host"),
    ("server", "host"),
    ("passwd", "password"),
    ("pass", "password"),
    ("pwd", "password"),
    ("timeout", "connect_timeout"),
    ("applicationname", "application_name"),
    ("sslca", "sslrootcert"),
];

/// Parameters of other drivers: whose they are, and what to write here.
#[rustfmt::skip]
const FOREIGN: &[(&[&str], &str, &str)] = &[
    (&["pool_size", "max_overflow", "pool_recycle", "pool_timeout", "pool_pre_ping", "pool_use_lifo", "poolclass",
       "connection_limit", "pool_max_conns"],
     "belongs to another program's connection pool", "leave it out and write DBTestConnections"),
    (&["CONN_MAX_AGE", "conn_max_age", "CONN_HEALTH_CHECKS", "conn_health_checks", "ATOMIC_REQUESTS", "ENGINE",
       "OPTIONS", "DISABLE_SERVER_SIDE_CURSORS"],
     "is one of Django's settings", "leave it out; connections are kept and checked without it"),
    (&["ssl", "ssl_require", "useSSL"], "belongs to another driver", "write sslmode=require"),
    (&["sslfactory", "ssl_context", "ssl_cert_reqs"], "belongs to another driver", "write sslmode=verify-full and sslrootcert=FILE"),
    (&["charset", "encoding"], "belongs to another driver", "leave it out; everything is UTF-8"),
    (&["schema", "currentSchema", "search_path"], "belongs to another driver", "write the schema in DBTestTable, SCHEMA.TABLE"),
    (&["loginTimeout", "connectTimeout"], "belongs to another driver", "write DBTestTimeout connect=3s"),
    (&["statement_timeout", "command_timeout", "socketTimeout", "lock_timeout"],
     "is not a connection parameter", "write DBTestTimeout query=5s, or options='-c NAME=VALUE'"),
    (&["pgbouncer", "prepareThreshold", "prepared_statement_cache_size", "statement_cache_size", "prepare_threshold",
       "executemany_mode", "use_native_hstore", "server_side_cursors", "server_settings", "isolation_level", "echo",
       "echo_pool", "future"],
     "belongs to another driver", "leave it out"),
];

/// Whether libpq knows the parameter.
pub fn is_known(name: &str) -> bool {
    KEYS.iter().any(|key| key.name == name)
}

/// Stores one parameter, or says why not.
pub fn apply(draft: &mut Draft, pair: &Pair) -> Result<(), ParseError> {
    match KEYS.iter().find(|key| key.name == pair.key) {
        Some(Key { fate: Fate::Honoured(apply), .. }) => apply(draft, &pair.value),
        Some(Key { fate: Fate::Refused { harmless, .. }, .. }) if harmless.contains(&&*pair.value) => Ok(()),
        Some(Key { name, fate: Fate::Refused { reason, instead, .. } }) => {
            Err(wrong(format!("\"{name}\" is not supported: {reason}"), *instead))
        }
        None => Err(unknown(pair)),
    }
}

/// What is said about a parameter that libpq does not know.
fn unknown(pair: &Pair) -> ParseError {
    let name = &pair.key;
    if let Some((_, whose, instead)) = FOREIGN.iter().find(|(names, ..)| names.contains(&&**name)) {
        return wrong(format!("\"{name}\" {whose}"), *instead);
    }
    if pair.after_secret {
        return wrong(
            "what follows the password is not a connection parameter",
            "if it belongs to the password, write the password in single quotes (in a URL, percent-encoded)",
        );
    }
    if super::url::scheme(&pair.value).is_some_and(|scheme| scheme.starts_with("postgres")) {
        return wrong("a name and \"=\" stand before the URL", "write only the URL, from postgresql:// on");
    }
    let names = KEYS.iter().map(|key| (key.name, key.name)).chain(ALIASES.iter().copied());
    let close = nearest(name, names.clone().map(|(written, _)| written));
    let meant = close.and_then(|close| names.clone().find(|(written, _)| *written == close)).map(|(_, meant)| meant);
    let hint = match meant {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => {
            "docs/directives.md lists those there are; host, port, dbname, user and sslmode are the usual ones".into()
        }
    };
    wrong(format!("there is no connection parameter \"{}\"", shown(name)), hint)
}
