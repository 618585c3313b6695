//! Why a request may not pass, what would, and what to warn of.

use super::amount::Unit;
use super::cell::{Cell, HoldRequest, UsableExemption};
use super::configuration::{Budget, Configuration, Path};
use super::estimate::Estimate;
use super::hold::Node;
use super::people::{Role, Status, User};
use super::period::Month;
use jiff::Timestamp;

/// A budget's figures at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The month's own amount.
    pub amount: i64,
    /// What was carried over from the month before.
    pub carried: i64,
    /// What was added to the amount for this month only.
    pub topped_up: i64,
    /// What exemptions gave beyond all of these, held or spent.
    pub exempted: i64,
    /// amount + carried + topped_up + exempted.
    pub limit: i64,
    /// What records have used.
    pub spent: i64,
    /// What live holds have, under exemptions too.
    pub held: i64,
    /// What of `held` is held under exemptions.
    pub held_exempt: i64,
    /// limit - spent.
    pub remaining: i64,
    /// remaining - held: what a new hold can take.
    pub available: i64,
}

impl Figures {
    /// The figures of `budget` in `cell`, the cell of `period` and of one epoch with the budget. A level without a counter
    /// is untouched.
    pub fn of(budget: &Budget, period: Month, cell: &Cell) -> Self {
        let node = budget.counter();
        let amount = budget.amount_in(period);
        let carried = cell.carried(node);
        let topped_up = budget.topped_up_in(period);
        let own_limit = amount.saturating_add(carried).saturating_add(topped_up);
        let available = cell.nodes.get(&node).copied().unwrap_or(own_limit);
        let exempted = cell.exempted(node);
        let limit = own_limit.saturating_add(exempted);
        let held_exempt = cell.held_exempt(node);
        let held = cell.held(node).saturating_add(held_exempt);
        Self {
            amount,
            carried,
            topped_up,
            exempted,
            limit,
            spent: limit.saturating_sub(available).saturating_sub(held),
            held,
            held_exempt,
            remaining: available.saturating_add(held),
            available,
        }
    }

    /// The figures of `budget` as they will be in `cell`, to which the budget before it gave `given`.
    pub fn changed(budget: &Budget, period: Month, cell: &Cell, given: i64) -> Self {
        let before = Self::of(budget, period, cell);
        let Some(rest) = cell.nodes.get(&budget.counter()) else {
            return before;
        };
        let more = budget.gives_in(period).saturating_sub(given);
        let available = rest.saturating_add(more);
        let remaining = available.saturating_add(before.held);
        Self {
            spent: before.limit.saturating_sub(remaining),
            remaining,
            available,
            ..before
        }
    }

    /// amount + carried + topped_up: the limit without what exemptions gave beyond it.
    pub fn own_limit(&self) -> i64 {
        let amount = self.amount.saturating_add(self.carried);
        amount.saturating_add(self.topped_up)
    }

    /// What is beyond amount + carried: given by exemptions, held or spent, or added for this month only.
    pub fn beyond(&self) -> i64 {
        self.exempted.saturating_add(self.topped_up)
    }

    /// What records have used of the own limit, without what exemptions gave beyond it.
    pub fn own_spent(&self) -> i64 {
        let spent_exempt = self.exempted.saturating_sub(self.held_exempt);
        self.spent.saturating_sub(spent_exempt)
    }

    /// Spent and held together as a share of the own limit, in whole percent; 100 where nothing is allowed and
    /// nothing used.
    pub fn used_percent(&self) -> i64 {
        let used = i128::from(self.own_limit()) - i128::from(self.available);
        match i128::from(self.own_limit()) {
            0 => 100,
            limit => i64::try_from(used * 100 / limit).unwrap_or(i64::MAX),
        }
    }
}

/// A stable code of why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasonCode {
    /// A hard cap has less than was asked for.
    BudgetExhausted,
    /// The user is blocked.
    UserBlocked,
    /// The user is suspended.
    UserSuspended,
    /// There is no such user.
    UnknownUser,
    /// The model has no price and a hard cap in US dollars must hold.
    UnknownModel,
    /// Too many requests are under way.
    TooManyHolds,
    /// The counters take no more changes at the moment.
    Overloaded,
}

impl ReasonCode {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BudgetExhausted => "budget_exhausted",
            Self::UserBlocked => "user_blocked",
            Self::UserSuspended => "user_suspended",
            Self::UnknownUser => "unknown_user",
            Self::UnknownModel => "unknown_model",
            Self::TooManyHolds => "too_many_holds",
            Self::Overloaded => "overloaded",
        }
    }
}

/// One level that refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Why.
    pub code: ReasonCode,
    /// For the person who is refused: what, until when, and whom to ask.
    pub message: String,
    /// The budget that was short, its figures, and what was asked of it.
    pub budget: Option<ShortBudget>,
    /// When asking again may help: the budget's reset or the block's end.
    pub resets_at: Option<Timestamp>,
    /// The exemption that would let the request pass.
    pub ask: Option<Ask>,
}

/// The exemption that would let a request pass all that refused it, and who may ask for it besides its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// For whom.
    pub user_id: String,
    /// How many tokens, where a cap in tokens refused.
    pub tokens: Option<i64>,
    /// How many micro-USD, where a cap in US dollars refused.
    pub micro_usd: Option<i64>,
    /// Until when: the caps are new then.
    pub ends_at: Timestamp,
    /// The user's manager, or that of the nearest department that has an active one.
    pub manager_id: Option<String>,
}

/// A budget that had less than was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortBudget {
    /// The budget's id.
    pub budget_id: String,
    /// Its department; none is the organisation.
    pub department_id: Option<String>,
    /// What it counts.
    pub unit: Unit,
    /// Its figures at that moment.
    pub figures: Figures,
    /// What was asked for.
    pub requested: i64,
    /// The exemptions of the user that cover it, and what each has left.
    pub exemptions: Vec<ExemptionLeft>,
}

/// What an exemption that was approved has left of what it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExemptionLeft {
    /// The exemption.
    pub id: String,
    /// Tokens or micro-USD.
    pub left: i64,
}

impl Reason {
    fn plain(code: ReasonCode, message: String, resets_at: Option<Timestamp>) -> Self {
        Self {
            code,
            message,
            budget: None,
            resets_at,
            ask: None,
        }
    }

    /// No user of this id.
    pub fn unknown_user(user_id: &str) -> Self {
        let message = format!(
            "there is no user {user_id:?} in this organisation; an administrator can add them"
        );
        Self::plain(ReasonCode::UnknownUser, message, None)
    }

    /// A model without a price under a hard cap in US dollars.
    pub fn unknown_model(model: &str) -> Self {
        let message = format!(
            "model {model:?} has no known price, and a hard cap in US dollars must hold; use a priced model, \
             or ask an administrator to set unknown_model to \"count\""
        );
        Self::plain(ReasonCode::UnknownModel, message, None)
    }

    /// As many requests are under way as the organisation may have.
    pub fn too_many_holds(seconds: u32) -> Self {
        let message = format!(
            "too many requests of the organisation are under way; try again in {seconds} s"
        );
        Self::plain(ReasonCode::TooManyHolds, message, None)
    }

    /// As many requests of one user are under way as one may have: `places`.
    pub fn too_many_holds_of_user(places: usize, seconds: u32) -> Self {
        let message = format!(
            "{places} of your requests are under way, which is as many as one user may have; \
             try again in {seconds} s"
        );
        Self::plain(ReasonCode::TooManyHolds, message, None)
    }

    /// The database answers, but nothing can be decided in time.
    pub fn overloaded(seconds: u32) -> Self {
        let message =
            format!("the budgets take no more requests at the moment; try again in {seconds} s");
        Self::plain(ReasonCode::Overloaded, message, None)
    }

    /// Why `user` may not use LLMs at all at `now`, if so.
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

    /// The short budgets, the lowest in the tree first, at the moment of `cell`.
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
            is_short.then(|| asked.hold.amounts.of(unit).max(1))
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
                let figures = Figures::of(budget, period, cell);
                let requested = asked.hold.amounts.of(budget.unit);
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
                }
            })
            .collect()
    }
}

/// What somebody can do whose request a budget refuses.
#[derive(Clone, Copy, Debug)]
pub enum WayOut<'a> {
    /// Ask again in so many seconds: nothing but live holds stands in the way.
    Wait(u32),
    /// Get an exemption. The manager, if there is one, can ask for it too.
    Exemption {
        /// The user's manager, or that of the nearest department that has an active one.
        manager: Option<&'a User>,
    },
}

impl WayOut<'_> {
    fn manager(&self) -> Option<&User> {
        match self {
            Self::Wait(_) => None,
            Self::Exemption { manager } => *manager,
        }
    }

    fn said(self, unit: Unit, figures: &Figures, local_reset: &str) -> String {
        match self {
            Self::Wait(seconds) => {
                let held = unit.shown(figures.held);
                format!("{held} are held by requests that are under way; try again in {seconds} s")
            }
            Self::Exemption { manager } => {
                let whom = match manager {
                    Some(user) if user.role == Role::Admin => {
                        format!("{} or another administrator", user.name)
                    }
                    Some(user) => format!("{} or an administrator", user.name),
                    None => "an administrator".to_owned(),
                };
                format!(
                    "it resets on {local_reset}; until then request an exemption, or ask {whom}"
                )
            }
        }
    }
}

/// What a budget has left for a request, in words: a debt is no amount that is available.
/// What exemptions have left, to be said after what their cap has left.
fn left_of(unit: Unit, exemptions: &[ExemptionLeft]) -> String {
    let said = |exemption: &ExemptionLeft| {
        let left = unit.shown(exemption.left.max(0));
        format!(" (your exemption {} has {left} left)", exemption.id)
    };
    exemptions.iter().map(said).collect()
}

fn left(unit: Unit, figures: &Figures, requested: i64) -> String {
    let limit = unit.shown(figures.own_limit());
    let left = match figures {
        Figures { remaining, .. } if *remaining < 0 => {
            let debt = unit.shown(remaining.saturating_neg());
            format!("is overspent by {debt} (its limit is {limit})")
        }
        Figures { available, .. } if *available <= 0 => format!("has nothing of {limit} available"),
        Figures { available, .. } => format!("has {} of {limit} available", unit.shown(*available)),
    };
    match requested {
        0 => left,
        _ => format!("{left} and the request needs {}", unit.shown(requested)),
    }
}

/// The largest answer that would be admitted with this input, in tokens, if that is at least one: by the hard counters of
/// `asked`, or under one of its exemptions.
pub fn offer(asked: &HoldRequest, cell: &Cell, estimate: &Estimate) -> Option<i64> {
    let fits = |node: &Node, available: i64| match (node.unit, estimate.price) {
        (Unit::Tokens, _) => available.checked_sub(estimate.input),
        (Unit::Usd, Some(price)) => price.output_tokens_within(estimate.input, available),
        (Unit::Usd, None) => (available >= 0).then_some(i64::MAX),
    };
    let within = |exemption: Option<&UsableExemption>| {
        let mut most = i64::MAX;
        for node in &asked.hard {
            let available = match exemption {
                Some(exemption) => exemption.available(cell, *node),
                None => cell.nodes.get(node).copied(),
            };
            most = most.min(fits(node, available?)?);
        }
        (1..i64::MAX).contains(&most).then_some(most)
    };
    let ways = std::iter::once(None).chain(asked.exemptions.iter().map(Some));
    ways.filter_map(within).max()
}

/// Something that did not stop the request but should be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A soft cap is passed.
    SoftCapExceeded {
        /// The budget.
        budget_id: String,
        /// Its department; none is the organisation.
        department_id: Option<String>,
        /// Spent and held as a share of the limit, in percent.
        used_percent: i64,
    },
    /// The model has no price: it counts in tokens only.
    Unpriced {
        /// The model's name.
        model: String,
    },
    /// The request passes without a hold.
    NotHeld {
        /// Why: the code of the reason that would have refused it, or `unavailable`.
        code: &'static str,
        /// For people.
        message: String,
    },
}

/// The soft caps on `path` that `cell`, the cell of `period`, shows as passed.
pub fn passed_soft_caps(
    configuration: &Configuration,
    path: &Path,
    period: Month,
    cell: &Cell,
) -> Vec<Warning> {
    configuration
        .budgets_on(path, period)
        .into_iter()
        .filter(|budget| !budget.hard_cap)
        .filter(|budget| {
            cell.nodes
                .get(&budget.counter())
                .is_some_and(|rest| *rest < 0)
        })
        .map(|budget| Warning::SoftCapExceeded {
            budget_id: budget.id.clone(),
            department_id: budget.department_id.clone(),
            used_percent: Figures::of(budget, period, cell).used_percent(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::amount::Amounts;
    use crate::domain::hold::{Exempt, Hold, Rid};
    use crate::domain::samples::{
        NOW, at, budget, cell, configuration, counter, hold, month, user,
    };
    use std::collections::BTreeMap;

    const SPENT: i64 = 333;

    /// 1,000 tokens, 100 for November only and 50 carried over, of which 333 are spent, 10 of those beyond them under an
    /// exemption; 120 are held, and 70 of which an exemption gives 30.
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
        let rid = |request| Rid::derive("acme", "ada", request);
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
        // Of 1,150 there are 667 to be had.
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
            rid: Rid::derive("acme", "ada", "r-9"),
            hold,
            hard,
            epoch: 1,
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
        let cell = cell([(tokens, 4_100), (usd, 13_003)]);
        let asked = asks(hold(5_120, 21_300), vec![usd, tokens]);
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
        let until = "it resets on 2026-12-01 00:00 UTC; until then request an exemption, or ask The user mo or an \
                     administrator";
        let expected = [
            "the budget \"Budget of eng\" of The eng has 4,100 tokens of 10,007 tokens available and the request needs \
             5,120 tokens; ",
            "the budget \"Budget of acme\" of the organisation has $0.013003 of $0.050003 available and the request needs \
             $0.0213; ",
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
        let figures = Figures::of(&budget, month("2026-11"), &cell);
        let said = |remaining, available| {
            let figures = Figures {
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
            input: 1_024,
            amounts: Amounts::new(5_120, 0),
            price: None,
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
