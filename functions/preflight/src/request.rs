//! Reads a request for admission from JSON.

use shared::domain::ledger::estimate::{Input, MAX_INPUT_BYTES, MAX_TOKENS, PreflightRequest};
use shared::domain::ledger::lease::MAX_LEASE;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::parse;
use shared::runtime::usage_fields::{self, Whole, check_parts};
use shared::runtime::values::{Model, Provider};

pub(super) fn read(body: &[u8]) -> Result<PreflightRequest, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let request_id = fields.required("request_id", parse::client_id);
    let user_id = fields.required("user_id", parse::user_id);
    let model = fields.required("model", Model::read);
    let provider = fields.optional("provider", Provider::read);
    let input = input(&mut fields);
    let max_output_tokens = fields.optional("max_output_tokens", parse::whole(0, MAX_TOKENS));
    let parts = usage_fields::parts(&mut fields);
    let of_input = Whole {
        name: "input_tokens",
        tokens: match input {
            Input::Tokens(tokens) => Some(tokens),
            Input::Bytes(_) => None,
        },
    };
    check_parts(&mut fields, &parts.input_parts(), of_input);
    let of_output = Whole {
        name: "max_output_tokens",
        tokens: max_output_tokens,
    };
    check_parts(&mut fields, &parts.output_parts(), of_output);
    let images = usage_fields::images(&mut fields, parts.image_input);
    let service_tier = usage_fields::service_tier(&mut fields);
    let operation = usage_fields::operation(&mut fields);
    let reported_pico_usd = usage_fields::reported_cost(&mut fields);
    let requests = fields.optional("requests", parse::whole(1, MAX_LEASE.into()));
    // They belong to what is recorded: no decision depends on them.
    usage_fields::labels(&mut fields);
    fields.finish()?;
    Ok(PreflightRequest {
        request_id,
        user_id,
        model,
        provider,
        input,
        max_output_tokens,
        parts,
        images,
        service_tier: service_tier.unwrap_or_default(),
        operation,
        reported_pico_usd,
        requests: requests.and_then(|requests| u8::try_from(requests).ok()),
    })
}

/// Reads the length of the text: in tokens or in bytes.
fn input(fields: &mut Fields) -> Input {
    match (fields.has("input_tokens"), fields.has("input_bytes")) {
        (true, false) => {
            Input::Tokens(fields.required("input_tokens", parse::whole(0, MAX_TOKENS)))
        }
        (false, true) => {
            Input::Bytes(fields.required("input_bytes", parse::whole(0, MAX_INPUT_BYTES)))
        }
        (has_tokens, _) => {
            fields.take_only_one("input_tokens", "input_bytes", has_tokens);
            Input::Tokens(0)
        }
    }
}
