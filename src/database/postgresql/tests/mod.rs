//! Against real servers, each private to its test.

mod basics;

use std::time::Duration;

use super::settings::{Host, HostPort, PgSettings, SslMode};
use super::support::Cluster;
use super::{PgConnection, PgTarget};
use crate::database::{Error, Limits, Table};

const LIMITS: Limits =
    Limits { connect: Duration::from_secs(5), query: Duration::from_secs(5), wait: Duration::from_secs(1) };

/// The original's table, owned by the role `app`, in the database `appdb`.
fn prepare(cluster: &Cluster) {
    cluster.psql("CREATE ROLE app LOGIN PASSWORD 'geheim'");
    cluster.psql("CREATE DATABASE appdb OWNER app");
    cluster.psql_in(
        "appdb",
        "SET ROLE app; CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL)",
    );
}

/// By the socket.
fn by_socket(cluster: &Cluster) -> PgSettings {
    settings(Host::SocketDir(cluster.socket_dir.clone()), cluster.port)
}

/// By TCP, in the clear.
fn by_tcp(port: u16) -> PgSettings {
    settings(Host::Address([127, 0, 0, 1].into()), port)
}

fn settings(host: Host, port: u16) -> PgSettings {
    PgSettings {
        hosts: vec![HostPort { host, hostaddr: None, port }],
        user: Some("app".into()),
        dbname: Some("appdb".into()),
        sslmode: SslMode::Disable,
        ..PgSettings::default()
    }
}

fn connect(settings: PgSettings) -> Result<PgConnection, Error> {
    connect_to(&PgTarget::new(settings))
}

fn connect_to(target: &PgTarget) -> Result<PgConnection, Error> {
    let opened = target.open(&LIMITS).map_err(super::Attempts::into_error)?;
    Ok(target.connection(opened, &Table::default(), &LIMITS))
}
