//! Names a failure that the page itself met, from the error alone: no probe, no catalogue. The id is the
//! ladder's as far as the error can tell; the fixes are those that need no more than that.

use std::any::Any;
use std::net::SocketAddr;

use super::admission;
use super::authentication;
use super::facts::Facts;
use super::reach::{self, Refusal, Surroundings};
use super::resolve;
use super::session;
use super::socket;
use super::speaks::{self, Silence};
use super::statement::{self, Doing};
use super::subject::{Place, Subject};
use super::table;
use super::tls::{self, Handshake};
use crate::config::Resolved;
use crate::database::postgresql::PgTarget;
use crate::database::{Cause, Error, Stage, Table, Target};
use crate::diagnosis::{Finding, Who, generic};

/// The finding of a failure that the page met.
pub fn read(error: &Error, target: &dyn Target, settings: &Resolved) -> Finding {
    let Some(target) = (target as &dyn Any).downcast_ref::<PgTarget>() else {
        return generic::finding(error);
    };
    let who = Who::look_below(std::path::Path::new("/"));
    let subject = Subject {
        os_user: who.user.clone(),
        table: Table::clone(&settings.table),
        ..Subject::new(target.settings(), 0, None)
    };
    match error.stage {
        Stage::Config | Stage::Who => generic::finding(error),
        Stage::Resolve => match &error.cause {
            Cause::Resolver { code, text, .. } => resolve::read(&subject, *code, text, &[], false),
            _ => resolve::too_slow(&subject),
        },
        Stage::Reach => reached(&subject, error, &who),
        Stage::Speaks => spoke(&subject, error),
        Stage::Tls => match &error.cause {
            Cause::Tls { verify, text } => {
                tls::read(&subject, &Handshake { verify: *verify, text, rejected: None, better_root: None }, &who)
            }
            cause => tls::read(
                &subject,
                &Handshake { verify: 0, text: &cause.to_string(), rejected: None, better_root: None },
                &who,
            ),
        },
        Stage::Admitted => match &error.cause {
            Cause::Server(refusal) => admission::refused(&subject, refusal, &admission::Probes::default()),
            cause => admission::hung_up(&subject, matches!(cause, Cause::TimedOut(_))),
        },
        Stage::Authenticated => match &error.cause {
            Cause::Server(refusal) => authentication::refused(&subject, None, refusal),
            Cause::Driver(text) => authentication::driver(&subject, text),
            cause => authentication::hung_up(&subject, matches!(cause, Cause::TimedOut(_))),
        },
        Stage::Session => match &error.cause {
            Cause::Server(refusal) => session::refused(&subject, refusal, session::Around::default()),
            Cause::Driver(text) => session::wrong_kind_of_server(&subject, text),
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
    let around = Surroundings { selinux_enforcing: who.enforcing, ..Surroundings::default() };
    match &subject.place {
        Place::Socket(dir) => {
            let path = dir.join(format!(".s.PGSQL.{}", subject.port));
            socket::read(subject, &path, refusal(&error.cause), &around, who)
        }
        Place::Tcp { address, .. } => {
            let ip = address.unwrap_or([0, 0, 0, 0].into());
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
    let doing = if stage >= Stage::Write { Doing::Writing } else { Doing::Reading };
    let facts = Facts {
        user: subject.role.clone(),
        session_user: subject.role.clone(),
        database: subject.database.clone(),
        ..Facts::default()
    };
    let scene = statement::Scene { subject, facts: &facts, doing, blockers: &[] };
    match &error.cause {
        // our own words, and so no server's translation
        Cause::Server(refusal) if error.doing.contains("creating table") && refusal.code == "42501" => {
            table::may_not_create(subject)
        }
        Cause::Server(refusal) => statement::by_error_alone(&scene, refusal),
        Cause::TimedOut(_) => statement::too_slow(&scene),
        Cause::Closed | Cause::Io(_) => session::hung_up(subject, false),
        Cause::Driver(text) => statement::unreadable(&scene, text),
        _ => generic::finding(error),
    }
}
