//! Texts, moments and dollars with the limits that [`parse`](super::super::parse) enforces.

use crate::runtime::values::{
    Model, NoteText, Provider, Reason, Repository, Source, Summary, Whole,
};
use crate::runtime::wire::{Figure, Usd};
use std::borrow::Cow;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// Declares a text with its limits: its description, lengths, pattern, format and an example.
macro_rules! texts {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident {
            $least:literal..=$most:literal, $pattern:expr, $format:expr, $example:literal
        }
    )+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let pattern: Option<&str> = $pattern;
                let format: Option<&str> = $format;
                let text = ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some(concat!($($doc),+).trim()))
                    .min_length(Some($least))
                    .max_length(Some($most))
                    .pattern(pattern)
                    .format(format.map(|name| SchemaFormat::Custom(name.to_owned())))
                    .examples([$example]);
                RefOr::T(text.into())
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )+};
}

/// Not only spaces, and no control character.
const NAME: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f]",
    r"[^\u0000-\u001f\u007f-\u009f]*$"
);
/// The same, with line feeds and tabs allowed.
const TEXT: &str = concat!(
    r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f\ufffe\uffff]*",
    r"[^\s\u0000-\u001f\u007f-\u009f\ufffe\uffff]",
    r"[^\u0000-\u0008\u000b-\u001f\u007f-\u009f\ufffe\uffff]*$"
);
/// The same, or the empty text.
const TEXT_OR_NOTHING: &str = concat!(
    r"^([^\u0000-\u0008\u000b-\u001f\u007f-\u009f\ufffe\uffff]*",
    r"[^\s\u0000-\u001f\u007f-\u009f\ufffe\uffff]",
    r"[^\u0000-\u0008\u000b-\u001f\u007f-\u009f\ufffe\uffff]*)?$"
);
const DAY: &str = "^[2-9][0-9]{3}-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])([Tt].+)?)?$";
const RECEIVER: &str = concat!(
    r"^https://([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])",
    r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?",
    r"([/?][!$-;=?-\[\]_a-z~]*)?$"
);
const SLUG: &str = "^[a-z0-9][a-z0-9_-]*$";
/// Not only dots.
const USER_ID: &str = "^[A-Za-z0-9._@-]*[A-Za-z0-9_@-][A-Za-z0-9._@-]*$";
const VISIBLE: &str = "^[!-~]+$";

texts! {
    /// An id of lower-case letters, digits, `_` and `-`.
    Slug { 1..=64, Some(SLUG), None, "engineering" }
    /// The id of a department.
    DepartmentId { 1..=64, Some(SLUG), Some("department-id"), "engineering" }
    /// The id of a user.
    UserId { 1..=128, Some(USER_ID), Some("user-id"), "ada" }
    /// The id that a client gives a request or an event.
    ClientId { 1..=128, Some(VISIBLE), None, "r-1" }
    /// The id of a hold, from a preflight.
    HoldId {
        39..=39,
        Some("^hold_[0-9]{6}(c[0-9]{2})?_[A-Za-z0-9_-]{16}_[A-Za-z0-9_-]{10}$"),
        Some("hold-id"),
        "hold_202611_AAAAAAAAAAAAAAAA_AAAAAAAAAA"
    }
    /// A name for people: no control characters, not only spaces.
    Name { 1..=200, Some(NAME), None, "Engineering" }
    /// A label of usage; never a prompt or an answer.
    Tag { 1..=100, Some(TEXT), None, "nightly" }
    /// The purpose of a policy; it may be empty.
    Description { 0..=1000, Some(TEXT_OR_NOTHING), None, "Leaks of engineering" }
    /// The mail address of a person.
    Email {
        5..=254,
        Some(concat!(
            r"^[^\s\u0000-\u001f\u007f-\u009f@]+@[^\s\u0000-\u001f\u007f-\u009f@]+",
            r"\.[^\s\u0000-\u001f\u007f-\u009f@]+$"
        )),
        None,
        "ada@example.com"
    }
    /// An IANA time zone.
    TimeZone { 1..=64, None, Some("iana-time-zone"), "Europe/Berlin" }
    /// The url that a webhook posts to: a public address over https.
    ReceiverUrl { 9..=2048, Some(RECEIVER), Some("receiver-url"), "https://example.com/hook" }
    /// The id of a webhook.
    WebhookId { 1..=64, Some(SLUG), Some("webhook-id"), "whk_1" }
    /// The shared secret that GitHub signs with.
    SharedSecret { 16..=256, Some(VISIBLE), Some("password"), "a-secret-both-sides-know" }
    /// A name of GitHub's: an event or an action.
    GithubWord { 1..=64, Some("^[a-z0-9_]+$"), None, "secret_scanning_alert" }
    /// A time of day in the organisation's time zone.
    TimeOfDay { 5..=5, Some("^([01][0-9]|2[0-3]):[0-5][0-9]$"), None, "22:00" }
    /// A day, as a date, a month or a time.
    Day { 7..=100, Some(DAY), None, "2026-11-24" }
    /// A month as `YYYY-MM`.
    MonthId { 7..=7, Some("^[0-9]{4}-(0[1-9]|1[0-2])$"), None, "2026-11" }
    /// An actor, action or resource as in the audit log, or its first part.
    AuditText { 1..=200, None, None, "budget" }
    /// The hash of an entry of the audit log: SHA-256 in hexadecimal digits.
    EntryHash {
        64..=64,
        Some("^[0-9A-Fa-f]{64}$"),
        None,
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    }
    /// The `next_cursor` of the previous page, unchanged.
    Cursor { 1..=4096, Some("^[A-Za-z0-9_-]+$"), Some("cursor"), "b3BhcXVl" }
}

/// Declares values that are only described, each with its schema.
macro_rules! values {
    ($($(#[doc = $doc:literal])+ $name:ident = $schema:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub enum $name {}

        schema_of!($(#[doc = $doc])+ $name = $schema);
    )+};
}

/// Gives a type its schema.
macro_rules! schema_of {
    ($(#[doc = $doc:literal])+ $name:ident = $schema:expr) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let schema: ObjectBuilder = $schema;
                RefOr::T(schema.description(Some(concat!($($doc),+).trim())).into())
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    };
}

schema_of!(
    /// US dollars, exactly, with at most six decimals.
    Usd = number()
);
schema_of!(
    /// Tokens, or US dollars, by the unit beside it.
    Figure = number()
);
schema_of!(
    /// The name of a model, or a pattern of names.
    Model = sentence(Model::MOST, "gpt-4o")
);
schema_of!(
    /// The company that runs the model.
    Provider = sentence(Provider::MOST, "openai")
);
schema_of!(
    /// A reason for people.
    Reason = sentence(Reason::MOST, "asked for by the works council")
);
schema_of!(
    /// A note for people.
    NoteText = sentence(NoteText::MOST, "the key was revoked")
);
schema_of!(
    /// The source of an event.
    Source = sentence(Source::MOST, "browser-extension")
);
schema_of!(
    /// The full name of a repository.
    Repository = sentence(Repository::MOST, "acme/shop")
);
schema_of!(
    /// A summary of an event, for people.
    Summary = sentence(Summary::MOST, "a key was pushed to a public repository")
);

/// A text for people.
fn sentence(most: usize, example: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(most))
        .pattern(Some(TEXT))
        .examples([example])
}

impl<const LEAST: i64, const MOST: i64> PartialSchema for Whole<LEAST, MOST> {
    fn schema() -> RefOr<Schema> {
        let number = whole()
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(LEAST))
            .maximum(Some(MOST));
        RefOr::T(number.into())
    }
}

/// It has no name of its own: a field shows it inline.
impl<const LEAST: i64, const MOST: i64> ToSchema for Whole<LEAST, MOST> {}

fn number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Number)
}

fn whole() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

values! {
    /// A moment in RFC 3339; answers are in UTC.
    Moment = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-11-23T12:00:00Z"]);
    /// US dollars, exactly, with at most six decimals.
    Dollars = number().minimum(Some(0)).maximum(Some(1_000_000_000)).multiple_of(Some(0.000_001));
    /// More than zero US dollars, exactly, with at most six decimals.
    SomeDollars = number()
        .exclusive_minimum(Some(0))
        .maximum(Some(1_000_000_000))
        .multiple_of(Some(0.000_001));
    /// US dollars for a million tokens, exactly, with at most six decimals.
    Rate = number().minimum(Some(0)).maximum(Some(1_000_000)).multiple_of(Some(0.000_001));
    /// A per cent, with at most two decimals.
    Percent = number().minimum(Some(0)).maximum(Some(100)).multiple_of(Some(0.01));
    /// Tokens of a budget.
    Tokens = whole().minimum(Some(0)).maximum(Some(1_000_000_000_000_000_i64));
    /// More than zero tokens of a budget.
    SomeTokens = whole().minimum(Some(1)).maximum(Some(1_000_000_000_000_000_i64));
    /// Tokens of a correction; below zero takes away.
    SignedTokens = whole()
        .minimum(Some(-1_000_000_000_000_i64))
        .maximum(Some(1_000_000_000_000_i64));
    /// US dollars of a correction, exactly, with at most six decimals; below zero takes away.
    SignedDollars = number()
        .minimum(Some(-10_000_000))
        .maximum(Some(10_000_000))
        .multiple_of(Some(0.000_001));
    /// The number of an entry of the audit log.
    Seq = whole().minimum(Some(0)).maximum(Some(999_999_999_999_i64));
    /// The number of an entry of the audit log, at least 1.
    EntrySeq = whole().minimum(Some(1)).maximum(Some(999_999_999_999_i64));
    /// US dollars as a gateway reports them. Digits after the twelfth decimal are rounded up.
    ReportedCost = number().minimum(Some(0)).maximum(Some(1_000_000));
    /// The usage object of the provider's answer, as it is: `usage` of OpenAI's chat completions,
    /// responses, embeddings and real time, of Anthropic's messages, of Bedrock's Converse and of
    /// LiteLLM, `usageMetadata` of Gemini. It is mapped exactly. Fields of two providers, and
    /// counts that contradict each other, are refused; other fields are ignored.
    ProviderUsage = ObjectBuilder::new().schema_type(Type::Object);
    /// Short texts by name, kept with the usage; never prompts or answers.
    Metadata = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property_names(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(64))
                .pattern(Some("^[A-Za-z0-9._-]+$"))
                .build(),
        ))
        .additional_properties(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(200))
                .pattern(Some(TEXT)),
        ))
        .max_properties(Some(16))
        .examples([serde_json::json!({"run": "7"})]);
    /// Tokens of one request.
    RequestTokens = whole().minimum(Some(0)).maximum(Some(1_000_000_000));
}
