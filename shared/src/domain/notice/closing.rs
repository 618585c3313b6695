//! Notices about closed months: each budget's final figures and its carry.

use crate::domain::amount::Unit;
use crate::domain::ledger::rollover::Rollover;
use crate::domain::notice::event_type::EventType;
use crate::domain::notice::{Notice, Recipient};
use crate::domain::org::budget::Budget;
use crate::domain::period::Month;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The most budgets in a notice: it must fit into an item, a message and a mail. The history has
/// the rest.
const MAX_LISTED: usize = 100;
/// The most budgets in its text.
const MAX_SAID: usize = 20;

/// The end of one budget's month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedBudget {
    pub name: String,
    /// Its department. None for the organisation.
    pub department_id: Option<String>,
    /// True if it has a rollover.
    pub carries: bool,
    pub figures: Rollover,
}

impl ClosedBudget {
    /// Pairs `budget` with the figures of its month.
    pub fn new(budget: &Budget, figures: Rollover) -> Self {
        Self {
            name: budget.name.clone(),
            department_id: budget.department_id.clone(),
            carries: budget.rollover_in(figures.from_period).is_some(),
            figures,
        }
    }

    fn listed(&self) -> Value {
        let row = &self.figures;
        let number = |value| row.unit.figure(value);
        json!({
            "budget_id": row.budget_id,
            "name": self.name,
            "department_id": self.department_id,
            "unit": row.unit,
            "amount": number(row.amount),
            "carried_in": number(row.carried_in),
            "exempted": number(row.exempted),
            "spent": number(row.spent),
            "unused": number(row.unused),
            "carried_out": number(row.carried_out),
        })
    }

    fn said(&self) -> String {
        let row = &self.figures;
        let shown = |value| row.unit.shown(value);
        let whose = self.department_id.as_deref().unwrap_or("organisation");
        let carried = match (self.carries, row.carried_out) {
            (false, _) => "no rollover".to_owned(),
            (true, 0) => "nothing carries over".to_owned(),
            (true, out) => format!("{} carry over", shown(out)),
        };
        format!(
            "{} ({whose}): {} spent of {}, {} unused, {carried}",
            self.name,
            shown(row.spent),
            shown(
                row.amount
                    .saturating_add(row.carried_in)
                    .saturating_add(row.exempted)
            ),
            shown(row.unused),
        )
    }
}

/// Returns the notice that `period` is closed, with mails to `recipients`.
pub fn notice(
    id: String,
    period: Month,
    mut budgets: Vec<ClosedBudget>,
    recipients: Vec<Recipient>,
    now: Timestamp,
) -> Notice {
    // Budgets with a carry come first: they must not be left out.
    budgets.sort_by_key(|budget| (budget.figures.carried_out == 0, !budget.carries));
    let mut message = format!("{period} has ended and its rollovers are credited.");
    for unit in [Unit::Tokens, Unit::Usd] {
        let of_unit = budgets.iter().filter(|budget| budget.figures.unit == unit);
        let sum = of_unit.map(|budget| budget.figures.carried_out);
        let sum = sum.fold(0, i64::saturating_add);
        if sum > 0 {
            let next = period.next();
            let _ = write!(message, " {} carry over into {next}.", unit.shown(sum));
        }
    }
    for budget in budgets.iter().take(MAX_SAID) {
        let _ = write!(message, "\n{}", budget.said());
    }
    if let Some(more) = budgets.len().checked_sub(MAX_SAID).filter(|more| *more > 0) {
        let _ = write!(message, "\nand {more} more budgets");
    }
    let listed: Vec<Value> = budgets
        .iter()
        .take(MAX_LISTED)
        .map(ClosedBudget::listed)
        .collect();
    let payload = json!({
        "title": format!("{period} is closed"),
        "message": message,
        "period": period,
        "next_period": period.next(),
        "budgets": listed,
        "budgets_not_listed": budgets.len().saturating_sub(MAX_LISTED),
        "what_now": "Late usage corrects the carry once. The history of rollovers shows it.",
    });
    Notice::new(id, EventType::PeriodClosed, payload, recipients, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(n: usize, carried_out: i64) -> ClosedBudget {
        let period = Month::new(2026, 11).unwrap();
        let now = "2026-12-01T00:10:00Z".parse().unwrap();
        ClosedBudget {
            name: format!("Budget {n}"),
            department_id: (n > 0).then(|| "eng".to_owned()),
            carries: carried_out > 0,
            figures: Rollover {
                budget_id: format!("bud_{n}"),
                unit: Unit::Tokens,
                level: 0,
                from_period: period,
                to_period: period.next(),
                amount: 1_000,
                carried_in: 50,
                exempted: 0,
                spent: 450,
                held: 0,
                unused: 600,
                cap_percent: 50,
                carried_out,
                closed_at: now,
                corrected_at: None,
            },
        }
    }

    fn told(budgets: Vec<ClosedBudget>) -> Value {
        let now = "2026-12-01T00:10:00Z".parse().unwrap();
        let period = Month::new(2026, 11).unwrap();
        notice("ntc_1".to_owned(), period, budgets, Vec::new(), now).payload
    }

    #[test]
    fn what_carries_over_comes_first_and_is_said_in_words() {
        let payload = told(vec![budget(0, 0), budget(1, 300)]);
        let expected = "2026-11 has ended and its rollovers are credited. \
            300 tokens carry over into 2026-12.\n\
            Budget 1 (eng): 450 tokens spent of 1,050 tokens, 600 tokens unused, \
            300 tokens carry over\n\
            Budget 0 (organisation): 450 tokens spent of 1,050 tokens, 600 tokens unused, \
            no rollover";
        assert_eq!(payload["message"], expected);
        assert_eq!(payload["budgets"][0]["carried_out"], 300);
    }

    #[test]
    fn an_organisation_with_the_most_and_longest_budgets_still_fits() {
        let mut budgets: Vec<ClosedBudget> = (0..500).map(|n| budget(n, 1)).collect();
        for budget in &mut budgets {
            budget.name = "\u{1f600}".repeat(crate::domain::name::MAX_NAME);
        }
        let payload = told(budgets);
        assert_eq!(payload["budgets_not_listed"], 400);
        assert!(
            payload["message"]
                .as_str()
                .unwrap()
                .ends_with("and 480 more budgets")
        );
        assert!(
            payload.to_string().len() < 200_000,
            "{}",
            payload.to_string().len()
        );
    }

    #[test]
    fn what_carries_over_is_said_in_each_unit_with_its_figures() {
        let mut dollars = budget(1, 1_500_000);
        dollars.figures.unit = Unit::Usd;
        let payload = told(vec![budget(2, 301), dollars]);
        let message = payload["message"].as_str().unwrap();
        let sums = " 301 tokens carry over into 2026-12. $1.50 carry over into 2026-12.\n";
        assert!(message.contains(sums), "{message}");
        let listed = &payload["budgets"][0];
        let expected = json!({
            "budget_id": "bud_2", "name": "Budget 2", "department_id": "eng", "unit": "tokens",
            "amount": 1_000,
            "carried_in": 50, "exempted": 0, "spent": 450, "unused": 600, "carried_out": 301,
        });
        assert_eq!(*listed, expected);
        assert_eq!(payload["budgets"][1]["carried_out"].to_string(), "1.5");
    }
}
