//! Laws of the cell, against a naive model: a list of holds and a list of charges, summed up for
//! each question.

use super::*;
use crate::domain::amount::{Amounts, Unit};
use crate::domain::exemption::grant::{Covers, Kind, Terms};
use crate::domain::ledger::hold::{Exempt, Hold};
use crate::domain::ledger::hold_id::HoldKey;
use crate::domain::ledger::node::Node;
use crate::domain::pricing::tokens::ServiceTier;
use crate::domain::samples;
use jiff::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A budget of the model: its limit, its hardness and its department.
struct ModelBudget {
    node: Node,
    limit: i128,
    hard: bool,
    under: u32,
}

#[derive(Default)]
struct Model {
    budgets: Vec<ModelBudget>,
    /// Live holds: department, amounts.
    live: BTreeMap<HoldKey, (u32, Amounts)>,
    /// Everything ever charged: department, amounts.
    charges: Vec<(u32, Amounts)>,
    /// One resolution for each hold.
    resolved: BTreeMap<HoldKey, Amounts>,
}

impl Model {
    /// Held and spent amounts below a department.
    fn used(&self, under: u32, unit: Unit) -> (i128, i128) {
        let counts = |department: u32| path(department).contains(&under);
        let live = self.live.values().filter(|(d, _)| counts(*d));
        let charges = self.charges.iter().filter(|(d, _)| counts(*d));
        (
            live.map(|(_, a)| a.of(unit)).sum(),
            charges.map(|(_, a)| a.of(unit)).sum(),
        )
    }

    fn rest(&self, under: u32, unit: Unit) -> i128 {
        let node = level(under, unit);
        let budget = self.budgets.iter().find(|budget| budget.node == node);
        let (held, spent) = self.used(under, unit);
        budget.map_or(0, |budget| budget.limit) - held - spent
    }

    fn hard_on(&self, department: u32) -> impl Iterator<Item = &ModelBudget> {
        let on_path = move |b: &&ModelBudget| b.hard && path(department).contains(&b.under);
        self.budgets.iter().filter(on_path)
    }
}

fn level(department: u32, unit: Unit) -> Node {
    let index = Node::level(Some(department));
    Node { unit, index }
}

/// The counters of a department and of the levels above it.
fn levels(department: u32) -> Vec<Node> {
    let both = |department| [Unit::Tokens, Unit::Usd].map(|unit| level(department, unit));
    let mut nodes: Vec<Node> = path(department).into_iter().flat_map(both).collect();
    nodes.sort_unstable();
    nodes
}

#[derive(Clone, Debug)]
enum Step {
    Hold {
        request: u8,
        department: u32,
        tokens: i64,
        pico_usd: i128,
        lives: u32,
    },
    Settle {
        request: u8,
        tokens: i64,
        pico_usd: i128,
    },
    Void {
        request: u8,
    },
    FinishAgain {
        request: u8,
    },
    ExpireAll,
    Usage {
        department: u32,
        tokens: i64,
        pico_usd: i128,
    },
    Raise {
        budget: usize,
        by: i128,
    },
    OpenBudget {
        unit: Unit,
        limit: i128,
        hard: bool,
        under: u32,
    },
    Tick {
        seconds: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let unit = prop_oneof![Just(Unit::Tokens), Just(Unit::Usd)];
    prop_oneof![
        6 => (0_u8..12, 0_u32..4, 0_i64..60, 0_i128..60, 1_u32..50)
            .prop_map(|(request, department, tokens, pico_usd, lives)| Step::Hold { request,
                department, tokens, pico_usd, lives }),
        4 => (0_u8..12, 0_i64..90, 0_i128..90)
            .prop_map(|(request, tokens, pico_usd)| Step::Settle { request, tokens, pico_usd }),
        2 => (0_u8..12).prop_map(|request| Step::Void { request }),
        2 => (0_u8..12).prop_map(|request| Step::FinishAgain { request }),
        1 => Just(Step::ExpireAll),
        2 => (0_u32..4, 0_i64..30, 0_i128..30)
            .prop_map(|(department, tokens, pico_usd)| Step::Usage { department, tokens,
                pico_usd }),
        1 => (0_usize..6, -40_i128..40).prop_map(|(budget, by)| Step::Raise { budget, by }),
        1 => (unit, 0_i128..200, any::<bool>(), 0_u32..4)
            .prop_map(|(unit, limit, hard, under)| Step::OpenBudget { unit, limit, hard, under }),
        1 => (1_u32..40).prop_map(|seconds| Step::Tick { seconds }),
    ]
}

/// Departments 0 > 1 > 2, and 3 beside them.
fn path(department: u32) -> Vec<u32> {
    match department {
        1 => vec![0, 1],
        2 => vec![0, 1, 2],
        other => vec![other],
    }
}

fn rid(request: u8) -> HoldKey {
    HoldKey::derive("acme", "ada", &format!("r-{request}"))
}

/// The real cell, driven as the store drives it. Every update is applied twice if a delivery could
/// repeat.
struct Real {
    cell: Option<Cell>,
    /// Each hold as a resolver remembers it, for delayed messages.
    known: BTreeMap<HoldKey, Hold>,
    now: u32,
}

impl Real {
    fn cell(&self) -> &Cell {
        self.cell.as_ref().unwrap()
    }

    fn finish_once(&mut self, rid: &HoldKey, hold: &Hold, charged: Amounts) {
        let update = finish([(rid, hold, charged)]);
        let first = update.apply(&mut self.cell);
        let after_once = self.cell.clone();
        assert!(
            update.apply(&mut self.cell).is_err(),
            "the second delivery changes nothing"
        );
        assert_eq!(self.cell, after_once);
        drop(first);
    }
}

fn hold_step(
    model: &mut Model,
    real: &mut Real,
    rid: HoldKey,
    department: u32,
    amounts: Amounts,
    lives: u32,
) {
    // A resolved request id is not used again here, because it would be a new hold.
    if model.resolved.contains_key(&rid) {
        return;
    }
    let request = HoldRequest {
        rid: rid.clone(),
        hold: Hold {
            department,
            tree: 0,
            fingerprint: [u8::try_from(amounts.tokens % 251).unwrap(); 8],
            nonce: [0; 3],
            expires_at: real.now + lives,
            extended_by: 0,
            tier: ServiceTier::Default,
            amounts,
            nodes: levels(department),
            exempt: None,
        },
        requests: 1,
        hard: model.hard_on(department).map(|b| b.node).collect(),
        epoch: 1,
        earlier: Default::default(),
        exemptions: Vec::new(),
    };
    let has_room = |b: &ModelBudget| model.rest(b.under, b.node.unit) >= amounts.of(b.node.unit);
    let fits = model.hard_on(department).all(has_room);
    let now = Timestamp::from_second(real.now.into()).unwrap();
    match request.update().apply(&mut real.cell) {
        Ok(()) => {
            assert!(
                fits && !model.live.contains_key(&rid),
                "a hold was admitted that does not fit"
            );
            real.known.insert(rid.clone(), request.hold.clone());
            model.live.insert(rid, (department, amounts));
        }
        Err(_) => match request.rejection(real.cell(), now) {
            HoldRejection::SameHold(_) | HoldRejection::BodyMismatch => {
                assert!(model.live.contains_key(&rid))
            }
            HoldRejection::Lapsed(lapsed) => {
                for (rid, hold) in lapsed {
                    model.live.remove(&rid);
                    model.resolved.insert(rid.clone(), Amounts::ZERO);
                    real.finish_once(&rid, &hold, Amounts::ZERO);
                }
            }
            HoldRejection::InsufficientBudget(short) => {
                assert!(!fits);
                for node in short {
                    let budget = model.budgets.iter().find(|b| b.node == node).unwrap();
                    assert!(
                        model.rest(budget.under, node.unit) < amounts.of(node.unit),
                        "a refusal names a node that was short"
                    );
                }
            }
            other => panic!("{other:?}"),
        },
    }
}

fn resolve_step(model: &mut Model, real: &mut Real, rid: &HoldKey, charged: Amounts) {
    let Some((department, _)) = model.live.remove(rid) else {
        return;
    };
    model.resolved.insert(rid.clone(), charged);
    model.charges.push((department, charged));
    let hold = real.cell().holds.get(rid).cloned().unwrap();
    real.finish_once(rid, &hold, charged);
}

fn run(steps: Vec<Step>) {
    let mut model = Model::default();
    let mut real = Real {
        cell: Some(Cell {
            epoch: 1,
            ..Cell::default()
        }),
        known: BTreeMap::new(),
        now: 100,
    };
    for step in steps {
        match step {
            Step::Hold {
                request,
                department,
                tokens,
                pico_usd,
                lives,
            } => {
                hold_step(
                    &mut model,
                    &mut real,
                    rid(request),
                    department,
                    Amounts::new(tokens, pico_usd),
                    lives,
                );
            }
            Step::Settle {
                request,
                tokens,
                pico_usd,
            } => {
                resolve_step(
                    &mut model,
                    &mut real,
                    &rid(request),
                    Amounts::new(tokens, pico_usd),
                );
            }
            Step::Void { request } => {
                resolve_step(&mut model, &mut real, &rid(request), Amounts::ZERO)
            }
            Step::FinishAgain { request } => {
                // A delayed duplicate of a resolution, with the hold as it was created.
                let name = rid(request);
                if let (Some(hold), Some(charged)) =
                    (real.known.get(&name).cloned(), model.resolved.get(&name))
                {
                    let before = real.cell.clone();
                    assert!(
                        finish([(&name, &hold, *charged)])
                            .apply(&mut real.cell)
                            .is_err()
                    );
                    assert_eq!(real.cell, before);
                }
            }
            Step::ExpireAll => {
                let now = Timestamp::from_second(real.now.into()).unwrap();
                let lapsed: Vec<(HoldKey, Hold)> = lapsed_holds(real.cell(), now, |_| true);
                let all = finish(lapsed.iter().map(|(r, h)| (r, h, Amounts::ZERO)));
                if !lapsed.is_empty() {
                    all.apply(&mut real.cell).unwrap();
                }
                for (rid, _) in lapsed {
                    model.live.remove(&rid);
                    model.resolved.insert(rid, Amounts::ZERO);
                }
            }
            Step::Usage {
                department,
                tokens,
                pico_usd,
            } => {
                let charged = Amounts::new(tokens, pico_usd);
                let charge = debit(HOME, &levels(department), charged);
                charge.apply(&mut real.cell).unwrap();
                model.charges.push((department, charged));
            }
            Step::Raise { budget, by } => {
                if let Some(budget) = model.budgets.get_mut(budget) {
                    let update = CellUpdate {
                        add: BTreeMap::from([(budget.node, by)]),
                        ..CellUpdate::default()
                    };
                    update.apply(&mut real.cell).unwrap();
                    budget.limit += by;
                }
            }
            Step::OpenBudget {
                unit,
                limit,
                hard,
                under,
            } => {
                let node = level(under, unit);
                if model.budgets.iter().any(|budget| budget.node == node) {
                    continue;
                }
                let update = CellUpdate {
                    add_or_begin: BTreeMap::from([(node, limit)]),
                    ..CellUpdate::default()
                };
                update.apply(&mut real.cell).unwrap();
                model.budgets.push(ModelBudget {
                    node,
                    limit,
                    hard,
                    under,
                });
            }
            Step::Tick { seconds } => real.now += seconds,
        }
        check(&model, real.cell());
    }
}

fn check(model: &Model, cell: &Cell) {
    assert_eq!(
        cell.holds.keys().collect::<Vec<_>>(),
        model.live.keys().collect::<Vec<_>>()
    );
    for under in 0..4 {
        for unit in [Unit::Tokens, Unit::Usd] {
            let node = level(under, unit);
            let rest = cell.nodes.get(&node).copied().unwrap_or(0);
            assert_eq!(rest, model.rest(under, unit), "conservation of {node:?}");
            let (held, _) = model.used(under, unit);
            assert_eq!(cell.held(node), held, "a hold counts at every level");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_operations_in_any_order_leave_the_cell_as_the_naive_model_has_it(
        first in prop::collection::vec(
            (prop_oneof![Just(Unit::Tokens), Just(Unit::Usd)], 0_i128..200, any::<bool>(),
                0_u32..4), 1..4),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let open = first.into_iter().map(|(unit, limit, hard, under)| Step::OpenBudget { unit,
            limit, hard, under });
        run(open.chain(steps).collect());
    }
}

fn token_cell(rests: &[i128]) -> Option<Cell> {
    let nodes = rests
        .iter()
        .zip(0..)
        .map(|(&rest, index)| (tokens_of(index), rest))
        .collect();
    Some(Cell {
        epoch: 1,
        nodes,
        ..Cell::default()
    })
}

fn request(tokens: i64, levels: u32) -> HoldRequest {
    let nodes: Vec<Node> = (0..levels).map(tokens_of).collect();
    HoldRequest {
        rid: rid(0),
        hold: Hold {
            department: 0,
            tree: 0,
            fingerprint: [7; 8],
            nonce: [0; 3],
            expires_at: 1_000,
            extended_by: 0,
            tier: ServiceTier::Default,
            amounts: Amounts::new(tokens, 0),
            nodes: nodes.clone(),
            exempt: None,
        },
        requests: 1,
        hard: nodes,
        epoch: 1,
        earlier: Default::default(),
        exemptions: Vec::new(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn exactly_what_remains_is_admitted_and_one_more_is_not() {
    let mut cell = token_cell(&[10, 5]);
    assert!(request(6, 2).update().apply(&mut cell).is_err());
    let short = HoldRejection::InsufficientBudget(vec![tokens_of(1)]);
    assert_eq!(
        request(6, 2).rejection(cell.as_ref().unwrap(), at(0)),
        short
    );
    request(5, 2).update().apply(&mut cell).unwrap();
    assert_eq!(
        cell.unwrap().nodes.into_values().collect::<Vec<_>>(),
        [5, 0]
    );
}

#[test]
fn zero_tokens_pass_at_zero_and_not_in_debt() {
    assert!(request(0, 1).update().apply(&mut token_cell(&[0])).is_ok());
    assert!(
        request(0, 1)
            .update()
            .apply(&mut token_cell(&[-1]))
            .is_err()
    );
}

#[test]
fn the_same_request_is_the_same_hold_until_it_lapses() {
    let mut cell = token_cell(&[100]);
    request(5, 1).update().apply(&mut cell).unwrap();
    let held = cell.unwrap();
    assert!(matches!(
        request(5, 1).rejection(&held, at(999)),
        HoldRejection::SameHold(_)
    ));
    assert!(matches!(
        request(5, 1).rejection(&held, at(1_000)),
        HoldRejection::Lapsed(_)
    ));
    let mut other = request(5, 1);
    other.hold.fingerprint = [8; 8];
    assert_eq!(other.rejection(&held, at(0)), HoldRejection::BodyMismatch);
}

#[test]
fn another_epoch_is_seen_before_a_shortage() {
    let mut stale = request(500, 1);
    stale.epoch = 0;
    assert_eq!(
        stale.rejection(&token_cell(&[10]).unwrap(), at(0)),
        HoldRejection::StaleConfiguration
    );
}

/// A cell with `rest` tokens left that is full of other users' holds, which end at 1,000.
fn full_cell(rest: i128) -> Cell {
    let mut cell = token_cell(&[rest]).unwrap();
    let hold = Hold {
        nodes: Vec::new(),
        ..request(1, 1).hold
    };
    for n in 0..MAX_HOLDS {
        cell.holds
            .insert(HoldKey::derive("acme", "bob", &n.to_string()), hold.clone());
    }
    cell
}

#[test]
fn a_full_cell_is_full_after_releasing_what_has_lapsed() {
    let cell = full_cell(1_000_000);
    assert_eq!(request(1, 1).rejection(&cell, at(0)), HoldRejection::Full);
    let HoldRejection::Lapsed(lapsed) = request(1, 1).rejection(&cell, at(2_000)) else {
        panic!("lapsed holds were not seen");
    };
    assert_eq!(lapsed.len(), MAX_RELEASED_AT_ONCE);
}

#[test]
fn a_full_cell_never_hides_that_a_cap_is_reached() {
    let cell = full_cell(9);
    let short = HoldRejection::InsufficientBudget(vec![tokens_of(0)]);
    assert_eq!(request(10, 1).rejection(&cell, at(0)), short);
    assert_eq!(
        request(10, 1).rejection(&cell, at(2_000)),
        short,
        "places that come free help nobody who is refused by a counter"
    );
    assert_eq!(request(9, 1).rejection(&cell, at(0)), HoldRejection::Full);
}

#[test]
fn a_level_begins_at_zero_and_no_update_makes_a_cell_or_a_raise_out_of_nothing() {
    assert!(request(1, 1).update().apply(&mut None).is_err());
    let mut cell = token_cell(&[1]);
    let level = tokens_of(9);
    let charge = debit(HOME, &[level], Amounts::new(4, 0));
    charge.apply(&mut cell).unwrap();
    assert_eq!(cell.as_ref().unwrap().nodes[&level], -4);
    let of_raise = Node {
        unit: Unit::Tokens,
        index: Node::exemption(0),
    };
    let under_a_raise = Hold {
        amounts: Amounts::new(4, 0),
        nodes: vec![of_raise],
        exempt: Some(Exempt {
            index: of_raise.index,
            is_limited: true,
            covered: vec![level],
            given: Amounts::new(4, 0),
        }),
        ..Hold::default()
    };
    let late = LateUsage {
        lapsed: &under_a_raise,
        paid: Amounts::ZERO,
        used: Amounts::new(4, 0),
    };
    let charge = debit_late(HOME, cell.as_ref().unwrap(), &[level], late);
    charge.apply(&mut cell).unwrap();
    assert_eq!(cell.as_ref().unwrap().nodes[&level], -8);
    let asked = HoldRequest {
        hold: under_a_raise,
        hard: Vec::new(),
        ..request(4, 1)
    };
    assert_eq!(
        asked.update().apply(&mut cell),
        Err(NotApplied::NoSuchNode(of_raise))
    );
}

#[test]
fn what_one_update_releases_fits_into_one_expression() {
    let mut cell = Cell::default();
    for n in 0..60_u32 {
        let mut hold = request(1, 1).hold;
        hold.nodes = (0..18).map(|k| tokens_of(n * 18 + k)).collect();
        cell.holds
            .insert(HoldKey::derive("acme", "bob", &n.to_string()), hold);
    }
    let lapsed = lapsed_holds(&cell, at(2_000), |_| true);
    assert_eq!(lapsed.len(), 4, "18 counters each");
    for hold in cell.holds.values_mut() {
        hold.exempt = Some(Exempt {
            index: Node::exemption(2_500),
            is_limited: true,
            covered: std::mem::take(&mut hold.nodes),
            given: hold.amounts,
        });
    }
    let exempt = lapsed_holds(&cell, at(2_000), |_| true);
    assert_eq!(exempt.len(), 2, "18 covered counters take twice the room");
    assert_eq!(lapsed_holds(&cell, at(0), |_| true), []);
}

#[test]
fn an_exemption_has_a_counter_from_its_first_hold_on_and_gives_no_more_than_it_has() {
    let exempted = Exempted::new(Kind::Raise, true);
    let own = exempted.grant.counter(Unit::Tokens);
    let mut cell = token_cell(&LIMITS);
    let used = |cell: &Option<Cell>| exempted.grant.used(cell.as_ref().unwrap()).tokens;
    assert_eq!(used(&cell), 0);
    let obstacle = |cell: &Option<Cell>, tokens| {
        let asked = exempted.asked(0, tokens);
        asked.rejection(cell.as_ref().unwrap(), at(0))
    };
    // The lower cap has 80 left. The raise gives 90.
    let too_much = obstacle(&cell, 171);
    assert!(
        matches!(too_much, HoldRejection::InsufficientBudget(_)),
        "{too_much:?}"
    );
    let HoldRejection::Exempt(candidate) = obstacle(&cell, 170) else {
        panic!("it has enough");
    };
    let mut used_meanwhile = cell.clone();
    used_meanwhile.as_mut().unwrap().nodes.insert(own, 89);
    assert!(candidate.update().apply(&mut used_meanwhile).is_err());
    candidate.update().apply(&mut cell).unwrap();
    assert_eq!(cell.as_ref().unwrap().nodes[&own], 0);
    assert_eq!(used(&cell), 90);
    let settled = finish([(&rid(0), &candidate.hold, Amounts::new(100, 0))]);
    settled.apply(&mut cell).unwrap();
    assert_eq!(cell.as_ref().unwrap().nodes[&own], 70);
    assert_eq!(used(&cell), 20);
}

#[test]
fn a_carry_is_kept_at_a_level_without_a_budget() {
    let mut cell = token_cell(&[40]);
    let carried = BTreeMap::from([(tokens_of(0), 7), (tokens_of(1), 5)]);
    for _ in 0..2 {
        let update = carry(cell.as_ref().unwrap(), &carried);
        update.apply(&mut cell).unwrap();
        let cell = cell.as_ref().unwrap();
        let counted = BTreeMap::from([(tokens_of(0), 7), (tokens_of(1), 5)]);
        assert_eq!(cell.carried, counted);
        let rests = [tokens_of(0), tokens_of(1)].map(|node| cell.nodes[&node]);
        assert_eq!(rests, [47, 5], "done again, it changes nothing more");
    }
}

#[derive(Clone, Debug)]
enum ExemptStep {
    Hold { request: u8, tokens: i64 },
    Settle { request: u8, tokens: i64 },
    Usage { tokens: i64 },
}

fn exempt_step() -> impl Strategy<Value = ExemptStep> {
    prop_oneof![
        6 => (0_u8..10, 0_i64..50).prop_map(|(request, tokens)| ExemptStep::Hold { request,
            tokens }),
        4 => (0_u8..10, 0_i64..70).prop_map(|(request, tokens)| ExemptStep::Settle { request,
            tokens }),
        1 => (0_i64..20).prop_map(|tokens| ExemptStep::Usage { tokens }),
    ]
}

const LIMITS: [i128; 2] = [120, 80];
const RAISED: i64 = 90;

fn whole(tokens: i128) -> i64 {
    tokens.try_into().unwrap()
}

fn tokens_of(level: u32) -> Node {
    Node {
        unit: Unit::Tokens,
        index: 2 * level,
    }
}

/// Two caps on a path and an exemption from both, or from the second only.
struct Exempted {
    cell: Option<Cell>,
    grant: Grant,
    covered: Vec<Node>,
    /// The charges of all usage of the path.
    spent: i64,
    /// Holds in the cell, by request.
    living: BTreeMap<u8, Hold>,
    /// The exemption's amount, held or spent.
    given: i64,
    /// True if there was usage without a hold: a counter may be in debt then.
    was_unheld: bool,
}

impl Exempted {
    fn new(kind: Kind, is_path: bool) -> Self {
        let terms = Terms {
            user_id: "ada".to_owned(),
            kind,
            tokens: (kind == Kind::Raise).then_some(RAISED),
            micro_usd: None,
            covers: Covers::Path,
            starts_at: Timestamp::MIN,
            ends_at: Timestamp::MAX,
        };
        let grant = Grant {
            id: "exm_1".to_owned(),
            index: Node::exemption(3),
            terms,
        };
        let mut cell = token_cell(&LIMITS);
        let open = CellUpdate {
            begin: grant.opens().into_iter().collect(),
            ..CellUpdate::default()
        };
        open.apply(&mut cell).unwrap();
        Self {
            cell,
            grant,
            covered: if is_path {
                vec![tokens_of(0), tokens_of(1)]
            } else {
                vec![tokens_of(1)]
            },
            spent: 0,
            living: BTreeMap::new(),
            given: 0,
            was_unheld: false,
        }
    }

    /// The exemption's part of a charge: the caps pay first, up to their part of the hold. A raise
    /// gives at most its part of the hold.
    fn given_of(&self, hold: &Hold, charged: i64) -> i64 {
        if hold.exempt.is_none() {
            return 0;
        }
        let given = hold.given().tokens;
        let beyond = (charged - (hold.amounts.tokens - given)).max(0);
        match self.grant.is_limited() {
            true => beyond.min(given),
            false => beyond,
        }
    }

    fn rest(&self, node: Node) -> i64 {
        whole(self.cell.as_ref().unwrap().nodes[&node])
    }

    fn asked(&self, name: u8, tokens: i64) -> HoldRequest {
        let mut asked = request(tokens, 2);
        asked.rid = rid(name);
        asked.exemptions = vec![UsableExemption {
            grant: self.grant.clone(),
            covered: self.covered.clone(),
        }];
        asked
    }

    fn hold(&mut self, name: u8, tokens: i64) {
        if self.living.contains_key(&name) {
            return;
        }
        let asked = self.asked(name, tokens);
        let fits = |node: &Node| self.rest(*node) >= tokens;
        let path = [tokens_of(0), tokens_of(1)];
        let is_plain = path.iter().all(fits);
        let short_is_covered = path.iter().all(|n| fits(n) || self.covered.contains(n));
        let own = self.grant.counter(Unit::Tokens);
        let short = path.iter().filter(|node| !fits(node));
        let least = short.map(|node| self.rest(*node).max(0)).min();
        let left = least.unwrap_or(tokens);
        let missing = tokens - if self.grant.is_limited() { left } else { 0 };
        let is_enough = !self.grant.is_limited() || self.rest(own) >= missing;
        let is_exempt = short_is_covered && is_enough;
        let obstacle = match asked.update().apply(&mut self.cell) {
            Ok(()) => {
                assert!(is_plain, "admitted by caps that have less");
                self.living.insert(name, asked.hold);
                return;
            }
            Err(_) => asked.rejection(self.cell.as_ref().unwrap(), at(0)),
        };
        assert!(!is_plain, "refused though it fits");
        match obstacle {
            HoldRejection::Exempt(candidate) => {
                assert!(is_exempt, "an exemption gave what it has not");
                candidate.update().apply(&mut self.cell).unwrap();
                assert_eq!(
                    candidate.hold.given().tokens,
                    missing,
                    "only what is missing"
                );
                self.given += missing;
                self.living.insert(name, candidate.hold);
            }
            HoldRejection::InsufficientBudget(_) => {
                assert!(!is_exempt, "the exemption was not asked")
            }
            other => panic!("{other:?}"),
        }
    }

    fn act(&mut self, step: ExemptStep) {
        match step {
            ExemptStep::Hold { request, tokens } => self.hold(request, tokens),
            ExemptStep::Settle { request, tokens } => {
                let Some(hold) = self.living.remove(&request) else {
                    return;
                };
                let charged = Amounts::new(tokens, 0);
                finish([(&rid(request), &hold, charged)])
                    .apply(&mut self.cell)
                    .unwrap();
                self.spent += tokens;
                self.was_unheld |= tokens > hold.amounts.tokens;
                self.given += self.given_of(&hold, tokens) - hold.given().tokens;
            }
            ExemptStep::Usage { tokens } => {
                let path = [tokens_of(0), tokens_of(1)];
                debit(HOME, &path, Amounts::new(tokens, 0))
                    .apply(&mut self.cell)
                    .unwrap();
                self.spent += tokens;
                self.was_unheld = true;
            }
        }
    }

    fn check(&self) {
        let cell = self.cell.as_ref().unwrap();
        for (node, limit) in [tokens_of(0), tokens_of(1)].into_iter().zip(LIMITS) {
            let held = whole(cell.held(node) + cell.held_exempt(node));
            let all: i64 = self.living.values().map(|hold| hold.amounts.tokens).sum();
            assert_eq!(
                held, all,
                "every hold of the path is seen at each of its caps"
            );
            let limit = whole(limit + cell.exempted(node));
            assert_eq!(limit, self.rest(node) + held + self.spent, "conservation");
            let given = if self.covered.contains(&node) {
                self.given
            } else {
                0
            };
            assert_eq!(cell.exempted(node), given.into());
            assert!(self.was_unheld || self.rest(node) >= 0, "overshoot");
        }
        let own = self.grant.opens()[0];
        assert_eq!(whole(own.1) - self.rest(own.0), self.given);
        assert!(!self.grant.is_limited() || self.given <= RAISED);
        assert_eq!(self.grant.used(cell).tokens, self.given);
    }
}

proptest! {
    #[test]
    fn exemptions_keep_the_books_and_give_no_more_than_they_have(
        is_lift in any::<bool>(),
        is_path in any::<bool>(),
        steps in proptest::collection::vec(exempt_step(), 0..60),
    ) {
        let kind = if is_lift { Kind::Lift } else { Kind::Raise };
        let mut exempted = Exempted::new(kind, is_path);
        for step in steps {
            exempted.act(step);
            exempted.check();
        }
    }
}

#[test]
fn a_raise_adds_to_what_is_left_and_gives_that_much_and_no_more() {
    let mut exempted = Exempted::new(Kind::Raise, true);
    // The lower cap has 80 left and the one above 120. The raise gives 90.
    exempted.hold(0, 171);
    assert!(exempted.living.is_empty(), "one more than both together");
    exempted.hold(0, 150);
    assert_eq!((exempted.given, exempted.living.len()), (70, 1));
    exempted.check();
    // Only 100 were used: the caps pay up to their part, the rest of the raise is returned.
    exempted.act(ExemptStep::Settle {
        request: 0,
        tokens: 100,
    });
    assert_eq!(exempted.given, 20);
    exempted.hold(1, 71);
    assert!(exempted.living.is_empty());
    exempted.hold(1, 70);
    assert_eq!((exempted.given, exempted.living.len()), (90, 1));
    exempted.check();
}

#[test]
fn a_cell_that_is_opened_has_what_its_budgets_give_beyond_what_is_spent_and_held() {
    let node = |unit| samples::counter(Some("eng"), unit);
    let under_a_raise = Hold {
        exempt: Some(Exempt {
            is_limited: true,
            index: Node::exemption(0),
            covered: vec![node(Unit::Usd)],
            given: Amounts::new(0, 5_300),
        }),
        ..samples::hold(1_020, 21_300)
    };
    let behind = Cell {
        carried: BTreeMap::from([(node(Unit::Tokens), 45)]),
        exempted: BTreeMap::from([(node(Unit::Usd), 7_700)]),
        holds: BTreeMap::from([(rid(1), under_a_raise)]),
        ..Cell::default()
    };
    let budgets = [(Unit::Tokens, 10_007), (Unit::Usd, 90_001)];
    let budgets = budgets.map(|(unit, amount)| samples::budget(Some("eng"), unit, amount));
    let configuration = samples::configuration(budgets);
    let spent = |id: Option<&str>| match id {
        Some("sales") => Amounts::ZERO,
        _ => Amounts::new(333, 4_567),
    };
    let period = samples::month("2026-11");
    let cell = Cell::open(&configuration, period, Some(&behind), spent);
    assert_eq!(cell.nodes[&node(Unit::Tokens)], 10_007 + 45 - 333 - 1_020);
    assert_eq!(
        cell.nodes[&node(Unit::Usd)],
        90_001_000_000 + 7_700 - 4_567 - 21_300
    );
    let without_budget = samples::counter(None, Unit::Usd);
    assert_eq!(cell.nodes[&without_budget], -4_567 - 21_300);
    assert!(
        !cell
            .nodes
            .contains_key(&samples::counter(Some("sales"), Unit::Usd))
    );
}

#[test]
fn a_carry_that_is_corrected_changes_its_counter_by_the_difference() {
    let mut cell = token_cell(&[523]);
    let before = BTreeMap::from([(tokens_of(0), 44)]);
    cell.as_mut().unwrap().carried = before;
    let corrected = BTreeMap::from([(tokens_of(0), 31), (tokens_of(1), 7)]);
    for _ in 0..2 {
        let update = carry(cell.as_ref().unwrap(), &corrected);
        update.apply(&mut cell).unwrap();
        let cell = cell.as_ref().unwrap();
        let nodes = BTreeMap::from([(tokens_of(0), 510), (tokens_of(1), 7)]);
        assert_eq!(cell.nodes, nodes);
        let counted = BTreeMap::from([(tokens_of(0), 31), (tokens_of(1), 7)]);
        assert_eq!(cell.carried, counted);
    }
}

#[test]
fn a_hold_grows_only_by_the_configuration_that_its_cell_agrees_with() {
    let mut cell = token_cell(&[100]);
    let asked = request(30, 1);
    asked.update().apply(&mut cell).unwrap();
    let mut gain = request(12, 1);
    gain.epoch = 0;
    let (update, _) = gain.growth(&asked.hold, 2_000).unwrap();
    assert!(update.apply(&mut cell).is_err());
    gain.epoch = 1;
    let (update, after) = gain.growth(&asked.hold, 2_000).unwrap();
    update.apply(&mut cell).unwrap();
    let cell = cell.unwrap();
    assert_eq!(cell.nodes[&tokens_of(0)], 58);
    assert_eq!(cell.holds[&rid(0)], after);
    assert_eq!((after.amounts.tokens, after.expires_at), (42, 2_000));
}
