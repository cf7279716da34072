//! The climb: one connection, opened as the page opens it, and everything that can be proved over it.

mod asking;
pub mod login;
mod trials;

use std::any::Any;

use super::scene::Scene;
use super::subject::{Place, Subject};
use crate::config::Resolved;
use crate::database::postgresql::PgTarget;
use crate::database::{Stage, Target};
use crate::diagnosis::engine::generic;
use crate::diagnosis::engine::kind::Circumstances;
use crate::diagnosis::host::policy::Policy;
use crate::diagnosis::host::process::Who;
use crate::diagnosis::host::sandbox::Sandbox;
use crate::diagnosis::report::builder::{Climb, Trial};
use crate::diagnosis::report::{Finding, Report};

/// Climbs the ladder.
pub fn climb(target: &dyn Target, settings: &Resolved, circumstances: &Circumstances) -> Report {
    let Some(target) = (target as &dyn Any).downcast_ref::<PgTarget>() else {
        return (generic::DIAGNOSIS.ladder)(target, settings, circumstances);
    };
    let trial = Trial::begin(Stage::Who);
    let who = Who::look_below(&circumstances.root);
    let scene = Scene { target, settings, circumstances, who: &who };
    let mut climb = Climb::begin(target.masked(), circumstances.within);
    climb.add(config(&scene));
    climb.add(who.step(trial));
    match target.open(&scene.limits(&climb)) {
        Err(attempts) => login::failed(&scene, climb, attempts),
        Ok(opened) => {
            let (subject, session) = login::passed(&scene, &mut climb, &opened);
            let mut report = trials::run(&scene, climb, &subject, session, opened);
            report.warnings.extend(foretold(&subject, &who));
            report.warnings.extend(confined_by_unit(&subject, &who));
            report
        }
    }
}

/// What SELinux will refuse the server, though it allows it here.
fn foretold(subject: &Subject, who: &Who) -> Option<Finding> {
    let policy = Policy::of(who)?;
    match &subject.place {
        Place::Socket(dir) => policy.socket(&dir.join(format!(".s.PGSQL.{}", subject.port)), who),
        Place::Tcp { .. } => policy.port(subject.port),
    }
}

/// Which socket the unit will refuse the server, though this shell may make it.
fn confined_by_unit(subject: &Subject, who: &Who) -> Option<Finding> {
    let family = match &subject.place {
        Place::Socket(_) => "AF_UNIX",
        Place::Tcp { address: Some(address), .. } if address.is_ipv6() => "AF_INET6",
        Place::Tcp { .. } => "AF_INET",
    };
    Sandbox::foretold(&who.root, who.unit.as_deref())?.family(family)
}

/// What was configured, as it was understood.
fn config(scene: &Scene) -> crate::diagnosis::report::Step {
    let mut trial = Trial::begin(Stage::Config);
    trial.tried("apachectl -t -D DUMP_DBTEST");
    let settings = scene.target.settings();
    let subject = Subject::of(scene, 0, None);
    trial.fact("server", subject.server());
    trial.fact("role", &subject.role);
    trial.fact("database", &subject.database);
    trial.fact("table", scene.settings.table.to_string());
    trial.fact("sslmode", crate::diagnosis::postgresql::rules::tls::name(settings.sslmode));
    trial.fact("password", if settings.password.is_some() { "configured" } else { "none" });
    let suspicions = scene.target.suspicions();
    for suspicion in &suspicions {
        trial.fact("suspicious", suspicion);
    }
    let mut says = scene.target.masked();
    if let Some(first) = suspicions.first() {
        says.push_str(&format!(" ({first})"));
    }
    trial.pass(says)
}
