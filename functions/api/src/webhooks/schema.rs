//! Describes the bodies of requests about webhooks, with the limits of their readers.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use shared::domain::notice::event_type::{EVENT_TYPES, EventType};
use shared::runtime::openapi::{Name, ReceiverUrl};
use std::borrow::Cow;
use utoipa::openapi::schema::{ArrayBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateWebhook {
    url: ReceiverUrl,
    /// The events it receives. Null is all events; an empty list is only events that name the
    /// webhook.
    #[schema(value_type = Option<EventTypes>)]
    events: Option<Vec<EventType>>,
    description: Option<Name>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateWebhook {
    /// Another url is another receiver: waiting deliveries go there.
    #[schema(required = false)]
    url: ReceiverUrl,
    /// The events it receives. Null is all events; an empty list is only events that name the
    /// webhook.
    #[schema(value_type = Option<EventTypes>)]
    events: Option<Vec<EventType>>,
    /// Null removes the description.
    description: Option<Name>,
}

/// Event types that a webhook receives, each at most once.
pub(crate) enum EventTypes {}

impl PartialSchema for EventTypes {
    fn schema() -> RefOr<Schema> {
        let list = ArrayBuilder::new()
            .items(Ref::from_schema_name(EventType::name()))
            .max_items(Some(EVENT_TYPES.len()))
            .unique_items(true);
        RefOr::T(list.into())
    }
}

impl ToSchema for EventTypes {
    fn name() -> Cow<'static, str> {
        "EventTypes".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((EventType::name().into_owned(), EventType::schema()));
    }
}
