//! Places that are not the database's own: directories that are kept for many, disks that are not there, what is no file.
//!
//! The server has mounts of its own, so that /srv and its kin can be what a case needs and nobody else sees it.

use std::path::Path;

use serde_json::Value;

use super::site::Site;

/// What httpd has for a database at `path`, once these commands have made the place for it as httpd sees it.
struct Elsewhere {
    site: Site,
    path: String,
}

impl Elsewhere {
    fn at(path: &str, make: &str) -> Self {
        let site = Site::apart();
        let elsewhere = Self { site, path: path.to_owned() };
        elsewhere.as_httpd_sees(make);
        let before = elsewhere.site.file().display().to_string();
        elsewhere.site.httpd.edit_conf(|conf| conf.replace(&before, path));
        elsewhere.site.httpd.restart();
        elsewhere
    }

    #[track_caller]
    fn as_httpd_sees(&self, commands: &str) {
        std::fs::write(self.site.above().join("commands"), commands).expect("the commands");
        self.site.sh("nsenter -t $HTTPD -m env DIR=$DIR DB=$DB ABOVE=$ABOVE sh -e $ABOVE/commands");
    }

    #[track_caller]
    fn fails(&self, step: &str, id: &str) -> Value {
        let (status, report) = self.site.check();
        let found = (report["failed_at"].as_str(), report["id"].as_str());
        assert_eq!((status, found), (503, (Some(step), Some(id))), "{report:#}");
        super::ground::effects_hold(&report);
        report
    }

    /// Applies the sure fixes of this machine, as httpd sees it.
    #[track_caller]
    fn cure(&self, report: &Value) {
        let sure: Vec<&Value> = fixes(report).iter().filter(|fix| fix["sure"] == true).collect();
        assert!(!sure.is_empty(), "no sure fix: {report:#}");
        for fix in sure {
            match fix["kind"].as_str() {
                Some("shell") => self.as_httpd_sees(fix["text"].as_str().unwrap_or_default()),
                Some("sql") => {
                    let command = fix["where"].as_str().and_then(|place| place.split_once(": ")).expect("a command").1;
                    let sql = fix["text"].as_str().unwrap_or_default();
                    self.as_httpd_sees(&format!("{command} <<'SQL'\n{sql}\nSQL"));
                }
                _ => self.site.apply(fix),
            }
        }
        self.site.works_in_every_child();
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let name = Path::new(&self.path).with_extension("").display().to_string().replace('/', "-");
        let _ = std::fs::remove_dir_all(format!("/var/lib/dbtest{name}"));
    }
}

fn fixes(report: &Value) -> &Vec<Value> {
    report["fixes"].as_array().expect("fixes")
}

/// No sure fix lets the server's user write in this directory.
#[track_caller]
fn stays_closed(report: &Value, directory: &str) {
    for fix in fixes(report).iter().filter(|fix| fix["sure"] == true) {
        let text = fix["text"].as_str().unwrap_or_default();
        let opens = |line: &str| {
            let rights = ["chgrp ", "chown ", "chmod ", "setfacl "].iter().any(|word| line.contains(word));
            rights && line.split_whitespace().any(|word| word == directory)
        };
        assert!(!text.lines().any(opens), "{text}");
    }
}

/// An empty directory of this file system in the place of another.
const EMPTY: &str = "mkdir -p $ABOVE/empty; mount --bind $ABOVE/empty";

#[test]
fn an_empty_directory_may_be_anybodys() {
    for directory in ["/srv", "/mnt", "/opt", "/home", "/var/local", "/var/lib/misc", "/usr/local/share", "/srv/own"] {
        let (make, above) = match directory {
            "/srv/own" => ("mkdir /srv/own", "/srv"),
            _ => ("", directory),
        };
        let path = format!("{directory}/places.db");
        let place = Elsewhere::at(&path, &format!("{EMPTY} {above}\n{make}"));
        let report = place.fails("resolve", "DBT0351");
        stays_closed(&report, directory);
        let cause = report["cause"].as_str().unwrap_or_default();
        assert!(cause.contains(&format!("{directory} is empty")), "{cause}");
        place.cure(&report);
        place.as_httpd_sees(&format!("test $(stat -c %a%U%G {directory}) = 755rootroot"));
    }
}

#[test]
fn a_database_alone_in_a_place_for_many() {
    let make = format!("{EMPTY} /srv; cp $DB /srv/alone.db");
    let place = Elsewhere::at("/srv/alone.db", &make);
    let report = place.fails("reach", "DBT0453");
    stays_closed(&report, "/srv");
    place.cure(&report);
}

#[test]
fn a_directory_that_others_make_is_not_made_for_sure() {
    for path in ["/media/ex/places.db", "/mnt/disk/data/places.db", "/home/somebody/places.db"] {
        let above = path.split('/').nth(1).expect("a directory");
        let place = Elsewhere::at(path, &format!("{EMPTY} /{above}"));
        let report = place.fails("resolve", "DBT0350");
        assert!(fixes(&report).iter().all(|fix| fix["sure"] == false), "{report:#}");
        assert_eq!(fixes(&report)[0]["effect"], "looks", "{report:#}");
    }
}

#[test]
fn a_disk_that_is_not_mounted() {
    for (point, options, sure) in [("/media/ex", "loop,nofail", true), ("/srv/disk", "loop,noauto", false)] {
        let make = format!(
            "{EMPTY} /{}; test {point} = /media/ex || mkdir {point}; truncate -s 16m $ABOVE/disk; mkfs.ext4 -q $ABOVE/disk\n\
             mkdir $ABOVE/inside; mount -o loop $ABOVE/disk $ABOVE/inside; cp -a $DB $ABOVE/inside/places.db\n\
             chown www-data: $ABOVE/inside; umount $ABOVE/inside\n\
             {{ cat /etc/fstab; echo \"$ABOVE/disk {point} ext4 {options} 0 2\"; }} > $ABOVE/fstab\n\
             mount --bind $ABOVE/fstab /etc/fstab",
            point.split('/').nth(1).expect("a directory")
        );
        let place = Elsewhere::at(&format!("{point}/places.db"), &make);
        let report = place.fails("resolve", "DBT0359");
        assert_eq!(fixes(&report)[0]["sure"], sure, "{report:#}");
        place.as_httpd_sees(fixes(&report)[0]["text"].as_str().unwrap_or_default());
        place.site.works_in_every_child();
    }
}

#[test]
fn what_is_no_file_is_left_alone() {
    for (path, make) in [
        ("/dev/null", ""),
        ("/srv/pipe.db", "mount --bind $DIR /srv; mkfifo /srv/pipe.db; chown www-data: /srv/pipe.db"),
        (
            "/srv/socket.db",
            "mount --bind $DIR /srv; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/srv/socket.db\")'",
        ),
    ] {
        let place = Elsewhere::at(path, make);
        let report = place.fails("reach", "DBT0451");
        for fix in fixes(&report) {
            let text = fix["text"].as_str().unwrap_or_default();
            assert!(!text.contains(&format!(" {path}")), "{text}");
        }
        place.cure(&report);
        place.as_httpd_sees(&format!("test -e {path} -a ! -f {path} -a ! -L {path}"));
    }
}

#[test]
fn a_directory_that_docker_made_for_want_of_a_file() {
    // what it was to mount is no file: a directory of root is made there, and mounted
    let place = Elsewhere::at(
        "/srv/docker.db",
        "mount --bind $DIR /srv; mkdir $ABOVE/docker.db /srv/docker.db; mount --bind $ABOVE/docker.db /srv/docker.db",
    );
    let report = place.fails("reach", "DBT0450");
    let cause = report["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("a container's engine"), "{cause}");
    assert!(!report["excluded"].to_string().contains("EACCES"), "nobody said EACCES: {report:#}");
    assert!(fixes(&report)[0]["text"].as_str().is_some_and(|text| text.starts_with("--volume ")), "{report:#}");
    assert!(fixes(&report).iter().all(|fix| fix["sure"] == false), "{report:#}");
}

#[test]
fn a_directory_without_a_database() {
    let place =
        Elsewhere::at("/srv/docker.db", "mount --bind $DIR /srv; mkdir /srv/docker.db; chown www-data: /srv/docker.db");
    let report = place.fails("reach", "DBT0450");
    assert_eq!((&fixes(&report)[0]["kind"], &fixes(&report)[0]["sure"]), (&"httpd".into(), &false.into()));
    place.site.apply(&fixes(&report)[0]);
    place.cure(&place.fails("resolve", "DBT0351"));
}
