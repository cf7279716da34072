//! Whoever may write an .htaccess is not whoever configures the server.

use std::fs;

use crate::support::{Database, Httpd, Kind, Mpm};

crate::on_each_mpm![a_handler_that_an_htaccess_sets_is_declined];

/// Each is a file that users may write, in a directory that everybody may read.
const WAYS: &[(&str, &str)] = &[
    ("plain", "SetHandler dbtest"),
    ("status", "SetHandler dbtest-status"),
    ("extension", "AddHandler dbtest .html"),
    ("files", "<Files \"*\">\nSetHandler dbtest\n</Files>"),
    ("condition", "<If \"true\">\nSetHandler dbtest\n</If>"),
    ("expression", "SetHandler \"%{tolower:DBTEST}\""),
    ("rule", "RewriteEngine On\nRewriteRule ^ - [H=dbtest]"),
    ("forced", "RewriteEngine On\nRewriteRule ^ - [E=h:dbtest]\nSetHandler \"%{reqenv:h}\""),
];

fn a_handler_that_an_htaccess_sets_is_declined(mpm: Mpm) {
    let database = Database::new(Kind::Sqlite);
    let httpd = Httpd::builder(mpm)
        .module("mime")
        .module("rewrite")
        // inherited by every request of the server, and so by those of the users' directories
        .conf("TypesConfig /dev/null")
        .conf(&database.directive())
        .location("/dbtest", "")
        .conf("<Location \"/all\">\nSetHandler dbtest-status\nRequire local\n</Location>")
        .conf("<Directory \"${ROOT}/htdocs\">\nAllowOverride FileInfo\nOptions FollowSymLinks\nRequire all granted\n</Directory>")
        .start();
    for (name, text) in WAYS {
        let dir = httpd.root().join("htdocs").join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("index.html"), "a user's file\n").unwrap();
        fs::write(dir.join(".htaccess"), format!("{text}\n")).unwrap();
        for path in ["index.html", "health", "check", "style.css"] {
            let reply = httpd.get(&format!("/{name}/{path}"));
            let text = String::from_utf8_lossy(&reply.body);
            assert!(!text.contains("<form") && !text.contains("database"), "{name}/{path}: {}\n{text}", reply.status);
        }
        httpd.post(&format!("/{name}/index.html"), &[("stuff", "a"), ("things", "b")]);
        httpd.get(&format!("/{name}/index.html")).expect(200).expect_text("a user's file");
    }
    assert_eq!(database.rows(), []);
    httpd.post("/dbtest/", &[("stuff", "a"), ("things", "b")]).expect(303);
    httpd.get("/all").expect(200);
    httpd.expect_log("plain/.htaccess:1");
    httpd.expect_log("the handler dbtest, given by AddHandler, a rewrite rule or another module");
    httpd.allow_log("is not a SetHandler of the server's own configuration");
    // said once by each child, however often it is asked for
    let said = httpd.log().matches("plain/.htaccess:1").count();
    assert!(said <= httpd.children().len(), "{said} lines");
    let _ = fs::write(httpd.root().join("htdocs/.htaccess"), "SetHandler dbtest\n");
    // the server's own section is merged behind the file
    httpd.get("/dbtest/").expect(200).expect_text("<form");
}
