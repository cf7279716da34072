//! Loading and unloading, and what the module does to the server around it.

use crate::support::{Httpd, Mpm};

crate::on_each_mpm![loads];

fn loads(mpm: Mpm) {
    let httpd = Httpd::builder(mpm).start();
    httpd.get("/index.html").expect(200).expect_text("a static file");
}
