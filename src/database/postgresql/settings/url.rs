//! `postgresql://` URLs: libpq's (fe-connect.c, conninfo_uri_parse) and SQLAlchemy's (engine/url.py), which
//! differ: SQLAlchemy names a driver after a "+", allows "/" in a password, `+` for a space in the query, and
//! several `host=NAME:PORT`.

use percent_encoding::percent_decode_str;

use super::pairs::Pair;
use super::secrets::is_secret;
use crate::database::ParseError;
use crate::database::text::{bad_escape, shown, wrong};

/// The rest of a URL whose scheme is ours, and whether SQLAlchemy's rules hold for it.
struct Url<'a> {
    rest: &'a str,
    sqlalchemy: bool,
}

/// How sure we can be that what follows is no part of a password, and so may be repeated in a message.
#[derive(Clone, Copy)]
struct Trust {
    has_user: bool,
    has_password: bool,
}

/// The text before `://`, if it is made of a scheme's characters (RFC 3986, 3.1).
pub fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_' | ':');
    (!scheme.is_empty() && scheme.chars().all(valid)).then_some(scheme)
}

/// Splits a URL into the pairs that libpq would make of it.
pub fn split(text: &str) -> Result<Vec<Pair>, ParseError> {
    let url = after_scheme(text)?;
    let (userinfo, rest) = userinfo(&url)?;
    let has_password = userinfo.is_some_and(|userinfo| userinfo.contains(':'));
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if userinfo.is_none() && path.contains('@') {
        return Err(wrong(
            "there is an \"@\" after the first \"/\"",
            "write a \"/\" in a user name or password as %2F, and an \"@\" in a database name as %40",
        ));
    }
    // The password may have held the "@" that we took for its end: then nothing that follows is what it seems.
    if path.contains('@') || (has_password && query.contains('@')) {
        return Err(wrong(
            "there is an \"@\" after the first \"/\" or \"?\"",
            "write \"@\", \"/\" and \"?\" in a user name, a password or elsewhere as %40, %2F and %3F",
        ));
    }
    let mut pairs = Vec::new();
    if let Some(userinfo) = userinfo {
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        push(&mut pairs, "user", decoded(user, "user name")?);
        push(&mut pairs, "password", decoded(password, "password")?);
    }
    let trust = Trust { has_user: userinfo.is_some(), has_password };
    let mut hosts = hosts(authority, trust)?;
    push(&mut pairs, "dbname", decoded(path.strip_prefix('/').unwrap_or(path), "database name")?);
    let rest = query_pairs(query, &url, trust, &mut hosts)?;
    push(&mut pairs, "host", list(hosts.iter().map(|(host, _)| host)));
    push(&mut pairs, "port", list(hosts.iter().map(|(_, port)| port)));
    pairs.extend(rest);
    Ok(pairs)
}

/// Adds a pair unless its value is empty.
fn push(pairs: &mut Vec<Pair>, key: &str, value: String) {
    if !value.is_empty() {
        pairs.push(Pair { key: key.into(), value, after_secret: false });
    }
}

/// A comma-separated list; nothing at all if every part is empty.
fn list<'a>(parts: impl Iterator<Item = &'a String>) -> String {
    let parts: Vec<&str> = parts.map(String::as_str).collect();
    if parts.iter().all(|part| part.is_empty()) { String::new() } else { parts.join(",") }
}

/// Reads the scheme.
fn after_scheme(text: &str) -> Result<Url<'_>, ParseError> {
    let Some(scheme) = scheme(text) else {
        return Err(wrong("\"//\" is missing after the scheme", "write postgresql://USER@HOST/DATABASE"));
    };
    let rest = &text[scheme.len() + "://".len()..];
    let lower = scheme.to_ascii_lowercase();
    let (product, driver) = lower.split_once('+').map_or((&*lower, None), |(product, driver)| (product, Some(driver)));
    match (product, driver) {
        ("postgresql" | "postgres", Some("")) => {
            Err(wrong("there is no driver after the \"+\"", "write postgresql://USER@HOST/DATABASE"))
        }
        ("postgresql" | "postgres", driver) => Ok(Url { rest, sqlalchemy: driver.is_some() }),
        ("jdbc:postgresql", _) => Err(wrong(
            "this is a JDBC URL",
            "write postgresql://USER@HOST/DATABASE, with the user name before the host and not in the query",
        )),
        _ => Err(wrong(format!("\"{}://\" is not a scheme known here", shown(scheme)), "write postgresql://")),
    }
}

/// What stands before the `@` that ends user name and password, and the rest after it.
fn userinfo<'a>(url: &Url<'a>) -> Result<(Option<&'a str>, &'a str), ParseError> {
    // A "/" ends libpq's search for the "@"; for SQLAlchemy, only in the user's name.
    let slash = url.rest.find('/').unwrap_or(url.rest.len());
    let colon = url.rest.find(':').unwrap_or(url.rest.len());
    let end = if url.sqlalchemy && colon < slash { url.rest.len() } else { slash };
    let Some(at) = url.rest[..end].find('@') else {
        return Ok((None, url.rest));
    };
    let (userinfo, rest) = (&url.rest[..at], &url.rest[at + 1..]);
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    if authority.contains('@') {
        return Err(wrong(
            "there is more than one \"@\" before the host",
            "write an \"@\" in a user name or password as %40, or keep the password in a DBTestPasswordFile",
        ));
    }
    Ok((Some(userinfo), rest))
}

/// Reads `HOST:PORT,HOST:PORT`: hosts percent-decoded, ports as they are.
fn hosts(authority: &str, trust: Trust) -> Result<Vec<(String, String)>, ParseError> {
    authority.split(',').map(|part| host(part, trust)).collect()
}

/// Reads `NAME`, `NAME:PORT`, `[IPV6]` or `[IPV6]:PORT`.
fn host(part: &str, trust: Trust) -> Result<(String, String), ParseError> {
    if let Some(bracketed) = part.strip_prefix('[') {
        let Some((address, after)) = bracketed.split_once(']') else {
            return Err(wrong("\"[\" without \"]\" around an IPv6 address", "write [2001:db8::1]:5432"));
        };
        if address.is_empty() {
            return Err(wrong("there is no address between \"[\" and \"]\"", "write [2001:db8::1]:5432"));
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((decoded(address, "host")?, checked_port(port, trust)?)),
            None if after.is_empty() => Ok((decoded(address, "host")?, String::new())),
            None => Err(wrong("after \"]\" only a colon and a port may follow", "write [2001:db8::1]:5432")),
        };
    }
    if part.matches(':').count() > 1 {
        let hint = "put an IPv6 address in brackets, [2001:db8::1]:5432, and write a \":\" in a user name as %3A";
        return Err(wrong("there are several \":\" in the host", hint));
    }
    let (name, port) = part.split_once(':').unwrap_or((part, ""));
    Ok((decoded(name, "host")?, checked_port(port, trust)?))
}

/// A port that is no number may well be a password, or the rest of one, where one is or no user is: it is not repeated.
fn checked_port(port: &str, trust: Trust) -> Result<String, ParseError> {
    if port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(port.to_owned());
    }
    Err(match trust {
        Trust { has_user: false, .. } => wrong(
            "what follows the \":\" is not a port number",
            "if it is the password, \"@HOST\" is missing after it, or it holds a \"/\", which must be written %2F",
        ),
        Trust { has_password: true, .. } => wrong(
            "the port is not a number",
            "write HOST:5432, or only HOST; if it belongs to the password, write an \"@\" in it as %40",
        ),
        Trust { .. } => wrong(format!("the port \"{}\" is not a number", shown(port)), "write HOST:5432, or only HOST"),
    })
}

/// Reads the query; hosts in it join `hosts`.
fn query_pairs(
    query: &str,
    url: &Url,
    trust: Trust,
    hosts: &mut Vec<(String, String)>,
) -> Result<Vec<Pair>, ParseError> {
    let sqlalchemy = url.sqlalchemy;
    let mut pairs: Vec<Pair> = Vec::new();
    let mut named: Vec<String> = Vec::new();
    for text in query.split('&').filter(|text| !text.is_empty()) {
        let after_secret = pairs.last().is_some_and(|pair| is_secret(&pair.key));
        let Some((key, value)) = text.split_once('=') else {
            let problem = match (after_secret, trust.has_password) {
                (true, _) => "after the password stands a word without \"=\"".into(),
                (false, true) => "there is a parameter without \"=\"".into(),
                (false, false) => format!("the parameter \"{}\" has no \"=\"", shown(text)),
            };
            return Err(wrong(problem, "write ?KEY=VALUE&KEY=VALUE, and an \"&\" inside a value as %26"));
        };
        let key = decoded(key, "name of a parameter")?;
        if value.contains('=') && !sqlalchemy && key != "options" {
            let problem = format!("there is a second \"=\" in the parameter \"{}\"", shown(&key));
            return Err(wrong(problem, "write a \"=\" inside a value as %3D"));
        }
        let value = if sqlalchemy { value.replace('+', " ") } else { value.to_owned() };
        let value = decoded(&value, "value of a parameter")?;
        match &*key {
            "host" => named.push(value),
            // JDBC's way, which libpq takes too.
            "ssl" if value == "true" => {
                pairs.push(Pair { key: "sslmode".into(), value: "require".into(), after_secret })
            }
            _ => pairs.push(Pair { key, value, after_secret }),
        }
    }
    join_hosts(named, sqlalchemy, hosts)?;
    Ok(pairs)
}

/// Hosts from the query take the place of an empty authority.
fn join_hosts(named: Vec<String>, sqlalchemy: bool, hosts: &mut Vec<(String, String)>) -> Result<(), ParseError> {
    if named.is_empty() {
        return Ok(());
    }
    if hosts.iter().any(|(host, _)| !host.is_empty()) {
        return Err(wrong("the host is given twice, before the database and as ?host=", "leave one of them out"));
    }
    let with_ports = sqlalchemy || named.len() > 1;
    let port = hosts.first().map_or(String::new(), |(_, port)| port.clone());
    *hosts = named
        .iter()
        .flat_map(|value| value.split(','))
        .map(|host| match host.rsplit_once(':') {
            Some((name, port)) if with_ports && !name.contains(':') => (name.to_owned(), port.to_owned()),
            _ => (host.to_owned(), port.clone()),
        })
        .collect();
    Ok(())
}

/// Undoes percent-encoding; `what` names the part in an error, which repeats nothing of a password.
fn decoded(text: &str, what: &str) -> Result<String, ParseError> {
    if let Some(escape) = bad_escape(text) {
        let secret = what == "password" || what == "value of a parameter";
        let escape = if secret { "%".into() } else { shown(escape) };
        let problem = format!("\"{escape}\" in the {what} is not a \"%\" and two hexadecimal digits");
        return Err(wrong(problem, "write a \"%\" itself as %25"));
    }
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| wrong(format!("the percent-encoded {what} is not UTF-8"), "encode it as UTF-8"))?;
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(wrong(
            format!("the {what} holds a control character, %{:02X}", u32::from(c)),
            "leave it out; it cannot be meant",
        )),
        None => Ok(text.into_owned()),
    }
}
