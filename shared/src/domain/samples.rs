//! Values for tests: Acme, with the departments `eng`, `backend` below it, and `sales`.

use crate::domain::amount::{Amounts, Unit};
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::labels::Labels;
use crate::domain::ledger::node::Node;
use crate::domain::ledger::reported::ReportedTokens;
use crate::domain::ledger::usage::{Operation, Outcome, Usage};
use crate::domain::org::budget::Budget;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Department;
use crate::domain::org::organisation::Organisation;
use crate::domain::org::people::{Role, Status, User};
use crate::domain::org::placement::Placement;
use crate::domain::period::Month;
use crate::domain::pricing::own::OwnPrices;
use crate::domain::pricing::tokens::{ServiceTier, TokenCounts};
use jiff::Timestamp;
use std::collections::BTreeMap;

pub(crate) const NOW: &str = "2026-11-24T12:00:00Z";
/// When the organisation and everything in it was created.
const MADE: &str = "2026-10-05T08:00:00Z";
const DEPARTMENTS: [(&str, Option<&str>); 3] =
    [("eng", None), ("backend", Some("eng")), ("sales", None)];

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn month(text: &str) -> Month {
    text.parse().unwrap()
}

/// A counter of a department, or of the organisation.
pub(crate) fn counter(department_id: Option<&str>, unit: Unit) -> Node {
    let index = department_id.map(|id| {
        let place = DEPARTMENTS.iter().position(|(known, _)| *known == id);
        place.unwrap().try_into().unwrap()
    });
    Node {
        unit,
        index: Node::level(index),
    }
}

/// A hard cap since October 2026.
pub(crate) fn budget(department_id: Option<&str>, unit: Unit, amount: i64) -> Budget {
    let whose = department_id.unwrap_or("acme");
    Budget {
        id: format!("bud_{whose}_{}", unit.as_str()),
        node: counter(department_id, unit).index,
        name: format!("Budget of {whose}"),
        department_id: department_id.map(str::to_owned),
        unit,
        amount,
        since: month("2026-10"),
        earlier_amounts: Vec::new(),
        top_ups: Vec::new(),
        hard_cap: true,
        thresholds: Vec::new(),
        rollover_cap_percent: None,
        earlier_rollovers: Vec::new(),
        version: 1,
        created_at: at(MADE),
        updated_at: at(MADE),
    }
}

pub(crate) fn configuration(budgets: impl IntoIterator<Item = Budget>) -> Configuration {
    let department = |(index, (id, parent_id)): (u32, &(&str, Option<&str>))| Department {
        id: (*id).to_owned(),
        index,
        name: format!("The {id}"),
        parent_id: parent_id.map(str::to_owned),
        manager_id: None,
        users: 0,
        models: None,
        version: 1,
        created_at: at(MADE),
        updated_at: at(MADE),
    };
    let departments = (0..).zip(&DEPARTMENTS).map(department);
    let budgets = budgets.into_iter();
    Configuration {
        epoch: 1,
        tree: 0,
        policies: 0,
        organisation: Organisation::new("acme".into(), "Acme".into(), "UTC".into(), at(MADE)),
        departments: departments.map(|of| (of.id.clone(), of)).collect(),
        budgets: budgets.map(|of| (of.id.clone(), of)).collect(),
        grants: Vec::new(),
        moves: Vec::new(),
        gone: Vec::new(),
        prices: OwnPrices::default(),
        ended: Vec::new(),
        next_department: 3,
        placement: Placement::default(),
    }
}

pub(crate) fn user(id: &str) -> User {
    User {
        id: id.to_owned(),
        email: format!("{id}@example.com"),
        name: format!("The user {id}"),
        department_id: "backend".to_owned(),
        former: Vec::new(),
        manager_id: None,
        role: Role::Member,
        status: Status::Active,
        block: None,
        version: 1,
        created_at: at(MADE),
        updated_at: at(MADE),
    }
}

/// A cell with these counters and nothing else.
pub(crate) fn cell(counters: impl IntoIterator<Item = (Node, i128)>) -> Cell {
    Cell {
        epoch: 1,
        nodes: BTreeMap::from_iter(counters),
        ..Cell::default()
    }
}

/// A hold of a user in `backend` that ends in two minutes, on every counter of their path.
pub(crate) fn hold(tokens: i64, pico_usd: i128) -> Hold {
    let configuration = configuration([]);
    Hold {
        department: 1,
        expires_at: u32::try_from(at(NOW).as_second()).unwrap() + 120,
        amounts: Amounts::new(tokens, pico_usd),
        nodes: configuration.counters_on(&configuration.path("backend")),
        ..Hold::default()
    }
}

/// Usage by ada, now, counted by the client.
pub(crate) fn usage(event_id: &str, input: i64, output: i64) -> Usage {
    Usage {
        event_id: event_id.to_owned(),
        occurred_at: at(NOW),
        user_id: "ada".to_owned(),
        provider: "openai".to_owned(),
        model: "gpt-4o".to_owned(),
        tokens: ReportedTokens::counted(TokenCounts {
            input,
            output,
            ..TokenCounts::default()
        }),
        service_tier: ServiceTier::Default,
        reported_pico_usd: None,
        hold_id: None,
        outcome: Outcome::Completed,
        operation: Operation::Chat,
        source: None,
        labels: Labels::default(),
    }
}
