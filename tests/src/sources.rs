//! The files of the project, for tests that read them.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the project.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The path and the text of every Rust file below these folders of the project. The paths are
/// relative to the project and `prefix`, as the folders are to `prefix`.
pub fn relative_sources(prefix: &str, folders: &[&str]) -> Vec<(String, String)> {
    let base = root().join(prefix);
    let mut left: Vec<_> = folders.iter().map(|folder| base.join(folder)).collect();
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(path).unwrap();
            left.extend(entries.map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let relative = path.strip_prefix(&base).unwrap();
            found.push((relative.to_str().unwrap().to_owned(), text));
        }
    }
    assert!(!found.is_empty(), "{folders:?}");
    found
}
