//! Laws of the cell, against a naive model: a list of holds and a list of charges, summed anew for each question.

use super::*;
use crate::domain::amount::{Amounts, Unit};
use crate::domain::exemption::{Covers, Kind, Terms};
use crate::domain::hold::{Exempt, Hold, Node, Rid};
use jiff::Timestamp;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A budget of the model: its limit, whether it is hard, and which departments count in it.
struct ModelBudget {
    node: Node,
    limit: i64,
    hard: bool,
    members: Vec<u32>,
}

#[derive(Default)]
struct Model {
    budgets: Vec<ModelBudget>,
    /// Live holds: department, amounts.
    live: BTreeMap<Rid, (u32, Amounts)>,
    /// Everything ever charged: department, amounts.
    charges: Vec<(u32, Amounts)>,
    /// One resolution for each hold.
    resolved: BTreeMap<Rid, Amounts>,
}

impl Model {
    fn rest(&self, budget: &ModelBudget) -> i64 {
        let unit = budget.node.unit;
        let counts = |department: &u32| budget.members.contains(department);
        let held: i64 = self
            .live
            .values()
            .filter(|(d, _)| counts(d))
            .map(|(_, a)| a.of(unit))
            .sum();
        let spent: i64 = self
            .charges
            .iter()
            .filter(|(d, _)| counts(d))
            .map(|(_, a)| a.of(unit))
            .sum();
        budget.limit - held - spent
    }

    fn on(&self, department: u32) -> impl Iterator<Item = &ModelBudget> {
        self.budgets
            .iter()
            .filter(move |b| b.members.contains(&department))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Hold {
        request: u8,
        department: u32,
        tokens: i64,
        micro_usd: i64,
        lives: u32,
    },
    Settle {
        request: u8,
        tokens: i64,
        micro_usd: i64,
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
        micro_usd: i64,
    },
    Raise {
        budget: usize,
        by: i64,
    },
    OpenBudget {
        unit: Unit,
        limit: i64,
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
        6 => (0_u8..12, 0_u32..4, 0_i64..60, 0_i64..60, 1_u32..50)
            .prop_map(|(request, department, tokens, micro_usd, lives)| Step::Hold { request, department, tokens, micro_usd, lives }),
        4 => (0_u8..12, 0_i64..90, 0_i64..90)
            .prop_map(|(request, tokens, micro_usd)| Step::Settle { request, tokens, micro_usd }),
        2 => (0_u8..12).prop_map(|request| Step::Void { request }),
        2 => (0_u8..12).prop_map(|request| Step::FinishAgain { request }),
        1 => Just(Step::ExpireAll),
        2 => (0_u32..4, 0_i64..30, 0_i64..30)
            .prop_map(|(department, tokens, micro_usd)| Step::Usage { department, tokens, micro_usd }),
        1 => (0_usize..6, -40_i64..40).prop_map(|(budget, by)| Step::Raise { budget, by }),
        1 => (unit, 0_i64..200, any::<bool>(), 0_u32..4)
            .prop_map(|(unit, limit, hard, under)| Step::OpenBudget { unit, limit, hard, under }),
        1 => (1_u32..40).prop_map(|seconds| Step::Tick { seconds }),
    ]
}

/// Departments 0 > 1 > 2, and 3 beside them: the members of a budget under each.
fn subtree(under: u32) -> Vec<u32> {
    match under {
        0 => vec![0, 1, 2],
        1 => vec![1, 2],
        other => vec![other],
    }
}

fn rid(request: u8) -> Rid {
    Rid::derive("acme", "ada", &format!("r-{request}"))
}

/// The real cell, driven as the store drives it, with every update applied twice where a delivery could repeat.
struct Real {
    cell: Option<Cell>,
    /// What a resolver remembers of each hold, as a delayed message would.
    known: BTreeMap<Rid, Hold>,
    now: u32,
}

impl Real {
    fn cell(&self) -> &Cell {
        self.cell.as_ref().unwrap()
    }

    fn finish_once(&mut self, rid: &Rid, hold: &Hold, charged: Amounts) {
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
    rid: Rid,
    department: u32,
    amounts: Amounts,
    lives: u32,
) {
    // A request id that was resolved is not used again here; a hold of it would be a new one.
    if model.resolved.contains_key(&rid) {
        return;
    }
    let nodes: Vec<Node> = model
        .on(department)
        .map(|b| b.node)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let request = HoldRequest {
        rid: rid.clone(),
        hold: Hold {
            department,
            tree: 0,
            fingerprint: [u8::try_from(amounts.tokens % 251).unwrap(); 8],
            nonce: [0; 3],
            expires_at: real.now + lives,
            amounts,
            nodes,
            exempt: None,
        },
        hard: model
            .on(department)
            .filter(|b| b.hard)
            .map(|b| b.node)
            .collect(),
        epoch: 1,
        exempt: Vec::new(),
    };
    let fits = model
        .on(department)
        .filter(|b| b.hard)
        .all(|b| model.rest(b) >= amounts.of(b.node.unit));
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
        Err(_) => match request.obstacle(real.cell(), now) {
            Obstacle::SameHold(_) | Obstacle::AnotherBody => assert!(model.live.contains_key(&rid)),
            Obstacle::Lapsed(lapsed) => {
                for (rid, hold) in lapsed {
                    model.live.remove(&rid);
                    model.resolved.insert(rid.clone(), Amounts::ZERO);
                    real.finish_once(&rid, &hold, Amounts::ZERO);
                }
            }
            Obstacle::Short(short) => {
                assert!(!fits);
                for node in short {
                    let budget = model.budgets.iter().find(|b| b.node == node).unwrap();
                    assert!(
                        model.rest(budget) < amounts.of(node.unit),
                        "a refusal names a node that was short"
                    );
                }
            }
            other => panic!("{other:?}"),
        },
    }
}

fn resolve_step(model: &mut Model, real: &mut Real, rid: &Rid, charged: Amounts) {
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
                micro_usd,
                lives,
            } => {
                hold_step(
                    &mut model,
                    &mut real,
                    rid(request),
                    department,
                    Amounts::new(tokens, micro_usd),
                    lives,
                );
            }
            Step::Settle {
                request,
                tokens,
                micro_usd,
            } => {
                resolve_step(
                    &mut model,
                    &mut real,
                    &rid(request),
                    Amounts::new(tokens, micro_usd),
                );
            }
            Step::Void { request } => {
                resolve_step(&mut model, &mut real, &rid(request), Amounts::ZERO)
            }
            Step::FinishAgain { request } => {
                // A delayed duplicate of a resolution, with the hold as it was when it was made.
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
                let lapsed: Vec<(Rid, Hold)> = lapsed_holds(real.cell(), now, |_| true);
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
                micro_usd,
            } => {
                let charged = Amounts::new(tokens, micro_usd);
                let nodes: Vec<Node> = model.on(department).map(|b| b.node).collect();
                debit(&nodes, None, charged).apply(&mut real.cell).unwrap();
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
                let index = u32::try_from(model.budgets.len()).unwrap();
                let node = Node { unit, index };
                let members = subtree(under);
                let counts = |department: &u32| members.contains(department);
                let spent = model
                    .charges
                    .iter()
                    .filter(|(d, _)| counts(d))
                    .map(|(_, a)| a.of(unit))
                    .sum();
                let holds = real
                    .cell()
                    .holds
                    .iter()
                    .filter(|(_, h)| counts(&h.department))
                    .map(|(r, _)| r.clone());
                let holds: BTreeSet<Rid> = holds.collect();
                let update = open_node(real.cell(), node, limit, spent, &holds);
                update.apply(&mut real.cell).unwrap();
                let stale = update.apply(&mut real.cell);
                assert!(matches!(
                    stale,
                    Err(NotApplied::Condition(Condition::VersionIs(_)))
                ));
                model.budgets.push(ModelBudget {
                    node,
                    limit,
                    hard,
                    members,
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
    for budget in &model.budgets {
        assert_eq!(
            cell.nodes[&budget.node],
            model.rest(budget),
            "conservation of {:?}",
            budget.node
        );
        let held: i64 = model
            .live
            .values()
            .filter(|(d, _)| budget.members.contains(d))
            .map(|(_, a)| a.of(budget.node.unit))
            .sum();
        assert_eq!(
            cell.held(budget.node),
            held,
            "a hold counts at all levels or none"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_operations_in_any_order_leave_the_cell_as_the_naive_model_has_it(
        first in prop::collection::vec(
            (prop_oneof![Just(Unit::Tokens), Just(Unit::Usd)], 0_i64..200, any::<bool>(), 0_u32..4), 1..4),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let open = first.into_iter().map(|(unit, limit, hard, under)| Step::OpenBudget { unit, limit, hard, under });
        run(open.chain(steps).collect());
    }
}

fn token_cell(rests: &[i64]) -> Option<Cell> {
    let nodes = rests
        .iter()
        .zip(0..)
        .map(|(&rest, index)| {
            (
                Node {
                    unit: Unit::Tokens,
                    index,
                },
                rest,
            )
        })
        .collect();
    Some(Cell {
        epoch: 1,
        nodes,
        ..Cell::default()
    })
}

fn request(tokens: i64, levels: u32) -> HoldRequest {
    let nodes: Vec<Node> = (0..levels)
        .map(|index| Node {
            unit: Unit::Tokens,
            index,
        })
        .collect();
    HoldRequest {
        rid: rid(0),
        hold: Hold {
            department: 0,
            tree: 0,
            fingerprint: [7; 8],
            nonce: [0; 3],
            expires_at: 1_000,
            amounts: Amounts::new(tokens, 0),
            nodes: nodes.clone(),
            exempt: None,
        },
        hard: nodes,
        epoch: 1,
        exempt: Vec::new(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn exactly_what_remains_is_admitted_and_one_more_is_not() {
    let mut cell = token_cell(&[10, 5]);
    assert!(request(6, 2).update().apply(&mut cell).is_err());
    let short = Obstacle::Short(vec![Node {
        unit: Unit::Tokens,
        index: 1,
    }]);
    assert_eq!(request(6, 2).obstacle(cell.as_ref().unwrap(), at(0)), short);
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
        request(5, 1).obstacle(&held, at(999)),
        Obstacle::SameHold(_)
    ));
    assert!(matches!(
        request(5, 1).obstacle(&held, at(1_000)),
        Obstacle::Lapsed(_)
    ));
    let mut other = request(5, 1);
    other.hold.fingerprint = [8; 8];
    assert_eq!(other.obstacle(&held, at(0)), Obstacle::AnotherBody);
}

#[test]
fn another_epoch_is_seen_before_a_shortage() {
    let mut stale = request(500, 1);
    stale.epoch = 0;
    assert_eq!(
        stale.obstacle(&token_cell(&[10]).unwrap(), at(0)),
        Obstacle::AnotherEpoch
    );
}

/// A cell with `rest` tokens left and as many holds of others as it takes, which end at 1,000.
fn full_cell(rest: i64) -> Cell {
    let mut cell = token_cell(&[rest]).unwrap();
    let hold = Hold {
        nodes: Vec::new(),
        ..request(1, 1).hold
    };
    for n in 0..MAX_HOLDS {
        cell.holds
            .insert(Rid::derive("acme", "bob", &n.to_string()), hold.clone());
    }
    cell
}

#[test]
fn a_full_cell_is_full_after_releasing_what_has_lapsed() {
    let cell = full_cell(1_000_000);
    assert_eq!(request(1, 1).obstacle(&cell, at(0)), Obstacle::Full);
    let Obstacle::Lapsed(lapsed) = request(1, 1).obstacle(&cell, at(2_000)) else {
        panic!("lapsed holds were not seen");
    };
    assert_eq!(lapsed.len(), MAX_RELEASED_AT_ONCE);
}

#[test]
fn a_full_cell_never_hides_that_a_cap_is_reached() {
    let cell = full_cell(9);
    let short = Obstacle::Short(vec![tokens_of(0)]);
    assert_eq!(request(10, 1).obstacle(&cell, at(0)), short);
    assert_eq!(
        request(10, 1).obstacle(&cell, at(2_000)),
        short,
        "places that come free help nobody who is refused by a counter"
    );
    assert_eq!(request(9, 1).obstacle(&cell, at(0)), Obstacle::Full);
}

#[test]
fn no_update_makes_a_cell_or_a_counter_out_of_nothing() {
    assert!(request(1, 1).update().apply(&mut None).is_err());
    let unknown = Node {
        unit: Unit::Usd,
        index: 9,
    };
    assert_eq!(
        debit(&[unknown], None, Amounts::new(0, 1)).apply(&mut token_cell(&[1])),
        Err(NotApplied::NoSuchNode(unknown))
    );
}

#[test]
fn what_one_update_releases_fits_into_one_expression() {
    let mut cell = Cell::default();
    for n in 0..60_u32 {
        let mut hold = request(1, 1).hold;
        hold.nodes = (0..18)
            .map(|k| Node {
                unit: Unit::Tokens,
                index: n * 18 + k,
            })
            .collect();
        cell.holds
            .insert(Rid::derive("acme", "bob", &n.to_string()), hold);
    }
    let lapsed = lapsed_holds(&cell, at(2_000), |_| true);
    assert_eq!(lapsed.len(), 5, "18 counters each");
    for hold in cell.holds.values_mut() {
        hold.exempt = Some(Exempt {
            index: 5_000,
            covered: std::mem::take(&mut hold.nodes),
        });
    }
    let exempt = lapsed_holds(&cell, at(2_000), |_| true);
    assert_eq!(exempt.len(), 1, "what is said of 18 is three times as long");
    assert_eq!(lapsed_holds(&cell, at(0), |_| true), []);
}

#[derive(Clone, Debug)]
enum ExemptStep {
    Hold { request: u8, tokens: i64 },
    Settle { request: u8, tokens: i64 },
    Late { request: u8, tokens: i64 },
    Usage { tokens: i64 },
}

fn exempt_step() -> impl Strategy<Value = ExemptStep> {
    prop_oneof![
        6 => (0_u8..10, 0_i64..50).prop_map(|(request, tokens)| ExemptStep::Hold { request, tokens }),
        4 => (0_u8..10, 0_i64..70).prop_map(|(request, tokens)| ExemptStep::Settle { request, tokens }),
        1 => (0_u8..10, 0_i64..30).prop_map(|(request, tokens)| ExemptStep::Late { request, tokens }),
        1 => (0_i64..20).prop_map(|tokens| ExemptStep::Usage { tokens }),
    ]
}

const LIMITS: [i64; 2] = [120, 80];
const RAISED: i64 = 90;

fn tokens_of(index: u32) -> Node {
    Node {
        unit: Unit::Tokens,
        index,
    }
}

/// Two caps on a path and an exemption from both, or from the second only.
struct Exempted {
    cell: Option<Cell>,
    grant: Grant,
    covered: Vec<Node>,
    /// What every usage of the path was charged.
    spent: i64,
    /// Holds that are in the cell, and those that ended, by request.
    living: BTreeMap<u8, Hold>,
    ended: BTreeMap<u8, Hold>,
    /// What is held or spent of the exemption.
    given: i64,
    /// Whether something was used that no hold stood for: a counter may be in debt then.
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
            index: 7,
            terms,
        };
        let mut cell = token_cell(&LIMITS);
        let open = CellUpdate {
            open: grant.opens().into_iter().collect(),
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
            ended: BTreeMap::new(),
            given: 0,
            was_unheld: false,
        }
    }

    fn rest(&self, node: Node) -> i64 {
        self.cell.as_ref().unwrap().nodes[&node]
    }

    fn asked(&self, name: u8, tokens: i64) -> HoldRequest {
        let mut asked = request(tokens, 2);
        asked.rid = rid(name);
        asked.exempt = asked
            .under(&self.grant, &self.covered)
            .into_iter()
            .collect();
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
        let is_exempt = short_is_covered && (!self.grant.is_limited() || fits(&own));
        let obstacle = match asked.update().apply(&mut self.cell) {
            Ok(()) => {
                assert!(is_plain, "admitted by caps that have less");
                self.living.insert(name, asked.hold);
                return;
            }
            Err(_) => asked.obstacle(self.cell.as_ref().unwrap(), at(0)),
        };
        assert!(!is_plain, "refused though it fits");
        match obstacle {
            Obstacle::Exempt(way) => {
                assert!(is_exempt, "an exemption gave what it has not");
                way.update().apply(&mut self.cell).unwrap();
                self.given += tokens;
                self.living.insert(name, way.hold);
            }
            Obstacle::Short(_) => assert!(!is_exempt, "the exemption was not asked"),
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
                if hold.exempt.is_some() {
                    self.given += tokens - hold.amounts.tokens;
                }
                self.ended.insert(request, hold);
            }
            ExemptStep::Late { request, tokens } => {
                let Some(hold) = self.ended.get(&request) else {
                    return;
                };
                let path = [tokens_of(0), tokens_of(1)];
                debit(&path, Some(hold), Amounts::new(tokens, 0))
                    .apply(&mut self.cell)
                    .unwrap();
                self.spent += tokens;
                self.was_unheld = true;
                self.given += if hold.exempt.is_some() { tokens } else { 0 };
            }
            ExemptStep::Usage { tokens } => {
                let path = [tokens_of(0), tokens_of(1)];
                debit(&path, None, Amounts::new(tokens, 0))
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
            let held = cell.held(node) + cell.held_exempt(node);
            let all: i64 = self.living.values().map(|hold| hold.amounts.tokens).sum();
            assert_eq!(
                held, all,
                "every hold of the path is seen at each of its caps"
            );
            let limit = limit + cell.exempted(node);
            assert_eq!(limit, self.rest(node) + held + self.spent, "conservation");
            let given = if self.covered.contains(&node) {
                self.given
            } else {
                0
            };
            assert_eq!(cell.exempted(node), given);
            assert!(self.was_unheld || self.rest(node) >= 0, "overshoot");
        }
        let own = self.grant.opens()[0];
        assert_eq!(own.1 - self.rest(own.0), self.given);
        assert!(self.was_unheld || !self.grant.is_limited() || self.given <= RAISED);
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
