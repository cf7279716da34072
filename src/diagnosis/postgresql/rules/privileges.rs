//! Reading what the catalogue says about privileges, before a statement is refused: the server's message
//! does not say which privilege it missed, and names sequences and base tables that nobody mentioned.

use crate::diagnosis::postgresql::evidence::facts::{Facts, Policy, Relation};
use crate::diagnosis::postgresql::quote::{ident, qualified};
use crate::diagnosis::postgresql::rules::setting;
use crate::diagnosis::postgresql::subject::Subject;
use crate::diagnosis::report::finding::{Draft, finding};
use crate::diagnosis::report::{Finding, FixKind, Then};

/// `None` when role and table fit. `read_only`: nothing will be inserted.
pub fn read(subject: &Subject, facts: &Facts, read_only: bool) -> Option<Finding> {
    if facts.superuser == Some(true) {
        return None;
    }
    let relation = facts.chosen(&subject.table)?;
    let missing = missing(facts, relation, read_only);
    if !missing.is_empty() {
        return Some(grants(subject, facts, relation, read_only, &missing));
    }
    row_security(subject, facts, relation, read_only)
}

/// Every GRANT that is missing, as statements: one fix cures them all.
pub fn missing(facts: &Facts, relation: &Relation, read_only: bool) -> Vec<String> {
    let role = ident(&facts.user);
    let mut grants = Vec::new();
    let (select, insert) = table_rights(relation);
    let rights: Vec<&str> =
        [(!select).then_some("SELECT"), (!insert && !read_only).then_some("INSERT")].into_iter().flatten().collect();
    if !rights.is_empty() {
        grants.push(format!("GRANT {} ON {} TO {role};", rights.join(", "), relation.qualified()));
    }
    for base in relation.bases.iter().filter(|_| relation.is_view()) {
        let reader = ident(&base.reader);
        let needs_insert =
            !read_only && relation.insertable && !relation.triggers.iter().any(|trigger| trigger.instead);
        let rights: Vec<&str> =
            [(!base.reader_select).then_some("SELECT"), (!base.reader_insert && needs_insert).then_some("INSERT")]
                .into_iter()
                .flatten()
                .collect();
        if !rights.is_empty() {
            grants.push(format!("GRANT {} ON {} TO {reader};", rights.join(", "), qualified(&base.schema, &base.name)));
        }
    }
    if read_only {
        return grants;
    }
    let below = relation.bases.iter().flat_map(|base| &base.sequences);
    for sequence in relation.sequences.iter().chain(below) {
        let sent = ["stuff", "things"].contains(&sequence.column.as_str());
        if !sequence.identity && !sequence.allowed && !sent {
            grants.push(format!("GRANT USAGE ON SEQUENCE {} TO {role};", sequence.qualified()));
        }
    }
    for function in relation.functions.iter().filter(|function| !function.allowed) {
        grants.push(format!("GRANT EXECUTE ON FUNCTION {} TO {role};", function.signature));
    }
    grants
}

/// SELECT on the columns that are read, INSERT on those that are written: a grant on columns will do.
fn table_rights(relation: &Relation) -> (bool, bool) {
    let all = |names: &[&str], has: fn(&crate::diagnosis::postgresql::evidence::facts::Column) -> bool| {
        names.iter().all(|name| relation.column(name).is_none_or(has))
    };
    (all(&["id", "stuff", "things"], |column| column.select), all(&["stuff", "things"], |column| column.insert))
}

fn grants(subject: &Subject, facts: &Facts, relation: &Relation, read_only: bool, missing: &[String]) -> Finding {
    let (select, insert) = table_rights(relation);
    let role = &facts.user;
    let lacks = match (select, insert || read_only) {
        (false, false) => "neither read nor insert",
        (false, true) => "not read",
        _ => "not insert",
    };
    let text = missing.join(" ");
    let by_view = relation.bases.iter().find(|base| !base.reader_select || (!base.reader_insert && !read_only));
    let own = !select || (!insert && !read_only);
    let found = if own {
        finding("DBT1101", format!("Role {role} may {lacks} rows of table {}", subject.table)).not(format!(
            "not the schema and not the columns: the catalogue has {} with all of them",
            relation.qualified()
        ))
    } else if let (true, Some(base)) = (relation.is_view(), by_view) {
        finding(
            "DBT1104",
            format!(
                "View {} reads {}.{} in the name of role {}, which lacks rights there",
                subject.table, base.schema, base.name, base.reader
            ),
        )
        .not(format!("not a right of role {role} on the view itself: it has those"))
    } else if let Some(sequence) = missing.iter().find(|grant| grant.contains(" ON SEQUENCE ")) {
        let name = sequence.trim_start_matches("GRANT USAGE ON SEQUENCE ").split(" TO ").next().unwrap_or_default();
        finding(
            "DBT1102",
            format!(
                "Role {role} may insert into {}, but not use the sequence {name} that numbers its rows",
                subject.table
            ),
        )
        .not("not a right on the table: has_column_privilege says SELECT and INSERT")
    } else {
        finding(
            "DBT1103",
            format!("Role {role} may not execute a function that a default or check of {} calls", subject.table),
        )
        .not("not a right on the table: has_column_privilege says SELECT and INSERT")
    };
    match relation.through.first() {
        Some(group) if own => inherit(subject, facts, found, group, text),
        _ => found.sure(FixKind::Sql, subject.psql_place(), text, Then::None),
    }
}

/// The rights are there, in a role of which ours is a member without inheriting.
fn inherit(subject: &Subject, facts: &Facts, mut found: Finding, group: &str, grants: String) -> Finding {
    let (role, member) = (ident(&facts.user), ident(group));
    found.id = "DBT1105";
    found.cause.push_str(&format!(
        "; role {group} has these rights, and {} is a member of it that does not inherit",
        facts.user
    ));
    // membership carries the option itself since PostgreSQL 16
    let (text, what) = if facts.version >= 160_000 {
        (format!("GRANT {member} TO {role} WITH INHERIT TRUE;"), format!("everything that {group} may do"))
    } else {
        (format!("ALTER ROLE {role} INHERIT;"), "everything that every role may do of which it is a member".into())
    };
    found.sure(FixKind::Sql, subject.psql_place(), grants, Then::None).maybe(
        FixKind::Sql,
        format!("{} (gives the role {what})", subject.psql_place()),
        text,
        Then::None,
    )
}

/// Row level security without a policy that lets us: rows are invisible without an error.
fn row_security(subject: &Subject, facts: &Facts, relation: &Relation, read_only: bool) -> Option<Finding> {
    if !relation.row_security {
        return None;
    }
    // then a policy is an error, not a filter, whatever the policies say
    if facts.parameter("row_security").is_some_and(|parameter| parameter.setting == "off") {
        return Some(setting::row_security_off(subject, facts, "DBT1109"));
    }
    let lets = |command: &str| {
        let concerns = |policy: &&Policy| {
            policy.applies && policy.permissive && (policy.command == "*" || policy.command == command)
        };
        relation.policies.iter().any(|policy| concerns(&policy))
    };
    let (sees, inserts) = (lets("r"), lets("a") || read_only);
    let (id, lacks, clause) = match (sees, inserts) {
        (true, true) => return None,
        (false, false) => {
            ("DBT1106", "neither shows it a row nor takes one from it", "ALL TO {} USING (true) WITH CHECK (true)")
        }
        (false, true) => ("DBT1107", "shows it no row", "SELECT TO {} USING (true)"),
        (true, false) => ("DBT1108", "takes no row from it", "INSERT TO {} WITH CHECK (true)"),
    };
    let role = &facts.user;
    let name = free_name(relation);
    let text = format!("CREATE POLICY {name} ON {} FOR {};", relation.qualified(), clause.replace("{}", &ident(role)));
    let found = finding(
        id,
        format!("Row level security of table {}: no policy is for role {role}, so it {lacks}", subject.table),
    )
    .not("not a missing GRANT: has_column_privilege says that the privileges are there");
    // where others have policies, somebody decided who sees what
    Some(if relation.policies.is_empty() {
        found.sure(FixKind::Sql, subject.psql_place(), text, Then::None)
    } else {
        found.maybe(
            FixKind::Sql,
            format!(
                "{} (gives this role every row: see the other policies first, \\d {}; back: DROP POLICY {name})",
                subject.psql_place(),
                relation.qualified()
            ),
            text,
            Then::None,
        )
    })
}

/// A policy's name that is not taken.
fn free_name(relation: &Relation) -> String {
    let mut name = format!("{}_dbtest", relation.name);
    while relation.policies.iter().any(|policy| policy.name == name) {
        name.push('_');
    }
    ident(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::postgresql::evidence::facts::{Base, Column, Sequence};
    use crate::diagnosis::postgresql::subject::tests::over_tcp;

    fn column(name: &str) -> Column {
        Column { name: name.into(), select: true, insert: true, ..Column::default() }
    }

    fn relation() -> Relation {
        Relation {
            schema: "public".into(),
            name: "stuff".into(),
            kind: "r".into(),
            usage: true,
            position: Some(1),
            insertable: true,
            columns: vec![column("id"), column("stuff"), column("things")],
            ..Relation::default()
        }
    }

    fn facts(relation: Relation) -> Facts {
        Facts { user: "flasktest".into(), relations: vec![relation], ..Facts::default() }
    }

    fn found(relation: Relation) -> Option<(&'static str, String)> {
        read(&over_tcp(), &facts(relation), false).map(|found| (found.id, found.fixes[0].text.clone()))
    }

    #[test]
    fn what_is_granted_needs_nothing() {
        assert_eq!(found(relation()), None);
    }

    #[test]
    fn all_missing_grants_are_one_fix() {
        let mut relation = relation();
        for column in &mut relation.columns {
            (column.select, column.insert) = (false, false);
        }
        relation.sequences.push(Sequence {
            schema: "public".into(),
            name: "stuff_id_seq".into(),
            column: "id".into(),
            ..Sequence::default()
        });
        let text = "GRANT SELECT, INSERT ON \"public\".\"stuff\" TO \"flasktest\"; \
                    GRANT USAGE ON SEQUENCE \"public\".\"stuff_id_seq\" TO \"flasktest\";";
        assert_eq!(found(relation), Some(("DBT1101", text.into())));
    }

    #[test]
    fn a_sequence_alone_is_named_and_an_identity_needs_none() {
        let sequence =
            Sequence { schema: "public".into(), name: "s".into(), column: "id".into(), ..Sequence::default() };
        assert_eq!(found(Relation { sequences: vec![sequence.clone()], ..relation() }).unwrap().0, "DBT1102");
        assert_eq!(found(Relation { sequences: vec![Sequence { identity: true, ..sequence }], ..relation() }), None);
    }

    #[test]
    fn a_group_that_is_not_inherited_is_named() {
        let mut relation = Relation { through: vec!["grp2".into()], ..relation() };
        relation.columns[0].select = false;
        assert_eq!(found(relation), Some(("DBT1105", "GRANT SELECT ON \"public\".\"stuff\" TO \"flasktest\";".into())));
    }

    #[test]
    fn row_security_without_a_policy_is_no_empty_table() {
        let policy = |command: &str, permissive| Policy {
            command: command.into(),
            permissive,
            applies: true,
            ..Policy::default()
        };
        let with = |policies| Relation { row_security: true, policies, ..relation() };
        assert_eq!(found(with(vec![])).unwrap().0, "DBT1106");
        assert_eq!(found(with(vec![policy("a", true)])).unwrap().0, "DBT1107");
        assert_eq!(found(with(vec![policy("r", true)])).unwrap().0, "DBT1108");
        assert_eq!(found(with(vec![policy("*", false)])).unwrap().0, "DBT1106");
        assert_eq!(found(with(vec![policy("*", true)])), None);
    }

    #[test]
    fn a_views_owner_gets_the_grant_on_the_base() {
        let base = Base { schema: "public".into(), name: "base".into(), reader: "vo".into(), ..Base::default() };
        let view = Relation { kind: "v".into(), bases: vec![base], ..relation() };
        assert_eq!(found(view), Some(("DBT1104", "GRANT SELECT, INSERT ON \"public\".\"base\" TO \"vo\";".into())));
    }
}
