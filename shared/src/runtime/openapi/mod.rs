//! Shared parts of the API's document: values with their limits, parameters, refusals.
//!
//! They describe `parse`, `list`, `error` and `http`. They only serve to build the document: no
//! value of these types exists.

mod images;
mod values;

use super::error::Detail;
pub use super::values::{Model, NoteText, Provider, Reason, Repository, Source, Summary};
pub use images::{Image, MeasuredImage, SizedImage};
use std::collections::BTreeMap;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required};
use utoipa::{IntoParams, IntoResponses, ToSchema};
pub use values::{
    AuditText, ClientId, Cursor, Day, DepartmentId, Description, Dollars, Email, EntryHash,
    EntrySeq, GithubWord, HoldId, Metadata, Moment, MonthId, Name, Percent, ProviderUsage, Rate,
    ReceiverUrl, ReportedCost, RequestTokens, Seq, SharedSecret, SignedDollars, SignedTokens, Slug,
    SomeDollars, SomeTokens, Tag, TimeOfDay, TimeZone, Tokens, UserId, WebhookId,
};

/// An error, whatever went wrong.
#[derive(Debug, ToSchema)]
#[schema(as = Error)]
pub struct ErrorBody {
    /// The code of the error. It does not change between versions.
    pub error: ErrorName,
    /// A message for people.
    pub message: String,
    /// Every invalid field with its fault.
    pub details: Vec<Detail>,
    /// Names the request in the logs; also in the header `x-request-id`.
    pub request_id: String,
}

/// The stable code of an error.
#[derive(Debug, ToSchema)]
#[schema(as = ErrorCode, rename_all = "snake_case")]
pub enum ErrorName {
    /// 400: what is wrong is in `details`.
    BadRequest,
    /// 401: no key, or not one that is known.
    Unauthorized,
    /// 403: the key may not do this.
    Forbidden,
    /// 404: there is no such thing, or it is another organisation's.
    NotFound,
    /// 405: the header `Allow` says which methods the path takes.
    MethodNotAllowed,
    /// 409: it does not go together with what is there.
    Conflict,
    /// 413: more than a mebibyte.
    PayloadTooLarge,
    /// 429: the key has made its requests of this minute, or many unknown keys came from its
    /// address.
    RateLimited,
    /// 500: on our side.
    Internal,
    /// 503: may be repeated as it is.
    Unavailable,
}

/// Every refusal under the name that operations refer to: name, status and description.
const REFUSALS: [(&str, u16, &str); 10] = [
    (
        "BadRequest",
        400,
        "The input is wrong; `details` names every wrong field at once.",
    ),
    (
        "Unauthorized",
        401,
        "No key, or not one that is known; for a webhook, a signature that does not fit.",
    ),
    ("Forbidden", 403, "The key may not do this."),
    (
        "NotFound",
        404,
        "There is no such thing, or it is another organisation's.",
    ),
    (
        "MethodNotAllowed",
        405,
        "The path does not take this method; the header `Allow` says which it takes.",
    ),
    (
        "Conflict",
        409,
        "It does not go together with what is there: the message says with what.",
    ),
    (
        "PayloadTooLarge",
        413,
        "The body is larger than a mebibyte.",
    ),
    (
        "TooManyRequests",
        429,
        "The key has made as many requests as it may in a minute, or many unknown keys came from \
         one address. The gateway refuses too many at once by an answer of its own.",
    ),
    ("Internal", 500, "Something is wrong on our side."),
    (
        "Unavailable",
        503,
        "What is needed does not answer; the request may be repeated as it is.",
    ),
];

/// The refusals, as operations refer to them.
pub fn refusals() -> impl Iterator<Item = (&'static str, Response)> {
    REFUSALS
        .map(|(name, status, said)| (name, refusal(status, said)))
        .into_iter()
}

fn refusal(status: u16, description: &str) -> Response {
    let schema = RefOr::Ref(Ref::from_schema_name("Error"));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/json", content);
    let (name, kind, said) = match status {
        401 => ("WWW-Authenticate", Type::String, "`Bearer`."),
        405 => ("Allow", Type::String, "The methods that the path takes."),
        429 | 503 => (
            "Retry-After",
            Type::Integer,
            "After how many seconds to try again.",
        ),
        _ => return response.build(),
    };
    let header = HeaderBuilder::new()
        .schema(Schema::from(ObjectBuilder::new().schema_type(kind).build()))
        .description(Some(said));
    response.header(name, header.build()).build()
}

/// Refers to refusals by their statuses.
fn refer(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    let named = REFUSALS
        .iter()
        .filter(|(_, status, _)| statuses.contains(status));
    named
        .map(|(name, status, _)| {
            (
                status.to_string(),
                RefOr::Ref(Ref::from_response_name(*name)),
            )
        })
        .collect()
}

/// Declares refusals that operations list under one name.
macro_rules! refused {
    ($($(#[doc = $doc:literal])+ $name:ident [$($status:literal),+])+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub enum $name {}

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                refer(&[$($status),+])
            }
        }
    )+};
}

refused! {
    /// What any operation may be refused with.
    Failed [429, 500, 503]
    /// What any operation may be refused with that needs a key.
    Denied [401, 403, 429, 500, 503]
    /// The same where a signature stands for the key.
    Unsigned [401, 429, 500, 503]
    /// A wrong input; every wrong field is named.
    Invalid [400]
    /// Something that does not exist, or not for this key.
    Unknown [404]
    /// Something that does not go together with what is there.
    Conflict [409]
    /// A body that is too large.
    TooLarge [413]
}

fn parameter(
    name: &str,
    place: ParameterIn,
    description: &str,
    schema: ObjectBuilder,
) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(Schema::from(schema.build())))
}

/// The parameters of a list.
#[derive(Debug)]
pub enum Page {}

impl IntoParams for Page {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let whole = ObjectBuilder::new().schema_type(Type::Integer);
        let limit = whole
            .minimum(Some(1))
            .maximum(Some(100))
            .default(Some(25.into()));
        let limit = parameter("limit", ParameterIn::Query, "The most items.", limit);
        let cursor = ParameterBuilder::new()
            .name("cursor")
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some("The `next_cursor` of the page before, unchanged."))
            .schema(Some(Ref::from_schema_name("Cursor")));
        vec![limit.build(), cursor.build()]
    }
}

/// The header that makes a request safe to repeat.
#[derive(Debug)]
pub enum IdempotencyKey {}

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(255))
            .pattern(Some("^[!-~]([ -~]*[!-~])?$"));
        let said =
            "The same key with the same body gets the first answer again, with another body 409.";
        vec![parameter("Idempotency-Key", ParameterIn::Header, said, text).build()]
    }
}

/// The header that changes only what was read.
#[derive(Debug)]
pub enum IfMatch {}

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^(W/)?([0-9]{1,19}|\"[0-9]{1,19}\")$"))
            .examples(["3"]);
        let said = "The `version` that was read; 409 where it is another by now.";
        vec![parameter("If-Match", ParameterIn::Header, said, text).build()]
    }
}
