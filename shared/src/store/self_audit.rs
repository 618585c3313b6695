//! The self-audit: compares records, resolutions, totals and cells, says every difference as a figure, and repairs a cell.
//!
//! Traffic goes on meanwhile. So each comparison knows what can be underway between two reads, and what differs is
//! looked at three times before it is believed.

use super::Store;
use super::alerts::{Told, new_id};
use super::call::{ATTEMPTS, StoreError};
use super::keys;
use super::rows::Row;
use super::tables::BY_DAY;
use crate::domain::amount::Amounts;
use crate::domain::configuration::Configuration;
use crate::domain::hold::{HoldId, Node};
use crate::domain::identity::EventIdentity;
use crate::domain::period::Month;
use crate::domain::self_audit::{Difference, Look, Subject};
use crate::runtime::backoff::back_off;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often a difference is looked at before it is believed.
const LOOKS: u32 = 3;
/// How much longer each look waits for the index of the records, which follows the table in less than a second.
const WAIT: Duration = Duration::from_secs(1);
/// How many settlements are compared with their records at a time, and how many abandoned holds are looked up.
const SETTLEMENTS: usize = 100;

/// What a comparison of one month has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Books {
    /// The organisation.
    pub organisation_id: String,
    /// The month.
    pub period: Month,
    /// Records and charged holds that were read; none where only cells and totals were compared.
    pub records: Option<u64>,
    /// Every difference.
    pub differences: Vec<Difference>,
    /// Whether the cell was made anew from the totals afterwards.
    pub is_repaired: bool,
}

/// What the index of the records shows of one of them.
#[derive(Deserialize)]
struct Seen {
    pk: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    event_id: String,
    #[serde(default)]
    user_id: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    period: String,
    #[serde(default)]
    tokens: i64,
    #[serde(default)]
    micro_usd: i64,
    /// What of it a charged hold had paid already.
    #[serde(default)]
    offset_tokens: i64,
    #[serde(default)]
    offset_micro_usd: i64,
    #[serde(default)]
    mark: String,
    #[serde(default)]
    hold_id: Option<String>,
}

/// Sums of the records of a month.
#[derive(Default)]
struct Summed {
    records: u64,
    departments: BTreeMap<String, Amounts>,
    users: BTreeMap<String, Amounts>,
    settlements: Vec<Settled>,
    /// Charged holds, of which their resolutions say whether the reports have them.
    abandoned: Vec<HoldId>,
    differences: Vec<Difference>,
}

/// A record that says that it settled a hold, to be compared with what the hold's resolution says.
struct Settled {
    hold_id: HoldId,
    identity: EventIdentity,
    event_id: String,
    user_id: String,
    charged: Amounts,
    /// Whether another event may have settled the hold: a conflict is charged late then.
    may_be_late: bool,
}

fn plus(sums: &mut BTreeMap<String, Amounts>, key: &str, more: Amounts) {
    let sum = sums.entry(key.to_owned()).or_default();
    sum.tokens = sum.tokens.saturating_add(more.tokens);
    sum.micro_usd = sum.micro_usd.saturating_add(more.micro_usd);
}

impl Store {
    /// Compares the counters of a month with its totals, and what was carried in with the history. Costs some reads,
    /// however many records there are.
    pub async fn compare_counters(
        &self,
        organisation_id: &str,
        period: Month,
        now: Timestamp,
    ) -> Result<Vec<Difference>, StoreError> {
        let mut believed: Option<Vec<Difference>> = None;
        let mut looks = 0;
        for attempt in 0..ATTEMPTS {
            let Some(seen) = self.look_at_counters(organisation_id, period, now).await? else {
                back_off(attempt).await;
                continue;
            };
            looks += 1;
            let mut known = believed.take().unwrap_or_else(|| seen.clone());
            known.retain(|d| seen.iter().any(|again| again.subject == d.subject));
            if known.is_empty() || looks == LOOKS {
                return Ok(known);
            }
            believed = Some(known);
            back_off(attempt + 6).await;
        }
        // Never the same configuration twice: nothing can be said this time.
        Ok(Vec::new())
    }

    /// Returns true if anything was counted or recorded in `period`.
    pub async fn has_books(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<bool, StoreError> {
        if self.cell(organisation_id, period).await?.is_some() {
            return Ok(true);
        }
        let totals = self.department_totals(organisation_id, period).await?;
        Ok(!totals.rows().is_empty())
    }

    /// One look; none where the configuration changed meanwhile.
    async fn look_at_counters(
        &self,
        organisation_id: &str,
        period: Month,
        now: Timestamp,
    ) -> Result<Option<Vec<Difference>>, StoreError> {
        let Some(configuration) = self.configuration(organisation_id).await? else {
            return Ok(Some(Vec::new()));
        };
        let Some(before) = self.cell(organisation_id, period).await? else {
            return Ok(Some(Vec::new()));
        };
        let totals = self.department_totals(organisation_id, period).await?;
        let history = self.rollovers_from(organisation_id, period.prev()).await?;
        let Some(after) = self.cell(organisation_id, period).await? else {
            return Ok(Some(Vec::new()));
        };
        let is_comparable = after.epoch == configuration.epoch
            || (configuration.is_over(period, now) && after.epoch <= configuration.epoch);
        if !is_comparable || before.epoch != after.epoch {
            return Ok(None);
        }
        let mut underway: BTreeMap<Node, i64> = BTreeMap::new();
        let ids: Vec<HoldId> = after
            .holds
            .iter()
            .map(|(rid, hold)| HoldId::new(period, rid.clone(), hold))
            .collect();
        for id in self.resolved_among(organisation_id, &ids).await? {
            let resolved = self.resolution(organisation_id, &id).await?;
            let hold = after.holds.get(&id.rid);
            if let (Some(resolved), Some(hold)) = (resolved, hold) {
                let charged = resolved.resolution.charged();
                for node in hold.about() {
                    *underway.entry(node).or_default() += charged.of(node.unit);
                }
            }
        }
        let look = Look {
            before: &before,
            after: &after,
            underway: &underway,
        };
        // A budget that was deleted leaves its amount in the counters of months that were over.
        let is_current = period >= configuration.period_of(now);
        let spent = |id: Option<&str>| totals.spent_under(id);
        let mut found = look.differences(&configuration, period, is_current, spent);
        for budget in configuration.budgets_in(period) {
            let credited = history.get(&budget.counter());
            let credited = credited.map_or(0, |row| row.carried_out);
            let carried = after.carried(budget.counter());
            let is_counted = after.nodes.contains_key(&budget.counter());
            if is_counted && carried != credited {
                found.push(Difference {
                    period,
                    subject: Subject::Carry {
                        id: budget.id.clone(),
                    },
                    unit: budget.unit,
                    expected: credited,
                    found: carried,
                });
            }
        }
        Ok(Some(found))
    }

    /// Compares all records of a month with its totals and with how the holds they settled ended. It reads every
    /// record that came since the month began; none where that takes longer than `until`.
    pub async fn compare_records(
        &self,
        configuration: &Configuration,
        period: Month,
        now: Timestamp,
        until: Instant,
    ) -> Result<Option<(u64, Vec<Difference>)>, StoreError> {
        let mut believed: Option<Vec<Difference>> = None;
        for look in 0..LOOKS {
            let Some((records, seen)) = self
                .look_at_records(configuration, period, now, WAIT * look, until)
                .await?
            else {
                return Ok(None);
            };
            let still = |d: &Difference| {
                let same = |s: &Difference| s.subject == d.subject && s.unit == d.unit;
                seen.iter().any(same)
            };
            let mut known = believed.take().unwrap_or_else(|| seen.clone());
            known.retain(still);
            if known.is_empty() || look + 1 == LOOKS {
                return Ok(Some((records, known)));
            }
            believed = Some(known);
        }
        Ok(None)
    }

    async fn look_at_records(
        &self,
        configuration: &Configuration,
        period: Month,
        now: Timestamp,
        wait: Duration,
        until: Instant,
    ) -> Result<Option<(u64, Vec<Difference>)>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let departments_before = self.department_totals(organisation_id, period).await?;
        let users_before = self.user_totals(organisation_id, period).await?;
        tokio::time::sleep(wait).await;
        let start = configuration.organisation.month_start(period);
        // An event may be five minutes ahead of its receiver's clock, and in another time zone, which was changed since, the
        // month may have begun up to 26 hours before.
        let first = start
            .saturating_sub(SignedDuration::from_hours(27))
            .unwrap_or(start);
        let mut day = first.to_zoned_datetime(TimeZone::UTC).date();
        let today = now.to_zoned_datetime(TimeZone::UTC).date();
        let mut summed = Summed::default();
        while day <= today {
            if !self
                .sum_day(
                    organisation_id,
                    period,
                    &day.to_string(),
                    &mut summed,
                    until,
                )
                .await?
            {
                return Ok(None);
            }
            day = day.saturating_add(jiff::Span::new().days(1));
        }
        self.compare_settlements(organisation_id, period, &mut summed)
            .await?;
        self.sum_abandoned(organisation_id, &mut summed).await?;
        let departments_after = self.department_totals(organisation_id, period).await?;
        let users_after = self.user_totals(organisation_id, period).await?;
        let mut found = summed.differences;
        let of_paths = departments_before.by_path();
        compare(
            period,
            |path| Subject::Department { path },
            &summed.departments,
            &of_paths,
            &departments_after.by_path(),
            &mut found,
        );
        compare(
            period,
            |id| Subject::User { id },
            &summed.users,
            &users_before,
            &users_after,
            &mut found,
        );
        Ok(Some((summed.records, found)))
    }

    /// Adds the records of `period` that came on `day`; false where the time is over.
    async fn sum_day(
        &self,
        organisation_id: &str,
        period: Month,
        day: &str,
        summed: &mut Summed,
        until: Instant,
    ) -> Result<bool, StoreError> {
        let mut start = None;
        loop {
            if Instant::now() >= until {
                return Ok(false);
            }
            let answer = self
                .client
                .query()
                .table_name(&self.tables.ledger)
                .index_name(BY_DAY)
                .key_condition_expression("#day = :day")
                .expression_attribute_names("#day", "day")
                .expression_attribute_values(
                    ":day",
                    AttributeValue::S(keys::day(organisation_id, day)),
                )
                .set_exclusive_start_key(start)
                .send()
                .await?;
            for item in answer.items.unwrap_or_default() {
                let seen: Seen = serde_dynamo::from_item(item)?;
                if seen.period == period.to_string() {
                    summed.add(organisation_id, seen);
                }
                if summed.settlements.len() >= SETTLEMENTS {
                    self.compare_settlements(organisation_id, period, summed)
                        .await?;
                }
                if summed.abandoned.len() >= SETTLEMENTS {
                    self.sum_abandoned(organisation_id, summed).await?;
                }
            }
            match answer.last_evaluated_key {
                Some(key) => start = Some(key),
                None => return Ok(true),
            }
        }
    }

    /// Compares the settlements that wait with the resolutions of their holds.
    async fn compare_settlements(
        &self,
        organisation_id: &str,
        period: Month,
        summed: &mut Summed,
    ) -> Result<(), StoreError> {
        let waiting = std::mem::take(&mut summed.settlements);
        let ids: Vec<HoldId> = waiting.iter().map(|s| s.hold_id.clone()).collect();
        let charged = self.charged_by(organisation_id, &ids).await?;
        for settled in waiting {
            let known = charged.get(&settled.hold_id.to_string());
            let by_this = known.filter(|(settled_by, _)| *settled_by == settled.identity);
            if by_this.is_none() && settled.may_be_late {
                continue;
            }
            let found = by_this.map_or(Amounts::ZERO, |(_, charged)| *charged);
            let subject = Subject::Settlement {
                event_id: settled.event_id,
                user_id: settled.user_id,
                identity: settled.identity.to_string(),
            };
            let expected = settled.charged;
            summed
                .differences
                .extend(Difference::between(period, &subject, expected, found));
        }
        Ok(())
    }

    /// Adds the charged holds that wait to what the reports have of nobody, as far as no late usage was set against them.
    async fn sum_abandoned(
        &self,
        organisation_id: &str,
        summed: &mut Summed,
    ) -> Result<(), StoreError> {
        let waiting = std::mem::take(&mut summed.abandoned);
        let each = waiting
            .iter()
            .map(|id| self.resolution(organisation_id, id));
        for resolved in futures::future::join_all(each).await {
            if let Some(resolved) = resolved? {
                plus(&mut summed.users, "", resolved.reported());
            }
        }
        Ok(())
    }

    /// Makes the cell of a month anew from its totals, holds and carry. What the totals say is taken for right, so the
    /// records are compared first.
    pub async fn repair_cell(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<(), StoreError> {
        for attempt in 0..ATTEMPTS {
            let Some(configuration) = self.configuration(organisation_id).await? else {
                return Ok(());
            };
            let Some(cell) = self.cell(organisation_id, period).await? else {
                return Ok(());
            };
            if self.open_cell(&configuration, period, Some(&cell)).await? {
                return Ok(());
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }

    /// Alerts the administrators of a difference, once for each month and subject; none where it was told before.
    pub async fn tell_difference(
        &self,
        organisation_id: &str,
        difference: &Difference,
        now: Timestamp,
    ) -> Result<Option<Told>, StoreError> {
        let marker = keys::difference(organisation_id, difference.period, &difference.subject);
        let alert = difference.alert(new_id("alr_", now, 0)?, now);
        let recipients = self
            .administrator_recipients(organisation_id, "you are an administrator")
            .await?;
        let notice = alert.notice(new_id("ntc_", now, 0)?, recipients);
        let notice_id = notice.id.clone();
        let row = Row::notice(organisation_id, &notice)?;
        let told = self
            .tell_once(organisation_id, marker, alert, vec![row])
            .await?;
        Ok(told.map(|alert| Told { alert, notice_id }))
    }
}

impl Summed {
    fn add(&mut self, organisation_id: &str, seen: Seen) {
        let charged = Amounts::new(seen.tokens, seen.micro_usd);
        self.records += 1;
        match seen.kind.as_str() {
            "llm_request" => {
                let of_department = Amounts::new(
                    seen.tokens.saturating_sub(seen.offset_tokens),
                    seen.micro_usd.saturating_sub(seen.offset_micro_usd),
                );
                plus(&mut self.departments, &seen.path, of_department);
                plus(&mut self.users, &seen.user_id, charged);
                let hold_id = seen.hold_id.as_deref().and_then(HoldId::parse);
                let is_settlement = matches!(seen.mark.as_str(), "settled" | "conflict");
                let identity = keys::identity_of(organisation_id, &seen.pk);
                if let Some((hold_id, identity)) = hold_id.zip(identity).filter(|_| is_settlement) {
                    self.settlements.push(Settled {
                        hold_id,
                        identity,
                        may_be_late: seen.mark == "conflict",
                        event_id: seen.event_id,
                        user_id: seen.user_id,
                        charged,
                    });
                }
            }
            "abandoned_hold" => {
                plus(&mut self.departments, &seen.path, charged);
                let hold_id = keys::abandoned_hold_of(organisation_id, &seen.pk);
                self.abandoned.extend(hold_id);
            }
            "correction" => {
                plus(&mut self.departments, &seen.path, charged);
                plus(&mut self.users, &seen.user_id, charged);
            }
            _ => self.records -= 1,
        }
    }
}

/// Finds where sums of records are not between two readings of a total.
fn compare(
    period: Month,
    subject: impl Fn(String) -> Subject,
    records: &BTreeMap<String, Amounts>,
    before: &BTreeMap<String, Amounts>,
    after: &BTreeMap<String, Amounts>,
    found: &mut Vec<Difference>,
) {
    let of =
        |sums: &BTreeMap<String, Amounts>, key: &str| sums.get(key).copied().unwrap_or_default();
    let mut keys: Vec<&String> = records.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let (expected, was, is) = (of(records, key), of(before, key), of(after, key));
        for difference in Difference::between(period, &subject(key.clone()), expected, is) {
            let unit = difference.unit;
            let possible = was.of(unit).min(is.of(unit))..=was.of(unit).max(is.of(unit));
            if !possible.contains(&expected.of(unit)) {
                found.push(difference);
            }
        }
    }
}
