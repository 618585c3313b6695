//! Reads recorded usage to price it anew, and books the differences.

use super::difference::{self, Item};
use crate::App;
use crate::change::{Actor, Proposal, change};
use crate::corrections::correction_json;
use crate::crossings::cleared_by_correction;
use crate::in_force::cells_in_force;
use crate::json::to_json;
use crate::replay::IdempotentRequest;
use axum::response::Response;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use shared::domain::amount::{Amounts, Unit};
use shared::domain::change::{Audited, Change};
use shared::domain::ledger::correction::{Correction, counts_at, is_correctable};
use shared::domain::ledger::repricing::{Place, RecordedUsage, Repriced, costs};
use shared::domain::org::configuration::Configuration;
use shared::domain::org::department::Path;
use shared::domain::pricing::book::PriceBooks;
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::http::json;
use shared::store::{DepartmentTotals, new_id};
use std::collections::BTreeMap;
use std::time::Instant;

/// How many records a call reads before it stops at the end of an hour.
const MAX_RECORDS: usize = 20_000;
/// How many corrections a call books.
pub(super) const MAX_BOOKED: usize = 100;
const HOUR_SECONDS: i64 = 3_600;

/// Returns the beginning of an hour that is counted from 1970 in UTC.
fn start_of(hour: i64) -> Timestamp {
    let at = Timestamp::from_second(hour.saturating_mul(HOUR_SECONDS));
    at.unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Returns an hour as records say it: `2026-11-24T12`.
fn text_of(hour: i64) -> String {
    start_of(hour).strftime("%Y-%m-%dT%H").to_string()
}

/// Reads what `text_of` writes.
fn hour_of(text: &str) -> Option<i64> {
    let at: Timestamp = format!("{text}:00:00Z").parse().ok()?;
    Some(at.as_second().div_euclid(HOUR_SECONDS))
}

fn day_of(hour: i64) -> Date {
    start_of(hour).to_zoned_datetime(TimeZone::UTC).date()
}

/// Recorded usage that is priced anew.
pub(super) struct Priced {
    places: BTreeMap<Place, Repriced>,
    records: usize,
    /// The hours that were read, without the last one.
    window: (i64, i64),
    /// The hour that comes next. None if none is left.
    pub(super) next: Option<i64>,
}

impl Priced {
    /// Reads whole hours of arrival, until there are many records or the time is up.
    pub(super) async fn read(
        app: &App,
        configuration: &Configuration,
        (from, to): (i64, i64),
        until: Instant,
    ) -> Result<Self, ApiError> {
        let mut priced = Self {
            places: BTreeMap::new(),
            records: 0,
            window: (from, to),
            next: None,
        };
        let organisation_id = &configuration.organisation.id;
        let (mut day, mut after) = (day_of(from), text_of(from));
        let mut hour = from;
        while day <= day_of(to.saturating_sub(1)) {
            let page = app
                .store
                .recorded_usage(organisation_id, day, &after)
                .await?;
            for recorded in &page.items {
                let of = hour_of(&recorded.hour).unwrap_or(hour);
                if of >= to {
                    return Ok(priced);
                }
                let is_enough = priced.records >= MAX_RECORDS || Instant::now() >= until;
                if of > hour && is_enough {
                    priced.window.1 = of;
                    priced.next = Some(of);
                    return Ok(priced);
                }
                hour = of;
                priced.add(configuration, recorded);
            }
            match page.next {
                Some(next) => after = next,
                None => {
                    day = day.saturating_add(Span::new().days(1));
                    after = day.to_string();
                }
            }
        }
        Ok(priced)
    }

    fn add(&mut self, configuration: &Configuration, recorded: &RecordedUsage) {
        let at = recorded.usage.occurred_at;
        let pricing = configuration.pricing(PriceBooks::built_in(), at);
        let place = (recorded.month, recorded.path.clone());
        let source = configuration.organisation.price_source;
        let costs = costs(recorded, &pricing, source);
        self.places
            .entry(place)
            .or_default()
            .add(&recorded.hour, costs);
        self.records = self.records.saturating_add(1);
    }
}

/// A call that prices usage anew.
pub(super) struct Run<'a> {
    pub(super) app: &'a App,
    pub(super) actor: &'a Actor,
    pub(super) configuration: &'a Configuration,
    pub(super) priced: &'a Priced,
    pub(super) is_dry_run: bool,
    pub(super) now: Timestamp,
}

impl Run<'_> {
    /// Returns the difference of each place.
    pub(super) async fn items(&self) -> Result<Vec<Item>, ApiError> {
        let mut items = Vec::with_capacity(self.priced.places.len());
        for (order, (place, repriced)) in self.priced.places.iter().enumerate() {
            let organisation_id = &self.configuration.organisation.id;
            let booked = self.app.store.booked(organisation_id, place).await?;
            items.push(Item {
                place: place.clone(),
                costs: repriced.costs(),
                left: repriced.left(booked.as_ref()),
                correction_id: new_id("cor_", self.now, order)?,
                is_booked: false,
                refused: None,
            });
        }
        Ok(items)
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
        let due: Vec<usize> = (0..items.len())
            .filter(|at| items.get(*at).is_some_and(Item::is_due))
            .take(MAX_BOOKED)
            .collect();
        let last = due.last().copied();
        for at in due {
            if let Some(item) = items.get_mut(at) {
                item.is_booked = true;
            }
            let answer = self.shown(&items, next_cursor);
            let Some(item) = items.get_mut(at) else {
                continue;
            };
            let is_last = last == Some(at);
            let kept = idempotent.filter(|_| is_last);
            match self.book_one(item, &answer, kept).await {
                // It may be the answer of an earlier call under the same key.
                Ok(answered) if is_last => return Ok(answered),
                Ok(_) => {}
                Err(error) if error.code == ErrorCode::Conflict => item.refuse(error.message),
                Err(error) => return Err(error),
            }
        }
        Ok(json(200, self.shown(&items, next_cursor)))
    }

    async fn book_one(
        &self,
        item: &Item,
        answer: &str,
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
            let correction = self.correction(configuration, item, left)?;
            let totals = app
                .store
                .department_totals(organisation_id, correction.month)
                .await?;
            check_recorded(&totals, &correction)?;
            let cells = cells_in_force(app, configuration, now).await?;
            let json = correction_json(&correction);
            let created = Change::UsageRepriced {
                cleared: cleared_by_correction(configuration, &cells, &correction),
                correction: Audited::new(correction, json),
                booked: repriced.booked(&item.place, booked.as_ref()),
            };
            Ok(Proposal::showing(created, 200, answer.to_owned()))
        })
        .await
    }

    fn correction(
        &self,
        configuration: &Configuration,
        item: &Item,
        left: i128,
    ) -> Result<Correction, ApiError> {
        let (month, path) = &item.place;
        if left == 0 {
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
            amounts: Amounts::new(0, left),
            reason: "recorded usage was priced anew".to_owned(),
            created_by: self.actor.author.name.clone(),
            created_at: self.now,
        })
    }
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
