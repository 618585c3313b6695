//! Holds the amounts of a request, and builds the answer if they cannot be held.

use super::App;
use super::decision::Verdict;
use super::places::Place;
use super::undecided::SOON;
use jiff::Timestamp;
use shared::domain::amount::Amounts;
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::estimate::Estimate;
use shared::domain::ledger::hold::{Exempt, Hold};
use shared::domain::ledger::hold_id::{HoldId, HoldKey};
use shared::domain::ledger::hold_request::{HoldRejection, HoldRequest};
use shared::domain::ledger::node::Node;
use shared::domain::ledger::offer::offer;
use shared::domain::ledger::places::user_places;
use shared::domain::ledger::refusal::Reason;
use shared::domain::ledger::warning::Warning;
use shared::domain::ledger::way_out::WayOut;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::people::{Status, User};
use shared::domain::period::Month;
use shared::ledger::HoldOutcome;
use shared::runtime::error::ApiError;
use shared::store::StoreError;
use std::sync::Arc;

/// A request to be held at every budget on its user's path.
pub(crate) struct Asking<'a> {
    pub(crate) app: &'a App,
    pub(crate) configuration: &'a Arc<Configuration>,
    pub(crate) user: &'a User,
    pub(crate) period: Month,
    pub(crate) estimate: &'a Estimate,
    pub(crate) asked: &'a HoldRequest,
    pub(crate) is_lease: bool,
    pub(crate) now: Timestamp,
}

/// The result of trying to hold.
pub(crate) enum Outcome {
    Stored(HoldOutcome),
    /// The counters may admit it, but its user has as many holds as one user may have.
    NoPlace(Cell),
}

/// The answer that follows from an outcome.
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    /// The exemption that let it pass, if it needed one.
    pub(crate) exempt: Option<Exempt>,
    /// Why it passes without a hold although budgets count it.
    pub(crate) unheld: Option<Warning>,
    /// The cell that decided.
    pub(crate) cell: Cell,
}

impl Answer {
    fn new(verdict: Verdict, cell: Cell) -> Self {
        Self {
            verdict,
            exempt: None,
            unheld: None,
            cell,
        }
    }
}

/// When to ask again if places are freed all the time: when the first hold ends, and soon in any
/// case.
fn soon(first_end: Option<u32>) -> u32 {
    first_end.unwrap_or(SOON).min(SOON)
}

impl Asking<'_> {
    /// Holds, or returns why not. The place counts as taken while the caller keeps it. If the same
    /// is refused again and again, the refusal may be one from a moment ago.
    pub(crate) async fn hold(&self) -> Result<(Outcome, Option<Place>), StoreError> {
        let Self { asked, now, .. } = *self;
        let (storms, period) = (&self.app.storms, self.period);
        let organisation_id = &self.configuration.organisation.id;
        if let Some((nodes, cell)) = storms.repeat(organisation_id, period, asked, now) {
            let refused = HoldOutcome::InsufficientBudget { nodes, cell };
            return Ok((Outcome::Stored(refused), None));
        }
        let (outcome, place) = self.try_to_hold().await?;
        if let Outcome::Stored(HoldOutcome::InsufficientBudget { cell, .. }) = &outcome {
            storms.refused(organisation_id, period, asked, cell);
        }
        Ok((outcome, place))
    }

    async fn try_to_hold(&self) -> Result<(Outcome, Option<Place>), StoreError> {
        let Self { app, now, .. } = *self;
        let (configuration, period) = (self.configuration, self.period);
        if self.asked.hold.amounts == Amounts::ZERO {
            // Nothing is held, so no place is needed.
            let store = &app.store;
            let outcome = store.admit(configuration, period, self.asked, now).await?;
            return Ok((Outcome::Stored(outcome), None));
        }
        let mut place = self.enter();
        if place.is_none() {
            let number = self.asked.rid.cell();
            let store = &app.store;
            let cell = store
                .own_cell_in_force(configuration, period, number)
                .await?;
            let Some(cell) = cell else {
                return Ok((Outcome::Stored(HoldOutcome::StaleConfiguration), None));
            };
            let organisation_id = &configuration.organisation.id;
            app.places
                .see(organisation_id, period, number, cell.clone());
            place = self.enter();
            if place.is_none() {
                return Ok((self.without_place(cell).await?, None));
            }
        }
        let store = &app.store;
        let outcome = store.hold(configuration, period, self.asked, now).await?;
        Ok((Outcome::Stored(outcome), place))
    }

    fn enter(&self) -> Option<Place> {
        let organisation = &self.configuration.organisation;
        let most = user_places(organisation.user_holds_percent);
        let places = &self.app.places;
        places.enter(&organisation.id, self.period, self.asked, most, self.now)
    }

    /// If the counters refuse, that is the reason to give. Only otherwise it is the missing place.
    async fn without_place(&self, own: Cell) -> Result<Outcome, StoreError> {
        let mut cell = own;
        if cell.is_one_of_several(&self.asked.rid) {
            let organisation_id = &self.configuration.organisation.id;
            let sum = self.app.store.cell(organisation_id, self.period).await?;
            cell = sum.unwrap_or(cell);
        }
        Ok(match self.asked.rejection(&cell, self.now) {
            HoldRejection::InsufficientBudget(nodes) => {
                Outcome::Stored(HoldOutcome::InsufficientBudget { nodes, cell })
            }
            _ => Outcome::NoPlace(cell),
        })
    }

    /// Returns the answer to an outcome. None if another configuration is in force.
    pub(crate) async fn answer(
        &self,
        outcome: Outcome,
        request_id: &str,
    ) -> Result<Option<Answer>, ApiError> {
        let outcome = match outcome {
            Outcome::Stored(outcome) => outcome,
            Outcome::NoPlace(cell) => return Ok(Some(self.refuse_place(cell))),
        };
        Ok(Some(match outcome {
            HoldOutcome::StaleConfiguration => return Ok(None),
            HoldOutcome::BodyMismatch => {
                return Err(ApiError::conflict(format!(
                    "request_id {request_id:?} holds already with another body; use a new \
                     request_id"
                )));
            }
            // A lease is answered again by the configuration in force, or its user may be blocked.
            HoldOutcome::Held { cell, .. } if self.is_lease && cell.epoch > self.asked.epoch => {
                return Ok(None);
            }
            HoldOutcome::Held { rid, hold, cell } => {
                self.answer_held(rid.cell(), hold.exempt, cell).await
            }
            HoldOutcome::Admitted { exempt, cell } => Answer {
                exempt,
                ..Answer::new(Verdict::Allow(Vec::new()), cell)
            },
            HoldOutcome::Full { cell } => self.answer_full(cell),
            HoldOutcome::InsufficientBudget { nodes, cell } => self.refuse(&nodes, cell).await,
        }))
    }

    /// A full cell opens no hard cap. If there is none, the request passes without a hold, with a
    /// warning.
    fn answer_full(&self, cell: Cell) -> Answer {
        let seconds = soon(cell.seconds_to_first_end(self.now, |_, _| true));
        let reason = Reason::too_many_holds(seconds);
        if !self.asked.hard.is_empty() {
            return Answer::new(Verdict::wait(reason, seconds), cell);
        }
        Answer {
            unheld: Some(Warning::NotHeld {
                code: reason.code.as_str(),
                message: reason.message,
            }),
            ..Answer::new(Verdict::Allow(Vec::new()), cell)
        }
    }

    /// Answers with what is held. A lease that is asked for again ends if a cap is exceeded: it was
    /// lowered since, or others have spent too much. Its holds stay, as some of its requests may be
    /// on their way.
    async fn answer_held(&self, number: u32, exempt: Option<Exempt>, cell: Cell) -> Answer {
        let asked = self.asked.in_cell(number);
        let exceeded = match self.is_lease {
            true => asked.exceeded(&cell),
            false => Vec::new(),
        };
        if !exceeded.is_empty() {
            return self.refuse(&exceeded, cell).await;
        }
        let living = asked.living_in(&cell, self.now).into_iter();
        let holds = living.map(|(rid, hold)| (HoldId::new(self.period, rid, &hold), hold));
        let verdict = Verdict::Allow(holds.collect());
        Answer {
            exempt,
            ..Answer::new(verdict, cell)
        }
    }

    /// Refuses a user who has as many holds as one user may have. They wait for one of these to
    /// end, whatever the caps are.
    fn refuse_place(&self, cell: Cell) -> Answer {
        let is_own = |rid: &HoldKey, _: &Hold| self.asked.rid.is_of_same_user(rid);
        let seconds = soon(cell.seconds_to_first_end(self.now, is_own));
        let most = user_places(self.configuration.organisation.user_holds_percent);
        let requests = self.asked.requests;
        if usize::from(requests) > most {
            // No wait helps.
            let verdict = Verdict::block(Reason::too_long_a_lease(requests, most));
            return Answer::new(verdict, cell);
        }
        let reason = Reason::too_many_holds_of_user(most, seconds);
        Answer::new(Verdict::wait(reason, seconds), cell)
    }

    /// Refuses because counters are short. If only live holds stand in the way, the client waits
    /// for their end; otherwise it needs an exemption or a new month.
    async fn refuse(&self, nodes: &[Node], cell: Cell) -> Answer {
        let Self { asked, now, .. } = *self;
        let wait = wait_for_holds(asked, &cell, nodes, now);
        let manager = match wait {
            None => manager(self.app, self.configuration, self.user).await,
            Some(_) => None,
        };
        let way_out = match wait {
            Some(seconds) => WayOut::Wait(seconds),
            None => WayOut::Exemption {
                manager: manager.as_deref(),
            },
        };
        let (configuration, user, estimate) = (self.configuration, self.user, self.estimate);
        let reasons = Reason::short(configuration, user, &cell, nodes, asked, way_out, now);
        let verdict = Verdict::Block {
            reasons,
            offer: offer(asked, &cell, estimate),
            retry_after_seconds: wait,
        };
        Answer::new(verdict, cell)
    }
}

/// Returns the seconds until the first live hold ends, if `nodes` are short only because of holds.
pub(crate) fn wait_for_holds(
    asked: &HoldRequest,
    cell: &Cell,
    nodes: &[Node],
    now: Timestamp,
) -> Option<u32> {
    let by_holds = asked.is_refused_by_holds_alone(cell, now).then(|| {
        let takes = |_: &HoldKey, hold: &Hold| nodes.iter().any(|n| hold.taken_from(*n) > 0);
        let first = cell.seconds_to_first_end(now, takes);
        first.or_else(|| cell.seconds_to_first_end(now, |_, _| true))
    });
    by_holds.map(|first| first.unwrap_or(SOON))
}

/// Finds the manager to name in a refusal: the first candidate who is active, as in notices. This
/// may cost reads, which an admitted request never makes. If one fails, nobody is named.
pub(crate) async fn manager(
    app: &App,
    configuration: &Arc<Configuration>,
    user: &User,
) -> Option<Arc<User>> {
    for (manager_id, _) in configuration.manager_candidates(user) {
        let found = app.cache.user(configuration, manager_id).await.ok()?;
        let active = found.filter(|user| user.status == Status::Active);
        if active.is_some() {
            return active;
        }
    }
    None
}
