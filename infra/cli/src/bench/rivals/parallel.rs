//! Takes from each counter by a conditional update of its own, all at once, and gives back what
//! was taken if one of them refuses.
//!
//! In between, others meet counters that are lower than they will be. A crash in between leaves
//! them so.

use super::Outcome;
use super::counters::{Counters, ENOUGH, GIVE, TAKE};
use crate::error::CommandError;

pub(in super::super) async fn hold(
    counters: &Counters,
    amount: i64,
) -> Result<Outcome, CommandError> {
    let levels = counters.levels();
    let taking = counters.update_at_once(levels, TAKE, Some(ENOUGH), amount);
    let (taken, refused): (Vec<_>, Vec<_>) = taking
        .await?
        .into_iter()
        .partition(|(_, is_taken)| *is_taken);
    let undone = if refused.is_empty() {
        Vec::new()
    } else {
        taken
    };
    let round_trips = if undone.is_empty() { 1 } else { 2 };
    let undoing = undone.into_iter().map(|(level, _)| level);
    counters.update_at_once(undoing, GIVE, None, amount).await?;
    Ok(Outcome {
        is_admitted: refused.is_empty(),
        round_trips,
    })
}
