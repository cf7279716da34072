//! Faults of the SQLite file: its path, its rights, its format, its locks, its table.

use super::site::{Site, TABLE};
use crate::support::Mpm;

/// A fault that is made by commands.
macro_rules! by_commands {
    ($($name:ident: $ids:expr, $commands:expr => $step:literal $id:literal;)*) => {
        $(#[test]
        fn $name() {
            Site::new().fault(&$ids, |site| site.sh($commands), $step, $id);
        })*
    };
}

by_commands! {
    path_is_a_pipe: ["extra-pipe"], "rm $DB; mkfifo $DB; chown www-data: $DB" => "reach" "DBT0451";
    directory_missing: ["SQD-01"], "rm -rf $DIR" => "resolve" "DBT0350";
    two_directories_missing: ["extra-SQD-01b"], "mv $ABOVE $ABOVE.gone; mv $ABOVE.gone/data /var/tmp/dbtest-none.$$; rm -rf $ABOVE.gone /var/tmp/dbtest-none.$$; mkdir -m 755 $ABOVE" => "resolve" "DBT0350";
    parent_not_searchable: ["SQD-02"], "chmod 700 $ABOVE" => "resolve" "DBT0352";
    parent_not_searchable_and_file_of_root: ["extra-SQD-02b"], "chown -R root: $DIR; chmod 700 $ABOVE $DIR; chmod 600 $DB" => "resolve" "DBT0352";
    directory_not_writable: ["SQD-03"], "chown root: $DIR" => "reach" "DBT0454";
    directory_not_writable_wal: ["SQD-05"], "rm -f $DB; runuser -u www-data -- sqlite3 $DB \"PRAGMA journal_mode=wal; CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT)\"; chown root: $DIR" => "reach" "DBT0454";
    directory_immutable: ["SQD-07"], "chattr +i $DIR" => "reach" "DBT0456";
    file_missing: ["SQF-01"], "rm $DB" => "resolve" "DBT0351";
    file_is_a_slip_of_the_pen: ["extra-SQF-01b"], "mv $DB $DIR/sites.db" => "resolve" "DBT0351";
    path_is_a_directory: ["SQF-02"], "mkdir $DIR/x; chown www-data: $DIR/x; mv $DB $DIR/x/real.db; mv $DIR/x $DB" => "reach" "DBT0450";
    component_is_a_file: ["SQF-03"], "mv $DB $ABOVE/x; rmdir $DIR; mv $ABOVE/x $DIR; chown www-data: $ABOVE" => "resolve" "DBT0353";
    file_not_readable: ["extra-SQF-04"], "chown root: $DB; chmod 600 $DB" => "reach" "DBT0452";
    file_not_writable: ["SQF-05"], "chown root: $DB; chmod 644 $DB" => "reach" "DBT0453";
    file_of_another_group: ["extra-SQF-05b"], "chown root:adm $DB; chmod 664 $DB" => "reach" "DBT0453";
    own_file_without_write: ["extra-SQF-05c"], "chmod 440 $DB" => "reach" "DBT0453";
    everything_of_root: ["extra-SQF-05d"], "chown -R root: $DIR" => "reach" "DBT0453";
    file_immutable: ["SQF-07"], "chattr +i $DB" => "reach" "DBT0456";
    file_append_only: ["extra-SQF-07b"], "chattr +a $DB" => "reach" "DBT0456";
    acl_mask: ["SQF-08"], "chown root: $DB; chmod 600 $DB; setfacl -m u:www-data:rw $DB; chmod 644 $DB" => "reach" "DBT0457";
    acl_forbids: ["extra-SQF-08b"], "chown root: $DB; setfacl -m u:www-data:--- $DB" => "reach" "DBT0452";
    empty_file: ["SQF-13"], "truncate -s 0 $DB" => "speaks" "DBT0550";
    gzipped: ["extra-SQF-14b"], "gzip $DB; mv $DB.gz $DB" => "speaks" "DBT0551";
    dump_in_sql: ["extra-SQF-14c"], "sqlite3 $DB .dump > $DB.sql; mv $DB.sql $DB; chown www-data: $DB" => "speaks" "DBT0551";
    link_dangles: ["SQF-24"], "rm $DB; ln -s $DIR/gone.db $DB" => "resolve" "DBT0354";
    table_missing: ["SQC-01"], "sqlite3 $DB 'DROP TABLE stuff'" => "schema" "DBT1050";
    table_of_another_name: ["extra-SQC-01b"], "sqlite3 $DB 'ALTER TABLE stuff RENAME TO stuffs'" => "schema" "DBT1050";
    table_is_a_view: ["extra-SQC-11"], "sqlite3 $DB 'ALTER TABLE stuff RENAME TO real_stuff; CREATE VIEW stuff AS SELECT * FROM real_stuff'" => "schema" "DBT1053";
    journal_is_a_directory: ["extra-SQD-15"], "install -d -o www-data $DB-journal" => "reach" "DBT0455";
    immutable_and_of_root: ["extra-immutable-root"], "chown -R root: $DIR; chattr +i $DB $DIR" => "reach" "DBT0456";
    mode_without_anything: ["extra-000"], "chmod 000 $DB" => "reach" "DBT0452";
    directory_without_search: ["extra-dir-r"], "chmod 644 $DIR" => "resolve" "DBT0352";
    directory_closed: ["extra-dir-closed"], "chown root: $DIR; chmod 700 $DIR" => "resolve" "DBT0352";
    directory_and_file_closed: ["extra-all-closed"], "chown -R root: $DIR; chmod 700 $DIR; chmod 600 $DB" => "resolve" "DBT0352";
    directory_of_another_group: ["extra-dir-group"], "chown root:adm $DIR; chmod 2770 $DIR" => "resolve" "DBT0352";
    journal_of_root: ["extra-journal-root"], "touch $DB-journal; chmod 600 $DB-journal" => "reach" "DBT0455";
    link_into_a_closed_directory: ["extra-link-closed"], "mkdir -p $ABOVE/secret/deep; mv $DB $ABOVE/secret/deep/real.db; ln -s $ABOVE/secret/deep/real.db $DB; chown -R root: $ABOVE/secret; chmod -R go= $ABOVE/secret" => "resolve" "DBT0352";
    link_leads_round: ["extra-SQF-24b"], "mv $DB $DIR/site2.db; ln -s site.db $DB" => "resolve" "DBT0354";
    column_missing: ["SQC-02"], "sqlite3 $DB 'ALTER TABLE stuff DROP COLUMN things'" => "schema" "DBT1051";
    id_missing: ["extra-SQC-02b"], "sqlite3 $DB 'DROP TABLE stuff; CREATE TABLE stuff (stuff TEXT, things TEXT)'" => "schema" "DBT1051";
}

/// The same where the cure takes something away.
macro_rules! choices_by_commands {
    ($($name:ident: $ids:expr, $commands:expr => $step:literal $id:literal;)*) => {
        $(#[test]
        fn $name() {
            Site::new().choice(&$ids, |site| site.sh($commands), $step, $id);
        })*
    };
}

choices_by_commands! {
    encrypted: ["SQF-15"], "head -c 8192 /dev/urandom > $DB" => "speaks" "DBT0552";
    index_with_a_foreign_collation: ["extra-collation"], "python3 -c 'import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.create_collation(\"german\", lambda a,b: (a>b)-(a<b)); c.execute(\"CREATE INDEX umlaut ON stuff (stuff COLLATE german)\"); c.commit()' $DB" => "write" "DBT1364";
}

#[test]
fn lfs_pointer() {
    let make = |site: &Site| site.sh("echo 'version https://git-lfs.github.com/spec/v1' > $DB");
    Site::new().named_only(&["SQF-14"], make, "speaks", "DBT0551", "the real file is on another server");
}

/// A fault that is made by statements.
macro_rules! by_statements {
    ($($name:ident: $ids:expr, $sql:expr => $step:literal $id:literal;)*) => {
        $(#[test]
        fn $name() {
            let make = |site: &Site| super::site::www_data(&site.file(), &format!("DROP TABLE stuff; {}", $sql));
            Site::new().fault(&$ids, make, $step, $id);
        })*
    };
}

by_statements! {
    id_is_int: ["extra-SQC-03"], "CREATE TABLE stuff (id INT PRIMARY KEY, stuff TEXT, things TEXT);" => "schema" "DBT1052";
    id_is_serial: ["extra-SQC-03b"], "CREATE TABLE stuff (id SERIAL, stuff TEXT, things TEXT, PRIMARY KEY (id)); INSERT INTO stuff VALUES (NULL, 'a', 'b');" => "schema" "DBT1052";
    column_demands: ["SQC-06"], "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT, created TEXT NOT NULL);" => "write" "DBT1351";
    id_is_text: ["extra-id-text"], "CREATE TABLE stuff (id TEXT PRIMARY KEY, stuff TEXT, things TEXT); INSERT INTO stuff VALUES ('a1', 'a', 'b'), ('7', 'c', 'd');" => "schema" "DBT1052";
    id_descends: ["extra-id-desc"], "CREATE TABLE stuff (id INTEGER PRIMARY KEY DESC, stuff TEXT, things TEXT);" => "schema" "DBT1052";
    without_rowid: ["extra-without-rowid"], "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT) WITHOUT ROWID;" => "schema" "DBT1052";
}

/// The same where the cure takes something away.
macro_rules! choices_by_statements {
    ($($name:ident: $ids:expr, $sql:expr => $step:literal $id:literal;)*) => {
        $(#[test]
        fn $name() {
            let make = |site: &Site| super::site::www_data(&site.file(), &format!("DROP TABLE stuff; {}", $sql));
            Site::new().choice(&$ids, make, $step, $id);
        })*
    };
}

choices_by_statements! {
    column_is_generated: ["extra-SQC-12"], "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT AS (stuff || '!'));" => "schema" "DBT1054";
    check_refuses: ["extra-SQC-06b"], "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT, CHECK (length(things) > 1000));" => "write" "DBT1352";
    trigger_aborts: ["extra-SQC-06c"], "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT); CREATE TRIGGER t BEFORE INSERT ON stuff BEGIN SELECT RAISE(ABORT, 'never'); END;" => "write" "DBT1354";
    trigger_uses_a_missing_table: ["SQC-07"], "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT); CREATE TRIGGER t AFTER INSERT ON stuff BEGIN INSERT INTO audit VALUES (new.id); END;" => "write" "DBT1354";
    trigger_ignores: ["SQC-09"], "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT); CREATE TRIGGER t BEFORE INSERT ON stuff BEGIN SELECT RAISE(IGNORE); END;" => "write" "DBT1358";
    strict_types: ["extra-SQC-08"], "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things INTEGER) STRICT;" => "write" "DBT1353";
    unique_index_on_a_constant: ["extra-SQC-06d"], "CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff TEXT, things TEXT); CREATE UNIQUE INDEX one ON stuff ((1)); INSERT INTO stuff VALUES (1, 'a', 'b');" => "write" "DBT1353";
    ids_exhausted: ["SQS-04"], "CREATE TABLE stuff (id INTEGER PRIMARY KEY AUTOINCREMENT, stuff TEXT, things TEXT); INSERT INTO stuff VALUES (9223372036854775807, 'a', 'b');" => "write" "DBT1357";
}

#[test]
fn a_table_with_a_schema_in_its_name() {
    let site = Site::new();
    site.passes();
    site.httpd.edit_conf(|conf| conf.replace("DBTestDetail full", "DBTestDetail full\nDBTestTable app.stuff"));
    site.httpd.restart();
    site.fault_now(&["extra-SQC-13"], "schema", "DBT1057");
}

/// A program in the background that ends with the value.
pub struct Background(std::process::Child);

impl Background {
    /// `sqlite3` as root, with these statements, and then waiting.
    pub fn sqlite3(site: &Site, sql: &str) -> Self {
        use std::io::{BufRead, BufReader, Write};
        use std::process::{Command, Stdio};
        let mut child = Command::new("sqlite3")
            .arg(site.file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sqlite3");
        let stdin = child.stdin.as_mut().expect("stdin");
        writeln!(stdin, "{sql}\nSELECT 'ready';").expect("a living sqlite3");
        let mut lines = BufReader::new(child.stdout.as_mut().expect("stdout")).lines();
        assert!(lines.any(|line| line.expect("text") == "ready"), "sqlite3 ended");
        Self(child)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A fault that lasts as long as another program holds a lock; the printed fix ends that program.
fn locked(ids: &[&str], before: &str, sql: &str, step: &str, id: &str) {
    let site = Site::new();
    if !before.is_empty() {
        super::site::www_data(&site.file(), before);
    }
    let holder = Background::sqlite3(&site, sql);
    let pid = holder.0.id();
    let report = site.fails(step, id);
    assert!(report["cause"].as_str().is_some_and(|cause| cause.contains(&pid.to_string())), "{report:#}");
    drop(report);
    site.choice_now(ids, step, id);
}

#[test]
fn another_program_writes() {
    locked(&["extra-SQL-01"], "", "BEGIN IMMEDIATE;", "write", "DBT1350");
}

#[test]
fn another_program_writes_in_wal_mode() {
    locked(
        &["extra-SQL-01b"],
        "PRAGMA journal_mode=wal;",
        "BEGIN IMMEDIATE; INSERT INTO stuff (stuff, things) VALUES ('a', 'b');",
        "write",
        "DBT1350",
    );
}

#[test]
fn another_program_has_an_exclusive_lock() {
    locked(&["SQL-04"], "", "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT;", "read", "DBT1250");
}

#[test]
fn another_program_has_an_exclusive_lock_in_wal_mode() {
    let sql = "PRAGMA locking_mode=EXCLUSIVE; INSERT INTO stuff (stuff, things) VALUES ('a', 'b');";
    locked(&["extra-exclusive-wal"], "PRAGMA journal_mode=wal;", sql, "read", "DBT1250");
}

#[test]
fn another_program_reads_for_ever() {
    locked(
        &["SQL-02"],
        "INSERT INTO stuff (stuff, things) VALUES ('a', 'b'), ('c', 'd');",
        "BEGIN; SELECT * FROM stuff LIMIT 1;",
        "write",
        "DBT1350",
    );
}

#[test]
fn a_stopped_program_holds_the_lock() {
    let site = Site::new();
    let holder = Background::sqlite3(&site, "BEGIN IMMEDIATE;");
    site.sh(&format!("kill -STOP {}", holder.0.id()));
    site.choice_now(&["extra-SQL-01c"], "write", "DBT1350");
}

#[test]
fn a_group_that_was_added_after_the_start() {
    let make = |site: &Site| {
        site.sh("groupadd -f dbtestlate; usermod -aG dbtestlate www-data; chown root:dbtestlate $DB; chmod 660 $DB");
    };
    Site::new().choice(&["extra-SQF-06"], make, "reach", "DBT0467");
    super::site::sh("gpasswd -d www-data dbtestlate > /dev/null; groupdel dbtestlate");
}

#[test]
fn a_location_that_only_reads_still_needs_the_directory_in_wal_mode() {
    let site = Site::at(&format!("PRAGMA journal_mode=wal; {TABLE}"), &[], "DBTestReadOnly On");
    site.sh("chown root: $DIR");
    site.httpd.restart();
    site.fault_now(&["extra-ro-wal"], "reach", "DBT0454");
}

/// SQLite opens what may not be written for reading, without a word: such a connection stays so when the file may be
/// written again, and each child has one.
#[test]
fn connections_that_were_opened_for_reading_only_end_with_the_fault() {
    for mpm in [Mpm::Prefork, Mpm::Event] {
        for make in ["chown root: $DB; chmod 644 $DB", "chattr +i $DB", "chown -R root: $DIR; chmod 644 $DB"] {
            let site = Site::served_by(mpm, TABLE, &[], "");
            site.sh(make);
            site.httpd.restart();
            site.warm();
            let (_, report) = site.check();
            assert_eq!(site.httpd.get("/dbtest/").status, 200, "it can still be read");
            site.cure(&report);
            site.works_in_every_child();
        }
    }
}

#[test]
fn a_file_that_may_only_be_read_serves_a_location_that_only_reads() {
    let site = Site::at(TABLE, &[], "DBTestReadOnly On");
    site.sh("chown root: $DB $DIR; chmod 644 $DB");
    site.passes();
}

/// A process that is killed in the middle of a write leaves a hot journal: the file and it, as they were in the middle.
pub fn leave_hot_journal(site: &Site) {
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
                INSERT INTO stuff (stuff, things) SELECT i, hex(randomblob(200)) FROM n;";
    super::site::www_data(&site.file(), fill);
    let writer = Background::sqlite3(
        site,
        "PRAGMA cache_size=2; PRAGMA cache_spill=1; BEGIN; UPDATE stuff SET things = 'x' || things;",
    );
    site.sh("cp -a $DB $DIR/copy.db; cp -a $DB-journal $DIR/copy.db-journal");
    drop(writer);
    site.sh("mv $DIR/copy.db $DB; mv $DIR/copy.db-journal $DB-journal; chown www-data: $DB $DB-journal");
}

#[test]
fn a_journal_that_must_be_rolled_back_in_a_directory_of_root() {
    let make = |site: &Site| {
        leave_hot_journal(site);
        site.sh("chown root: $DB $DB-journal $DIR; chmod 644 $DB");
    };
    Site::new().fault(&["SQF-11"], make, "reach", "DBT0465");
}

#[test]
fn the_log_of_another_file() {
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO";
    let make = |site: &Site| {
        let before = format!(
            "PRAGMA journal_mode=wal; {fill} stuff (stuff, things) SELECT i, hex(randomblob(200)) FROM n; \
             PRAGMA wal_checkpoint(TRUNCATE); UPDATE stuff SET things = 'changed' WHERE id % 500 = 0;"
        );
        let writer = Background::sqlite3(site, &before);
        site.sh("cp -a $DB-wal $ABOVE/old-wal");
        drop(writer);
        site.sh("rm -f $DB $DB-wal $DB-shm");
        let now = format!(
            "CREATE TABLE other (x); {fill} other SELECT hex(randomblob(150)) FROM n; {TABLE} \
             {fill} stuff (stuff, things) SELECT i, hex(randomblob(150)) FROM n; PRAGMA journal_mode=wal;"
        );
        super::site::www_data(&site.file(), &now);
        site.sh("cp $ABOVE/old-wal $DB-wal; chown www-data: $DB-wal");
    };
    Site::new().fault(&["extra-SQF-23"], make, "speaks", "DBT0557");
}

#[test]
fn a_journal_that_cannot_be_deleted() {
    let make = |site: &Site| {
        leave_hot_journal(site);
        site.sh("chown root: $DIR");
    };
    Site::new().fault(&["SQF-12"], make, "reach", "DBT0465");
}

#[test]
fn side_files_of_root_in_wal_mode() {
    let make = |site: &Site| {
        super::site::www_data(
            &site.file(),
            "PRAGMA journal_mode=wal; INSERT INTO stuff (stuff, things) VALUES ('a', 'b');",
        );
        let other = Background::sqlite3(site, "SELECT count(*) FROM stuff;");
        site.sh("chown root: $DB-wal $DB-shm; chmod 600 $DB-wal $DB-shm");
        // killed, so that it leaves them behind
        drop(other);
    };
    Site::new().fault(&["extra-SQF-09"], make, "reach", "DBT0455");
}

#[test]
fn a_newer_format_for_writing() {
    let make = |site: &Site| site.sh("printf '\\003' | dd of=$DB bs=1 seek=18 conv=notrunc status=none");
    Site::new().named_only(&["extra-SQF-16"], make, "speaks", "DBT0553", "a newer SQLite is needed");
}

#[test]
fn a_newer_format_for_reading() {
    let make = |site: &Site| site.sh("printf '\\003' | dd of=$DB bs=1 seek=19 conv=notrunc status=none");
    Site::new().named_only(&["extra-SQF-16b"], make, "speaks", "DBT0553", "a newer SQLite is needed");
}

#[test]
fn a_newer_schema() {
    let make = |site: &Site| {
        site.sh(
            "sqlite3 -unsafe-testing $DB \"PRAGMA writable_schema=ON; UPDATE sqlite_master SET sql = 'CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff, things) FROBNICATE'\" \
             || sqlite3 $DB '.dbconfig defensive off' \"PRAGMA writable_schema=ON; UPDATE sqlite_master SET sql = 'CREATE TABLE stuff (id INTEGER PRIMARY KEY, stuff, things) FROBNICATE'\"",
        );
    };
    Site::new().named_only(&["SQF-17"], make, "speaks", "DBT0555", "a newer SQLite is needed");
}

#[test]
fn damaged_pages() {
    let make = |site: &Site| {
        super::site::www_data(
            &site.file(),
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO stuff (stuff, things) SELECT i, hex(randomblob(200)) FROM n;",
        );
        site.sh("dd if=/dev/zero of=$DB bs=4096 seek=2 count=200 conv=notrunc status=none");
    };
    Site::new().named_only(&["extra-SQF-16c"], make, "speaks", "DBT0556", "only a backup has the lost rows");
}

#[test]
fn cut_off() {
    let make = |site: &Site| {
        super::site::www_data(
            &site.file(),
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO stuff (stuff, things) SELECT i, hex(randomblob(200)) FROM n;",
        );
        site.sh("truncate -s 12288 $DB");
    };
    Site::new().named_only(&["extra-SQF-18"], make, "speaks", "DBT0554", "only a backup has the lost rows");
}

#[test]
fn replaced_while_it_is_open() {
    for mode in ["delete", "wal"] {
        let site = Site::with(&format!("PRAGMA journal_mode={mode}; {TABLE}"));
        site.httpd.get("/dbtest/").expect(200);
        site.sh("cp $DB $DIR/new.db; rm -f $DB $DB-wal $DB-shm; mv $DIR/new.db $DB; chown www-data: $DB");
        // the module sees the other inode and opens what is there now: no row is lost, and there is nothing to cure
        site.httpd.post("/dbtest/", &[("stuff", "after"), ("things", "it")]).expect(303);
        site.sh("test \"$(sqlite3 $DB 'SELECT count(*) FROM stuff')\" = 1");
        site.passes();
    }
    super::record::note(&["SQF-21", "SQF-22"], true, "yes");
}

#[test]
fn a_value_that_is_no_text_is_a_warning() {
    let site = Site::with(&format!("{TABLE} INSERT INTO stuff VALUES (1, 'a', x'ff00');"));
    let (status, report) = site.check();
    assert_eq!((status, report["verdict"].as_str(), report["id"].as_str()), (200, Some("warn"), Some("DBT1251")));
    assert_eq!(report["fixes"][0]["sure"].as_bool(), Some(false), "{report:#}");
    site.apply(&report["fixes"][0]);
    site.passes();
    super::record::note(&["SQC-10"], true, "yes");
}

#[test]
fn a_healthy_database_stays_as_it_was() {
    for mode in ["delete", "wal"] {
        let site = Site::with(&format!(
            "PRAGMA journal_mode={mode}; CREATE TABLE stuff (id INTEGER PRIMARY KEY AUTOINCREMENT, stuff TEXT NOT NULL, things TEXT NOT NULL); INSERT INTO stuff VALUES (1, 'a', 'b');"
        ));
        let state = "cd $DIR && stat -c '%n %a %U:%G' site.db && sha256sum site.db && sqlite3 site.db 'SELECT * FROM stuff; SELECT * FROM sqlite_sequence'";
        site.passes();
        site.sh(&format!("{{ {state}; }} > $ABOVE/before"));
        for _ in 0..20 {
            site.passes();
        }
        site.sh(&format!("{{ {state}; }} > $ABOVE/after; diff $ABOVE/before $ABOVE/after"));
    }
}
