//! Sees for how long the cells of an organisation are crowded.

use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// How long cells have to be crowded before they are split: a moment's burst is none.
const FOR: SignedDuration = SignedDuration::from_secs(60);
/// A look after a longer time begins anew: nobody knows what was in between.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// The most organisations that an instance remembers.
const MAX_KNOWN: usize = 10_000;

/// Since when this instance has seen the cells of an organisation crowded at each look, and its
/// last look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crowded(Arc<Mutex<HashMap<String, (Timestamp, Timestamp)>>>);

impl Crowded {
    /// Notes a look. Returns whether the cells have been crowded for long enough.
    pub(crate) fn look(&self, organisation_id: &str, is_crowded: bool, now: Timestamp) -> bool {
        let Ok(mut known) = self.0.lock() else {
            return false;
        };
        if !is_crowded {
            known.remove(organisation_id);
            return false;
        }
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        let (since, last) = known
            .entry(organisation_id.to_owned())
            .or_insert((now, now));
        if now.duration_since(*last) > FORGOTTEN_AFTER {
            *since = now;
        }
        *last = now;
        now.duration_since(*since) >= FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn cells_are_split_when_each_look_of_a_minute_sees_them_crowded() {
        let crowded = Crowded::default();
        let look = |is_crowded, second| crowded.look("acme", is_crowded, at(second));
        assert!(!look(true, 0));
        assert!(!look(true, 59));
        assert!(look(true, 60));
        assert!(!crowded.look("other", true, at(60)), "each for itself");
        assert!(!look(false, 61));
        assert!(!look(true, 62), "it was better in between");
        assert!(look(true, 122));
    }

    #[test]
    fn looks_that_are_far_apart_say_nothing_of_the_time_between() {
        let crowded = Crowded::default();
        assert!(!crowded.look("acme", true, at(0)));
        assert!(!crowded.look("acme", true, at(1_000)));
        assert!(crowded.look("acme", true, at(1_060)));
    }
}
