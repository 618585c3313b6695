//! What a living hold is to become: it may live longer and have more, and never less.

use super::amount::{Amounts, MAX_AMOUNT, Unit};
use super::cell::{HoldRequest, UsableExemption};
use super::configuration::{Configuration, Path, UnknownModel};
use super::hold::{Hold, HoldId};
use super::people::User;
use super::period::Month;
use jiff::Timestamp;

/// How long a hold lives at most, from its first second to its last.
pub const MAX_LIFE_SECONDS: u32 = 24 * 3600;

/// What somebody wants a hold to be. Wanted again, it changes nothing more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// It lives so many seconds from now on, if it would end before that.
    pub extend_seconds: Option<u32>,
    /// It has at least so many tokens in all.
    pub tokens: Option<i64>,
}

/// Why a hold cannot become what somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotRenew {
    /// It would live longer than a day in all; from now on it may live so many seconds.
    TooLong(u32),
    /// Its month is over, and what was unused of that is carried over.
    MonthOver,
    /// It has no tokens, so nobody knows what one of them is worth.
    Empty,
    /// Its model has no price, and a hard cap in US dollars must hold.
    Unpriced,
    /// It would be worth more than any budget has.
    TooMuch,
}

/// What becomes of a hold by a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// When it is to lapse, in seconds since 1970.
    pub expires_at: u32,
    /// What it is to have more.
    pub gains: Amounts,
}

impl Wish {
    /// Returns what becomes of `hold`, whose path is `path`, at `now`.
    pub fn of(
        self,
        configuration: &Configuration,
        hold_id: &HoldId,
        hold: &Hold,
        path: &Path,
        now: Timestamp,
    ) -> Result<Wanted, CannotRenew> {
        let mut expires_at = hold.expires_at;
        if let Some(seconds) = self.extend_seconds {
            // The hold does not say when it was made: the present setting says how long before its first end.
            let hold_seconds = configuration.organisation.hold_seconds;
            let made_at = hold.first_expiry().saturating_sub(hold_seconds);
            let latest = made_at.saturating_add(MAX_LIFE_SECONDS);
            let now = u32::try_from(now.as_second()).unwrap_or(u32::MAX);
            let until = now.saturating_add(seconds);
            if until > latest.max(expires_at) {
                return Err(CannotRenew::TooLong(latest.saturating_sub(now)));
            }
            expires_at = expires_at.max(until);
        }
        let mut gains = Amounts::ZERO;
        let tokens = self.tokens.unwrap_or(0);
        if tokens > hold.amounts.tokens {
            if hold_id.period < configuration.period_of(now) {
                return Err(CannotRenew::MonthOver);
            }
            let period = hold_id.period;
            if hold.amounts.micro_usd == 0 && refuses_unpriced(configuration, path, period) {
                return Err(CannotRenew::Unpriced);
            }
            gains = grown(hold.amounts, tokens)?.saturating_sub(hold.amounts);
        }
        Ok(Wanted { expires_at, gains })
    }
}

/// Returns what is asked of the cell for what a hold gains: the same as for a new hold of that on its path, but for the place. If
/// an exemption stands in for some of it, no other one can for the rest.
pub fn gain(
    configuration: &Configuration,
    user: &User,
    hold_id: &HoldId,
    hold: &Hold,
    path: &Path,
    gains: Amounts,
    now: Timestamp,
) -> HoldRequest {
    let budgets = configuration.budgets_on(path, hold_id.period);
    let capped = budgets.iter().filter(|budget| budget.hard_cap);
    let index = hold.exempt.as_ref().map(|exempt| exempt.index);
    let grants = configuration.grants_of(&user.id, now).into_iter();
    let usable = grants.filter(|grant| index.is_none_or(|index| grant.index == index));
    let exemptions = usable.map(|grant| UsableExemption {
        grant: grant.clone(),
        covered: grant.covered(user, &budgets),
    });
    HoldRequest {
        rid: hold_id.rid.clone(),
        hold: Hold {
            amounts: gains,
            nodes: hold.levels(),
            exempt: None,
            ..hold.clone()
        },
        hard: capped.map(|budget| budget.counter()).collect(),
        epoch: configuration.epoch,
        exemptions: exemptions.collect(),
    }
}

fn refuses_unpriced(configuration: &Configuration, path: &Path, period: Month) -> bool {
    let budgets = configuration.budgets_on(path, period);
    let has_hard_usd = budgets.iter().any(|b| b.hard_cap && b.unit == Unit::Usd);
    has_hard_usd && configuration.organisation.unknown_model == UnknownModel::Refuse
}

/// Returns `amounts` with `tokens` in all: each is worth what those were on average, and a fraction counts as whole.
fn grown(amounts: Amounts, tokens: i64) -> Result<Amounts, CannotRenew> {
    if amounts.tokens <= 0 {
        return Err(CannotRenew::Empty);
    }
    let before = i128::from(amounts.tokens);
    let worth = i128::from(amounts.micro_usd) * i128::from(tokens);
    let micro_usd = (worth + before - 1) / before;
    match i64::try_from(micro_usd) {
        Ok(micro_usd) if micro_usd <= MAX_AMOUNT => Ok(Amounts { tokens, micro_usd }),
        _ => Err(CannotRenew::TooMuch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fraction_of_a_micro_dollar_counts_as_whole() {
        let of = |tokens, micro_usd, wanted| grown(Amounts::new(tokens, micro_usd), wanted);
        assert_eq!(of(3, 10, 4), Ok(Amounts::new(4, 14)));
        assert_eq!(of(1_000, 1, 1_001), Ok(Amounts::new(1_001, 2)));
        assert_eq!(of(1_000, 0, 5_000), Ok(Amounts::new(5_000, 0)));
        assert_eq!(of(0, 0, 1), Err(CannotRenew::Empty));
        assert_eq!(of(1, MAX_AMOUNT, 2), Err(CannotRenew::TooMuch));
    }

    proptest! {
        #[test]
        fn more_tokens_are_never_worth_less(
            tokens in 1_i64..1_000_000, micro_usd in 0_i64..1_000_000_000, more in 0_i64..1_000_000,
        ) {
            let before = Amounts::new(tokens, micro_usd);
            let after = grown(before, tokens + more).unwrap();
            prop_assert!(after.micro_usd >= micro_usd);
            let exact = i128::from(micro_usd) * i128::from(tokens + more);
            prop_assert!(i128::from(after.micro_usd) * i128::from(tokens) >= exact);
        }
    }
}
