//! The renewal of a live hold: it may live longer and grow, but never shrink.

use crate::domain::amount::{Amounts, MAX_AMOUNT, Unit};
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::hold_request::{HoldRequest, UsableExemption};
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::org::organisation::{Reserve, UnknownModel};
use crate::domain::org::people::User;
use crate::domain::period::Month;
use crate::domain::pricing::price::Price;
use crate::domain::pricing::rates::Part;
use crate::domain::pricing::tokens::ServiceTier;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// The longest life of a hold, from creation to end, in seconds.
pub const MAX_LIFE_SECONDS: u32 = 24 * 3600;

/// The requested state of a hold. Repeating the request changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// It lives at least this many seconds from now.
    pub extend_seconds: Option<u32>,
    /// It has at least this many tokens in total.
    pub tokens: Option<i64>,
    pub model: Model,
}

/// The model of the additional tokens, if the client names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Model {
    #[default]
    NotNamed,
    Unpriced,
    Priced(Price),
}

/// Why a hold cannot be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotRenew {
    /// It would live longer than a day in total. It may live for this many more seconds.
    TooLong(u32),
    /// Its month is over, and the unused amount was carried over.
    MonthOver,
    /// It has no tokens, so their value is unknown.
    Empty,
    /// Its model has no price, but a hard cap in US dollars applies.
    Unpriced,
    /// The client does not name its model, but the organisation reserves strictly and a hard cap in
    /// US dollars applies.
    NoModel,
    /// Its value would exceed any budget.
    TooMuch,
}

/// The result of a renewal request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// When it will lapse, as Unix time.
    pub expires_at: u32,
    pub gains: Amounts,
}

impl Wish {
    /// Returns the result for `hold` with the path `path` at `now`.
    pub fn of(
        &self,
        configuration: &Configuration,
        hold_id: &HoldId,
        hold: &Hold,
        path: &Path,
        now: Timestamp,
    ) -> Result<Wanted, CannotRenew> {
        let mut expires_at = hold.expires_at;
        if let Some(seconds) = self.extend_seconds {
            // The hold does not store its creation. Assume the present lifetime before its first
            // end.
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
            let has_hard_usd = has_hard_usd(configuration, path, hold_id.period);
            let organisation = &configuration.organisation;
            let is_unpriced = match &self.model {
                Model::NotNamed => hold.amounts.pico_usd == 0,
                Model::Unpriced => true,
                Model::Priced(_) => false,
            };
            if is_unpriced && has_hard_usd && organisation.unknown_model != UnknownModel::Count {
                return Err(CannotRenew::Unpriced);
            }
            gains = match &self.model {
                Model::Priced(price) => dearest(price, hold.tier, hold.amounts, tokens),
                // The average value of its tokens may be less than the price of the next ones.
                Model::NotNamed if has_hard_usd && organisation.reserve == Reserve::Strict => {
                    return Err(CannotRenew::NoModel);
                }
                Model::NotNamed | Model::Unpriced => {
                    grown(hold.amounts, tokens)?.saturating_sub(hold.amounts)
                }
            };
            let value = hold.amounts.saturating_add(gains).pico_usd;
            if value > Unit::Usd.counted(MAX_AMOUNT) {
                return Err(CannotRenew::TooMuch);
            }
        }
        Ok(Wanted { expires_at, gains })
    }
}

/// Returns the request to the cell for the gain of a hold: the same as for a new hold on its path,
/// but without a place. If an exemption covers a part of the hold, no other exemption can cover the
/// gain.
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
        requests: 1,
        hard: capped.map(|budget| budget.counter()).collect(),
        epoch: configuration.epoch,
        earlier: BTreeSet::new(),
        exemptions: exemptions.collect(),
    }
}

fn has_hard_usd(configuration: &Configuration, path: &Path, period: Month) -> bool {
    let budgets = configuration.budgets_on(path, period);
    budgets.iter().any(|b| b.hard_cap && b.unit == Unit::Usd)
}

/// Returns the gain of a hold that grows to `tokens`, each of the most expensive kind, because
/// their kind is unknown. If the request may pass a size above which all of it is dearer, what is
/// held already gains, too.
fn dearest(price: &Price, tier: ServiceTier, held: Amounts, tokens: i64) -> Amounts {
    let more = tokens.saturating_sub(held.tokens);
    let rates = Part::ALL.map(|part| (price.rate(part, tier, 0), price.rate(part, tier, tokens)));
    let new = rates.iter().map(|(_, new)| *new).max().unwrap_or(0);
    let grown = rates.iter().filter(|(old, _)| *old > 0).map(|&(old, new)| {
        let worth = held.pico_usd.saturating_mul(new.into());
        worth.saturating_add(i128::from(old) - 1) / i128::from(old)
    });
    let grown = grown.max().unwrap_or(0).max(held.pico_usd);
    let gain = i128::from(more).saturating_mul(new.into());
    let gain = gain.saturating_add(grown.saturating_sub(held.pico_usd));
    Amounts::new(more, gain)
}

/// Returns `amounts` with `tokens` in total, valued at the average of the present ones and rounded
/// up.
fn grown(amounts: Amounts, tokens: i64) -> Result<Amounts, CannotRenew> {
    if amounts.tokens <= 0 {
        return Err(CannotRenew::Empty);
    }
    let before = i128::from(amounts.tokens);
    let worth = amounts.pico_usd.checked_mul(tokens.into());
    let worth = worth.ok_or(CannotRenew::TooMuch)?;
    let pico_usd = worth.saturating_add(before - 1) / before;
    match pico_usd <= Unit::Usd.counted(MAX_AMOUNT) {
        true => Ok(Amounts { tokens, pico_usd }),
        false => Err(CannotRenew::TooMuch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exemption::grant::{Covers, Grant, Kind, Terms};
    use crate::domain::ledger::hold::Exempt;
    use crate::domain::ledger::hold_id::HoldKey;
    use crate::domain::ledger::node::Node;
    use crate::domain::org::budget::Budget;
    use crate::domain::pricing::book::PriceBooks;
    use crate::domain::samples::{NOW, at, budget, configuration, counter, hold, month, user};
    use proptest::prelude::*;

    #[test]
    fn a_fraction_of_the_smallest_part_counts_as_whole() {
        let of = |tokens, pico_usd, wanted| grown(Amounts::new(tokens, pico_usd), wanted);
        assert_eq!(of(3, 10, 4), Ok(Amounts::new(4, 14)));
        assert_eq!(of(1_000, 1, 1_001), Ok(Amounts::new(1_001, 2)));
        assert_eq!(of(1_000, 0, 5_000), Ok(Amounts::new(5_000, 0)));
        assert_eq!(of(0, 0, 1), Err(CannotRenew::Empty));
        let most = Unit::Usd.counted(MAX_AMOUNT);
        assert_eq!(of(1, most, 1), Ok(Amounts::new(1, most)));
        assert_eq!(of(1, most, 2), Err(CannotRenew::TooMuch));
        assert_eq!(of(1, i128::MAX / 2, 3), Err(CannotRenew::TooMuch));
    }

    proptest! {
        #[test]
        fn more_tokens_are_never_worth_less(
            tokens in 1_i64..1_000_000, pico_usd in 0_i128..1_000_000_000_000,
            more in 0_i64..1_000_000,
        ) {
            let before = Amounts::new(tokens, pico_usd);
            let after = grown(before, tokens + more).unwrap();
            prop_assert!(after.pico_usd >= pico_usd);
            let exact = pico_usd * i128::from(tokens + more);
            prop_assert!(after.pico_usd * i128::from(tokens) >= exact);
        }
    }

    fn wanted(
        budgets: Vec<Budget>,
        period: &str,
        hold: &Hold,
        wish: Wish,
    ) -> Result<Wanted, CannotRenew> {
        let configuration = configuration(budgets);
        let path = configuration.path("backend");
        let rid = HoldKey::derive("acme", "ada", "r-1");
        let hold_id = HoldId::new(month(period), rid, hold);
        wish.of(&configuration, &hold_id, hold, &path, at(NOW))
    }

    fn tokens(tokens: i64) -> Wish {
        Wish {
            tokens: Some(tokens),
            ..Wish::default()
        }
    }

    #[test]
    fn a_hold_without_a_price_grows_unless_a_hard_cap_in_dollars_must_hold() {
        let budgets = |hard_cap| {
            let dollars = Budget {
                hard_cap,
                ..budget(Some("eng"), Unit::Usd, 50_003)
            };
            vec![dollars, budget(None, Unit::Tokens, 10_007)]
        };
        let of = |hard_cap, hold| wanted(budgets(hard_cap), "2026-11", &hold, tokens(1_501));
        let gains = |wanted: Wanted| wanted.gains;
        assert_eq!(
            of(false, hold(1_001, 0)).map(gains),
            Ok(Amounts::new(500, 0))
        );
        assert_eq!(of(true, hold(1_001, 0)), Err(CannotRenew::Unpriced));
        // 1,501 tokens at 3 pico-USD for 1,001 of them are worth 4.5.
        assert_eq!(
            of(true, hold(1_001, 3)).map(gains),
            Ok(Amounts::new(500, 2))
        );
    }

    #[test]
    fn what_a_hold_gains_is_worth_the_dearest_kind_of_token_of_its_model() {
        let price = Price::flat(2_500_000, 10_000_000);
        let hard = || vec![budget(Some("eng"), Unit::Usd, 50_003)];
        let wish = |model| Wish {
            model,
            ..tokens(17_001)
        };
        let of = |model| wanted(hard(), "2026-11", &hold(1_001, 2_503_000_000), wish(model));
        let gains = of(Model::Priced(price)).map(|wanted| wanted.gains);
        assert_eq!(gains, Ok(Amounts::of_micro_usd(16_000, 160_000)));
        assert_eq!(of(Model::Unpriced), Err(CannotRenew::Unpriced));
        // Without a model: the average value of its tokens.
        let gains = of(Model::NotNamed).map(|wanted| wanted.gains);
        assert_eq!(gains, Ok(Amounts::new(16_000, 40_007_992_008)));
    }

    #[test]
    fn a_hold_that_passes_a_size_gains_for_all_of_its_tokens() {
        let book = PriceBooks::built_in().at(at(NOW));
        let price = book.find(Some("gemini"), "gemini-2.5-pro").price.unwrap();
        // Input costs $1.25 a million tokens, and $2.50 above 200,000; output $10 and $15.
        let held = Amounts::of_micro_usd(200_000, 250_000);
        let grown = |held, tokens| dearest(&price, ServiceTier::Default, held, tokens);
        assert_eq!(
            grown(held, 201_000),
            Amounts::of_micro_usd(1_000, 250_000 + 15_000)
        );
        assert_eq!(
            grown(Amounts::of_micro_usd(1_000, 1_250), 2_000),
            Amounts::of_micro_usd(1_000, 10_000)
        );
    }

    #[test]
    fn what_a_hold_gains_is_priced_at_its_own_tier() {
        let book = PriceBooks::built_in().at(at(NOW));
        let price = book.find(Some("openai"), "gpt-4o").price.unwrap();
        // Output costs $10 a million tokens, in a batch $5, and with priority $17.
        for (tier, micro_usd) in [
            (ServiceTier::Default, 10_000),
            (ServiceTier::Batch, 5_000),
            (ServiceTier::Priority, 17_000),
        ] {
            let held = Hold {
                tier,
                ..hold(1_000, 2_500_000_000)
            };
            let wish = Wish {
                model: Model::Priced(price.clone()),
                ..tokens(2_000)
            };
            let gains = wanted(Vec::new(), "2026-11", &held, wish).unwrap().gains;
            assert_eq!(gains, Amounts::of_micro_usd(1_000, micro_usd), "{tier:?}");
        }
    }

    #[test]
    fn a_hold_lives_a_day_from_its_first_second_and_not_one_second_more() {
        let hold = hold(1_001, 0);
        let extended = |seconds| {
            let wish = Wish {
                extend_seconds: Some(seconds),
                ..Wish::default()
            };
            let wanted = wanted(Vec::new(), "2026-11", &hold, wish);
            wanted.map(|wanted| wanted.expires_at - hold.expires_at)
        };
        assert_eq!(extended(60), Ok(0), "it lives longer already");
        assert_eq!(extended(121), Ok(1));
        assert_eq!(extended(86_400), Ok(86_400 - 120));
        assert_eq!(extended(86_401), Err(CannotRenew::TooLong(86_400)));
    }

    #[test]
    fn a_hold_grows_in_its_own_month_only() {
        let of = |period| wanted(Vec::new(), period, &hold(1_001, 0), tokens(1_002));
        assert!(of("2026-11").is_ok());
        assert_eq!(of("2026-10"), Err(CannotRenew::MonthOver));
    }

    #[test]
    fn what_a_hold_gains_is_asked_of_every_level_and_of_its_own_exemption_alone() {
        let (cap, raise) = (counter(Some("eng"), Unit::Tokens), Node::exemption(3));
        let plain = hold(1_001, 0);
        let mut under_a_raise = plain.clone();
        under_a_raise.nodes.retain(|node| *node != cap);
        under_a_raise.nodes.push(Node {
            unit: Unit::Tokens,
            index: raise,
        });
        under_a_raise.exempt = Some(Exempt {
            is_limited: true,
            index: raise,
            covered: vec![cap],
            given: Amounts::new(77, 0),
        });
        let grant = |id: &str, index| Grant {
            id: id.to_owned(),
            index,
            terms: Terms {
                user_id: "ada".to_owned(),
                kind: Kind::Raise,
                tokens: Some(500),
                micro_usd: None,
                covers: Covers::Path,
                starts_at: at("2026-11-01T00:00:00Z"),
                ends_at: at("2026-12-01T00:00:00Z"),
            },
        };
        let mut configuration = configuration([budget(Some("eng"), Unit::Tokens, 10_007)]);
        configuration.grants = vec![grant("exm_own", raise), grant("exm_other", raise + 2)];
        let path = configuration.path("backend");
        let gain = |hold: &Hold| {
            let hold_id = HoldId::new(
                month("2026-11"),
                HoldKey::derive("acme", "ada", "r-1"),
                hold,
            );
            let gains = Amounts::new(57, 0);
            super::gain(
                &configuration,
                &user("ada"),
                &hold_id,
                hold,
                &path,
                gains,
                at(NOW),
            )
        };
        let exemptions = |asked: &HoldRequest| -> Vec<String> {
            let each = asked.exemptions.iter();
            each.map(|exemption| exemption.grant.id.clone()).collect()
        };
        let asked = gain(&under_a_raise);
        assert_eq!((&asked.hold.nodes, &asked.hard), (&plain.nodes, &vec![cap]));
        assert_eq!(asked.hold.taken_from(cap), 57);
        assert_eq!(exemptions(&asked), ["exm_own"]);
        assert_eq!(exemptions(&gain(&plain)), ["exm_own", "exm_other"]);
    }
}
