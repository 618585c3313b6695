//! The reports of SES about a mail, as its topic delivers them to the queue of notices.

use crate::names::ORGANISATION;
use jiff::Timestamp;
use serde_json::json;
use shared::domain::notice::feedback::ORGANISATION_TAG;
use shared::domain::notice::suppression::Reason;
use std::collections::BTreeMap;

/// The reports by their name in the local API.
pub(crate) const BOUNCE_KINDS: &[(&str, Option<Reason>)] = &[
    ("bounce", Some(Reason::Bounce)),
    ("complaint", Some(Reason::Complaint)),
];

pub(crate) struct Bounce<'a> {
    pub(crate) email: &'a str,
    pub(crate) kind: Reason,
    pub(crate) is_permanent: bool,
    /// The tags of the mail, if one was sent.
    pub(crate) tags: Option<BTreeMap<String, String>>,
    pub(crate) at: Timestamp,
}

impl Bounce<'_> {
    /// Returns the message for the queue.
    pub(crate) fn message(&self, id: &str) -> String {
        let of_nobody = || BTreeMap::from([(ORGANISATION_TAG.to_owned(), ORGANISATION.to_owned())]);
        let tags = self.tags.clone().unwrap_or_else(of_nobody);
        let tags: BTreeMap<String, [String; 1]> = tags
            .into_iter()
            .map(|(name, value)| (name, [value]))
            .collect();
        let at = self.at.to_string();
        let mail = json!({"timestamp": at, "destination": [self.email], "tags": tags});
        let report = match self.kind {
            Reason::Bounce => json!({
                "eventType": "Bounce",
                "bounce": {
                    "bounceType": if self.is_permanent { "Permanent" } else { "Transient" },
                    "bounceSubType": "General", "feedbackId": id, "timestamp": at,
                    "bouncedRecipients": [{
                        "emailAddress": self.email, "action": "failed",
                        "status": if self.is_permanent { "5.1.1" } else { "4.2.2" },
                        "diagnosticCode": if self.is_permanent {
                            "smtp; 550 5.1.1 user unknown"
                        } else {
                            "smtp; 452 4.2.2 mailbox full"
                        },
                    }],
                },
                "mail": mail,
            }),
            Reason::Complaint => json!({
                "eventType": "Complaint",
                "complaint": {
                    "complainedRecipients": [{"emailAddress": self.email}],
                    "feedbackId": id, "timestamp": at, "complaintFeedbackType": "abuse",
                },
                "mail": mail,
            }),
        };
        report.to_string()
    }
}
