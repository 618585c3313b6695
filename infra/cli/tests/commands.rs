//! Commands that only read fail if their directory is missing, and do not make it.

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_toktra"))
        .args(arguments)
        .arg(dir)
        .output()
        .unwrap()
}

#[test]
fn a_folder_that_is_not_there_is_an_error_and_none_is_made() {
    let parent = tempfile::tempdir().unwrap();
    let missing = parent.path().join("missing");
    let empty = parent.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let html = parent.path().join("html");
    let html_text = html.to_str().unwrap();
    for (arguments, said) in [
        (vec!["audit", "--data"], "there is no data in"),
        (vec!["mails", "--layout"], "there is no subject.txt"),
        (
            vec!["mails", "--html", html_text, "--layout"],
            "there is no subject.txt",
        ),
        (vec!["replay"], "cannot be read"),
    ] {
        for dir in [&missing, &empty] {
            let output = run(&arguments, dir);
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success(), "{arguments:?}: {error}");
            assert!(error.contains(said), "{arguments:?}: {error}");
            assert!(
                error.contains(dir.to_str().unwrap()),
                "{arguments:?}: {error}"
            );
        }
        assert!(!missing.exists() && !html.exists(), "{arguments:?}");
        assert_eq!(
            std::fs::read_dir(&empty).unwrap().count(),
            0,
            "{arguments:?}"
        );
    }
}
