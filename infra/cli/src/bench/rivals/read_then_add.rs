//! Reads the counters, compares, and adds.
//!
//! Products add after the answer of the model has come, seconds later. Here it happens at once,
//! which is the best that can be said of the design: the gap is one round trip.

use super::Outcome;
use super::counters::{Counters, TAKE};
use crate::error::CommandError;

pub(in super::super) async fn hold(
    counters: &Counters,
    amount: i64,
) -> Result<Outcome, CommandError> {
    let remaining = counters.remaining().await?;
    if remaining.iter().any(|left| *left < amount) {
        return Ok(Outcome {
            is_admitted: false,
            round_trips: 1,
        });
    }
    let levels = counters.levels();
    counters.update_at_once(levels, TAKE, None, amount).await?;
    Ok(Outcome {
        is_admitted: true,
        round_trips: 2,
    })
}
