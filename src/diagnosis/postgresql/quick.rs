//! Names a failure that the page itself met, from the error alone: no probe, no catalogue. The id is the
//! ladder's as far as the error can tell; the fixes are those that need no more than that.

use std::any::Any;
use std::net::SocketAddr;

use crate::config::Resolved;
use crate::database::postgresql::PgTarget;
use crate::database::postgresql::settings::Host;
use crate::database::postgresql::socket::Address;
use crate::database::{Cause, Error, Stage, Table, Target};
use crate::diagnosis::engine::generic;
use crate::diagnosis::host::process::Who;
use crate::diagnosis::postgresql::evidence::facts::Facts;
use crate::diagnosis::postgresql::evidence::names::Names;
use crate::diagnosis::postgresql::evidence::surroundings::{Refusal, Surroundings};
use crate::diagnosis::postgresql::gather::names;
use crate::diagnosis::postgresql::ladder::login;
use crate::diagnosis::postgresql::rules::admitted;
use crate::diagnosis::postgresql::rules::authenticated;
use crate::diagnosis::postgresql::rules::exchange;
use crate::diagnosis::postgresql::rules::pgpool;
use crate::diagnosis::postgresql::rules::reach;
use crate::diagnosis::postgresql::rules::resolve;
use crate::diagnosis::postgresql::rules::schema;
use crate::diagnosis::postgresql::rules::session;
use crate::diagnosis::postgresql::rules::socket;
use crate::diagnosis::postgresql::rules::speaks::{self, Silence};
use crate::diagnosis::postgresql::rules::statement::{self, Doing};
use crate::diagnosis::postgresql::rules::tls::{self, Handshake};
use crate::diagnosis::postgresql::subject::{Place, Subject, address_in};
use crate::diagnosis::report::Finding;

/// The finding of a failure that the page met.
pub fn read(error: &Error, target: &dyn Target, settings: &Resolved) -> Finding {
    let Some(target) = (target as &dyn Any).downcast_ref::<PgTarget>() else {
        return generic::finding(error);
    };
    let who = Who::look_below(std::path::Path::new("/"));
    // our own words: the address that was tried
    let settings_of = target.settings();
    let tried = address_in(&error.doing);
    let index = settings_of.hosts.iter().position(|host| Some(&host.host) == tried.map(Host::Address).as_ref());
    let index = index.unwrap_or(0);
    let port = settings_of.hosts.get(index).map_or(5432, |host| host.port);
    let address = tried.map(|ip| Address::Tcp(SocketAddr::new(ip, port)));
    let mut subject = Subject {
        os_user: who.user.clone(),
        table: Table::clone(&settings.table),
        password_file: settings.password_file.clone(),
        ..Subject::new(settings_of, index, address.as_ref())
    };
    login::look_closer(&mut subject, error, std::path::Path::new("/"), &who);
    if let Cause::Server(refusal) = &error.cause
        && pgpool::speaks(refusal)
    {
        return pgpool::refused(&subject, refusal);
    }
    match error.stage {
        Stage::Config | Stage::Who => generic::finding(error),
        Stage::Resolve => {
            let names = match &subject.place {
                Place::Tcp { host, .. } => {
                    let ends = std::time::Instant::now() + std::time::Duration::from_millis(300);
                    names::look(std::path::Path::new("/"), host, &who, ends)
                }
                Place::Socket(_) => Names::default(),
            };
            match &error.cause {
                Cause::Resolver { code, text, .. } => resolve::read(&subject, *code, text, &names),
                _ => resolve::too_slow(&subject, &names),
            }
        }
        Stage::Reach => reached(&subject, error, &who),
        Stage::Speaks => spoke(&subject, error),
        Stage::Tls => match &error.cause {
            Cause::Tls { verify, text } => tls::read(
                &subject,
                &Handshake { verify: *verify, text, rejected: None, better_root: None, between: None },
                &who,
            ),
            cause => tls::read(
                &subject,
                &Handshake { verify: 0, text: &cause.to_string(), rejected: None, better_root: None, between: None },
                &who,
            ),
        },
        Stage::Admitted => match &error.cause {
            Cause::Server(refusal) => {
                admitted::refused(&subject, refusal, &crate::diagnosis::postgresql::evidence::Probes::default())
            }
            cause => admitted::hung_up(&subject, matches!(cause, Cause::TimedOut(_))),
        },
        Stage::Authenticated => match &error.cause {
            Cause::Server(refusal) => authenticated::refused(&subject, None, refusal),
            Cause::Driver(text) => authenticated::driver(&subject, text),
            Cause::Login(refusal) => exchange::given_up(&subject, refusal),
            cause => authenticated::hung_up(&subject, matches!(cause, Cause::TimedOut(_))),
        },
        Stage::Session => match &error.cause {
            Cause::Server(refusal) => session::refused(&subject, refusal, session::Around::default()),
            Cause::Driver(text) => session::wrong_kind_of_server(&subject, text, settings.read_only),
            cause => session::hung_up(&subject, matches!(cause, Cause::TimedOut(_))),
        },
        stage => statement(&subject, error, stage),
    }
}

fn refusal(cause: &Cause) -> Refusal {
    match cause {
        Cause::Io(error) => Refusal::Errno(error.raw_os_error().unwrap_or(libc::EIO)),
        Cause::TimedOut(limit) => Refusal::TimedOut(*limit),
        _ => Refusal::Errno(libc::EIO),
    }
}

fn reached(subject: &Subject, error: &Error, who: &Who) -> Finding {
    let mut around = login::around(std::path::Path::new("/"), subject, who, false);
    match &subject.place {
        Place::Socket(dir) => {
            let path = dir.join(format!(".s.PGSQL.{}", subject.port));
            socket::read(subject, &path, refusal(&error.cause), &around, who)
        }
        Place::Tcp { address, .. } => {
            let ip = address.unwrap_or([0, 0, 0, 0].into());
            let forbidden = refusal(&error.cause) == Refusal::Errno(libc::EACCES);
            around.route_allows = address.filter(|_| forbidden).and_then(|ip| {
                crate::diagnosis::postgresql::gather::probes::connects_by_udp(SocketAddr::new(ip, subject.port))
            });
            reach::tcp(subject, &[(SocketAddr::new(ip, subject.port), refusal(&error.cause))], &around)
        }
    }
}

fn spoke(subject: &Subject, error: &Error) -> Finding {
    let silence = match &error.cause {
        Cause::Server(refusal) => return speaks::error_at_first(subject, &refusal.message),
        Cause::Driver(text) => return speaks::not_whom_we_meant(subject, text),
        Cause::Foreign(bytes) => Silence::Bytes(bytes.clone()),
        Cause::TimedOut(within) => Silence::Nothing { within: *within, tls_only: false },
        _ => Silence::Closed { tls_only: false },
    };
    speaks::read(subject, &silence, &Surroundings::default())
}

fn statement(subject: &Subject, error: &Error, stage: Stage) -> Finding {
    // a privilege or policy is a step before reading, whichever statement it refused: our own words say which
    let writes = stage >= Stage::Write || error.doing.starts_with("inserting");
    let doing = if writes { Doing::Writing } else { Doing::Reading };
    // nothing was asked: the same readers, with every fact unknown
    let facts = Facts {
        user: subject.role.clone(),
        session_user: subject.role.clone(),
        database: subject.database.clone(),
        ..Facts::default()
    };
    let scene = statement::Scene::new(subject, &facts, doing);
    match &error.cause {
        // our own words, and so no server's translation
        Cause::Server(refusal) if error.doing.contains("creating table") && refusal.code == "42501" => {
            schema::may_not_create(subject)
        }
        Cause::Server(refusal) => statement::refused(&scene, refusal),
        Cause::TimedOut(_) => statement::too_slow(&scene),
        Cause::Closed | Cause::Io(_) => session::hung_up(subject, false),
        Cause::NoRow => statement::swallowed(&scene),
        Cause::Driver(text) => statement::unreadable(&scene, text),
        _ => generic::finding(error),
    }
}
