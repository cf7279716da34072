//! The error log of a test's server. Whatever a test did not say it expects, fails it.

use std::fs;
use std::path::Path;

/// Levels that a healthy server does not reach.
const LEVELS: [&str; 5] = [":warn]", ":error]", ":crit]", ":alert]", ":emerg]"];

/// Lines that must not be there: of level warn or worse, of a child that died, and such as no httpd writes (a panic's,
/// the C library's), but for those that hold one of the texts in `declared`.
pub fn surprises(path: &Path, declared: &[String]) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    let log = String::from_utf8_lossy(&bytes);
    log.lines()
        .filter(|line| is_bad(line))
        .filter(|line| !declared.iter().any(|text| line.contains(text.as_str())))
        .map(str::to_owned)
        .collect()
}

fn is_bad(line: &str) -> bool {
    // "[Sat Nov 28 00:00:00.000000 2026] [core:warn] [pid 1:tid 2] …": the visitor's own bytes come later
    let module_and_level = line.split("] ").nth(1).map(|text| format!("{text}]")).unwrap_or_default();
    let foreign = !line.is_empty() && !line.starts_with('[');
    foreign || LEVELS.iter().any(|level| module_and_level.ends_with(level)) || line.contains("exit signal")
}

#[test]
fn a_bad_line_is_told_from_a_good_one() {
    let line =
        |level: &str| format!("[Sat Nov 28 00:00:00.000000 2026] [dbtest:{level}] [pid 1:tid 2] AH0: text :error]");
    assert!(is_bad(&line("warn")));
    assert!(is_bad(&line("emerg")));
    assert!(!is_bad(&line("info")));
    assert!(is_bad("thread 'main' panicked at src/lib.rs"));
    assert!(is_bad(&line("notice").replace("text", "child pid 7 exit signal Segmentation fault (11)")));
}
