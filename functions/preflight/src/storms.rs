//! Repeats a refusal from memory for a moment if the same is asked again and again, so that a
//! client's loop does not heat the item that the requests of everybody else need.
//!
//! A path that an instance has refused more than [`FEW`] times within a second is in a storm. Its
//! last refusal is remembered with the cell that refused, and decides for [`REPEATED`] about
//! requests that are at least as large. They are decided anew on that cell by the same rule, so
//! the answer has its figures, a hold that has ended since leads to the database, and so does
//! every other remedy: a hold of the same request, another epoch, an exemption.

use jiff::Timestamp;
use shared::domain::amount::Amounts;
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::hold_request::{HoldRejection, HoldRequest};
use shared::domain::ledger::node::Node;
use shared::domain::period::Month;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// How many refusals of a path within [`WITHIN`] are no storm yet.
const FEW: usize = 20;
const WITHIN: Duration = Duration::from_secs(1);
/// How long a refusal is repeated before the database is asked again.
const REPEATED: Duration = Duration::from_millis(250);
/// The most paths that an instance counts, and the most holds of all remembered cells.
const MAX_PATHS: usize = 1_000;
const MAX_REMEMBERED: usize = 20_000;

/// The requests that meet the same counters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Path {
    organisation_id: String,
    period: Month,
    epoch: u64,
    /// The counters of every level, which tell one path from another, and those that refuse.
    levels: Vec<Node>,
    hard: Vec<Node>,
    /// The exemptions in force for the user. Those that have something left admit on the remembered
    /// cell as well, and so lead to the database.
    exemptions: Vec<u32>,
}

/// A refusal that may be repeated.
#[derive(Debug)]
struct Refusal {
    at: Instant,
    asked: Amounts,
    cell: Cell,
}

/// The refusals of a path.
#[derive(Debug, Default)]
struct Storm {
    /// When the last ones were given: one more than [`FEW`] at most.
    given: VecDeque<Instant>,
    last: Option<Refusal>,
}

/// The refusals of an instance. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Storms {
    paths: Arc<Mutex<HashMap<Path, Storm>>>,
    is_on: bool,
}

impl Storm {
    fn count(&mut self, now: Instant) {
        self.given.push_back(now);
        if self.given.len() > FEW + 1 {
            self.given.pop_front();
        }
    }

    /// Returns true if more than [`FEW`] refusals were given within a second before `now`.
    fn is_on(&self, now: Instant) -> bool {
        let first = self.given.front();
        self.given.len() > FEW && first.is_some_and(|at| now.duration_since(*at) < WITHIN)
    }
}

impl Path {
    fn of(organisation_id: &str, period: Month, asked: &HoldRequest) -> Self {
        let exemptions = asked.exemptions.iter();
        Self {
            organisation_id: organisation_id.to_owned(),
            period,
            epoch: asked.epoch,
            levels: asked.hold.nodes.clone(),
            hard: asked.hard.clone(),
            exemptions: exemptions.map(|exemption| exemption.grant.index).collect(),
        }
    }
}

impl Storms {
    /// Creates the memory of an instance. If it is off, every request goes to the database.
    pub(crate) fn new(is_on: bool) -> Self {
        Self {
            paths: Arc::default(),
            is_on,
        }
    }

    /// Returns the short counters and the cell that refused them, if its refusal is to be repeated
    /// to this request.
    pub(crate) fn repeat(
        &self,
        organisation_id: &str,
        period: Month,
        asked: &HoldRequest,
        now: Timestamp,
    ) -> Option<(Vec<Node>, Cell)> {
        if !self.is_on {
            return None;
        }
        let path = Path::of(organisation_id, period, asked);
        // If a thread panicked while it held the lock, nothing is known here: the cell decides.
        let mut paths = self.paths.lock().ok()?;
        let storm = paths.get_mut(&path)?;
        let instant = Instant::now();
        if !storm.is_on(instant) {
            return None;
        }
        let last = storm.last.as_ref()?;
        let amounts = asked.hold.amounts;
        let is_as_large =
            amounts.tokens >= last.asked.tokens && amounts.pico_usd >= last.asked.pico_usd;
        if !is_as_large || instant.duration_since(last.at) >= REPEATED {
            return None;
        }
        let HoldRejection::InsufficientBudget(nodes) = asked.rejection(&last.cell, now) else {
            return None;
        };
        let cell = last.cell.clone();
        storm.count(instant);
        Some((nodes, cell))
    }

    /// Counts a refusal of the database. Remembers it if the path is in a storm.
    pub(crate) fn refused(
        &self,
        organisation_id: &str,
        period: Month,
        asked: &HoldRequest,
        cell: &Cell,
    ) {
        if !self.is_on {
            return;
        }
        let path = Path::of(organisation_id, period, asked);
        let Ok(mut paths) = self.paths.lock() else {
            return;
        };
        let now = Instant::now();
        if paths.len() >= MAX_PATHS && !paths.contains_key(&path) {
            let is_recent = |at: &Instant| now.duration_since(*at) < WITHIN;
            paths.retain(|_, storm| storm.given.back().is_some_and(is_recent));
            if paths.len() >= MAX_PATHS {
                paths.clear();
            }
        }
        let storm = paths.entry(path).or_default();
        storm.count(now);
        storm.last = storm.is_on(now).then(|| Refusal {
            at: now,
            asked: asked.hold.amounts,
            cell: cell.clone(),
        });
        let remembered = paths.values().filter_map(|storm| storm.last.as_ref());
        let remembered: usize = remembered.map(|last| last.cell.holds.len()).sum();
        if remembered > MAX_REMEMBERED {
            for storm in paths.values_mut() {
                storm.last = None;
            }
        }
    }

    /// Forgets the refusals of an organisation, because something was given back to it.
    pub(crate) fn forget(&self, organisation_id: &str) {
        if let Ok(mut paths) = self.paths.lock() {
            let of_it = paths.iter_mut();
            for (_, storm) in of_it.filter(|(path, _)| path.organisation_id == organisation_id) {
                storm.last = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::amount::Unit;
    use shared::domain::ledger::hold::Hold;
    use shared::domain::ledger::hold_id::HoldKey;
    use shared::domain::ledger::hold_request::UsableExemption;
    use shared::domain::org::grant::{Covers, Grant, Kind, Terms};
    use std::collections::BTreeMap;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const NODE: Node = Node {
        unit: Unit::Tokens,
        index: 0,
    };

    fn period() -> Month {
        Month::new(2026, 11).unwrap()
    }

    fn asks(request: u32, tokens: i64) -> HoldRequest {
        HoldRequest {
            rid: HoldKey::derive("acme", "ada", &request.to_string()),
            hold: Hold {
                amounts: Amounts::new(tokens, 0),
                nodes: vec![NODE],
                expires_at: 600,
                ..Hold::default()
            },
            requests: 1,
            hard: vec![NODE],
            epoch: 1,
            earlier: Default::default(),
            exemptions: Vec::new(),
        }
    }

    /// 100 tokens are left, and 50 are held by request 0 until second 60.
    fn cell() -> Cell {
        let held = Hold {
            expires_at: 60,
            ..asks(0, 50).hold
        };
        Cell {
            epoch: 1,
            nodes: BTreeMap::from([(NODE, 100)]),
            holds: BTreeMap::from([(asks(0, 50).rid, held)]),
            ..Cell::default()
        }
    }

    /// A storm of requests for 200 tokens, which the database refused `refusals` times.
    fn storm(refusals: u32) -> Storms {
        let storms = Storms::new(true);
        for n in 0..refusals {
            storms.refused("acme", period(), &asks(n + 1, 200), &cell());
        }
        storms
    }

    fn is_repeated(storms: &Storms, asked: &HoldRequest) -> bool {
        storms.repeat("acme", period(), asked, NOW).is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn twenty_refusals_in_a_second_are_no_storm_and_one_more_is() {
        assert!(!is_repeated(&storm(20), &asks(99, 200)));
        let storms = storm(21);
        let (nodes, cell) = storms
            .repeat("acme", period(), &asks(99, 200), NOW)
            .unwrap();
        assert_eq!((nodes, cell), (vec![NODE], self::cell()));
        let slow = Storms::new(true);
        for n in 0..60 {
            slow.refused("acme", period(), &asks(n, 200), &self::cell());
            tokio::time::advance(Duration::from_millis(50)).await;
            assert!(!is_repeated(&slow, &asks(99, 200)), "{n}: 20 a second");
        }
        assert!(!is_repeated(&Storms::new(false), &asks(99, 200)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_repeated_for_a_quarter_of_a_second_and_then_asked_for_again() {
        let storms = storm(21);
        tokio::time::advance(Duration::from_millis(249)).await;
        assert!(is_repeated(&storms, &asks(99, 200)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!is_repeated(&storms, &asks(99, 200)));
        // The loop goes on: one call of the database serves the next quarter of a second, although
        // the first twenty refusals were long ago.
        let mut calls = 0;
        for n in 0..4_000 {
            if !is_repeated(&storms, &asks(n, 200)) {
                storms.refused("acme", period(), &asks(n, 200), &cell());
                calls += 1;
            }
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(calls, 16, "in four seconds");
    }

    #[test]
    fn a_smaller_request_another_path_and_another_epoch_are_not_refused_from_memory() {
        let storms = storm(21);
        assert!(is_repeated(&storms, &asks(99, 200)));
        assert!(is_repeated(&storms, &asks(99, 201)));
        assert!(
            !is_repeated(&storms, &asks(99, 199)),
            "it does not fit either"
        );
        let with = |change: fn(&mut HoldRequest)| {
            let mut asked = asks(99, 200);
            change(&mut asked);
            is_repeated(&storms, &asked)
        };
        assert!(!with(|asked| asked.epoch = 2));
        assert!(!with(|asked| asked.hard.push(Node { index: 1, ..NODE })));
        assert!(!with(|asked| asked
            .hold
            .nodes
            .push(Node { index: 1, ..NODE })));
        assert!(!with(|asked| asked.hold.amounts.pico_usd = -1));
        let next = Month::new(2026, 12).unwrap();
        assert!(storms.repeat("acme", next, &asks(99, 200), NOW).is_none());
        assert!(
            storms
                .repeat("other", period(), &asks(99, 200), NOW)
                .is_none()
        );
    }

    /// The request of a user with a raise of `tokens`.
    fn exempt(request: u32, tokens: i64) -> HoldRequest {
        let terms = Terms {
            user_id: "ada".to_owned(),
            kind: Kind::Raise,
            tokens: Some(tokens),
            micro_usd: None,
            covers: Covers::Path,
            starts_at: NOW,
            ends_at: Timestamp::MAX,
        };
        let exemption = UsableExemption {
            grant: Grant {
                id: "exm".to_owned(),
                index: Node::exemption(0),
                terms,
            },
            covered: vec![NODE],
        };
        HoldRequest {
            exemptions: vec![exemption],
            ..asks(request, 200)
        }
    }

    #[test]
    fn an_exemption_with_enough_left_leads_to_the_database_and_one_that_is_used_up_does_not() {
        let storms = storm(21);
        assert!(!is_repeated(&storms, &exempt(99, 100)), "another's refusal");
        for (tokens, is_refused) in [(99, true), (100, false)] {
            for n in 0..21 {
                storms.refused("acme", period(), &exempt(n, tokens), &cell());
            }
            assert_eq!(is_repeated(&storms, &exempt(99, tokens)), is_refused);
        }
    }

    #[test]
    fn a_living_hold_and_a_hold_that_has_ended_lead_to_the_database() {
        let storms = storm(21);
        assert!(!is_repeated(&storms, &asks(0, 200)), "it may be a retry");
        let later = Timestamp::from_second(60).unwrap();
        let lapsed = storms.repeat("acme", period(), &asks(99, 200), later);
        assert!(lapsed.is_none(), "what lapsed is released first");
    }

    #[test]
    fn what_was_given_back_is_seen_at_once() {
        let storms = storm(21);
        storms.forget("other");
        assert!(is_repeated(&storms, &asks(99, 200)));
        storms.forget("acme");
        assert!(!is_repeated(&storms, &asks(99, 200)));
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let storms = Storms::new(true);
        for n in 0..3 * u32::try_from(MAX_PATHS).unwrap() {
            let mut asked = asks(n, 200);
            asked.hard.push(Node { index: n, ..NODE });
            storms.refused("acme", period(), &asked, &cell());
            assert!(storms.paths.lock().unwrap().len() <= MAX_PATHS);
        }
        let mut crowded = cell();
        let holds = (0..2_000).map(|n| (asks(n, 1).rid, asks(n, 1).hold));
        crowded.holds = holds.collect();
        for organisation in 0..12 {
            for n in 0..21 {
                let organisation_id = organisation.to_string();
                storms.refused(&organisation_id, period(), &asks(n, 200), &crowded);
            }
            let paths = storms.paths.lock().unwrap();
            let held = paths.values().filter_map(|storm| storm.last.as_ref());
            let held: usize = held.map(|last| last.cell.holds.len()).sum();
            assert!(held <= MAX_REMEMBERED);
        }
    }
}
