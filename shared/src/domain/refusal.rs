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
    /// The user's manager, or that of the nearest department that has one.
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
            manager_id: configuration.manager_of(user),
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
        /// The user's manager, or that of the nearest department that has one.
        manager: Option<&'a User>,
    },
}

impl WayOut<'_> {
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
