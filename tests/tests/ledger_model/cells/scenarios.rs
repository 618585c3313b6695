//! Who meets whom, and with what in which cell.

use super::changing::Kind::{Amount, Create, Delete, Hard, Move, Split};
use super::process::Script::{self, Audit, Change, Charge, End, Preflight};
use super::world::{Config, LEVELS, Plan, World, node};
use shared::domain::ledger::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// The most cells of a scenario.
const CELLS: usize = 4;
const ALL_HARD: [bool; LEVELS] = [true; LEVELS];
const SOFT_DEPARTMENT: [bool; LEVELS] = [true, false, true];

pub struct Scenario {
    pub name: &'static str,
    pub plan: Plan,
    pub world: World,
    pub scripts: Vec<Script>,
    pub crashes: u8,
}

/// The parts of each cell, home first: of the organisation, and of the first department. None is a
/// counter that the cell does not have.
type Parts<'a> = &'a [[Option<i64>; 2]];

impl Scenario {
    /// Both users are in the first department, the first one in cell 1 and the other in cell 2, if
    /// there are such cells. The first request is of the first user, the others of the second.
    fn new(name: &'static str, parts: Parts<'_>, scripts: &[Script]) -> Self {
        let cell = |parts: &[Option<i64>; 2]| Cell {
            epoch: 1,
            nodes: (0..)
                .zip(parts)
                .filter_map(|(level, part)| Some((node(level), (*part)?.into())))
                .collect(),
            ..Cell::default()
        };
        let mut cells: Vec<Option<Cell>> = parts.iter().map(|of| Some(cell(of))).collect();
        let others = u32::try_from(parts.len() - 1).unwrap();
        cells[0].as_mut().unwrap().others = others;
        cells.resize(CELLS, None);
        let total = |level: usize| -> i64 { parts.iter().filter_map(|of| of[level]).sum() };
        Self {
            name,
            plan: Plan {
                mistake: None,
                users: [0, 1, 1],
                is_strict: false,
                has_exemption: false,
            },
            world: World {
                cells,
                config: Config {
                    epoch: 1,
                    hard: ALL_HARD,
                    amounts: [total(0), total(1), 0],
                    departments: [1, 1],
                    cells: [1.min(others), 2.min(others)],
                    earlier: [BTreeSet::new(), BTreeSet::new()],
                    others,
                },
                resolutions: BTreeMap::new(),
                records: BTreeSet::new(),
                spent: BTreeMap::new(),
            },
            scripts: scripts.to_vec(),
            crashes: 2,
        }
    }

    fn strict(mut self) -> Self {
        self.plan.is_strict = true;
        self
    }

    fn exempt(mut self) -> Self {
        self.plan.has_exemption = true;
        self
    }

    fn hard(mut self, hard: [bool; LEVELS]) -> Self {
        self.world.config.hard = hard;
        self
    }

    fn users(mut self, users: [usize; 3]) -> Self {
        self.plan.users = users;
        self
    }

    /// So much was spent of a level's budget. Its amount is larger by that.
    fn spent(mut self, level: usize, spent: i64) -> Self {
        self.world.config.amounts[level] += spent;
        self.world.spent.insert(node(level), spent);
        self
    }

    /// A counter is shut in all cells that have it.
    fn shut(mut self, level: usize) -> Self {
        for cell in self.world.cells.iter_mut().flatten() {
            if cell.nodes.contains_key(&node(level)) {
                cell.shut.insert(node(level));
            }
        }
        self
    }

    /// The second department has these parts, and the second user.
    fn second_department(mut self, parts: &[Option<i64>]) -> Self {
        for (cell, part) in self.world.cells.iter_mut().flatten().zip(parts) {
            if let Some(part) = part {
                cell.nodes.insert(node(2), (*part).into());
            }
        }
        self.world.config.amounts[2] = parts.iter().flatten().sum();
        self.world.config.departments[1] = 2;
        self
    }
}

const fn both(part: i64) -> [Option<i64>; 2] {
    [Some(part), Some(part)]
}

const fn parts(organisation: i64, department: i64) -> [Option<i64>; 2] {
    [Some(organisation), Some(department)]
}

const NOTHING: [Option<i64>; 2] = [None, None];
/// Half of everything is at home.
const THREE: Parts<'static> = &[both(10), both(5), both(5)];

pub fn scenarios() -> Vec<Scenario> {
    [
        requests(),
        ends(),
        caps(),
        shut_ones(),
        splits(),
        everything(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn requests() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "three requests, of which two fit",
            THREE,
            &[Preflight(0, 8), Preflight(1, 8), Preflight(2, 8)],
        )
        .strict(),
        Scenario::new(
            "three requests, and nothing at home",
            &[both(0), both(6), both(6), both(4)],
            &[Preflight(0, 8), Preflight(1, 7), Preflight(2, 3)],
        )
        .strict(),
        Scenario::new(
            "a retry beside another request",
            THREE,
            &[Preflight(0, 2), Preflight(0, 2), Preflight(1, 8), End(0, 3)],
        ),
        Scenario::new(
            "a refusal beside a move",
            &[both(0), both(0), both(0), both(20)],
            &[Preflight(0, 15), Preflight(1, 2), Preflight(2, 5)],
        )
        .strict(),
        Scenario::new(
            "an audit beside moves",
            &[both(4), both(6), both(2)],
            &[Preflight(0, 8), Preflight(1, 3), Audit, Audit],
        )
        .strict(),
        Scenario::new(
            "an exemption for two",
            &[parts(0, 20), parts(0, 9), parts(0, 9)],
            &[
                Preflight(0, 8),
                Preflight(1, 8),
                End(0, 10),
                Charge(0, 1, -5),
            ],
        )
        .exempt(),
        Scenario::new(
            "an exemption beside a shut cap",
            &[parts(-1, 20), parts(3, 9), parts(2, 9)],
            &[
                Preflight(0, 8),
                Preflight(1, 7),
                End(0, 6),
                Charge(0, 1, -5),
            ],
        )
        .shut(0)
        .exempt(),
    ]
}

/// Two cells and home, two levels, three requests, a debt, a lowered amount and a split.
fn everything() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "everything at once",
            &[both(12), both(6)],
            &[
                Preflight(0, 5),
                Preflight(1, 5),
                Preflight(2, 3),
                End(0, 14),
                Change(Amount(0, 14)),
                Change(Split(1, 2, 2)),
            ],
        )
        .users([0, 1, 0]),
    ]
}

fn ends() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "a long answer",
            THREE,
            &[
                Preflight(0, 8),
                End(0, 18),
                Preflight(1, 4),
                Preflight(2, 4),
            ],
        ),
        Scenario::new(
            "an end that comes twice",
            THREE,
            &[Preflight(0, 8), End(0, 14), End(0, 14), Preflight(1, 5)],
        ),
        Scenario::new(
            "two ends of one hold",
            THREE,
            &[Preflight(0, 8), End(0, 14), End(0, 1), Preflight(1, 4)],
        ),
        Scenario::new(
            "two long answers",
            THREE,
            &[
                Preflight(0, 6),
                Preflight(1, 6),
                End(0, 12),
                End(1, 11),
                Preflight(2, 2),
            ],
        ),
        Scenario::new(
            "a long answer beside a short one",
            THREE,
            &[
                Preflight(0, 8),
                Preflight(1, 8),
                End(0, 14),
                End(1, 1),
                Preflight(2, 4),
            ],
        ),
        Scenario::new(
            "an audit beside a debt",
            &[both(9), both(3), both(2)],
            &[Preflight(0, 3), End(0, 8), Preflight(1, 2), Audit],
        )
        .strict(),
        Scenario::new(
            "usage without holds",
            THREE,
            &[
                Preflight(0, 6),
                Charge(0, 1, 9),
                Charge(0, 1, 9),
                Charge(1, 0, 7),
                Preflight(1, 3),
            ],
        ),
    ]
}

fn caps() -> Vec<Scenario> {
    let used: Parts<'_> = &[parts(10, 5), parts(5, -3), NOTHING];
    vec![
        Scenario::new(
            "an amount that is lowered",
            THREE,
            &[
                Preflight(0, 8),
                Change(Amount(0, 9)),
                Preflight(1, 4),
                End(0, 2),
            ],
        ),
        Scenario::new(
            "an amount that is lowered and raised again",
            THREE,
            &[
                Preflight(0, 8),
                Change(Amount(0, 7)),
                Change(Amount(0, 12)),
                Preflight(1, 4),
            ],
        ),
        Scenario::new(
            "a soft cap that becomes hard",
            used,
            &[
                Preflight(0, 6),
                Change(Hard(1, true)),
                Preflight(1, 5),
                End(0, 9),
            ],
        )
        .hard(SOFT_DEPARTMENT),
        Scenario::new(
            "a soft cap that becomes hard while an answer is long",
            &[parts(10, 5), parts(5, 5), NOTHING],
            &[
                Preflight(0, 3),
                End(0, 9),
                Change(Hard(1, true)),
                Preflight(1, 2),
                Preflight(2, 1),
            ],
        )
        .hard([false; LEVELS]),
        Scenario::new(
            "a cap that is hard, soft and hard",
            THREE,
            &[
                Preflight(0, 6),
                Change(Hard(1, false)),
                Change(Hard(1, true)),
                Preflight(1, 5),
                End(0, 15),
            ],
        ),
        Scenario::new(
            "a new hard budget on a used level",
            &[parts(10, 0), parts(5, -4), parts(4, -1)],
            &[
                Preflight(0, 3),
                Change(Create(1, 7)),
                Preflight(1, 3),
                End(0, 5),
            ],
        )
        .spent(1, 5)
        .hard(SOFT_DEPARTMENT),
    ]
}

fn shut_ones() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "gifts to a shut counter",
            &[parts(-8, 9), parts(2, 5), NOTHING],
            &[
                Charge(0, 1, -4),
                Charge(1, 0, -4),
                Preflight(1, 2),
                Preflight(0, 2),
            ],
        )
        .shut(0),
        Scenario::new(
            "a shut cap that is deleted",
            &[parts(9, -8), parts(5, 5), NOTHING],
            &[
                Change(Delete(1)),
                Preflight(1, 4),
                Change(Hard(1, true)),
                Preflight(0, 4),
            ],
        )
        .shut(1),
        Scenario::new(
            "a shut cap that becomes soft",
            &[parts(-2, 9), parts(9, 6), [None, Some(5)]],
            &[
                Preflight(1, 3),
                Charge(0, 0, 6),
                Change(Hard(0, false)),
                Preflight(0, 2),
            ],
        )
        .shut(0),
        Scenario::new(
            "two reopen, and a debt between",
            &[parts(6, 20), parts(0, 15), [None, Some(5)]],
            &[
                Preflight(0, 1),
                Preflight(1, 2),
                Charge(0, 0, 5),
                Charge(1, 0, -8),
            ],
        )
        .shut(0),
        Scenario::new(
            "a new cell holds while a counter is shut, and it is shut again",
            &[parts(-2, 9), parts(9, 6), [None, Some(5)]],
            &[
                Preflight(1, 3),
                End(1, 1),
                Charge(0, 0, 6),
                Preflight(0, 2),
                Preflight(2, 2),
            ],
        )
        .shut(0),
        Scenario::new(
            "two short counters, of which one is shut",
            &[parts(-2, 3), parts(5, 1), parts(4, 4)],
            &[
                Preflight(0, 4),
                Preflight(1, 3),
                End(0, 5),
                Change(Amount(1, 6)),
            ],
        )
        .shut(0),
    ]
}

fn splits() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "a split under load",
            &[both(10)],
            &[
                Preflight(0, 6),
                Change(Split(0, 1, 1)),
                Preflight(0, 6),
                End(0, 9),
                Preflight(1, 4),
            ],
        ),
        Scenario::new(
            "a split, and then a long answer at home",
            &[both(20)],
            &[
                Preflight(1, 6),
                Change(Split(0, 1, 1)),
                End(1, 25),
                Preflight(0, 1),
                Preflight(2, 1),
            ],
        )
        .users([0, 1, 0]),
        Scenario::new(
            "a split of a shut counter",
            &[parts(-2, 9), both(5)],
            &[
                Change(Split(1, 2, 2)),
                Preflight(1, 3),
                Charge(0, 0, 6),
                Change(Amount(0, 12)),
            ],
        )
        .shut(0),
        Scenario::new(
            "a split while a debt shuts",
            &[parts(18, 20), parts(1, 25)],
            &[
                Change(Split(1, 2, 2)),
                Preflight(1, 1),
                Charge(0, 0, 20),
                Preflight(2, 1),
            ],
        ),
        Scenario::new(
            "two reopen, and a new cell and a debt between",
            &[parts(6, 20), parts(0, 15)],
            &[
                Change(Split(1, 2, 2)),
                Preflight(0, 1),
                Preflight(1, 2),
                Charge(0, 0, 5),
                Charge(1, 0, -8),
            ],
        )
        .shut(0),
        Scenario::new(
            "a user who moves and is split off",
            &[parts(6, 3), parts(5, 5), [Some(5), None]],
            &[
                Preflight(0, 4),
                Change(Move(0, 2, 2)),
                Change(Split(0, 3, 3)),
                Preflight(0, 4),
            ],
        )
        .second_department(&[Some(3), None, Some(5)]),
        Scenario::new(
            "a user who moves while an answer is long",
            &[parts(6, 3), parts(5, 5), [Some(5), None]],
            &[
                Preflight(0, 6),
                Change(Move(0, 2, 2)),
                Preflight(0, 6),
                End(0, 8),
                Preflight(1, 3),
            ],
        )
        .second_department(&[Some(3), None, Some(5)]),
    ]
}
