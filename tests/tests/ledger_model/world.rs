//! The durable state: the cell, the records, the resolutions, the configuration. And its laws.

use shared::domain::amount::{Amounts, Unit};
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::cell_update::{CellUpdate, Condition};
use shared::domain::ledger::hold::Hold;
use shared::domain::ledger::hold_id::HoldKey;
use shared::domain::ledger::hold_request::HoldRequest;
use shared::domain::ledger::node::Node;
use shared::domain::ledger::settlement::finish;
use shared::domain::org::placement::HOME;
use shared::domain::pricing::tokens::ServiceTier;
use std::collections::BTreeMap;

/// The amount that each request holds.
pub const Q: i64 = 10;
/// When holds lapse, and the two moments that processes live at.
pub const EXPIRES: u32 = 100;
pub const BEFORE: i64 = 50;
pub const AFTER: i64 = 150;

/// A mistake that could be made in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mistake {
    HoldsWithoutItsEpoch,
    HoldsWithoutTheRoot,
    HoldsWithoutItsOwnDepartment,
    HoldsAgainOnARetry,
    TakesFromOneLevelOnly,
    FinishesWithoutLooking,
    GivesAllBack,
    CellBeforeResolution,
    RecordsADuplicate,
    DuplicateLeavesTheCell,
    VoidOverwritesAResolution,
    LateUsageIsFree,
    ChangeLeavesTheCellsEpoch,
    ChargesTodaysDepartment,
}

impl Mistake {
    pub const ALL: [Self; 14] = [
        Self::HoldsWithoutItsEpoch,
        Self::HoldsWithoutTheRoot,
        Self::HoldsWithoutItsOwnDepartment,
        Self::HoldsAgainOnARetry,
        Self::TakesFromOneLevelOnly,
        Self::FinishesWithoutLooking,
        Self::GivesAllBack,
        Self::CellBeforeResolution,
        Self::RecordsADuplicate,
        Self::DuplicateLeavesTheCell,
        Self::VoidOverwritesAResolution,
        Self::LateUsageIsFree,
        Self::ChangeLeavesTheCellsEpoch,
        Self::ChargesTodaysDepartment,
    ];
}

/// How a hold ended, and what stays spent of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resolution {
    pub event: Option<u8>,
    pub charged: i64,
}

/// A usage that was recorded: how often, how much, and in which department it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    pub times: u8,
    pub charged: i64,
    pub department: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub cell: Option<Cell>,
    pub records: BTreeMap<u8, Record>,
    pub resolutions: BTreeMap<u8, Resolution>,
    pub limits: [i64; 3],
    pub epoch: u64,
    /// The user's department: 0 or 1.
    pub department: u8,
    pub was_lowered: bool,
    /// Something was used that no hold stood for at that moment: debt is right then.
    pub was_unheld: bool,
    pub mistake: Option<Mistake>,
}

/// The counter of the organisation is 0; of the two departments 1 and 2.
pub fn node(index: u32) -> Node {
    Node {
        unit: Unit::Tokens,
        index: 2 * index,
    }
}

fn nodes_of(department: u8) -> Vec<Node> {
    vec![node(0), node(1 + u32::from(department))]
}

pub fn rid(request: u8) -> HoldKey {
    HoldKey::derive("acme", "ada", &request.to_string())
}

impl World {
    pub fn new(limits: [i64; 3], mistake: Option<Mistake>) -> Self {
        let nodes = limits
            .iter()
            .zip(0..)
            .map(|(limit, index)| (node(index), i128::from(*limit)))
            .collect();
        Self {
            cell: Some(Cell {
                epoch: 1,
                nodes,
                ..Cell::default()
            }),
            records: BTreeMap::new(),
            resolutions: BTreeMap::new(),
            limits,
            epoch: 1,
            department: 0,
            was_lowered: false,
            was_unheld: false,
            mistake,
        }
    }

    pub fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    pub fn cell(&self) -> &Cell {
        self.cell.as_ref().unwrap()
    }

    /// The request of a process that read the configuration at `epoch`, with the user in
    /// `department`.
    pub fn request(&self, request: u8, epoch: u64, department: u8) -> HoldRequest {
        let nodes = nodes_of(department);
        HoldRequest {
            rid: rid(request),
            hold: Hold {
                department: u32::from(department),
                tree: 0,
                fingerprint: [request; 8],
                nonce: [0; 3],
                expires_at: EXPIRES,
                extended_by: 0,
                tier: ServiceTier::Default,
                amounts: Amounts::new(Q, 0),
                nodes: nodes.clone(),
                exempt: None,
            },
            requests: 1,
            hard: nodes,
            epoch,
            earlier: Default::default(),
            exemptions: Vec::new(),
        }
    }

    /// The update of a hold, with the planted mistake.
    pub fn hold_update(&self, request: &HoldRequest) -> CellUpdate {
        let mut update = request.update().at(HOME).clone();
        let own = request.hold.nodes[1];
        let drops: Box<dyn Fn(&Condition) -> bool> = match self.mistake {
            Some(Mistake::HoldsWithoutItsEpoch) => Box::new(|c| matches!(c, Condition::EpochIs(_))),
            Some(Mistake::HoldsAgainOnARetry) => {
                Box::new(|c| matches!(c, Condition::HoldAbsent(_)))
            }
            Some(Mistake::HoldsWithoutTheRoot) => {
                Box::new(|c| matches!(c, Condition::AtLeast(n, _) if *n == node(0)))
            }
            Some(Mistake::HoldsWithoutItsOwnDepartment) => {
                Box::new(move |c| matches!(c, Condition::AtLeast(n, _) if *n == own))
            }
            _ => Box::new(|_| false),
        };
        update.conditions.retain(|condition| !drops(condition));
        if self.makes(Mistake::TakesFromOneLevelOnly) {
            update.add_or_begin.remove(&node(0));
        }
        update
    }

    /// Takes a hold out of the cell, with the planted mistake.
    pub fn finish(&mut self, request: u8, hold: &Hold, charged: i64) -> bool {
        let name = rid(request);
        let charged = if self.makes(Mistake::GivesAllBack) {
            0
        } else {
            charged
        };
        let mut update = finish([(&name, hold, Amounts::new(charged, 0))]);
        let update = update.at(HOME);
        if self.makes(Mistake::FinishesWithoutLooking) {
            update.conditions.clear();
        }
        update.apply(&mut self.cell).is_ok()
    }

    /// The laws that hold in every state.
    pub fn check(&self) -> Result<(), String> {
        let cell = self.cell();
        for (index, limit) in (0_u32..).zip(self.limits) {
            let counts = |department: u8| index == 0 || index == 1 + u32::from(department);
            let spent: i64 = self
                .records
                .values()
                .filter(|record| counts(record.department))
                .map(|record| record.charged * i64::from(record.times))
                .sum();
            // A hold that is settled but still in the cell is counted twice until the cell follows.
            let mut held = 0;
            for request in 0..3 {
                if let Some(hold) = cell.holds.get(&rid(request))
                    && counts(u8::try_from(hold.department).unwrap())
                {
                    held += Q - self.resolutions.get(&request).map_or(0, |r| r.charged);
                }
            }
            let rest = cell.nodes[&node(index)];
            if i128::from(limit) != rest + i128::from(held + spent) {
                return Err(format!(
                    "conservation of {index}: {limit} != {rest} + {held} + {spent}"
                ));
            }
            if rest < 0 && !self.was_unheld && !self.was_lowered {
                return Err(format!("overshoot of {index}: {rest}"));
            }
        }
        if let Some((event, _)) = self.records.iter().find(|(_, record)| record.times > 1) {
            return Err(format!("event {event} counts twice"));
        }
        Ok(())
    }

    /// The laws of a state in which nothing more will happen.
    pub fn check_end(&self, events: &[u8]) -> Result<(), String> {
        self.check()?;
        if let Some(event) = events
            .iter()
            .find(|event| !self.records.contains_key(event))
        {
            return Err(format!("event {event} was lost"));
        }
        for request in self.resolutions.keys() {
            if self.cell().holds.contains_key(&rid(*request)) {
                return Err(format!("hold {request} is resolved and still held"));
            }
        }
        if self.cell().epoch != self.epoch {
            return Err("the cell was left at an old epoch".to_owned());
        }
        Ok(())
    }
}
