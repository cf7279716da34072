//! Can a row be inserted into this kind of relation at all? For a view: what to use instead, or how to teach it.

use super::WANTED;
use super::missing::create;
use crate::diagnosis::postgresql::evidence::facts::{Base, Facts, Relation};
use crate::diagnosis::postgresql::quote::{ident, qualified};
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// Can a row be inserted at all into this kind of relation?
pub(super) fn insertable(subject: &Subject, facts: &Facts, relation: &Relation) -> Option<Finding> {
    // PostgreSQL calls a column of a view updatable only if triggers do UPDATE and DELETE as well
    let by_trigger = relation.triggers.iter().any(|trigger| trigger.instead && trigger.insert);
    let fixed = |name: &&str| !by_trigger && relation.column(name).is_some_and(|column| !column.updatable);
    let locked: Vec<&str> = WANTED[1..].iter().map(|(name, _)| *name).filter(fixed).collect();
    if relation.insertable && locked.is_empty() {
        return None;
    }
    let what = match relation.kind.as_str() {
        "m" => "a materialised view",
        "f" => "a foreign table that takes no rows",
        _ if !locked.is_empty() && relation.insertable => "a view that computes a column",
        _ => "a view that PostgreSQL cannot insert through",
    };
    let found = finding("DBT1010", format!("{} is {what}: it can be read, but no row can be inserted", subject.table))
        .not("not a missing privilege: nobody can insert there");
    Some(base_instead(subject, facts, relation, found))
}

/// For a view: use what is below it, or teach it to insert.
pub(super) fn base_instead(subject: &Subject, facts: &Facts, relation: &Relation, found: Finding) -> Finding {
    let suits = |base: &&Base| WANTED.iter().all(|(name, _)| base.columns.iter().any(|column| column == name));
    let Some(base) = relation.bases.iter().find(suits) else {
        let name = ident(&format!("{}_before_dbtest", relation.name));
        let kind = if relation.kind == "m" {
            "MATERIALIZED VIEW"
        } else if relation.kind == "f" {
            "FOREIGN TABLE"
        } else {
            "VIEW"
        };
        return found.maybe(
            FixKind::Sql,
            format!("{} (puts a table in its place)", subject.psql_place()),
            format!(
                "ALTER {kind} {} RENAME TO {name}; {}",
                relation.qualified(),
                create(subject, facts, &relation.schema)
            ),
            Then::None,
        );
    };
    let name = format!("{}.{}", base.schema, base.name);
    let direct = base.kind == "r" || base.kind == "p";
    let allowed =
        base.select && base.insert && base.sequences.iter().all(|sequence| sequence.allowed || sequence.identity);
    if direct && allowed && crate::database::Table::parse(&name).is_ok() {
        let place = format!("{} (the page then shows the table's own rows, not the view's)", subject.httpd_place());
        return found.maybe(FixKind::Httpd, place, format!("DBTestTable {name}"), Then::Reload).maybe(
            FixKind::Sql,
            subject.psql_place(),
            instead_of_trigger(relation, base),
            Then::None,
        );
    }
    found
        .maybe(
            FixKind::Sql,
            format!(
                "{} (whoever may insert into the view then writes to {name} with the rights of the function's owner)",
                subject.psql_place()
            ),
            instead_of_trigger(relation, base),
            Then::None,
        )
        .maybe(FixKind::Httpd, subject.httpd_place(), format!("DBTestTable {name}"), Then::Reload)
}

/// A trigger that puts the view's rows into the table below. It runs as its owner, since the view's readers
/// need no right on that table.
pub(super) fn instead_of_trigger(relation: &Relation, base: &Base) -> String {
    let function = qualified(&relation.schema, &format!("{}_insert", relation.name));
    format!(
        "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS \
         $dbtest$ BEGIN INSERT INTO {base} (stuff, things) VALUES (NEW.stuff, NEW.things) RETURNING id INTO NEW.id; RETURN NEW; END $dbtest$; \
         CREATE TRIGGER {trigger} INSTEAD OF INSERT ON {view} FOR EACH ROW EXECUTE FUNCTION {function}();",
        base = qualified(&base.schema, &base.name),
        trigger = ident(&format!("{}_insert", relation.name)),
        view = relation.qualified(),
    )
}
