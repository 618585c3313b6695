//! Estimates how much to hold for a request before its usage is known.

use crate::domain::amount::Amounts;
use crate::domain::ledger::hold::Fingerprint;
use crate::domain::org::organisation::{Organisation, Reserve};
use crate::domain::pricing::book::PriceBook;
use crate::domain::pricing::price::{Price, value};
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
}

impl PreflightRequest {
    /// Distinguishes this body from others with the same request id.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update(format!(
            "{:?}{:?}{:?}{:?}",
            self.model, self.provider, self.input, self.max_output_tokens
        ));
        let digest: [u8; 32] = hash.finalize().into();
        let mut fingerprint = Fingerprint::default();
        fingerprint.copy_from_slice(&digest[..size_of::<Fingerprint>()]);
        fingerprint
    }

    /// Returns the amount to hold for the request.
    pub fn estimate(&self, organisation: &Organisation, book: &PriceBook) -> Estimate {
        let quote = book.find(self.provider.as_deref(), &self.model);
        let input = match (self.input, organisation.reserve) {
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
                Reserve::Estimate => organisation.output_reserve_tokens,
                Reserve::Strict => quote
                    .max_output_tokens
                    .unwrap_or_else(|| book.largest_output()),
            });
        let counts = TokenCounts {
            input,
            output,
            ..TokenCounts::default()
        };
        Estimate {
            input,
            amounts: value(quote.price.as_ref(), counts, ServiceTier::Default),
            price: quote.price,
        }
    }
}

/// The expected usage of a request.
#[derive(Clone, Debug)]
pub struct Estimate {
    pub input: i64,
    pub amounts: Amounts,
    /// The model's price. None if the model is unknown.
    pub price: Option<Price>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pricing::book::PriceBooks;
    use jiff::Timestamp;

    fn request(input: Input, max_output_tokens: Option<i64>, model: &str) -> PreflightRequest {
        PreflightRequest {
            request_id: "r".into(),
            user_id: "ada".into(),
            model: model.into(),
            provider: None,
            input,
            max_output_tokens,
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
            .estimate(&organisation(reserve), book)
            .amounts
            .tokens
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
    fn another_body_has_another_fingerprint() {
        let one = request(Input::Tokens(1), None, "m");
        assert_eq!(one.fingerprint(), one.clone().fingerprint());
        let by = |provider: &str| PreflightRequest {
            provider: Some(provider.into()),
            ..one.clone()
        };
        for other in [
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
