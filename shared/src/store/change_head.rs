//! The parts of a change besides its rows: its ledger write, and the counts in the head.

use super::Store;
use super::configuration::Head;
use super::error::StoreError;
use super::item::{Item, number};
use super::keys;
use super::ledger_writes::LedgerWrite;
use super::tables::Table;
use super::unknown::carry_over;
use super::write::{If, Write};
use crate::domain::change::Change;
use crate::domain::policy::{Policy, PolicyStatus};

/// Returns the ledger write of a change, which charges the counters itself.
pub(crate) fn ledger_write_of(change: &Change) -> Option<LedgerWrite<'_>> {
    match change {
        Change::EventCounted(event) => Some(LedgerWrite::Count(&event.after.value)),
        Change::EventDiscarded(event) => Some(LedgerWrite::Discard(&event.after.value)),
        Change::CorrectionCreated { correction, .. } | Change::UsageRepriced { correction, .. } => {
            Some(LedgerWrite::Correct(&correction.value))
        }
        Change::OrganisationCreated { .. }
        | Change::OrganisationUpdated(_)
        | Change::CellsPlaced(_)
        | Change::DepartmentCreated { .. }
        | Change::DepartmentUpdated(_)
        | Change::DepartmentMoved { .. }
        | Change::DepartmentDeleted { .. }
        | Change::BudgetCreated { .. }
        | Change::BudgetUpdated { .. }
        | Change::BudgetToppedUp { .. }
        | Change::BudgetDeleted { .. }
        | Change::UserCreated { .. }
        | Change::UserUpdated { .. }
        | Change::UserBlocked { .. }
        | Change::UserReleased { .. }
        | Change::ApiKeyCreated(_)
        | Change::ApiKeyDeleted(_)
        | Change::OauthClientCreated(_)
        | Change::OauthClientDeleted(_)
        | Change::PolicyCreated { .. }
        | Change::PolicyUpdated { .. }
        | Change::PolicyPublished(_)
        | Change::PolicyDisabled(_)
        | Change::PolicyDeleted(_)
        | Change::WebhookCreated(_)
        | Change::WebhookUpdated(_)
        | Change::WebhookSecretRotated(_)
        | Change::WebhookDeleted(_)
        | Change::ExemptionRequested { .. }
        | Change::ExemptionApproved { .. }
        | Change::ExemptionDenied { .. }
        | Change::ExemptionRevoked { .. }
        | Change::ExemptionEnding { .. }
        | Change::ExemptionExpired { .. }
        | Change::AlertUpdated(_)
        | Change::IncidentUpdated { .. }
        | Change::SuppressionReleased(_)
        | Change::GithubPut(_)
        | Change::GithubRisksPut { .. }
        | Change::Prices(_)
        | Change::PolicyBlocked { .. }
        | Change::FiringBlocked { .. }
        | Change::FiringAttributed { .. }
        | Change::DenialsLogged(_)
        | Change::MonthClosed { .. }
        | Change::MonthCorrected { .. } => None,
    }
}

impl Store {
    pub(crate) fn head_item(
        &self,
        organisation_id: &str,
        head: &Head,
        known_seq: Option<u64>,
    ) -> Result<Write, StoreError> {
        let mut item: Item = serde_dynamo::to_item(head)?;
        if !head.stored.is_empty() {
            let known: Head = serde_dynamo::from_item(head.stored.clone())?;
            carry_over(&head.stored, &serde_dynamo::to_item(known)?, &mut item);
        }
        item.extend(keys::head(organisation_id).attributes());
        let condition = known_seq.map_or(If::Absent, |seq| If::Is("seq", number(seq)));
        Ok(Write::put(Table::Governance, item).only(condition))
    }
}

impl Head {
    /// Says that a reader has to know the form `written`. Returns whether earlier ones were enough
    /// before: then a new epoch begins, so that instances which know the configuration read it
    /// again and find that they must not.
    pub(crate) fn raise(&mut self, written: u32) -> bool {
        let was_less = self.min_reader < written;
        self.min_reader = self.min_reader.max(written);
        was_less
    }

    /// Counts what a change creates, deletes and closes.
    pub(crate) fn count(&mut self, change: &Change) {
        match change {
            Change::OrganisationUpdated(organisation) => {
                self.organisation = organisation.after.value.clone();
            }
            Change::DepartmentCreated {
                returned: Some(returned),
                ..
            } => self.tree = returned.moved.tree,
            Change::DepartmentCreated { returned: None, .. } => self.next_department += 1,
            Change::DepartmentMoved { moved, .. } => self.tree = moved.tree,
            Change::PolicyCreated { webhooks, .. } => self.add_policy(webhooks.len()),
            Change::PolicyUpdated { webhooks, .. } => self.add_webhooks(webhooks.len()),
            Change::PolicyPublished(policy) => self.publish(&policy.before.value),
            Change::PolicyDisabled(policy) => self.unpublish(&policy.before.value),
            Change::PolicyDeleted(policy) => self.forget(&policy.value),
            Change::WebhookCreated(_) => self.add_webhooks(1),
            Change::WebhookDeleted(_) => self.webhooks = self.webhooks.saturating_sub(1),
            Change::ExemptionApproved { .. } => self.next_exemption += 1,
            Change::MonthClosed {
                period,
                notice: Some(_),
                ..
            } => self.closed_through = Some(*period),
            Change::MonthCorrected {
                period,
                is_last: true,
                ..
            } => self.corrected_through = Some(*period),
            Change::MonthClosed { notice: None, .. }
            | Change::MonthCorrected { is_last: false, .. }
            | Change::OrganisationCreated { .. }
            | Change::CellsPlaced(_)
            | Change::DepartmentUpdated(_)
            | Change::DepartmentDeleted { .. }
            | Change::BudgetCreated { .. }
            | Change::BudgetUpdated { .. }
            | Change::BudgetToppedUp { .. }
            | Change::BudgetDeleted { .. }
            | Change::UserCreated { .. }
            | Change::UserUpdated { .. }
            | Change::UserBlocked { .. }
            | Change::UserReleased { .. }
            | Change::ApiKeyCreated(_)
            | Change::ApiKeyDeleted(_)
            | Change::OauthClientCreated(_)
            | Change::OauthClientDeleted(_)
            | Change::WebhookUpdated(_)
            | Change::WebhookSecretRotated(_)
            | Change::ExemptionRequested { .. }
            | Change::ExemptionDenied { .. }
            | Change::ExemptionRevoked { .. }
            | Change::ExemptionEnding { .. }
            | Change::ExemptionExpired { .. }
            | Change::AlertUpdated(_)
            | Change::IncidentUpdated { .. }
            | Change::SuppressionReleased(_)
            | Change::GithubPut(_)
            | Change::GithubRisksPut { .. }
            | Change::EventCounted(_)
            | Change::EventDiscarded(_)
            | Change::CorrectionCreated { .. }
            | Change::Prices(_)
            | Change::UsageRepriced { .. }
            | Change::PolicyBlocked { .. }
            | Change::FiringBlocked { .. }
            | Change::FiringAttributed { .. }
            | Change::DenialsLogged(_) => {}
        }
    }

    fn add_webhooks(&mut self, added: usize) {
        self.webhooks += u64::try_from(added).unwrap_or(0);
    }

    fn add_policy(&mut self, webhooks: usize) {
        self.policies.known += 1;
        self.add_webhooks(webhooks);
    }

    fn forget(&mut self, policy: &Policy) {
        self.unpublish(policy);
        self.policies.known = self.policies.known.saturating_sub(1);
    }

    fn publish(&mut self, before: &Policy) {
        self.policies.revision += 1;
        let was_active = before.status == PolicyStatus::Active;
        self.policies.active += u64::from(!was_active);
    }

    fn unpublish(&mut self, before: &Policy) {
        if before.status == PolicyStatus::Active {
            self.policies.revision += 1;
            self.policies.active = self.policies.active.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::org::organisation::Organisation;
    use jiff::Timestamp;
    use serde_json::json;

    #[test]
    fn the_least_reader_is_raised_once_and_never_lowered() {
        let [id, name, zone] = ["acme", "Acme", "UTC"].map(str::to_owned);
        let organisation = Organisation::new(id, name, zone, Timestamp::UNIX_EPOCH);
        let head = json!({
            "epoch": 7, "tree": 0, "seq": 9, "audit_hash": "", "next_department": 1,
            "next_exemption": 0, "organisation": organisation,
        });
        let mut head: Head = serde_json::from_value(head).unwrap();
        assert!(!head.raise(1));
        assert!(head.raise(3), "a new epoch begins");
        assert!(!head.raise(3));
        assert!(!head.raise(2));
        assert_eq!(head.min_reader, 3);
    }
}
