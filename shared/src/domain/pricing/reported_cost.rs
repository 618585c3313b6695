//! The cost of a request as a gateway reports it.

/// The most that one request may be said to cost: a million dollars. It fits an `i64` of pico-USD.
pub const MAX_REPORTED_PICO_USD: i64 = 1_000_000_000_000_000_000;

/// The digits after the point that a pico-USD is.
const DECIMALS: i64 = 12;

/// Reads a JSON number of dollars into pico-USD: `"4.5e-05"` is 45,000,000. Gateways compute costs
/// with floating-point numbers, so the number may have many digits; a fraction of a pico-USD is
/// rounded up. None if it is not a number, negative, or above [`MAX_REPORTED_PICO_USD`].
pub fn pico_usd_from_json(text: &str) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (is_negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if whole.is_empty() || !all.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = all.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    if is_negative {
        return None;
    }
    // The cost is `digits` times ten to the power of `shift`.
    let shift = i64::from(exponent) + DECIMALS - i64::try_from(fraction.len()).ok()?;
    let pico_usd = match u32::try_from(shift) {
        Ok(shift) => digits
            .parse::<i64>()
            .ok()?
            .checked_mul(10_i64.checked_pow(shift)?)?,
        Err(_) => {
            let finer = usize::try_from(shift.unsigned_abs()).ok()?;
            let (kept, finer) = digits.split_at(digits.len().saturating_sub(finer));
            let kept = match kept {
                "" => 0,
                kept => kept.parse::<i64>().ok()?,
            };
            let rest = finer.bytes().any(|digit| digit != b'0');
            kept.checked_add(i64::from(rest))?
        }
    };
    (pico_usd <= MAX_REPORTED_PICO_USD).then_some(pico_usd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cost_is_read_whatever_digits_it_has_and_never_rounded_down() {
        let cases = [
            ("0", Some(0)),
            ("0.0", Some(0)),
            ("-0.0", Some(0)),
            ("0.0213", Some(21_300_000_000)),
            ("4.5e-05", Some(45_000_000)),
            ("4.5000000000000003e-05", Some(45_000_001)),
            ("1e-12", Some(1)),
            ("1.0000e-12", Some(1)),
            ("1e-13", Some(1)),
            ("1e-400", Some(1)),
            ("0.0000000000019", Some(2)),
            ("1000000", Some(MAX_REPORTED_PICO_USD)),
            ("1000000.000000000001", None),
            ("1e300", None),
            ("1e99999999999", None),
            ("-0.1", None),
            ("\"1\"", None),
            ("null", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(pico_usd_from_json(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn twelve_decimals_are_exact(whole in 0_i64..1_000_000, pico in 0_i64..1_000_000_000_000) {
            let expected = Some(whole * 1_000_000_000_000 + pico);
            prop_assert_eq!(pico_usd_from_json(&format!("{whole}.{pico:012}")), expected);
        }
    }
}
