//! Faults of TLS: certificates, authorities, names, dates, keys.

use super::ground::{Case, Ground};
use crate::support::postgresql::Pki;

const VERIFY: &str = "postgresql://{role}:{password}@localhost:{port}/{db}?sslmode=verify-full&sslrootcert={ca}";

/// A server with TLS and an authority; `{ca}` is its file, `{other}` that of another authority.
fn ground(pki: &Pki, other: &Pki) -> Ground {
    let server = pki.issue("localhost", &["localhost", "127.0.0.1"]);
    let conf = pki.conf(&server);
    let mut ground = Ground::new(&conf);
    ground.words.push(("{conf}", conf));
    ground.words.push(("{ca}", pki.ca().display().to_string()));
    ground.words.push(("{other}", other.ca().display().to_string()));
    ground
}

/// The case's own certificate for the server, valid from and until so many days from now, and a restart.
fn certificate(case: Case, names: &'static [&'static str], from: i64, until: i64) -> Case {
    let pki: std::rc::Rc<std::cell::RefCell<Option<Pki>>> = std::rc::Rc::default();
    let kept = std::rc::Rc::clone(&pki);
    case.make(move |ground, case| {
        let mine = Pki::new("of the case");
        let server = mine.issue_for_days(names[0], names, from, until);
        ground.cluster.conf(&mine.conf(&server));
        ground.cluster.reload();
        // the case's {ca} was filled in before: its text goes there
        let ca = ground.fill(case, "{ca}");
        std::fs::copy(mine.ca(), ca).expect("the authority");
        *pki.borrow_mut() = Some(mine);
    })
    .undo(move |_, _| drop(kept.borrow_mut().take()))
}

#[test]
fn tls() {
    let (pki, other) = (Pki::new("the authority"), Pki::new("another authority"));
    let original = std::fs::read(pki.ca()).expect("ca.crt");
    let ca = pki.ca();
    let back = move |_: &Ground, _: &Case| std::fs::write(&ca, &original).expect("ca.crt");
    let mut ground = ground(&pki, &other);
    let client = |name: &str| {
        let pair = pki.issue(name, &[]);
        super::site::sh(&format!("chown root:www-data {0}; chmod 640 {0}", pair.key.display()));
        (pair.cert.display().to_string(), pair.key.display().to_string())
    };
    let (bob, bob_key) = client("bob");
    let (_, alice_key) = client("alice");
    let foreign = other.issue("web9", &[]);
    super::site::sh(&format!("chown root:www-data {0}; chmod 640 {0}", foreign.key.display()));
    super::site::sh(&format!("install -m 644 {} {}/real-ca.crt", pki.ca().display(), other.dir().display()));
    super::site::sh(&format!("install -m 600 {bob_key} {}/private.key", pki.dir().display()));
    super::site::sh(&format!("install -m 644 {} {}/copy.crt", pki.ca().display(), pki.dir().display()));
    super::site::sh(&format!("install -m 640 -g www-data {bob_key} {}/copy.key", pki.dir().display()));
    ground.words.push(("{copy}", pki.dir().join("copy.crt").display().to_string()));
    ground.words.push(("{key}", pki.dir().join("copy.key").display().to_string()));
    for (name, value) in [("{bob}", bob), ("{bob_key}", bob_key), ("{alice_key}", alice_key)] {
        ground.words.push((name, value));
    }
    ground.words.push(("{foreign}", foreign.cert.display().to_string()));
    ground.words.push(("{foreign_key}", foreign.key.display().to_string()));
    ground.words.push(("{private}", pki.dir().join("private.key").display().to_string()));
    ground.run(vec![
        Case::new(&["TLS-01"], "tls", "DBT0601")
            .url("postgresql://{role}:{password}@127.0.0.1:{port}/{db}?sslmode=require")
            .conf("ssl = off"),
        Case::new(&["TLS-02"], "admitted", "DBT0704")
            .url("postgresql://{role}:{password}@127.0.0.1:{port}/{db}?sslmode=disable")
            .hba("hostssl all all 127.0.0.1/32 scram-sha-256"),
        Case::new(&["TLS-03"], "admitted", "DBT0708")
            .url("postgresql://{role}:{password}@127.0.0.1:{port}/{db}?sslmode=require")
            .hba("hostnossl all all 127.0.0.1/32 scram-sha-256"),
        Case::new(&["TLS-04"], "authenticated", "DBT0801")
            .url("postgresql://{role}:{password}@127.0.0.1:{port}/{db}?sslmode=prefer")
            .hba("hostssl all all 127.0.0.1/32 scram-sha-256")
            .admin("ALTER ROLE {role} PASSWORD 'another'")
            .maybe(),
        certificate(Case::new(&["TLS-05"], "tls", "DBT0603").url(VERIFY), &["localhost"], -10, -1)
            .undo(back.clone())
            .not_cured("a new certificate has to be signed by the authority"),
        certificate(Case::new(&["TLS-06"], "tls", "DBT0605").url(VERIFY), &["db.example"], -1, 100).undo(back.clone()),
        certificate(Case::new(&["TLS-08"], "tls", "DBT0604").url(VERIFY), &["localhost"], 10, 100)
            .undo(back.clone())
            .not_cured("the clock of this machine is right"),
        Case::new(&["TLS-07"], "tls", "DBT0602")
            .url("postgresql://{role}:{password}@localhost:{port}/{db}?sslmode=verify-full&sslrootcert={other}"),
        Case::new(&["TLS-11"], "tls", "DBT0611")
            .url("postgresql://{role}:{password}@localhost:{port}/{db}?sslmode=verify-full&sslrootcert={copy}")
            .sh("cat /etc/passwd >{copy}"),
        Case::new(&["TLS-10"], "tls", "DBT0610").url(VERIFY).sh("chmod 600 {ca}").undo_sh("setfacl -b {ca}; chmod 644 {ca}"),
        Case::new(&["TLS-12"], "tls", "DBT0620")
            .url("postgresql://{role}:{password}@localhost:{port}/{db}?sslmode=prefer&sslrootcert={other}")
            .warning(),
        Case::new(&["TLS-13"], "tls", "DBT0602")
            .url("postgresql://{role}:{password}@localhost:{port}/{db}?sslmode=require&sslrootcert={other}"),
        Case::new(&["TLS-15"], "admitted", "DBT0709")
            .url("postgresql://{role}:{password}@localhost:{port}/{db}?sslmode=verify-full&sslrootcert={ca}")
            .hba("hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-full\nhostssl all all ::1/128 scram-sha-256 clientcert=verify-full")
            .maybe(),
        Case::new(&["TLS-16"], "admitted", "DBT0703")
            .url("postgresql://{role}:{password}@localhost:{port}/{db}?sslmode=verify-full&sslrootcert={ca}&sslcert={bob}&sslkey={bob_key}")
            .hba("hostssl all all all cert"),
        Case::new(&["TLS-16b"], "admitted", "DBT0703")
            .url("postgresql://{role}@localhost:{port}/{db}?sslmode=verify-full&sslrootcert={ca}&sslcert={bob}&sslkey={bob_key}")
            .hba("hostssl all all all cert"),
        Case::new(&["TLS-17"], "tls", "DBT0614")
            .url("postgresql://{role}:{password}@localhost:{port}/{db}?sslmode=verify-full&sslrootcert={ca}&sslcert={foreign}&sslkey={foreign_key}")
            .maybe(),
        Case::new(&["TLS-18"], "tls", "DBT0610")
            .url("postgresql://{role}:{password}@localhost:{port}/{db}?sslmode=verify-full&sslrootcert={ca}&sslcert={bob}&sslkey={private}"),
        Case::new(&["TLS-19"], "tls", "DBT0613")
            .url("postgresql://{role}:{password}@localhost:{port}/{db}?sslmode=verify-full&sslrootcert={ca}&sslcert={bob}&sslkey={key}")
            .sh("cat {alice_key} >{key}"),
        Case::new(&["TLS-20"], "tls", "DBT0612")
            .url("postgresql://{role}:{password}@localhost:{port}/{db}?sslmode=verify-full&sslrootcert={ca}&sslcert={bob}&sslkey={bob_key}")
            .sh("chmod 644 {bob_key}")
            .undo_sh("chmod 640 {bob_key}"),
        Case::new(&["TLS-22"], "tls", "DBT0624").url(
            "postgresql://{role}:{password}@localhost:{port}/{db}?sslmode=verify-full&sslrootcert={ca}&sslnegotiation=direct",
        ),
        Case::new(&["TLS-23"], "authenticated", "DBT0809")
            .url("postgresql://{role}:{password}@127.0.0.1:{port}/{db}?sslmode=require&channel_binding=require")
            .hba("host all all 127.0.0.1/32 password")
            .maybe(),
        // no client certificate is demanded: the ciphers of a key that the server does not have
        Case::new(&["TLS-24"], "tls", "DBT0618")
            .url("postgresql://{role}:{password}@localhost:{port}/{db}?sslmode=require")
            .make(|ground, case| {
                let lines = "ssl_max_protocol_version = 'TLSv1.2'\nssl_ciphers = 'ECDHE-RSA-AES128-GCM-SHA256'";
                ground.cluster.conf(&format!("{}\n{lines}", ground.fill(case, "{conf}")));
                ground.cluster.reload();
            })
            .maybe(),
        Case::new(&["TLS-21"], "tls", "DBT0617")
            .url("postgresql://{role}:{password}@localhost:{port}/{db}?sslmode=require&ssl_max_protocol_version=TLSv1.2")
            .make(|ground, case| {
                let conf = format!("{}\nssl_min_protocol_version = 'TLSv1.3'", ground.fill(case, "{conf}"));
                ground.cluster.conf(&conf);
                ground.cluster.reload();
            }),
    ]);
}
