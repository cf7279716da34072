//! Logging in: every method of pg_hba.conf that we know, and what a refusal is called.

use super::*;
use crate::database::postgresql::startup::AuthRequest;
use crate::database::{Connection, Stage};

#[test]
fn every_kind_of_password_is_accepted_and_the_request_is_recorded() {
    let cluster = Cluster::new("host all plain all password\nhost all old all md5\nhost all all all scram-sha-256");
    prepare(&cluster);
    cluster.psql("SET password_encryption = 'md5'; CREATE ROLE old LOGIN PASSWORD 'geheim'");
    cluster.psql("CREATE ROLE plain LOGIN PASSWORD 'geheim'");
    let sasl = AuthRequest::Sasl(vec!["SCRAM-SHA-256".into()]);
    for (user, request) in [("plain", AuthRequest::Cleartext), ("old", AuthRequest::Md5), ("app", sasl)] {
        let settings = PgSettings { user: Some(user.into()), ..with_password(by_tcp(cluster.port)) };
        let target = PgTarget::new(settings.clone());
        let opened = target.open(&LIMITS).map_err(Attempts::into_error).unwrap();
        assert_eq!(opened.session.startup.auth_request.as_ref(), Some(&request));
        assert!(opened.session.startup.auth_ok && opened.session.startup.ready);
        assert!(opened.session.startup.backend_pid.is_some());

        let wrong = PgSettings { password: Some(Secret::new("falsch")), ..settings.clone() };
        let error = refused(wrong);
        let server = answer(&error);
        assert_eq!((error.stage, server.code.as_str()), (Stage::Authenticated, "28P01"));
        assert_eq!(server.routine.as_deref(), Some("auth_failed"));
        assert_eq!(server.severity, "FATAL");

        for none in [None, Some(Secret::new(""))] {
            let error = refused(PgSettings { password: none, ..settings.clone() });
            assert_eq!(error.stage, Stage::Authenticated);
            assert!(error.to_string().contains("none is configured"), "{error}");
        }
        assert!(!format!("{settings:?}").contains("geheim"));
    }
}

#[test]
fn peer_knows_us_by_our_user() {
    let cluster = Cluster::new("local all all peer");
    prepare(&cluster);
    let me = whoami::username().unwrap();
    cluster.psql(&format!("CREATE ROLE \"{me}\" LOGIN"));
    // no user configured: the operating system's, as with libpq
    let settings = PgSettings { user: None, ..by_socket(&cluster) };
    assert_eq!(connect(settings).unwrap().about().role, me);
    let error = refused(by_socket(&cluster));
    assert_eq!((error.stage, answer(&error).code.as_str()), (Stage::Admitted, "28000"));
    assert_eq!(answer(&error).routine.as_deref(), Some("auth_failed"));
}

#[test]
fn refusals_are_told_apart_by_the_step_they_come_at() {
    let cluster =
        Cluster::new("host appdb app all trust\nhost nosuch app all trust\nhost all limited,locked all trust");
    prepare(&cluster);
    cluster.psql("CREATE ROLE limited LOGIN CONNECTION LIMIT 0; CREATE ROLE locked NOLOGIN");
    let cases = [
        ("postgres", "app", Stage::Admitted, "28000", "ClientAuthentication"),
        ("nosuch", "app", Stage::Session, "3D000", "InitPostgres"),
        ("appdb", "limited", Stage::Session, "53300", "InitializeSessionUserId"),
        ("appdb", "locked", Stage::Session, "28000", "InitializeSessionUserId"),
    ];
    for (database, user, stage, code, routine) in cases {
        let (dbname, user) = (Some(database.to_owned()), Some(user.to_owned()));
        let error = refused(PgSettings { dbname, user, ..by_tcp(cluster.port) });
        let server = answer(&error);
        assert_eq!((error.stage, server.code.as_str(), server.routine.as_deref()), (stage, code, Some(routine)));
    }
    let error = refused(PgSettings { options: Some("-c work_mem=nonsense".into()), ..by_tcp(cluster.port) });
    assert_eq!((error.stage, answer(&error).code.as_str()), (Stage::Session, "22023"));
}

#[test]
fn the_process_behind_the_socket_can_be_required() {
    let cluster = trusting();
    let owner = if rustix::process::geteuid().is_root() { "postgres".to_owned() } else { whoami::username().unwrap() };
    connect(PgSettings { requirepeer: Some(owner), ..by_socket(&cluster) }).unwrap();
    let error = refused(PgSettings { requirepeer: Some("daemon".into()), ..by_socket(&cluster) });
    assert_eq!(error.stage, Stage::Speaks);
    assert!(error.to_string().contains("requirepeer=daemon"), "{error}");
}

#[test]
fn the_server_sees_our_name_and_options() {
    let cluster = trusting();
    let settings = PgSettings { options: Some("-c search_path=elsewhere".into()), ..by_socket(&cluster) };
    let mut connection = connect(settings.clone()).unwrap();
    let ask = "SELECT current_setting('application_name'), current_setting('search_path'), current_setting('client_encoding')";
    let texts: Vec<String> = connection.simple(ask).unwrap().remove(0).into_iter().flatten().collect();
    assert_eq!(texts, ["mod_dbtest", "elsewhere", "UTF8"]);
    let mut connection = connect(PgSettings { application_name: Some("mine".into()), ..settings }).unwrap();
    assert_eq!(connection.simple(ask).unwrap()[0][0].as_deref(), Some("mine"));
}
