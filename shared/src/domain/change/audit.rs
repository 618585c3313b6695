//! What the audit log says of a change.

use super::{Audited, Author, Change, Update};
use super::{of_budgets, of_channels, of_people, of_policies, of_tree};
use crate::domain::exemption::Exemption;
use crate::domain::ledger::flagged::FlaggedEvent;
use crate::domain::ledger::refused::RefusedHour;
use crate::domain::ledger::rollover::Rollover;
use crate::domain::org::audit::AuditEntry;
use crate::domain::org::people::User;
use crate::domain::period::Month;
use serde_json::json;

/// An entry without its author.
pub(super) struct Entry {
    pub(super) action: &'static str,
    pub(super) target: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    pub(super) reason: Option<String>,
}

impl Entry {
    fn because(mut self, reason: Option<String>) -> Self {
        self.reason = reason;
        self
    }
}

impl<T> Audited<T> {
    /// `target` is the kind of the value, `id` returns its id.
    fn created(&self, action: &'static str, target: &str, id: impl Fn(&T) -> &str) -> Entry {
        Entry {
            action,
            target: format!("{target}/{}", id(&self.value)),
            before: None,
            after: Some(self.json.clone()),
            reason: None,
        }
    }

    fn deleted(&self, action: &'static str, target: &str, id: impl Fn(&T) -> &str) -> Entry {
        Entry {
            action,
            target: format!("{target}/{}", id(&self.value)),
            before: Some(self.json.clone()),
            after: None,
            reason: None,
        }
    }
}

impl<T> Update<T> {
    fn entry(&self, action: &'static str, target: &str, id: impl Fn(&T) -> &str) -> Entry {
        Entry {
            before: Some(self.before.json.clone()),
            ..self.after.created(action, target, id)
        }
    }
}

impl Update<FlaggedEvent> {
    fn decided(&self, action: &'static str) -> Entry {
        let after = &self.after.value;
        let reason = after.decision.as_ref().map(|of| of.reason.clone());
        Entry {
            target: format!("event/{}", after.identity),
            ..self.entry(action, "event", |_| "")
        }
        .because(reason)
    }
}

impl Update<User> {
    fn blocked(&self) -> Entry {
        let block = self.after.value.block.as_ref();
        let reason = block.map(|block| block.reason.clone());
        self.entry("user.block", "user", |of| &of.id)
            .because(reason)
    }
}

impl Update<Exemption> {
    fn step(&self, action: &'static str) -> Entry {
        self.entry(action, "exemption", |of| &of.id)
    }

    fn decided(&self, action: &'static str) -> Entry {
        let decision = self.after.value.decision.as_ref();
        self.step(action)
            .because(decision.and_then(|of| of.note.clone()))
    }
}

impl Change {
    /// The entries of the audit log: one, or one for each hour of denials.
    pub fn entries(&self, author: &Author) -> Vec<AuditEntry> {
        let entries = self.unsigned_entries().into_iter();
        let entries = entries.map(|entry| AuditEntry {
            actor: author.name.clone(),
            action: entry.action.to_owned(),
            resource: entry.target,
            before: entry.before,
            after: entry.after,
            reason: entry.reason,
            authority: author.authority.clone(),
            request_id: author.request_id.clone(),
        });
        entries.collect()
    }

    fn unsigned_entries(&self) -> Vec<Entry> {
        if let Self::DenialsLogged(hours) = self {
            return hours.iter().map(denial).collect();
        }
        let groups = [
            self.entry_of_tree(),
            self.entry_of_budgets(),
            self.entry_of_people(),
            self.entry_of_policies(),
            self.entry_of_channels(),
        ];
        groups.into_iter().flatten().collect()
    }

    fn entry_of_tree(&self) -> Option<Entry> {
        Some(match self {
            Self::OrganisationCreated { organisation, .. } => {
                organisation.created("organisation.create", "organisation", |of| &of.id)
            }
            Self::OrganisationUpdated(organisation) => {
                organisation.entry("organisation.update", "organisation", |of| &of.id)
            }
            Self::CellsPlaced(placement) => Entry {
                target: "cells".to_owned(),
                ..placement.entry("cells.place", "cells", |_| "")
            },
            Self::DepartmentCreated { department, .. } => {
                department.created("department.create", "department", |of| &of.id)
            }
            Self::DepartmentUpdated(department) => {
                department.entry("department.update", "department", |of| &of.id)
            }
            Self::DepartmentMoved { department, .. } => {
                department.entry("department.move", "department", |of| &of.id)
            }
            Self::DepartmentDeleted { department, .. } => {
                department.deleted("department.delete", "department", |of| &of.id)
            }
            of_budgets!() | of_people!() | of_policies!() | of_channels!() => return None,
        })
    }

    fn entry_of_budgets(&self) -> Option<Entry> {
        Some(match self {
            Self::BudgetCreated { budget, .. } => {
                budget.created("budget.create", "budget", |of| &of.id)
            }
            Self::BudgetUpdated { budget, .. } => {
                budget.entry("budget.update", "budget", |of| &of.id)
            }
            Self::BudgetToppedUp { budget, reason, .. } => budget
                .entry("budget.top_up", "budget", |of| &of.id)
                .because(Some(reason.clone())),
            Self::BudgetDeleted { budget, .. } => {
                budget.deleted("budget.delete", "budget", |of| &of.id)
            }
            Self::EventCounted(event) => event.decided("event.count"),
            Self::EventDiscarded(event) => event.decided("event.discard"),
            Self::Prices(change) => change.entry(),
            Self::CorrectionCreated { correction, .. } | Self::UsageRepriced { correction, .. } => {
                correction
                    .created("correction.create", "correction", |of| &of.id)
                    .because(Some(correction.value.reason.clone()))
            }
            Self::MonthClosed {
                period, rollovers, ..
            } => month("period.close", *period, &[], rollovers),
            Self::MonthCorrected {
                period,
                before,
                after,
                ..
            } => month("period.correct", *period, before, after),
            of_tree!() | of_people!() | of_policies!() | of_channels!() => return None,
        })
    }

    fn entry_of_people(&self) -> Option<Entry> {
        Some(match self {
            Self::UserCreated { user, .. } => user.created("user.create", "user", |of| &of.id),
            Self::UserUpdated { user, .. } => user.entry("user.update", "user", |of| &of.id),
            Self::UserBlocked { user, .. } => user.blocked(),
            Self::UserReleased { user, .. } => user.entry("user.release", "user", |of| &of.id),
            Self::ApiKeyCreated(key) => key.created("api_key.create", "api_key", |of| &of.id),
            Self::ApiKeyDeleted(key) => key.deleted("api_key.delete", "api_key", |of| &of.id),
            Self::OauthClientCreated(client) => {
                client.created("oauth_client.create", "oauth_client", |of| &of.id)
            }
            Self::OauthClientDeleted(client) => {
                client.deleted("oauth_client.delete", "oauth_client", |of| &of.id)
            }
            Self::ExemptionRequested { exemption, .. } => exemption
                .created("exemption.request", "exemption", |of| &of.id)
                .because(Some(exemption.value.reason.clone())),
            Self::ExemptionApproved { exemption, .. } => exemption.decided("exemption.approve"),
            Self::ExemptionDenied { exemption, .. } => exemption.decided("exemption.deny"),
            Self::ExemptionRevoked { exemption, .. } => {
                let revocation = exemption.after.value.revocation.as_ref();
                exemption
                    .step("exemption.revoke")
                    .because(revocation.and_then(|of| of.note.clone()))
            }
            Self::ExemptionEnding { exemption, .. } => exemption.step("exemption.ending"),
            Self::ExemptionExpired { exemption, .. } => exemption.step("exemption.expire"),
            // Its entries are one for each hour.
            Self::DenialsLogged(_) => return None,
            of_tree!() | of_budgets!() | of_policies!() | of_channels!() => return None,
        })
    }

    fn entry_of_policies(&self) -> Option<Entry> {
        Some(match self {
            Self::PolicyBlocked { user, .. } | Self::FiringBlocked { user, .. } => user.blocked(),
            Self::PolicyCreated { policy, .. } => {
                policy.created("policy.create", "policy", |of| &of.id)
            }
            Self::PolicyUpdated { policy, .. } => {
                policy.entry("policy.update", "policy", |of| &of.id)
            }
            Self::PolicyPublished(policy) => policy.entry("policy.publish", "policy", |of| &of.id),
            Self::PolicyDisabled(policy) => policy.entry("policy.disable", "policy", |of| &of.id),
            Self::PolicyDeleted(policy) => policy.deleted("policy.delete", "policy", |of| &of.id),
            Self::FiringAttributed { user_id, firing } => Entry {
                action: "alert.update",
                target: format!("alert/{}", firing.fired.alert_id),
                before: Some(json!({"user_id": null}).to_string()),
                after: Some(json!({"user_id": user_id}).to_string()),
                reason: Some("it is known now whose event it is".to_owned()),
            },
            of_tree!() | of_budgets!() | of_people!() | of_channels!() => return None,
        })
    }

    fn entry_of_channels(&self) -> Option<Entry> {
        Some(match self {
            Self::WebhookCreated(webhook) => {
                webhook.created("webhook.create", "webhook", |of| &of.id)
            }
            Self::WebhookUpdated(webhook) => {
                webhook.entry("webhook.update", "webhook", |of| &of.id)
            }
            Self::WebhookSecretRotated(webhook) => {
                webhook.entry("webhook.rotate_secret", "webhook", |of| &of.id)
            }
            Self::WebhookDeleted(webhook) => {
                webhook.deleted("webhook.delete", "webhook", |of| &of.id)
            }
            Self::AlertUpdated(alert) => alert.entry("alert.update", "alert", |of| &of.id),
            Self::IncidentUpdated { incident, note } => incident
                .entry("incident.update", "incident", |of| &of.id)
                .because(note.clone()),
            Self::SuppressionReleased(suppression) => {
                suppression.deleted("suppression.release", "suppression", |of| &of.email)
            }
            Self::GithubPut(github) => {
                github.created("integration.put", "integration", |_| "github")
            }
            Self::GithubRisksPut { before, risks } => Entry {
                before: Some(before.clone()),
                ..risks.created("integration.put_risks", "integration", |_| "github/risks")
            },
            of_tree!() | of_budgets!() | of_people!() | of_policies!() => return None,
        })
    }
}

fn denial((hour, count): &(RefusedHour, u64)) -> Entry {
    Entry {
        action: "preflight.refused",
        target: format!("user/{}", hour.user_id),
        before: None,
        after: Some(hour.described(*count)),
        reason: Some(hour.reason.clone()),
    }
}

fn month(action: &'static str, period: Month, before: &[Rollover], after: &[Rollover]) -> Entry {
    let json = |rows: &[Rollover]| serde_json::to_string(rows).ok();
    Entry {
        action,
        target: format!("period/{period}"),
        before: match before.is_empty() {
            true => None,
            false => json(before),
        },
        after: json(after),
        reason: None,
    }
}
