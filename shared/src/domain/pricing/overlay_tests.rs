//! Tests of own rates over those of the table.

use super::*;
use crate::domain::pricing::tokens::TokenCounts;
use proptest::prelude::*;

/// OpenAI's `m` costs 2 and 10 micro-USD a token, above 200k tokens twice as much input, in a batch
/// the half.
fn book() -> PriceBook {
    PriceBook::from_json(
        r#"{"version": "t", "effective_from": "1970-01-01", "models": [
            {"model": "m", "provider": "openai", "prices": {
                "input_cost_per_token": 2000000, "output_cost_per_token": 10000000,
                "cache_read_input_token_cost": 500000,
                "input_cost_per_token_batches": 1000000,
                "output_cost_per_token_batches": 5000000,
                "input_cost_per_token_above_200k_tokens": 4000000,
                "output_cost_per_token_above_200k_tokens": 15000000}}
        ]}"#,
    )
    .unwrap()
}

fn cost(provider: &str, rates: &Rates, counts: TokenCounts, tier: ServiceTier) -> i128 {
    let table = book().find(Some(provider), "m");
    overlaid(&table, rates).unwrap().cost(counts, tier)
}

fn counts(input: i64, cached_input: i64, output: i64) -> TokenCounts {
    TokenCounts {
        input,
        cached_input,
        output,
        ..TokenCounts::default()
    }
}

fn rates(input: i64, output: i64) -> Rates {
    Rates {
        input: Some(input),
        output: Some(output),
        ..Rates::default()
    }
}

#[test]
fn what_is_left_out_is_as_in_the_table_and_its_tiers_stay_in_proportion() {
    let half = Rates {
        input: Some(1_000_000),
        ..Rates::default()
    };
    let of = |counts, tier| cost("openai", &half, counts, tier);
    let usual = of(counts(10, 4, 1), ServiceTier::Default);
    assert_eq!(usual, 6 * 1_000_000 + 4 * 500_000 + 10_000_000);
    let batch = of(counts(6, 0, 1), ServiceTier::Batch);
    assert_eq!(batch, 6 * 500_000 + 5_000_000, "half of the half");
    let long = of(counts(200_001, 0, 0), ServiceTier::Default);
    assert_eq!(long, 200_001 * 2_000_000);
}

#[test]
fn cached_sound_without_a_rate_follows_the_own_price_of_sound() {
    let book = PriceBook::from_json(
        r#"{"version": "t", "effective_from": "1970-01-01", "models": [
            {"model": "m", "provider": "openai", "prices": {
                "input_cost_per_token": 2000000, "output_cost_per_token": 10000000,
                "cache_read_input_token_cost": 500000,
                "input_cost_per_audio_token": 8000000}}
        ]}"#,
    );
    let table = book.unwrap().find(Some("openai"), "m");
    let rate = |rates: Rates| {
        let price = overlaid(&table, &rates).unwrap();
        price.rate(Part::CachedAudio, ServiceTier::Default, 0)
    };
    let cached = Rates {
        cached_input: Some(100_000),
        ..Rates::default()
    };
    assert_eq!(rate(Rates::default()), 8_000_000);
    assert_eq!(rate(cached), 8_000_000);
    let sound = Rates {
        audio_input: Some(4_000_000),
        ..cached
    };
    assert_eq!(rate(sound), 4_000_000);
    assert_eq!(rate(rates(0, 0)), 0);
}

#[test]
fn what_costs_as_much_as_other_output_in_the_table_does_so_with_an_own_price() {
    let own = Rates {
        output: Some(4_000_000),
        ..Rates::default()
    };
    let thought = TokenCounts {
        reasoning: 9,
        ..counts(0, 0, 10)
    };
    assert_eq!(
        cost("openai", &own, thought, ServiceTier::Default),
        40_000_000
    );
    let written = TokenCounts {
        cache_write: 3,
        cache_write_1h: 4,
        ..counts(10, 0, 0)
    };
    let own = rates(1_000_000, 0);
    assert_eq!(
        cost("openai", &own, written, ServiceTier::Default),
        10_000_000
    );
    let write = Rates {
        cache_write: Some(3_000_000),
        ..own
    };
    let found = cost("openai", &write, written, ServiceTier::Default);
    assert_eq!(found, 3 * 1_000_000 + 7 * 3_000_000);
}

#[test]
fn without_the_table_what_is_left_out_costs_as_much_as_other_input_or_output() {
    let flat = rates(3, 5);
    let found = cost("our-cluster", &flat, counts(10, 4, 1), ServiceTier::Flex);
    assert_eq!(found, 10 * 3 + 5);
    let cached = Rates {
        cached_input: Some(1),
        ..flat
    };
    let found = cost("our-cluster", &cached, counts(10, 4, 1), ServiceTier::Flex);
    assert_eq!(found, 6 * 3 + 4 + 5);
}

#[test]
fn zero_makes_all_of_it_free_but_what_has_a_rate_of_its_own() {
    let free = rates(0, 0);
    for tier in [
        ServiceTier::Default,
        ServiceTier::Batch,
        ServiceTier::Priority,
    ] {
        for counts in [counts(10, 4, 1), counts(200_001, 5, 9)] {
            assert_eq!(cost("openai", &free, counts, tier), 0, "{tier:?}");
        }
    }
    let cached = Rates {
        cached_input: Some(250_000),
        ..free
    };
    let found = cost("openai", &cached, counts(10, 4, 1), ServiceTier::Default);
    assert_eq!(found, 4 * 250_000);
}

#[test]
fn input_and_output_are_needed_if_the_table_does_not_surely_have_the_model() {
    let of = |provider: &str| PriceOf {
        provider: provider.to_owned(),
        model: "m".to_owned(),
    };
    let only_input = Rates {
        input: Some(1),
        ..Rates::default()
    };
    assert!(has_whole_price(&book(), &of("openai"), &only_input));
    assert!(!has_whole_price(&book(), &of("our-cluster"), &only_input));
    assert!(has_whole_price(&book(), &of("our-cluster"), &rates(1, 1)));
}

proptest! {
    #[test]
    fn a_rate_in_proportion_to_itself_is_the_own_one(
        own in 0_i64..1_000_000_000_000, usual in 0_i64..1_000_000_000_000,
    ) {
        prop_assert_eq!(in_proportion(own, usual, usual), own);
    }

    #[test]
    fn a_dearer_rate_stays_dearer(
        own in 0_i64..1_000_000_000, usual in 1_i64..1_000_000_000, more in 0_i64..1_000_000_000,
    ) {
        prop_assert!(in_proportion(own, usual.saturating_add(more), usual) >= own);
    }
}
