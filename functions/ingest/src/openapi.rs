//! The bodies of this function in the OpenAPI document.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use super::view::Rejected;
use shared::domain::ledger::usage::{Operation, Outcome as RequestOutcome, RiskLevel};
use shared::domain::pricing::tokens::ServiceTier;
use shared::runtime::error::Detail;
use shared::runtime::openapi::{
    ClientId, ErrorName, HoldId, Image, Metadata, Model, Moment, Provider, ProviderUsage,
    ReportedCost, Repository, RequestTokens, Source, Summary, Tag, UserId,
};
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(as = Events)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsBody {
    #[schema(min_items = 1, max_items = 500)]
    events: Vec<EventBody>,
}

/// A usage or risk event that a client reports.
#[derive(ToSchema)]
#[schema(as = Event)]
#[serde(untagged)]
pub(crate) enum EventBody {
    Usage(UsageEvent),
    Embedding(EmbeddingEvent),
    CutOff(CutOffEvent),
    ProviderUsage(ProviderUsageEvent),
    Risk(RiskEvent),
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum UsageType {
    LlmRequest,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Whole {
    Completed,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum CutOff {
    Aborted,
    Failed,
}

/// The operations that have an answer.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum AnsweredOperation {
    Chat,
    Batch,
    Aggregate,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum EmbeddingOperation {
    Embedding,
}

/// An error. If it is about single events, these are listed.
#[derive(ToSchema)]
#[schema(as = NoAcceptedEvents)]
pub(crate) struct NothingAccepted {
    error: ErrorName,
    message: String,
    details: Vec<Detail>,
    request_id: String,
    accepted: Option<usize>,
    duplicates: Option<usize>,
    rejected: Option<Vec<Rejected>>,
    conflicts: Option<Vec<Rejected>>,
}

/// Declares an event of usage: the fields that all of them have, and its own.
macro_rules! usage_event {
    ($(#[doc = $doc:literal])+ $name:ident { $($own:tt)* }) => {
        $(#[doc = $doc])+
        #[derive(ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            event_id: ClientId,
            r#type: UsageType,
            /// Not older than 13 months, and at most five minutes ahead.
            occurred_at: Moment,
            user_id: UserId,
            provider: Provider,
            model: Model,
            /// The tier at which it was served; `default` if missing.
            service_tier: Option<ServiceTier>,
            /// The cost that a gateway reports. It is kept, and charged if the organisation's
            /// `price_source` is `reported`.
            cost_usd: Option<ReportedCost>,
            hold_id: Option<HoldId>,
            source: Option<Source>,
            /// They are kept with the usage.
            #[schema(max_items = 20)]
            tags: Option<Vec<Tag>>,
            metadata: Option<Metadata>,
            $($own)*
        }
    };
}

/// Declares an event of usage with counts of the client's own.
macro_rules! counted_event {
    ($(#[doc = $doc:literal])+ $name:ident { $($own:tt)* }) => {
        usage_event! {
            $(#[doc = $doc])+
            $name {
                /// The input tokens that came from a cache. A part of `input_tokens`, as are the
                /// four that follow: together they are at most all of it.
                cached_input_tokens: Option<RequestTokens>,
                /// Those that were written to a cache for five minutes.
                cache_write_tokens: Option<RequestTokens>,
                /// Those that were written to a cache for an hour.
                cache_write_1h_tokens: Option<RequestTokens>,
                audio_input_tokens: Option<RequestTokens>,
                image_input_tokens: Option<RequestTokens>,
                /// How much of `cached_input_tokens` was sound: at most all of it. If it is
                /// missing, what is cached of a request with sound is priced as sound.
                cached_audio_input_tokens: Option<RequestTokens>,
                /// The output tokens that the model thought. A part of `output_tokens`, as is the
                /// next.
                reasoning_tokens: Option<RequestTokens>,
                audio_output_tokens: Option<RequestTokens>,
                /// Pictures that `input_tokens` does not include. They are counted by the rules
                /// that the model's provider publishes, and added. Not together with
                /// `image_input_tokens`.
                #[schema(max_items = 100)]
                images: Option<Vec<Image>>,
                $($own)*
            }
        }
    };
}

counted_event! {
    /// A request that was answered. If it has a `hold_id`, it settles the hold.
    UsageEvent {
        input_tokens: RequestTokens,
        output_tokens: RequestTokens,
        outcome: Option<Whole>,
        /// `chat` if missing. If the tokens exceed what one request of its kind can have, the
        /// event is held back from the counters. A key that is bound to a user may not report
        /// `aggregate`.
        operation: Option<AnsweredOperation>,
    }
}

counted_event! {
    /// Texts that were turned into vectors. There is no answer, so there may be no output tokens.
    EmbeddingEvent {
        input_tokens: RequestTokens,
        output_tokens: Option<RequestTokens>,
        outcome: Option<Whole>,
        operation: EmbeddingOperation,
    }
}

counted_event! {
    /// A request that was cut off. Its tokens may be missing if they were not counted.
    CutOffEvent {
        input_tokens: Option<RequestTokens>,
        output_tokens: Option<RequestTokens>,
        outcome: CutOff,
        operation: Option<Operation>,
    }
}

usage_event! {
    /// A request with the usage that its provider reported instead of counts of the client's own.
    ProviderUsageEvent {
        usage: ProviderUsage,
        outcome: Option<RequestOutcome>,
        operation: Option<Operation>,
    }
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum RiskType {
    IpRisk,
}

/// A risk that was seen.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RiskEvent {
    event_id: ClientId,
    r#type: RiskType,
    /// Not older than 13 months, and at most five minutes ahead.
    occurred_at: Moment,
    user_id: Option<UserId>,
    risk_level: RiskLevel,
    repository: Option<Repository>,
    summary: Summary,
    source: Option<Source>,
}
