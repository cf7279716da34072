//! Triggers that still name a table by the name that it had in the middle of a migration. Since SQLite 3.26 ALTER TABLE
//! RENAME changes triggers and foreign keys along, so that tools that rename a table away and make it anew leave
//! triggers behind that lead to `stuff__old` (sqlite.org/lang_altertable.html, "Compatibility Note").

use super::schema::Schema;

/// A trigger with the right name in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// The table that it names and that is not there.
    pub missing: String,
    /// The one that is meant.
    pub meant: String,
    /// What drops the trigger and makes it again.
    pub statements: String,
}

/// The trigger anew, if it names a table that is not there and whose name is that of a table with a migration's mark.
pub fn mended(schema: &Schema, trigger: &str) -> Option<Mended> {
    let found = schema.triggers.iter().find(|found| found.name == trigger)?;
    let is_table = |name: &str| schema.tables.iter().any(|table| table.eq_ignore_ascii_case(name));
    let (missing, meant) = crate::diagnosis::sqlite::sql_words::words(&found.sql)
        .filter(|word| !is_table(word))
        .find_map(|word| Some((word.to_owned(), without_mark(word).filter(|name| is_table(name))?)))?;
    let statements = format!(
        "DROP TRIGGER {};\n{};",
        crate::diagnosis::sqlite::sql_words::quoted(trigger),
        found.sql.replace(&missing, &meant)
    );
    Some(Mended { missing, meant, statements })
}

/// "stuff" of "stuff__old" and its kin.
fn without_mark(name: &str) -> Option<String> {
    let end = ["__old", "_old", "__tmp", "_tmp", "_backup", "__new"];
    let start = ["_alembic_tmp_", "new__", "old_", "tmp_"];
    let cut = end.iter().find_map(|mark| name.strip_suffix(mark));
    cut.or_else(|| start.iter().find_map(|mark| name.strip_prefix(mark))).map(|name| name.trim_matches('_').to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::schema::Attached;
    use super::*;

    #[test]
    fn the_name_before_a_migration_is_put_right() {
        let sql = "CREATE TRIGGER keep AFTER INSERT ON stuff BEGIN SELECT id FROM \"stuff__old\"; END";
        let schema = Schema {
            tables: vec!["stuff".into()],
            triggers: vec![Attached { name: "keep".into(), sql: sql.into() }],
            ..Schema::default()
        };
        let mended = mended(&schema, "keep").unwrap();
        assert_eq!((mended.missing.as_str(), mended.meant.as_str()), ("stuff__old", "stuff"));
        assert!(mended.statements.ends_with("SELECT id FROM \"stuff\"; END;"), "{}", mended.statements);
    }

    #[test]
    fn a_table_that_is_there_is_meant() {
        assert_eq!(without_mark("_alembic_tmp_stuff").as_deref(), Some("stuff"));
        assert_eq!(without_mark("stuff"), None);
        let schema = Schema {
            tables: vec!["stuff".into(), "stuff_old".into()],
            triggers: vec![Attached {
                name: "t".into(),
                sql: "CREATE TRIGGER t AFTER INSERT ON stuff BEGIN SELECT * FROM stuff_old; END".into(),
            }],
            ..Schema::default()
        };
        assert_eq!(mended(&schema, "t"), None);
    }
}
