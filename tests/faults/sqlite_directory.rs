//! A database in a directory that holds other things as well: nothing there is opened for it.

use super::site::{Site, TABLE};
use crate::support::Mpm;

const STATE: &str =
    "stat -c '%n %a %U:%G' $ABOVE $DIR $ABOVE/beside $DIR/other.conf; getfacl -p $ABOVE $DIR; cat $DIR/other.conf";

/// Makes the fault, cures it, and compares the directories with what they were.
fn stays_closed(mpm: Mpm, make: &str, step: &str, id: &str, works_at_once: bool) {
    let site = Site::served_by(mpm, TABLE, &[], "");
    super::site::www_data(&site.file(), "INSERT INTO stuff (stuff, things) VALUES ('kept', 'row');");
    site.sh("touch $ABOVE/beside; echo mine > $DIR/other.conf; chown root: $DIR/other.conf");
    site.passes();
    site.warm();
    site.sh(make);
    site.sh(&format!("{{ {STATE}; }} > /tmp/before.$(basename $ABOVE)"));
    let report = site.fails(step, id);
    for fix in report["fixes"].as_array().expect("fixes") {
        let text = fix["text"].as_str().expect("text");
        let opens = ["chgrp", "chmod g", "chmod o", "setfacl"].iter().any(|word| text.contains(word));
        // what is made for the copy may be given to whom it will
        assert!(!(opens && fix["sure"] == true) || text.contains(".backup"), "{text}");
    }
    if works_at_once {
        site.apply(&report["fixes"][0]);
    } else {
        site.cure(&report);
    }
    site.works_in_every_child();
    site.sh(&format!("{{ {STATE}; }} > /tmp/after.$(basename $ABOVE); diff /tmp/before.$(basename $ABOVE) /tmp/after.$(basename $ABOVE); rm -f /tmp/before.$(basename $ABOVE) /tmp/after.$(basename $ABOVE)"));
    if !id.ends_with("0351") {
        // whoever uses the old name sees the same rows, and who owned the file owns it
        site.sh("test $(stat -L -c %U $DB) = $(stat -c %U $DB.before-it-moved) || test $(stat -c %U $DB.before-it-moved) = root");
        site.sh("u=$(stat -c %U $DB.before-it-moved); test $u = root || runuser -u $u -- test -w $(readlink $DB)");
        site.sh("test \"$(sqlite3 $DB \"SELECT count(*) FROM stuff WHERE stuff = 'kept'\")\" = 1");
        site.sh("test $(sqlite3 $DB 'SELECT count(*) FROM stuff') -gt 4");
    }
}

#[test]
fn a_directory_of_root_with_other_files() {
    stays_closed(Mpm::Prefork, "chown root: $DIR $DB; chmod 755 $DIR; chmod 644 $DB", "reach", "DBT0453", true);
    stays_closed(Mpm::Event, "chown root: $DIR; chmod 755 $DIR", "reach", "DBT0454", true);
}

#[test]
fn a_closed_directory_with_other_files() {
    stays_closed(Mpm::Prefork, "chown root: $DIR $DB; chmod 700 $DIR", "resolve", "DBT0352", false);
    // of somebody else, who keeps the database
    stays_closed(Mpm::Prefork, "chown -R nobody: $DIR; chmod 700 $DIR; chmod 600 $DB", "resolve", "DBT0352", false);
    stays_closed(Mpm::Prefork, "chown root: $ABOVE; chmod 700 $ABOVE", "resolve", "DBT0352", false);
}

#[test]
fn a_new_database_among_other_files() {
    stays_closed(Mpm::Prefork, "rm $DB; chown root: $DIR; chmod 755 $DIR", "resolve", "DBT0351", true);
}

#[test]
fn a_database_in_wal_mode_keeps_the_rows_of_its_log() {
    let site = Site::with(&format!("PRAGMA journal_mode=wal; {TABLE}"));
    let writer = super::sqlite::Background::sqlite3(
        &site,
        "PRAGMA wal_autocheckpoint=0; INSERT INTO stuff (stuff, things) VALUES ('in', 'the log');",
    );
    site.sh("cp $DB $DIR/copy; cp $DB-wal $DIR/copy-wal");
    drop(writer);
    site.sh("mv $DIR/copy $DB; mv $DIR/copy-wal $DB-wal; rm -f $DB-shm; echo mine > $DIR/other.conf; chown -R root: $DIR; chmod 755 $DIR; chmod 644 $DB $DB-wal");
    let (_, report) = site.check();
    site.cure(&report);
    site.works_in_every_child();
    site.sh("test \"$(sqlite3 $DB \"SELECT things FROM stuff WHERE stuff = 'in'\")\" = 'the log'");
}

#[test]
fn a_file_below_a_linked_directory_is_missing_there() {
    let site = Site::new();
    site.sh("mv $DIR $ABOVE/real; ln -s real $DIR");
    site.passes();
    site.fault(&["extra-linked-directory"], |site| site.sh("rm $DB"), "resolve", "DBT0351");
}

#[test]
fn a_link_that_is_relative_and_dangles() {
    let make =
        |site: &Site| site.sh("mkdir $ABOVE/there; chown www-data: $ABOVE/there; rm $DB; ln -s ../there/new.db $DB");
    Site::new().fault(&["extra-link-relative"], make, "resolve", "DBT0354");
}

#[test]
fn a_slip_of_the_pen_in_the_name_of_a_directory() {
    let make = |site: &Site| site.sh("mv $DIR $ABOVE/datas");
    // naming the file is sure, and a second database beside it is not
    Site::new().fault(&["extra-slip-directory"], make, "resolve", "DBT0350");
}
