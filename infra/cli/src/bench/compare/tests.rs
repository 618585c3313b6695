use super::design::{Design, Kind};
use super::measure::Figures;
use super::ours::{Part, cells_for};
use super::runs::{Load, Plan};
use super::tables::{Row, Tables, sum};
use super::*;
use crate::bench::rivals::postgres::Way;
use std::collections::BTreeSet;

const OURS: Kind = Kind::Ours(Part::Preflight);
const LOAD: Load = Load {
    depth: 3,
    at_once: 64,
    users: 100,
    requests: 100,
    fits: Some(50),
};

fn tables(ours: u32, atomic: Figures) -> Tables {
    let admitted = |admitted| Figures {
        requests: 100,
        admitted,
        calls: 150,
        round_trips: 100,
        write_units_tenths: Some(1_000),
        cpu_micros: Some(25_000),
        elapsed_micros: 100_000,
        p50: 1_500,
        p99: 9_990,
    };
    let row = |load, figures| Row { load, figures };
    let others = vec![
        (OURS, admitted(ours)),
        (Kind::ReadThenAdd, admitted(73)),
        (Kind::Parallel, admitted(40)),
    ];
    Tables {
        in_memory: vec![row(LOAD, others)],
        durable: vec![row(
            LOAD,
            vec![(OURS, admitted(50)), (Kind::Postgres(Way::Atomic), atomic)],
        )],
        killed: Vec::new(),
        has_postgres: true,
        is_quick: false,
    }
}

#[test]
fn a_line_says_what_was_admitted_beyond_the_cap_and_what_was_refused_in_vain() {
    let text = report::text(&tables(50, Figures::default()));
    let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap();
    let ours = "| 3 | 64 | 100 | 50 | Toktra, one cell | 50 of 100 | 0 | 1.0 | 1.5 | 2.0 | 0.25 \
                | 1.50 | 9.99 |";
    assert_eq!(line("Toktra"), ours);
    assert!(
        line("read, then add").contains("| 73 of 100 | 23 |"),
        "{text}"
    );
    let parallel = "| 40 of 100 | 0, 10 refused that fit |";
    assert!(line("parallel").contains(parallel), "{text}");
}

#[test]
fn durable_holds_are_compared_with_those_of_postgresql() {
    let atomic = Figures {
        admitted: 100,
        elapsed_micros: 250_000,
        ..Figures::default()
    };
    // 500 a second beside 400.
    let text = report::text(&tables(50, atomic));
    assert!(
        text.contains("| 64 | Toktra, one cell | 500 | 1.25 |"),
        "{text}"
    );
    let without = Tables {
        has_postgres: false,
        ..tables(50, atomic)
    };
    assert!(report::text(&without).contains("PostgreSQL is not installed here"));
}

#[test]
fn the_claim_fails_if_one_too_many_or_too_few_was_admitted() {
    report::check(&tables(50, Figures::default())).unwrap();
    for wrong in [49, 51] {
        assert!(report::check(&tables(wrong, Figures::default())).is_err());
    }
}

#[test]
fn the_plot_has_a_line_for_each_design_that_was_measured() {
    let svg = plot::svg(&tables(50, Figures::default()));
    // Three near the cap, none by depth, two on disk.
    assert_eq!(svg.matches("<polyline").count(), 5, "{svg}");
    for kind in Kind::ON_ENGINE.iter().chain(&Kind::ON_POSTGRES) {
        assert!(svg.contains(kind.name()), "{}", kind.name());
    }
}

#[test]
fn rounds_are_added_and_their_percentiles_are_the_middle_ones() {
    let round = |p50| Figures {
        requests: 10,
        admitted: 9,
        elapsed_micros: 100,
        cpu_micros: Some(7),
        p50,
        ..Figures::default()
    };
    let all = sum(&[round(5), round(1), round(3)]);
    assert_eq!(
        (all.requests, all.admitted, all.elapsed_micros),
        (30, 27, 300)
    );
    assert_eq!((all.p50, all.cpu_micros), (3, Some(21)));
    assert_eq!(all.write_units_tenths, None);
}

#[test]
fn a_plan_varies_one_thing_at_a_time_and_its_quick_form_has_each_kind_of_run() {
    let full = Plan::full();
    let at_once: BTreeSet<u32> = full.loads.iter().map(|load| load.at_once).collect();
    let depths: BTreeSet<usize> = full.loads.iter().map(|load| load.depth).collect();
    let users: BTreeSet<u32> = full.loads.iter().map(|load| load.users).collect();
    assert_eq!(at_once, BTreeSet::from([1, 64, 1_024]));
    assert_eq!(depths, BTreeSet::from([1, 4, 8]));
    assert_eq!(users, BTreeSet::from([1, 100, 100_000]));
    for plan in [full, Plan::quick()] {
        let near = plan.loads.iter().filter(|load| load.fits.is_some()).count();
        assert!(near > 0 && near < plan.loads.len());
        assert!(!plan.durable.is_empty() && plan.killed.requests > 0);
    }
}

#[test]
fn cells_are_split_until_each_has_few_live_holds() {
    assert_eq!([1, 15, 16, 200, 1_024].map(cells_for), [1, 1, 2, 14, 64]);
}

#[test]
fn a_cap_near_its_end_is_the_root_s_and_the_others_have_room() {
    assert_eq!(LOAD.caps(), [50, 2_000, 2_000]);
    assert_eq!(LOAD.expected(), 50);
    let far = Load { fits: None, ..LOAD };
    assert_eq!(far.caps(), [2_000; 3]);
    assert_eq!(far.expected(), 100);
}

/// One at a time, every design is exact: what differs is what they do at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_after_another_every_design_admits_what_fits() {
    let load = Load {
        at_once: 1,
        requests: 6,
        fits: Some(4),
        ..LOAD
    };
    for kind in Kind::ON_ENGINE {
        let system = design::new_system(None).await.unwrap();
        let set_up = Design::on_engine(kind, &system, &load).await.unwrap();
        let figures = measure::run(set_up, Some(&system), &[], load)
            .await
            .unwrap();
        assert_eq!(figures.admitted, 4, "{kind:?}");
        let (calls, units) = match kind {
            Kind::Ours(_) => (6, 40),
            // A read, and an update of three counters if it is admitted.
            Kind::ReadThenAdd => (6 + 4 * 3, 120),
            // Three counters and the record, each twice as dear.
            Kind::Transaction => (6, 320),
            // Two refusals give back two counters each, of which one unit each was taken before.
            _ => (6 * 3 + 2 * 2, 120 + 2 * 2 * 2 * 10),
        };
        let counted = (figures.calls, figures.write_units_tenths);
        assert_eq!(counted, (calls, Some(units)), "{kind:?}");
        system.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_quick_form_measures_everything_and_its_claims_hold() {
    let plot = std::env::temp_dir().join(format!("toktra-bench-{}.svg", std::process::id()));
    let arguments = Arguments {
        other: None,
        quick: true,
        data: None,
        postgres: None,
        svg: Some(plot.clone()),
    };
    run(arguments).await.unwrap();
    assert!(
        std::fs::read_to_string(&plot)
            .unwrap()
            .ends_with("</svg>\n")
    );
    std::fs::remove_file(plot).unwrap();
}
