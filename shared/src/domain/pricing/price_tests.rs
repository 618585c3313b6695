//! Tests of the prices of models: every kind of token, size and tier.

use super::price::{Price, value};
use super::rates::{Answers, Listing, Part};
use super::tokens::ServiceTier::{Batch, Default, Flex, Priority};
use super::tokens::{ServiceTier, TokenCounts};
use crate::domain::amount::{MAX_AMOUNT, Unit};
use proptest::prelude::*;

const NOTHING: TokenCounts = TokenCounts {
    input: 0,
    cached_input: 0,
    cached_audio: None,
    cache_write: 0,
    cache_write_1h: 0,
    audio_input: 0,
    image_input: 0,
    output: 0,
    reasoning: 0,
    audio_output: 0,
};

fn listing(rates: &[(Part, ServiceTier, i64, i64)]) -> Listing {
    let mut listing = Listing::default();
    for (part, tier, above, rate) in rates {
        listing.set(*part, *tier, *above, *rate);
    }
    listing
}

fn price(rates: &[(Part, ServiceTier, i64, i64)]) -> Price {
    Price::listed(&listing(rates), Answers::Tokens).unwrap()
}

#[test]
fn what_is_not_listed_costs_what_it_is_a_part_of() {
    let price = price(&[(Part::Input, Default, 0, 7), (Part::Output, Default, 0, 31)]);
    for tier in [Default, Batch, Flex, Priority] {
        for part in Part::ALL {
            let is_output = matches!(
                part,
                Part::Output | Part::Reasoning | Part::AudioOutput | Part::ImageOutput
            );
            let rate = if is_output { 31 } else { 7 };
            assert_eq!(price.rate(part, tier, 1_000_000), rate, "{part:?}");
        }
    }
}

#[test]
fn a_rate_that_is_missing_in_a_tier_or_at_a_size_is_never_cheaper_than_it_could_be() {
    let price = price(&[
        (Part::Input, Default, 0, 100),
        (Part::Input, Batch, 0, 50),
        (Part::Input, Priority, 0, 200),
        (Part::Input, Default, 200_000, 300),
        (Part::Output, Default, 0, 1_000),
        (Part::Cached, Default, 0, 10),
        (Part::Reasoning, Default, 0, 1_000),
        (Part::WriteHour, Default, 0, 170),
    ]);
    let small = |part, tier| price.rate(part, tier, 200_000);
    let large = |part, tier| price.rate(part, tier, 200_001);
    // No batch rate of output or of what is cached: the default rate, but not below fresh input.
    assert_eq!(small(Part::Output, Batch), 1_000);
    assert_eq!(small(Part::Cached, Batch), 50);
    assert_eq!(small(Part::Cached, Priority), 200);
    assert_eq!(small(Part::Input, Flex), 100);
    // No five-minute rate: fresh input.
    assert_eq!(small(Part::Write, Default), 100);
    assert_eq!(small(Part::WriteHour, Default), 170);
    assert_eq!(small(Part::WriteHour, Priority), 200);
    assert_eq!(small(Part::WriteHour, Batch), 170);
    // Above the size: what is listed there, or the dearest of what could be meant.
    assert_eq!(large(Part::Input, Batch), 300);
    assert_eq!(large(Part::Cached, Default), 300);
    assert_eq!(large(Part::WriteHour, Default), 300);
    assert_eq!(large(Part::Output, Default), 1_000);
    assert_eq!(large(Part::Reasoning, Default), 1_000);
}

#[test]
fn thoughts_that_cost_as_much_as_other_output_do_so_in_every_tier() {
    let price = price(&[
        (Part::Input, Default, 0, 300),
        (Part::Output, Default, 0, 2_500),
        (Part::Output, Batch, 0, 1_250),
        (Part::Reasoning, Default, 0, 2_500),
    ]);
    assert_eq!(price.rate(Part::Reasoning, Batch, 0), 1_250);
}

#[test]
fn a_cache_write_at_zero_costs_as_much_as_fresh_input() {
    let price = price(&[
        (Part::Input, Default, 0, 7),
        (Part::Write, Default, 0, 0),
        (Part::Output, Default, 0, 31),
    ]);
    assert_eq!(price.rate(Part::Write, Default, 0), 7);
    assert_eq!(price.rate(Part::WriteHour, Default, 0), 7);
}

#[test]
fn a_model_has_a_price_if_its_input_and_its_output_have_one() {
    let has = |rates: &[_], answers| Price::listed(&listing(rates), answers).is_some();
    let (input, output) = ((Part::Input, Default, 0, 7), (Part::Output, Default, 0, 31));
    let picture = (Part::ImageOutput, Default, 0, 40);
    assert!(has(&[input, output], Answers::Tokens));
    assert!(!has(&[input], Answers::Tokens));
    assert!(!has(&[output], Answers::Tokens));
    assert!(!has(&[], Answers::Nothing));
    assert!(has(&[input], Answers::Nothing));
    assert!(has(&[input, picture], Answers::Pictures));
    assert!(has(
        &[input, (Part::Output, Priority, 0, 31)],
        Answers::Tokens
    ));
    let drawn = listing(&[input, output, picture]);
    let drawn = Price::listed(&drawn, Answers::Pictures).unwrap();
    assert_eq!(drawn.rate(Part::Output, Default, 0), 40);
}

#[test]
fn what_is_cached_of_a_request_with_sound_may_be_sound() {
    let price = price(&[
        (Part::Input, Default, 0, 300),
        (Part::Cached, Default, 0, 30),
        (Part::CachedAudio, Default, 0, 100),
        (Part::Audio, Default, 0, 1_000),
        (Part::Output, Default, 0, 2_500),
    ]);
    let text = TokenCounts {
        input: 10,
        cached_input: 4,
        ..NOTHING
    };
    let sound = TokenCounts {
        audio_input: 1,
        ..text
    };
    assert_eq!(price.cost(text, Default), 6 * 300 + 4 * 30);
    assert_eq!(price.cost(sound, Default), 5 * 300 + 4 * 100 + 1_000);
    // Somebody said how much of it was.
    let known = |cached_audio| TokenCounts {
        cached_audio: Some(cached_audio),
        ..sound
    };
    let rest = 5 * 300 + 1_000;
    assert_eq!(price.cost(known(0), Default), rest + 4 * 30);
    assert_eq!(price.cost(known(1), Default), rest + 3 * 30 + 100);
    assert_eq!(price.cost(known(4), Default), rest + 4 * 100);
    assert_eq!(price.cost(known(9), Default), rest + 4 * 100);
    let only_cached = TokenCounts {
        cached_audio: Some(4),
        ..text
    };
    assert_eq!(price.cost(only_cached, Default), 6 * 300 + 4 * 100);
}

#[test]
fn cached_sound_without_a_rate_costs_as_much_as_other_sound_if_that_has_one() {
    let mut rates = vec![
        (Part::Input, Default, 0, 300),
        (Part::Cached, Default, 0, 30),
        (Part::Output, Default, 0, 2_500),
    ];
    let cached_sound = |rates: &[_], tier| price(rates).rate(Part::CachedAudio, tier, 0);
    assert_eq!(cached_sound(&rates, Default), 30);
    rates.push((Part::Audio, Default, 0, 300));
    assert_eq!(cached_sound(&rates, Default), 30, "it is priced as text");
    rates.push((Part::Audio, Priority, 0, 1_800));
    rates[3] = (Part::Audio, Default, 0, 1_000);
    assert_eq!(cached_sound(&rates, Default), 1_000);
    assert_eq!(cached_sound(&rates, Priority), 1_800);
    rates.push((Part::CachedAudio, Default, 0, 100));
    assert_eq!(cached_sound(&rates, Default), 100);
    // At this tier nothing says what a cached token costs: it is the dearest that it may be.
    assert_eq!(cached_sound(&rates, Priority), 300);
}

#[test]
fn usage_is_worth_what_it_costs_exactly_and_at_most_what_a_budget_may_have() {
    let worth = |rate, input| {
        let counts = TokenCounts {
            input,
            ..TokenCounts::default()
        };
        value(Some(&Price::flat(rate, 0)), counts, Default).pico_usd
    };
    assert_eq!(worth(50_000, 1), 50_000);
    assert_eq!(worth(2_500_001, 3), 7_500_003);
    let most = Unit::Usd.counted(MAX_AMOUNT);
    assert_eq!(worth(1_000_000_000_000, 1_000_000_000), most);
    assert_eq!(worth(i64::MAX, i64::MAX), most);
}

#[test]
fn of_two_limits_the_larger_counts() {
    let price = |max_input_tokens, max_output_tokens| {
        let mut price = Price::flat(1, 1);
        price.max_input_tokens = max_input_tokens;
        price.max_output_tokens = max_output_tokens;
        price
    };
    let most = price(Some(50), None).most_of(&price(Some(70), Some(100)));
    assert_eq!(
        (most.max_input_tokens, most.max_output_tokens),
        (Some(70), Some(100))
    );
}

#[test]
fn no_count_is_too_large() {
    let price = Price::flat(i64::MAX, i64::MAX);
    let counts = TokenCounts {
        input: i64::MAX,
        output: i64::MAX,
        audio_input: i64::MAX,
        ..NOTHING
    };
    assert!(price.cost(counts, Default) > 0);
    assert_eq!(
        price.output_tokens_within(fresh(i64::MAX), 0, Default),
        None
    );
}

prop_compose! {
    fn any_listing()(
        base in prop::array::uniform2(0_i64..1_000_000_000),
        rates in prop::collection::vec(
            (0_usize..12, 0_usize..4, 0_usize..3, 0_i64..1_000_000_000), 0..20,
        ),
    ) -> Listing {
        let tiers = [Default, Batch, Flex, Priority];
        let mut listing = listing(&[
            (Part::Input, Default, 0, base[0]), (Part::Output, Default, 0, base[1]),
        ]);
        for (part, tier, size, rate) in rates {
            listing.set(Part::ALL[part], tiers[tier], [0, 128_000, 200_000][size], rate);
        }
        listing
    }
}

prop_compose! {
    fn any_counts()(
        input in prop::array::uniform6(0_i64..100_000),
        output in prop::array::uniform3(0_i64..9_999),
        sound in prop::option::of(0_i64..100_000),
    ) -> TokenCounts {
        let [fresh, cached_input, cache_write, cache_write_1h, audio_input, image_input] = input;
        let [said, reasoning, audio_output] = output;
        TokenCounts {
            input: fresh + cached_input + cache_write + cache_write_1h + audio_input + image_input,
            cached_input, cached_audio: sound.map(|sound| sound.min(cached_input)),
            cache_write, cache_write_1h, audio_input, image_input,
            output: said + reasoning + audio_output, reasoning, audio_output,
        }
    }
}

/// Input that is nothing but fresh text.
fn fresh(input: i64) -> TokenCounts {
    TokenCounts { input, ..NOTHING }
}

fn any_tier() -> impl Strategy<Value = ServiceTier> {
    prop::sample::select(vec![Default, Batch, Flex, Priority])
}

proptest! {
    #[test]
    fn the_parts_add_up_to_the_whole(
        listing in any_listing(), counts in any_counts(), tier in any_tier(),
    ) {
        let price = Price::listed(&listing, Answers::Tokens).unwrap();
        // What is cached costs by what else the request has, if nobody says what it is.
        let cached_audio = counts.cached_audio.unwrap_or(0);
        let counts = TokenCounts { cached_input: cached_audio, cached_audio: Some(cached_audio),
            input: counts.input - counts.cached_input + cached_audio, ..counts };
        let rate = |part| i128::from(price.rate(part, tier, counts.input));
        let fresh = counts.input - counts.cached_input - counts.cache_write
            - counts.cache_write_1h - counts.audio_input - counts.image_input;
        let said = counts.output - counts.reasoning - counts.audio_output;
        let parts = [
            (Part::Input, fresh), (Part::CachedAudio, cached_audio),
            (Part::Write, counts.cache_write),
            (Part::WriteHour, counts.cache_write_1h), (Part::Audio, counts.audio_input),
            (Part::Image, counts.image_input), (Part::Output, said),
            (Part::Reasoning, counts.reasoning), (Part::AudioOutput, counts.audio_output),
        ];
        let sum: i128 = parts.map(|(part, count)| i128::from(count) * rate(part)).iter().sum();
        prop_assert_eq!(price.cost(counts, tier), sum);
    }

    #[test]
    fn the_most_of_two_prices_is_at_least_as_dear_as_either(
        one in any_listing(), other in any_listing(), counts in any_counts(), tier in any_tier(),
    ) {
        let price = |listing: &Listing| Price::listed(listing, Answers::Tokens).unwrap();
        let (one, other) = (price(&one), price(&other));
        let most = one.most_of(&other).cost(counts, tier);
        prop_assert!(most >= one.cost(counts, tier).max(other.cost(counts, tier)));
    }

    #[test]
    fn a_size_is_for_the_whole_request_and_only_above_it(
        small in 1_i64..1_000, large in 1_i64..1_000, size in 1_i64..500,
    ) {
        let above = size * 1_000;
        let price = price(&[
            (Part::Input, Default, 0, small), (Part::Output, Default, 0, small),
            (Part::Input, Default, above, large), (Part::Output, Default, above, large),
        ]);
        let cost = |input| price.cost(TokenCounts { input, output: 77, ..NOTHING }, Default);
        let at = |tokens: i64, rate: i64| i128::from(tokens + 77) * i128::from(rate);
        prop_assert_eq!(cost(above - 1), at(above - 1, small));
        prop_assert_eq!(cost(above), at(above, small));
        prop_assert_eq!(cost(above + 1), at(above + 1, large));
    }

    #[test]
    fn the_offered_output_costs_at_most_the_rest_and_one_more_token_costs_more(
        input_rate in 0_i64..100_000_000, output_rate in 1_i64..100_000_000,
        input in 0_i64..1_000_000, rest in 0_i128..1_000_000_000_000_000,
    ) {
        let price = Price::flat(input_rate, output_rate);
        let cost = |output| price.cost(TokenCounts { input, output, ..NOTHING }, Default);
        match price.output_tokens_within(fresh(input), rest, Default) {
            Some(output) => {
                prop_assert!(cost(output) <= rest);
                prop_assert!(cost(output + 1) > rest);
            }
            None => prop_assert!(cost(0) > rest),
        }
    }
}
