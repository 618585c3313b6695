//! The report of a stress run, and its checks.

use super::Arguments;
use super::clients::{Counts, Refusal, Tally};
use crate::bench::figures::ratio;
use crate::error::CommandError;
use serde_json::Value;
use shared::domain::amount::grouped;

pub(super) fn beginning(arguments: &Arguments, live: usize) -> String {
    let place = match &arguments.data {
        Some(data) => format!("in {}", data.display()),
        None => "in memory".to_owned(),
    };
    let evaluation = match arguments.slow_evaluate {
        0 => "evaluated as they come".to_owned(),
        delay => format!("each batch {delay} ms late"),
    };
    let mut text = format!(
        "{} clients ask for {} tokens each on a hard cap of {} for {} s, {place}, {evaluation}",
        arguments.clients,
        arguments.tokens,
        whole(arguments.cap),
        arguments.seconds,
    );
    if arguments.live_holds > 0 {
        let asked = grouped(arguments.live_holds.into());
        let live = grouped(u64::try_from(live).unwrap_or(u64::MAX));
        text.push_str(&format!(
            ", beside {live} live holds of nine others, who asked for {asked}"
        ));
    }
    text
}

/// Describes one second of the run.
pub(super) fn progress(second: u64, figures: &Value, tally: &Tally) -> String {
    let Counts {
        admitted, unheld, ..
    } = tally.counts();
    format!(
        "{second:>4} s  spent {}, held {}, admitted {}, unheld {unheld}, refused {}",
        figure(figures, "spent"),
        figure(figures, "held"),
        grouped(admitted),
        grouped(tally.counts().refused_in_all()),
    )
}

/// Describes the result of the run.
pub(super) fn end(arguments: &Arguments, figures: &Value, tally: &Tally) -> Vec<String> {
    let counts = tally.counts();
    let asked = counts.admitted + counts.unheld + counts.refused_in_all();
    let (spent, cap) = (of(figures, "spent"), of(figures, "amount"));
    let share = |part: u64| ratio(part.saturating_mul(100), asked);
    let refused = |why: Refusal, name: &str| {
        let count = counts.refused(why);
        format!("  {name:<44} {} ({} %)", grouped(count), share(count))
    };
    let (no_place, overloaded) = (
        counts.refused(Refusal::NoPlace),
        counts.refused(Refusal::Overloaded),
    );
    vec![
        format!(
            "spent / cap            {} ({} of {} tokens)",
            ratio(unsigned(spent), unsigned(cap)),
            whole(spent),
            whole(cap)
        ),
        format!("held                   {} tokens", figure(figures, "held")),
        format!(
            "admitted               {} ({} a second), {} without a hold",
            grouped(counts.admitted),
            grouped(counts.admitted / arguments.seconds.max(1)),
            counts.unheld
        ),
        format!(
            "refused                {} of {} requests",
            grouped(counts.refused_in_all()),
            grouped(asked)
        ),
        refused(Refusal::CapReached, "the cap is reached"),
        refused(Refusal::Held, "what is left is held by requests under way"),
        refused(Refusal::NoPlace, "no place for a hold (too_many_holds)"),
        refused(Refusal::Overloaded, "too much to do (overloaded)"),
        refused(Refusal::Other, "anything else"),
        format!(
            "refused although it would have fitted: {} % of all requests \
             ({} % no place for a hold, {} % too much to do)",
            share(no_place.saturating_add(overloaded)),
            share(no_place),
            share(overloaded)
        ),
    ]
}

/// Checks that the cap held and that the books agree.
pub(super) fn check(
    figures: &Value,
    tally: &Tally,
    differences: usize,
) -> Result<(), CommandError> {
    let counts = tally.counts();
    let (spent, cap) = (of(figures, "spent"), of(figures, "amount"));
    let claim = |said: String| Err(CommandError::Claim(said));
    if spent > cap {
        return claim(format!("{} of {} are spent", whole(spent), whole(cap)));
    }
    if counts.unheld > 0 {
        return claim(format!("{} requests passed without a hold", counts.unheld));
    }
    if differences > 0 {
        return claim(format!("the books have {differences} differences"));
    }
    Ok(())
}

fn of(figures: &Value, name: &str) -> i64 {
    figures[name].as_i64().unwrap_or_default()
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn whole(value: i64) -> String {
    grouped(unsigned(value))
}

fn figure(figures: &Value, name: &str) -> String {
    whole(of(figures, name))
}
