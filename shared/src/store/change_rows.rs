//! The rows of a change.

mod parts;

use super::error::StoreError;
use super::firings::firing_rows;
use super::rows::Row;
use crate::domain::change::{Change, of_budgets, of_channels, of_people, of_policies, of_tree};
use crate::domain::policy::ActivePolicy;
use jiff::Timestamp;

/// Collects the rows of one organisation.
struct Rows<'a> {
    organisation_id: &'a str,
    now: Timestamp,
    rows: Vec<Row>,
}

/// Returns the rows of a change, including its notices.
pub(crate) fn rows_of(
    organisation_id: &str,
    change: &Change,
    now: Timestamp,
) -> Result<Vec<Row>, StoreError> {
    let mut rows = Rows {
        organisation_id,
        now,
        rows: Vec::new(),
    };
    rows.add(change)?;
    for notice in change.notices() {
        rows.rows.push(Row::notice(organisation_id, notice)?);
    }
    Ok(rows.rows)
}

impl Rows<'_> {
    fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    fn add(&mut self, change: &Change) -> Result<(), StoreError> {
        self.tree(change)?;
        self.budgets(change)?;
        self.people(change)?;
        self.policies(change)?;
        self.channels(change)
    }

    fn tree(&mut self, change: &Change) -> Result<(), StoreError> {
        let id = self.organisation_id;
        match change {
            Change::OrganisationCreated { organisation, keys } => {
                for key in keys {
                    self.rows.extend(Row::api_key(id, key)?);
                }
                self.push(Row::organisation(&organisation.value)?);
            }
            Change::OrganisationUpdated(organisation) => {
                self.push(Row::organisation(&organisation.after.value)?);
            }
            Change::CellsPlaced(placement) => {
                self.push(Row::placement(id, &placement.after.value)?);
            }
            Change::DepartmentCreated {
                department,
                returned,
            } => {
                if let Some(returned) = returned {
                    self.push(Row::moved(id, &returned.moved, self.now)?);
                    self.push(Row::not_deleted(id, &returned.deleted));
                }
                self.push(Row::department(id, &department.value)?);
            }
            Change::DepartmentUpdated(department) => {
                self.push(Row::department(id, &department.after.value)?);
            }
            Change::DepartmentMoved { department, moved } => {
                self.push(Row::moved(id, moved, self.now)?);
                self.push(Row::department(id, &department.after.value)?);
            }
            Change::DepartmentDeleted {
                department,
                remembered,
            } => {
                let department_id = &department.value.id;
                let rows = Row::no_department(id, department_id, remembered, self.now)?;
                self.rows.extend(rows);
            }
            of_budgets!() | of_people!() | of_policies!() | of_channels!() => {}
        }
        Ok(())
    }

    fn budgets(&mut self, change: &Change) -> Result<(), StoreError> {
        let id = self.organisation_id;
        match change {
            Change::BudgetCreated { budget, cleared } => {
                self.push(Row::budget(id, &budget.value)?);
                self.clear(cleared);
            }
            Change::BudgetUpdated { budget, cleared }
            | Change::BudgetToppedUp {
                budget, cleared, ..
            } => {
                self.push(Row::budget(id, &budget.after.value)?);
                self.clear(cleared);
            }
            Change::BudgetDeleted {
                budget,
                remembered,
                forgotten,
            } => {
                self.push(Row::no_budget(id, &budget.value.id));
                let forgotten = forgotten.iter();
                let forgotten = forgotten.map(|of| Row::no_ended_budget(id, of));
                self.rows.extend(forgotten);
                if let Some(ended) = remembered {
                    self.push(Row::ended_budget(id, ended, self.now)?);
                }
            }
            Change::EventCounted(event) | Change::EventDiscarded(event) => {
                self.decided_event(&event.before.value, &event.after.value)?;
            }
            Change::UsageRepriced {
                correction,
                cleared,
                booked,
            } => {
                self.push(Row::correction(id, &correction.value)?);
                self.push(Row::repriced(id, booked, self.now)?);
                self.clear(cleared);
            }
            Change::Prices(change) => self.push(Row::of_prices(id, change, self.now)?),
            Change::CorrectionCreated {
                correction,
                cleared,
            } => {
                self.push(Row::correction(id, &correction.value)?);
                self.clear(cleared);
            }
            Change::MonthClosed { rollovers, .. } => {
                for row in rollovers {
                    self.push(Row::rollover(id, row)?);
                }
            }
            Change::MonthCorrected { after, .. } => {
                for row in after {
                    self.push(Row::rollover(id, row)?);
                }
            }
            of_tree!() | of_people!() | of_policies!() | of_channels!() => {}
        }
        Ok(())
    }

    fn people(&mut self, change: &Change) -> Result<(), StoreError> {
        let id = self.organisation_id;
        match change {
            Change::UserCreated {
                user,
                department,
                mail,
            } => {
                self.user(&user.value, mail)?;
                self.push(Row::holder(id, &user.value.id)?);
                self.departments(department.as_slice())?;
            }
            Change::UserUpdated {
                user,
                departments,
                mail,
            } => {
                self.user(&user.after.value, mail)?;
                self.departments(departments)?;
            }
            Change::UserBlocked { user, mail, .. } | Change::UserReleased { user, mail, .. } => {
                self.user(&user.after.value, mail)?;
            }
            Change::ApiKeyCreated(key) => self.rows.extend(Row::api_key(id, &key.value)?),
            Change::ApiKeyDeleted(key) => self.rows.extend(Row::no_api_key(id, &key.value)),
            Change::OauthClientCreated(client) => {
                self.rows.extend(Row::client(id, &client.value)?);
            }
            Change::OauthClientDeleted(client) => {
                self.rows.extend(Row::no_client(id, &client.value.id));
            }
            Change::ExemptionRequested { exemption, .. } => self.exemption(&exemption.value)?,
            Change::ExemptionApproved { exemption, .. }
            | Change::ExemptionDenied { exemption, .. }
            | Change::ExemptionRevoked { exemption, .. } => {
                self.exemption(&exemption.after.value)?;
            }
            Change::ExemptionEnding { exemption, .. }
            | Change::ExemptionExpired { exemption, .. } => {
                self.push(Row::exemption_alone(id, &exemption.after.value)?);
            }
            Change::DenialsLogged(hours) => {
                for (hour, _) in hours {
                    self.push(Row::logged_refusals(id, hour)?);
                }
            }
            of_tree!() | of_budgets!() | of_policies!() | of_channels!() => {}
        }
        Ok(())
    }

    fn policies(&mut self, change: &Change) -> Result<(), StoreError> {
        let id = self.organisation_id;
        match change {
            Change::PolicyCreated { policy, webhooks } => {
                self.push(Row::policy(id, &policy.value)?);
                self.webhooks(webhooks)?;
            }
            Change::PolicyUpdated { policy, webhooks } => {
                self.push(Row::policy(id, &policy.after.value)?);
                self.webhooks(webhooks)?;
            }
            Change::PolicyPublished(policy) => {
                let after = &policy.after.value;
                let active = ActivePolicy {
                    id: after.id.clone(),
                    version: after.version,
                    rule: after.rule.clone(),
                };
                self.push(Row::published(id, &active)?);
                self.push(Row::policy(id, after)?);
            }
            Change::PolicyDisabled(policy) => {
                self.unpublish(&policy.before.value);
                self.push(Row::policy(id, &policy.after.value)?);
            }
            Change::PolicyDeleted(policy) => {
                self.unpublish(&policy.value);
                self.push(Row::no_policy(id, &policy.value.id));
            }
            Change::PolicyBlocked { user, firing } => {
                self.rows.extend(firing_rows(id, firing, Row::fired)?);
                self.push(Row::user(id, &user.after.value)?);
            }
            Change::FiringBlocked { user, firing } => {
                self.rows.extend(firing_rows(id, firing, Row::finished)?);
                self.push(Row::user(id, &user.after.value)?);
            }
            Change::FiringAttributed { firing, .. } => {
                self.rows.extend(firing_rows(id, firing, Row::finished)?);
            }
            of_tree!() | of_budgets!() | of_people!() | of_channels!() => {}
        }
        Ok(())
    }

    fn channels(&mut self, change: &Change) -> Result<(), StoreError> {
        let id = self.organisation_id;
        match change {
            Change::WebhookCreated(webhook) => self.push(Row::webhook(id, &webhook.value)?),
            Change::WebhookUpdated(webhook) => {
                let (before, after) = (&webhook.before.value, &webhook.after.value);
                self.push(Row::webhook(id, after)?);
                if after.url != before.url {
                    self.push(Row::no_health(id, &after.id));
                }
            }
            Change::WebhookSecretRotated(webhook) => {
                self.push(Row::webhook(id, &webhook.after.value)?);
            }
            Change::WebhookDeleted(webhook) => {
                self.rows.extend(Row::no_webhook(id, &webhook.value.id));
            }
            Change::AlertUpdated(alert) => self.push(Row::alert(id, &alert.after.value)?),
            Change::IncidentUpdated { incident, .. } => {
                self.push(Row::incident(id, &incident.after.value)?);
            }
            Change::SuppressionReleased(suppression) => {
                self.push(Row::no_suppression(id, &suppression.value.email));
            }
            Change::GithubPut(github) => self.push(Row::github(id, &github.value)?),
            Change::GithubRisksPut { risks, .. } => {
                self.push(Row::github_risks(id, &risks.value)?);
            }
            of_tree!() | of_budgets!() | of_people!() | of_policies!() => {}
        }
        Ok(())
    }
}
