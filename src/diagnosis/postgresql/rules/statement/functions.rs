//! Triggers and rules: what an insert sets off inside the server. Nothing here is ever sure that a trigger may go:
//! it may keep an audit, a tenant's border, or the rows themselves.

use super::said::{hinted, names};
use super::{Doing, Scene, id, relation, table, what};
use crate::database::ServerError;
use crate::diagnosis::postgresql::evidence::facts::{Relation, Trigger};
use crate::diagnosis::postgresql::quote::{ident, literal};
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// Something that an error's words name, and where the database has it: the session looks elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    pub schema: String,
    pub name: String,
    /// May the role use that schema?
    pub usage: bool,
    /// It is what was asked for, arguments and all.
    pub exact: bool,
    /// The session does look there.
    pub in_path: bool,
}

/// A trigger or function failed inside: on a table, function or privilege of its own.
pub(super) fn inside_trigger(scene: &Scene, error: &ServerError) -> Finding {
    let subject = scene.subject;
    let context = error.context.as_deref().unwrap_or_default().replace('\n', "; ");
    let mut found = finding(
        id(scene, "DBT1205", "DBT1309"),
        format!("{} fires a trigger or function that fails: {} (in: {context})", what(scene), error.message),
    );
    if !context.is_empty() {
        found =
            found.not(format!("not table {} itself: the server says where it was (CONTEXT: {context})", subject.table));
    }
    let fired = fired(scene, &context);
    found = match error.code.as_str() {
        "42501" => granted(scene, error, found, &fired),
        "42883" | "42P01" | "42704" | "3F000" => on_the_path(scene, found, &fired),
        _ => found,
    };
    found = hinted(scene, error, found);
    without(scene, found, &fired)
}

/// The insert's triggers whose function the context names; all of them if it names none.
fn fired<'a>(scene: &Scene<'a>, context: &str) -> Vec<&'a Trigger> {
    let all: Vec<&Trigger> = relation(scene)
        .map(|relation| relation.triggers.iter().filter(|trigger| trigger.insert).collect())
        .unwrap_or_default();
    // the function's name stands in the context, in every language
    let named: Vec<&Trigger> = all.iter().copied().filter(|trigger| names(context, plain_name(trigger))).collect();
    if named.is_empty() { all } else { named }
}

/// "f" of `public.f()`.
fn plain_name(trigger: &Trigger) -> &str {
    let before = trigger.function.split('(').next().unwrap_or_default();
    before.rsplit('.').next().unwrap_or_default().trim_matches('"')
}

/// The privilege that the function lacks, for the statement that it ran.
fn granted(scene: &Scene, error: &ServerError, found: Finding, fired: &[&Trigger]) -> Finding {
    let subject = scene.subject;
    let role = super::role(scene);
    let statement = error.internal.as_ref().map(|(_, query)| query.as_str());
    let statement = statement.or(error.context.as_deref()).unwrap_or_default();
    let mut found = super::rights::closed_schema(scene, error, statement, found);
    let theirs = fired.iter().find(|trigger| trigger.definer);
    if let Some(trigger) = theirs {
        // it acts with its owner's rights: a grant to our role would change nothing
        found = found.maybe(
            FixKind::Sql,
            format!(
                "{} (shows who owns the function, which is SECURITY DEFINER: that role lacks the right)",
                subject.psql_place()
            ),
            format!("SELECT proowner::regrole FROM pg_proc WHERE oid = {}::regprocedure;", literal(&trigger.function)),
            Then::None,
        );
    } else if let Some((verb, name)) =
        verb_and_table(statement).filter(|(_, name)| names(&error.message, last_part(name)))
    {
        found = found.maybe(
            FixKind::Sql,
            format!("{} (what the function did: {verb} on {name})", subject.psql_place()),
            format!("GRANT {verb} ON {name} TO {role};"),
            Then::None,
        );
    }
    for trigger in fired.iter().filter(|trigger| !trigger.definer) {
        found = found.maybe(
            FixKind::Sql,
            format!(
                "{} (everybody who fires the trigger then acts with the rights of the function's owner; back: SECURITY INVOKER)",
                subject.psql_place()
            ),
            format!("ALTER FUNCTION {0} SECURITY DEFINER; ALTER FUNCTION {0} SET search_path = {1}, pg_temp;", trigger.function, path(scene, None)),
            Then::None,
        );
    }
    found
}

/// What a statement of one table does, and to which.
fn verb_and_table(text: &str) -> Option<(&'static str, String)> {
    let tokens: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c == '(' || c == ';').filter(|t| !t.is_empty()).collect();
    let after =
        |word: &str| tokens.iter().position(|token| token.eq_ignore_ascii_case(word)).and_then(|at| tokens.get(at + 1));
    let clean = |name: &&str| name.trim_matches(|c: char| c == ',' || c == '\u{bb}' || c == '\u{ab}').to_owned();
    let is_plain = |name: &String| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_.\"$".contains(c));
    let found = match tokens.iter().find_map(|token| {
        ["INSERT", "UPDATE", "DELETE", "SELECT"]
            .into_iter()
            .find(|verb| token.trim_matches('"').eq_ignore_ascii_case(verb))
    })? {
        "INSERT" => ("INSERT", clean(after("INTO")?)),
        "UPDATE" => ("UPDATE", clean(after("UPDATE")?)),
        "DELETE" => ("DELETE", clean(after("FROM")?)),
        _ => ("SELECT", clean(after("FROM")?)),
    };
    Some(found).filter(|(_, name)| is_plain(name))
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default().trim_matches('"')
}

/// What the function does not find is in a schema where it does not look: the session does not, or the function has a
/// search_path of its own.
fn on_the_path(scene: &Scene, found: Finding, fired: &[&Trigger]) -> Finding {
    let own_path = matches!(fired, [trigger] if trigger.own_path);
    let candidates: Vec<&Elsewhere> = scene.elsewhere.iter().filter(|there| own_path || !there.in_path).collect();
    let [there] = candidates.as_slice() else { return found };
    let subject = scene.subject;
    let mut found = found;
    let who = if own_path { "of that function" } else { "of this session" };
    found
        .cause
        .push_str(&format!("; {} is in schema {}, which is not in the search_path {who}", there.name, there.schema));
    let usage = if there.usage {
        String::new()
    } else {
        format!("GRANT USAGE ON SCHEMA {} TO {}; ", ident(&there.schema), super::role(scene))
    };
    let wide = path(scene, (!there.in_path).then_some(there.schema.as_str()));
    if let [trigger] = fired {
        let text = format!("{usage}ALTER FUNCTION {} SET search_path = {wide};", trigger.function);
        // another set of arguments would not be found there either; a path of its own was somebody's decision
        found = if there.exact && !own_path {
            found.sure(FixKind::Sql, subject.psql_place(), text, Then::None)
        } else {
            found.maybe(FixKind::Sql, subject.psql_place(), text, Then::None)
        };
    }
    if own_path {
        return found;
    }
    found.maybe(
        FixKind::Sql,
        format!("{} (for everything that the role does)", subject.psql_place()),
        format!(
            "{usage}ALTER ROLE {} IN DATABASE {} SET search_path = {wide};",
            ident(&scene.facts.session_user),
            ident(&scene.facts.database)
        ),
        Then::None,
    )
}

/// The session's search_path, with a schema more.
fn path(scene: &Scene, more: Option<&str>) -> String {
    let mut path: Vec<String> = scene.facts.path.iter().map(|schema| ident(schema)).collect();
    path.extend(more.map(ident));
    if path.is_empty() { "\"public\"".into() } else { path.join(", ") }
}

/// Without the trigger: what it does is then not done. Only ever a choice.
fn without(scene: &Scene, found: Finding, fired: &[&Trigger]) -> Finding {
    let subject = scene.subject;
    if fired.is_empty() {
        return found.maybe(
            FixKind::Sql,
            format!("{} (shows the triggers)", subject.psql_place()),
            format!(
                "SELECT tgname, tgfoid::regprocedure FROM pg_trigger WHERE tgrelid = {}::regclass;",
                literal(&table(scene))
            ),
            Then::None,
        );
    }
    fired.iter().fold(found, |found, trigger| disabled(scene, found, &table(scene), trigger))
}

fn disabled(scene: &Scene, found: Finding, table: &str, trigger: &Trigger) -> Finding {
    let name = ident(&trigger.name);
    found.maybe(
        FixKind::Sql,
        format!(
            "{} (only if what {} does may stay undone for every row from now on; back: ENABLE TRIGGER {name})",
            scene.subject.psql_place(),
            trigger.function
        ),
        format!("ALTER TABLE {table} DISABLE TRIGGER {name};"),
        Then::None,
    )
}

/// A function refuses by its own rule (RAISE).
pub(super) fn raised(scene: &Scene, error: &ServerError) -> Finding {
    let context = error.context.as_deref().unwrap_or_default().replace('\n', "; ");
    let mut found = finding(
        id(scene, "DBT1212", "DBT1310"),
        format!("A function in the database refuses the row by its own rule: {}", error.message),
    );
    if !context.is_empty() {
        found =
            found.not(format!("not table {} itself: a function raised it (CONTEXT: {context})", scene.subject.table));
    }
    let found = hinted(scene, error, found);
    without(scene, found, &fired(scene, &context))
}

/// The statement succeeded and returned no row, and no row of this text is there.
pub fn swallowed(scene: &Scene) -> Finding {
    let subject = scene.subject;
    let found =
        finding("DBT1329", format!("An insert into {} returns no row: a trigger or a rule took it", subject.table));
    let Some(relation) = relation(scene) else { return found };
    if relation.partitions > 0 && relation.kind == "r" {
        let mut found = found;
        found.cause = format!(
            "An insert into {} returns no row: a trigger may put it into one of the {} tables that inherit from it",
            subject.table, relation.partitions
        );
        return routed_fix(scene, relation, found);
    }
    let found = relation.rules.iter().fold(found, |found, rule| {
        found.maybe(
            FixKind::Sql,
            format!(
                "{} (only if the rule is not meant; first: SELECT definition FROM pg_rules WHERE rulename = {}, to have it back)",
                subject.psql_place(),
                literal(rule)
            ),
            format!("DROP RULE {} ON {};", ident(rule), relation.qualified()),
            Then::None,
        )
    });
    relation
        .triggers
        .iter()
        .filter(|trigger| trigger.insert && (trigger.before || trigger.instead) && trigger.row)
        .fold(found, |found, trigger| disabled(scene, found, &relation.qualified(), trigger))
}

/// Partitioning by inheritance: the row is stored and seen, only its id does not come back.
pub fn routed(scene: &Scene, child: &str) -> Finding {
    let found = finding(
        "DBT1333",
        format!(
            "Rows for {} are stored in {child}: a trigger routes them into tables that inherit from it, so that INSERT … RETURNING answers with no row",
            scene.subject.table
        ),
    )
    .not("not a lost row: it was found again in the same transaction");
    match relation(scene) {
        Some(relation) => routed_fix(scene, relation, found),
        None => found,
    }
}

fn routed_fix(scene: &Scene, relation: &Relation, found: Finding) -> Finding {
    found.maybe(
        FixKind::Sql,
        format!(
            "{} (shows the tables; declarative partitioning, PARTITION BY, needs no trigger and gives the id back)",
            scene.subject.psql_place()
        ),
        format!(
            "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = {}::regclass;",
            literal(&relation.qualified())
        ),
        Then::None,
    )
}

/// What was stored is not what was sent.
pub fn altered(scene: &Scene, column: &str) -> Finding {
    let found = finding(
        "DBT1330",
        format!(
            "The database stores another text in column {column} of {} than was sent: a trigger or rule changes it",
            scene.subject.table
        ),
    );
    let Some(relation) = relation(scene) else { return found };
    let suspects = relation.triggers.iter().filter(|trigger| trigger.insert && trigger.before);
    suspects.fold(found, |found, trigger| disabled(scene, found, &relation.qualified(), trigger))
}

/// Whether a failed statement's error may come from what the insert fires.
pub(super) fn fires(scene: &Scene) -> bool {
    scene.doing != Doing::Reading
        && relation(scene).is_some_and(|relation| relation.triggers.iter().any(|trigger| trigger.insert))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_of_a_function_says_what_to_grant() {
        let grant = |text| verb_and_table(text);
        assert_eq!(grant("SQL statement \"INSERT INTO audit VALUES (NEW.stuff)\""), Some(("INSERT", "audit".into())));
        assert_eq!(grant("UPDATE app.counters SET n = n + 1"), Some(("UPDATE", "app.counters".into())));
        assert_eq!(grant("SELECT count(*) FROM x WHERE a"), Some(("SELECT", "x".into())));
        assert_eq!(grant("PL/pgSQL function f() line 1"), None);
    }
}
