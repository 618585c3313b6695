//! Reads the records of an organisation page by page, and adds them up.

use crate::domain::amount::Amounts;
use crate::domain::ledger::comparison::Progress;
use crate::domain::ledger::comparison_sums::{Account, Book, Sums};
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::resolution::Resolution;
use crate::domain::ledger::self_audit::{Difference, Subject};
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use crate::store::{IndexedRecord, Resolved, Store, StoreError};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How much longer each look waits for the index of the records, which follows the table in less
/// than a second.
const WAIT: Duration = Duration::from_secs(1);

/// The records of an organisation, as they are read at `now`.
pub(super) struct Reading<'a> {
    pub(super) store: &'a Store,
    pub(super) configuration: &'a Configuration,
    pub(super) now: Timestamp,
    pub(super) records_a_page: i32,
}

/// A record that claims to have settled a hold, to be compared with the hold's resolution.
struct Settled {
    month: Month,
    hold_id: String,
    identity: EventIdentity,
    event_id: String,
    user_id: String,
    charged: Amounts,
    /// Whether another event may have settled the hold: then a conflict is charged late.
    may_be_late: bool,
}

/// A page of records, as far as their sums need the resolutions of holds.
#[derive(Default)]
struct Page {
    settled: Vec<Settled>,
    /// Charged holds. Their resolutions say whether the reports include them.
    abandoned: Vec<(Month, HoldId)>,
}

impl Reading<'_> {
    /// Reads the next page. When all are read, returns the totals that differ from their records.
    /// `read` counts the records.
    pub(super) async fn go_on(
        &self,
        progress: &mut Progress,
        sums: &mut Sums,
        read: &mut u64,
    ) -> Result<Option<Vec<Difference>>, StoreError> {
        if !progress.is_settled() && !progress.has_totals {
            sums.set_totals(self.totals(&progress.months).await?);
            progress.has_totals = true;
            tokio::time::sleep(WAIT * progress.look).await;
        }
        if progress.is_read(self.now) {
            let totals = self.totals(&progress.months).await?;
            return Ok(Some(sums.differences(&progress.months, &totals)));
        }
        let organisation_id = &self.configuration.organisation.id;
        let day = progress.day.to_string();
        let after = progress.after.as_deref();
        let records = self
            .store
            .indexed_records(organisation_id, &day, after, self.records_a_page);
        let (records, next) = records.await?;
        let mut page = Page::default();
        for record in records {
            if page.add(self, progress, sums, record) {
                progress.records = progress.records.saturating_add(1);
                *read = read.saturating_add(1);
            }
        }
        self.resolve(page, progress, sums).await?;
        match next {
            Some(next) => progress.after = Some(next),
            None => progress.next_day(),
        }
        Ok(None)
    }

    /// The totals of `months`.
    async fn totals(&self, months: &[Month]) -> Result<BTreeMap<Account, Amounts>, StoreError> {
        let organisation_id = &self.configuration.organisation.id;
        let mut totals = BTreeMap::new();
        for month in months.iter().copied() {
            let departments = self.store.department_totals(organisation_id, month).await?;
            let users = self.store.user_totals(organisation_id, month).await?;
            let books = [
                (Book::Department, departments.by_path()),
                (Book::User, users),
            ];
            for (book, totals_of) in books {
                let named = totals_of.into_iter();
                totals.extend(named.map(|(name, total)| (Account { month, book, name }, total)));
            }
        }
        Ok(totals)
    }

    /// Compares the settlements of a page with the resolutions of their holds, and adds its charged
    /// holds to the reports' sums without a user, unless late usage was set against them.
    async fn resolve(
        &self,
        page: Page,
        progress: &mut Progress,
        sums: &mut Sums,
    ) -> Result<(), StoreError> {
        let abandoned = page.abandoned.iter().map(|(_, id)| id.to_string());
        let settled = page.settled.iter().map(|settled| settled.hold_id.clone());
        let ids: BTreeSet<String> = abandoned.chain(settled).collect();
        let organisation_id = &self.configuration.organisation.id;
        let resolved = self.store.resolutions(organisation_id, &ids).await?;
        for (month, id) in &page.abandoned {
            if let Some(resolved) = resolved.get(&id.to_string()) {
                let account = Account {
                    month: *month,
                    book: Book::User,
                    name: String::new(),
                };
                sums.add(account, resolved.reported(), progress.is_settled());
            }
        }
        for settled in page.settled {
            let resolved = resolved.get(&settled.hold_id);
            progress.doubt(settled.differences(resolved));
        }
        Ok(())
    }
}

impl Settled {
    /// The differences between the record and what its hold was charged.
    fn differences(self, resolved: Option<&Resolved>) -> Vec<Difference> {
        let by_this = resolved.and_then(|resolved| match &resolved.resolution {
            Resolution::Settled { event, charged } if *event == self.identity => Some(*charged),
            _ => None,
        });
        if by_this.is_none() && self.may_be_late {
            return Vec::new();
        }
        let subject = Subject::Settlement {
            event_id: self.event_id,
            user_id: self.user_id,
            identity: self.identity.to_string(),
        };
        let found = by_this.unwrap_or(Amounts::ZERO);
        Difference::between(self.month, &subject, self.charged, found)
    }
}

impl Page {
    /// Adds a record to the sums. Returns false if it is in no total of the months.
    fn add(
        &mut self,
        reading: &Reading<'_>,
        progress: &Progress,
        sums: &mut Sums,
        record: IndexedRecord,
    ) -> bool {
        let organisation_id = &reading.configuration.organisation.id;
        let month = record.period.parse::<Month>();
        let Some(month) = month.ok().filter(|month| progress.wants(*month)) else {
            return false;
        };
        let charged = Amounts::new(record.tokens, record.pico_usd);
        let mut plus = |book: Book, name: &str, more: Amounts| {
            let name = name.to_owned();
            sums.add(Account { month, book, name }, more, progress.is_settled());
        };
        match record.kind.as_str() {
            "llm_request" => {
                let offset = Amounts::new(record.offset_tokens, record.offset_pico_usd);
                plus(
                    Book::Department,
                    &record.path,
                    charged.saturating_sub(offset),
                );
                plus(Book::User, &record.user_id, charged);
                if progress.checks_settlements() {
                    self.settled.extend(settled(organisation_id, month, record));
                }
            }
            "abandoned_hold" => {
                plus(Book::Department, &record.path, charged);
                let hold_id = record.abandoned_hold(organisation_id);
                self.abandoned.extend(hold_id.map(|id| (month, id)));
            }
            "correction" => {
                plus(Book::Department, &record.path, charged);
                plus(Book::User, &record.user_id, charged);
            }
            _ => return false,
        }
        true
    }
}

/// Returns what a record says of the hold that it settled, if it settled one.
fn settled(organisation_id: &str, month: Month, record: IndexedRecord) -> Option<Settled> {
    // Earlier releases wrote the resolution apart. Now the two are one item, and cannot differ.
    if record.is_resolution() || !matches!(record.mark.as_str(), "settled" | "conflict") {
        return None;
    }
    let hold_id = record.hold_id.as_deref().and_then(HoldId::parse)?;
    let identity = record.identity(organisation_id)?;
    Some(Settled {
        month,
        hold_id: hold_id.to_string(),
        identity,
        may_be_late: record.mark == "conflict",
        charged: Amounts::new(record.tokens, record.pico_usd),
        event_id: record.event_id,
        user_id: record.user_id,
    })
}
