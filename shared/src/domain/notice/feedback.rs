//! Reports of the mail service about an accepted mail: it bounced, or its reader complained.
//!
//! The reports are those of SES: an event of a configuration set (`eventType`) or a notification of
//! an identity (`notificationType`), bare or in the envelope of an SNS topic.

use crate::domain::name::{is_email, is_slug};
use crate::domain::notice::suppression::Reason;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The tag that names a mail's organisation. Reports about the mail repeat it.
pub const ORGANISATION_TAG: &str = "organisation";
/// The longest detail kept, in characters.
const MAX_DETAIL: usize = 300;
/// A message that SES sends once to a new topic. It is not a report.
const GREETING: &str = "Successfully validated SNS topic";

/// A report that ends mails to its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// The report's own id, the same for every delivery of it.
    pub id: String,
    pub organisation_id: String,
    pub emails: Vec<String>,
    pub reason: Reason,
    /// The explanation of the receiving side, shortened.
    pub detail: String,
}

/// Why a text is not a usable report.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("it is not a report of the mail service")]
    NoReport,
    /// A part is missing or has another type.
    #[error("the report is malformed")]
    OtherForm(#[source] serde_json::Error),
    /// The mail had no tag with its organisation.
    #[error("the report does not name the organisation of the mail")]
    NoOrganisation,
    #[error("the report names no address")]
    NoAddress,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    message: String,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "eventType", alias = "notificationType")]
    kind: String,
}

#[derive(Deserialize)]
struct Report {
    mail: Mail,
    bounce: Option<Bounce>,
    complaint: Option<Complaint>,
}

#[derive(Deserialize)]
struct Mail {
    #[serde(default)]
    destination: Vec<String>,
    #[serde(default)]
    tags: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    bounce_type: String,
    #[serde(default)]
    bounce_sub_type: String,
    #[serde(default)]
    bounced_recipients: Vec<Recipient>,
    feedback_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    #[serde(default)]
    complained_recipients: Vec<Recipient>,
    complaint_feedback_type: Option<String>,
    feedback_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipient {
    email_address: String,
    diagnostic_code: Option<String>,
    status: Option<String>,
}

/// Returns one line of at most [`MAX_DETAIL`] characters.
fn shortened(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(MAX_DETAIL).collect()
}

/// Returns `ada@example.com`, also from `Ada <ada@example.com>`.
fn bare(address: &str) -> Option<String> {
    let inner = address.rsplit_once('<').map_or(address, |(_, rest)| rest);
    let inner = inner.trim_end_matches('>').trim();
    is_email(inner).then(|| inner.to_owned())
}

impl Bounce {
    /// Returns the explanation of the receiving side, or else the kind of bounce.
    fn detail(&self) -> String {
        let first = self.bounced_recipients.first();
        let said = first.and_then(|to| to.diagnostic_code.as_ref().or(to.status.as_ref()));
        said.map_or_else(
            || shortened(&format!("{} {}", self.bounce_type, self.bounce_sub_type)),
            |said| shortened(said),
        )
    }
}

impl Feedback {
    /// Reads a report. None if it ends nothing: a temporary bounce, a reader who says that it was
    /// not spam, or another kind of report.
    pub fn read(body: &str) -> Result<Option<Self>, Unreadable> {
        let message = serde_json::from_str::<Envelope>(body).map(|envelope| envelope.message);
        let body = message.as_deref().unwrap_or(body);
        if body.starts_with(GREETING) {
            return Ok(None);
        }
        let kind: Kind = serde_json::from_str(body).map_err(|_| Unreadable::NoReport)?;
        if !matches!(kind.kind.as_str(), "Bounce" | "Complaint") {
            return Ok(None);
        }
        let report: Report = serde_json::from_str(body).map_err(Unreadable::OtherForm)?;
        let (id, reason, detail, recipients) = match (report.bounce, report.complaint) {
            (Some(bounce), _) => {
                if bounce.bounce_type != "Permanent" {
                    return Ok(None);
                }
                let detail = bounce.detail();
                let recipients = bounce.bounced_recipients;
                (bounce.feedback_id, Reason::Bounce, detail, recipients)
            }
            (None, Some(complaint)) => {
                let said = complaint.complaint_feedback_type.unwrap_or_default();
                if said == "not-spam" {
                    return Ok(None);
                }
                let recipients = complaint.complained_recipients;
                let detail = shortened(&said);
                (complaint.feedback_id, Reason::Complaint, detail, recipients)
            }
            (None, None) => return Ok(None),
        };
        let organisation_id = report.mail.tags.get(ORGANISATION_TAG);
        let organisation_id = organisation_id.and_then(|values| values.first());
        let organisation_id = organisation_id
            .filter(|id| is_slug(id))
            .ok_or(Unreadable::NoOrganisation)?;
        // Each mail has one recipient. A forwarding receiver may report another address, which
        // never gets mail from here.
        let emails: Vec<String> = match report.mail.destination.as_slice() {
            [only] => bare(only).into_iter().collect(),
            _ => {
                let named = recipients.iter().map(|to| bare(&to.email_address));
                named.flatten().collect()
            }
        };
        if emails.is_empty() {
            return Err(Unreadable::NoAddress);
        }
        Ok(Some(Self {
            id,
            organisation_id: organisation_id.clone(),
            emails,
            reason,
            detail,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn bounce(bounce_type: &str) -> Value {
        json!({
            "eventType": "Bounce",
            "bounce": {
                "bounceType": bounce_type, "bounceSubType": "General",
                "timestamp": "2026-11-24T12:00:00.000Z",
                "feedbackId": "0100-f-000000", "reportingMTA": "dsn; mta.example.com",
                "bouncedRecipients": [{
                    "emailAddress": "old@forwarded.example.com", "action": "failed",
                    "status": "5.1.1",
                    "diagnosticCode": "smtp; 550 5.1.1\nuser unknown",
                }],
            },
            "mail": {
                "timestamp": "2026-11-24T11:59:00.000Z", "source": "Toktra <notices@example.com>",
                "messageId": "m-1",
                "destination": ["Ada@example.com"],
                "tags": {"ses:configuration-set": ["toktra"], "organisation": ["acme"]},
            },
        })
    }

    fn read(report: &Value) -> Result<Option<Feedback>, Unreadable> {
        Feedback::read(&report.to_string())
    }

    #[test]
    fn a_permanent_bounce_names_its_organisation_and_the_address_that_was_written_to() {
        let report = bounce("Permanent");
        let expected = Feedback {
            id: "0100-f-000000".to_owned(),
            organisation_id: "acme".to_owned(),
            emails: vec!["Ada@example.com".to_owned()],
            reason: Reason::Bounce,
            detail: "smtp; 550 5.1.1 user unknown".to_owned(),
        };
        assert_eq!(read(&report).unwrap(), Some(expected.clone()));
        let envelope = json!({
            "Type": "Notification", "MessageId": "n-1",
            "TopicArn": "arn:aws:sns:us-east-1:123456789012:t",
            "Subject": "Amazon SES Email Event Notification", "Message": report.to_string(),
        });
        assert_eq!(read(&envelope).unwrap(), Some(expected.clone()));
        let mut classic = report;
        classic["notificationType"] = classic["eventType"].take();
        classic.as_object_mut().unwrap().remove("eventType");
        assert_eq!(read(&classic).unwrap(), Some(expected));
    }

    #[test]
    fn a_complaint_ends_the_mails_unless_it_says_that_it_was_no_spam() {
        let mut report = json!({
            "eventType": "Complaint",
            "complaint": {
                "complainedRecipients": [{"emailAddress": "ada@example.com"}],
                "feedbackId": "0100-c-000000",
                "complaintSubType": null, "complaintFeedbackType": "abuse",
                "timestamp": "2026-11-24T12:00:00.000Z",
            },
            "mail": {"destination": [], "tags": {"organisation": ["acme"]}},
        });
        let told = read(&report).unwrap().unwrap();
        assert_eq!(
            (told.reason, told.detail.as_str()),
            (Reason::Complaint, "abuse")
        );
        assert_eq!(told.emails, ["ada@example.com"]);
        report["complaint"]["complaintFeedbackType"] = json!("not-spam");
        assert_eq!(read(&report).unwrap(), None);
    }

    #[test]
    fn what_passes_or_is_no_bounce_ends_nothing() {
        assert_eq!(read(&bounce("Transient")).unwrap(), None);
        assert_eq!(read(&bounce("Undetermined")).unwrap(), None);
        assert_eq!(
            read(&json!({"eventType": "Delivery", "delivery": {}})).unwrap(),
            None
        );
        let greeting = "Successfully validated SNS topic for Amazon SES event publishing.";
        assert_eq!(Feedback::read(greeting).unwrap(), None);
        assert_eq!(
            read(&json!({"Type": "Notification", "Message": greeting})).unwrap(),
            None
        );
    }

    #[test]
    fn a_report_that_lacks_what_is_needed_is_not_taken_for_one_that_ends_nothing() {
        let without = |path: &str| {
            let mut report = bounce("Permanent");
            let (parent, name) = path.rsplit_once('/').unwrap();
            let parent = report.pointer_mut(parent).unwrap();
            parent.as_object_mut().unwrap().remove(name);
            read(&report).unwrap_err().to_string()
        };
        assert_eq!(
            without("/mail/tags"),
            "the report does not name the organisation of the mail"
        );
        assert_eq!(without("/bounce/feedbackId"), "the report is malformed");
        assert_eq!(
            without("/eventType"),
            "it is not a report of the mail service"
        );
        let mut nowhere = bounce("Permanent");
        nowhere["mail"]["destination"] = json!(["nobody"]);
        assert!(matches!(read(&nowhere), Err(Unreadable::NoAddress)));
        let mut foreign = bounce("Permanent");
        foreign["mail"]["tags"]["organisation"] = json!(["acme#x"]);
        assert!(matches!(read(&foreign), Err(Unreadable::NoOrganisation)));
    }

    #[test]
    fn an_address_is_read_with_or_without_a_name() {
        for written in [
            "Ada Lovelace <ada@example.com>",
            "<ada@example.com>",
            "ada@example.com",
        ] {
            let mut report = bounce("Permanent");
            report["mail"]["destination"] = json!([written]);
            let told = read(&report).unwrap().unwrap();
            assert_eq!(told.emails, ["ada@example.com"], "{written}");
        }
    }
}
