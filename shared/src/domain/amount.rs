//! Tokens and money, as integers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The largest amount of one budget: 10^15 tokens, or 10^15 micro-USD (a thousand million dollars).
pub const MAX_AMOUNT: i64 = 1_000_000_000_000_000;

const MICRO_PER_USD: i64 = 1_000_000;

/// The unit that a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Tokens, input and output together.
    Tokens,
    /// US dollars, kept as micro-USD.
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
        let sign = if value < 0 { "-" } else { "" };
        let magnitude = value.unsigned_abs();
        match self {
            Self::Tokens => format!("{sign}{} tokens", grouped(magnitude)),
            Self::Usd => {
                let scale = MICRO_PER_USD.unsigned_abs();
                let whole = grouped(magnitude / scale);
                let digits = format!("{:06}", magnitude % scale);
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

/// Tokens and micro-USD of one request, hold or sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Amounts {
    pub tokens: i64,
    /// Millionths of a US dollar.
    pub micro_usd: i64,
}

impl Amounts {
    pub const ZERO: Self = Self {
        tokens: 0,
        micro_usd: 0,
    };

    pub fn new(tokens: i64, micro_usd: i64) -> Self {
        Self { tokens, micro_usd }
    }

    pub fn of(self, unit: Unit) -> i64 {
        match unit {
            Unit::Tokens => self.tokens,
            Unit::Usd => self.micro_usd,
        }
    }

    /// Returns `self + other` in both units, within the range of an `i64`.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self::new(
            self.tokens.saturating_add(other.tokens),
            self.micro_usd.saturating_add(other.micro_usd),
        )
    }

    /// Returns `self - other` in both units, within the range of an `i64`.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_sub(other.tokens),
            micro_usd: self.micro_usd.saturating_sub(other.micro_usd),
        }
    }

    /// Returns `self - other` in both units, or None if a unit leaves the range of an `i64`.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Some(Self {
            tokens: self.tokens.checked_sub(other.tokens)?,
            micro_usd: self.micro_usd.checked_sub(other.micro_usd)?,
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
