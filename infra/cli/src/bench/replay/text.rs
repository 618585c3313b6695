//! The report as a text.

use super::costs::Costs;
use super::report::Report;
use crate::bench::figures::{millis, ratio, tenths};
use std::fmt::Write;

impl Report {
    pub(super) fn text(&self) -> String {
        let mut blocks = vec![
            format!(
                "{} on {}: {} requests, {} at a time, in {} s ({} a second)\n",
                self.root,
                self.system,
                self.sent,
                self.concurrency,
                ratio(self.elapsed_us, 1_000_000),
                ratio(self.sent.saturating_mul(1_000_000), self.elapsed_us),
            ),
            self.totals(),
            self.caps(),
            self.costs(),
        ];
        let mut checks = vec![row(["check", "expected", "found", ""])];
        checks.extend(self.checks.iter().map(|check| {
            let verdict = if check.expected == check.found {
                "ok"
            } else {
                "FAILED"
            };
            let (expected, found) = (check.expected.to_string(), check.found.to_string());
            row([check.what, &expected, &found, verdict])
        }));
        blocks.push(aligned(&checks));
        blocks.join("\n")
    }

    fn totals(&self) -> String {
        let number = |value: u64| value.to_string();
        let rows = [
            row(["", "sent", "admitted", "refused", "degraded"]),
            row([
                "requests",
                &number(self.sent),
                &number(self.admitted),
                &number(self.refused),
                &number(self.degraded),
            ]),
            row([
                "tokens",
                &number(self.tokens_sent),
                &number(self.tokens_admitted),
                &number(self.tokens_sent.saturating_sub(self.tokens_admitted)),
                "",
            ]),
        ];
        aligned(&rows)
    }

    fn caps(&self) -> String {
        let mut rows = vec![row([
            "tokens",
            "cap",
            "spent",
            "held",
            "used %",
            "overshoot",
            "refused",
        ])];
        rows.extend(self.levels.iter().map(|level| {
            let name = level.department_id.as_deref().unwrap_or("the organisation");
            let used = u64::try_from(level.spent.saturating_add(level.held)).unwrap_or(0);
            let used = match level.cap {
                0 => "n/a".to_owned(),
                cap => tenths(used.saturating_mul(1_000) / cap),
            };
            row([
                &format!("{:width$}{name}", "", width = level.depth * 2),
                &level.cap.to_string(),
                &level.spent.to_string(),
                &level.held.to_string(),
                &used,
                &level.overshoot.to_string(),
                &level.refused.to_string(),
            ])
        }));
        aligned(&rows)
    }

    fn costs(&self) -> String {
        let none = || "n/a".to_owned();
        let cost = |of: fn(&Costs) -> &String| {
            self.costs.as_ref().map_or_else(none, |all| of(all).clone())
        };
        let rows = [
            ("preflight p50, ms", millis(self.preflight_us.p50)),
            ("preflight p99, ms", millis(self.preflight_us.p99)),
            (
                "round trips of a preflight (1)",
                cost(|all| &all.round_trips_per_preflight),
            ),
            (
                "round trips of an event",
                cost(|all| &all.round_trips_per_event),
            ),
            (
                "write units of a hold (2, 3)",
                cost(|all| &all.write_units_per_hold),
            ),
            (
                "write units of a settlement (3)",
                cost(|all| &all.write_units_per_settle),
            ),
            (
                "write units of a record",
                cost(|all| &all.write_units_per_record),
            ),
            (
                "admitted and not yet recorded, at most (3)",
                self.most_open.map_or_else(none, |most| most.to_string()),
            ),
            (
                "CPU of a request, ms (4)",
                self.cpu_us_per_request.map_or_else(none, millis),
            ),
        ];
        let rows: Vec<Vec<String>> = rows
            .into_iter()
            .map(|(what, value)| vec![what.to_owned(), value])
            .collect();
        let mut text = aligned(&rows);
        text.push_str(
            "(1) With the first ones, which read the key, the configuration and each user.\n\
             (2) The local engine reports no capacity for a refused conditional write; AWS bills \
             it like one that is done.\n\
             (3) What is not recorded yet is a hold in the cell, and a write costs a unit for each \
             KB of it.\n\
             (4) Of all functions, the engine and the client of the replay.\n",
        );
        text
    }
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Aligns columns to their widest cell: the first column to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (place, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Writing to a string cannot fail.
            let _ = match place {
                0 => write!(line, "{cell:width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let rows = [
            row(["", "sent"]),
            row(["requests", "5"]),
            row(["a", "12345"]),
        ];
        assert_eq!(
            aligned(&rows),
            "           sent\nrequests      5\na         12345\n"
        );
    }
}
