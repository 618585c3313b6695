//! The keys of letters, mailboxes, webhooks' health and deliveries.

use super::Key;

/// A notice as one address gets it. `mailbox` is a digest of the address.
pub(in crate::store) fn letter(organisation_id: &str, notice_id: &str, mailbox: &str) -> Key {
    Key::new(organisation_id, format!("letter#{notice_id}#{mailbox}"))
}

/// The prefix of the mails that wait for an address.
pub(in crate::store) fn mailbox(mailbox: &str) -> String {
    format!("mailbox#{mailbox}#")
}

/// The lease of a mailbox by one sender.
pub(in crate::store) fn lease(organisation_id: &str, mailbox: &str) -> Key {
    Key::new(organisation_id, format!("lease#{mailbox}"))
}

/// The marker of a processed report of the mail service. `digest` covers the report's id and the
/// address.
pub(in crate::store) fn feedback(organisation_id: &str, digest: &str) -> Key {
    Key::new(organisation_id, format!("feedback#{digest}"))
}

/// A pending mail. Later ones of a mailbox sort last.
pub(in crate::store) fn waiting(organisation_id: &str, of: &str, notice_id: &str) -> Key {
    Key::new(organisation_id, format!("{}{notice_id}", mailbox(of)))
}

/// The health of a webhook's receiver.
pub(in crate::store) fn health(organisation_id: &str, webhook_id: &str) -> Key {
    Key::new(organisation_id, format!("health#{webhook_id}"))
}

/// The prefix of the deliveries of a webhook.
pub(in crate::store) fn deliveries(webhook_id: &str) -> String {
    format!("delivery#{webhook_id}#")
}

/// A delivery. Later ones of a webhook sort last.
pub(in crate::store) fn delivery(organisation_id: &str, webhook_id: &str, id: &str) -> Key {
    Key::new(organisation_id, format!("{}{id}", deliveries(webhook_id)))
}
