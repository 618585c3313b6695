//! Reads records as the facts that an evaluation sees.

use super::Store;
use super::error::StoreError;
use super::item::{Item, counted};
use super::keys;
use super::records::{MODEL_NOT_ALLOWED, PRICE, UNCOUNTED};
use super::risks::COMPLETED_AT;
use super::settled::identity_at;
use super::tables::BY_DAY;
use crate::domain::amount::Amounts;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::usage::RiskLevel;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::policy::{Facts, Kind, Spent};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;

/// The attributes of a record that an evaluation reads.
const WANTED: [&str; 17] = [
    "event_id",
    "type",
    UNCOUNTED,
    "at",
    "occurred_at",
    "user_id",
    "path",
    "period",
    "tokens",
    "pico_usd",
    "offset_tokens",
    "offset_pico_usd",
    "model",
    PRICE,
    MODEL_NOT_ALLOWED,
    "risk_level",
    "repository",
];
/// An attribute that a risk has beside those.
const SUMMARY: &str = "summary";

/// A page of a day's records, in order of arrival.
#[derive(Clone, Debug)]
pub struct Arrivals {
    pub facts: Vec<Facts>,
    /// The place of the last one, if there may be more.
    pub next: Option<String>,
}

impl Store {
    /// Returns the facts of these events, each with the hold that it names, in order of arrival.
    /// Leaves out events without a record and records that do not count.
    pub async fn facts_of(
        &self,
        configuration: &Configuration,
        events: &[(&EventIdentity, Option<HoldId>)],
    ) -> Result<Vec<Facts>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let zone = configuration.organisation.zone();
        let mut missing: BTreeSet<&EventIdentity> = events.iter().map(|(of, _)| *of).collect();
        let mut found = Vec::with_capacity(events.len());
        // Most have settled their hold. The others have their records under their identities.
        let holds = events.iter().filter_map(|(_, hold_id)| hold_id.as_ref());
        let holds: BTreeSet<String> = holds.map(HoldId::to_string).collect();
        let holds = holds.iter().filter_map(|id| HoldId::parse(id));
        let settled = holds.map(|id| keys::resolution(organisation_id, &id).attributes());
        let settled = settled.collect();
        for item in self.items(&self.tables.ledger, settled, None).await? {
            let identity = identity_at(&item);
            if identity.is_some_and(|identity| missing.remove(&identity)) {
                found.extend(facts(item, &zone)?);
            }
        }
        let keys = missing
            .iter()
            .map(|identity| keys::record(organisation_id, identity).attributes());
        let keys = keys.collect();
        for item in self.items(&self.tables.ledger, keys, None).await? {
            found.extend(facts(item, &zone)?);
        }
        found.sort_by(|one, other| one.arrival().cmp(&other.arrival()));
        Ok(found)
    }

    /// Returns a page of the records that arrived on `day` in UTC, after the place `after`, from
    /// the index.
    pub async fn arrivals(
        &self,
        configuration: &Configuration,
        zone: &TimeZone,
        day: Date,
        after: Option<&str>,
    ) -> Result<Arrivals, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let wanted: Vec<String> = WANTED.iter().map(|name| format!("#{name}")).collect();
        let day = keys::day(organisation_id, &day.to_string());
        let mut query = self
            .client
            .query()
            .table_name(&self.tables.ledger)
            .index_name(BY_DAY)
            .projection_expression(format!("{}, {SUMMARY}", wanted.join(", ")))
            .expression_attribute_names("#day", "day")
            .expression_attribute_values(":day", AttributeValue::S(day));
        for name in WANTED {
            query = query.expression_attribute_names(format!("#{name}"), name);
        }
        let query = match after {
            None => query.key_condition_expression("#day = :day"),
            Some(after) => query
                .key_condition_expression("#day = :day AND #at > :after")
                .expression_attribute_values(":after", AttributeValue::S(after.to_owned())),
        };
        let answer = query.send().await?;
        let has_more = answer.last_evaluated_key.is_some();
        let items = answer.items.unwrap_or_default();
        let last = items.last().and_then(|item| item.get("at"));
        let next = last.and_then(|at| at.as_s().ok()).cloned();
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            found.extend(facts(item, zone)?);
        }
        Ok(Arrivals {
            facts: found,
            next: next.filter(|_| has_more),
        })
    }
}

fn text(item: &mut Item, name: &str) -> Option<String> {
    match item.remove(name) {
        Some(AttributeValue::S(text)) => Some(text),
        _ => None,
    }
}

fn amounts(item: &Item, tokens: &str, pico_usd: &str) -> Result<Amounts, StoreError> {
    let whole = |name: &str| match item.get(name) {
        None => Ok(0),
        Some(AttributeValue::N(digits)) => counted(name, digits),
        Some(_) => Err(StoreError::unreadable(name)),
    };
    let unreadable = |_| StoreError::unreadable(tokens);
    let in_tokens = i64::try_from(whole(tokens)?).map_err(unreadable)?;
    Ok(Amounts::new(in_tokens, whole(pico_usd)?))
}

fn parsed<T: std::str::FromStr>(text: Option<&str>, name: &str) -> Result<T, StoreError> {
    let parsed = text.and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| StoreError::unreadable(format!("{name} of a record")))
}

/// Returns the name that the price of a record was found by, if that is not the reported one.
fn matched(item: &Item, reported: &str) -> Option<String> {
    let price = item.get(PRICE)?.as_m().ok()?;
    let name = price.get("model")?.as_s().ok()?;
    (name != reported).then(|| name.clone())
}

fn spent(item: &mut Item) -> Result<Spent, StoreError> {
    Ok(Spent {
        period: parsed(text(item, "period").as_deref(), "period")?,
        charged: amounts(item, "tokens", "pico_usd")?,
        offset: amounts(item, "offset_tokens", "offset_pico_usd")?,
    })
}

/// Reads a record as facts. Returns None for a claim, and for a record that does not count.
fn facts(mut item: Item, zone: &TimeZone) -> Result<Option<Facts>, StoreError> {
    let Some(at) = text(&mut item, "at") else {
        return Ok(None);
    };
    if item.contains_key(UNCOUNTED) {
        return Ok(None);
    }
    let (received_at, name) = at.split_once('#').unwrap_or((&at, ""));
    let received_at = parsed(Some(received_at), "at")?;
    let kind = text(&mut item, "type").unwrap_or_default();
    let (kind, occurred_at) = match kind.as_str() {
        "llm_request" => {
            let occurred_at = parsed(text(&mut item, "occurred_at").as_deref(), "occurred_at")?;
            let model = text(&mut item, "model").unwrap_or_default();
            let kind = Kind::Usage {
                matched: matched(&item, &model),
                model,
                is_allowed: !item.contains_key(MODEL_NOT_ALLOWED),
                spent: spent(&mut item)?,
            };
            (kind, occurred_at)
        }
        "ip_risk" => {
            let occurred_at = parsed(text(&mut item, "occurred_at").as_deref(), "occurred_at")?;
            let level = item
                .remove("risk_level")
                .unwrap_or(AttributeValue::Null(true));
            let risk_level: RiskLevel = serde_dynamo::from_attribute_value(level)?;
            let repository = text(&mut item, "repository");
            let summary = text(&mut item, SUMMARY).unwrap_or_default();
            let kind = Kind::Risk {
                risk_level,
                repository,
                summary,
            };
            (kind, occurred_at)
        }
        "abandoned_hold" => (Kind::AbandonedHold(spent(&mut item)?), received_at),
        "correction" => (Kind::Correction(spent(&mut item)?), received_at),
        // A later version knows what it is.
        _ => return Ok(None),
    };
    let identity = EventIdentity::from_key(name);
    let event_id = text(&mut item, "event_id").unwrap_or_else(|| name.to_owned());
    let path = Path::from_text(&text(&mut item, "path").unwrap_or_default());
    let user_id = text(&mut item, "user_id");
    let times = [received_at, occurred_at];
    let completed_at = text(&mut item, COMPLETED_AT)
        .map(|at| parsed(Some(&at), COMPLETED_AT))
        .transpose()?;
    let facts = Facts::new(identity, event_id, times, zone, user_id, path, kind);
    Ok(Some(Facts {
        completed_at,
        ..facts
    }))
}
