//! Causes read from evidence that this machine cannot show: SELinux, AppArmor, file systems of other machines,
//! failing disks. The evidence is put together by hand, in the shape in which the kernel gives it.

use std::path::{Path, PathBuf};

use rusqlite::ffi;

use super::super::evidence::{Evidence, Failure};
use super::*;
use crate::database::{Cause, Table};
use crate::diagnosis::host::path::{Need, Obstacle, Seen, Space, Trouble};
use crate::diagnosis::host::process::Who;
use crate::diagnosis::sqlite::gather::files::Files;
use crate::diagnosis::sqlite::gather::locks::Holder;
use crate::diagnosis::sqlite::gather::probe::Session;
use crate::diagnosis::testing::note;

const FILE: &str = "/srv/app/site.db";

fn who() -> Who {
    Who { uid: 33, user: "www-data".into(), group: "www-data".into(), parent: "1000".into(), ..Who::default() }
}

fn evidence(stage: Stage, code: i32, errno: Option<i32>) -> Evidence {
    let cause = Cause::Sqlite { code, message: "whatever it says".into(), errno };
    Evidence {
        who: who(),
        files: Files {
            path: FILE.into(),
            real: FILE.into(),
            space: Some(Space { free: 1 << 30, total: 1 << 32, ..Space::default() }),
            ..Files::default()
        },
        table: Table::default(),
        read_only: false,
        writes: true,
        create: "CREATE TABLE stuff (id)".into(),
        failure: Some(Failure { stage, cause }),
        header: None,
        session: None,
        schema: None,
        inserted: None,
        blame: None,
        mended: None,
        took: Vec::new(),
        without_wal: None,
        strange: None,
        held_unseen: None,
        open_files: 10,
        rows: None,
    }
}

/// An obstacle as the walk of the path reports it for a file whose modes would allow everything.
fn refused(at: &str, need: Need, trouble: Trouble) -> Obstacle {
    let seen = Seen { path: at.into(), mode: 0o100_666, owner: "root".into(), group: "root".into(), ..Seen::default() };
    Obstacle {
        at: at.into(),
        path: at.into(),
        real: at.into(),
        need,
        trouble,
        errno: Some(libc::EACCES),
        seen: Some(seen),
    }
}

#[track_caller]
fn named(evidence: &Evidence, stage: Stage, id: &str) -> Finding {
    let verdict = judge(evidence).expect("a verdict");
    assert_eq!((verdict.stage, verdict.finding.id), (stage, id), "{:?}", verdict.finding);
    verdict.finding
}

/// A root directory with the files that show SELinux to a confined httpd.
fn selinux() -> (tempfile::TempDir, Who) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("proc/self/attr/current", "system_u:system_r:httpd_t:s0\0"),
        ("sys/fs/selinux/enforce", "1"),
        ("sys/fs/selinux/booleans/httpd_use_nfs", "0 0"),
        (
            "proc/self/mountinfo",
            "22 1 8:1 / / rw shared:1 - xfs /dev/sda1 rw\n40 22 0:50 / /mnt/nfs rw shared:9 - nfs4 filer:/x rw\n",
        ),
    ] {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let who = Who { user: "apache".into(), group: "apache".into(), uid: 48, ..Who::look_below(root.path()) };
    (root, who)
}

#[test]
fn selinux_forbids_to_write_cure_not_run_here() {
    let (_root, who) = selinux();
    let mut evidence = evidence(Stage::Write, ffi::SQLITE_READONLY, None);
    evidence.who = who;
    let label = "unconfined_u:object_r:httpd_sys_content_t:s0";
    evidence.files.file = Some(refused(FILE, Need::ReadWrite, Trouble::Selinux(Some(label.into()))));
    evidence.files.directory = Some(refused("/srv/app", Need::Directory, Trouble::Selinux(Some(label.into()))));
    let finding = named(&evidence, Stage::Reach, "DBT0460");
    assert!(finding.cause.contains("httpd_t") && finding.cause.contains("httpd_sys_content_t"), "{}", finding.cause);
    let fix = &finding.fixes[0];
    assert_eq!(
        fix.text,
        "semanage fcontext -a -t httpd_var_lib_t '/srv/app(/.*)?' || semanage fcontext -m -t \
         httpd_var_lib_t '/srv/app(/.*)?'\nrestorecon -Rv /srv/app"
    );
    assert!(fix.sure && fix.then == Then::None);
    note("SQF-25");
}

#[test]
fn selinux_on_nfs_takes_a_boolean_cure_not_run_here() {
    let (_root, who) = selinux();
    let file = "/mnt/nfs/site.db";
    let mut evidence = evidence(Stage::Reach, ffi::SQLITE_CANTOPEN, Some(libc::EACCES));
    evidence.who = who;
    evidence.files.file =
        Some(refused(file, Need::ReadWrite, Trouble::Selinux(Some("system_u:object_r:nfs_t:s0".into()))));
    let finding = named(&evidence, Stage::Reach, "DBT0460");
    assert_eq!(finding.fixes[0].text, "setsebool -P httpd_use_nfs on");
}

#[test]
fn apparmor_refuses_cure_not_run_here() {
    let mut evidence = evidence(Stage::Reach, ffi::SQLITE_CANTOPEN, Some(libc::EACCES));
    evidence.who.apparmor = Some("/usr/sbin/apache2 (enforce)".into());
    evidence.files.file = Some(refused(FILE, Need::ReadWrite, Trouble::Refused));
    let finding = named(&evidence, Stage::Reach, "DBT0461");
    assert_eq!(
        finding.fixes[0].text,
        "printf '%s\\n' '\"/srv/app/{,**}\" rwk,' >> /etc/apparmor.d/local/usr.sbin.apache2\n\
         apparmor_parser -r /etc/apparmor.d/usr.sbin.apache2"
    );
    note("SQF-26");
}

#[test]
fn a_unit_of_systemd_gets_a_drop_in_cure_not_run_here() {
    let mut evidence = evidence(Stage::Write, ffi::SQLITE_READONLY, None);
    evidence.who.unit = Some("apache2.service".into());
    let trouble = Trouble::ReadOnly { mount: "/srv".into(), only_here: true };
    evidence.files.file = Some(refused(FILE, Need::ReadWrite, trouble));
    let finding = named(&evidence, Stage::Reach, "DBT0459");
    assert!(finding.fixes[0].text.contains("ReadWritePaths=%s\\n' /srv/app >>"), "{}", finding.fixes[0].text);
    assert_eq!(finding.fixes[0].then, Then::Restart);
}

#[test]
fn a_file_system_without_shared_memory() {
    let mut evidence = evidence(Stage::Read, ffi::SQLITE_IOERR_SHMMAP, None);
    evidence.files.mount = Some(("9p".into(), PathBuf::from("/srv")));
    let finding = named(&evidence, Stage::Read, "DBT1254");
    assert!(finding.fixes[0].text.contains("journal_mode=DELETE"));
    note("SQL-08");
}

#[test]
fn a_file_system_without_locks() {
    for code in [ffi::SQLITE_IOERR_LOCK, ffi::SQLITE_IOERR_UNLOCK] {
        let mut evidence = evidence(Stage::Write, code, None);
        evidence.files.mount = Some(("nfs4".into(), PathBuf::from("/srv")));
        named(&evidence, Stage::Write, "DBT1362");
    }
    // "locked", on a network file system, and nobody holds a lock
    let mut evidence = evidence(Stage::Write, ffi::SQLITE_BUSY, None);
    evidence.files.mount = Some(("nfs4".into(), PathBuf::from("/srv")));
    named(&evidence, Stage::Write, "DBT1362");
    note("SQL-07");
}

#[test]
fn a_snapshot_that_is_too_old_is_a_lock() {
    named(&evidence(Stage::Write, ffi::SQLITE_BUSY_SNAPSHOT, None), Stage::Write, "DBT1350");
    note("SQL-03");
}

#[test]
fn our_own_server_is_never_to_be_killed() {
    let mut evidence = evidence(Stage::Write, ffi::SQLITE_BUSY, None);
    evidence.files.holders =
        vec![Holder { pid: 7, command: "apache2".into(), write: true, stopped: false, reads_log: false, ours: true }];
    let finding = named(&evidence, Stage::Write, "DBT1350");
    assert!(finding.fixes.iter().all(|fix| !fix.text.contains("kill") && !fix.sure));
}

#[test]
fn disks_that_fail() {
    for (code, stage, id) in [
        (ffi::SQLITE_IOERR_FSYNC, Stage::Write, "DBT1360"),
        (ffi::SQLITE_IOERR_READ, Stage::Read, "DBT1253"),
        (ffi::SQLITE_IOERR_SHORT_READ, Stage::Read, "DBT1253"),
        (ffi::SQLITE_IOERR_FSTAT, Stage::Read, "DBT1253"),
    ] {
        named(&evidence(stage, code, None), stage, id);
    }
    note("SQS-06");
}

#[test]
fn a_database_that_may_not_grow() {
    let mut evidence = evidence(Stage::Write, ffi::SQLITE_FULL, None);
    evidence.session = Some(Session { pages: 3, most_pages: 3, ..Session::default() });
    named(&evidence, Stage::Write, "DBT1356");
    note("SQS-03");
}

#[test]
fn a_quota_that_is_used_up() {
    let finding = named(&evidence(Stage::Write, ffi::SQLITE_IOERR_WRITE, Some(libc::EDQUOT)), Stage::Write, "DBT1359");
    assert!(finding.cause.contains("quota"));
}

#[test]
fn no_place_for_temporary_files() {
    let mut evidence = evidence(Stage::Read, ffi::SQLITE_IOERR_GETTEMPPATH, Some(libc::EACCES));
    evidence.who.unit = Some("httpd.service".into());
    let finding = named(&evidence, Stage::Read, "DBT1361");
    assert!(finding.fixes[0].text.contains("SQLITE_TMPDIR=/var/lib/dbtest-tmp"), "{}", finding.fixes[0].text);
    note("SQD-11");
}

#[test]
fn what_no_reading_knows_still_has_step_id_and_what_came_back() {
    for stage in Stage::ALL {
        let mut evidence = evidence(stage, ffi::SQLITE_INTERNAL, None);
        let finding = named(&evidence, stage, crate::diagnosis::engine::generic::id(stage));
        assert!(finding.cause.contains("whatever it says"), "{}", finding.cause);
        evidence.failure = Some(Failure { stage, cause: Cause::Driver("odd".into()) });
        named(&evidence, stage, crate::diagnosis::engine::generic::id(stage));
    }
}

#[test]
fn every_code_of_sqlite_gets_a_verdict_whose_id_is_explained() {
    let steps = [Stage::Reach, Stage::Speaks, Stage::Session, Stage::Schema, Stage::Read, Stage::Write];
    for primary in 1..=28 {
        for extended in 0..=40 {
            for stage in steps {
                let evidence = evidence(stage, primary | extended << 8, None);
                let verdict = judge(&evidence).expect("a verdict");
                assert!(crate::diagnosis::explain(verdict.finding.id).is_some(), "{}", verdict.finding.id);
            }
        }
    }
}

#[test]
fn a_path_with_signs_of_its_own_is_encoded_in_the_directive() {
    assert_eq!(encoded(Path::new("/srv/50%?.db")), "/srv/50%25%3F.db");
}
