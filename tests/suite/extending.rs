//! The examples of docs/extending.md, applied to a copy of the house as that page says, built, and served.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::module::{ROOT, module};
use crate::support::{Httpd, Mpm};

#[test]
fn the_examples_of_the_manual_work_as_they_stand() {
    let manual = fs::read_to_string(format!("{ROOT}/docs/extending.md")).expect("docs/extending.md");
    let blocks: Vec<&str> =
        manual.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect();
    let [page, route, field, kinds, database] = blocks[..] else { panic!("{} examples", blocks.len()) };
    let copy = tempfile::tempdir().expect("a directory");
    let run = |command: &mut Command| {
        let output = command.output().expect("to run");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(Command::new("cp")
        .arg("-R")
        .args(["src", "Cargo.toml", "Cargo.lock", "build.rs", "askama.toml"])
        .arg(copy.path())
        .current_dir(ROOT));
    let house = House(copy.path());

    house.write("src/app/newest.rs", page);
    house.change("src/app/mod.rs", "mod negotiate;\n", "mod negotiate;\nmod newest;\n");
    house.change("src/app/routes.rs", " list, ", " list, newest, ");
    house.change(
        "src/app/routes.rs",
        "    Route { path: \"/health\"",
        &format!("{route}    Route {{ path: \"/health\""),
    );

    let line = house.line("src/app/stuff.rs", "name: \"things\"");
    house.change("src/app/stuff.rs", &line, field);

    house.write("src/database/memory.rs", database);
    house.change("src/database/mod.rs", "mod error;\n", "mod error;\nmod memory;\n");
    let line = house.line("src/database/mod.rs", "pub static KINDS");
    house.change("src/database/mod.rs", &line, kinds);

    // beside the module under test, so that all it depends on is built already; under another name, so as not to replace it
    house.change("Cargo.toml", "[lib]\n", "[lib]\nname = \"extended\"\n");
    let target = module().ancestors().nth(3).expect("target");
    run(Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--lib", "--target-dir"])
        .arg(target)
        .current_dir(copy.path()));
    serve(&target.join("debug/libextended.so"));
}

/// The page, the field and the database of the examples, in one server.
fn serve(library: &Path) {
    let httpd = Httpd::builder(Mpm::Event)
        .library(library)
        // a child has its own memory
        .mpm_conf("StartServers 1\nServerLimit 1\nThreadsPerChild 8\nMaxRequestWorkers 8\nMinSpareThreads 1")
        .location("/dbtest", "DBTestDatabase memory:")
        .start();
    let long = "x".repeat(2_001);
    httpd.post("/dbtest/", &[("stuff", "a"), ("things", &long)]).expect(422).expect_text("At most 2000 characters");
    for count in 1..=25 {
        let stuff = format!("number {count}");
        httpd.post("/dbtest/", &[("stuff", stuff.as_str()), ("things", "x")]).expect(303);
    }
    httpd.get("/dbtest/").expect(200).expect_text("number 25").expect_text("number 6<").expect_no_text("number 5<");
    assert_eq!(httpd.get("/dbtest/newest").expect(200).text(), "25\tnumber 25\n");
    httpd.request("DELETE", "/dbtest/newest", &[], b"").expect(405);
    httpd.get("/dbtest/check").expect(200).expect_text("memory:");
}

/// A copy of the sources.
struct House<'a>(&'a Path);

impl House<'_> {
    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).expect(file)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).expect(file);
    }

    /// The first line that holds this text, with its end.
    fn line(&self, file: &str, text: &str) -> String {
        let source = self.read(file);
        let line = source.lines().find(|line| line.contains(text));
        format!("{}\n", line.unwrap_or_else(|| panic!("no {text} in {file}")))
    }

    fn change(&self, file: &str, from: &str, to: &str) {
        let source = self.read(file);
        assert!(source.contains(from), "no {from:?} in {file}: docs/extending.md speaks of it");
        self.write(file, &source.replacen(from, to, 1));
    }
}
