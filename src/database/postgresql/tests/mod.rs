//! Against real servers, each private to its test.

mod authentication;
mod certainty;
mod cost;
mod deadlines;
mod encryption;
mod failover;

mod foreign;
mod hostile;
mod impostor;
mod peer;
mod poolers;
mod rows;
mod silent;
mod stale;
mod trouble;

use std::time::Duration;

use super::open::Attempts;
use super::settings::{Host, HostPort, PgSettings, SslMode};
use super::support::Cluster;
use super::{PgConnection, PgTarget};
use crate::database::{Cause, Error, Limits, Secret, ServerError, Table};

const LIMITS: Limits =
    Limits { connect: Duration::from_secs(5), query: Duration::from_secs(5), wait: Duration::from_secs(1) };

/// Lets everybody in.
const TRUST: &str = "local all all trust\nhost all all all trust";

/// The original's table, owned by the role `app`, in the database `appdb`.
fn prepare(cluster: &Cluster) {
    cluster.psql("CREATE ROLE app LOGIN PASSWORD 'geheim'");
    cluster.psql("CREATE DATABASE appdb OWNER app");
    let table = "id serial PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL";
    cluster.psql_in("appdb", &format!("SET ROLE app; CREATE TABLE stuff ({table})"));
}

/// A cluster with the table that lets everybody in.
fn trusting() -> Cluster {
    let cluster = Cluster::new(TRUST);
    prepare(&cluster);
    cluster
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

fn with_password(settings: PgSettings) -> PgSettings {
    PgSettings { password: Some(Secret::new("geheim")), ..settings }
}

fn connect(settings: PgSettings) -> Result<PgConnection, Error> {
    connect_to(&PgTarget::new(settings), &LIMITS)
}

fn connect_to(target: &PgTarget, limits: &Limits) -> Result<PgConnection, Error> {
    let opened = target.open(limits).map_err(Attempts::into_error)?;
    Ok(target.connection(opened, &Table::default(), limits))
}

/// The error of a connection that must not be made.
fn refused(settings: PgSettings) -> Error {
    match connect(settings) {
        Ok(connection) => panic!("connected: {:?}", crate::database::Connection::about(&connection)),
        Err(error) => error,
    }
}

/// The server's own error in it.
fn answer(error: &Error) -> &ServerError {
    match &error.cause {
        Cause::Server(error) => error,
        other => panic!("not the server's: {other:?} ({error})"),
    }
}
