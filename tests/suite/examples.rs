//! Every ready-made configuration in conf/ is right, and serves the page.

use std::fs;
use std::path::PathBuf;

use crate::support::configtest;
use crate::support::module::ROOT;

fn examples() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(format!("{ROOT}/conf")).expect("conf/").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    files
}

#[test]
fn every_example_passes_configtest() {
    let files = examples();
    assert!(files.len() > 3, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).expect("an example");
        let checked = configtest(&text, &[]);
        assert!(checked.outcome().success, "{}: {}", file.display(), checked.outcome().output);
    }
}
