//! Tokens and money, as integers.
//!
//! Limits (budgets, top-ups, exemptions, thresholds) are an `i64` of tokens or micro-USD. Counted
//! amounts (usage, holds, counters, totals) are an `i128` of tokens or pico-USD: in pico-USD every
//! price of a token is a whole number. `counted` converts between the two.

use crate::domain::wide_number;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The largest amount of one budget: 10^15 tokens, or 10^15 micro-USD (a billion dollars).
pub const MAX_AMOUNT: i64 = 1_000_000_000_000_000;

const MICRO_PER_USD: i64 = 1_000_000;
const PICO_PER_USD: u128 = 1_000_000_000_000;

/// The unit that a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Tokens, input and output together.
    Tokens,
    /// US dollars: micro-USD as far as people set them, pico-USD as far as they are counted.
    Usd,
}

impl Unit {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Usd => "usd",
        }
    }

    /// Formats an amount for people, with its digits in groups: `1,234,567 tokens`, `$1,234.50`,
    /// `-$0.0213`.
    pub fn shown(self, value: i64) -> String {
        self.exactly(self.counted(value))
    }

    /// Formats what is counted like [`Unit::shown`], with every digit: `$0.000000000015`.
    pub fn exactly(self, counted: i128) -> String {
        let sign = if counted < 0 { "-" } else { "" };
        let magnitude = counted.unsigned_abs();
        let groups = |whole: u128| grouped(u64::try_from(whole).unwrap_or(u64::MAX));
        match self {
            Self::Tokens => format!("{sign}{} tokens", groups(magnitude)),
            Self::Usd => {
                let whole = groups(magnitude / PICO_PER_USD);
                let digits = format!("{:012}", magnitude % PICO_PER_USD);
                match digits.trim_end_matches('0') {
                    "" => format!("{sign}${whole}"),
                    // Cents are written with two digits.
                    fraction => format!("{sign}${whole}.{fraction:0<2}"),
                }
            }
        }
    }

    /// Returns an amount as a JSON number: tokens, or dollars with every digit.
    pub fn figure(self, value: i64) -> Value {
        match self {
            Self::Tokens => value.into(),
            Self::Usd => serde_json::from_str(&micro_usd_to_json(value)).unwrap_or(Value::Null),
        }
    }
}

/// Formats a whole number with its digits in groups of three: `1,234,567`.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Tokens and pico-USD of one request, hold or sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Amounts {
    pub tokens: i64,
    /// 10^-12 US dollars.
    #[serde(with = "wide_number")]
    pub pico_usd: i128,
}

impl Amounts {
    pub const ZERO: Self = Self {
        tokens: 0,
        pico_usd: 0,
    };
    pub const MAX: Self = Self {
        tokens: i64::MAX,
        pico_usd: i128::MAX,
    };

    pub fn new(tokens: i64, pico_usd: i128) -> Self {
        Self { tokens, pico_usd }
    }

    /// Returns the amounts that people set, in tokens and micro-USD.
    pub fn of_micro_usd(tokens: i64, micro_usd: i64) -> Self {
        Self::new(tokens, Unit::Usd.counted(micro_usd))
    }

    /// Returns the amounts that `of` returns for each unit.
    pub fn by_unit(mut of: impl FnMut(Unit) -> i128) -> Self {
        let tokens = Unit::Tokens.rounded_down(of(Unit::Tokens));
        Self::new(tokens, of(Unit::Usd))
    }

    /// Returns the dollars as people see them: in micro-USD, rounded up.
    pub fn micro_usd(self) -> i64 {
        Unit::Usd.rounded_up(self.pico_usd)
    }

    pub fn of(self, unit: Unit) -> i128 {
        match unit {
            Unit::Tokens => self.tokens.into(),
            Unit::Usd => self.pico_usd,
        }
    }

    /// Returns `self + other` in both units, within the range of the integers.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self::new(
            self.tokens.saturating_add(other.tokens),
            self.pico_usd.saturating_add(other.pico_usd),
        )
    }

    /// Returns `self - other` in both units, within the range of the integers.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(other.tokens),
            pico_usd: self.pico_usd.saturating_sub(other.pico_usd),
        }
    }

    /// Returns `self` as often as `count` says, within the range of the integers.
    #[must_use]
    pub fn saturating_mul(self, count: u8) -> Self {
        Self::new(
            self.tokens.saturating_mul(count.into()),
            self.pico_usd.saturating_mul(count.into()),
        )
    }

    /// Returns one of `count` equal parts, rounded down. All of it if `count` is zero.
    #[must_use]
    pub fn part_of(self, count: u8) -> Self {
        let count = count.max(1);
        Self::new(
            self.tokens / i64::from(count),
            self.pico_usd / i128::from(count),
        )
    }

    /// Returns `self - other` in both units, or None if a unit leaves the range of the integers.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Some(Self {
            tokens: self.tokens.checked_sub(other.tokens)?,
            pico_usd: self.pico_usd.checked_sub(other.pico_usd)?,
        })
    }
}

/// Why a text is not an amount of US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsdError {
    #[error("must be a number of US dollars")]
    NotANumber,
    /// More than six digits after the point.
    #[error("must have at most six decimals")]
    TooManyDecimals,
    /// Exceeds an `i64` of micro-USD.
    #[error("is too large")]
    TooLarge,
}

/// Parses a JSON number of dollars into micro-USD, exactly: `"0.0213"` is 21,300. Accepts
/// exponents.
pub fn micro_usd_from_json(text: &str) -> Result<i64, UsdError> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i32>().map_err(|_| UsdError::NotANumber)?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || whole.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UsdError::NotANumber);
    }
    let significant = all.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    // micro = significant x 10^shift
    let trailing_zeros = all.len() - all.trim_end_matches('0').len();
    let shift = i64::from(exponent) + 6 - i64::try_from(fraction.len()).unwrap_or(i64::MAX)
        + i64::try_from(trailing_zeros).unwrap_or(0);
    if shift < 0 {
        return Err(UsdError::TooManyDecimals);
    }
    let shift = u32::try_from(shift).map_err(|_| UsdError::TooLarge)?;
    let value = significant
        .parse::<i64>()
        .ok()
        .and_then(|n| n.checked_mul(10_i64.checked_pow(shift)?))
        .ok_or(UsdError::TooLarge)?;
    Ok(if negative { -value } else { value })
}

/// Returns the JSON number of dollars for `micro_usd`, without trailing zeros: 21,300 is `0.0213`.
pub fn micro_usd_to_json(micro_usd: i64) -> String {
    let sign = if micro_usd < 0 { "-" } else { "" };
    let magnitude = micro_usd.unsigned_abs();
    let scale = MICRO_PER_USD.unsigned_abs();
    let text = format!("{sign}{}.{:06}", magnitude / scale, magnitude % scale);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dollars_are_read_exactly_or_refused() {
        let cases = [
            ("0", Ok(0)),
            ("0.0213", Ok(21_300)),
            ("25", Ok(25_000_000)),
            ("25.000000", Ok(25_000_000)),
            ("-1.5", Ok(-1_500_000)),
            ("1e3", Ok(1_000_000_000)),
            ("2.5E-6", Err(UsdError::TooManyDecimals)),
            ("25.0000000", Ok(25_000_000)),
            ("0.0000001", Err(UsdError::TooManyDecimals)),
            ("1e300", Err(UsdError::TooLarge)),
            ("99999999999999999999", Err(UsdError::TooLarge)),
            ("true", Err(UsdError::NotANumber)),
            ("\"1\"", Err(UsdError::NotANumber)),
            ("", Err(UsdError::NotANumber)),
        ];
        for (text, expected) in cases {
            assert_eq!(micro_usd_from_json(text), expected, "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_with_their_digits_in_groups() {
        let tokens = [0, 999, 1_000, 1_234_567, -1_000, i64::MIN].map(|n| Unit::Tokens.shown(n));
        let expected = [
            "0 tokens",
            "999 tokens",
            "1,000 tokens",
            "1,234,567 tokens",
            "-1,000 tokens",
            "-9,223,372,036,854,775,808 tokens",
        ];
        assert_eq!(tokens, expected);
        let micro_usd = [
            0,
            50_000_000,
            1_234_560_000,
            500_000,
            21_300,
            -1_000_500_000,
        ];
        let dollars = micro_usd.map(|n| Unit::Usd.shown(n));
        let expected = ["$0", "$50", "$1,234.56", "$0.50", "$0.0213", "-$1,000.50"];
        assert_eq!(dollars, expected);
    }

    proptest! {
        #[test]
        fn writing_and_reading_dollars_gives_the_same(micro in -MAX_AMOUNT..MAX_AMOUNT) {
            prop_assert_eq!(micro_usd_from_json(&micro_usd_to_json(micro)), Ok(micro));
        }
    }

    #[test]
    fn a_difference_is_that_of_each_unit() {
        let difference = Amounts::new(1_033, 21_345).saturating_sub(Amounts::new(1_100, 345));
        assert_eq!(difference, Amounts::new(-67, 21_000));
    }
}
