//! Crossings: the levels of its limit that a budget's spending has reached, and their alerts.
//!
//! A crossing is found by level: spent >= threshold. The store remembers which ones were announced,
//! so racing and repeated batches may find a crossing often, and it is announced once.

use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::figures::Figures;
use crate::domain::notice::event_type::EventType;
use crate::domain::notice::{Notice, Recipient};
use crate::domain::org::budget::Budget;
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;

/// The subject of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A policy with this action fired.
    PolicyViolation,
    /// A budget's limit is reached or passed.
    BudgetExceeded,
    /// A budget reached a threshold below its limit.
    BudgetThreshold,
    /// Figures that should agree differ.
    AnomalyDetected,
    /// A risk was seen.
    SecurityEvent,
    /// The price of a model is unknown or inexact.
    UnpricedModel,
}

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Low,
    Medium,
    High,
    /// Needs action at once.
    Critical,
}

/// How far people have dealt with an alert or incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum AlertStatus {
    /// Nobody has responded yet.
    Open,
    /// Somebody has seen it.
    Acknowledged,
    Resolved,
}

/// An event that people should know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// `alr_...`, made by the server. Later ids sort last.
    pub id: String,
    #[serde(rename = "type")]
    pub kind: AlertKind,
    pub severity: Severity,
    pub status: AlertStatus,
    pub title: String,
    /// States what happened, with the figures, and what to do.
    pub message: String,
    /// The user whose usage it is about, if it is about one user.
    pub user_id: Option<String>,
    pub department_id: Option<String>,
    pub budget_id: Option<String>,
    pub policy_id: Option<String>,
    /// The figures when it was raised.
    pub metadata: Value,
    pub created_at: Timestamp,
    pub resolved_at: Option<Timestamp>,
}

impl Alert {
    /// Returns the notice of an alert that no policy raised. Its content is frozen.
    pub fn notice(&self, id: String, recipients: Vec<Recipient>) -> Notice {
        let kind = match self.kind {
            AlertKind::BudgetThreshold => EventType::BudgetThreshold,
            AlertKind::BudgetExceeded => EventType::BudgetExceeded,
            AlertKind::UnpricedModel => EventType::ModelUnpriced,
            AlertKind::AnomalyDetected | AlertKind::PolicyViolation | AlertKind::SecurityEvent => {
                EventType::AlertCreated
            }
        };
        let payload = json!({
            "title": self.title,
            "message": self.message,
            "alert_id": self.id,
            "budget_id": self.budget_id,
            "department_id": self.department_id,
            "user_id": self.user_id,
            "severity": self.severity,
            "facts": self.metadata,
        });
        Notice::new(id, kind, payload, recipients, self.created_at)
    }
}

/// A level of a budget's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// A share of the limit, in percent.
    Percent(u32),
    /// More is spent than a hard cap allows: usage without a hold, or beyond its hold.
    Debt,
}

/// The limit itself. Every budget has this level.
const LIMIT: Level = Level::Percent(100);

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}"),
            Self::Debt => f.write_str("debt"),
        }
    }
}

impl Level {
    /// Returns every level at which `budget` raises an alert: its thresholds, its limit, and the
    /// debt of a hard cap.
    pub fn all_of(budget: &Budget) -> BTreeSet<Self> {
        let thresholds = budget.thresholds.iter().copied().map(Self::Percent);
        let debt = budget.hard_cap.then_some(Self::Debt);
        thresholds.chain([LIMIT]).chain(debt).collect()
    }

    /// Returns true if `figures` are at this level or above. Without spending nothing is crossed.
    pub fn is_reached(self, figures: &Figures) -> bool {
        let (spent, limit) = (figures.own_spent(), figures.own_limit());
        spent > 0
            && match self {
                Self::Percent(percent) => spent * 100 >= limit * i128::from(percent),
                Self::Debt => spent > limit,
            }
    }
}

/// A level that a budget has reached.
#[derive(Clone, Copy, Debug)]
pub struct Crossing<'a> {
    pub budget: &'a Budget,
    pub period: Month,
    pub level: Level,
    pub figures: Figures,
}

/// Returns every level that a budget of `cell`, the cell of `period`, has reached.
pub fn crossings<'a>(
    configuration: &'a Configuration,
    period: Month,
    cell: &Cell,
) -> Vec<Crossing<'a>> {
    let mut found = Vec::new();
    for budget in configuration.budgets.values() {
        let Some(rest) = cell.nodes.get(&budget.counter()) else {
            continue;
        };
        if !budget.counts_in(period) {
            continue;
        }
        // Sum up the holds only if a level is near: most budgets are far from their first one.
        let limit = budget.unit.counted(budget.gives_in(period));
        let limit = limit.saturating_add(cell.carried(budget.counter()));
        if *rest >= limit {
            continue;
        }
        let figures = Figures::of(budget, period, cell);
        let levels = Level::all_of(budget).into_iter();
        found.extend(
            levels
                .filter(|level| level.is_reached(&figures))
                .map(|level| Crossing {
                    budget,
                    period,
                    level,
                    figures,
                }),
        );
    }
    found
}

impl Crossing<'_> {
    /// Returns the alert for this crossing.
    pub fn alert(&self, id: String, configuration: &Configuration, now: Timestamp) -> Alert {
        let Self {
            budget,
            period,
            level,
            figures,
        } = self;
        let shown = figures.shown(budget.unit);
        let number = |value| budget.unit.figure(value);
        let kind = match level {
            Level::Percent(percent) if *percent < 100 => AlertKind::BudgetThreshold,
            _ => AlertKind::BudgetExceeded,
        };
        let severity = match level {
            Level::Percent(0..80) => Severity::Low,
            Level::Percent(80..100) => Severity::Medium,
            Level::Percent(_) => Severity::High,
            Level::Debt => Severity::Critical,
        };
        let (title, what_now) = self.title_and_advice(configuration);
        let message = format!(
            "{} of {} are spent in {period}. {what_now}",
            budget
                .unit
                .shown(budget.unit.rounded_up(figures.own_spent())),
            budget.unit.shown(shown.own_limit())
        );
        Alert {
            id,
            kind,
            severity,
            status: AlertStatus::Open,
            title,
            message,
            user_id: None,
            department_id: budget.department_id.clone(),
            budget_id: Some(budget.id.clone()),
            policy_id: None,
            metadata: json!({
                "period": period,
                "threshold": match level { Level::Percent(percent) => Some(*percent),
                Level::Debt => None },
                "unit": budget.unit,
                "hard_cap": budget.hard_cap,
                "amount": number(shown.amount),
                "carried": number(shown.carried),
                "exempted": number(shown.exempted),
                "spent": number(shown.spent),
            }),
            created_at: now,
            resolved_at: None,
        }
    }

    /// Returns the title of the alert, and what follows from the crossing.
    fn title_and_advice(&self, configuration: &Configuration) -> (String, &'static str) {
        let Self { budget, level, .. } = self;
        let whose = match &budget.department_id {
            None => "the organisation".to_owned(),
            Some(id) => {
                let known = configuration.departments.get(id);
                known.map_or(id, |department| &department.name).clone()
            }
        };
        match (level, budget.hard_cap) {
            (Level::Debt, _) => (
                format!("{:?} of {whose} is overspent", budget.name),
                "Usage was reported without a hold, or beyond its hold. Requests are denied until \
                 the month ends or the amount is raised. Look for clients that send events without \
                 a hold_id.",
            ),
            (Level::Percent(percent), true) if *percent >= 100 => (
                format!("{:?} of {whose} is used up ({percent} %)", budget.name),
                "It is a hard cap: requests are denied until the month ends or the amount is \
                 raised.",
            ),
            (Level::Percent(percent), false) if *percent >= 100 => (
                format!("{:?} of {whose} has exceeded {percent} %", budget.name),
                "It is a soft cap: requests continue.",
            ),
            (level, _) => (
                format!("{:?} of {whose} has reached {level} %", budget.name),
                "No request is denied yet.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::amount::Unit;
    use crate::domain::samples::{NOW, at, budget, cell, configuration, month};

    /// The level and severity of each alert if a budget of 1,001 tokens with a threshold at 80 %
    /// has `spent` this much.
    fn told(hard_cap: bool, spent: i128) -> Vec<(String, Severity)> {
        let budget = Budget {
            hard_cap,
            thresholds: vec![80],
            ..budget(Some("eng"), Unit::Tokens, 1_001)
        };
        let cell = cell([(budget.counter(), 1_001 - spent)]);
        let configuration = configuration([budget]);
        let crossings = crossings(&configuration, month("2026-11"), &cell);
        let alert = |of: &Crossing<'_>| of.alert("alr_1".to_owned(), &configuration, at(NOW));
        let each = crossings.iter();
        each.map(|of| (of.level.to_string(), alert(of).severity))
            .collect()
    }

    #[test]
    fn a_level_is_reached_by_the_token_that_makes_its_share_whole_and_debt_by_the_first_beyond() {
        let levels = |spent| -> Vec<String> {
            let told = told(true, spent).into_iter();
            told.map(|(level, _)| level).collect()
        };
        // 80 % of 1,001 are 800.8.
        assert!(levels(800).is_empty());
        assert_eq!(levels(801), ["80"]);
        assert_eq!(levels(1_000), ["80"]);
        assert_eq!(levels(1_001), ["80", "100"]);
        assert_eq!(levels(1_002), ["80", "100", "debt"]);
    }

    #[test]
    fn only_the_debt_of_a_hard_cap_is_critical() {
        let level = |name: &str, severity| (name.to_owned(), severity);
        let mut expected = vec![level("80", Severity::Medium), level("100", Severity::High)];
        assert_eq!(told(false, 5_003), expected);
        expected.push(level("debt", Severity::Critical));
        assert_eq!(told(true, 5_003), expected);
    }
}
