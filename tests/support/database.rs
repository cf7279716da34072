//! A database of its own for each test, of either kind, and what is in it as another client sees it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tempfile::TempDir;

use super::files::give;
use super::postgresql::Cluster;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgresql,
}

/// A database that goes with the value.
pub enum Database {
    Sqlite { dir: TempDir },
    Postgresql { cluster: Arc<Cluster>, name: String },
}

/// A row as another client of the database sees it.
pub type Stored = (i64, String, String);

const SQLITE_TABLE: &str =
    "CREATE TABLE stuff (id INTEGER PRIMARY KEY NOT NULL, stuff VARCHAR(255) NOT NULL, things TEXT NOT NULL)";
const POSTGRESQL_TABLE: &str =
    "CREATE TABLE stuff (id serial PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL)";

impl Database {
    /// With the table, empty.
    pub fn new(kind: Kind) -> Self {
        let database = Self::without_table(kind);
        database.run(match kind {
            Kind::Sqlite => SQLITE_TABLE,
            Kind::Postgresql => POSTGRESQL_TABLE,
        });
        database
    }

    /// Without the table.
    pub fn without_table(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => Self::sqlite(),
            Kind::Postgresql => Self::on(shared_cluster()),
        }
    }

    fn sqlite() -> Self {
        let dir = tempfile::Builder::new().prefix("sqlite").tempdir_in("/tmp").expect("a directory in /tmp");
        give(dir.path());
        let database = Self::Sqlite { dir };
        database.run("PRAGMA journal_mode=WAL");
        give(&database.file());
        database
    }

    /// A database and a role of the same name on this cluster.
    pub fn on(cluster: Arc<Cluster>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("site{}", NEXT.fetch_add(1, Ordering::Relaxed));
        cluster.psql(&format!("CREATE ROLE {name} LOGIN"));
        cluster.psql(&format!("CREATE DATABASE {name} OWNER {name}"));
        Self::Postgresql { cluster, name }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Sqlite { .. } => Kind::Sqlite,
            Self::Postgresql { .. } => Kind::Postgresql,
        }
    }

    /// The value of DBTestDatabase.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite { .. } => format!("sqlite:{}", self.file().display()),
            Self::Postgresql { cluster, name } => cluster.socket_url(name, name),
        }
    }

    /// The directive.
    pub fn directive(&self) -> String {
        format!("DBTestDatabase \"{}\"", self.url())
    }

    /// The file of an SQLite database.
    pub fn file(&self) -> std::path::PathBuf {
        match self {
            Self::Sqlite { dir } => dir.path().join("site.db"),
            Self::Postgresql { .. } => panic!("PostgreSQL has no file"),
        }
    }

    /// The server of a PostgreSQL database, and the name of database and role.
    pub fn cluster(&self) -> (&Cluster, &str) {
        match self {
            Self::Postgresql { cluster, name } => (cluster, name),
            Self::Sqlite { .. } => panic!("SQLite has no server"),
        }
    }

    /// Runs statements as the owner.
    pub fn run(&self, sql: &str) {
        match self {
            Self::Sqlite { .. } => self.open().execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}")),
            Self::Postgresql { cluster, name } => {
                cluster.psql_in(name, &format!("SET ROLE {name}; {sql}"));
            }
        }
    }

    fn open(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.file()).expect("the SQLite file");
        connection.busy_timeout(Duration::from_secs(20)).expect("busy_timeout");
        connection
    }

    fn client(&self) -> postgres::Client {
        let (cluster, name) = self.cluster();
        let mut config = postgres::Config::new();
        config.host_path(&cluster.socket_dir).port(cluster.port).user(name).dbname(name);
        config.connect(postgres::NoTls).expect("a connection")
    }

    /// All rows of `stuff`, oldest first.
    pub fn rows(&self) -> Vec<Stored> {
        const SQL: &str = "SELECT id, stuff, things FROM stuff ORDER BY id";
        match self {
            Self::Sqlite { .. } => {
                let connection = self.open();
                let mut statement = connection.prepare(SQL).expect(SQL);
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect(SQL);
                rows.map(|row| row.expect("a row")).collect()
            }
            Self::Postgresql { .. } => {
                let rows = self.client().query(SQL, &[]).expect(SQL);
                rows.iter().map(|row| (i64::from(row.get::<_, i32>(0)), row.get(1), row.get(2))).collect()
            }
        }
    }

    /// Inserts `count` rows: "stuff 1", "things 1" and on.
    pub fn fill(&self, count: u32) {
        self.run(&match self.kind() {
            Kind::Sqlite => format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
                 INSERT INTO stuff (stuff, things) SELECT 'stuff ' || i, 'things ' || i FROM n"
            ),
            Kind::Postgresql => format!(
                "INSERT INTO stuff (stuff, things) SELECT 'stuff ' || i, 'things ' || i FROM generate_series(1, {count}) i"
            ),
        });
    }
}

/// One cluster for all tests that run at the same time; it stops when the last of them has ended.
pub fn shared_cluster() -> Arc<Cluster> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(open_cluster());
        *shared = Arc::downgrade(&cluster);
        cluster
    })
}

/// A cluster of its own, for a test that stops or fills it; it trusts everybody.
pub fn open_cluster() -> Cluster {
    Cluster::with_conf("local all all trust\nhost all all 127.0.0.1/32 trust\n", "max_connections = 200\n")
}
