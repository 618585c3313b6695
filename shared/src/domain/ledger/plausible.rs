//! Plausibility of a report: usage far beyond the limits of a model is held back from the counters.

use crate::domain::ledger::usage::{Operation, Usage};
use crate::domain::org::configuration::Configuration;
use crate::domain::pricing::book::PriceBooks;
use crate::domain::pricing::quote::Quote;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The factor by which a request may exceed its model's limits. It is generous, because models with
/// other limits share names.
const TIMES_THE_MODEL: i64 = 10;
/// The factor by which a batch or a sum of requests may exceed the organisation's limit of one
/// request.
const TIMES_A_BATCH: i64 = 10;
const TIMES_A_SUM: i64 = 100;

/// The kind of tokens that is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CountedTokens))]
#[serde(rename_all = "lowercase")]
pub enum Counted {
    Input,
    Output,
    Total,
}

/// The excess of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excess {
    pub of: Counted,
    pub tokens: i64,
    /// The largest plausible number.
    pub most: i64,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.of {
            Counted::Input => "input tokens",
            Counted::Output => "output tokens",
            Counted::Total => "tokens",
        };
        let Self { tokens, most, .. } = self;
        write!(f, "{tokens} {of}, but at most {most} are plausible")
    }
}

/// Returns the excess of `usage`, if any. A single request is measured by its model's limits if
/// `quote` has them, and otherwise by `max_tokens`, the organisation's limit of one request.
fn excess(usage: &Usage, quote: &Quote, max_tokens: i64) -> Option<Excess> {
    let (input, output) = (usage.tokens.counts.input, usage.tokens.counts.output);
    let beyond = |of: Counted, tokens: i64, most: i64| {
        (tokens > most).then_some(Excess { of, tokens, most })
    };
    let total = |times: i64| {
        let most = max_tokens.saturating_mul(times);
        beyond(Counted::Total, input.saturating_add(output), most)
    };
    let limits = (quote.max_input_tokens, quote.max_output_tokens);
    let times = |limit: i64| limit.saturating_mul(TIMES_THE_MODEL);
    match (usage.operation, limits) {
        (Operation::Batch, _) => total(TIMES_A_BATCH),
        (Operation::Aggregate, _) => total(TIMES_A_SUM),
        // A chat model makes no embeddings, whatever the report says.
        (_, (Some(most_input), Some(most_output))) => beyond(
            Counted::Input,
            input,
            times(most_input),
        )
        .or(beyond(Counted::Output, output, times(most_output))),
        (Operation::Embedding, _) => beyond(Counted::Output, output, 0).or(total(1)),
        (Operation::Chat, _) => total(1),
    }
}

/// Returns the excess of a report, if it is implausibly large.
pub fn excess_of(
    configuration: &Configuration,
    books: &PriceBooks,
    usage: &Usage,
) -> Option<Excess> {
    let most = configuration.organisation.max_tokens_per_request;
    let pricing = configuration.pricing(books, usage.occurred_at);
    excess(usage, &usage.quote(&pricing), most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::org::organisation::DEFAULT_MAX_TOKENS;
    use crate::domain::samples;

    fn usage(model: &str, operation: Operation, input: i64, output: i64) -> Usage {
        Usage {
            model: model.to_owned(),
            operation,
            ..samples::usage("e-1", input, output)
        }
    }

    fn of(model: &str, operation: Operation, input: i64, output: i64) -> Option<(Counted, i64)> {
        let usage = usage(model, operation, input, output);
        let book = PriceBooks::built_in().at(usage.occurred_at);
        let quote = book.find(Some(&usage.provider), &usage.model);
        excess(&usage, &quote, DEFAULT_MAX_TOKENS).map(|excess| (excess.of, excess.most))
    }

    #[test]
    fn a_request_may_have_ten_times_what_its_model_takes_and_gives() {
        use Operation::Chat;
        // gpt-4o accepts 128,000 tokens and answers 16,384.
        assert_eq!(of("gpt-4o", Chat, 1_280_000, 163_840), None);
        let input = Some((Counted::Input, 1_280_000));
        assert_eq!(of("gpt-4o", Chat, 1_280_001, 0), input);
        assert_eq!(of("gpt-4o", Chat, 1_000_000_000, 1_000_000_000), input);
        let output = Some((Counted::Output, 163_840));
        assert_eq!(of("gpt-4o", Chat, 1, 163_841), output);
    }

    #[test]
    fn what_has_no_model_limit_is_measured_by_the_organisations() {
        use Operation::{Aggregate, Batch, Chat, Embedding};
        for (operation, most) in [
            (Chat, 10_000_000),
            (Embedding, 10_000_000),
            (Batch, 100_000_000),
            (Aggregate, 1_000_000_000),
        ] {
            assert_eq!(of("our-own", operation, most, 0), None);
            let excess = Some((Counted::Total, most));
            // An embedding has no answer.
            let (input, output) = match operation {
                Embedding => (most + 1, 0),
                _ => (most, 1),
            };
            let found = of("our-own", operation, input, output);
            assert_eq!(found, excess, "{operation:?}");
        }
        assert_eq!(of("gpt-4o", Batch, 50_000_000, 0), None);
        let answer = Some((Counted::Output, 0));
        assert_eq!(of("our-own", Embedding, 7, 1), answer);
        let as_chat = Some((Counted::Input, 1_280_000));
        assert_eq!(of("gpt-4o", Embedding, 1_280_001, 0), as_chat);
    }
}
