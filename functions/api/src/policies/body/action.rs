//! Reads the actions of a policy.

use crate::webhooks::body::read_url;
use shared::domain::notice::egress_policy::EgressPolicy;
use shared::domain::policy::{Action, BlockUntil};
use shared::runtime::fields::Fields;
use shared::runtime::parse;

/// The longest block in hours: a year.
pub(crate) const MAX_HOURS: i64 = 24 * 366;

#[derive(Clone, Copy)]
enum ActionKind {
    EmailUser,
    EmailManager,
    BlockAccess,
    CreateIncident,
    Webhook,
}

const ACTIONS: &[(&str, Option<ActionKind>)] = &[
    ("email_user", Some(ActionKind::EmailUser)),
    ("email_manager", Some(ActionKind::EmailManager)),
    ("block_access", Some(ActionKind::BlockAccess)),
    ("create_incident", Some(ActionKind::CreateIncident)),
    ("webhook", Some(ActionKind::Webhook)),
];

/// A requested action. A url becomes a webhook first.
#[derive(Clone, Debug)]
pub(crate) enum AskedAction {
    Known(Action),
    Url(String),
}

impl AskedAction {
    /// Returns whether both do the same: of one type, and to the same webhook.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Url(one), Self::Url(other)) => one == other,
            (Self::Known(one), Self::Known(other)) => match (one, other) {
                (Action::Webhook { webhook_id: one }, Action::Webhook { webhook_id: other }) => {
                    one == other
                }
                _ => std::mem::discriminant(one) == std::mem::discriminant(other),
            },
            _ => false,
        }
    }
}

pub(super) fn read_action(fields: &mut Fields, egress: EgressPolicy) -> Option<AskedAction> {
    let complete = |action| Some(AskedAction::Known(action));
    match fields.required("type", parse::one_of(ACTIONS)) {
        None => {
            fields.ignore_rest();
            None
        }
        Some(ActionKind::EmailUser) => complete(Action::EmailUser),
        Some(ActionKind::EmailManager) => complete(Action::EmailManager),
        Some(ActionKind::BlockAccess) => {
            let until = fields.optional("until", until);
            complete(Action::BlockAccess {
                until: until.unwrap_or(BlockUntil::Released),
            })
        }
        Some(ActionKind::CreateIncident) => complete(Action::CreateIncident {
            severity: fields.optional("severity", parse::name),
        }),
        Some(ActionKind::Webhook) => {
            let are_both_there = fields.has("webhook_id") && fields.has("url");
            if are_both_there || !(fields.has("webhook_id") || fields.has("url")) {
                fields.take_only_one("webhook_id", "url", are_both_there);
                return None;
            }
            let webhook_id = fields.changed_value("webhook_id", parse::slug);
            let url = fields.changed_value("url", read_url(egress));
            let webhook = webhook_id.map(|webhook_id| Action::Webhook { webhook_id });
            webhook
                .map(AskedAction::Known)
                .or(url.map(AskedAction::Url))
        }
    }
}

/// Reads `"released"`, `"period_end"` or `{"hours": 8}`.
fn until(raw: &str) -> Result<BlockUntil, String> {
    match raw {
        "\"released\"" => return Ok(BlockUntil::Released),
        "\"period_end\"" => return Ok(BlockUntil::PeriodEnd),
        _ => {}
    }
    let rule = |_| format!("must be released, period_end or {{\"hours\": 1 to {MAX_HOURS}}}");
    let mut fields = Fields::of_value(raw, "until").map_err(|_| rule(()))?;
    let hours = fields.required("hours", parse::whole(1, MAX_HOURS));
    if !fields.into_details().is_empty() {
        return Err(rule(()));
    }
    u32::try_from(hours)
        .map(BlockUntil::Hours)
        .map_err(|_| rule(()))
}
