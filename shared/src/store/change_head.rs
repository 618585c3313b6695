//! What a change does besides its rows: its ledger write, and the counts in the head.

use super::configuration::Head;
use super::ledger_writes::LedgerWrite;
use crate::domain::change::Change;
use crate::domain::policy::{Policy, PolicyStatus};

/// Returns the ledger write of a change, which charges the counters itself.
pub(super) fn ledger_write_of(change: &Change) -> Option<LedgerWrite<'_>> {
    match change {
        Change::EventCounted(event) => Some(LedgerWrite::Count(&event.after.value)),
        Change::EventDiscarded(event) => Some(LedgerWrite::Discard(&event.after.value)),
        Change::CorrectionCreated { correction, .. } => {
            Some(LedgerWrite::Correct(&correction.value))
        }
        Change::OrganisationCreated { .. }
        | Change::OrganisationUpdated(_)
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
        | Change::PolicyBlocked { .. }
        | Change::FiringBlocked { .. }
        | Change::FiringAttributed { .. }
        | Change::DenialsLogged(_)
        | Change::MonthClosed { .. }
        | Change::MonthCorrected { .. } => None,
    }
}

impl Head {
    /// Counts what a change creates, deletes and closes.
    pub(super) fn count(&mut self, change: &Change) {
        match change {
            Change::OrganisationUpdated(organisation) => {
                self.organisation = organisation.after.value.clone();
            }
            Change::DepartmentCreated { returned, .. } => match returned {
                Some(returned) => self.tree = returned.moved.tree,
                None => self.next_department += 1,
            },
            Change::DepartmentMoved { moved, .. } => self.tree = moved.tree,
            Change::PolicyCreated { webhooks, .. } => {
                self.policies.known += 1;
                self.add_webhooks(webhooks.len());
            }
            Change::PolicyUpdated { webhooks, .. } => self.add_webhooks(webhooks.len()),
            Change::PolicyPublished(policy) => {
                self.policies.revision += 1;
                let was_active = policy.before.value.status == PolicyStatus::Active;
                self.policies.active += u64::from(!was_active);
            }
            Change::PolicyDisabled(policy) => self.unpublish(&policy.before.value),
            Change::PolicyDeleted(policy) => {
                self.unpublish(&policy.value);
                self.policies.known = self.policies.known.saturating_sub(1);
            }
            Change::WebhookCreated(_) => self.add_webhooks(1),
            Change::WebhookDeleted(_) => self.webhooks = self.webhooks.saturating_sub(1),
            Change::ExemptionApproved { .. } => self.next_exemption += 1,
            Change::MonthClosed { period, notice, .. } => {
                if notice.is_some() {
                    self.closed_through = Some(*period);
                }
            }
            Change::MonthCorrected {
                period, is_last, ..
            } => {
                if *is_last {
                    self.corrected_through = Some(*period);
                }
            }
            Change::OrganisationCreated { .. }
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
            | Change::PolicyBlocked { .. }
            | Change::FiringBlocked { .. }
            | Change::FiringAttributed { .. }
            | Change::DenialsLogged(_) => {}
        }
    }

    fn add_webhooks(&mut self, added: usize) {
        self.webhooks += u64::try_from(added).unwrap_or(0);
    }

    fn unpublish(&mut self, before: &Policy) {
        if before.status == PolicyStatus::Active {
            self.policies.revision += 1;
            self.policies.active = self.policies.active.saturating_sub(1);
        }
    }
}
