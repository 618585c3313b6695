//! Reads the usage of one event from JSON.

use super::provider_usage;
use jiff::Timestamp;
use shared::domain::ledger::estimate::MAX_TOKENS;
use shared::domain::ledger::hold_id::HoldId;
use shared::domain::ledger::reported::ReportedTokens;
use shared::domain::ledger::usage::{Operation, Outcome, Usage};
use shared::domain::pricing::images::image_tokens;
use shared::domain::pricing::tokens::{ServiceTier, TokenCounts};
use shared::runtime::fields::Fields;
use shared::runtime::parse;
use shared::runtime::usage_fields::{self, CACHED_AUDIO, Whole, check_parts};
use shared::runtime::values::{Model, Provider};

/// Reads the fields of usage. Its id, time and source are left to the caller.
pub(crate) fn usage(fields: &mut Fields, organisation_id: &str) -> Usage {
    let user_id = fields.required("user_id", parse::user_id);
    let provider = fields.required("provider", Provider::read);
    let model = fields.required("model", Model::read);
    let outcome = fields.optional("outcome", parse::name);
    let outcome = outcome.unwrap_or(Outcome::Completed);
    let operation = usage_fields::operation(fields);
    fields.forget_nulls(|name| name == "usage");
    let (tokens, service_tier) = match fields.has("usage") {
        true => of_provider(fields),
        false => {
            let tokens = counted(fields, (&provider, &model), outcome, operation);
            (tokens, usage_fields::service_tier(fields))
        }
    };
    let reported_pico_usd = usage_fields::reported_cost(fields);
    let labels = usage_fields::labels(fields);
    let hold_id = fields.optional("hold_id", |raw| {
        let text = parse::text(raw)?;
        match HoldId::parse(&text) {
            Some(id) if id.rid.belongs_to(organisation_id, &user_id) => Ok(text),
            Some(_) => Err("is a hold of another user".to_owned()),
            None => Err("must be the id of a hold from a preflight".to_owned()),
        }
    });
    Usage {
        event_id: String::new(),
        occurred_at: Timestamp::UNIX_EPOCH,
        user_id,
        provider,
        model,
        tokens,
        service_tier: service_tier.unwrap_or_default(),
        reported_pico_usd,
        hold_id,
        outcome,
        operation,
        source: None,
        labels,
    }
}

/// Reads the counts that the client states itself.
fn counted(
    fields: &mut Fields,
    (provider, model): (&str, &str),
    outcome: Outcome,
    operation: Operation,
) -> ReportedTokens {
    let tokens = parse::whole(0, MAX_TOKENS);
    // If a request was cut off, its tokens may not have been counted.
    let is_whole = outcome == Outcome::Completed;
    let input = match is_whole {
        true => Some(fields.required("input_tokens", &tokens)),
        false => fields.optional("input_tokens", &tokens),
    };
    let output = match (is_whole, operation) {
        // An embedding has no answer.
        (true, Operation::Embedding) => {
            Some(fields.optional("output_tokens", &tokens).unwrap_or(0))
        }
        (true, _) => Some(fields.required("output_tokens", &tokens)),
        (false, _) => fields.optional("output_tokens", &tokens),
    };
    let parts = usage_fields::parts(fields);
    let images = usage_fields::images(fields, parts.image_input);
    let whole = |name, tokens: Option<i64>| Whole {
        name,
        tokens: Some(tokens.unwrap_or(0)),
    };
    check_parts(fields, &parts.input_parts(), whole("input_tokens", input));
    check_parts(
        fields,
        &parts.output_parts(),
        whole("output_tokens", output),
    );
    let images = match input {
        Some(_) => image_tokens(Some(provider), model, &images),
        None => 0,
    };
    ReportedTokens {
        counts: TokenCounts {
            input: input.unwrap_or(0).saturating_add(images),
            image_input: parts.image_input.saturating_add(images),
            output: output.unwrap_or(0),
            ..parts
        },
        has_input: input.is_some(),
        has_output: output.is_some(),
    }
}

/// Reads the `usage` object of a provider, which stands for every other count.
fn of_provider(fields: &mut Fields) -> (ReportedTokens, Option<ServiceTier>) {
    let counts = TokenCounts::default();
    let parts = counts
        .input_parts()
        .into_iter()
        .chain(counts.output_parts());
    let others = ["input_tokens", "output_tokens", "images", CACHED_AUDIO].into_iter();
    for name in others.chain(parts.map(|(name, _)| name)) {
        let refused = "must not be given together with usage";
        fields.optional(name, |_| Err::<(), _>(refused.to_owned()));
    }
    let stated = usage_fields::service_tier(fields);
    let found = fields.object("usage", provider_usage::read);
    if found == Some(None) {
        let shapes = "OpenAI, Anthropic, Gemini or Bedrock";
        fields.also_invalid("usage", format!("must be a usage object of {shapes}"));
    }
    let found = found.flatten().unwrap_or_default();
    if let (Some(stated), Some(said)) = (stated, found.tier)
        && stated != said
    {
        let message = format!("must not differ from that of usage, {}", said.as_str());
        fields.also_invalid("service_tier", message);
    }
    (ReportedTokens::counted(found.counts), stated.or(found.tier))
}
