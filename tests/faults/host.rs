//! Faults of the machine: mounts, space, limits.

use super::site::{Site, TABLE};

/// Puts a small file system of this kind over the directory of the database, which keeps what is in it.
fn small(site: &Site, mount: &str) {
    site.sh(&format!(
        "cp -a $DIR $ABOVE/kept; {mount}; chown www-data: $DIR; chmod 755 $DIR; cp -a $ABOVE/kept/. $DIR/; rm -rf $ABOVE/kept"
    ));
}

#[test]
fn the_file_system_is_read_only() {
    let make = |site: &Site| {
        small(site, "mount -t tmpfs -o size=4m tmpfs $DIR");
        site.sh("mount -o remount,ro $DIR");
    };
    Site::new().fault(&["extra-SQD-10"], make, "reach", "DBT0458");
}

#[test]
fn the_file_system_is_read_only_in_wal_mode() {
    let make = |site: &Site| {
        small(site, "mount -t tmpfs -o size=4m tmpfs $DIR");
        site.sh("mount -o remount,ro $DIR");
    };
    Site::with(&format!("PRAGMA journal_mode=wal; {TABLE}")).fault(&["extra-SQD-06"], make, "reach", "DBT0458");
}

#[test]
fn a_home_that_is_hidden_from_httpd() {
    let make = |site: &Site| {
        site.sh("mkdir -p /run/user/$HTTPD/data; cp -a $DB /run/user/$HTTPD/data/site.db; \
             chown www-data: /run/user/$HTTPD/data; chmod 755 /run/user");
        let file = format!("/run/user/{}/data/site.db", site.httpd.pid());
        site.httpd.edit_conf(|conf| conf.replace(&site.file().display().to_string(), &file));
        site.httpd.restart();
        site.sh("nsenter -t $HTTPD -m mount -t tmpfs tmpfs /run/user");
    };
    let site = Site::apart();
    site.passes();
    make(&site);
    let (_, report) = site.check();
    assert_eq!(report["id"].as_str(), Some("DBT0358"), "{report:#}");
    for fix in report["fixes"].as_array().expect("fixes") {
        site.apply(fix);
    }
    let (status, report) = site.check();
    site.sh("rm -rf /var/lib/dbtest-run-user-$HTTPD-data-site /run/user/$HTTPD");
    assert_eq!(status, 200, "{report:#}");
    super::record::note(&["SQD-14"], true, "yes");
}

#[test]
fn only_httpd_sees_it_read_only() {
    let make = |site: &Site| {
        site.sh("nsenter -t $HTTPD -m sh -e -c 'mount --bind $DIR $DIR; mount -o remount,ro,bind $DIR'");
    };
    Site::apart().fault(&["SQD-12"], make, "reach", "DBT0459");
}

#[test]
fn a_tmp_of_its_own() {
    let make = |site: &Site| {
        // as systemd does it: a directory of another name mounted on /tmp (here /var/tmp), for httpd alone
        site.sh("mkdir -p $ABOVE/systemd-private-0-apache2.service-0/tmp; \
             nsenter -t $HTTPD -m sh -e -c 'mount --bind $ABOVE/systemd-private-0-apache2.service-0/tmp /var/tmp'");
    };
    let site = Site::apart();
    site.passes();
    make(&site);
    let report = site.fails("resolve", "DBT0357");
    // the database moves, and the directive with it
    for fix in report["fixes"].as_array().expect("fixes") {
        site.apply(fix);
    }
    let (status, report) = site.check();
    assert_eq!(status, 200, "{report:#}");
    super::record::note(&["SOC-11", "extra-SQD-13"], true, "yes");
}

#[test]
fn the_disk_is_full() {
    for mode in ["delete", "wal"] {
        let site = Site::with(&format!("PRAGMA journal_mode={mode}; {TABLE}"));
        let make = |site: &Site| {
            small(site, "mount -t tmpfs -o size=400k tmpfs $DIR");
            site.sh("dd if=/dev/zero of=$DIR/full bs=4k 2>/dev/null || true");
        };
        site.passes();
        make(&site);
        let (_, report) = site.check();
        assert_eq!(report["id"].as_str(), Some("DBT1355"), "{report:#}");
        assert_eq!(report["fixes"][0]["sure"].as_bool(), Some(false), "{report:#}");
        site.apply(&report["fixes"][0]);
        site.passes();
        site.works_in_every_child();
    }
    super::record::note(&["SQS-01", "extra-SQS-02"], true, "yes");
}

#[test]
fn the_disk_is_full_but_for_root() {
    let make = |site: &Site| {
        small(
            site,
            "truncate -s 64m $ABOVE/disk; mkfs.ext4 -q -m 40 -O ^has_journal $ABOVE/disk; mount -o loop $ABOVE/disk $DIR",
        );
        site.sh("runuser -u www-data -- dd if=/dev/zero of=$DIR/full bs=4k 2>/dev/null || true");
    };
    Site::new().choice(&["extra-SQS-01b"], make, "write", "DBT1355");
}

#[test]
fn no_inode_is_left() {
    let make = |site: &Site| {
        small(site, "mount -t tmpfs -o size=4m,nr_inodes=20 tmpfs $DIR");
        site.sh("i=0; while touch $DIR/file$i 2>/dev/null; do i=$((i + 1)); done");
    };
    Site::new().choice(&["extra-SQD-08"], make, "write", "DBT0462");
}

#[test]
fn files_may_not_grow() {
    let make = |site: &Site| {
        site.sh("head -c 300000 /dev/zero | runuser -u www-data -- tee $DIR/zero > /dev/null");
        super::site::www_data(&site.file(), "CREATE TABLE filler (x); INSERT INTO filler VALUES (zeroblob(300000));");
        site.sh("prlimit --pid $HTTPD --fsize=200000:");
        site.httpd.restart();
    };
    Site::new().choice(&["SQS-05"], make, "durable", "DBT1359");
}

#[test]
fn too_many_files_are_open() {
    let make = |site: &Site| {
        // httpd itself has none left for its own files
        site.httpd.allow_log("Too many open files");
        site.httpd.restart();
        // the visitor's own socket, and one more
        site.sh("child=$(pgrep -P $HTTPD | head -n 1); prlimit --pid $HTTPD --nofile=$(($(ls /proc/$child/fd | wc -l) + 2)):");
        site.httpd.restart();
    };
    Site::new().fault(&["extra-SQF-27"], make, "reach", "DBT0463");
}

#[test]
fn a_foreign_file_in_a_sticky_directory() {
    let make = |site: &Site| {
        super::sqlite::leave_hot_journal(site);
        site.sh("chown root: $DIR $DB-journal; chmod 1777 $DIR; chmod 666 $DB-journal");
    };
    Site::new().fault(&["SQD-09"], make, "reach", "DBT0464");
}

#[test]
fn variables_of_libpq_in_the_environment_are_named_and_do_no_harm() {
    let site = Site::at(TABLE, &["env", "PGPORT=7499", "PGSSLMODE=require"], "");
    let (status, report) = site.check();
    let steps = report["steps"].as_array().expect("steps");
    let who = steps.iter().find(|step| step["step"] == "who").expect("who");
    assert_eq!((status, who["evidence"]["ignored_environment"].as_str()), (200, Some("PGPORT, PGSSLMODE")), "{who:#}");
    super::record::note(&["CFG-18"], true, "yes");
}
