use super::*;
use crate::domain::amount::{Amounts, Unit};
use crate::domain::ledger::comparison_sums::{Account, Book};
use crate::domain::samples::{at, configuration, month};

fn difference(name: &str, expected: i128, found: i128) -> Difference {
    Difference {
        period: month("2026-11"),
        subject: Subject::User {
            id: name.to_owned(),
        },
        unit: Unit::Tokens,
        expected,
        found,
    }
}

fn ada() -> Account {
    Account {
        month: month("2026-11"),
        book: Book::User,
        name: "ada".to_owned(),
    }
}

/// Begins a comparison, or goes on with one.
fn begun(comparison: &mut Comparison, sums: Sums, now: &str) -> (Progress, Sums) {
    comparison.go_on(&configuration([]), Some(sums), at(now))
}

/// Completes a comparison that finds `found` at each look. Returns what it told, and how many looks
/// it took.
fn completed(
    comparison: &mut Comparison,
    sums: Sums,
    now: &str,
    found: &[Difference],
) -> (Vec<Difference>, u32, Sums) {
    let (mut progress, mut sums) = begun(comparison, sums, now);
    loop {
        let judged = comparison.judge(&mut progress, &mut sums, found.to_vec());
        if let Judged::Done(told) = judged {
            return (told, progress.look + 1, sums);
        }
    }
}

#[test]
fn the_first_comparison_reads_from_a_day_before_last_month_and_the_next_only_open_days() {
    let mut comparison = Comparison::default();
    assert!(comparison.is_due(at("2026-11-24T12:00:00Z")));
    let (progress, mut sums) = begun(&mut comparison, Sums::default(), "2026-11-24T12:00:00Z");
    assert_eq!(progress.day.to_string(), "2026-09-29");
    assert_eq!(progress.months, [month("2026-10"), month("2026-11")]);
    let mut progress = progress;
    sums.add(ada(), Amounts::new(7, 8), true);
    let judged = comparison.judge(&mut progress, &mut sums, Vec::new());
    assert_eq!(judged, Judged::Done(Vec::new()));
    assert!(!comparison.is_due(at("2026-11-25T11:59:59Z")));
    assert!(comparison.is_due(at("2026-11-25T12:00:00Z")));
    assert!(
        comparison.is_due(at("2026-11-23T12:00:00Z")),
        "the clock was ahead"
    );
    let (progress, kept) = begun(&mut comparison, sums.clone(), "2026-11-25T12:00:00Z");
    assert_eq!(progress.day.to_string(), "2026-11-23");
    assert_eq!(kept, sums, "what is settled is not read again");
    assert!(progress.is_settled());
}

#[test]
fn a_record_of_a_day_before_yesterday_is_settled_and_one_of_yesterday_may_still_come() {
    let mut comparison = Comparison::default();
    let (mut progress, _) = begun(&mut comparison, Sums::default(), "2026-11-24T12:00:00Z");
    for (day, is_settled) in [
        ("2026-11-22", true),
        ("2026-11-23", false),
        ("2026-11-24", false),
    ] {
        progress.day = day.parse().unwrap();
        assert_eq!(progress.is_settled(), is_settled, "{day}");
        assert!(!progress.is_read(at("2026-11-24T12:00:00Z")), "{day}");
    }
    progress.next_day();
    assert!(progress.is_read(at("2026-11-24T12:00:00Z")));
    let is_read = progress.is_read(at("2026-11-24T23:50:00Z"));
    assert!(!is_read, "a receiver's clock may be in the next day");
}

#[test]
fn nothing_is_filed_in_a_settled_day_whenever_it_was_received_and_is_recorded() {
    let configuration = configuration([]);
    for begun in ["2026-11-24T00:00:00Z", "2026-11-24T23:59:59Z"] {
        let begun = at(begun);
        let (mut progress, _) = Comparison::default().go_on(&configuration, None, begun);
        for recorded in 0..80 {
            let now = begun + SignedDuration::from_hours(recorded);
            for waited in 0..80 {
                let received = now - SignedDuration::from_hours(waited);
                let filed = filed_at(received, now);
                assert!(filed == now || filed == received);
                progress.day = date(filed);
                assert!(!progress.is_settled(), "{received} {now}");
            }
        }
    }
    let (received, now) = (at("2026-11-23T20:00:00Z"), at("2026-11-24T12:00:00Z"));
    assert_eq!(filed_at(received, now), received);
}

#[test]
fn everything_is_read_again_after_a_week_without_the_sums_and_for_an_earlier_month() {
    let first = "2026-11-02T12:00:00Z";
    let after = |now: &str, sums: Option<Sums>| {
        let mut comparison = Comparison::default();
        let (_, _, kept) = completed(&mut comparison, Sums::default(), first, &[]);
        let sums = sums.map(|_| kept);
        let (progress, _) = comparison.go_on(&configuration([]), sums, at(now));
        assert_eq!(comparison.compared_at, Some(at(first)));
        progress.is_whole
    };
    let sums = Some(Sums::default());
    assert!(!after("2026-11-09T11:59:59Z", sums.clone()));
    assert!(after("2026-11-09T12:00:00Z", sums.clone()));
    assert!(after("2026-11-03T12:00:00Z", None));
    assert!(after("2026-10-31T12:00:00Z", sums), "the clock was ahead");
}

#[test]
fn a_comparison_ends_with_the_months_it_began_with_and_the_next_has_the_new_one() {
    let mut comparison = Comparison::default();
    let (progress, sums) = begun(&mut comparison, Sums::default(), "2026-11-30T23:00:00Z");
    comparison.underway = Some(progress.clone());
    let (mut later, mut sums) = begun(&mut comparison, sums, "2026-12-02T01:00:00Z");
    assert_eq!(later, progress);
    assert!(later.wants(month("2026-12")), "the next one needs its sums");
    assert!(!later.wants(month("2026-09")));
    sums.add(ada(), Amounts::new(1, 1), true);
    let december = Account {
        month: month("2026-12"),
        ..ada()
    };
    sums.add(december, Amounts::new(1, 1), true);
    comparison.judge(&mut later, &mut sums, Vec::new());
    assert_eq!(comparison.compared_at, Some(at("2026-11-30T23:00:00Z")));
    let (next, kept) = begun(&mut comparison, sums, "2026-12-02T02:00:00Z");
    assert_eq!(next.months, [month("2026-11"), month("2026-12")]);
    assert!(!next.is_whole);
    assert_eq!(kept.lines().count(), 2);
}

#[test]
fn a_difference_is_told_if_three_looks_find_it_and_what_one_finds_alone_is_not() {
    let now = "2026-11-24T12:00:00Z";
    let found = [difference("ada", 5, 4)];
    let mut comparison = Comparison::default();
    let (told, looks, _) = completed(&mut comparison, Sums::default(), now, &found);
    assert_eq!((told.as_slice(), looks), (found.as_slice(), 3));

    let mut comparison = Comparison::default();
    let (mut progress, mut sums) = begun(&mut comparison, Sums::default(), now);
    let first = comparison.judge(&mut progress, &mut sums, found.to_vec());
    assert_eq!(first, Judged::Again);
    let another = vec![difference("bea", 5, 4)];
    let second = comparison.judge(&mut progress, &mut sums, another);
    assert_eq!(second, Judged::Done(Vec::new()));
}

#[test]
fn a_look_at_open_days_is_confirmed_by_looks_at_all_unless_it_finds_what_is_known() {
    let known = [difference("ada", 5, 4)];
    let mut comparison = Comparison::default();
    let now = "2026-11-23T12:00:00Z";
    let (_, _, sums) = completed(&mut comparison, Sums::default(), now, &known);

    let grown = [difference("ada", 105, 104)];
    let mut later = comparison.clone();
    let now = "2026-11-24T12:00:00Z";
    let (told, looks, sums) = completed(&mut later, sums, now, &grown);
    assert_eq!((told.as_slice(), looks), (grown.as_slice(), 1));

    let (mut progress, mut sums) = begun(&mut later, sums, "2026-11-25T12:00:00Z");
    assert!(!progress.is_whole);
    let worse = vec![difference("ada", 5, 3)];
    let judged = later.judge(&mut progress, &mut sums, worse);
    assert_eq!(judged, Judged::Again);
    assert!(progress.is_whole);
    assert_eq!(
        (progress.look, progress.day.to_string()),
        (1, "2026-09-29".to_owned())
    );
    assert_eq!(
        sums,
        Sums::default(),
        "nothing of the first look is believed"
    );
}

#[test]
fn settlements_are_compared_until_a_look_has_found_that_they_agree() {
    let settlement = Difference {
        subject: Subject::Settlement {
            event_id: "e".to_owned(),
            user_id: "ada".to_owned(),
            identity: "llm_request#ada#e".to_owned(),
        },
        ..difference("ada", 5, 4)
    };
    let now = "2026-11-24T12:00:00Z";
    for (found, is_checked) in [(settlement, true), (difference("ada", 5, 4), false)] {
        let mut comparison = Comparison::default();
        let (mut progress, mut sums) = begun(&mut comparison, Sums::default(), now);
        assert!(progress.checks_settlements());
        progress.doubt(vec![found.clone(), found]);
        assert_eq!(progress.settlements.len(), 1, "it is told once");
        comparison.judge(&mut progress, &mut sums, Vec::new());
        assert_eq!(progress.checks_settlements(), is_checked);
    }
}
