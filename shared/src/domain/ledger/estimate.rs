//! Estimates how much to hold for a request before its usage is known.

use crate::domain::amount::Amounts;
use crate::domain::ledger::hold::Fingerprint;
use crate::domain::ledger::usage::Operation;
use crate::domain::ledger::valuation::{Consumption, Valuation};
use crate::domain::org::organisation::{Organisation, Reserve};
use crate::domain::pricing::images::{ImageSize, image_tokens};
use crate::domain::pricing::in_force::Pricing;
use crate::domain::pricing::matched::{MatchKind, PriceMatch};
use crate::domain::pricing::price::Price;
use crate::domain::pricing::quote::Quote;
use crate::domain::pricing::tokens::{ServiceTier, TokenCounts};
use sha2::{Digest, Sha256};

/// The most tokens of one kind in one request.
pub const MAX_TOKENS: i64 = 1_000_000_000;
/// The most bytes of input in one request.
pub const MAX_INPUT_BYTES: i64 = 4_000_000_000;
/// Bytes of UTF-8 text per token in an estimate. English has about four, Chinese about three. Three
/// is the cautious choice.
pub const BYTES_PER_TOKEN: i64 = 3;

/// The length of an input as the client states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// In tokens, counted by the client.
    Tokens(i64),
    /// In bytes of text.
    Bytes(i64),
}

/// A request for admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreflightRequest {
    /// The client's id for the request.
    pub request_id: String,
    pub user_id: String,
    pub model: String,
    /// The provider of the model, if the client names one.
    pub provider: Option<String>,
    pub input: Input,
    /// The client's limit for the answer, if it sets one.
    pub max_output_tokens: Option<i64>,
    /// The parts of the input and of the answer that the client knows. Their wholes are not in it.
    pub parts: TokenCounts,
    /// Pictures, on top of the input.
    pub images: Vec<ImageSize>,
    pub service_tier: ServiceTier,
    pub operation: Operation,
    /// The cost that a gateway expects, in pico-USD.
    pub reported_pico_usd: Option<i64>,
    /// How many such requests a lease is asked for. None asks for a hold of one.
    pub requests: Option<u8>,
}

impl PreflightRequest {
    /// Distinguishes this body from others with the same request id.
    pub fn fingerprint(&self) -> Fingerprint {
        // List every field by name: the compiler asks whether a new one counts.
        let Self {
            request_id: _,
            user_id: _,
            model,
            provider,
            input,
            max_output_tokens,
            parts,
            images,
            service_tier,
            operation,
            reported_pico_usd,
            requests,
        } = self;
        let size = (input, max_output_tokens, parts, images);
        let terms = (service_tier, operation, reported_pico_usd);
        let mut hash = Sha256::new();
        hash.update(format!("{:?}", (model, provider, size, terms)));
        if let Some(requests) = requests {
            // Only then, so that a hold of an earlier version is known again.
            hash.update([*requests]);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut fingerprint = Fingerprint::default();
        fingerprint.copy_from_slice(&digest[..size_of::<Fingerprint>()]);
        fingerprint
    }

    /// Returns what its model costs.
    pub fn quote(&self, pricing: &Pricing<'_>) -> Quote {
        pricing.find(self.provider.as_deref(), &self.model)
    }

    /// Returns the amount to hold for the request, whose model costs what `quote` says.
    /// `longest` is the longest answer of any model, in tokens.
    pub fn estimate(
        &self,
        organisation: &Organisation,
        mut quote: Quote,
        longest: i64,
    ) -> Estimate {
        let provider = self.provider.as_deref();
        let is_strict = organisation.reserve == Reserve::Strict;
        if is_strict {
            quote.price = quote.price.map(Price::ceiling);
        }
        let text = match (self.input, organisation.reserve) {
            (Input::Tokens(tokens), _) => tokens,
            // A token is at least one byte, so this is never too little.
            (Input::Bytes(bytes), Reserve::Strict) => bytes,
            (Input::Bytes(bytes), Reserve::Estimate) => {
                bytes.saturating_add(BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN
            }
        };
        let output = self
            .max_output_tokens
            .unwrap_or_else(|| match organisation.reserve {
                // Embeddings have no answer.
                _ if self.operation == Operation::Embedding => 0,
                Reserve::Estimate => organisation.output_reserve_tokens,
                Reserve::Strict => quote.max_output_tokens.unwrap_or(longest),
            });
        // A name that stands for a model has the pictures of that one.
        let model = match quote.matched.kind {
            MatchKind::Alias | MatchKind::Organisation => quote.matched.model.as_deref(),
            _ => None,
        };
        let model = model.unwrap_or(&self.model);
        let images = image_tokens(provider, model, &self.images);
        let mut used = Consumption {
            counts: TokenCounts {
                input: text.saturating_add(images),
                output,
                image_input: self.parts.image_input.saturating_add(images),
                ..self.parts
            },
            is_counted: true,
            tier: self.service_tier,
            // A forecast that is too low would open a cap.
            reported_pico_usd: self
                .reported_pico_usd
                .filter(|_| !is_strict || quote.price.is_none()),
        };
        if used.is_reported_too_low(&quote) {
            // So would one that is far too low, whoever makes it.
            used.reported_pico_usd = None;
        }
        let Valuation { amounts, matched } = used.value(&quote, organisation.price_source);
        Estimate {
            counts: used.counts,
            tier: used.tier,
            amounts,
            price: quote.price,
            matched,
        }
    }
}

/// The expected usage of a request.
#[derive(Clone, Debug)]
pub struct Estimate {
    pub counts: TokenCounts,
    pub tier: ServiceTier,
    pub amounts: Amounts,
    /// The model's price, or what stands for it. None if only tokens count.
    pub price: Option<Price>,
    /// How the price of `amounts` was found.
    pub matched: PriceMatch,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pricing::book::PriceBooks;
    use crate::domain::pricing::matched::{MatchKind, PriceSource};
    use crate::domain::pricing::price;
    use jiff::Timestamp;

    fn request(input: Input, max_output_tokens: Option<i64>, model: &str) -> PreflightRequest {
        PreflightRequest {
            request_id: "r".into(),
            user_id: "ada".into(),
            model: model.into(),
            provider: None,
            input,
            max_output_tokens,
            parts: TokenCounts::default(),
            images: Vec::new(),
            service_tier: ServiceTier::Default,
            operation: Operation::Chat,
            reported_pico_usd: None,
            requests: None,
        }
    }

    fn organisation(reserve: Reserve) -> Organisation {
        Organisation {
            reserve,
            ..Organisation::new("a".into(), "A".into(), "UTC".into(), Timestamp::UNIX_EPOCH)
        }
    }

    fn tokens(request: &PreflightRequest, reserve: Reserve) -> i64 {
        let book = PriceBooks::built_in().at(Timestamp::UNIX_EPOCH);
        request
            .estimate(
                &organisation(reserve),
                request.quote(&Pricing::of_table(book)),
                book.largest_output(),
            )
            .amounts
            .tokens
    }

    #[test]
    fn a_strict_hold_covers_tokens_of_any_kind_and_believes_no_forecast_of_the_cost() {
        let book = PriceBooks::built_in().at(Timestamp::UNIX_EPOCH);
        let held = |request: &PreflightRequest, reserve| {
            let organisation = Organisation {
                price_source: PriceSource::Reported,
                ..organisation(reserve)
            };
            let estimate = request.estimate(
                &organisation,
                request.quote(&Pricing::of_table(book)),
                book.largest_output(),
            );
            estimate.amounts.micro_usd()
        };
        let mut claude = request(Input::Tokens(100_000), Some(0), "claude-sonnet-4-5");
        claude.provider = Some("anthropic".into());
        // $3 a million tokens, and $6 to keep them for an hour.
        assert_eq!(held(&claude, Reserve::Estimate), 300_000);
        assert_eq!(held(&claude, Reserve::Strict), 600_000);
        claude.parts.cached_input = 100_000;
        assert_eq!(held(&claude, Reserve::Estimate), 30_000);
        assert_eq!(held(&claude, Reserve::Strict), 600_000);
        claude.reported_pico_usd = Some(4_000_000_000);
        assert_eq!(held(&claude, Reserve::Estimate), 4_000);
        assert_eq!(held(&claude, Reserve::Strict), 600_000);
        // Less than a tenth of our price is not believed, and more than ten times is.
        claude.reported_pico_usd = Some(0);
        assert_eq!(held(&claude, Reserve::Estimate), 30_000);
        assert_eq!(held(&claude, Reserve::Strict), 600_000);
        claude.reported_pico_usd = Some(400_000_000_000);
        assert_eq!(held(&claude, Reserve::Estimate), 400_000);
    }

    #[test]
    fn a_request_without_an_output_limit_reserves_by_the_organisations_choice() {
        let open = request(Input::Tokens(1000), None, "gpt-4o");
        assert_eq!(tokens(&open, Reserve::Estimate), 1000 + 4096);
        assert_eq!(tokens(&open, Reserve::Strict), 1000 + 16_384);
        let later = request(Input::Tokens(0), None, "gpt-4o-of-next-year");
        assert_eq!(
            tokens(&later, Reserve::Strict),
            PriceBooks::built_in()
                .at(Timestamp::UNIX_EPOCH)
                .largest_output()
        );
        let unknown = request(Input::Tokens(0), None, "nobody-knows");
        assert_eq!(
            tokens(&unknown, Reserve::Strict),
            PriceBooks::built_in()
                .at(Timestamp::UNIX_EPOCH)
                .largest_output()
        );
    }

    #[test]
    fn bytes_are_estimated_or_counted_one_for_one() {
        let bytes = request(Input::Bytes(100), Some(0), "gpt-4o");
        assert_eq!(tokens(&bytes, Reserve::Estimate), 34);
        assert_eq!(tokens(&bytes, Reserve::Strict), 100);
        assert_eq!(
            tokens(&request(Input::Bytes(0), Some(0), "x"), Reserve::Estimate),
            0
        );
    }

    #[test]
    fn an_embedding_has_no_answer_and_pictures_come_on_top() {
        let embedding = PreflightRequest {
            operation: Operation::Embedding,
            ..request(Input::Tokens(1_000), None, "text-embedding-3-large")
        };
        assert_eq!(tokens(&embedding, Reserve::Estimate), 1_000);
        assert_eq!(tokens(&embedding, Reserve::Strict), 1_000);
        let square = ImageSize::Pixels {
            width: 1_024,
            height: 1_024,
        };
        let seen = PreflightRequest {
            images: vec![square, ImageSize::Bytes(2_000_000)],
            ..request(Input::Bytes(30), Some(100), "gpt-4o")
        };
        assert_eq!(tokens(&seen, Reserve::Estimate), 10 + 765 + 1_445 + 100);
        assert_eq!(tokens(&seen, Reserve::Strict), 30 + 765 + 1_445 + 100);
    }

    #[test]
    fn the_parts_that_the_client_knows_are_priced_and_a_reported_cost_if_it_counts() {
        let mut asked = request(Input::Tokens(1_000), Some(0), "gpt-4o");
        asked.parts.cached_input = 400;
        asked.parts.cache_write = 500;
        // The dearest of OpenAI would cost $0.15.
        asked.reported_pico_usd = Some(90_000_000_001);
        asked.provider = Some("openai".into());
        let book = PriceBooks::built_in().at(Timestamp::UNIX_EPOCH);
        let estimate = |price_source, model: &str| {
            let organisation = Organisation {
                price_source,
                ..organisation(Reserve::Estimate)
            };
            let asked = PreflightRequest {
                model: model.into(),
                ..asked.clone()
            };
            asked.estimate(
                &organisation,
                asked.quote(&Pricing::of_table(book)),
                book.largest_output(),
            )
        };
        // 600 at 2.5 and 400 at 1.25 micro-USD: gpt-4o asks nothing for writing its cache.
        let listed = estimate(PriceSource::Table, "gpt-4o");
        assert_eq!(listed.amounts, Amounts::of_micro_usd(1_000, 2_000));
        assert_eq!(listed.counts.cache_write, 500);
        let reported = estimate(PriceSource::Reported, "our-own");
        assert_eq!(reported.amounts, Amounts::new(1_000, 90_000_000_001));
        assert_eq!(reported.matched.kind, MatchKind::Reported);
        let listed = estimate(PriceSource::Table, "our-own");
        assert!(listed.matched.is_unpriced());
    }

    #[test]
    fn an_unknown_model_holds_what_the_dearest_of_its_provider_would() {
        let book = PriceBooks::built_in().at(Timestamp::UNIX_EPOCH);
        let asked = PreflightRequest {
            provider: Some("openai".into()),
            ..request(Input::Tokens(1_000), Some(100), "nobody-knows")
        };
        let pricing = Pricing::of_table(book).estimating(true);
        let estimate = asked.estimate(&organisation(Reserve::Estimate), asked.quote(&pricing), 0);
        let dearest = book.dearest_of(Some("openai")).unwrap();
        let worth = price::value(Some(&dearest), estimate.counts, estimate.tier);
        assert_eq!(estimate.amounts, worth);
        assert!(worth.pico_usd > 0);
        assert_eq!(estimate.matched.kind, MatchKind::Estimate);
    }

    #[test]
    fn a_forecast_of_almost_nothing_for_an_unknown_model_is_no_forecast() {
        let book = PriceBooks::built_in().at(Timestamp::UNIX_EPOCH);
        let organisation = Organisation {
            price_source: PriceSource::Reported,
            ..organisation(Reserve::Estimate)
        };
        let estimate = |pricing: Pricing<'_>, reported_pico_usd| {
            let asked = PreflightRequest {
                provider: Some("openai".into()),
                reported_pico_usd,
                ..request(Input::Tokens(1_000), Some(100), "nobody-knows")
            };
            let estimate = asked.estimate(&organisation, asked.quote(&pricing), 0);
            (estimate.matched.kind, estimate.amounts)
        };
        let table = Pricing::of_table(book);
        for pricing in [table, table.estimating(true)] {
            let unsaid = estimate(pricing, None);
            assert_eq!(estimate(pricing, Some(0)), unsaid);
            assert_eq!(estimate(pricing, Some(1_000_000_000)), unsaid);
            let plausible = Amounts::new(1_100, 50_000_000_000);
            let believed = estimate(pricing, Some(50_000_000_000));
            assert_eq!(believed, (MatchKind::Reported, plausible));
        }
        assert_eq!(estimate(table, Some(0)).0, MatchKind::None);
    }

    #[test]
    fn another_body_has_another_fingerprint() {
        let one = request(Input::Tokens(1), None, "m");
        assert_eq!(one.fingerprint(), one.clone().fingerprint());
        let by = |provider: &str| PreflightRequest {
            provider: Some(provider.into()),
            ..one.clone()
        };
        let with = |change: fn(&mut PreflightRequest)| {
            let mut other = one.clone();
            change(&mut other);
            other
        };
        for other in [
            with(|of| of.parts.cached_input = 1),
            with(|of| of.parts.cached_audio = Some(0)),
            with(|of| of.parts.cache_write = 1),
            with(|of| of.parts.cache_write_1h = 1),
            with(|of| of.parts.audio_input = 1),
            with(|of| of.parts.image_input = 1),
            with(|of| of.parts.reasoning = 1),
            with(|of| of.parts.audio_output = 1),
            with(|of| of.images.push(ImageSize::Bytes(1))),
            with(|of| of.service_tier = ServiceTier::Batch),
            with(|of| of.operation = Operation::Embedding),
            with(|of| of.reported_pico_usd = Some(0)),
            request(Input::Tokens(2), None, "m"),
            request(Input::Bytes(1), None, "m"),
            request(Input::Tokens(1), Some(0), "m"),
            request(Input::Tokens(1), None, "n"),
            by("openai"),
        ] {
            assert_ne!(one.fingerprint(), other.fingerprint());
        }
        assert_ne!(by("openai").fingerprint(), by("azure").fingerprint());
        assert_eq!(one.fingerprint().len(), 8, "24 bits were found in seconds");
    }
}
