//! target/faults.tsv: id of the fault, whether it was named rightly, whether its printed fix cured it, whether the page
//! was then answered by each child, how many of its fixes were sure.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Notes one fault. `cured` is "yes" or "not-run-here: reason". Faults whose test fails leave "no" behind.
pub fn note(ids: &[&str], named: bool, cured: &str) {
    write(ids, named, cured, false, 0);
}

fn write(ids: &[&str], named: bool, cured: &str, proved: bool, sure: usize) {
    let word = |yes: bool| if yes { "yes" } else { "no" };
    let (named, proved) = (word(named), word(proved));
    let text: String = ids.iter().map(|id| format!("{id}\t{named}\t{cured}\t{proved}\t{sure}\n")).collect();
    // one write, since tests run at the same time
    file().write_all(text.as_bytes()).expect("target/faults.tsv");
}

fn file() -> &'static File {
    static FILE: OnceLock<File> = OnceLock::new();
    FILE.get_or_init(|| {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
        let path = target.join("faults.tsv");
        // a run begins anew, but for what the unit tests noted just before
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let kept: String =
            text.lines().filter(|line| line.ends_with("fixture")).map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, kept).expect("target/faults.tsv");
        OpenOptions::new().append(true).open(path).expect("target/faults.tsv")
    })
}

/// Notes "no" unless told otherwise before it goes: for a test that panics.
pub struct Verdict<'a> {
    ids: &'a [&'a str],
    named: bool,
    proved: bool,
    sure: usize,
    done: bool,
}

impl<'a> Verdict<'a> {
    pub fn of(ids: &'a [&'a str]) -> Self {
        Self { ids, named: false, proved: false, sure: 0, done: false }
    }

    pub fn named(&mut self) {
        self.named = true;
    }

    /// After the cure, each child answered the page.
    pub fn proved(&mut self) {
        self.proved = true;
    }

    /// How many of its fixes were sure.
    pub fn sure(&mut self, fixes: usize) {
        self.sure = fixes;
    }

    pub fn cured(mut self, cured: &str) {
        self.done = true;
        write(self.ids, self.named, cured, self.proved, self.sure);
    }
}

impl Drop for Verdict<'_> {
    fn drop(&mut self) {
        if !self.done {
            write(self.ids, self.named, "no", self.proved, self.sure);
        }
    }
}
