//! Reading an error that a statement met: the page's SELECT or its INSERT. By SQLSTATE and routine, with
//! what the catalogue says about the table; an error from inside a trigger or function (context or internal
//! query present) is never taken for one of our own statement. Every class of SQLSTATE has an answer.

mod constraints;
mod functions;
mod rights;
mod said;
mod surroundings;
#[cfg(test)]
mod tests;
mod types;
mod waiting;

use crate::database::ServerError;
use crate::diagnosis::postgresql::evidence::facts::{Facts, Relation};
use crate::diagnosis::postgresql::quote::ident;
use crate::diagnosis::postgresql::rules::server;
use crate::diagnosis::postgresql::rules::{poolers, relayed};
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::Finding;

pub use functions::{Elsewhere, altered, routed, swallowed};
pub use said::words;
pub use types::unreadable;
pub use waiting::{Blocker, too_slow};

/// What was being tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Reading,
    Writing,
    /// The checks that a COMMIT would make.
    Committing,
}

/// All that is known when a statement fails. The page's own error comes with nothing but itself: facts that were not
/// gathered are unknown, and the same readers then say less, not otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    pub subject: &'a Subject,
    pub facts: &'a Facts,
    pub doing: Doing,
    pub blockers: &'a [Blocker],
    /// pg_locks was asked.
    pub looked_for_locks: bool,
    /// Where the database has what the error's words name, outside the session's search_path.
    pub elsewhere: &'a [Elsewhere],
}

impl<'a> Scene<'a> {
    /// With nothing known but the facts.
    pub fn new(subject: &'a Subject, facts: &'a Facts, doing: Doing) -> Self {
        Self { subject, facts, doing, blockers: &[], looked_for_locks: false, elsewhere: &[] }
    }
}

/// The finding for the server's error.
pub fn refused(scene: &Scene, error: &ServerError) -> Finding {
    let Scene { subject, facts, .. } = *scene;
    if crate::diagnosis::postgresql::evidence::fields::speaks_as_a_pooler(error)
        && let Some(found) = relayed::refused(subject, error, poolers::When::Statement)
    {
        return found;
    }
    // a limit that was set for the role or the database, and is met; not the machine's
    let by_setting = error.code == "53400" && types::names_a_setting(scene, error);
    if by_setting {
        return types::setting_wrong(scene, error);
    }
    if let Some(found) = surroundings::read(scene, error).or_else(|| server::state(subject, error)) {
        return found;
    }
    let inside = error.internal.is_some() || error.context.is_some();
    let code = error.code.as_str();
    let routine = error.routine.as_deref().unwrap_or_default();
    match (code, routine) {
        ("55P03", _) => waiting::locked(scene, false),
        ("57014", _) => waiting::cancelled(scene),
        ("25006", _) if !inside => crate::diagnosis::postgresql::rules::durable::read_only(subject, facts),
        ("40001" | "40P01" | "40000", _) => waiting::retry(scene, error),
        ("25P02" | "25001" | "25P01", _) => waiting::transaction_state(scene, error),
        _ if is_beyond(scene, error) => types::foreign(scene, error),
        ("26000" | "42P05", _) | ("0A000", "RevalidateCachedQuery") => waiting::prepared(error),
        ("22021" | "22P05" | "22P04", _) if scene.doing == Doing::Reading => types::stored_bytes(scene, error),
        ("22P05", _) if !inside => types::no_such_character(scene, error),
        ("44000", _) => constraints::view_check(scene, error),
        ("42P17", "fireRIRrules") => rights::recursion(scene, error),
        (_, "ExecWithCheckOptions" | "check_enable_rls") => rights::row_security(scene, error),
        ("42704", _) if is_setting(error) => rights::setting_missing(scene, error),
        (_, "exec_stmt_raise") if inside => functions::raised(scene, error),
        _ if inside && code.starts_with("P0") => functions::raised(scene, error),
        ("42501" | "42P01" | "42883" | "42703" | "42704" | "3F000" | "42809", _) if inside => {
            functions::inside_trigger(scene, error)
        }
        _ if inside && functions::fires(scene) => functions::inside_trigger(scene, error),
        ("42501", "nextval_internal" | "nextval_oid" | "nextval") => rights::sequence_right(scene, error),
        ("42501", _) => rights::privilege(scene, error),
        ("42P01" | "42703" | "3F000", _) => types::changed(scene, error),
        ("42809" | "55000" | "0A000", _) if scene.doing == Doing::Writing => types::not_insertable(scene, error),
        ("23514", "ExecFindPartition") => constraints::partition(scene, error),
        ("23514", _) if error.constraint.is_none() && is_partitioned(scene) => constraints::partition(scene, error),
        (code, _) if code.starts_with("23") => constraints::constraint(scene, error),
        ("2200H", _) => constraints::sequence_end(scene, error),
        ("22003", _) => constraints::number_end(scene, error),
        ("428C9", _) => types::generated(scene, error),
        ("22001", _) => constraints::too_long(scene, error),
        ("42804" | "22P02" | "22007" | "22008" | "42846" | "42883", _) => types::types(scene, error),
        ("22023", _) => types::setting_wrong(scene, error),
        (code, _) if code.starts_with("22") => types::data(scene, error),
        (code, _) if code.starts_with("HV") || code.starts_with("38") || code.starts_with("39") => {
            types::foreign(scene, error)
        }
        (code, _) if code.starts_with("P0") => functions::raised(scene, error),
        (code, _) if code.starts_with("54") => types::limit(scene, error),
        _ => types::unknown(scene, error),
    }
}

/// current_setting() of what nobody set: raised in guc.c, whichever routine of it.
fn is_setting(error: &ServerError) -> bool {
    let routine = error.routine.as_deref().unwrap_or_default();
    error.file.as_deref().is_some_and(|file| file.starts_with("guc"))
        || ["find_option", "GetConfigOptionByName", "GetConfigOption"].contains(&routine)
}

fn is_partitioned(scene: &Scene) -> bool {
    relation(scene).is_none_or(|relation| relation.kind == "p")
}

/// Does the table lie on another server, and the error beyond our own privileges on it?
fn is_beyond(scene: &Scene, error: &ServerError) -> bool {
    relation(scene).is_some_and(|relation| relation.kind == "f") && error.code != "42501"
}

/// The id of a finding that may come from a read or a write.
fn id(scene: &Scene, reading: &'static str, writing: &'static str) -> &'static str {
    if scene.doing == Doing::Reading { reading } else { writing }
}

fn what(scene: &Scene) -> &'static str {
    match scene.doing {
        Doing::Reading => "Reading",
        Doing::Writing => "Inserting",
        Doing::Committing => "Committing",
    }
}

fn relation<'a>(scene: &Scene<'a>) -> Option<&'a Relation> {
    scene.facts.chosen(&scene.subject.table)
}

fn table(scene: &Scene) -> String {
    relation(scene).map_or_else(|| scene.subject.table.quoted(), Relation::qualified)
}

fn role(scene: &Scene) -> String {
    let user = if scene.facts.user.is_empty() { &scene.subject.role } else { &scene.facts.user };
    ident(user)
}
