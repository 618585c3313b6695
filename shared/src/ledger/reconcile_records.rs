//! Compares the records of a month with its totals and with the resolutions of their holds.

use super::reconcile::LOOKS;
use crate::domain::amount::Amounts;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::self_audit::{Difference, Subject};
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use crate::store::{IndexedRecord, Store, StoreError};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How much longer each look waits for the index of the records, which follows the table in less
/// than a second.
const WAIT: Duration = Duration::from_secs(1);

/// How many settlements are compared with their records at a time, and how many abandoned holds are
/// looked up.
const SETTLEMENTS: usize = 100;

/// Sums of the records of a month.
#[derive(Default)]
struct Summed {
    records: u64,
    departments: BTreeMap<String, Amounts>,
    users: BTreeMap<String, Amounts>,
    settlements: Vec<Settled>,
    /// Charged holds. Their resolutions say whether the reports include them.
    abandoned: Vec<HoldId>,
    differences: Vec<Difference>,
}

/// A record that claims to have settled a hold, to be compared with the hold's resolution.
struct Settled {
    hold_id: HoldId,
    identity: EventIdentity,
    event_id: String,
    user_id: String,
    charged: Amounts,
    /// Whether another event may have settled the hold: then a conflict is charged late.
    may_be_late: bool,
}

fn plus(sums: &mut BTreeMap<String, Amounts>, key: &str, more: Amounts) {
    let sum = sums.entry(key.to_owned()).or_default();
    *sum = sum.saturating_add(more);
}

impl Store {
    /// Compares all records of a month with its totals and with the resolutions of the holds they
    /// settled. Reads every record that arrived since the month began. Returns None if that takes
    /// longer than `until`.
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
        // An event may be five minutes ahead of its receiver's clock. And if the time zone was
        // changed since, the month may have begun up to 26 hours earlier.
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

    /// Adds the records of `period` that arrived on `day`. Returns false if the time is over.
    async fn sum_day(
        &self,
        organisation_id: &str,
        period: Month,
        day: &str,
        summed: &mut Summed,
        until: Instant,
    ) -> Result<bool, StoreError> {
        let mut after = None;
        loop {
            if Instant::now() >= until {
                return Ok(false);
            }
            let (records, next) = self.indexed_records(organisation_id, day, after).await?;
            for record in records {
                if record.period == period.to_string() {
                    summed.add(organisation_id, record);
                }
                if summed.settlements.len() >= SETTLEMENTS {
                    self.compare_settlements(organisation_id, period, summed)
                        .await?;
                }
                if summed.abandoned.len() >= SETTLEMENTS {
                    self.sum_abandoned(organisation_id, summed).await?;
                }
            }
            if next.is_none() {
                return Ok(true);
            }
            after = next;
        }
    }

    /// Compares the collected settlements with the resolutions of their holds.
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

    /// Adds the collected charged holds to the reports' sums without a user, unless late usage was
    /// set against them.
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
}

impl Summed {
    fn add(&mut self, organisation_id: &str, record: IndexedRecord) {
        let charged = Amounts::new(record.tokens, record.pico_usd);
        self.records += 1;
        match record.kind.as_str() {
            "llm_request" => {
                let offset = Amounts::new(record.offset_tokens, record.offset_pico_usd);
                let of_department = charged.saturating_sub(offset);
                plus(&mut self.departments, &record.path, of_department);
                plus(&mut self.users, &record.user_id, charged);
                let hold_id = record.hold_id.as_deref().and_then(HoldId::parse);
                let is_settlement = matches!(record.mark.as_str(), "settled" | "conflict");
                let identity = record.identity(organisation_id);
                if let Some((hold_id, identity)) = hold_id.zip(identity).filter(|_| is_settlement) {
                    self.settlements.push(Settled {
                        hold_id,
                        identity,
                        may_be_late: record.mark == "conflict",
                        event_id: record.event_id,
                        user_id: record.user_id,
                        charged,
                    });
                }
            }
            "abandoned_hold" => {
                plus(&mut self.departments, &record.path, charged);
                self.abandoned
                    .extend(record.abandoned_hold(organisation_id));
            }
            "correction" => {
                plus(&mut self.departments, &record.path, charged);
                plus(&mut self.users, &record.user_id, charged);
            }
            _ => self.records -= 1,
        }
    }
}

/// Reports the sums of records that are not between two readings of a total.
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
