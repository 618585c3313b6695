//! The organisation that every system has.

use jiff::Timestamp;
use shared::domain::change::{Audited, Author};
use shared::domain::org::api_key::ApiKey;
use shared::domain::org::authority::Maker;
use shared::domain::org::organisation::Organisation;
use shared::domain::org::people::Role;
use shared::store::{Store, StoreError, digest_of};

use crate::names::{ADMIN_KEY, AGENT_KEY, ORGANISATION};

/// Makes the organisation and its two keys, if they are missing.
pub(super) async fn create_organisation(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let name = "Demo".to_owned();
    let organisation = Organisation::new(ORGANISATION.to_owned(), name, "UTC".to_owned(), now);
    let keys = [
        ("key_local_admin", Role::Admin, ADMIN_KEY),
        ("key_local_agent", Role::Agent, AGENT_KEY),
    ];
    let keys = keys.map(|(id, role, secret)| ApiKey {
        id: id.to_owned(),
        role,
        user_id: None,
        description: Some("made by the local stack".to_owned()),
        created_at: now,
        made_by: Some(Maker::operator()),
        digest: digest_of(secret),
    });
    let author = Author {
        name: "operator".to_owned(),
        authority: None,
        request_id: "local".to_owned(),
    };
    let json = serde_json::json!({"id": organisation.id, "name": organisation.name}).to_string();
    let organisation = Audited::new(organisation, json);
    // Returns false if the organisation exists already, which is fine here.
    store
        .create_organisation(organisation, keys.into(), &author, None, now)
        .await?;
    Ok(())
}
