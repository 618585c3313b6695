//! Builds the entries of usage: with a living hold, and without one.

use super::charge::Offset;
use crate::domain::amount::Amounts;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::models::is_allowed;
use crate::domain::ledger::resolution::Resolution;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::org::organisation::Reserve;
use crate::domain::pricing::book::PriceBooks;
use crate::store::{Entry, Mark, Resolved, Settlement, UsageReport, day_of};

/// Builds the entry of a usage whose hold, if it names one, ended as `resolved` says. It counts on
/// `path`.
pub(super) fn entry_without_hold<'a>(
    configuration: &Configuration,
    books: &PriceBooks,
    report: &UsageReport<'a>,
    (hold_id, resolved): (Option<&HoldId>, Option<&Resolved>),
    path: Path,
) -> Entry<'a> {
    let usage = report.usage;
    let pricing = configuration.pricing(books, usage.occurred_at);
    let quote = usage.quote(&pricing);
    let mark = match resolved.map(|known| &known.resolution) {
        _ if usage.hold_id.is_none() => Mark::Unreserved,
        Some(Resolution::Expired { .. }) => Mark::Lapsed,
        Some(Resolution::Settled { .. } | Resolution::Voided) => Mark::Late,
        None => Mark::UnknownHold,
    };
    let offset = Offset::of(hold_id, resolved);
    let entry = Entry {
        report: report.clone(),
        received_at: report.received_at,
        period: match (hold_id, resolved) {
            (Some(hold_id), Some(_)) => hold_id.period,
            _ => configuration.period_of(usage.occurred_at),
        },
        day: day_of(configuration, usage),
        is_model_allowed: is_allowed(configuration, &path, &quote, usage),
        path,
        charge: usage.charge(
            &quote,
            configuration.organisation.price_source,
            resolved.map(|known| &known.hold),
        ),
        mark: report.mark(mark),
        offset: offset.map_or(Amounts::ZERO, |offset| offset.charged),
        ended: resolved.map(|known| known.hold.clone()),
        is_counted: true,
        exceeded_hold: false,
    };
    let exceeded_hold = resolved.is_some_and(|resolved| {
        let is_used_up = settled_by(Some(resolved)).is_some();
        is_used_up && is_strict(configuration) || exceeds(configuration, &entry, &resolved.hold)
    });
    Entry {
        exceeded_hold,
        ..entry
    }
}

/// Returns the settlement of a living hold, or None if the configuration is older than the hold.
pub(super) fn settlement<'a>(
    configuration: &Configuration,
    books: &PriceBooks,
    report: &UsageReport<'a>,
    hold_id: HoldId,
    hold: &Hold,
) -> Option<Settlement<'a>> {
    let usage = report.usage;
    let pricing = configuration.pricing(books, usage.occurred_at);
    let quote = usage.quote(&pricing);
    let path = configuration.path_at(hold.department, hold.tree)?;
    let entry = Entry {
        report: report.clone(),
        received_at: report.received_at,
        period: hold_id.period,
        day: day_of(configuration, usage),
        is_model_allowed: is_allowed(configuration, &path, &quote, usage),
        path,
        charge: usage.charge(&quote, configuration.organisation.price_source, Some(hold)),
        mark: report.mark(Mark::Settled),
        offset: Amounts::ZERO,
        ended: None,
        is_counted: true,
        exceeded_hold: false,
    };
    Some(Settlement {
        entry: Entry {
            exceeded_hold: exceeds(configuration, &entry, hold),
            ..entry
        },
        hold_id,
        hold: hold.clone(),
    })
}

fn is_strict(configuration: &Configuration) -> bool {
    configuration.organisation.reserve == Reserve::Strict
}

/// Whether an entry used more than its hold, in an organisation whose holds cover whole requests.
fn exceeds(configuration: &Configuration, entry: &Entry<'_>, hold: &Hold) -> bool {
    let (used, held) = (entry.charge.amounts, hold.amounts);
    let is_more = used.tokens > held.tokens || used.pico_usd > held.pico_usd;
    is_more && is_strict(configuration)
}

/// Returns the event that settled a hold.
pub(super) fn settled_by(resolved: Option<&Resolved>) -> Option<&EventIdentity> {
    match &resolved?.resolution {
        Resolution::Settled { event, .. } => Some(event),
        Resolution::Voided | Resolution::Expired { .. } => None,
    }
}

/// Whether the hold of a report in conflict, ended as `resolved` says, shows that it is another
/// request than those that were counted: if no other event has settled it.
pub(super) fn shows_another_request(report: &UsageReport<'_>, resolved: Option<&Resolved>) -> bool {
    let other = settled_by(resolved).filter(|event| **event != report.identity);
    resolved.is_some() && other.is_none()
}
