//! Several databases in one server, and settings that are inherited and overridden on their way to a Location.

use crate::support::{Database, Httpd, Kind, Mpm, client, configtest};

crate::on_each_mpm![each_location_has_its_own_database, settings_merge_field_by_field];

fn each_location_has_its_own_database(mpm: Mpm) {
    let (file, other_file) = (Database::new(Kind::Sqlite), Database::new(Kind::Sqlite));
    let (server, other_server) = (Database::new(Kind::Postgresql), Database::new(Kind::Postgresql));
    let all = [("/file", &file), ("/file/below", &other_file), ("/server", &server), ("/other-server", &other_server)];
    let mut builder = Httpd::builder(mpm);
    for (path, database) in all {
        builder = builder.location(path, &database.directive());
    }
    let httpd = builder.start();
    for (path, _) in all {
        httpd.post(&format!("{path}/"), &[("stuff", path), ("things", "x")]).expect(303);
    }
    for (path, database) in all {
        assert_eq!(database.rows(), [(1, path.to_owned(), "x".to_owned())]);
        let rows = httpd.get_json(&format!("{path}/")).expect(200).json()["rows"].clone();
        assert_eq!(rows, serde_json::json!([{"id": 1, "stuff": path, "things": "x"}]));
    }
    // side by side
    let httpd_status = httpd.get("/file/below/check");
    assert_ne!(httpd_status.status, 404, "a Location below another is a page of its own");
}

fn settings_merge_field_by_field(mpm: Mpm) {
    let (main, special) = (Database::new(Kind::Sqlite), Database::new(Kind::Postgresql));
    main.fill(30);
    special.fill(30);
    // every directive is inherited on its own: vhost over main server, Location over vhost, inner over outer
    let conf = format!(
        "DBTestDatabase \"{}\"\nDBTestPageSize 7\nDBTestReadOnly On\n\
         <Location \"/dbtest\">\nSetHandler dbtest\nRequire local\n</Location>\n\
         <VirtualHost 127.0.0.1:${{PORT}}>\nServerName plain.example\n</VirtualHost>\n\
         <VirtualHost 127.0.0.1:${{PORT}}>\nServerName special.example\n{}\nDBTestPageSize 3\n\
         <Location \"/dbtest/inner\">\nSetHandler dbtest\nRequire local\nDBTestPageSize 2\nDBTestReadOnly Off\n</Location>\n\
         </VirtualHost>\n",
        main.url(),
        special.directive()
    );
    let httpd = Httpd::builder(mpm).conf(&conf).start();
    let look = |host: &str, path: &str| {
        let reply =
            httpd.request("GET", path, &[("Host", host), ("Accept", "application/json")], b"").expect(200).json();
        let product = reply["database"]["product"].as_str().unwrap_or_default().to_owned();
        (product, reply["rows"].as_array().unwrap().len(), reply["read_only"].as_bool().unwrap())
    };
    assert_eq!(look("plain.example", "/dbtest/"), ("SQLite".to_owned(), 7, true));
    assert_eq!(look("special.example", "/dbtest/"), ("PostgreSQL".to_owned(), 3, true));
    assert_eq!(look("special.example", "/dbtest/inner/"), ("PostgreSQL".to_owned(), 2, false));
    let body = client::form(&[("stuff", "inner"), ("things", "x")]);
    let headers = [("Host", "special.example"), ("Content-Type", "application/x-www-form-urlencoded")];
    httpd.request("POST", "/dbtest/inner/", &headers, body.as_bytes()).expect(303);
    assert_eq!((main.rows().len(), special.rows().len()), (30, 31));
}

#[test]
fn a_table_of_another_schema_is_served() {
    let database = Database::without_table(Kind::Postgresql);
    database.run("CREATE SCHEMA \"Odd\"; CREATE TABLE \"Odd\".\"Stuff\" (id serial PRIMARY KEY, stuff varchar(255) NOT NULL, things text NOT NULL)");
    let directives = format!("{}\nDBTestTable Odd.Stuff", database.directive());
    let httpd = Httpd::builder(Mpm::Event).location("/dbtest", &directives).start();
    httpd.post("/dbtest/", &[("stuff", "a"), ("things", "odd place")]).expect(303);
    httpd.get("/dbtest/").expect(200).expect_text("odd place");
}

#[test]
fn a_location_match_and_the_root_are_locations_too() {
    let database = Database::new(Kind::Sqlite);
    let httpd = Httpd::builder(Mpm::Event)
        .conf(&format!("{}\n<Location \"/\">\nSetHandler dbtest\nRequire local\n</Location>", database.directive()))
        .start();
    // the tests' own server says DBTestDetail there
    httpd.allow_log("DBT0186");
    httpd.get("/").expect(200).expect_text("<form");
    let made = httpd.post("/", &[("stuff", "root"), ("things", "x")]).expect(303);
    httpd.get(made.header("location").unwrap()).expect(200).expect_text("root");
}

#[test]
fn a_location_may_be_a_pattern() {
    let database = Database::new(Kind::Sqlite);
    let httpd = Httpd::builder(Mpm::Event)
        .conf(&format!(
            "<LocationMatch \"^/(one|two)/dbtest\">\nSetHandler dbtest\nRequire local\n{}\n</LocationMatch>",
            database.directive()
        ))
        .start();
    for place in ["one", "two"] {
        let made = httpd.post(&format!("/{place}/dbtest/"), &[("stuff", place), ("things", "x")]).expect(303);
        let target = made.header("location").expect("where to go");
        assert!(target.starts_with(&format!("/{place}/dbtest/?")), "{target}");
        httpd.get(target).expect(200).expect_text(place);
        httpd.get(&format!("/{place}/dbtest/check")).expect(200);
    }
    httpd.get("/three/dbtest/").expect(404);
    // neither spelling is taken for open to everybody, which the log would say
    let conf = "<Location ~ \"^/three$\">\nSetHandler dbtest\nRequire local\n</Location>";
    assert!(!configtest(conf, &[]).outcome().output.contains("dbtest:"));
    let open = conf.replace("Require local", "");
    assert!(configtest(&open, &[]).outcome().output.contains("everybody"));
}

#[test]
fn every_place_is_shown_side_by_side() {
    let (file, server) = (Database::new(Kind::Sqlite), Database::new(Kind::Postgresql));
    let httpd = Httpd::builder(Mpm::Event)
        .location("/production", &server.directive())
        .location("/development", &file.directive())
        .conf("<Location \"/dbtest-status\">\nSetHandler dbtest-status\nRequire local\n</Location>")
        .start();
    httpd.get("/dbtest-status").expect(200).expect_text("/production").expect_text("/development");
    let json = httpd.get_json("/dbtest-status").expect(200).json();
    assert!(json.to_string().contains("/production") && json.to_string().contains("/development"), "{json}");
}
