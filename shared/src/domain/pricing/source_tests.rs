//! Tests of lists of prices, and of what a newer one changes.

use super::book::PriceBook;
use super::changes::{Changed, ChangedRate, changes};
use super::rates::Part;
use super::source::{Source, read};
use super::tokens::ServiceTier::{Batch, Default};
use serde_json::json;

fn row(table: &str, model: &str) -> String {
    let mut lines = table.lines();
    let line = lines.find(|line| line.split('\t').nth(1) == Some(model));
    line.unwrap_or("nothing").to_owned()
}

#[test]
fn the_list_of_litellm_is_read_exactly() {
    let list = r#"{
        "sample_spec": {"litellm_provider": "one of ..", "input_cost_per_token": 0},
        "gpt-1": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 128000,
            "max_output_tokens": 16384.0, "input_cost_per_token": 2.5e-06,
            "output_cost_per_token": 0.00001, "cache_read_input_token_cost": 1.25E-6,
            "input_cost_per_token_batches": 1.25e-06, "supports_vision": true,
            "output_cost_per_token_above_200k_tokens_priority": 1.9e-05,
            "input_cost_per_image": 0.5, "output_cost_per_reasoning_token": null},
        "tts": {"litellm_provider": "openai", "input_cost_per_character": 1.5e-05},
        "crumbs": {"litellm_provider": "openai", "mode": "embedding",
            "input_cost_per_token": 1.00000001e-09}
    }"#;
    let table = read(list).unwrap().table();
    assert_eq!(
        row(&table, "gpt-1"),
        "openai\tgpt-1\tchat\t128000\t\tinput=2.5 output=10 cached=1.25; batch input=1.25; \
         >200k priority output=19"
    );
    assert_eq!(row(&table, "tts"), "openai\ttts\tchat\t\t\t");
    // A fraction of a pico-dollar is rounded up.
    assert_eq!(
        row(&table, "crumbs"),
        "openai\tcrumbs\tembedding\t\t\tinput=0.001001"
    );
    assert_eq!(row(&table, "sample_spec"), "nothing");
    assert_eq!(Source::of_table(&table).unwrap().table(), table);
}

#[test]
fn what_is_no_list_of_prices_is_refused() {
    let ours = |price: &str| {
        let text =
            r#"{"models": [{"model": "m", "provider": "a", "prices": {"input_cost_per_token": "#;
        read(&format!("{text}{price}}}}}]}}"))
    };
    assert!(ours("7").is_ok());
    for price in ["-1", "\"7\"", "true", "1e300", "[]"] {
        let error = ours(price).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("m: input_cost_per_token is not a price: {price}")
        );
    }
    for text in ["", "[]", "{}", "{\"models\": 1}", "{\"m\": {}}"] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.starts_with("is no list of prices: "), "{error}");
    }
}

#[test]
fn what_changes_by_more_than_the_limit_is_named_with_its_most_changed_rate() {
    let book = |models: &[(&str, i64, i64, i64)]| {
        let models: Vec<_> = models
            .iter()
            .map(|(model, input, output, batch)| {
                let prices = json!({"input_cost_per_token": input, "output_cost_per_token": output,
                    "output_cost_per_token_batches": batch});
                json!({"provider": "openai", "model": model, "prices": prices})
            })
            .collect();
        PriceBook::from_json(&json!({"models": models}).to_string()).unwrap()
    };
    let before = book(&[("a", 100, 100, 50), ("b", 100, 100, 50), ("gone", 1, 1, 1)]);
    let after = book(&[("a", 100, 110, 50), ("b", 100, 100, 40), ("new", 1, 1, 1)]);
    let rate = |part, tier, before, after| {
        let above = 0;
        Some(ChangedRate {
            part,
            tier,
            above,
            before,
            after,
        })
    };
    let batch = Changed {
        model: "openai b".to_owned(),
        rate: rate(Part::Output, Batch, 50, 40),
    };
    let all = changes(&before, &after, 9);
    let output = Changed {
        model: "openai a".to_owned(),
        rate: rate(Part::Output, Default, 100, 110),
    };
    assert_eq!(all.changed, [output, batch.clone()]);
    assert_eq!(
        (all.new, all.gone),
        (
            vec!["openai new".to_owned()],
            vec!["openai gone".to_owned()]
        )
    );
    assert_eq!(changes(&before, &after, 10).changed, [batch]);
    assert_eq!(changes(&before, &after, 20).changed, []);
}
