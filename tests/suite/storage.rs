//! What lies below DocumentRoot where our URLs would be: it does not stand in our way, and what protects it protects us.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{Database, Httpd, Kind, Mpm};

#[test]
fn a_directory_of_the_same_name_stays_out_of_it() {
    let database = Database::new(Kind::Sqlite);
    let httpd = Httpd::builder(Mpm::Event)
        .module("dir")
        .module("negotiation")
        .conf("<Directory \"${ROOT}/htdocs\">\nOptions +MultiViews\n</Directory>")
        .location("/dbtest", &database.directive())
        .start();
    let below = httpd.root().join("htdocs/dbtest");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("index.html"), "not ours\n").unwrap();
    fs::write(below.join("check.html"), "not ours\n").unwrap();
    httpd.get("/dbtest/").expect(200).expect_text("<form");
    assert!(!httpd.get("/dbtest/check").text().contains("not ours"));
}

#[test]
fn a_document_root_that_cannot_be_searched_is_not_asked() {
    let database = Database::new(Kind::Sqlite);
    let httpd = Httpd::builder(Mpm::Event)
        .conf("<Directory \"/\">\nAllowOverride None\n</Directory>")
        .location("/dbtest", &database.directive())
        .start();
    fs::set_permissions(httpd.root().join("htdocs"), fs::Permissions::from_mode(0)).unwrap();
    httpd.get("/dbtest/").expect(200).expect_text("<form");
    // it is denied to all that is a file
    httpd.expect_log("AH00035");
    httpd.get("/index.html").expect(403);
}

#[test]
fn directory_sections_protect_a_location_that_has_no_require() {
    let database = Database::new(Kind::Sqlite);
    let location = |path| format!("<Location \"{path}\">\nSetHandler dbtest\n{}\n</Location>\n", database.directive());
    let (open, closed, missing) = (location("/open"), location("/closed"), location("/missing"));
    let httpd = Httpd::builder(Mpm::Event)
        .conf(&format!(
            "<Directory \"/\">\nRequire local\n</Directory>\n\
             <Directory \"${{ROOT}}/htdocs/closed\">\nRequire all denied\n</Directory>\n\
             <Directory \"${{ROOT}}/htdocs/missing\">\nRequire all denied\n</Directory>\n{open}{closed}{missing}"
        ))
        .start();
    fs::create_dir(httpd.root().join("htdocs/closed")).unwrap();
    httpd.get("/open/").expect(200);
    httpd.expect_log("DBT0196");
    httpd.expect_log("AH01630");
    for path in ["/closed/", "/closed/check", "/missing/"] {
        httpd.get(path).expect(403);
    }
}

#[test]
fn htaccess_protects_a_location_that_has_no_require() {
    let database = Database::new(Kind::Sqlite);
    let httpd = Httpd::builder(Mpm::Event)
        .conf(&format!(
            "<Directory \"${{ROOT}}/htdocs\">\nAllowOverride AuthConfig\nRequire local\n</Directory>\n\
             <Location \"/dbtest\">\nSetHandler dbtest\n{}\n</Location>",
            database.directive()
        ))
        .start();
    httpd.get("/dbtest/").expect(200);
    fs::write(httpd.root().join("htdocs/.htaccess"), "Require all denied\n").unwrap();
    httpd.expect_log("DBT0196");
    httpd.expect_log("AH01630");
    httpd.get("/dbtest/").expect(403);
}

#[test]
fn a_handler_that_is_not_ours_still_finds_its_file() {
    let database = Database::new(Kind::Sqlite);
    let handlers = [
        "<Location \"/index.html\">\nSetHandler default-handler\n</Location>",
        "<LocationMatch \"index\">\nSetHandler default-handler\n</LocationMatch>",
        "<If \"%{REQUEST_URI} =~ /index/\">\nSetHandler default-handler\n</If>",
        "<Location \"/\">\n<If \"%{REQUEST_URI} =~ /index/\">\nSetHandler default-handler\n</If>\n</Location>",
    ];
    for handler in handlers {
        let httpd = Httpd::builder(Mpm::Event).location("/", &database.directive()).conf(handler).start();
        assert_eq!(httpd.get("/index.html").expect(200).text(), "a static file\n", "{handler}");
        httpd.get("/").expect(200).expect_text("<form");
    }
}

#[test]
fn a_url_that_is_rewritten_to_a_file_is_that_file() {
    let database = Database::new(Kind::Sqlite);
    for rule in
        ["RewriteRule ^/dbtest/file$ /index.html [PT]", "RewriteRule ^/dbtest/file$ /index.html [PT,H=default-handler]"]
    {
        let httpd = Httpd::builder(Mpm::Event)
            .module("rewrite")
            .location("/dbtest", &database.directive())
            .conf(&format!("RewriteEngine On\n{rule}"))
            .start();
        assert_eq!(httpd.get("/dbtest/file").expect(200).text(), "a static file\n", "{rule}");
    }
}
