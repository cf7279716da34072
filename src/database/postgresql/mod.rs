//! PostgreSQL.
pub mod settings;
use super::{Kind, ParseError, Setting, Target};
use std::sync::Arc;
/// The kind.
pub struct Postgresql;
impl Kind for Postgresql {
    fn name(&self) -> &'static str {
        "postgresql"
    }
    fn recognises(&self, text: &str) -> bool {
        text.contains('=') || text.starts_with("postgres")
    }
    fn parse(&self, _: &str, _: &Setting) -> Result<Arc<dyn Target>, ParseError> {
        todo!()
    }
}

#[cfg(test)]
#[path = "../../../tests/support/postgresql/mod.rs"]
pub mod support;

#[cfg(test)]
mod tests {
    use super::support::{Cluster, PgBouncer, Pki};

    #[test]
    fn a_cluster_starts_with_tls_behind_a_pooler() {
        let pki = Pki::new("tests");
        let cluster = Cluster::with_conf(
            "local all all trust\nhost all all all trust",
            &pki.conf(&pki.issue("localhost", &["localhost", "127.0.0.1"])),
        );
        assert_eq!(cluster.psql("SHOW ssl"), "on");
        let standby = cluster.standby("local all all trust", "");
        assert_eq!(standby.psql("SELECT pg_is_in_recovery()"), "t");
        cluster.sigstop();
        cluster.sigcont();
        cluster.reload();
        cluster.restart();
        cluster.psql("CREATE ROLE app LOGIN");
        let pooler = PgBouncer::new(&cluster, "\"app\" \"\"\n", "pool_mode = transaction");
        let client = postgres::Client::connect(&pooler.tcp_url("app", "postgres"), postgres::NoTls);
        client.unwrap_or_else(|e| panic!("{e:?}: {}", pooler.log())).simple_query("SELECT 1").unwrap();
    }
}
