//! Faults of a standby, and of what its primary expects of it.

use super::ground::{Case, Ground};
use crate::support::postgresql::wait;

#[test]
fn standbys() {
    let mut ground = Ground::new("");
    let hba = "host all all 127.0.0.1/32 scram-sha-256";
    let standby = std::rc::Rc::new(ground.cluster.standby(hba, ""));
    let closed = ground.cluster.standby(hba, "");
    closed.conf("hot_standby = off");
    // it never says that it is ready
    let _ = std::process::Command::new("kill").args(["-INT", &closed.pid().to_string()]).status();
    wait("the standby stops", || !closed.data.join("postmaster.pid").exists());
    super::site::sh(&format!(
        "runuser -u postgres -- /usr/lib/postgresql/*/bin/pg_ctl -D {0} -W -s -l {0}/log start; sleep 1",
        closed.data.display()
    ));
    ground.words.push(("{standby}", standby.port.to_string()));
    ground.words.push(("{closed}", closed.port.to_string()));
    // what the case made must have come over first
    let arrives = |case: Case| {
        let standby = std::rc::Rc::clone(&standby);
        case.make(move |_, case| {
            wait("the standby catches up", || standby.try_psql(&case.database(), "SELECT 1 FROM stuff").is_ok());
        })
    };
    ground.run(vec![
        arrives(
            Case::new(&["RDW-01"], "write", "DBT1301").url("postgresql://{role}:{password}@127.0.0.1:{standby}/{db}"),
        )
        .maybe(),
        arrives(
            Case::new(&["RDW-01b"], "write", "DBT1301")
                .url("postgresql://{role}:{password}@127.0.0.1:{standby},127.0.0.1:{port}/{db}"),
        )
        .maybe(),
        arrives(
            Case::new(&["RDW-05b"], "session", "DBT0911")
                .url("postgresql://{role}:{password}@127.0.0.1:{standby}/{db}?target_session_attrs=read-write"),
        )
        .not_cured("it is told that the server is a standby next, which only a person can change"),
        Case::new(&["CAP-09"], "admitted", "DBT0711")
            .url("postgresql://{role}:{password}@127.0.0.1:{closed}/{db}")
            .not_cured("the applier edits the primary's postgresql.conf"),
    ]);
}
