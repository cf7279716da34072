//! httpd starts and reloads whatever became of a database: what only the disk, a policy or another machine decides is
//! said by the page, and by configtest as a warning. Only what is wrong in the configuration's own text refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use crate::support::httpd::configtest_of;
use crate::support::postgresql::Cluster;
use crate::support::{Database, Httpd, Kind, Mpm};

/// What stands in DBTestDatabase, and what the page and configtest have to say of it. `${DIR}` holds `plain`, a file
/// that only root may open, `data`, a directory, and `end`, a link that leads nowhere.
const ELSEWHERE: &[(&str, &str)] = &[
    ("sqlite:${DIR}/gone/site.db", "${DIR}/gone"),
    ("sqlite:${DIR}/data", "${DIR}/data"),
    ("sqlite:${DIR}/plain/site.db", "${DIR}/plain"),
    ("sqlite:${DIR}/end", "${DIR}/end"),
    ("host=127.0.0.1 port=9 sslmode=verify-ca sslrootcert=${DIR}/none.pem", "${DIR}/none.pem"),
    ("host=127.0.0.1 port=9 sslmode=verify-ca sslrootcert=${DIR}/plain", "${DIR}/plain"),
    ("host=127.0.0.1 port=9 sslmode=require sslcert=${DIR}/none.crt sslkey=${DIR}/none.key", "${DIR}/none."),
    ("host=${DIR}/sockets user=u", "${DIR}/sockets"),
];

#[test]
fn a_start_does_not_fail_for_what_a_request_can_explain() {
    let dir = tempfile::tempdir_in("/tmp").expect("a directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("plain"), "x\n").unwrap();
    fs::set_permissions(dir.path().join("plain"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("nowhere"), dir.path().join("end")).unwrap();
    let here = |text: &str| text.replace("${DIR}", &dir.path().display().to_string());
    let builder = || {
        ELSEWHERE.iter().enumerate().fold(Httpd::builder(Mpm::Event), |builder, (index, (database, _))| {
            builder
                .location(&format!("/d{index}"), &format!("DBTestDatabase \"{}\"\nDBTestDetail full", here(database)))
        })
    };
    let checked = configtest_of(builder(), &[]);
    let output = &checked.outcome().output;
    assert!(checked.outcome().success, "{output}");
    let warning = |about: &str| output.lines().any(|line| line.contains(about) && line.contains("httpd.conf:"));
    let httpd = builder().start();
    httpd.allow_log("DBT");
    for (index, (database, about)) in ELSEWHERE.iter().enumerate() {
        let about = here(about);
        assert!(warning(&about), "{database}: no warning about {about} in\n{output}");
        let reply = httpd.get_json(&format!("/d{index}/check"));
        assert_eq!(reply.status, 503, "{database}: {}", reply.text());
        assert!(reply.text().contains(&about), "{database}: the page says nothing of {about}:\n{}", reply.text());
        httpd.get(&format!("/d{index}/")).expect(503);
    }
}

#[test]
fn a_reload_goes_on_when_a_database_has_moved_away() {
    let (file, other) = (Database::new(Kind::Sqlite), Database::new(Kind::Sqlite));
    let httpd =
        Httpd::builder(Mpm::Event).location("/gone", &file.directive()).location("/other", &other.directive()).start();
    httpd.get("/gone/").expect(200);
    fs::remove_dir_all(file.file().parent().expect("its directory")).unwrap();
    httpd.allow_log("DBT");
    httpd.graceful();
    httpd.restart();
    httpd.get("/gone/").expect(503);
    httpd.get("/other/").expect(200);
    httpd.get("/index.html").expect(200);
}

#[test]
fn a_password_that_cannot_be_read_at_a_reload_is_the_one_before() {
    const PASSWORD: &str = "first-Secret";
    let cluster = Cluster::new("local all helm trust\nhost all all 127.0.0.1/32 scram-sha-256\nlocal all all trust");
    let database = Database::on(Arc::new(cluster));
    database.run("CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL)");
    let (cluster, name) = database.cluster();
    cluster.psql(&format!("ALTER ROLE {name} PASSWORD '{PASSWORD}'"));
    let dir = tempfile::tempdir_in("/tmp").expect("a directory");
    let (program, file) = (dir.path().join("program"), dir.path().join("file"));
    let write = |path: &std::path::Path, text: &str, mode: u32| {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write(&program, &format!("#!/bin/sh\necho '{PASSWORD}'\n"), 0o755);
    write(&file, PASSWORD, 0o600);
    let url = cluster.tcp_url(name, name);
    let location = |source: &str| format!("DBTestDatabase \"{url}\"\nDBTestPasswordFile \"{source}\"");
    let httpd = Httpd::builder(Mpm::Prefork)
        .location("/program", &location(&format!("exec:{}", program.display())))
        .location("/file", &location(&file.display().to_string()))
        .start();
    for path in ["/program/", "/file/"] {
        httpd.get(path).expect(200);
    }
    write(&program, "#!/bin/sh\necho nonsense\nkill -9 $$\n", 0o755);
    fs::remove_file(&file).unwrap();
    httpd.graceful();
    for path in ["/program/", "/file/"] {
        httpd.get(path).expect(200);
    }
    httpd.expect_log("failed: signal: 9");
    httpd.expect_log("does not exist: put the password in it");
    httpd.allow_log("the password that was read before stays in use");
    // and once it can be read again, it is the new one
    cluster.psql(&format!("ALTER ROLE {name} PASSWORD 'second-Secret'"));
    write(&program, "#!/bin/sh\necho second-Secret\n", 0o755);
    write(&file, "second-Secret", 0o600);
    httpd.restart();
    for path in ["/program/", "/file/"] {
        httpd.get(path).expect(200);
    }
}
