//! Denials of a request: the reasons and the remedies.

use crate::domain::amount::Unit;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::figures::{Figures, ShownFigures};
use crate::domain::ledger::hold_request::{ExemptionLeft, HoldRequest};
use crate::domain::ledger::node::Node;
use crate::domain::ledger::way_out::WayOut;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::models::LevelRule;
use crate::domain::org::people::{Status, User};
use jiff::Timestamp;

#[cfg(test)]
use crate::domain::ledger::offer::offer;
#[cfg(test)]
use crate::domain::ledger::warning::{Warning, passed_soft_caps};

/// A stable code for the reason of a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasonCode {
    /// A hard cap has less than the requested amount.
    BudgetExhausted,
    UserBlocked,
    UserSuspended,
    /// There is no such user.
    UnknownUser,
    /// The model has no price, but a hard cap in US dollars applies.
    UnknownModel,
    /// The rule in force on the user's path forbids the model.
    ModelNotAllowed,
    /// Too many requests are in flight.
    TooManyHolds,
    /// The counters accept no more changes at the moment.
    Overloaded,
}

impl ReasonCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BudgetExhausted => "budget_exhausted",
            Self::UserBlocked => "user_blocked",
            Self::UserSuspended => "user_suspended",
            Self::UnknownUser => "unknown_user",
            Self::UnknownModel => "unknown_model",
            Self::ModelNotAllowed => "model_not_allowed",
            Self::TooManyHolds => "too_many_holds",
            Self::Overloaded => "overloaded",
        }
    }
}

/// One reason for a denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub code: ReasonCode,
    /// For the denied person: the reason, its end, and whom to ask.
    pub message: String,
    /// The exhausted budget, its figures, and the requested amount.
    pub budget: Option<ShortBudget>,
    /// When a retry may help: the budget's reset or the block's end.
    pub resets_at: Option<Timestamp>,
    /// The exemption that would admit the request.
    pub ask: Option<Ask>,
    /// The rule that forbids the model.
    pub models: Option<LevelRule>,
}

/// The exemption that would lift every reason for the denial, and who else may request it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub user_id: String,
    /// The tokens, if a cap in tokens denied it.
    pub tokens: Option<i64>,
    /// The micro-USD, if a cap in US dollars denied it.
    pub micro_usd: Option<i64>,
    /// The end of the exemption, when the caps reset.
    pub ends_at: Timestamp,
    /// The user's manager, or that of the nearest department that has an active one.
    pub manager_id: Option<String>,
}

/// A budget with less than the requested amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortBudget {
    pub budget_id: String,
    /// Its department. None for the organisation.
    pub department_id: Option<String>,
    pub unit: Unit,
    pub figures: ShownFigures,
    /// Tokens or micro-USD, rounded up.
    pub requested: i64,
    /// The user's exemptions that cover it, with their remainders.
    pub exemptions: Vec<ExemptionLeft>,
}

impl Reason {
    pub(super) fn plain(code: ReasonCode, message: String, resets_at: Option<Timestamp>) -> Self {
        Self {
            code,
            message,
            budget: None,
            resets_at,
            ask: None,
            models: None,
        }
    }

    /// Denies an unknown user.
    pub fn unknown_user(user_id: &str) -> Self {
        let message = format!(
            "there is no user {user_id:?} in this organisation; an administrator can add them"
        );
        Self::plain(ReasonCode::UnknownUser, message, None)
    }

    /// Denies a model without a price under a hard cap in US dollars.
    pub fn unknown_model(model: &str) -> Self {
        let message = format!(
            "model {model:?} has no known price, but a hard cap in US dollars applies; use a \
             priced model, or ask an administrator to set its price, or unknown_model to \
             \"estimate\""
        );
        Self::plain(ReasonCode::UnknownModel, message, None)
    }

    /// Denies because the organisation has the maximum of requests in flight.
    pub fn too_many_holds(seconds: u32) -> Self {
        let message =
            format!("too many requests in flight for this organisation; try again in {seconds} s");
        Self::plain(ReasonCode::TooManyHolds, message, None)
    }

    /// Denies because the user has the maximum of requests in flight: `places`.
    pub fn too_many_holds_of_user(places: usize, seconds: u32) -> Self {
        let message = format!(
            "{places} of your requests are in flight, which is the most that one user may have; \
             try again in {seconds} s"
        );
        Self::plain(ReasonCode::TooManyHolds, message, None)
    }

    /// Denies a lease of more requests than one user may have in flight: `places`.
    pub fn too_long_a_lease(requests: u8, places: usize) -> Self {
        let message = format!(
            "a lease of {requests} requests is more than the {places} that one user may have in \
             flight; ask for fewer"
        );
        Self::plain(ReasonCode::TooManyHolds, message, None)
    }

    /// Denies because the database answers, but too slowly for a decision.
    pub fn overloaded(seconds: u32) -> Self {
        let message =
            format!("the budgets accept no more requests at the moment; try again in {seconds} s");
        Self::plain(ReasonCode::Overloaded, message, None)
    }

    /// Returns why `user` may not use LLMs at all at `now`, if so.
    pub fn of_user(user: &User, now: Timestamp) -> Option<Self> {
        if let Some(block) = user.block.as_ref().filter(|block| block.is_in_force(now)) {
            let until = block
                .until
                .map_or("until an administrator releases you".to_owned(), |until| {
                    format!("until {until}")
                });
            let message = format!("you are blocked {until}: {}", block.reason);
            return Some(Self::plain(ReasonCode::UserBlocked, message, block.until));
        }
        (user.status == Status::Suspended).then(|| {
            let message = "your account is suspended; ask an administrator";
            Self::plain(ReasonCode::UserSuspended, message.to_owned(), None)
        })
    }

    /// Returns the exhausted budgets at the moment of `cell`, the lowest in the tree first.
    pub fn short(
        configuration: &Configuration,
        user: &User,
        cell: &Cell,
        short: &[Node],
        asked: &HoldRequest,
        way_out: WayOut<'_>,
        now: Timestamp,
    ) -> Vec<Self> {
        let zone = configuration.organisation.zone();
        let period = configuration.period_of(now);
        let resets_at = configuration.organisation.month_end(period);
        let needs = |unit| {
            let is_short = short.iter().any(|node| node.unit == unit);
            is_short.then(|| unit.rounded_up(asked.hold.amounts.of(unit)).max(1))
        };
        let ask = Ask {
            user_id: user.id.clone(),
            tokens: needs(Unit::Tokens),
            micro_usd: needs(Unit::Usd),
            ends_at: resets_at,
            manager_id: way_out.manager().map(|manager| manager.id.clone()),
        };
        let local_reset = resets_at
            .to_zoned_datetime(zone)
            .strftime("%Y-%m-%d %H:%M %Z")
            .to_string();
        configuration
            .budgets_of(short)
            .into_iter()
            .map(|budget| {
                let figures = Figures::of(budget, period, cell).shown(budget.unit);
                let requested = asked.hold.amounts.of(budget.unit);
                let requested = budget.unit.rounded_up(requested);
                let exemptions = asked.left_of_exemptions(cell, budget.counter());
                let whose = match &budget.department_id {
                    None => "the organisation",
                    Some(id) => {
                        let known = configuration.departments.get(id);
                        known.map_or(id.as_str(), |department| &department.name)
                    }
                };
                Self {
                    code: ReasonCode::BudgetExhausted,
                    message: format!(
                        "the budget {:?} of {whose} {}{}; {}",
                        budget.name,
                        left(budget.unit, &figures, requested),
                        left_of(budget.unit, &exemptions),
                        way_out.said(budget.unit, &figures, &local_reset),
                    ),
                    budget: Some(ShortBudget {
                        budget_id: budget.id.clone(),
                        department_id: budget.department_id.clone(),
                        unit: budget.unit,
                        figures,
                        requested,
                        exemptions,
                    }),
                    resets_at: Some(resets_at),
                    ask: match way_out {
                        WayOut::Wait(_) => None,
                        WayOut::Exemption { .. } => Some(ask.clone()),
                    },
                    models: None,
                }
            })
            .collect()
    }
}

/// Describes the remainders of exemptions. They follow that of their cap.
fn left_of(unit: Unit, exemptions: &[ExemptionLeft]) -> String {
    let said = |exemption: &ExemptionLeft| {
        let left = unit.shown(exemption.left.max(0));
        format!(" (your exemption {} has {left} left)", exemption.id)
    };
    exemptions.iter().map(said).collect()
}

/// Describes the remainder of a budget for a request. A debt is not an available amount.
fn left(unit: Unit, figures: &ShownFigures, requested: i64) -> String {
    let limit = unit.shown(figures.own_limit());
    let left = match figures {
        ShownFigures { remaining, .. } if *remaining < 0 => {
            let debt = unit.shown(remaining.saturating_neg());
            format!("is overspent by {debt} (its limit is {limit})")
        }
        ShownFigures { available, .. } if *available <= 0 => {
            format!("has nothing of {limit} available")
        }
        ShownFigures { available, .. } => {
            format!("has {} of {limit} available", unit.shown(*available))
        }
    };
    match requested {
        0 => left,
        _ => format!("{left} and the request needs {}", unit.shown(requested)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::amount::Amounts;
    use crate::domain::ledger::estimate::Estimate;
    use crate::domain::ledger::hold::{Exempt, Hold};
    use crate::domain::ledger::hold_id::HoldKey;
    use crate::domain::org::budget::Budget;
    use crate::domain::pricing::quote::Quote;
    use crate::domain::pricing::tokens::{ServiceTier, TokenCounts};
    use crate::domain::samples::{
        NOW, at, budget, cell, configuration, counter, hold, month, user,
    };
    use std::collections::BTreeMap;

    const SPENT: i128 = 333;

    /// 1,000 tokens, 100 for November only and 50 carried over. 333 are spent, 10 of them under an
    /// exemption. 120 are held, and 70 more of which an exemption gives 30.
    fn busy() -> (Budget, Cell) {
        let mut budget = budget(Some("eng"), Unit::Tokens, 1_000);
        budget.top_up(100, month("2026-11")).unwrap();
        let node = budget.counter();
        let under_a_raise = Hold {
            exempt: Some(Exempt {
                is_limited: true,
                index: Node::exemption(0),
                covered: vec![node],
                given: Amounts::new(30, 0),
            }),
            ..hold(70, 0)
        };
        let rid = |request| HoldKey::derive("acme", "ada", request);
        let rest = 1_000 + 100 + 50 + 40 - SPENT - 120 - 70;
        let cell = Cell {
            carried: BTreeMap::from([(node, 50)]),
            exempted: BTreeMap::from([(node, 40)]),
            holds: BTreeMap::from([(rid("r-1"), hold(120, 0)), (rid("r-2"), under_a_raise)]),
            ..cell([(node, rest)])
        };
        (budget, cell)
    }

    #[test]
    fn what_is_spent_what_is_held_and_what_exemptions_gave_are_told_apart() {
        let (budget, cell) = busy();
        let figures = Figures::of(&budget, month("2026-11"), &cell);
        let expected = Figures {
            amount: 1_000,
            carried: 50,
            topped_up: 100,
            exempted: 40,
            limit: 1_190,
            spent: SPENT,
            held: 190,
            held_exempt: 30,
            remaining: 857,
            available: 667,
        };
        assert_eq!(figures, expected);
        assert_eq!((figures.own_limit(), figures.beyond()), (1_150, 140));
        assert_eq!(figures.own_spent(), SPENT - 10);
        // 667 of 1,150 are in use.
        assert_eq!(figures.used_percent(), 42);
    }

    #[test]
    fn a_budget_that_is_changed_has_the_figures_that_its_cell_will_give() {
        let (mut budget, cell) = busy();
        let period = month("2026-11");
        let given = budget.gives_in(period);
        budget.change_amount(1_303, period);
        let figures = Figures::changed(&budget, period, &cell, given);
        assert_eq!(
            (figures.amount, figures.spent, figures.held),
            (1_303, SPENT, 190)
        );
        assert_eq!((figures.remaining, figures.available), (1_160, 970));
    }

    fn asks(hold: Hold, hard: Vec<Node>) -> HoldRequest {
        HoldRequest {
            rid: HoldKey::derive("acme", "ada", "r-9"),
            hold,
            requests: 1,
            hard,
            epoch: 1,
            earlier: Default::default(),
            exemptions: Vec::new(),
        }
    }

    #[test]
    fn a_refusal_proposes_an_exemption_from_every_cap_that_refused() {
        let configuration = configuration([
            budget(Some("eng"), Unit::Tokens, 10_007),
            budget(None, Unit::Usd, 50_003),
        ]);
        let (tokens, usd) = (counter(Some("eng"), Unit::Tokens), counter(None, Unit::Usd));
        let cell = cell([(tokens, 4_100), (usd, 13_003_999_999)]);
        let asked = asks(hold(5_120, 21_299_000_001), vec![usd, tokens]);
        let ada = User {
            manager_id: Some("mo".to_owned()),
            ..user("ada")
        };
        let manager = user("mo");
        let way_out = WayOut::Exemption {
            manager: Some(&manager),
        };
        let short = |short: &[Node], way_out| {
            Reason::short(&configuration, &ada, &cell, short, &asked, way_out, at(NOW))
        };
        let proposed = Ask {
            user_id: "ada".to_owned(),
            tokens: Some(5_120),
            micro_usd: Some(21_300),
            ends_at: at("2026-12-01T00:00:00Z"),
            manager_id: Some("mo".to_owned()),
        };
        let reasons = short(&[usd, tokens], way_out);
        assert!(
            reasons
                .iter()
                .all(|reason| reason.ask.as_ref() == Some(&proposed))
        );
        let said: Vec<&str> = reasons
            .iter()
            .map(|reason| reason.message.as_str())
            .collect();
        let until = "it resets on 2026-12-01 00:00 UTC; until then request an exemption, \
             or ask The user mo or an administrator";
        let expected = [
            "the budget \"Budget of eng\" of The eng has 4,100 tokens of 10,007 tokens available \
             and the request needs 5,120 tokens; ",
            "the budget \"Budget of acme\" of the organisation has $0.013003 of $0.050003 \
             available and the request needs $0.0213; ",
        ];
        assert_eq!(said, expected.map(|said| format!("{said}{until}")));
        let only = Ask {
            tokens: None,
            ..proposed
        };
        assert_eq!(short(&[usd], way_out)[0].ask, Some(only));
        assert_eq!(short(&[usd], WayOut::Wait(7))[0].ask, None);
        // A manager who is suspended is not named: the refusal was not given one.
        let nobody = WayOut::Exemption { manager: None };
        let ask = short(&[usd], nobody)[0].ask.clone().unwrap();
        assert_eq!(ask.manager_id, None);
    }

    #[test]
    fn only_what_is_spent_beyond_the_limit_is_called_overspent() {
        let (budget, cell) = busy();
        let figures = Figures::of(&budget, month("2026-11"), &cell).shown(Unit::Tokens);
        let said = |remaining, available| {
            let figures = ShownFigures {
                remaining,
                available,
                ..figures
            };
            left(Unit::Tokens, &figures, 0)
        };
        assert_eq!(said(190, 0), "has nothing of 1,150 tokens available");
        assert_eq!(said(40, -150), "has nothing of 1,150 tokens available");
        assert_eq!(
            said(-1_001, -1_191),
            "is overspent by 1,001 tokens (its limit is 1,150 tokens)"
        );
    }

    #[test]
    fn an_offer_has_at_least_one_token_and_fits_every_cap() {
        let (eng, all) = (
            counter(Some("eng"), Unit::Tokens),
            counter(None, Unit::Tokens),
        );
        let asked = asks(hold(5_120, 0), vec![all, eng]);
        let estimate = Estimate {
            counts: TokenCounts {
                input: 1_024,
                output: 4_096,
                ..TokenCounts::default()
            },
            tier: ServiceTier::Default,
            amounts: Amounts::new(5_120, 0),
            price: None,
            matched: Quote::none("t").matched,
        };
        for (rest, offered) in [
            (1_023, None),
            (1_024, None),
            (1_025, Some(1)),
            (3_001, Some(1_977)),
        ] {
            let cell = cell([(eng, rest), (all, 4_000)]);
            assert_eq!(offer(&asked, &cell, &estimate), offered, "{rest}");
        }
    }

    #[test]
    fn a_soft_cap_is_passed_by_the_first_token_beyond_it() {
        let soft = Budget {
            hard_cap: false,
            ..budget(Some("eng"), Unit::Tokens, 1_001)
        };
        let node = soft.counter();
        let configuration = configuration([soft, budget(None, Unit::Tokens, 1_001)]);
        let path = configuration.path("backend");
        let warnings = |rest| {
            let cell = cell([(node, rest), (counter(None, Unit::Tokens), -9)]);
            passed_soft_caps(&configuration, &path, month("2026-11"), &cell)
        };
        assert!(warnings(0).is_empty());
        let warning = Warning::SoftCapExceeded {
            budget_id: "bud_eng_tokens".to_owned(),
            department_id: Some("eng".to_owned()),
            used_percent: 103,
        };
        assert_eq!(warnings(-31), [warning]);
        assert_eq!(warnings(-1).len(), 1);
    }
}
