//! Values of which one counts at each moment, so that usage is priced by what was in force.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many values over time are kept: one a month for the thirteen months of usage, and the next.
pub const MAX_STEPS: usize = 14;

/// A value and the moment from which it counts, until that of the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step<T> {
    pub from: Timestamp,
    /// The version of the row that brought it.
    pub version: u64,
    /// None if there is no value from then on.
    pub value: Option<T>,
}

/// Steps, ascending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timeline<T>(Vec<Step<T>>);

/// The moments that a change of a timeline depends on.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub now: Timestamp,
    /// When the oldest usage happened that may still arrive.
    pub oldest: Timestamp,
}

impl<T> Timeline<T> {
    pub fn steps(&self) -> &[Step<T>] {
        &self.0
    }

    /// Returns the step in force at `at`, if it has a value.
    pub fn at(&self, at: Timestamp) -> Option<(&Step<T>, &T)> {
        let step = self.0.iter().rev().find(|step| step.from <= at)?;
        Some((step, step.value.as_ref()?))
    }

    /// Returns the steps with a value that count now or later.
    pub fn since(&self, now: Timestamp) -> impl Iterator<Item = (&Step<T>, &T)> {
        let next = self.0.iter().skip(1).map(|step| Some(step.from));
        let steps = self.0.iter().zip(next.chain([None]));
        let lasting = steps.filter(move |(_, until)| until.is_none_or(|until| until > now));
        lasting.filter_map(|(step, _)| Some((step, step.value.as_ref()?)))
    }

    /// Forgets what no usage needs.
    fn forget(&mut self, oldest: Timestamp) {
        let needed = self.0.iter().skip(1).take_while(|next| next.from <= oldest);
        let forgotten = needed.count();
        self.0.drain(..forgotten);
    }
}

impl<T: PartialEq> Timeline<T> {
    /// Sets the value from `from` on, until the next one that is set already. A removal after it
    /// is undone. Returns None if there are too many values.
    fn set(mut self, step: Step<T>, times: Times) -> Option<Self> {
        let stays = |of: &Step<T>| of.from < step.from || of.value.is_some();
        self.0.retain(|of| stays(of) && of.from != step.from);
        let place = self.0.partition_point(|of| of.from < step.from);
        let before = place.checked_sub(1).and_then(|at| self.0.get(at));
        let is_known = before.is_some_and(|before| before.value == step.value);
        // What is set again and again, as by a script, is one step.
        if !is_known || step.from > times.now {
            self.0.insert(place, step);
        }
        self.forget(times.oldest);
        (self.0.len() <= MAX_STEPS).then_some(self)
    }

    /// Ends it now. Nothing is left if no value ever counted.
    fn end(mut self, version: u64, times: Times) -> Self {
        self.0.retain(|step| step.from < times.now);
        if self.0.last().is_some_and(|last| last.value.is_some()) {
            self.0.push(Step {
                from: times.now,
                version,
                value: None,
            });
        }
        self.forget(times.oldest);
        self
    }
}

/// Something that an organisation says of its prices, over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dated<K, T> {
    /// What it is said of.
    pub of: K,
    pub values: Timeline<T>,
    /// Counts the changes, from 1.
    pub version: u64,
    pub updated_at: Timestamp,
}

impl<K: Clone, T: Clone + PartialEq> Dated<K, T> {
    /// Returns it with `value` from `from` on. `before` is what was said until now. Returns None
    /// if that has [`MAX_STEPS`] values already.
    pub fn with(
        before: Option<&Self>,
        of: K,
        (from, value): (Timestamp, T),
        times: Times,
    ) -> Option<Self> {
        let version = before.map_or(0, |before| before.version) + 1;
        let values = before.map_or_else(|| Timeline(Vec::new()), |before| before.values.clone());
        let step = Step {
            from,
            version,
            value: Some(value),
        };
        Some(Self {
            of,
            values: values.set(step, times)?,
            version,
            updated_at: times.now,
        })
    }

    /// Returns what usage of the past needs after it is removed. None if nothing is needed.
    pub fn removed(&self, times: Times) -> Option<Self> {
        let version = self.version + 1;
        let values = self.values.clone().end(version, times);
        (!values.0.is_empty()).then(|| Self {
            of: self.of.clone(),
            values,
            version,
            updated_at: times.now,
        })
    }

    /// Whether it has a value now or will have one.
    pub fn is_there(&self, now: Timestamp) -> bool {
        self.values.since(now).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn times(now: i64) -> Times {
        Times {
            now: at(now),
            oldest: at(0),
        }
    }

    type Words = Dated<&'static str, u32>;

    fn set(before: Option<&Words>, from: i64, value: u32, now: i64) -> Option<Words> {
        Dated::with(before, "m", (at(from), value), times(now))
    }

    fn seen(words: &Words, moments: impl IntoIterator<Item = i64>) -> Vec<Option<u32>> {
        let value = |second| words.values.at(at(second)).map(|(_, value)| *value);
        moments.into_iter().map(value).collect()
    }

    #[test]
    fn each_value_counts_from_its_moment_until_the_next_one() {
        let first = set(None, 10, 1, 10).unwrap();
        let second = set(Some(&first), 30, 3, 11).unwrap();
        let between = set(Some(&second), 20, 2, 12).unwrap();
        let found = seen(&between, [9, 10, 19, 20, 29, 30, 99]);
        let expected = [None, Some(1), Some(1), Some(2), Some(2), Some(3), Some(3)];
        assert_eq!(found, expected);
        assert_eq!(between.version, 3);
        let versions = between.values.steps().iter().map(|step| step.version);
        assert_eq!(versions.collect::<Vec<_>>(), [1, 3, 2]);
        let again = set(Some(&between), 20, 5, 13).unwrap();
        assert_eq!(seen(&again, [19, 20, 30]), [Some(1), Some(5), Some(3)]);
    }

    #[test]
    fn the_same_value_again_is_no_further_step() {
        let first = set(None, 10, 1, 10).unwrap();
        let again = set(Some(&first), 20, 1, 20).unwrap();
        assert_eq!((again.version, again.values.steps().len()), (2, 1));
        let planned = set(Some(&again), 40, 1, 20).unwrap();
        let changed = set(Some(&planned), 30, 2, 30).unwrap();
        assert_eq!(seen(&changed, [29, 30, 40]), [Some(1), Some(2), Some(1)]);
    }

    #[test]
    fn what_is_removed_still_counts_for_the_past_and_can_be_set_again() {
        let first = set(None, 10, 1, 10).unwrap();
        let planned = set(Some(&first), 50, 2, 11).unwrap();
        assert!(planned.is_there(at(60)));
        let removed = planned.removed(times(20)).unwrap();
        assert_eq!(
            seen(&removed, [10, 19, 20, 60]),
            [Some(1), Some(1), None, None]
        );
        assert!(!removed.is_there(at(20)));
        let back = set(Some(&removed), 15, 4, 30).unwrap();
        assert_eq!(
            seen(&back, [14, 15, 20, 60]),
            [Some(1), Some(4), Some(4), Some(4)]
        );
        let never = set(None, 50, 2, 11).unwrap().removed(times(20));
        assert_eq!(never, None, "what never counted leaves nothing");
    }

    #[test]
    fn there_is_a_limit_and_what_no_usage_needs_is_forgotten() {
        let mut words = set(None, 0, 0, 0).unwrap();
        for n in 1..14_u32 {
            words = set(Some(&words), i64::from(n), n, 20).unwrap();
        }
        assert_eq!(words.values.steps().len(), MAX_STEPS);
        assert_eq!(set(Some(&words), 14, 14, 20), None);
        let later = Times {
            now: at(20),
            oldest: at(3),
        };
        let after = Dated::with(Some(&words), "m", (at(14), 14), later).unwrap();
        assert_eq!(
            seen(&after, [2, 3, 4, 14]),
            [None, Some(3), Some(4), Some(14)]
        );
    }

    proptest! {
        #[test]
        fn setting_a_value_changes_nothing_before_it_nor_after_the_next(
            moments in proptest::collection::vec((0_i64..50, 0_u32..5), 1..9),
            from in 0_i64..50, value in 0_u32..5,
        ) {
            let mut words = set(None, 0, 9, 0).unwrap();
            for (from, value) in moments {
                words = set(Some(&words), from, value, 50).unwrap();
            }
            let changed = set(Some(&words), from, value, 50).unwrap();
            let next = words.values.steps().iter().map(|step| step.from.as_second());
            let next = next.filter(|next| *next > from).min().unwrap_or(60);
            prop_assert_eq!(seen(&changed, 0..from), seen(&words, 0..from));
            prop_assert_eq!(seen(&changed, next..60), seen(&words, next..60));
            prop_assert!(seen(&changed, from..next).iter().all(|found| *found == Some(value)));
        }
    }
}
