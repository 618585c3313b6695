//! Rows that several kinds of changes have.

use super::Rows;
use crate::domain::change::{CrossingMarker, MailClaim};
use crate::domain::exemption::Exemption;
use crate::domain::ledger::flagged::FlaggedEvent;
use crate::domain::notice::webhook::Webhook;
use crate::domain::org::department::Department;
use crate::domain::org::people::User;
use crate::domain::policy::{Policy, PolicyStatus};
use crate::store::error::StoreError;
use crate::store::rows::Row;

impl Rows<'_> {
    pub(super) fn clear(&mut self, markers: &[CrossingMarker]) {
        let id = self.organisation_id;
        let rows = markers
            .iter()
            .map(|marker| Row::clear_alert_marker(id, marker));
        self.rows.extend(rows);
    }

    pub(super) fn user(&mut self, user: &User, mail: &MailClaim) -> Result<(), StoreError> {
        let id = self.organisation_id;
        if let Some(mailbox) = &mail.taken {
            self.push(Row::mail_owner(id, mailbox, &user.id)?);
        }
        if let Some(mailbox) = &mail.given_back {
            self.push(Row::no_mail_owner(id, mailbox));
        }
        self.push(Row::user(id, user)?);
        Ok(())
    }

    pub(super) fn departments(&mut self, departments: &[Department]) -> Result<(), StoreError> {
        for department in departments {
            self.push(Row::department(self.organisation_id, department)?);
        }
        Ok(())
    }

    pub(super) fn webhooks(&mut self, webhooks: &[Webhook]) -> Result<(), StoreError> {
        for webhook in webhooks {
            self.push(Row::webhook(self.organisation_id, webhook)?);
        }
        Ok(())
    }

    pub(super) fn unpublish(&mut self, before: &Policy) {
        if before.status == PolicyStatus::Active {
            self.push(Row::not_published(self.organisation_id, &before.id));
        }
    }

    pub(super) fn exemption(&mut self, exemption: &Exemption) -> Result<(), StoreError> {
        let rows = Row::exemption(self.organisation_id, exemption)?;
        self.rows.extend(rows);
        Ok(())
    }

    pub(super) fn decided_event(
        &mut self,
        before: &FlaggedEvent,
        after: &FlaggedEvent,
    ) -> Result<(), StoreError> {
        self.push(Row::not_flagged(self.organisation_id, before));
        self.push(Row::flagged(self.organisation_id, after)?);
        Ok(())
    }
}
