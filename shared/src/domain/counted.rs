//! Converts between amounts that people set and see (`i64`, tokens or micro-USD) and amounts that
//! are counted (`i128`, tokens or pico-USD).
//!
//! The types keep the two apart. This is the one place where they meet.

use crate::domain::amount::Unit;

const PICO_PER_MICRO: i128 = 1_000_000;

impl Unit {
    /// Converts an amount that somebody set into a counted one.
    pub fn counted(self, set: i64) -> i128 {
        match self {
            Self::Tokens => set.into(),
            Self::Usd => i128::from(set) * PICO_PER_MICRO,
        }
    }

    /// Rounds a counted amount up to one that people see. Use it for amounts that are spent, held
    /// or asked for.
    pub fn rounded_up(self, counted: i128) -> i64 {
        self.rounded_down(counted.saturating_neg()).saturating_neg()
    }

    /// Rounds a counted amount down to one that people see. Use it for remainders.
    pub fn rounded_down(self, counted: i128) -> i64 {
        let shown = match self {
            Self::Tokens => counted,
            Self::Usd => counted.div_euclid(PICO_PER_MICRO),
        };
        i64::try_from(shown).unwrap_or(if shown < 0 { i64::MIN } else { i64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::wide_number;

    #[test]
    fn what_is_counted_is_shown_with_six_decimals_rounded_and_exactly_with_twelve() {
        for (pico_usd, down, up) in [
            (0, 0, 0),
            (1, 0, 1),
            (1_000_000, 1, 1),
            (1_000_001, 1, 2),
            (-1, -1, 0),
            (-1_000_001, -2, -1),
            (wide_number::MAX, i64::MAX, i64::MAX),
            (-wide_number::MAX, i64::MIN, -i64::MAX),
        ] {
            let unit = Unit::Usd;
            let found = (unit.rounded_down(pico_usd), unit.rounded_up(pico_usd));
            assert_eq!(found, (down, up), "{pico_usd}");
        }
        assert_eq!(Unit::Tokens.rounded_up(7), 7);
        assert_eq!(Unit::Tokens.counted(7), 7);
        assert_eq!(Unit::Usd.counted(7), 7_000_000);
        assert_eq!(Unit::Usd.exactly(-15), "-$0.000000000015");
        assert_eq!(Unit::Usd.exactly(1_234_500_000_000_000), "$1,234.50");
    }
}
