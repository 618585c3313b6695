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

#[test]
fn the_price_book_passes_its_check_and_a_wrong_price_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list.tsv");
    let check = |price: &str| {
        let line = format!("openai\tgpt-4o\texact\tgpt-4o\tinput=1000000\t{price}\n");
        std::fs::write(&list, line).unwrap();
        let output = run(&["prices", "check"], &list);
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.success(), said)
    };
    let (is_right, said) = check("2.5");
    assert!(is_right && !said.contains("wrong:"), "{said}");
    // What the table does not price says why, and the counts add up.
    let line = |name: &str| said.lines().find(|line| line.starts_with(name)).unwrap();
    let of_table: Vec<&str> = line("table").split_whitespace().collect();
    assert_eq!(of_table[2..], ["0", "643", "0"], "{said}");
    let reasons = said
        .lines()
        .skip_while(|line| !line.starts_with("names of the table"));
    let counts = reasons
        .skip(1)
        .map(|line| line.trim().split_once("  ").unwrap().0);
    let counts: Vec<usize> = counts.map(|count| count.parse().unwrap()).collect();
    assert_eq!(
        (counts.len(), counts.iter().sum::<usize>()),
        (7, 643),
        "{said}"
    );
    let (is_right, said) = check("2.6");
    assert!(
        !is_right && said.contains("wrong: openai gpt-4o: found"),
        "{said}"
    );
}

#[test]
fn a_newer_list_of_prices_becomes_a_table_once() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list.json");
    let prices = r#"{"gpt-4o": {"litellm_provider": "openai", "mode": "chat",
        "input_cost_per_token": 5e-06, "output_cost_per_token": 1e-05}}"#;
    std::fs::write(&list, prices).unwrap();
    let into = dir.path().to_str().unwrap();
    let import = || {
        run(
            &["prices", "import", "--version", "2027-01", "--into", into],
            &list,
        )
    };
    let first = import();
    let said = String::from_utf8(first.stdout).unwrap();
    assert!(first.status.success(), "{said}");
    let change = "openai gpt-4o: default cached from $1.25 to $5 per million (300 %)";
    assert!(said.contains(change), "{said}");
    let table = std::fs::read_to_string(dir.path().join("prices-2027-01.tsv")).unwrap();
    assert!(table.contains("effective_from\t2027-01-01\n"), "{table}");
    assert!(
        table.contains("\nopenai\tgpt-4o\tchat\t\t\tinput=5 output=10\n"),
        "{table}"
    );
    let second = import();
    let error = String::from_utf8(second.stderr).unwrap();
    assert!(
        !second.status.success() && error.contains("is there"),
        "{error}"
    );
}

#[test]
fn a_runaway_loop_passes_five_calls_although_the_system_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(&["bench", "runaway", "--levels", "2", "--data"], dir.path());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    for level in 1..=2 {
        let line = format!("cap at level {level}:");
        let line = said.lines().find(|said| said.starts_with(&line)).unwrap();
        assert!(
            line.contains("5 in all (as it must be), held $0.9"),
            "{said}"
        );
    }
}

#[test]
fn postgresql_that_is_not_where_it_should_be_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(&["bench", "--quick", "--postgres"], dir.path());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        error.contains("there is no initdb and no postgres in"),
        "{error}"
    );
}
