//! The steps from a name to a session, read from the record of the connection that was opened, or of the
//! attempts that failed.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::database::postgresql::certificate::Peer;
use crate::database::postgresql::open::{Attempt, Attempts, Opened, Traces};
use crate::database::postgresql::settings::{Host, HostPort, RootCert, SslMode, SslNegotiation};
use crate::database::postgresql::socket::Address;
use crate::database::postgresql::startup::{AuthRequest, Startup};
use crate::database::{Cause, Error, Stage};
use crate::diagnosis::engine::generic;
use crate::diagnosis::host::process::Who;
use crate::diagnosis::host::shell::word as shell;
use crate::diagnosis::host::unit;
use crate::diagnosis::postgresql::evidence::fields;
use crate::diagnosis::postgresql::evidence::neighbours::Neighbours;
use crate::diagnosis::postgresql::evidence::surroundings::{Refusal, Surroundings};
use crate::diagnosis::postgresql::gather::{certificates, names, neighbours, probes};
use crate::diagnosis::postgresql::rules::admitted;
use crate::diagnosis::postgresql::rules::authenticated;
use crate::diagnosis::postgresql::rules::exchange;
use crate::diagnosis::postgresql::rules::pgpool;
use crate::diagnosis::postgresql::rules::poolers;
use crate::diagnosis::postgresql::rules::reach::{self, describe};
use crate::diagnosis::postgresql::rules::resolve;
use crate::diagnosis::postgresql::rules::session;
use crate::diagnosis::postgresql::rules::socket;
use crate::diagnosis::postgresql::rules::speaks::{self, Silence};
use crate::diagnosis::postgresql::rules::tls::{self, Handshake};
use crate::diagnosis::postgresql::scene::Scene;
use crate::diagnosis::postgresql::subject::{Place, Subject};
use crate::diagnosis::report::builder::{Climb, Trial};
use crate::diagnosis::report::{Finding, Report, Step};

/// All the questions about a name together take no longer.
const PROBING: Duration = Duration::from_millis(1500);

/// What is known of one way to the server, whether it led to a session or not.
struct Record<'a> {
    host: &'a HostPort,
    address: Option<&'a Address>,
    encrypted: bool,
    startup: &'a Startup,
    traces: Traces,
    certificate: Option<&'a Peer>,
    /// "TLSv1.3", or what stands for it.
    transport: &'a str,
}

/// The steps up to the session, all proved. The last one, the session, is handed back: it is proved only by
/// the first statement, since a pooler answers the login before it has a server.
pub fn passed(scene: &Scene, climb: &mut Climb, opened: &Opened) -> (Subject, Option<Step>) {
    let record = Record {
        host: &opened.host,
        address: Some(&opened.address),
        encrypted: opened.certificate.is_some(),
        startup: &opened.session.startup,
        traces: opened.traces,
        certificate: opened.certificate.as_ref(),
        transport: &opened.transport,
    };
    let subject = subject(scene, &record);
    let mut steps = steps(&subject, &record, &opened.before, None);
    let session = steps.pop();
    for step in steps {
        climb.add(step);
    }
    warnings(&subject, &record, &opened.before, climb);
    (subject, session)
}

fn subject(scene: &Scene, record: &Record) -> Subject {
    let index = scene.target.settings().hosts.iter().position(|host| host == record.host).unwrap_or(0);
    let mut subject = Subject::of(scene, index, record.address);
    subject.encrypted = record.encrypted;
    subject.seen_as = record.traces.ours.map(|ours| ours.ip()).or(subject.seen_as);
    subject
}

/// What works, and should be known.
fn warnings(subject: &Subject, record: &Record, before: &[Attempt], climb: &mut Climb) {
    let trusted = record.startup.auth_ok && record.startup.auth_request.is_none();
    if trusted && matches!(subject.place, Place::Tcp { .. }) && subject.settings.sslcert.is_none() {
        climb.warn(admitted::trusted(subject));
    }
    climb_warn(climb, exchange::unproved(subject, record.startup.auth_request.as_ref()));
    if let Some(certificate) = record.certificate {
        climb_warn(climb, tls::ends_soon(subject, certificate));
    }
    // another server of several: what a failover needs is not there, though all is well now
    let mut gone: Vec<&HostPort> = Vec::new();
    for attempt in before.iter().filter(|attempt| attempt.host != *record.host && attempt.error.stage <= Stage::Tls) {
        if !gone.contains(&&attempt.host) {
            gone.push(&attempt.host);
            climb.warn(reach::other_server_gone(subject, &attempt.error.to_string()));
        }
    }
    let fell = before.iter().find(|attempt| attempt.encrypted && attempt.error.stage == Stage::Tls);
    if let (false, Some(attempt)) = (record.encrypted, fell) {
        climb.warn(tls::fell_back(subject, &attempt.error.cause.to_string()));
    }
}

fn climb_warn(climb: &mut Climb, finding: Option<Finding>) {
    if let Some(finding) = finding {
        climb.warn(finding);
    }
}

/// The climb ends before a session.
pub fn failed(scene: &Scene, mut climb: Climb, attempts: Attempts) -> Report {
    let main = attempts.main();
    let Attempts(attempts) = attempts;
    let Some(attempt) = attempts.get(main) else {
        return climb.finish();
    };
    let furthest = attempt.error.stage;
    let record = Record {
        host: &attempt.host,
        address: attempt.address.as_ref(),
        encrypted: attempt.encrypted,
        startup: &attempt.startup,
        traces: attempt.traces,
        certificate: None,
        transport: if attempt.encrypted { "TLS" } else { "not encrypted" },
    };
    let mut subject = subject(scene, &record);
    look_closer(&mut subject, &attempt.error, &scene.circumstances.root, scene.who);
    let others: Vec<&Attempt> = attempts.iter().filter(|other| !std::ptr::eq(*other, attempt)).collect();
    for step in steps(&subject, &record, &attempts, Some(furthest)) {
        climb.add(step);
    }
    let mut trial = Trial::begin(furthest);
    trial.tried(command(&subject, &record, furthest));
    trial.facts(fields::of_cause(&attempt.error.cause));
    for other in &others {
        trial.fact("also_tried", other.error.to_string());
    }
    let finding = read(scene, &subject, attempt, &attempts, &mut trial);
    let mut step = trial.fail(attempt.error.to_string());
    step.ms = milliseconds(time_of(&record, furthest));
    climb.fail(step, finding)
}

/// What only a failure makes worth looking for: the files of TLS, and the server behind a pooler.
pub fn look_closer(subject: &mut Subject, error: &Error, root: &Path, who: &Who) {
    if matches!(error.stage, Stage::Tls | Stage::Admitted) || matches!(error.cause, Cause::Tls { .. }) {
        subject.certificates = certificates::look(&subject.settings, &subject.role, who);
    }
    let by_a_pooler = matches!(&error.cause, Cause::Server(refusal) if fields::is_bare(refusal) || fields::speaks_as_a_pooler(refusal));
    if by_a_pooler && subject.local {
        subject.behind = neighbours::look(root, None).only_server(subject.port);
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn time_of(record: &Record, stage: Stage) -> Duration {
    match stage {
        Stage::Reach => record.traces.reach,
        Stage::Speaks => record.traces.speaks,
        Stage::Tls => record.traces.tls,
        Stage::Authenticated => record.traces.login,
        Stage::Admitted if record.startup.auth_request.is_none() => record.traces.login,
        _ => Duration::ZERO,
    }
}

/// A step as a command.
fn command(subject: &Subject, record: &Record, stage: Stage) -> String {
    let user = shell(&subject.os_user);
    match (stage, &subject.place, record.address) {
        (Stage::Resolve, Place::Tcp { host, .. }, _) => format!("runuser -u {user} -- getent ahosts {}", shell(host)),
        (Stage::Reach, Place::Socket(dir), _) => {
            format!(
                "runuser -u {user} -- ls -l {}; namei -l {}",
                shell(&format!("{}/.s.PGSQL.{}", dir.display(), subject.port)),
                shell(&dir.display().to_string())
            )
        }
        (Stage::Reach, _, Some(Address::Tcp(to))) => format!("runuser -u {user} -- nc -zvw3 {} {}", to.ip(), to.port()),
        (Stage::Speaks | Stage::Tls, Place::Tcp { .. }, _) => tls::show(subject),
        (Stage::Config | Stage::Who, ..) => String::new(),
        _ => subject.psql("SELECT 1"),
    }
}

/// The steps that are proved: all, or those before `until`.
fn steps(subject: &Subject, record: &Record, attempts: &[Attempt], until: Option<Stage>) -> Vec<Step> {
    let proved = |stage: Stage| until.is_none_or(|until| stage < until);
    let mut steps = Vec::new();
    let mut add = |stage: Stage, make: &dyn Fn(Trial) -> Step| {
        if proved(stage) {
            let mut trial = Trial::begin(stage);
            trial.tried(command(subject, record, stage));
            let mut step = make(trial);
            step.ms = step.ms.max(milliseconds(time_of(record, stage)));
            steps.push(step);
        }
    };
    add(Stage::Resolve, &|trial| resolved(record, attempts, trial));
    add(Stage::Reach, &|trial| reached(subject, record, attempts, trial));
    add(Stage::Speaks, &|trial| spoke(subject, record, trial));
    add(Stage::Tls, &|trial| encrypted(subject, record, trial));
    add(Stage::Admitted, &|trial| admitted(subject, record, trial));
    add(Stage::Authenticated, &|trial| authenticated(subject, record, trial));
    add(Stage::Session, &|trial| in_session(record, trial));
    steps
}

fn address_alone(address: &Address) -> String {
    match address {
        Address::Tcp(to) => to.ip().to_string(),
        Address::Unix(path) => path.display().to_string(),
    }
}

fn resolved(record: &Record, attempts: &[Attempt], mut trial: Trial) -> Step {
    let Host::Name(name) = &record.host.host else {
        return trial.skip("there is no host name to look up");
    };
    if let Some(address) = record.host.hostaddr {
        return trial.skip(format!("hostaddr={address} is configured: {name} is not looked up"));
    }
    // those that were tried; to ask once more might take as long again
    let before = attempts.iter().filter(|attempt| attempt.host == *record.host);
    let tried = before.filter_map(|attempt| attempt.address.as_ref()).chain(record.address);
    let mut list: Vec<String> = tried.map(address_alone).collect();
    list.dedup();
    trial.fact("addresses", list.join(", "));
    trial.pass(format!("{name} is {}", list.join(", ")))
}

fn reached(subject: &Subject, record: &Record, attempts: &[Attempt], mut trial: Trial) -> Step {
    for attempt in attempts.iter().filter(|attempt| attempt.error.stage == Stage::Reach) {
        trial.fact("refused", attempt.error.to_string());
    }
    if let Some(ours) = record.traces.ours {
        trial.fact("our_address", ours.to_string());
    }
    if let Some(uid) = record.traces.peer_uid {
        trial.fact("peer_uid", uid);
    }
    trial.pass(format!("{} accepts connections", subject.server()))
}

fn spoke(subject: &Subject, record: &Record, mut trial: Trial) -> Step {
    let direct = subject.settings.sslnegotiation == SslNegotiation::Direct;
    if direct && record.traces.offers_tls.is_none() && !record.startup.spoke {
        return trial.skip("not asked: with sslnegotiation=direct the TLS handshake comes first");
    }
    match record.traces.offers_tls {
        Some(offers) => trial.fact("ssl_reply", if offers { "S" } else { "N" }),
        None => trial.fact("ssl_request", "not sent"),
    }
    trial.pass(format!("{} speaks PostgreSQL's protocol", subject.server()))
}

fn encrypted(subject: &Subject, record: &Record, mut trial: Trial) -> Step {
    let mode = subject.settings.sslmode;
    if let Some(certificate) = record.certificate {
        trial.fact("subject", &certificate.subject);
        trial.fact("issuer", &certificate.issuer);
        trial.fact("names", certificate.names.join(", "));
        trial.fact("not_after", &certificate.not_after);
    }
    match (record.encrypted, mode) {
        (true, SslMode::Prefer | SslMode::Allow | SslMode::Require) if subject.settings.sslrootcert.is_none() => {
            trial.pass(format!("{}; the certificate was not verified (sslmode={})", record.transport, tls::name(mode)))
        }
        (true, _) => {
            trial.pass(format!("{}; the certificate was verified (sslmode={})", record.transport, tls::name(mode)))
        }
        (false, _) if matches!(subject.place, Place::Socket(_)) => trial.skip("a Unix socket needs none"),
        (false, SslMode::Disable) => trial.skip("sslmode=disable"),
        (false, mode) => {
            trial.skip(format!("not encrypted: sslmode={} goes on without TLS, and so proves none", tls::name(mode)))
        }
    }
}

fn admitted(subject: &Subject, record: &Record, mut trial: Trial) -> Step {
    let method = record.startup.auth_request.as_ref().map_or("none (trust, peer or cert)", AuthRequest::method);
    trial.fact("method", method);
    if let Some(AuthRequest::Sasl(mechanisms)) = &record.startup.auth_request {
        trial.fact("mechanisms", mechanisms.join(", "));
    }
    trial.pass(format!(
        "pg_hba.conf admits role {} to database {}; it asks for: {method}",
        subject.role, subject.database
    ))
}

fn authenticated(subject: &Subject, record: &Record, trial: Trial) -> Step {
    match &record.startup.auth_request {
        Some(request) => trial.pass(format!("the password of role {} is right ({})", subject.role, request.method())),
        None => trial.pass(format!("role {} is in without a password", subject.role)),
    }
}

fn in_session(record: &Record, mut trial: Trial) -> Step {
    let startup = record.startup;
    for name in [
        "server_version",
        "server_encoding",
        "client_encoding",
        "in_hot_standby",
        "default_transaction_read_only",
        "is_superuser",
        "session_authorization",
    ] {
        if let Some(value) = startup.parameter(name) {
            trial.fact(name, value);
        }
    }
    if let Some(pid) = startup.backend_pid {
        trial.fact("backend_pid", pid);
    }
    let version = startup.parameter("server_version").unwrap_or("of unknown version");
    trial.pass(format!("a session on PostgreSQL {version}"))
}

/// Reads the failure.
fn read(scene: &Scene, subject: &Subject, attempt: &Attempt, all: &[Attempt], trial: &mut Trial) -> Finding {
    let error = &attempt.error;
    if let Cause::Server(refusal) = &error.cause
        && pgpool::speaks(refusal)
    {
        return pgpool::refused(subject, refusal);
    }
    match error.stage {
        Stage::Resolve => name(scene, subject, error, trial),
        Stage::Reach => reach_failed(scene, subject, attempt, all, trial),
        Stage::Speaks => speaks_failed(scene, subject, attempt, error),
        Stage::Tls => tls_failed(scene, subject, attempt, error),
        Stage::Admitted => match &error.cause {
            Cause::Server(refusal) => {
                let probes = probes::admission(subject, attempt, scene.circumstances.on_request);
                trial.fact("with_tls_the_other_way", shown(probes.other_tls));
                trial.fact("to_another_database", shown(probes.other_database));
                trial.fact("as_another_role", shown(probes.other_role));
                admitted::refused(subject, refusal, &probes)
            }
            cause => silent_after(subject, cause, Stage::Admitted, scene, attempt),
        },
        Stage::Authenticated => login_failed(scene, subject, attempt, error),
        Stage::Session => session_failed(scene, subject, attempt, error),
        _ => generic::finding(error),
    }
}

fn shown(answer: Option<bool>) -> &'static str {
    match answer {
        Some(true) => "admitted",
        Some(false) => "refused",
        None => "not tried",
    }
}

fn name(scene: &Scene, subject: &Subject, error: &Error, trial: &mut Trial) -> Finding {
    let Place::Tcp { host, .. } = &subject.place else { return generic::finding(error) };
    let ends = Instant::now() + PROBING;
    let names = names::look(&scene.circumstances.root, host, scene.who, ends);
    if !names.servers.is_empty() {
        trial.fact("name_servers", names.answers());
    }
    match &error.cause {
        Cause::Resolver { code, text, .. } => resolve::read(subject, *code, text, &names),
        _ => resolve::too_slow(subject, &names),
    }
}

/// What this machine itself can say about the server.
fn surroundings(scene: &Scene, subject: &Subject) -> Surroundings {
    around(&scene.circumstances.root, subject, scene.who, scene.circumstances.on_request)
}

/// The same, for whoever has no climb: `asks` the next machine as well.
pub fn around(root: &Path, subject: &Subject, who: &Who, asks: bool) -> Surroundings {
    let dir = match &subject.place {
        Place::Socket(dir) => Some(dir.as_path()),
        Place::Tcp { .. } => None,
    };
    let neighbours = neighbours::look(root, dir);
    let postgres_ports =
        if subject.local { probes::postgres_ports(&neighbours, subject.port) } else { Default::default() };
    let gateway = Some(&neighbours).filter(|here| here.container && here.installed == Some(false));
    let gateway = gateway.and_then(|_| neighbours::gateway(root));
    Surroundings {
        neighbours,
        postgres_ports,
        confined: who.confined_type().map(str::to_owned),
        unit: who.unit.clone(),
        unit_settings: who.unit.iter().flat_map(|unit| unit::settings(root, unit)).collect(),
        database_boolean: who.boolean("httpd_can_network_connect_db"),
        route_allows: None,
        gateway,
        gateway_speaks: asks && gateway.is_some_and(|ip| probes::speaks_postgresql(SocketAddr::new(ip, subject.port))),
    }
}

fn refusal(cause: &Cause) -> Refusal {
    match cause {
        Cause::Io(error) => Refusal::Errno(error.raw_os_error().unwrap_or(libc::EIO)),
        Cause::TimedOut(limit) => Refusal::TimedOut(*limit),
        _ => Refusal::Errno(libc::EIO),
    }
}

fn reach_failed(scene: &Scene, subject: &Subject, attempt: &Attempt, all: &[Attempt], trial: &mut Trial) -> Finding {
    let mut around = surroundings(scene, subject);
    for socket in around.neighbours.living() {
        trial.fact("socket_found", socket.dir.join(format!(".s.PGSQL.{}", socket.port)).display().to_string());
    }
    for port in &around.postgres_ports {
        trial.fact("postgresql_port_found", port);
    }
    if let Some(Address::Unix(path)) = &attempt.address {
        return socket::read(subject, path, refusal(&attempt.error.cause), &around, scene.who);
    }
    let tried: Vec<(SocketAddr, Refusal)> = all
        .iter()
        .filter(|other| other.host == attempt.host && other.error.stage == Stage::Reach)
        .filter_map(|other| match &other.address {
            Some(Address::Tcp(to)) => Some((*to, refusal(&other.error.cause))),
            _ => None,
        })
        .collect();
    for (address, refusal) in &tried {
        trial.fact("tried", format!("{address}: {}", describe(*refusal)));
    }
    let forbidden = tried.iter().find(|(_, refusal)| *refusal == Refusal::Errno(libc::EACCES));
    around.route_allows = forbidden.and_then(|(address, _)| probes::connects_by_udp(*address));
    if let Some(allows) = around.route_allows {
        trial.fact("udp_socket_connects", allows);
    }
    reach::tcp(subject, &tried, &around)
}

fn speaks_failed(scene: &Scene, subject: &Subject, attempt: &Attempt, error: &Error) -> Finding {
    let address = attempt.address.as_ref();
    match &error.cause {
        Cause::Server(refusal) if refusal.code.is_empty() => speaks::error_at_first(subject, &refusal.message),
        Cause::Server(refusal) => crate::diagnosis::postgresql::rules::server::refused(subject, refusal),
        Cause::Driver(text) => speaks::not_whom_we_meant(subject, text),
        cause => {
            let tls_only = |needed: bool| {
                needed
                    && scene.circumstances.on_request
                    && address.is_some_and(|address| {
                        matches!(address, Address::Tcp(_)) && probes::speaks_tls_only(attempt, address)
                    })
            };
            let silence = match cause {
                Cause::Foreign(bytes) => Silence::Bytes(bytes.clone()),
                Cause::TimedOut(within) => Silence::Nothing { within: *within, tls_only: tls_only(true) },
                _ => Silence::Closed { tls_only: tls_only(true) },
            };
            speaks::read(subject, &silence, &surroundings(scene, subject))
        }
    }
}

fn tls_failed(scene: &Scene, subject: &Subject, attempt: &Attempt, error: &Error) -> Finding {
    if !attempt.encrypted && attempt.traces.offers_tls == Some(false) {
        let address = attempt.address.as_ref().filter(|_| scene.circumstances.on_request);
        let pooler = address.is_some_and(|address| probes::is_pooler(subject, address));
        let loopback = reach::place_is_loopback(subject);
        // a tunnel or proxy on the loopback leads to another machine: PostgreSQL itself has a socket of that port
        let neighbours = loopback.then(|| surroundings(scene, subject).neighbours);
        let itself = |here: &Neighbours| {
            here.living().any(|socket| socket.port == subject.port && here.is_trusted(socket.owner))
        };
        let at = match (loopback, pooler || neighbours.as_ref().is_some_and(itself)) {
            (true, true) => tls::At::Loopback,
            (true, false) => tls::At::BehindLoopback,
            (false, _) => tls::At::Elsewhere,
        };
        return tls::not_offered(subject, at, pooler);
    }
    if subject.settings.sslnegotiation == SslNegotiation::Direct
        && scene.circumstances.on_request
        && attempt.address.as_ref().is_some_and(probes::offers_tls)
        && attempt.rejected.is_none()
    {
        return exchange::not_direct(subject);
    }
    let (verify, text) = match &error.cause {
        Cause::Tls { verify, text } => (*verify, text.clone()),
        cause => (0, cause.to_string()),
    };
    let rejected = attempt.rejected.as_ref();
    let better = rejected
        .filter(|_| scene.circumstances.on_request)
        .and_then(|(peer, _)| probes::better_root(subject, attempt, peer));
    let root = match &subject.settings.sslrootcert {
        Some(RootCert::File(root)) => Some(root),
        _ => None,
    };
    let between = root.zip(rejected).and_then(|(root, (peer, _))| certificates::intermediate(root, peer));
    let shake =
        Handshake { verify, text: &text, rejected, better_root: better.as_deref(), between: between.as_deref() };
    tls::read(subject, &shake, scene.who)
}

fn login_failed(scene: &Scene, subject: &Subject, attempt: &Attempt, error: &Error) -> Finding {
    let request = attempt.startup.auth_request.as_ref();
    match (&error.cause, request) {
        (Cause::Login(refusal), _) => exchange::given_up(subject, refusal),
        (_, Some(request @ (AuthRequest::Gss | AuthRequest::Sspi | AuthRequest::Other(_)))) => {
            authenticated::unsupported(subject, request)
        }
        (Cause::Server(refusal), _) => authenticated::refused(subject, request, refusal),
        (Cause::Driver(text), Some(request)) if exchange::ended(subject, request, text).is_some() => {
            exchange::ended(subject, request, text).unwrap_or_else(|| authenticated::driver(subject, text))
        }
        (_, Some(request)) if !subject.has_password => authenticated::no_password(subject, request),
        // PostgreSQL itself compares a password at once: a server that takes its time is asked beyond it
        (Cause::TimedOut(_), Some(AuthRequest::Cleartext)) => authenticated::external(subject, request),
        (cause, _) => silent_after(subject, cause, Stage::Authenticated, scene, attempt),
    }
}

fn session_failed(scene: &Scene, subject: &Subject, attempt: &Attempt, error: &Error) -> Finding {
    if attempt.startup.ready {
        return session::wrong_kind_of_server(subject, &error.cause.to_string(), scene.settings.read_only);
    }
    match &error.cause {
        Cause::Server(refusal) => {
            let missing = refusal.code == "3D000" && refusal.detail.is_none() && scene.circumstances.on_request;
            let other = if missing { probes::database_with_table(subject, &probes::databases(subject)) } else { None };
            let absent = ["3D000", "28000"].contains(&refusal.code.as_str()) && other.is_none();
            let neighbour = if absent { neighbour(scene, subject, missing) } else { None };
            let around = session::Around {
                neighbour: neighbour.as_ref(),
                looked: scene.circumstances.on_request,
                password_accepted: attempt.startup.auth_request.is_some(),
                table_is_in: other.as_deref(),
            };
            session::refused(subject, refusal, around)
        }
        cause => silent_after(subject, cause, Stage::Session, scene, attempt),
    }
}

/// Another PostgreSQL of this machine, if one runs that may be trusted. `asks`: with the same login, for the table.
fn neighbour(scene: &Scene, subject: &Subject, asks: bool) -> Option<session::Neighbour> {
    if !subject.local {
        return None;
    }
    let around = surroundings(scene, subject);
    let here = &around.neighbours;
    let sockets = here.living().filter(|socket| socket.port != subject.port && here.is_trusted(socket.owner));
    let by_socket = sockets.map(|socket| (Host::SocketDir(socket.dir.clone()), socket.port));
    let ports = around.postgres_ports.iter().filter(|port| here.is_port_trusted(**port));
    let by_port = ports.map(|port| (Host::Address([127, 0, 0, 1].into()), *port));
    let tcp = matches!(subject.place, Place::Tcp { .. });
    // over the same kind of connection, so that pg_hba.conf is likely to have a line for it
    let mut all: Vec<(Host, u16)> =
        if tcp { by_port.chain(by_socket).collect() } else { by_socket.chain(by_port).collect() };
    all.truncate(4);
    let mut found: Option<session::Neighbour> = None;
    for (host, port) in all {
        let mut other = subject.clone();
        if let Some(place) = other.settings.hosts.get_mut(subject.host_index) {
            *place = HostPort { host: host.clone(), hostaddr: None, port };
        }
        let place = match &host {
            Host::SocketDir(dir) => dir.join(format!(".s.PGSQL.{port}")).display().to_string(),
            _ => format!("port {port}"),
        };
        let has_table = asks && probes::has_table(&other, &subject.database);
        if found.is_none() || has_table {
            found = Some(session::Neighbour { place, directive: other.directive(|_| {}), has_table });
        }
        if has_table {
            break;
        }
    }
    found
}

/// No error of the server's: it closed, fell silent, or the driver gave up.
fn silent_after(subject: &Subject, cause: &Cause, stage: Stage, scene: &Scene, attempt: &Attempt) -> Finding {
    let timed_out = matches!(cause, Cause::TimedOut(_));
    let is_pooler = || {
        let address = attempt.address.as_ref().filter(|_| timed_out && scene.circumstances.on_request);
        address.is_some_and(|address| probes::is_pooler(subject, address))
    };
    match (cause, stage) {
        (Cause::TimedOut(_), Stage::Authenticated | Stage::Session) if is_pooler() => {
            poolers::keeps_waiting(subject, poolers::When::Password)
        }
        (Cause::Tls { .. }, _) => tls_failed(scene, subject, attempt, &attempt.error),
        (Cause::Driver(text), _) => authenticated::driver(subject, text),
        (Cause::Login(refusal), _) => exchange::given_up(subject, refusal),
        (Cause::Foreign(bytes), _) => speaks::read(subject, &Silence::Bytes(bytes.clone()), &Surroundings::default()),
        (_, Stage::Admitted) => admitted::hung_up(subject, timed_out),
        (_, Stage::Authenticated) => authenticated::hung_up(subject, timed_out),
        _ => session::hung_up(subject, timed_out),
    }
}
