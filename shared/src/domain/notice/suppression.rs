//! Suppressed addresses, to which an organisation sends no mail.

use crate::domain::notice::alert::Severity;
use crate::domain::notice::incident::Incident;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Why an address is suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SuppressionReason))]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// A mail bounced permanently.
    Bounce,
    /// Its reader marked a mail as spam.
    Complaint,
}

/// An address that gets no mail until an administrator releases it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// The address as used in mails.
    pub email: String,
    pub reason: Reason,
    pub since: Timestamp,
    /// The explanation of the receiving side, shortened.
    pub detail: String,
}

impl Suppression {
    /// Returns the incident about it.
    pub fn incident(&self, id: String) -> Incident {
        let email = &self.email;
        let (title, happened) = match self.reason {
            Reason::Bounce => (
                format!("Mails to {email} bounce"),
                "A mail bounced permanently",
            ),
            Reason::Complaint => (
                format!("{email} complained about a mail"),
                "A mail was reported as spam",
            ),
        };
        // An address may have a `#` or `%` in it.
        let in_query: String = form_urlencoded::byte_serialize(email.as_bytes()).collect();
        let message = format!(
            "{happened}: {}. No more mails are sent to this address. If the address is right and \
             its reader wants mails, DELETE /v1/suppressions?email={in_query} allows them again.",
            if self.detail.is_empty() {
                "no reason was given"
            } else {
                &self.detail
            }
        );
        let metadata = json!({"email": email, "reason": self.reason, "detail": self.detail});
        Incident::opened(id, Severity::Low, [title, message], metadata, self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_incident_says_what_the_other_side_said() {
        let message = |reason, detail: &str| {
            let suppression = Suppression {
                email: "ada#1@example.com".to_owned(),
                reason,
                since: "2026-11-24T12:00:00Z".parse().unwrap(),
                detail: detail.to_owned(),
            };
            suppression.incident("inc_1".to_owned()).message
        };
        let bounced = message(Reason::Bounce, "user unknown");
        let said =
            "A mail bounced permanently: user unknown. No more mails are sent to this address.";
        assert!(bounced.starts_with(said), "{bounced}");
        let release = "DELETE /v1/suppressions?email=ada%231%40example.com allows";
        assert!(bounced.contains(release), "{bounced}");
        let complained = message(Reason::Complaint, "");
        let said = "A mail was reported as spam: no reason was given. No more";
        assert!(complained.starts_with(said), "{complained}");
    }
}
