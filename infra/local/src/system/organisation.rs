//! The organisation that every system has.

use jiff::Timestamp;
use shared::domain::audit::AuditEntry;
use shared::domain::authority::Maker;
use shared::domain::configuration::Organisation;
use shared::domain::people::Role;
use shared::store::{ApiKey, Row, Store, StoreError, digest_of};

use crate::names::{ADMIN_KEY, AGENT_KEY, ORGANISATION};

/// Makes the organisation and its two keys, if they are missing.
pub(super) async fn create_organisation(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let name = "Demo".to_owned();
    let organisation = Organisation::new(ORGANISATION.to_owned(), name, "UTC".to_owned(), now);
    let mut rows = Vec::new();
    for (id, role, secret) in [
        ("key_local_admin", Role::Admin, ADMIN_KEY),
        ("key_local_agent", Role::Agent, AGENT_KEY),
    ] {
        let key = ApiKey {
            id: id.to_owned(),
            role,
            user_id: None,
            description: Some("made by the local stack".to_owned()),
            created_at: now,
            made_by: Some(Maker::operator()),
            digest: digest_of(secret),
        };
        rows.extend(Row::api_key(ORGANISATION, &key)?);
    }
    let audit = AuditEntry {
        actor: "operator".to_owned(),
        action: "organisation.create".to_owned(),
        resource: format!("organisation/{ORGANISATION}"),
        before: None,
        after: None,
        reason: None,
        authority: None,
        request_id: "local".to_owned(),
    };
    // Returns false if the organisation exists already, which is fine here.
    store
        .create_organisation(organisation, rows, &audit, None, now)
        .await?;
    Ok(())
}
