//! Which of several servers, addresses and kinds of encryption to try, in which order, and when to stop: as libpq 15.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::database::{Cause, Error, Stage};

use super::certificate::Peer;
use super::deadline::Deadline;
use super::drive;
use super::failure;
use super::negotiate::{Login, Session, SslReply, connect_socket, ssl_request, start};
use super::resolve;
use super::settings::{HostPort, PgSettings, SslMode, SslNegotiation, TargetSessionAttrs};
use super::socket::{self, Address, Socket};
use super::startup::Startup;
use super::tls;
use super::wire::Transport;

/// What is known of a place once it is tried, for the diagnosis.
#[derive(Debug, Default, Clone, Copy)]
pub struct Traces {
    /// The user that the process behind a Unix socket runs as.
    pub peer_uid: Option<u32>,
    /// Our end of a TCP connection: the address that the server sees, unless somebody translates it.
    pub ours: Option<SocketAddr>,
    /// The server was asked for TLS, and whether it offers any.
    pub offers_tls: Option<bool>,
    /// How long each step took.
    pub reach: Duration,
    pub speaks: Duration,
    pub tls: Duration,
    /// From the startup packet to the session, or to the end.
    pub login: Duration,
}

/// A session with the place it was found at.
pub struct Opened {
    pub session: Session,
    pub host: HostPort,
    pub address: Address,
    pub login: Login,
    /// "Unix socket", "TCP, not encrypted" or the version of TLS.
    pub transport: String,
    /// The server's certificate.
    pub certificate: Option<Peer>,
    pub traces: Traces,
    /// What was tried in vain before it.
    pub before: Vec<Attempt>,
}

/// One place that was tried in vain.
#[derive(Debug)]
pub struct Attempt {
    pub host: HostPort,
    /// None if the name did not resolve.
    pub address: Option<Address>,
    pub encrypted: bool,
    pub error: Error,
    /// What the server said.
    pub startup: Startup,
    /// The certificate that was not trusted, and its place in the chain.
    pub rejected: Option<(Peer, u32)>,
    pub traces: Traces,
}

/// Every place that was tried, in order; never empty.
#[derive(Debug)]
pub struct Attempts(pub Vec<Attempt>);

impl Attempts {
    /// The error that got furthest, which is where the administrator must look: a refusal on ::1 does not matter when
    /// 127.0.0.1 asked for a password. Names the others in passing.
    ///
    /// A server that is well but of another kind than `target_session_attrs` asks for is what it should be, if a server
    /// beside it is what is missing.
    pub fn main(&self) -> usize {
        let of_wrong_kind = |attempt: &Attempt| attempt.startup.ready && attempt.error.stage == Stage::Session;
        let only_kind = self.0.iter().all(of_wrong_kind);
        let counts = |attempt: &&Attempt| only_kind || !of_wrong_kind(attempt);
        let furthest = self.0.iter().filter(counts).map(|attempt| attempt.error.stage).max();
        let is_main = |attempt: &Attempt| counts(&attempt) && Some(attempt.error.stage) == furthest;
        self.0.iter().position(is_main).unwrap_or(0)
    }

    /// The error of [`Attempts::main`].
    pub fn into_error(self) -> Error {
        let chosen = self.main();
        let mut others = Vec::new();
        let mut main: Option<Error> = None;
        for (index, attempt) in self.0.into_iter().enumerate() {
            if index == chosen {
                main = Some(attempt.error);
            } else {
                others.push(attempt.error.to_string());
            }
        }
        let mut error = main.unwrap_or_else(|| Error {
            stage: Stage::Reach,
            doing: "connecting".into(),
            cause: Cause::Driver("no host is configured".into()),
        });
        if !others.is_empty() {
            error.doing.push_str(&format!(" (also tried: {})", others.join("; ")));
        }
        error
    }
}

/// Whether to use TLS in an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encryption {
    Never,
    IfOffered,
    Always,
}

/// What the server must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Any,
    Writable(bool),
    Standby(bool),
}

/// Opens a session at the first place that has one for us.
pub fn open(settings: &PgSettings, deadline: Deadline) -> Result<Opened, Attempts> {
    let mut attempts = Vec::new();
    for wanted in wishes(settings.target_session_attrs) {
        match pass(settings, deadline, *wanted, &mut attempts) {
            Some(opened) => return Ok(Opened { before: attempts, ..opened }),
            None if attempts.last().is_some_and(|attempt| !goes_on(&attempt.error, &attempt.startup)) => break,
            None => {}
        }
    }
    Err(Attempts(attempts))
}

fn wishes(attributes: TargetSessionAttrs) -> &'static [Wanted] {
    match attributes {
        TargetSessionAttrs::Any => &[Wanted::Any],
        TargetSessionAttrs::ReadWrite => &[Wanted::Writable(true)],
        TargetSessionAttrs::ReadOnly => &[Wanted::Writable(false)],
        TargetSessionAttrs::Primary => &[Wanted::Standby(false)],
        TargetSessionAttrs::Standby => &[Wanted::Standby(true)],
        TargetSessionAttrs::PreferStandby => &[Wanted::Standby(true), Wanted::Any],
    }
}

/// Tries every host once. Each gets its share of the time that is left, so that a dead first one leaves some.
fn pass(settings: &PgSettings, deadline: Deadline, wanted: Wanted, attempts: &mut Vec<Attempt>) -> Option<Opened> {
    let mut hosts: Vec<&HostPort> = settings.hosts.iter().collect();
    if settings.load_balance_hosts {
        shuffle(&mut hosts);
    }
    let count = hosts.len();
    for (tried, host) in hosts.into_iter().enumerate() {
        let share = share(deadline, count - tried);
        let mut places = match resolve::addresses(host, share) {
            Ok(places) => places,
            Err(error) => {
                attempts.push(Attempt::failed(host, None, error));
                continue;
            }
        };
        if settings.load_balance_hosts {
            shuffle(&mut places);
        }
        let count = places.len();
        for (tried, address) in places.into_iter().enumerate() {
            let mut share = self::share(share, count - tried);
            if let Some(limit) = settings.connect_timeout {
                share = share.within(limit);
            }
            match place(settings, host, &address, wanted, share, attempts) {
                Some(opened) => return Some(opened),
                None if attempts.last().is_some_and(|last| !goes_on(&last.error, &last.startup)) => return None,
                None => {}
            }
        }
    }
    None
}

fn share(deadline: Deadline, among: usize) -> Deadline {
    match u32::try_from(among) {
        Ok(among) if among > 1 => deadline.within(deadline.remaining() / among),
        _ => deadline,
    }
}

/// Whether the next place may do better. A server that answered with a refusal has answered: so libpq. But one that
/// is starting up, closes at once, is silent or has the wrong role is passed over.
fn goes_on(error: &Error, startup: &Startup) -> bool {
    error.stage <= Stage::Speaks
        || matches!(error.cause, Cause::TimedOut(_))
        || matches!(&error.cause, Cause::Server(error) if error.code == "57P03")
        || (startup.ready && error.stage == Stage::Session)
}

/// One address, with and without encryption as `sslmode` says.
fn place(
    settings: &PgSettings,
    host: &HostPort,
    address: &Address,
    wanted: Wanted,
    deadline: Deadline,
    attempts: &mut Vec<Attempt>,
) -> Option<Opened> {
    let (first, second) = match (settings.sslmode, address) {
        (_, Address::Unix(_)) | (SslMode::Disable, _) => (Encryption::Never, None),
        (SslMode::Allow, _) => (Encryption::Never, Some(Encryption::Always)),
        (SslMode::Prefer, _) => (Encryption::IfOffered, Some(Encryption::Never)),
        _ => (Encryption::Always, None),
    };
    for encryption in [Some(first), second].into_iter().flatten() {
        match attempt(settings, host, address, encryption, deadline) {
            Ok(mut opened) => match check(&mut opened, wanted, deadline) {
                Ok(()) => return Some(opened),
                Err(error) => {
                    let startup = opened.session.startup.clone();
                    let traces = opened.traces;
                    attempts.push(Attempt { startup, traces, ..Attempt::failed(host, Some(address), error) });
                    return None;
                }
            },
            Err(failed) => {
                let again = failed.retry_otherwise(encryption);
                attempts.push(*failed);
                if !again {
                    return None;
                }
            }
        }
    }
    None
}

impl Attempt {
    fn failed(host: &HostPort, address: Option<&Address>, error: Error) -> Self {
        let (host, address) = (host.clone(), address.cloned());
        Self {
            host,
            address,
            encrypted: false,
            error,
            startup: Startup::default(),
            rejected: None,
            traces: Traces::default(),
        }
    }

    /// `prefer` falls back to clear text, and `allow` to TLS, when the server or the handshake refused; not when
    /// nothing answered, nor after the login succeeded.
    fn retry_otherwise(&self, encryption: Encryption) -> bool {
        let refused = self.startup.error.is_some() && !self.startup.auth_ok;
        match encryption {
            Encryption::Never => refused,
            Encryption::IfOffered => self.encrypted && (refused || self.error.stage == Stage::Tls),
            Encryption::Always => false,
        }
    }
}

/// One connection, from the socket to the session.
fn attempt(
    settings: &PgSettings,
    host: &HostPort,
    address: &Address,
    encryption: Encryption,
    deadline: Deadline,
) -> Result<Opened, Box<Attempt>> {
    let mut traces = Traces::default();
    let mut began = Instant::now();
    let mut lap = || std::mem::replace(&mut began, Instant::now()).elapsed();
    let failed = |error, traces| Box::new(Attempt { traces, ..Attempt::failed(host, Some(address), error) });
    let login = Login::of(settings).map_err(|error| failed(error, traces))?;
    let socket = connect_socket(address, settings, deadline);
    traces.reach = lap();
    let mut socket = socket.map_err(|error| failed(error, traces))?;
    (traces.peer_uid, traces.ours) = (socket.peer_uid(), socket.addresses().map(|(ours, _)| ours));
    require_peer(&socket, settings, address).map_err(|error| failed(error, traces))?;
    let answer = negotiate(&mut socket, settings, address, encryption, deadline, &mut traces.offers_tls);
    traces.speaks = lap();
    let answer = answer.map_err(|error| failed(error, traces))?;
    let encrypted = answer == Some(true);
    let (transport, name, certificate) = match answer {
        Some(true) => {
            let stream = tls::handshake(socket, settings, host);
            traces.tls = lap();
            let stream = stream.map_err(|tls| {
                let rejected = tls.rejected;
                Box::new(Attempt { encrypted, rejected, traces, ..Attempt::failed(host, Some(address), tls.error) })
            })?;
            let certificate = stream.ssl().peer_certificate().map(|certificate| Peer::of(&certificate));
            let name = stream.ssl().version_str().to_owned();
            (Transport::Tls(Box::new(stream)), name, certificate)
        }
        _ => {
            let name = if socket.is_unix() { "Unix socket" } else { "TCP, not encrypted" };
            (Transport::Plain(socket), name.to_owned(), None)
        }
    };
    let spoke = answer.is_some() && settings.sslnegotiation == SslNegotiation::Postgres;
    let session = start(transport, settings, &login, address, deadline, spoke);
    traces.login = lap();
    let session = session.map_err(|start| {
        let startup = start.startup;
        Box::new(Attempt { encrypted, startup, traces, ..Attempt::failed(host, Some(address), start.error) })
    })?;
    let (host, address) = (host.clone(), address.clone());
    Ok(Opened { session, host, address, login, transport: name, certificate, traces, before: Vec::new() })
}

/// Whether to begin TLS now; `None` when the server was not asked.
fn negotiate(
    socket: &mut Socket,
    settings: &PgSettings,
    address: &Address,
    encryption: Encryption,
    deadline: Deadline,
    offers: &mut Option<bool>,
) -> Result<Option<bool>, Error> {
    if encryption == Encryption::Never {
        return Ok(None);
    }
    if settings.sslnegotiation == SslNegotiation::Direct {
        return Ok(Some(true));
    }
    let doing = || format!("asking {address} for TLS (SSLRequest)");
    let wrong = |cause| Err(Error { stage: Stage::Speaks, doing: doing(), cause });
    let reply = ssl_request(socket, address, deadline)?;
    *offers = match reply {
        SslReply::Yes => Some(true),
        SslReply::No => Some(false),
        _ => None,
    };
    match reply {
        SslReply::Yes => Ok(Some(true)),
        SslReply::No if encryption == Encryption::IfOffered => Ok(Some(false)),
        SslReply::No => Err(no_tls(doing())),
        SslReply::Error(error) => wrong(Cause::Server(error)),
        SslReply::Foreign(bytes) => wrong(Cause::Foreign(bytes)),
        SslReply::Closed => wrong(Cause::Closed),
    }
}

/// The server answered N, and `sslmode` insists.
pub fn no_tls(doing: String) -> Error {
    let text = "the server does not offer TLS (its setting ssl is off)".into();
    Error { stage: Stage::Tls, doing, cause: Cause::Tls { verify: 0, text } }
}

/// `requirepeer`: the process behind the socket must belong to that user.
pub fn require_peer(socket: &Socket, settings: &PgSettings, address: &Address) -> Result<(), Error> {
    let Some(wanted) = settings.requirepeer.as_deref().filter(|_| socket.is_unix()) else { return Ok(()) };
    let problem = match (socket.peer_uid(), socket::uid_of(wanted)) {
        (Some(found), Some(uid)) if found == uid => return Ok(()),
        (Some(found), Some(uid)) => {
            format!("the server runs as uid {found}, and requirepeer={wanted} asks for uid {uid}")
        }
        (Some(_), None) => format!("requirepeer={wanted} is not a user in /etc/passwd"),
        (None, _) => "this system does not tell whose process is behind a socket (requirepeer)".into(),
    };
    let doing = format!("checking who is behind {address}");
    Err(Error { stage: Stage::Speaks, doing, cause: Cause::Driver(problem) })
}

/// `target_session_attrs`: by what the server reported (PostgreSQL 14 and later), else by asking.
fn check(opened: &mut Opened, wanted: Wanted, deadline: Deadline) -> Result<(), Error> {
    let (name, good, found) = match wanted {
        Wanted::Any => return Ok(()),
        Wanted::Writable(writable) => {
            let standby = reported(opened, "in_hot_standby");
            let read_only = match (standby, reported(opened, "default_transaction_read_only")) {
                (Some(standby), Some(read_only)) => standby || read_only,
                _ => ask(opened, "SHOW transaction_read_only", deadline)?,
            };
            let found = if read_only { "read-only" } else { "read-write" };
            (if writable { "read-write" } else { "read-only" }, read_only != writable, found)
        }
        Wanted::Standby(wanted) => {
            let standby = match reported(opened, "in_hot_standby") {
                Some(standby) => standby,
                None => ask(opened, "SELECT pg_catalog.pg_is_in_recovery()", deadline)?,
            };
            let found = if standby { "a standby" } else { "a primary" };
            (if wanted { "standby" } else { "primary" }, standby == wanted, found)
        }
    };
    if good {
        return Ok(());
    }
    let doing = format!("checking {} for target_session_attrs={name}", opened.address);
    Err(Error { stage: Stage::Session, doing, cause: Cause::Driver(format!("the server is {found}")) })
}

fn reported(opened: &Opened, name: &str) -> Option<bool> {
    opened.session.startup.parameter(name).map(|value| value == "on")
}

/// One boolean from the server.
fn ask(opened: &mut Opened, sql: &str, deadline: Deadline) -> Result<bool, Error> {
    let session = &mut opened.session;
    let limit = deadline.remaining();
    let answer = drive::run(&mut session.connection, &session.control, limit, session.client.simple_query(sql)).result;
    let messages = answer.map_err(|failure| Error {
        stage: Stage::Session,
        doing: format!("asking {}: {sql}", opened.address),
        cause: failure::cause(failure, limit),
    })?;
    Ok(messages.iter().any(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => matches!(row.get(0), Some("on" | "t")),
        _ => false,
    }))
}

/// Fisher and Yates, by the standard library's randomness for its hash tables.
fn shuffle<T>(items: &mut [T]) {
    let random = RandomState::new();
    for last in (1..items.len()).rev() {
        let mut hasher = random.build_hasher();
        hasher.write_usize(last);
        let other = hasher.finish() % (last as u64 + 1);
        items.swap(last, other as usize);
    }
}
