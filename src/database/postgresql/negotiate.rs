//! The steps from an address to a ready session, each usable by itself: the diagnosis walks them one by one, and the
//! page's own connection is made of the same.

use std::io::{self, Read, Write};
use std::time::Duration;

use tokio_postgres::{Client, Connection, config};

use crate::database::{Cause, Error, LoginRefusal, Secret, ServerError, Stage};

use super::deadline::Deadline;
use super::drive;
use super::exchange;
use super::failure::{self, startup_error};
use super::policy::Policy;
use super::settings::{ChannelBinding, PgSettings};
use super::socket::{Address, Socket};
use super::startup::{AuthRequest, Startup};
use super::wire::{Control, Finished, Transport, Wire};

/// What came back for an SSLRequest.
#[derive(Debug)]
pub enum SslReply {
    /// The server expects a TLS handshake.
    Yes,
    /// It has none, and expects a startup in the clear.
    No,
    /// An error instead, e.g. of a server that cannot fork.
    Error(Box<ServerError>),
    /// The peer does not speak the protocol. An SSH server's greeting begins with an S as well: more than one byte came.
    Foreign(Vec<u8>),
    Closed,
}

/// A session that is ready for queries, with the driver's two halves.
pub struct Session {
    pub client: Client,
    pub connection: Connection<Wire, Wire>,
    pub control: Control,
    /// What the server said while it was made.
    pub startup: Startup,
}

impl Drop for Session {
    /// Says goodbye, which the server's log likes better than a connection cut off.
    fn drop(&mut self) {
        exchange::terminate(&self.control, Duration::from_millis(50));
    }
}

/// A startup that failed, with what the server had said until then.
#[derive(Debug)]
pub struct StartFailed {
    pub error: Error,
    pub startup: Startup,
}

/// The number that asks for TLS (protocol, "SSLRequest").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Connects to one address.
pub fn connect_socket(address: &Address, settings: &PgSettings, deadline: Deadline) -> Result<Socket, Error> {
    Socket::connect(address, settings, deadline)
        .map_err(|error| io_error(Stage::Reach, format!("connecting to {address}"), error, deadline))
}

/// Asks whether the server does TLS. The socket is good for what the answer says and nothing else.
pub fn ssl_request(socket: &mut Socket, address: &Address, deadline: Deadline) -> Result<SslReply, Error> {
    socket.end_by(deadline);
    ask(socket)
        .map_err(|error| io_error(Stage::Speaks, format!("asking {address} for TLS (SSLRequest)"), error, deadline))
}

fn ask(socket: &mut Socket) -> io::Result<SslReply> {
    socket.write_all(&SSL_REQUEST)?;
    let mut startup = Startup::default();
    let mut buffer = [0; 1024];
    loop {
        let count = match socket.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            other => other?,
        };
        match (&buffer[..count], startup.spoke) {
            (b"S", false) => return Ok(SslReply::Yes),
            (b"N", false) => return Ok(SslReply::No),
            ([], _) => return Ok(SslReply::Closed),
            _ => {}
        }
        // a notice cannot come before the startup, so N with more behind it is somebody else's
        if buffer[0] != b'E' && !startup.spoke {
            return Ok(SslReply::Foreign(buffer[..count.min(64)].to_vec()));
        }
        startup.feed(&buffer[..count]);
        if let Some(error) = startup.error {
            return Ok(SslReply::Error(Box::new(error)));
        }
        if let Some(bytes) = startup.foreign {
            return Ok(SslReply::Foreign(bytes));
        }
    }
}

/// Who logs in, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub database: String,
}

impl Login {
    /// As configured, or by libpq's defaults: the operating system's user of this process, and the database named alike.
    pub fn of(settings: &PgSettings) -> Result<Self, Error> {
        let user = match &settings.user {
            Some(user) => user.clone(),
            None => whoami::username().map_err(|error| Error {
                stage: Stage::Who,
                doing: "finding the name of the user that this process runs as, since no user is configured".into(),
                cause: Cause::Driver(error.to_string()),
            })?,
        };
        Ok(Self { database: settings.dbname.clone().unwrap_or_else(|| user.clone()), user })
    }
}

/// Logs in over a transport that is ready for it. `spoke` says that the server is known to speak the protocol, since
/// it answered an SSLRequest, with N perhaps.
pub fn start(
    transport: Transport,
    settings: &PgSettings,
    login: &Login,
    address: &Address,
    deadline: Deadline,
    spoke: bool,
) -> Result<Session, Box<StartFailed>> {
    let policy = Policy::of(settings, matches!(transport, Transport::Tls(_)));
    let control = Control::new(transport, deadline);
    control.with(|state| state.startup.policy = policy);
    let config = config(settings, login);
    let future = config.connect_raw(Wire(control.clone()), Finished);
    let result = drive::start(&control, future);
    let mut startup = control.with(|state| std::mem::take(&mut state.startup));
    match result {
        Ok((client, connection)) => {
            // the tap has seen enough
            control.with(|state| state.startup.ready = true);
            Ok(Session { client, connection, control, startup })
        }
        Err(failure) => {
            if startup.signed && startup.refusal.is_none() && failure::is_authentication(&failure) {
                startup.refusal = Some(LoginRefusal::Unproven { skipped: false });
                startup.auth_ok = false;
            }
            let doing =
                format!("logging in to {address} as role \"{}\" to database \"{}\"", login.user, login.database);
            let mut error = startup_error(failure, &startup, spoke, deadline.limit(), doing);
            explain_method(&mut error, &startup, settings);
            Err(Box::new(StartFailed { error, startup }))
        }
    }
}

/// Says in pg_hba.conf's words what the driver had no answer for.
fn explain_method(error: &mut Error, startup: &Startup, settings: &PgSettings) {
    let (Some(request), Cause::Driver(text)) = (&startup.auth_request, &mut error.cause) else { return };
    let method = request.method();
    match request {
        AuthRequest::Gss | AuthRequest::Sspi | AuthRequest::Other(_) => {
            *text = format!("the server asks for authentication by {method}, which mod_dbtest does not know");
        }
        _ if password(settings).is_none() => {
            *text = format!("the server asks for a password ({method}) and none is configured");
        }
        _ => {}
    }
}

/// The driver's share of the settings: who logs in, and how.
fn config(settings: &PgSettings, login: &Login) -> config::Config {
    let mut config = config::Config::new();
    config.user(&login.user).dbname(&login.database);
    let name = settings.application_name.as_ref().or(settings.fallback_application_name.as_ref());
    config.application_name(name.map_or("mod_dbtest", String::as_str));
    if let Some(password) = password(settings) {
        config.password(password);
    }
    if let Some(options) = &settings.options {
        config.options(options);
    }
    config.channel_binding(match settings.channel_binding {
        ChannelBinding::Disable => config::ChannelBinding::Disable,
        ChannelBinding::Prefer => config::ChannelBinding::Prefer,
        ChannelBinding::Require => config::ChannelBinding::Require,
    });
    // what is below is settled: the driver is to take the stream as it is, and to ask it for its channel binding
    config.ssl_mode(config::SslMode::Require).ssl_negotiation(config::SslNegotiation::Direct);
    config
}

/// libpq takes an empty password for none.
fn password(settings: &PgSettings) -> Option<&str> {
    settings.password.as_ref().map(Secret::reveal).filter(|password| !password.is_empty())
}

/// An error of the system, or the deadline.
pub fn io_error(stage: Stage, doing: String, error: io::Error, deadline: Deadline) -> Error {
    let cause = match error.kind() {
        io::ErrorKind::TimedOut if error.raw_os_error().is_none() => Cause::TimedOut(deadline.limit()),
        _ => Cause::Io(error),
    };
    Error { stage, doing, cause }
}
