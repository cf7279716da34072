//! What is understood, what is refused and in which words, and that no message holds a password.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Host, HostPort, PgSettings, RootCert, SslMode, TargetSessionAttrs, keys, parse, recognises};
use crate::database::{ParseError, Secret, Setting};

fn read(text: &str) -> Result<PgSettings, ParseError> {
    parse(text, &Setting { state_dir: Path::new("/state"), password: None })
}

fn good(text: &str) -> PgSettings {
    read(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn at(host: &str, port: u16) -> HostPort {
    let host = match host {
        "" => Host::LocalSocket,
        dir if dir.starts_with('/') => Host::SocketDir(dir.into()),
        name => name.parse().map_or_else(|_| Host::Name(name.into()), Host::Address),
    };
    HostPort { host, hostaddr: None, port }
}

#[test]
fn hosts_in_every_syntax() {
    for (text, expected) in [
        ("postgresql://", vec![at("", 5432)]),
        ("postgresql:///db", vec![at("", 5432)]),
        ("postgresql://u@/db", vec![at("", 5432)]),
        ("postgresql://u:p@/db", vec![at("", 5432)]),
        ("postgresql://:5433/db", vec![at("", 5433)]),
        ("postgres://h", vec![at("h", 5432)]),
        ("POSTGRESQL://h", vec![at("h", 5432)]),
        ("postgresql+psycopg2://u:p@h:5433/db", vec![at("h", 5433)]),
        ("postgresql+asyncpg://u:p@h/db", vec![at("h", 5432)]),
        ("postgresql://h:5433?dbname=db", vec![at("h", 5433)]),
        ("postgresql://10.0.0.1/db", vec![at("10.0.0.1", 5432)]),
        ("postgresql://[::1]/db", vec![at("::1", 5432)]),
        ("postgresql://u@[2001:db8::1]:5433/db", vec![at("2001:db8::1", 5433)]),
        ("postgresql://a,b:5433,[::1]:5434/db", vec![at("a", 5432), at("b", 5433), at("::1", 5434)]),
        ("postgresql://%2Frun%2Fpg:5433/db", vec![at("/run/pg", 5433)]),
        ("postgresql:///db?host=/run/pg", vec![at("/run/pg", 5432)]),
        ("postgresql://u@/db?host=/run/pg&port=5433", vec![at("/run/pg", 5433)]),
        ("postgresql://u@:5433/db?host=/run/pg", vec![at("/run/pg", 5433)]),
        ("postgresql:///db?host=a,b&port=5433,5434", vec![at("a", 5433), at("b", 5434)]),
        ("postgresql+psycopg2:///db?host=a:5433&host=b:5434&host=c", vec![at("a", 5433), at("b", 5434), at("c", 5432)]),
        ("postgresql+psycopg2:///db?host=a:5433", vec![at("a", 5433)]),
        ("dbname=db", vec![at("", 5432)]),
        ("host='' dbname=db", vec![at("", 5432)]),
        ("host=/run/pg", vec![at("/run/pg", 5432)]),
        ("host=::1", vec![at("::1", 5432)]),
        ("host=a,b port=5433", vec![at("a", 5433), at("b", 5433)]),
        ("host=a,b port=,5433", vec![at("a", 5432), at("b", 5433)]),
        ("host=fe80::1%eth0", vec![at("fe80::1%eth0", 5432)]),
    ] {
        assert_eq!(good(text).hosts, expected, "{text}");
    }
}

#[test]
fn hostaddr_stands_beside_host_or_for_it() {
    let address: IpAddr = "10.0.0.1".parse().unwrap();
    let both = &good("host=db.example.com hostaddr=10.0.0.1").hosts[0];
    assert_eq!((&both.host, both.hostaddr), (&Host::Name("db.example.com".into()), Some(address)));
    let alone = &good("hostaddr=10.0.0.1").hosts[0];
    assert_eq!((&alone.host, alone.hostaddr), (&Host::Address(address), Some(address)));
}

#[test]
fn user_password_and_database() {
    for (text, user, password, dbname) in [
        ("postgresql://u:p@h/db", Some("u"), Some("p"), Some("db")),
        ("postgresql://u@h/db", Some("u"), None, Some("db")),
        ("postgresql://u:@h/db", Some("u"), None, Some("db")),
        ("postgresql://h", None, None, None),
        ("postgresql://a%40b:p%2Fs%25s%40x@h/d%20b", Some("a@b"), Some("p/s%s@x"), Some("d b")),
        ("postgresql://u:p:q@h/db", Some("u"), Some("p:q"), Some("db")),
        ("postgresql://u:p?q#r@h/db", Some("u"), Some("p?q#r"), Some("db")),
        ("postgresql+psycopg2://u:p/q@h/db", Some("u"), Some("p/q"), Some("db")),
        ("postgresql:///?user=u&password=p%26q&dbname=db", Some("u"), Some("p&q"), Some("db")),
        ("user=u password='my pass' dbname=db", Some("u"), Some("my pass"), Some("db")),
        ("user = u  password = 'it\\'s \\\\ here'\tdbname= db", Some("u"), Some("it's \\ here"), Some("db")),
        ("user=u password=a\\ b dbname=''", Some("u"), Some("a b"), None),
        ("password=a=b", None, Some("a=b"), None),
        ("password=ä user=jürgen", Some("jürgen"), Some("ä"), None),
    ] {
        let read = good(text);
        let found = (read.user.as_deref(), read.password.as_ref().map(Secret::reveal), read.dbname.as_deref());
        assert_eq!(found, (user, password, dbname), "{text}");
        assert_eq!(read.inline_password, password.is_some(), "{text}");
    }
}

#[test]
fn a_password_from_the_file_is_taken_and_is_not_inline() {
    let secret = Secret::new("from the file");
    let setting = Setting { state_dir: Path::new("/state"), password: Some(&secret) };
    let read = parse("postgresql://u@h/db", &setting).unwrap();
    assert_eq!((read.password, read.inline_password), (Some(secret.clone()), false));
    let error = parse("postgresql://u:p@h/db", &setting).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the password stands both here and in DBTestPasswordFile: take it out of DBTestDatabase"
    );
}

#[test]
fn every_key_that_is_honoured_reaches_its_field() {
    let read = good(
        "sslmode=verify-full host=h sslrootcert=/ca sslcert=/crt sslkey=/key sslpassword=x sslcrl=/crl sslcrldir=/crls \
         ssl_min_protocol_version=tlsv1.1 ssl_max_protocol_version=TLSv1.3 sslsni=0 sslnegotiation=direct \
         channel_binding=require require_auth=!md5,!password application_name=app fallback_application_name=fall options='-c a=b' \
         client_encoding=utf-8 connect_timeout=7 tcp_user_timeout=1500 keepalives=0 keepalives_idle=1 \
         keepalives_interval=2 keepalives_count=3 target_session_attrs=read-write load_balance_hosts=random \
         requirepeer=postgres gssencmode=disable",
    );
    let expected = PgSettings {
        hosts: vec![at("h", 5432)],
        sslmode: SslMode::VerifyFull,
        sslrootcert: Some(RootCert::File("/ca".into())),
        sslcert: Some("/crt".into()),
        sslkey: Some("/key".into()),
        sslpassword: Some(Secret::new("x")),
        sslcrl: Some("/crl".into()),
        sslcrldir: Some(PathBuf::from("/crls")),
        ssl_min_protocol_version: super::TlsVersion::V1_1,
        ssl_max_protocol_version: Some(super::TlsVersion::V1_3),
        sslsni: false,
        sslnegotiation: super::SslNegotiation::Direct,
        channel_binding: super::ChannelBinding::Require,
        require_auth: super::RequireAuth::parse("!md5,!password").unwrap(),
        application_name: Some("app".into()),
        fallback_application_name: Some("fall".into()),
        options: Some("-c a=b".into()),
        client_encoding: Some("UTF8".into()),
        connect_timeout: Some(Duration::from_secs(7)),
        tcp_user_timeout: Some(Duration::from_millis(1500)),
        keepalives: false,
        keepalives_idle: Some(Duration::from_secs(1)),
        keepalives_interval: Some(Duration::from_secs(2)),
        keepalives_count: Some(3),
        target_session_attrs: TargetSessionAttrs::ReadWrite,
        load_balance_hosts: true,
        requirepeer: Some("postgres".into()),
        gssencmode: super::GssEncMode::Disable,
        ..PgSettings::default()
    };
    assert_eq!(read, expected);
}

#[test]
fn libpq_settles_sslmode_by_the_root_certificate() {
    for (text, mode) in [
        ("host=h", SslMode::Prefer),
        ("host=h sslmode=require", SslMode::Require),
        ("host=h sslmode=require sslrootcert=/ca", SslMode::VerifyCa),
        ("host=h sslrootcert=/ca", SslMode::Prefer),
        ("host=h sslrootcert=system", SslMode::VerifyFull),
        ("postgresql://h/db?ssl=true", SslMode::Require),
        ("sslmode=verify-full", SslMode::VerifyFull),
    ] {
        assert_eq!(good(text).sslmode, mode, "{text}");
    }
}

#[test]
fn a_refused_key_that_says_what_holds_anyway_is_passed_over() {
    // What pg_basebackup -R of PostgreSQL 17 writes.
    good(
        "user=u channel_binding=prefer host=h port=5432 sslmode=prefer sslnegotiation=postgres sslcompression=0 \
         sslcertmode=allow sslsni=1 ssl_min_protocol_version=TLSv1.2 gssencmode=prefer krbsrvname=postgres \
         gssdelegation=0 target_session_attrs=any load_balance_hosts=disable",
    );
}

#[test]
fn sslcertmode_disable_sends_no_certificate() {
    let read = good("sslcertmode=disable sslcert=/crt sslkey=/key");
    assert_eq!((read.sslcert, read.sslkey), (None, None));
}

/// Text, and a part of the message that is expected. The word `SECRET` must never be in a message.
#[rustfmt::skip]
const WRONG: &[(&str, &str)] = &[
    // schemes
    ("jdbc:postgresql://h/db?user=u", "this is a JDBC URL"),
    ("pgsql://h/db", "\"pgsql://\" is not a scheme known here: write postgresql://"),
    ("postgresql:h/db", "\"//\" is missing after the scheme"),
    ("postgresql+://h/db", "no driver after the \"+\""),
    (" postgresql://h/db", "white space around the URL"),
    ("psql -h localhost dbname=db", "this is a psql command"),
    ("SQLALCHEMY_DATABASE_URI=postgresql://u:SECRET@h/db", "a name and \"=\" stand before the URL"),
    // userinfo
    ("postgresql://u:SEC@RET@h/db", "more than one \"@\" before the host: write an \"@\" in a user name or password as %40"),
    ("postgresql://u:SECRET/ss@h/db", "write a \"/\" in a user name or password as %2F"),
    ("postgresql://u:12/SECRET@h/db", "write a \"/\" in a user name or password as %2F"),
    ("postgresql://u:SECRET%ss@h/db", "\"%\" in the password is not a \"%\" and two hexadecimal digits: write a \"%\" itself as %25"),
    ("postgresql://u:SECRET%2@h/db", "\"%\" in the password"),
    ("postgresql://u:SECRET%00@h/db", "the password holds a control character, %00"),
    ("postgresql://u:SECRET%0A@h/db", "the password holds a control character, %0A"),
    ("postgresql://u:SECRET%FF@h/db", "the percent-encoded password is not UTF-8"),
    ("postgresql://u:SE@CRET/SECRET@h/d", "an \"@\" after the first \"/\" or \"?\": write \"@\", \"/\" and \"?\""),
    ("postgresql://u:SE@CRET?SECRET@h/d", "an \"@\" after the first \"/\" or \"?\""),
    ("postgresql://u:SECRET/db", "if it is the password, \"@HOST\" is missing"),
    ("postgresql://u:SECRET", "if it is the password, \"@HOST\" is missing"),
    // hosts and ports
    ("postgresql://u@h:74x32/db", "the port \"74x32\" is not a number"),
    ("postgresql://u@h:74320/db", "port 74320 is out of range: a port is 1 to 65535"),
    ("host=h port=0", "port 0 is out of range"),
    ("host=h port=-1", "port -1 is out of range"),
    ("host=h port=74x32", "port \"74x32\" is not a number"),
    ("host=h port=5432,5433", "port names 2, host names 1"),
    ("host=a,b hostaddr=10.0.0.1", "host names 2, hostaddr names 1"),
    ("host=a,,b", "a host in the list is empty"),
    ("hostaddr=db.example.com", "hostaddr \"db.example.com\" is not an IP address: write a name as host=NAME"),
    ("host=localhost:7432", "the host \"localhost:7432\" holds a port: write host=localhost port=7432"),
    ("host='localhost '", "white space in the host \"localhost \": write \"localhost\""),
    ("postgresql://local%20host/db", "white space in the host"),
    ("host=http://localhost", "the host is a URL: write only the name of the machine"),
    ("host=localhost/db", "a \"/\" in the host"),
    ("host=[::1]", "an IPv6 address stands in brackets in a URL only"),
    ("postgresql://::1/db", "put an IPv6 address in brackets"),
    ("postgresql://[::1/db", "\"[\" without \"]\""),
    ("postgresql://[::1]5432/db", "after \"]\" only a colon and a port"),
    ("host=/run/pg/.s.PGSQL.5433", "the host is the socket itself: write its directory and its port: host=/run/pg port=5433"),
    ("host=SECRET@h", "an \"@\" in the host"),
    ("host=@abstract", "a socket in the abstract namespace"),
    ("host=dätenbank", "letters that DNS has not: write its ASCII form"),
    ("host=a!b", "a \"!\" in the host"),
    ("postgresql://h/db?host=/run/pg", "the host is given twice"),
    // what httpd leaves behind
    ("postgresql://u:${PGPASS}@h/db", "the variable ${PGPASS} is not defined: write \"Define PGPASS VALUE\" before it"),
    ("host=h password=SECRET\r", "a carriage return, as in a file with Windows line ends"),
    ("host=h\u{7}", "a control character (U+0007) as character 7"),
    ("postgresql://h/db\n", "a control character (U+000A)"),
    // connection strings
    ("host=h password=my SECRET dbname=d", "after the value of \"password\" stands a word without \"=\": if it belongs to the value, put the value in single quotes: password='"),
    ("host=h password=my SEC=RET dbname=d", "what follows the password is not a connection parameter"),
    ("host= dbname=db", "\"host\" has no value: write host=''"),
    ("host=h dbname", "\"dbname\" has no value"),
    ("host=h =x", "a \"=\" without a parameter before it"),
    ("localhost dbname=d", "does not begin with key=value"),
    ("host=h password='SECRET", "the quoted value of \"password\" does not end"),
    ("host=h host=i", "\"host\" is given twice"),
    ("host=h password=SECRET password=SECRET2", "\"password\" is given twice"),
    // queries
    ("postgresql://h/db?sslmode", "the parameter \"sslmode\" has no \"=\""),
    ("postgresql://h/db?password=a&SECRET", "after the password stands a word without \"=\""),
    ("postgresql://h/db?user=a=b", "a second \"=\" in the parameter \"user\""),
    ("postgresql://h/db?user=%zz", "\"%\" in the value of a parameter"),
    ("postgresql://h/%zzyx", "\"%zz\" in the database name is not a \"%\" and two hexadecimal digits"),
    ("postgresql://h/%2", "\"%2\" in the database name"),
    // keys
    ("databse=x", "there is no connection parameter \"databse\": did you mean \"dbname\"?"),
    ("hots=x", "did you mean \"host\"?"),
    ("Host=x", "did you mean \"host\"?"),
    ("username=x", "did you mean \"user\"?"),
    ("passwrod=SECRET", "did you mean \"password\"?"),
    ("zebra=x", "there is no connection parameter \"zebra\": docs/directives.md lists"),
    ("postgresql://h/db?pool_size=5", "\"pool_size\" belongs to another program's connection pool: leave it out and write DBTestConnections"),
    ("CONN_MAX_AGE=60", "is one of Django's settings"),
    ("postgresql://h/db?ssl=require", "\"ssl\" belongs to another driver: write sslmode=require"),
    ("postgresql://h/db?charset=utf8", "everything is UTF-8"),
    ("postgresql://h/db?currentSchema=app", "write the schema in DBTestTable"),
    ("passfile=/x", "\"passfile\" is not supported: its format serves many databases at once: write DBTestPasswordFile"),
    ("service=x", "\"service\" is not supported"),
    ("krbsrvname=pg", "no GSSAPI"),
    ("gssencmode=require", "gssencmode=require cannot be met: this module has no GSSAPI"),
    ("sslcompression=1", "TLS compression is unsafe"),
    ("replication=database", "a replication connection cannot read a table"),
    ("requiressl=1", "write sslmode=require"),
    ("require_auth=scram-sha256", "did you mean \"scram-sha-256\"?"),
    ("client_encoding=latin1", "the pages are UTF-8"),
    ("scram_client_key=SECRET", "a password's equal"),
    ("oauth_client_secret=SECRET", "nobody who could log in"),
    // values
    ("sslmode=requird", "sslmode cannot be \"requird\": did you mean \"require\"?"),
    ("sslmode=yes", "write one of disable, allow, prefer, require, verify-ca, verify-full"),
    ("sslmode=", "sslmode cannot be \"\""),
    ("target_session_attrs=readwrite", "did you mean \"read-write\"?"),
    ("connect_timeout=3s", "connect_timeout=3s is not a whole number"),
    ("sslsni=on", "sslsni cannot be \"on\": write 0 or 1"),
    ("ssl_min_protocol_version=1.2", "write one of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"),
    ("sslrootcert=ca.crt", "sslrootcert=\"ca.crt\" is not an absolute path"),
    ("sslrootcert=~/ca.crt", "is not an absolute path"),
    ("sslkey=pkcs11:foo sslcert=/x", "an OpenSSL engine"),
    ("sslcertmode=require", "sslcertmode=require cannot be used"),
    // contradictions
    ("host=h sslmode=verify-full", "sslmode=verify-full needs a root certificate to verify against: write sslrootcert="),
    ("host=h sslmode=verify-ca", "sslmode=verify-ca needs a root certificate"),
    ("hostaddr=10.0.0.1 sslmode=verify-full sslrootcert=/ca", "compares the certificate with a host, and none is given"),
    ("host=h sslmode=require sslrootcert=system", "sslrootcert=system cannot be used with sslmode=require"),
    ("host=h sslnegotiation=direct", "sslnegotiation=direct cannot be used with sslmode=prefer"),
    ("host=h channel_binding=require sslmode=disable", "channel_binding=require needs TLS"),
    ("host=/run/pg channel_binding=require", "cannot be met over a socket"),
    ("sslcert=/x", "sslcert is given without sslkey"),
    ("sslkey=/x", "sslkey is given without sslcert"),
    ("ssl_max_protocol_version=TLSv1.1", "ssl_max_protocol_version=TLSv1.1 is below the least allowed, TLSv1.2"),
];

#[test]
fn mistakes_are_named_and_no_secret_with_them() {
    for (text, expected) in WRONG {
        let message = match read(text) {
            Ok(_) => panic!("{text} was accepted"),
            Err(error) => error.to_string(),
        };
        assert!(message.contains(expected), "{text}\n  says     {message}\n  expected {expected}");
        assert!(!message.contains("SECRET"), "{text}: {message}");
        assert!(!message.contains("RET@") && !message.contains("SEC"), "{text}: {message}");
        assert!(!message.contains(['\n', '\r']), "{text}: {message}");
    }
}

#[test]
fn masked_urls_hold_no_secret_and_read_back_to_the_same() {
    for text in [
        "postgresql://u:SECRET@h:5433/db?sslmode=require",
        "postgresql+psycopg2://u@/db",
        "postgresql://a%40b@a,b:5433,[::1]:5434/d%2Fb?target_session_attrs=read-write&load_balance_hosts=random",
        "host=/run/pg port=5433 user=u dbname=db",
        "host=/run/pg,h user=u dbname=db options='-c search_path=a,b -c x=\"y z\"'",
        "host=h hostaddr=10.0.0.1 sslmode=verify-full sslrootcert=/ca sslcert=/c sslkey=/k sslpassword=SECRET",
        "hostaddr=10.0.0.1 sslcrl=/a sslcrldir=/b sslsni=0 keepalives=0 keepalives_idle=4 tcp_user_timeout=7",
        "host=h ssl_min_protocol_version=TLSv1 ssl_max_protocol_version=TLSv1.3 gssencmode=disable requirepeer=x",
        "",
    ] {
        let settings = good(text);
        let masked = settings.masked();
        assert!(!masked.contains("SECRET"), "{masked}");
        let again = good(&masked);
        let mask = |mut settings: PgSettings| {
            let hide = |secret: &mut Option<Secret>| *secret = secret.as_ref().map(|_| Secret::new("***"));
            hide(&mut settings.password);
            hide(&mut settings.sslpassword);
            for host in &mut settings.hosts {
                host.hostaddr = host.hostaddr.filter(|address| host.host != Host::Address(*address));
            }
            settings
        };
        assert_eq!(mask(again), mask(settings), "{text} became {masked}");
    }
    assert_eq!(good("postgresql://u:SECRET@h/db").masked(), "postgresql://u:***@h/db");
    assert_eq!(good("host=/run/pg user=u dbname=db").masked(), "postgresql://u@/db?host=/run/pg");
}

#[test]
fn debug_masks_the_secrets() {
    let text = format!("{:?}", good("host=h password=SECRET sslcert=/c sslkey=/k sslpassword=SECRET"));
    assert!(!text.contains("SECRET"), "{text}");
}

#[test]
fn placeholders_are_suspected_and_plain_values_are_not() {
    for (text, expected) in [
        (
            "postgresql://user:password@localhost/dbname",
            vec!["user name \"user\"", "password", "database name \"dbname\""],
        ),
        ("postgresql://app:<PASSWORD>@localhost/app", vec!["the password looks like"]),
        ("postgresql://app:%5BYOUR-PASSWORD%5D@localhost/app", vec!["the password looks like"]),
        ("postgresql://app:your_password@host/app", vec!["the password looks like", "the host \"host\""]),
        ("host=localhost password='x '", vec!["begins or ends with white space"]),
        ("host=/run/pg sslmode=require", vec!["no effect on a local socket"]),
        ("host=h requirepeer=postgres", vec!["requirepeer has no effect over TCP"]),
        ("postgresql://flasktest:test12345@localhost/flasktestdb", vec![]),
        ("postgresql://postgres@/postgres", vec![]),
    ] {
        let found = good(text).suspicions();
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
        for (message, part) in found.iter().zip(expected) {
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}

#[test]
fn texts_of_other_products_are_not_ours() {
    for (text, ours) in [
        ("postgresql://h/db", true),
        ("Postgres://h/db", true),
        ("postgresql+psycopg2://h/db", true),
        ("postgresql:h/db", true),
        ("jdbc:postgresql://h/db?user=u", true),
        ("host=h dbname=db", true),
        ("host=h password=mysql://x", true),
        ("mysql://u:p@h/db?charset=utf8", false),
        ("sqlite:/x", false),
        ("/var/lib/db", false),
        ("", false),
    ] {
        assert_eq!(recognises(text), ours, "{text}");
    }
}

#[test]
fn every_key_stands_once_in_the_table() {
    for (i, key) in keys::KEYS.iter().enumerate() {
        assert!(keys::KEYS[..i].iter().all(|earlier| earlier.name != key.name), "{}", key.name);
    }
}

/// Of libpq 18, src/interfaces/libpq/fe-connect.c, PQconninfoOptions, with those that were documented earlier.
#[rustfmt::skip]
const LIBPQ: &[&str] = &[
    "service", "servicefile", "user", "password", "passfile", "channel_binding", "connect_timeout", "dbname", "host",
    "hostaddr", "port", "client_encoding", "options", "application_name", "fallback_application_name", "keepalives",
    "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "sslmode", "sslnegotiation",
    "sslcompression", "sslcert", "sslkey", "sslcertmode", "sslpassword", "sslrootcert", "sslcrl", "sslcrldir",
    "sslsni", "sslkeylogfile", "requirepeer", "require_auth", "min_protocol_version", "max_protocol_version",
    "ssl_min_protocol_version", "ssl_max_protocol_version", "gssencmode", "krbsrvname", "gsslib", "gssdelegation",
    "replication", "target_session_attrs", "load_balance_hosts", "scram_client_key", "scram_server_key",
    "oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope", "requiressl",
];

#[test]
fn every_parameter_of_libpq_is_in_the_table() {
    for name in LIBPQ {
        assert!(keys::is_known(name), "{name}");
    }
    assert_eq!(keys::KEYS.len(), LIBPQ.len());
}

#[test]
fn the_reference_tells_what_becomes_of_every_parameter() {
    let document = include_str!("../../../../docs/directives.md");
    let mut last = 0;
    for key in keys::KEYS {
        let row = match &key.fate {
            keys::Fate::Honoured(_) => format!("| `{}` | honoured | ", key.name),
            keys::Fate::Refused { reason, instead, .. } => {
                format!("| `{}` | refused | {reason}: {instead} |", key.name)
            }
        };
        let at = document.find(&row).unwrap_or_else(|| panic!("docs/directives.md lacks the row\n{row}"));
        assert!(at > last, "docs/directives.md: {} is not in the order of the table", key.name);
        last = at;
    }
}
