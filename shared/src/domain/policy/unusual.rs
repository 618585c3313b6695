//! Usage that is far above a user's own last days.
//!
//! The measure is robust: the median of the active days among the 28 before, and the median
//! absolute deviation from it (Leys et al. 2013, "Detecting outliers: Do not use standard deviation
//! around the mean, use absolute deviation around the median"). One wild day in the past moves
//! neither of them.

use serde::{Deserialize, Serialize};

/// How many earlier days a day is compared with.
pub const BASELINE_DAYS: i32 = 28;
/// How many days late usage may arrive to be judged. Later it says nothing about the present.
pub const MAX_LATE_DAYS: i32 = 2;

/// The definition of an unusual day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unusual {
    /// The deviations above the median, in hundredths.
    pub deviation_hundredths: i64,
    /// The least days with usage among the last 28.
    pub min_days: usize,
    /// Fewer tokens than this are never unusual.
    pub min_tokens: i64,
}

fn median(sorted: &[i64]) -> i64 {
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(low), Some(high)) if sorted.len().is_multiple_of(2) => {
            low / 2 + high / 2 + (low % 2 + high % 2) / 2
        }
        (_, Some(high)) => *high,
        _ => 0,
    }
}

impl Unusual {
    /// Returns the tokens from which on a day is unusual after days with these totals. None if
    /// there are too few.
    ///
    /// The formula is `median + deviations x scale`. The scale is 1.4826 x the median absolute
    /// deviation (which makes it comparable with a standard deviation), and at least a tenth of the
    /// median and one token, so that a little more is not unusual for a constant user.
    pub fn threshold(&self, mut days: Vec<i64>) -> Option<i64> {
        days.retain(|tokens| *tokens > 0);
        if days.is_empty() || days.len() < self.min_days {
            return None;
        }
        days.sort_unstable();
        let middle = median(&days);
        let mut away: Vec<i64> = days.iter().map(|day| (day - middle).abs()).collect();
        away.sort_unstable();
        let scale_by_10000 = (i128::from(median(&away)) * 14_826)
            .max(i128::from(middle) * 1_000)
            .max(10_000);
        let above = i128::from(self.deviation_hundredths) * scale_by_10000 / 1_000_000;
        let threshold = i128::from(middle) + above.max(1);
        Some(
            i64::try_from(threshold)
                .unwrap_or(i64::MAX)
                .max(self.min_tokens),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Unusual = Unusual {
        deviation_hundredths: 300,
        min_days: 7,
        min_tokens: 0,
    };

    #[test]
    fn a_day_is_measured_by_median_and_median_deviation() {
        // Median 100, deviations 0 0 10 10 10 20 100: their median is 10, the scale 14.826, three
        // of them 44.
        let days = vec![100, 100, 110, 90, 90, 120, 200];
        assert_eq!(USUAL.threshold(days), Some(144));
        let wild = vec![100, 100, 110, 90, 90, 120, 1_000_000];
        assert_eq!(
            USUAL.threshold(wild),
            Some(144),
            "one wild day changes nothing"
        );
    }

    #[test]
    fn who_is_always_the_same_has_a_tenth_of_room() {
        assert_eq!(USUAL.threshold(vec![1_000; 10]), Some(1_300));
        assert_eq!(USUAL.threshold(vec![1; 10]), Some(4));
    }

    #[test]
    fn too_few_days_say_nothing_and_few_tokens_are_never_unusual() {
        assert_eq!(USUAL.threshold(vec![100; 6]), None);
        assert_eq!(USUAL.threshold(vec![0; 10]), None);
        let at_least = Unusual {
            min_tokens: 5_000,
            ..USUAL
        };
        assert_eq!(at_least.threshold(vec![100; 7]), Some(5_000));
    }
}
