//! Whole replays against a system of their own.

use super::*;
use clap::Parser;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    arguments: Arguments,
}

fn arguments(given: &[&str]) -> Arguments {
    let given = std::iter::once(&"replay").chain(given);
    Command::try_parse_from(given).expect("arguments").arguments
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replay_passes_all_its_checks() {
    let report = replay(&arguments(&[
        "--limit",
        "300",
        "--concurrency",
        "16",
        "--json",
    ]))
    .await
    .expect("a report");
    assert_eq!(report.failed(), Vec::<&report::Check>::new());
    assert_eq!(report.checks.len(), 7);
    assert_eq!(report.sent, 300);
    assert_eq!(report.degraded, 0);
    assert!(
        report.admitted > 0 && report.refused > 0,
        "{}",
        report.text()
    );
    assert!(report.tokens_admitted * 2 <= report.tokens_sent);

    assert_eq!(report.levels.len(), 16);
    let refused = |depth: usize| -> u64 {
        let levels = report.levels.iter().filter(|level| level.depth == depth);
        levels.map(|level| level.refused).sum()
    };
    assert!(refused(4) > 0, "no leaf refused:\n{}", report.text());
    let levels = &report.levels;
    assert_eq!(levels[0].spent, levels[1].spent, "organisation and root");
    assert_eq!(levels[1].spent, levels[2].spent + levels[9].spent);

    let costs = report.costs.as_ref().expect("an own system counts");
    assert!(costs.used.preflight.calls >= 300);
    assert!(costs.used.preflight.counters_write_units_tenths >= report.admitted * 10);
    assert!(costs.used.evaluate.ledger_write_units_tenths >= report.admitted * 10);
    assert!(report.most_open.is_some_and(|most| most > 0));
    assert_eq!(report.json()["checks"][0]["expected"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_nothing_passes_and_with_room_everything_does() {
    let given = ["--limit", "20", "--users", "3", "--speed", "100"];
    for (percent, admitted) in [("0", 0), ("300", 20)] {
        let all = [&given[..], &["--budget-percent", percent]].concat();
        let report = replay(&arguments(&all)).await.expect("a report");
        assert_eq!(report.failed(), Vec::<&report::Check>::new());
        assert_eq!(report.admitted, admitted, "{}", report.text());
        assert_eq!(report.refused, 20 - admitted);
    }
}

#[test]
fn a_file_that_is_no_trace_is_named_with_its_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("trace.csv");
    fs::write(&file, "TIMESTAMP,ContextTokens,GeneratedTokens\nx,1,2\n").expect("a file");
    let path = file.display().to_string();
    let error = rows(&arguments(&[&path])).expect_err("no trace");
    let CommandError::Io(what, source) = error else {
        panic!("{error}");
    };
    assert_eq!(what, format!("the trace {path} is not a trace"));
    assert!(
        source.to_string().starts_with("line 2: TIMESTAMP"),
        "{source}"
    );
    let rows = rows(&arguments(&["--limit", "3"])).expect("the trace");
    assert_eq!(rows.len(), 3);
}

#[test]
fn arguments_out_of_range_are_refused() {
    for given in [
        ["--limit", "0"],
        ["--speed", "0"],
        ["--concurrency", "0"],
        ["--users", "0"],
        ["--key", "secret"],
    ] {
        let given = std::iter::once("replay").chain(given);
        assert!(Command::try_parse_from(given).is_err());
    }
}
