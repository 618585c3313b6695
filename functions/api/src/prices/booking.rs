//! Books the differences of recorded usage that is priced anew.

use super::difference::{self, Item};
use super::priced::{Priced, Start, start_of};
use crate::App;
use crate::change::{Actor, Proposal, change};
use crate::corrections::correction_json;
use crate::crossings::cleared_by_correction;
use crate::in_force::cells_in_force;
use crate::json::to_json;
use crate::replay::IdempotentRequest;
use axum::response::Response;
use jiff::Timestamp;
use shared::domain::amount::{Amounts, Unit};
use shared::domain::change::{Audited, Change};
use shared::domain::ledger::correction::{Correction, counts_at, is_correctable};
use shared::domain::ledger::repricing::Cost;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::department::Path;
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::http::json;
use shared::runtime::random;
use shared::store::{DepartmentTotals, new_id};
use std::sync::{Mutex, PoisonError};

/// How many corrections a call books or finds refused.
const MAX_BOOKED: usize = 100;

/// A call that prices usage anew.
pub(super) struct Run<'a> {
    pub(super) app: &'a App,
    pub(super) actor: &'a Actor,
    pub(super) configuration: &'a Configuration,
    pub(super) priced: &'a Priced,
    pub(super) is_dry_run: bool,
    pub(super) now: Timestamp,
}

/// What a call prices: places in their order.
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    /// Where the next call begins. None if nothing is left.
    pub(super) next: Option<Start>,
}

impl Run<'_> {
    /// Returns the differences of the places behind those that an earlier call has tried. If more
    /// are to be booked than a call books, the next one begins behind the last of these, whether it
    /// was refused or not. `to` is the end of the whole window.
    pub(super) async fn batch(&self, to: i64, start: &Start) -> Result<Batch, ApiError> {
        let organisation_id = &self.configuration.organisation.id;
        let window = self.priced.window;
        let mut items: Vec<Item> = Vec::new();
        let mut due: usize = 0;
        let places = self.priced.places.iter();
        let after = start.after.as_ref();
        let places = places.filter(|(place, _)| after.is_none_or(|after| *place > after));
        for (order, (place, repriced)) in places.enumerate() {
            let booked = self.app.store.booked(organisation_id, place).await?;
            let item = Item {
                place: place.clone(),
                costs: repriced.costs(),
                left: repriced.left(booked.as_ref()),
                correction_id: new_id("cor_", self.now, order)?,
                is_booked: false,
                refused: None,
            };
            if item.is_due() && !self.is_dry_run {
                if due == MAX_BOOKED {
                    let next = items.last().map(|last| Start {
                        from: window.0,
                        to: window.1,
                        run: start.run.clone(),
                        after: Some(last.place.clone()),
                    });
                    return Ok(Batch { items, next });
                }
                due = due.saturating_add(1);
            }
            items.push(item);
        }
        let next = match window.1 < to {
            true => Some(self.behind(to, start).await?),
            false => None,
        };
        Ok(Batch { items, next })
    }

    /// Returns where to go on behind the hours that were read, and keeps what was read of the next
    /// one.
    async fn behind(&self, to: i64, start: &Start) -> Result<Start, ApiError> {
        let (from, end) = self.priced.window;
        let run = match self.priced.part() {
            Some(part) => {
                let run = random::id("run_")?;
                let organisation_id = &self.configuration.organisation.id;
                let store = &self.app.store;
                store.pause(organisation_id, &run, &part, self.now).await?;
                Some(run)
            }
            None => None,
        };
        // If no hour has ended, it is still the one whose places were tried.
        Ok(match end == from {
            true => Start {
                run,
                ..start.clone()
            },
            false => Start {
                from: end,
                to,
                run,
                after: None,
            },
        })
    }

    pub(super) fn shown(&self, items: &[Item], next_cursor: Option<&str>) -> String {
        let (from, to) = self.priced.window;
        to_json(&difference::shown(
            self.configuration,
            items,
            difference::Window {
                from: start_of(from),
                to: start_of(to),
                is_dry_run: self.is_dry_run,
                records: self.priced.records,
                next_cursor,
            },
        ))
    }

    /// Books the differences, each as one correction. The last one keeps the answer under the
    /// idempotency key.
    pub(super) async fn book(
        &self,
        mut items: Vec<Item>,
        next_cursor: Option<&str>,
        idempotent: Option<&IdempotentRequest>,
    ) -> Result<Response, ApiError> {
        let due = (0..items.len()).filter(|at| items.get(*at).is_some_and(Item::is_due));
        let due: Vec<usize> = due.collect();
        for at in &due {
            let is_last = due.last() == Some(at);
            // As of the last attempt: another call may book some of it meanwhile.
            let left = Mutex::new(Cost::default());
            let answer = |left: Cost| match is_last {
                true => self.shown(&with_booked(&items, *at, left), next_cursor),
                false => String::new(),
            };
            let Some(item) = items.get(*at) else {
                continue;
            };
            let kept = idempotent.filter(|_| is_last);
            let answered = self.book_one(item, &left, answer, kept).await;
            let left = left.into_inner().unwrap_or_else(PoisonError::into_inner);
            match answered {
                // It may be the answer of an earlier call under the same key.
                Ok(answered) if is_last => return Ok(answered),
                Ok(_) => items = with_booked(&items, *at, left),
                Err(error) if error.code == ErrorCode::Conflict => {
                    if let Some(item) = items.get_mut(*at) {
                        item.left = left;
                        item.refused = Some(error.message);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(json(200, self.shown(&items, next_cursor)))
    }

    async fn book_one(
        &self,
        item: &Item,
        known: &Mutex<Cost>,
        answer: impl Fn(Cost) -> String + Copy,
        idempotent: Option<&IdempotentRequest>,
    ) -> Result<Response, ApiError> {
        let (app, now) = (self.app, self.now);
        let repriced = self.priced.places.get(&item.place);
        let repriced = repriced.ok_or_else(|| ApiError::not_found("difference"))?;
        change(app, self.actor, idempotent, async |snapshot| {
            let configuration = &snapshot.configuration;
            let organisation_id = &configuration.organisation.id;
            let booked = app.store.booked(organisation_id, &item.place).await?;
            let left = repriced.left(booked.as_ref());
            *known.lock().unwrap_or_else(PoisonError::into_inner) = left;
            let mut correction = self.correction(configuration, item, left)?;
            let totals = app
                .store
                .department_totals(organisation_id, correction.month)
                .await?;
            check_recorded(&totals, &correction)?;
            let there = totals.unpriced_on(&correction.path()).max(0);
            correction.unpriced = left.unpriced.max(there.saturating_neg());
            let cells = cells_in_force(app, configuration, now).await?;
            let json = correction_json(&correction);
            let created = Change::UsageRepriced {
                cleared: cleared_by_correction(configuration, &cells, &correction),
                correction: Audited::new(correction, json),
                booked: repriced.booked(&item.place, booked.as_ref()),
            };
            Ok(Proposal::showing(created, 200, answer(left)))
        })
        .await
    }

    fn correction(
        &self,
        configuration: &Configuration,
        item: &Item,
        left: Cost,
    ) -> Result<Correction, ApiError> {
        let (month, path) = &item.place;
        if left.is_zero() {
            return Err(ApiError::conflict("another call has booked it meanwhile"));
        }
        if !is_correctable(configuration, *month, self.now) {
            return Err(ApiError::conflict(
                "the month is too long ago to be corrected",
            ));
        }
        Ok(Correction {
            id: item.correction_id.clone(),
            user_id: None,
            department_id: Path::from_text(path).department_id().map(str::to_owned),
            path: path.clone(),
            month: *month,
            counts_at: counts_at(configuration, *month, self.now),
            amounts: Amounts::new(0, left.pico_usd),
            unpriced: left.unpriced,
            reason: "recorded usage was priced anew".to_owned(),
            created_by: self.actor.author.name.clone(),
            created_at: self.now,
        })
    }
}

/// Returns the items with `left` booked of one of them.
fn with_booked(items: &[Item], at: usize, left: Cost) -> Vec<Item> {
    let mut items = items.to_vec();
    if let Some(item) = items.get_mut(at) {
        item.left = left;
        item.is_booked = true;
    }
    items
}

/// Returns a conflict if it takes away more than there is at a level, as earlier corrections may
/// have done so already.
fn check_recorded(totals: &DepartmentTotals, correction: &Correction) -> Result<(), ApiError> {
    let path = correction.path();
    let levels = path.0.iter().map(|id| Some(id.as_str()));
    let there = levels
        .chain([None])
        .map(|level| totals.spent_under(level).of(Unit::Usd));
    let there = there.min().unwrap_or(0).max(0);
    let taken = correction.amounts.of(Unit::Usd);
    match taken.saturating_add(there) < 0 {
        true => Err(ApiError::conflict(format!(
            "it takes away more than there is: {} recorded in {}",
            Unit::Usd.shown(Unit::Usd.rounded_down(there)),
            correction.month
        ))),
        false => Ok(()),
    }
}
