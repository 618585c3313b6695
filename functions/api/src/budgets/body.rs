//! Reads the fields of a budget.

use crate::body::one_message;
use shared::domain::amount::{MAX_AMOUNT, Unit};
use shared::runtime::fields::Fields;
use shared::runtime::parse;
use shared::runtime::values::Whole;

pub(super) const DEFAULT_THRESHOLDS: [u32; 3] = [50, 80, 100];
pub(super) const MAX_THRESHOLDS: usize = 10;
pub(super) type ThresholdPercent = Whole<1, 1_000>;
/// The most that is carried, in percent of a month's own amount.
pub(super) type CapPercent = Whole<0, 100>;

pub(crate) fn read_amount(unit: Unit) -> impl Fn(&str) -> Result<i64, String> {
    move |raw| match unit {
        Unit::Tokens => parse::whole(0, MAX_AMOUNT)(raw),
        Unit::Usd => parse::micro_usd(raw),
    }
}

pub(super) fn read_thresholds(raw: &str) -> Result<Vec<u32>, String> {
    let mut out = Vec::new();
    for value in parse::list(0, MAX_THRESHOLDS)(raw)? {
        let percent = ThresholdPercent::read(&value)?;
        out.push(u32::try_from(percent).unwrap_or(u32::MAX));
    }
    let given = out.len();
    out.sort_unstable();
    out.dedup();
    if out.len() == given {
        Ok(out)
    } else {
        Err("must be different percentages".to_owned())
    }
}

/// Reads a rollover such as `{"cap_percent": 50}`.
pub(super) fn read_rollover(raw: &str) -> Result<u32, String> {
    let mut fields = Fields::of_value(raw, "rollover").map_err(one_message)?;
    let percent = fields.required("cap_percent", CapPercent::read);
    let details = fields.into_details();
    if details.is_empty() {
        Ok(u32::try_from(percent).unwrap_or(0))
    } else {
        Err(one_message(details))
    }
}
