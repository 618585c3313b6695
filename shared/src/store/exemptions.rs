//! Exemptions: requests and decisions, the pending ones, and the ones in force as decisions see
//! them.

use super::Store;
use super::configuration::data;
use super::error::StoreError;
use super::item::expires_at;
use super::keys::{self, EXEMPTION, GRANT, PENDING};
use super::pages::Page;
use super::rows::Row;
use crate::domain::amount::Amounts;
use crate::domain::exemption::grant::Grant;
use crate::domain::exemption::{Exemption, ExemptionStatus};
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long after its end an exemption stays listed as pending or in force, in seconds.
const KEPT_SECONDS: i64 = 3 * 24 * 3_600;

/// A request that waits for a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingExemption {
    pub id: String,
    pub user_id: String,
    /// When the exemption would end. The wait ends then, too.
    pub ends_at: Timestamp,
}

impl Row {
    /// Builds the row of an exemption without its places in lists. The schedule writes it when an
    /// exemption ends, and must delete nothing.
    pub fn exemption_alone(
        organisation_id: &str,
        exemption: &Exemption,
    ) -> Result<Self, StoreError> {
        let key = keys::governance(organisation_id, format!("{EXEMPTION}{}", exemption.id));
        let mut known = Self::replacing(key, exemption)?;
        known.expire(expires_at(exemption.terms.ends_at));
        Ok(known)
    }

    /// Builds the rows of an exemption, with its place among those pending and those in force.
    pub fn exemption(
        organisation_id: &str,
        exemption: &Exemption,
    ) -> Result<Vec<Self>, StoreError> {
        let id = &exemption.id;
        let ends_at = exemption.terms.ends_at;
        let key = |prefix: &str| keys::governance(organisation_id, format!("{prefix}{id}"));
        let known = Self::exemption_alone(organisation_id, exemption)?;
        let pending = PendingExemption {
            id: id.clone(),
            user_id: exemption.terms.user_id.clone(),
            ends_at,
        };
        let mut rows = vec![known];
        // An exemption that expired is known by its end, and its rows expire some days later.
        let places = match exemption.decided {
            ExemptionStatus::Pending => [Some(Self::new(key(PENDING), &pending)?), None],
            ExemptionStatus::Approved => {
                let grant = exemption.grant().map(|grant| Self::new(key(GRANT), &grant));
                [Some(Self::gone(key(PENDING))), grant.transpose()?]
            }
            ExemptionStatus::Denied => [Some(Self::gone(key(PENDING))), None],
            ExemptionStatus::Revoked => {
                [Some(Self::gone(key(PENDING))), Some(Self::gone(key(GRANT)))]
            }
            ExemptionStatus::Expired => [None, None],
        };
        for mut row in places.into_iter().flatten() {
            row.expire(ends_at.as_second() + KEPT_SECONDS);
            rows.push(row);
        }
        Ok(rows)
    }
}

impl Store {
    /// An exemption by its id.
    pub async fn exemption(
        &self,
        organisation_id: &str,
        id: &str,
    ) -> Result<Option<Exemption>, StoreError> {
        let key = keys::governance(organisation_id, format!("{EXEMPTION}{id}"));
        self.row(key).await
    }

    /// Lists the exemptions that are `wanted`, the newest first.
    pub async fn exemptions(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&Exemption) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Exemption>, StoreError> {
        self.newest_first(organisation_id, EXEMPTION, after, limit, wanted)
            .await
    }

    /// Lists the pending requests. A request that has ended is included until the schedule has
    /// processed it.
    pub async fn pending_exemptions(
        &self,
        organisation_id: &str,
    ) -> Result<Vec<PendingExemption>, StoreError> {
        let rows = self.rows_under(organisation_id, PENDING).await?;
        rows.into_iter().map(data).collect()
    }

    /// Returns, by id, how much each of `grants` has given until `now`, held or spent, over all
    /// months of its term.
    pub async fn given_by(
        &self,
        configuration: &Configuration,
        grants: &[Grant],
        now: Timestamp,
    ) -> Result<BTreeMap<String, Amounts>, StoreError> {
        let mut of_month: BTreeMap<Month, Vec<&Grant>> = BTreeMap::new();
        for grant in grants {
            let mut month = configuration.period_of(grant.terms.starts_at);
            let last = configuration.period_of(grant.terms.ends_at.min(now));
            while month <= last {
                of_month.entry(month).or_default().push(grant);
                month = month.next();
            }
        }
        let mut given: BTreeMap<String, Amounts> = BTreeMap::new();
        for (month, grants) in of_month {
            let Some(cell) = self.cell(&configuration.organisation.id, month).await? else {
                continue;
            };
            for grant in grants {
                let sum = given.entry(grant.id.clone()).or_default();
                *sum = sum.saturating_add(grant.used(&cell));
            }
        }
        Ok(given)
    }
}
