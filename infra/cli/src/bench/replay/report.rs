//! The result of a replay: figures, costs, and the checks that must pass.

use super::costs::Costs;
use super::traffic::{Outcome, Plan};
use crate::bench::figures::percentile;
use crate::error::CommandError;
use serde::Serialize;
use serde_json::Value;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) system: String,
    pub(super) root: String,
    pub(super) sent: u64,
    pub(super) admitted: u64,
    pub(super) refused: u64,
    pub(super) degraded: u64,
    pub(super) tokens_sent: u64,
    pub(super) tokens_admitted: u64,
    /// From the first preflight to the last record.
    pub(super) elapsed_us: u64,
    pub(super) concurrency: u16,
    /// The most admitted requests that were not recorded yet. None if the system does not say when
    /// they are.
    pub(super) most_open: Option<u64>,
    pub(super) preflight_us: Latency,
    /// The processor time of one request in this process, including the client's.
    pub(super) cpu_us_per_request: Option<u64>,
    pub(super) levels: Vec<Figures>,
    /// None if the system has no meter.
    pub(super) costs: Option<Costs>,
    pub(super) checks: Vec<Check>,
}

/// The latency of a preflight as its client saw it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Latency {
    pub(super) p50: u64,
    pub(super) p99: u64,
}

/// A cap and its usage, in tokens.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    /// None for the organisation.
    pub(super) department_id: Option<String>,
    pub(super) depth: usize,
    pub(super) cap: u64,
    pub(super) spent: i64,
    pub(super) held: i64,
    /// The tokens spent and held beyond the cap.
    pub(super) overshoot: u64,
    /// The refusals that name this level as a reason.
    pub(super) refused: u64,
}

/// A condition that must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) what: &'static str,
    pub(super) expected: i128,
    pub(super) found: i128,
}

impl Latency {
    pub(super) fn of(mut all: Vec<u64>) -> Self {
        all.sort_unstable();
        Self {
            p50: percentile(&all, 50),
            p99: percentile(&all, 99),
        }
    }
}

/// Reads the current figures of each level.
pub(super) async fn levels(plan: &Plan, outcome: &Outcome) -> Result<Vec<Figures>, CommandError> {
    let mut out = Vec::new();
    for level in &plan.company.levels {
        let budget = plan.client.budget(&level.budget_id).await?;
        let figure = |name: &str| {
            let missing = || CommandError::Answer(format!("a budget without {name}: {budget}"));
            budget[name].as_i64().ok_or_else(missing)
        };
        let (spent, held) = (figure("spent")?, figure("held")?);
        let over = i128::from(spent) + i128::from(held) - i128::from(level.cap);
        let refused_by = &outcome.tally.refused_by;
        out.push(Figures {
            department_id: level.department_id.clone(),
            depth: level.depth,
            cap: level.cap,
            spent,
            held,
            overshoot: u64::try_from(over.max(0)).unwrap_or(u64::MAX),
            refused: refused_by.get(&level.budget_id).copied().unwrap_or(0),
        });
    }
    Ok(out)
}

/// The state of the records, if they can be read.
pub(super) struct Books {
    pub(super) recorded_tokens: u64,
    /// The differences that the self-audit found between records, totals and counters.
    pub(super) differences: usize,
}

/// Lists the conditions that must hold after a replay.
pub(super) fn checks(
    outcome: &Outcome,
    levels: &[Figures],
    root: usize,
    books: Option<&Books>,
) -> Vec<Check> {
    let Outcome {
        tally, reported, ..
    } = outcome;
    let check = |what, expected, found| Check {
        what,
        expected,
        found,
    };
    let overshoot = levels.iter().map(|level| i128::from(level.overshoot)).sum();
    let held = levels.iter().map(|level| i128::from(level.held)).sum();
    let decided = i128::from(tally.admitted) + i128::from(tally.refused);
    let spent = levels.get(root).map_or(0, |root| i128::from(root.spent));
    let used = i128::from(reported.tokens);
    let mut checks = vec![
        check("tokens beyond any cap", 0, overshoot),
        check(
            "admitted and refused are all",
            i128::from(tally.sent),
            decided,
        ),
        check(
            "refusals where every level had room",
            0,
            i128::from(tally.needless),
        ),
        check("spent of the root is what was reported", used, spent),
        check("nothing is held any more", 0, held),
    ];
    if let Some(books) = books {
        let what = "the records say what was reported";
        checks.push(check(what, used, i128::from(books.recorded_tokens)));
        let found = i128::try_from(books.differences).unwrap_or(i128::MAX);
        let what = "records, totals and counters differ";
        checks.push(check(what, 0, found));
    }
    checks
}

impl Report {
    pub(super) fn failed(&self) -> Vec<&Check> {
        let failed = self.checks.iter();
        failed
            .filter(|check| check.expected != check.found)
            .collect()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_of_sorted_values() {
        let latency = Latency::of(vec![3, 1, 2]);
        assert_eq!((latency.p50, latency.p99), (2, 3));
    }

    #[test]
    fn a_check_fails_where_the_figures_differ() {
        let mut outcome = Outcome {
            tally: super::super::traffic::Tally::default(),
            reported: super::super::traffic::Reported::default(),
            most_open: 0,
        };
        outcome.tally.sent = 2;
        outcome.tally.admitted = 1;
        outcome.reported.tokens = 50;
        let root = Figures {
            department_id: None,
            depth: 0,
            cap: 40,
            spent: 50,
            held: -1,
            overshoot: 9,
            refused: 0,
        };
        let books = Books {
            recorded_tokens: 49,
            differences: 2,
        };
        let checks = checks(&outcome, &[root], 0, Some(&books));
        let failed = |check: &&Check| check.expected != check.found;
        let failed: Vec<&str> = checks
            .iter()
            .filter(failed)
            .map(|check| check.what)
            .collect();
        assert_eq!(
            failed,
            [
                "tokens beyond any cap",
                "admitted and refused are all",
                "nothing is held any more",
                "the records say what was reported",
                "records, totals and counters differ",
            ]
        );
    }
}
