//! Faults of the login: pg_hba.conf, password, database, limits.

use super::ground::{Case, Ground};

#[test]
fn pg_hba_conf() {
    Ground::new("").run(of_pg_hba_conf());
}

pub fn of_pg_hba_conf() -> Vec<Case> {
    vec![
        Case::new(&["HBA-01"], "admitted", "DBT0701").by_socket().hba("local all all peer"),
        Case::new(&["HBA-02"], "admitted", "DBT0701")
            .url("postgresql://{role}@/{db}?host={sock}&port={port}")
            .hba("local all all peer"),
        Case::new(&["HBA-03"], "session", "DBT0914")
            .url("postgresql:///{db}?host={sock}&port={port}")
            .hba("local all all peer")
            .undo(|ground, _| {
                drop(ground.cluster.try_psql("postgres", "DROP OWNED BY \"www-data\"; DROP ROLE \"www-data\""))
            }),
        Case::new(&["HBA-04"], "admitted", "DBT0702").hba("host all all 127.0.0.1/32 ident"),
        Case::new(&["HBA-05"], "admitted", "DBT0705").hba(""),
        Case::new(&["HBA-06"], "admitted", "DBT0705").by_socket().hba("host all all 127.0.0.1/32 scram-sha-256"),
        Case::new(&["HBA-07"], "admitted", "DBT0705").hba("host all all 127.0.0.1/32 reject"),
        Case::new(&["HBA-08"], "admitted", "DBT0701")
            .by_socket()
            .hba("local all all peer\nlocal {db} {role} scram-sha-256"),
        Case::new(&["HBA-09"], "admitted", "DBT0705").hba("").make(|ground, case| {
            // edited, and not loaded
            ground.cluster.hba(&ground.fill(case, "host {db} {role} 127.0.0.1/32 scram-sha-256"));
        }),
        Case::new(&["HBA-13"], "admitted", "DBT0706")
            .hba("host postgres all 127.0.0.1/32 scram-sha-256\nhost {db}x all 127.0.0.1/32 scram-sha-256"),
        Case::new(&["HBA-13b"], "admitted", "DBT0707").hba("host all postgres 127.0.0.1/32 scram-sha-256"),
        Case::new(&["HBA-13c"], "admitted", "DBT0705")
            .hba("host all all 10.0.0.0/8 scram-sha-256\nhost all all 0.0.0.0/32 scram-sha-256"),
        Case::new(&["HBA-14"], "admitted", "DBT0705").hba("host all all db.nowhere.example scram-sha-256"),
        Case::new(&["HBA-17"], "admitted", "DBT0715").hba("host all all 127.0.0.1/32 trust").warning(),
        // the role's secret is of before PostgreSQL 14: the line must take it
        Case::new(&["HBA-05b"], "admitted", "DBT0705")
            .hba("")
            .admin("SET password_encryption = 'md5'; ALTER ROLE {role} PASSWORD '{password}'"),
        Case::new(&["HBA-19"], "session", "DBT0910")
            .url("postgresql://{role}:{password}@127.0.0.1:{port}/{db}?options=-c%20TimeZone%3DMars/Phobos"),
        Case::new(&["HBA-20"], "session", "DBT0910")
            .url("postgresql://{role}:{password}@127.0.0.1:{port}/{db}?options=-c%20log_statement%3Dall"),
        Case::new(&["HBA-20b"], "session", "DBT0910")
            .url("postgresql://{role}:{password}@127.0.0.1:{port}/{db}?options=-c%20shared_buffers%3D1GB"),
    ]
}

#[test]
fn the_password_and_the_role() {
    Ground::new("").run(of_the_password_and_the_role());
}

pub fn of_the_password_and_the_role() -> Vec<Case> {
    vec![
        Case::new(&["AUT-01"], "authenticated", "DBT0801").admin("ALTER ROLE {role} PASSWORD 'another'").maybe(),
        Case::new(&["AUT-02"], "authenticated", "DBT0801").url("postgresql://ghost{role}:{password}@127.0.0.1:{port}/{db}").maybe()
            .undo(|ground, case| drop(ground.cluster.try_psql(&case.database(), &format!("DROP OWNED BY ghost{0}; DROP ROLE ghost{0}", case.role())))),
        Case::new(&["AUT-03"], "authenticated", "DBT0801").admin("ALTER ROLE {role} PASSWORD NULL").maybe(),
        Case::new(&["AUT-04"], "authenticated", "DBT0801").admin("ALTER ROLE {role} VALID UNTIL '2020-01-01'").maybe(),
        Case::new(&["AUT-05"], "authenticated", "DBT0801").admin("SET password_encryption = 'md5'; ALTER ROLE {role} PASSWORD '{password}'").maybe(),
        Case::new(&["AUT-06"], "authenticated", "DBT0801")
            .hba("host all all 127.0.0.1/32 md5")
            .admin("SET password_encryption = 'md5'; ALTER ROLE {role} PASSWORD '{password}'; ALTER ROLE {role} RENAME TO {role}x; ALTER ROLE {role}x RENAME TO {role}")
            .maybe(),
        Case::new(&["AUT-07"], "authenticated", "DBT0802").url("postgresql://{role}@127.0.0.1:{port}/{db}"),
        Case::new(&["AUT-08", "CFG-19"], "authenticated", "DBT0808").url("postgresql://{role}:changeme@127.0.0.1:{port}/{db}"),
        Case::new(&["AUT-09"], "session", "DBT0913").admin("ALTER ROLE {role} NOLOGIN"),
        Case::new(&["AUT-11"], "authenticated", "DBT0803").hba("host all all 127.0.0.1/32 ldap ldapserver=127.0.0.1 ldapport=7498 ldapprefix=\"cn=\" ldapsuffix=\"\"").maybe(),
        Case::new(&["AUT-12"], "authenticated", "DBT0802").url("postgresql://{role}@/{db}?host={sock}&port={port}"),
        Case::new(&["DBN-01"], "session", "DBT0901").url("postgresql://{role}:{password}@127.0.0.1:{port}/flaskdb").maybe()
            .undo(|ground, _| drop(ground.cluster.try_psql("postgres", "DROP DATABASE IF EXISTS flaskdb WITH (FORCE)"))),
        Case::new(&["DBN-02"], "session", "DBT0902").url("postgresql://{role}:{password}@127.0.0.1:{port}/"),
        Case::new(&["DBN-03"], "session", "DBT0904").make(|ground, case| {
            ground.cluster.psql(&ground.fill(case, "ALTER DATABASE {db} ALLOW_CONNECTIONS false"));
        }),
        Case::new(&["DBN-04"], "session", "DBT0906").admin("REVOKE CONNECT ON DATABASE {db} FROM PUBLIC"),
        Case::new(&["DBN-05"], "session", "DBT0903")
            .make(|ground, case| {
                let oid = ground.cluster.psql(&ground.fill(case, "SELECT oid FROM pg_database WHERE datname = '{db}'"));
                let path = ground.cluster.data.join("base").join(oid);
                ground.cluster.psql("CHECKPOINT");
                std::fs::rename(&path, path.with_extension("gone")).expect("moved");
            })
            .undo(|ground, case| {
                let oid = ground.cluster.psql(&ground.fill(case, "SELECT oid FROM pg_database WHERE datname = '{db}'"));
                let path = ground.cluster.data.join("base").join(oid);
                std::fs::rename(path.with_extension("gone"), path).expect("moved back");
            })
            .not_cured("a backup cannot be invented"),
        // the password is in a file: a second one in DBTestDatabase would be refused
        Case::new(&["AUT-01b"], "authenticated", "DBT0801")
            .directives("DBTestDatabase \"postgresql://{role}@127.0.0.1:{port}/{db}\"\nDBTestPasswordFile {data}/dbtest.pass")
            .password_file("wrong")
            .maybe(),
        Case::new(&["AUT-08b"], "authenticated", "DBT0808")
            .directives("DBTestDatabase \"postgresql://{role}@127.0.0.1:{port}/{db}\"\nDBTestPasswordFile {data}/dbtest2.pass")
            .password_file("secret"),
        Case::new(&["DBN-08"], "session", "DBT0916")
            .admin("ALTER ROLE {role} SET session_preload_libraries = 'nosuchlibrary'")
            .maybe(),
        Case::new(&["CAP-03"], "session", "DBT1503").admin("ALTER ROLE {role} CONNECTION LIMIT 0").maybe(),
        Case::new(&["CAP-04"], "session", "DBT1504").admin("ALTER DATABASE {db} CONNECTION LIMIT 0").maybe(),
        Case::new(&["CAP-17"], "schema", "DBT1523").admin("ALTER ROLE {role} CONNECTION LIMIT 1").warning().cold(),
        Case::new(&["CAP-17b"], "schema", "DBT1524").admin("ALTER DATABASE {db} CONNECTION LIMIT 1").warning().cold(),
    ]
}
