//! The recipients of an exemption's notices.

use crate::App;
use jiff::Timestamp;
use shared::domain::exemption::Exemption;
use shared::domain::notice::exemption::{Event, notice};
use shared::domain::notice::{Notice, Recipient};
use shared::domain::org::people::{Status, User};
use shared::runtime::error::ApiError;
use shared::store::{KeyOwner, new_id};

/// The recipients of a step's notice, which is written with the step.
pub(super) struct Audience {
    notice_id: String,
    recipients: Vec<Recipient>,
    user: User,
}

impl Audience {
    /// Returns a notice to those who may decide.
    pub(super) async fn to_approvers(
        app: &App,
        owner: &KeyOwner,
        exemption: &Exemption,
        user: &User,
    ) -> Result<Self, ApiError> {
        let all = app
            .store
            .some_administrators(&owner.organisation_id)
            .await?;
        let may_decide = |admin: &&User| {
            let asked_by = exemption.requested_by.people();
            admin.id != user.id && !asked_by.contains(admin.id.as_str())
        };
        let because = "you are an administrator and may decide it";
        let mails = all.iter().filter(may_decide);
        Ok(Self {
            notice_id: new_id("ntc_", app.clock.now(), 0)?,
            recipients: mails
                .map(|admin| Recipient::mail(admin, because.to_owned()))
                .collect(),
            user: user.clone(),
        })
    }

    /// Returns a notice to the user and to the person who asked.
    pub(super) async fn to_those_concerned(
        app: &App,
        owner: &KeyOwner,
        exemption: &Exemption,
    ) -> Result<Self, ApiError> {
        let organisation_id = &owner.organisation_id;
        let user_id = &exemption.terms.user_id;
        let user = app.store.user(organisation_id, user_id).await?;
        let user = user.ok_or_else(|| ApiError::not_found("user"))?;
        let mut recipients = vec![Recipient::mail(&user, "it is for you".to_owned())];
        if let Some(asker_id) = &exemption.requested_by.user_id
            && asker_id != user_id
            && let Some(asker) = app.store.user(organisation_id, asker_id).await?
            && asker.status == Status::Active
        {
            let because = format!("you asked for it on behalf of {user_id}");
            recipients.push(Recipient::mail(&asker, because));
        }
        Ok(Self {
            notice_id: new_id("ntc_", app.clock.now(), 0)?,
            recipients,
            user,
        })
    }

    pub(super) fn notice(&self, event: Event, exemption: &Exemption, now: Timestamp) -> Notice {
        let recipients = self.recipients.clone();
        let id = self.notice_id.clone();
        notice(id, event, exemption, &self.user, recipients, now)
    }
}
