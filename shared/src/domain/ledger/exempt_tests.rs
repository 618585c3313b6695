//! Laws of holds under exemptions, however they end: against a naive account of who pays, in both
//! units, on two levels.

use super::*;
use crate::domain::exemption::grant::{Covers, Kind, Terms};
use jiff::Timestamp;
use proptest::prelude::*;

const UNITS: [Unit; 2] = [Unit::Tokens, Unit::Usd];
/// The units that a raise gives.
const BOTH: &[Unit] = &UNITS;
const TOKENS: &[Unit] = &[Unit::Tokens];
const USD: &[Unit] = &[Unit::Usd];
/// The limits of the caps of the two levels and of a raise, in each unit.
const LIMITS: [Amounts; 2] = [of(120, 100), of(80, 140)];
const RAISED: Amounts = of(90, 70);

/// Tokens and micro-USD.
const fn of(tokens: i64, micro_usd: i64) -> Amounts {
    let pico_usd = micro_usd as i128 * 1_000_000;
    Amounts { tokens, pico_usd }
}

fn counter(level: u32, unit: Unit) -> Node {
    let index = 2 * level;
    Node { unit, index }
}

fn path() -> Vec<Node> {
    let both = |unit| [counter(0, unit), counter(1, unit)];
    UNITS.into_iter().flat_map(both).collect()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Hold(u8, Amounts),
    Grow(u8, Amounts),
    Settle(u8, Amounts),
    Void(u8),
    Lapse { request: u8, is_charged: bool },
    Late(u8, Amounts),
    Usage(Amounts),
    Revoke,
}

fn amounts(most: i64) -> impl Strategy<Value = Amounts> {
    let most_pico = i128::from(most) * 1_000_000;
    (0..most, 0..most_pico).prop_map(|(tokens, pico_usd)| Amounts::new(tokens, pico_usd))
}

fn step() -> impl Strategy<Value = Step> {
    let request = || 0_u8..8;
    prop_oneof![
        8 => (request(), amounts(60)).prop_map(|(request, amounts)| Step::Hold(request, amounts)),
        2 => (request(), amounts(40)).prop_map(|(request, amounts)| Step::Grow(request, amounts)),
        3 => (request(), amounts(150)).prop_map(|(request, amounts)| Step::Settle(request,
            amounts)),
        1 => request().prop_map(Step::Void),
        3 => (request(), any::<bool>())
            .prop_map(|(request, is_charged)| Step::Lapse { request, is_charged }),
        4 => (request(), amounts(150)).prop_map(|(request, amounts)| Step::Late(request, amounts)),
        1 => amounts(20).prop_map(Step::Usage),
        1 => Just(Step::Revoke),
    ]
}

struct Ended {
    hold: Hold,
    /// Its charge when it lapsed. None if it was settled or voided.
    lapsed_with: Option<Amounts>,
    is_offset: bool,
}

/// A cell with one exemption, and its invariants.
struct Account {
    cell: Option<Cell>,
    grant: Grant,
    covered: Vec<Node>,
    is_revoked: bool,
    living: BTreeMap<u8, Hold>,
    ended: BTreeMap<u8, Ended>,
    /// The charges of all usage.
    spent: Amounts,
    /// The exemption's part of the charges and of live holds.
    given: Amounts,
}

impl Account {
    fn new(kind: Kind, units: &[Unit], is_path: bool) -> Self {
        let raised = |unit: Unit| {
            let is_raised = kind == Kind::Raise && units.contains(&unit);
            is_raised.then(|| unit.rounded_up(RAISED.of(unit)))
        };
        let grant = Grant {
            id: "exm_1".to_owned(),
            index: Node::exemption(3),
            terms: Terms {
                user_id: "ada".to_owned(),
                kind,
                tokens: raised(Unit::Tokens),
                micro_usd: raised(Unit::Usd),
                covers: Covers::Path,
                starts_at: Timestamp::MIN,
                ends_at: Timestamp::MAX,
            },
        };
        let mut nodes: BTreeMap<Node, i128> = grant.opens().into_iter().collect();
        for (limits, level) in LIMITS.into_iter().zip(0..) {
            nodes.extend(UNITS.map(|unit| (counter(level, unit), limits.of(unit))));
        }
        let is_covered = |node: &Node| is_path || node.index == counter(1, node.unit).index;
        Self {
            cell: Some(Cell {
                epoch: 1,
                nodes,
                ..Cell::default()
            }),
            grant,
            covered: path().into_iter().filter(is_covered).collect(),
            is_revoked: false,
            living: BTreeMap::new(),
            ended: BTreeMap::new(),
            spent: Amounts::ZERO,
            given: Amounts::ZERO,
        }
    }

    fn raise(units: &[Unit]) -> Self {
        Self::new(Kind::Raise, units, true)
    }

    fn cell(&self) -> &Cell {
        self.cell.as_ref().unwrap()
    }

    fn request(&self, name: u8, hold: Hold) -> HoldRequest {
        let usable = UsableExemption {
            grant: self.grant.clone(),
            covered: self.covered.clone(),
        };
        HoldRequest {
            rid: rid(name),
            hold,
            requests: 1,
            hard: path(),
            epoch: 1,
            earlier: Default::default(),
            exemptions: (!self.is_revoked).then_some(usable).into_iter().collect(),
        }
    }

    fn hold(&mut self, name: u8, amounts: Amounts) -> bool {
        if self.living.contains_key(&name) {
            return false;
        }
        let asked = self.request(
            name,
            Hold {
                expires_at: 1_000,
                amounts,
                nodes: path(),
                ..Hold::default()
            },
        );
        let admitted = match asked.update().apply(&mut self.cell) {
            Ok(()) => asked,
            Err(_) => match asked.rejection(self.cell(), at(0)) {
                HoldRejection::Exempt(candidate) => {
                    candidate.update().apply(&mut self.cell).unwrap();
                    *candidate
                }
                HoldRejection::InsufficientBudget(_) => return false,
                other => panic!("{other:?}"),
            },
        };
        self.given = self.given.saturating_add(admitted.hold.given());
        self.living.insert(name, admitted.hold);
        true
    }

    fn grow(&mut self, name: u8, gains: Amounts) -> bool {
        let Some(before) = self.living.get(&name).cloned() else {
            return false;
        };
        let asked = self.request(
            name,
            Hold {
                amounts: gains,
                nodes: before.levels(),
                exempt: None,
                ..before.clone()
            },
        );
        let (update, mut after) = asked.growth(&before, before.expires_at).unwrap();
        if update.apply(&mut self.cell).is_err() {
            let others = self.cell().without(&rid(name));
            let HoldRejection::Exempt(candidate) = asked.rejection(&others, at(0)) else {
                return false;
            };
            let Some((update, grown)) = candidate.growth(&before, before.expires_at) else {
                return false;
            };
            update.apply(&mut self.cell).unwrap();
            after = grown;
        }
        let more = after.given().saturating_sub(before.given());
        self.given = self.given.saturating_add(more);
        self.living.insert(name, after);
        true
    }

    /// The exemption's part of a charge of a hold: nothing of the caps' part, and at most its part
    /// of the hold if it is limited or the charge came late.
    fn pays(&self, hold: &Hold, charged: Amounts, is_late: bool) -> Amounts {
        let Some(exempt) = &hold.exempt else {
            return Amounts::ZERO;
        };
        let in_unit = |unit: Unit| {
            let is_covered = exempt.covered.iter().any(|node| node.unit == unit);
            let given = exempt.given.of(unit);
            let beyond = charged.of(unit) - (hold.amounts.of(unit) - given);
            match is_covered {
                true if is_late || self.grant.is_limited() => beyond.clamp(0, given),
                true => beyond.max(0),
                false => 0,
            }
        };
        Amounts::by_unit(in_unit)
    }

    fn end(&mut self, name: u8, charged: Amounts, lapsed_with: Option<Amounts>) {
        let Some(hold) = self.living.remove(&name) else {
            return;
        };
        let stays = self.pays(&hold, charged, false);
        let back = hold.given().saturating_sub(stays);
        finish([(&rid(name), &hold, charged)])
            .apply(&mut self.cell)
            .unwrap();
        self.spent = self.spent.saturating_add(charged);
        self.given = self.given.saturating_sub(back);
        let ended = Ended {
            hold,
            lapsed_with,
            is_offset: false,
        };
        self.ended.insert(name, ended);
    }

    fn settle(&mut self, name: u8, charged: Amounts) {
        self.end(name, charged, None);
    }

    fn lapse(&mut self, name: u8, is_charged: bool) {
        let Some(hold) = self.living.get(&name) else {
            return;
        };
        let charged = match is_charged {
            true => hold.amounts,
            false => Amounts::ZERO,
        };
        self.end(name, charged, Some(charged));
    }

    fn usage(&mut self, used: Amounts) {
        debit(HOME, &path(), used).apply(&mut self.cell).unwrap();
        self.spent = self.spent.saturating_add(used);
    }

    /// Charges usage that names an ended hold, as the store does.
    fn late(&mut self, name: u8, used: Amounts) {
        let Some(mut ended) = self.ended.remove(&name) else {
            return;
        };
        match ended.lapsed_with {
            Some(paid) if !ended.is_offset => {
                ended.is_offset = true;
                self.late_of_lapsed(&ended.hold, paid, used);
            }
            _ => self.usage(used),
        }
        self.ended.insert(name, ended);
    }

    fn late_of_lapsed(&mut self, lapsed: &Hold, paid: Amounts, used: Amounts) {
        let (before, after) = (
            self.pays(lapsed, paid, false),
            self.pays(lapsed, used, true),
        );
        let change = |unit: Unit| {
            let more = after.of(unit) - before.of(unit);
            match self.grant.is_limited() {
                true => more.min(RAISED.of(unit) - self.given.of(unit)),
                false => more,
            }
        };
        let change = Amounts::by_unit(change);
        let late = LateUsage { lapsed, paid, used };
        debit_late(HOME, self.cell(), &path(), late)
            .apply(&mut self.cell)
            .unwrap();
        self.spent = self.spent.saturating_add(used.saturating_sub(paid));
        self.given = self.given.saturating_add(change);
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Hold(name, amounts) => {
                self.hold(name, amounts);
            }
            Step::Grow(name, gains) => {
                self.grow(name, gains);
            }
            Step::Settle(name, charged) => self.settle(name, charged),
            Step::Void(name) => self.settle(name, Amounts::ZERO),
            Step::Lapse {
                request,
                is_charged,
            } => self.lapse(request, is_charged),
            Step::Late(name, used) => self.late(name, used),
            Step::Usage(used) => self.usage(used),
            Step::Revoke => self.is_revoked = true,
        }
    }

    fn check(&self) {
        let cell = self.cell();
        let used = self.grant.used(cell);
        assert_eq!(used, self.given, "what the exemption shows as used");
        for unit in UNITS {
            assert!(used.of(unit) >= 0, "it gets back no more than it gave");
            if self.grant.is_limited() {
                let most = match self.grant.gives(unit) {
                    true => RAISED.of(unit),
                    false => 0,
                };
                assert!(used.of(unit) <= most, "a raise gives no more than it has");
            }
            let held = self.living.values().map(|hold| hold.amounts.of(unit));
            let held: i128 = held.sum();
            for (limits, level) in LIMITS.into_iter().zip(0..) {
                let node = counter(level, unit);
                assert_eq!(cell.held(node) + cell.held_exempt(node), held);
                let given = match self.covered.contains(&node) {
                    true => self.given.of(unit),
                    false => 0,
                };
                assert_eq!(cell.exempted(node), given, "{node:?}");
                let limit = limits.of(unit) + given;
                let rest = cell.nodes[&node];
                assert_eq!(limit, rest + held + self.spent.of(unit), "{node:?}");
            }
        }
    }
}

fn rid(name: u8) -> HoldKey {
    HoldKey::derive("acme", "ada", &format!("r-{name}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn over_any_sequence_a_raise_gives_no_more_than_it_has_and_what_has_ended_gives_once(
        is_lift in any::<bool>(),
        is_path in any::<bool>(),
        units in prop_oneof![Just(TOKENS), Just(USD), Just(BOTH)],
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let kind = if is_lift { Kind::Lift } else { Kind::Raise };
        let mut account = Account::new(kind, units, is_path);
        for step in steps {
            account.act(step);
            account.check();
        }
    }
}

/// Tokens left of the upper and the lower cap, and the exemption's part of them.
fn tokens(account: &Account) -> (i128, i128, i64) {
    account.check();
    let rest = |level| account.cell().nodes[&counter(level, Unit::Tokens)];
    (rest(0), rest(1), account.given.tokens)
}

#[test]
fn an_answer_longer_than_a_raise_gave_is_a_debt_of_the_caps() {
    let mut account = Account::raise(BOTH);
    assert!(account.hold(0, of(100, 0)));
    assert_eq!(
        tokens(&account),
        (40, 0, 20),
        "20 are short at the lower cap"
    );
    account.settle(0, of(400, 0));
    assert_eq!(tokens(&account), (120 + 20 - 400, 80 + 20 - 400, 20));
    let others = account.request(1, Hold::default());
    assert_eq!(others.short(account.cell()).len(), 2, "nobody passes them");
}

#[test]
fn what_lapsed_gives_once_and_what_was_settled_or_given_back_no_more() {
    let mut account = Account::new(Kind::Lift, BOTH, true);
    for name in 0..3 {
        assert!(account.hold(name, of(200, 0)));
    }
    account.settle(0, of(150, 0));
    account.settle(1, Amounts::ZERO);
    account.lapse(2, false);
    assert_eq!(tokens(&account), (120, 80, 150));
    account.act(Step::Revoke);
    account.late(0, of(10, 0));
    account.late(1, of(10, 0));
    assert_eq!(tokens(&account), (100, 60, 150));
    account.late(2, of(210, 0));
    assert_eq!(tokens(&account), (90, 50, 350), "no more than was given");
    account.late(2, of(10, 0));
    assert_eq!(tokens(&account), (80, 40, 350));
}

#[test]
fn what_came_back_to_a_raise_and_was_used_by_others_is_not_given_again() {
    let mut account = Account::raise(TOKENS);
    assert!(account.hold(0, of(170, 0)));
    assert_eq!(tokens(&account), (40, 0, 90));
    account.lapse(0, false);
    assert!(account.hold(1, of(120, 0)));
    account.settle(1, of(120, 0));
    assert_eq!(tokens(&account), (40, 0, 40));
    account.late(0, of(170, 0));
    assert_eq!(tokens(&account), (120 + 90 - 290, 80 + 90 - 290, 90));
}

#[test]
fn late_usage_of_a_hold_that_was_charged_gives_the_raise_back_what_was_unused() {
    for (used, given) in [(170, 90), (100, 20), (50, 0), (400, 90)] {
        let mut account = Account::raise(TOKENS);
        assert!(account.hold(0, of(170, 0)));
        account.lapse(0, true);
        assert_eq!(tokens(&account), (120 + 90 - 170, 80 + 90 - 170, 90));
        account.late(0, of(used, 0));
        let (gives, uses) = (i128::from(given), i128::from(used));
        let expected = (120 + gives - uses, 80 + gives - uses, given);
        assert_eq!(tokens(&account), expected);
    }
}

#[test]
fn what_a_raise_has_left_must_still_be_there_when_late_usage_is_charged() {
    let mut account = Account::raise(TOKENS);
    assert!(account.hold(0, of(170, 0)));
    account.lapse(0, false);
    let ended = account.ended.remove(&0).unwrap();
    let late = LateUsage {
        lapsed: &ended.hold,
        paid: Amounts::ZERO,
        used: of(170, 0),
    };
    let charge = debit_late(HOME, account.cell(), &path(), late);
    // Another request is faster.
    assert!(account.hold(1, of(81, 0)));
    let before = account.cell.clone();
    let Err(NotApplied::Condition(condition)) = charge.apply(&mut account.cell) else {
        panic!("the raise gave more than it had");
    };
    assert!(matches!(*condition, Condition::AtLeast(..)));
    assert_eq!(account.cell, before);
}

#[test]
fn a_hold_that_grew_into_a_raise_gives_no_more_than_it_gained() {
    let mut account = Account::raise(TOKENS);
    assert!(account.hold(0, of(60, 0)));
    assert!(account.grow(0, of(50, 0)));
    assert_eq!(tokens(&account), (40, 0, 30));
    account.settle(0, of(200, 0));
    assert_eq!(tokens(&account), (120 + 30 - 200, 80 + 30 - 200, 30));
}

#[test]
fn what_a_hold_gained_after_its_end_goes_back_to_the_raise() {
    let mut account = Account::raise(TOKENS);
    assert!(account.hold(0, of(60, 0)));
    let ended = account.living[&0].clone();
    assert!(account.grow(0, of(50, 0)));
    let grown = &account.living[&0];
    // It was settled just before it grew.
    let charged = of(100, 0);
    finish_as([(&rid(0), grown, &ended, charged)])
        .apply(&mut account.cell)
        .unwrap();
    let cell = account.cell();
    assert_eq!(account.grant.used(cell), Amounts::ZERO);
    let rest = |level| cell.nodes[&counter(level, Unit::Tokens)];
    assert_eq!((rest(0), rest(1)), (120 - 100, 80 - 100));
}
