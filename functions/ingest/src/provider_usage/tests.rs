//! Usage objects as the providers document and send them.

use super::{ProviderUsage, read};
use serde_json::{Value, json};
use shared::domain::pricing::tokens::{ServiceTier, TokenCounts};
use shared::runtime::fields::Fields;

/// Reads an object, or says what is wrong with it by field.
fn usage(object: &Value) -> Result<Option<ProviderUsage>, Vec<String>> {
    let mut fields = Fields::of_body(object.to_string().as_bytes()).unwrap();
    let usage = read(&mut fields);
    let details = fields.into_details();
    match details.is_empty() {
        true => Ok(usage),
        false => Err(details.into_iter().map(|of| of.field).collect()),
    }
}

#[track_caller]
fn counts(object: &Value) -> TokenCounts {
    usage(object).unwrap().unwrap().counts
}

#[track_caller]
fn wrong(object: &Value) -> String {
    usage(object).unwrap_err().join(" ")
}

fn input_and_output(input: i64, output: i64) -> TokenCounts {
    TokenCounts {
        input,
        output,
        ..TokenCounts::default()
    }
}

#[test]
fn openai_chat_completions_include_what_was_cached_and_thought() {
    // platform.openai.com/docs/api-reference/chat/create
    let plain = json!({
        "prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0
        }
    });
    assert_eq!(counts(&plain), input_and_output(19, 10));
    // platform.openai.com/docs/guides/prompt-caching
    let cached = json!({
        "prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
        "prompt_tokens_details": {"cached_tokens": 1920},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0
        }
    });
    let expected = TokenCounts {
        cached_input: 1_920,
        ..input_and_output(2_006, 300)
    };
    assert_eq!(counts(&cached), expected);
    let sound = json!({
        "prompt_tokens": 100, "completion_tokens": 80, "total_tokens": 180,
        "prompt_tokens_details": {"text_tokens": 30, "audio_tokens": 60, "image_tokens": 10},
        "completion_tokens_details": {"text_tokens": 20, "audio_tokens": 60}
    });
    let expected = TokenCounts {
        audio_input: 60,
        image_input: 10,
        audio_output: 60,
        ..input_and_output(100, 80)
    };
    assert_eq!(counts(&sound), expected);
}

#[test]
fn what_was_both_cached_and_sound_is_taken_for_sound() {
    let both = json!({
        "prompt_tokens": 100, "completion_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": 80, "audio_tokens": 70}
    });
    let expected = TokenCounts {
        cached_input: 30,
        cached_audio: Some(0),
        audio_input: 70,
        ..input_and_output(100, 0)
    };
    assert_eq!(counts(&both), expected);
}

#[test]
fn what_the_total_has_beyond_prompt_and_completion_was_thought() {
    // A payload of xAI's grok-3-mini (github.com/vercel/ai/pull/12425).
    let grok = json!({
        "prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 399,
        "completion_tokens_details": {"reasoning_tokens": 386}
    });
    let expected = TokenCounts {
        reasoning: 386,
        ..input_and_output(12, 387)
    };
    assert_eq!(counts(&grok), expected);
    // Gemini's compatible API names no details.
    let gemini = json!({"prompt_tokens": 9, "completion_tokens": 11, "total_tokens": 1024});
    let expected = TokenCounts {
        reasoning: 1_004,
        ..input_and_output(9, 1_015)
    };
    assert_eq!(counts(&gemini), expected);
}

#[test]
fn openai_embeddings_have_no_completion() {
    // platform.openai.com/docs/api-reference/embeddings/object
    let embedding = json!({"prompt_tokens": 8, "total_tokens": 8});
    assert_eq!(counts(&embedding), input_and_output(8, 0));
}

#[test]
fn openai_responses_include_what_was_cached_and_thought() {
    // An answer of gpt-4.1 (github.com/coder/coder, aibridge/fixtures/openai/responses).
    let cached = json!({
        "input_tokens": 12033, "input_tokens_details": {"cached_tokens": 11904},
        "output_tokens": 44, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 12077
    });
    let expected = TokenCounts {
        cached_input: 11_904,
        ..input_and_output(12_033, 44)
    };
    assert_eq!(counts(&cached), expected);
    // platform.openai.com/docs/guides/reasoning
    let thought = json!({
        "input_tokens": 75, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 1186, "output_tokens_details": {"reasoning_tokens": 1024},
        "total_tokens": 1261
    });
    let expected = TokenCounts {
        reasoning: 1_024,
        ..input_and_output(75, 1_186)
    };
    assert_eq!(counts(&thought), expected);
    let written = json!({
        "input_tokens": 5000, "output_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 4993}
    });
    let expected = TokenCounts {
        cache_write: 4_993,
        ..input_and_output(5_000, 1)
    };
    assert_eq!(counts(&written), expected);
}

#[test]
fn openai_in_real_time_spells_the_details_otherwise() {
    // developers.openai.com/api/docs/guides/realtime-costs: of `response.done`.
    let talked = json!({
        "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
        "input_token_details": {
            "text_tokens": 72, "audio_tokens": 50, "image_tokens": 10, "cached_tokens": 64,
            "cached_tokens_details": {"text_tokens": 34, "audio_tokens": 26, "image_tokens": 4}
        },
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91}
    });
    let expected = TokenCounts {
        cached_input: 64,
        cached_audio: Some(26),
        audio_input: 24,
        image_input: 6,
        audio_output: 91,
        ..input_and_output(132, 121)
    };
    assert_eq!(counts(&talked), expected);
    // The same in the other spelling.
    let spelled = talked
        .to_string()
        .replace("_token_details", "_tokens_details");
    assert_eq!(counts(&serde_json::from_str(&spelled).unwrap()), expected);
    let transcribed = json!({
        "type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 14}
    });
    let expected = TokenCounts {
        audio_input: 14,
        ..input_and_output(14, 45)
    };
    assert_eq!(counts(&transcribed), expected);
    // Without a split, what was both cached and sound is taken for sound.
    let without = json!({
        "input_tokens": 100, "output_tokens": 0,
        "input_token_details": {"cached_tokens": 80, "audio_tokens": 70}
    });
    let expected = TokenCounts {
        cached_input: 30,
        cached_audio: Some(0),
        audio_input: 70,
        ..input_and_output(100, 0)
    };
    assert_eq!(counts(&without), expected);
}

#[test]
fn details_in_two_spellings_and_cached_parts_beyond_their_whole_are_named() {
    let talk = |more: Value| {
        let mut object = json!({"input_tokens": 10, "output_tokens": 5, "total_tokens": 15});
        let fields = object.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        wrong(&object)
    };
    let both = json!({"input_token_details": {"cached_tokens": 1},
        "input_tokens_details": {"cached_tokens": 1}});
    assert_eq!(talk(both), "input_token_details");
    let both = json!({"output_token_details": {}, "output_tokens_details": {}});
    assert_eq!(talk(both), "output_token_details");
    let sound = json!({"output_token_details": {"audio_tokens": 6}});
    assert_eq!(talk(sound), "output_token_details.audio_tokens");
    let cached = |parts: Value| {
        talk(
            json!({"input_token_details": {"audio_tokens": 4, "image_tokens": 1,
            "cached_tokens": 5, "cached_tokens_details": parts}}),
        )
    };
    let of = "input_token_details.cached_tokens_details";
    let sound = json!({"audio_tokens": 5});
    assert_eq!(cached(sound), format!("{of}.audio_tokens"));
    let pictures = json!({"image_tokens": 2});
    assert_eq!(cached(pictures), format!("{of}.image_tokens"));
    assert_eq!(cached(json!({"audio_tokens": 4, "text_tokens": 2})), of);
    assert_eq!(cached(json!([])), of);
}

/// What LiteLLM answers for a model of Anthropic (github.com/BerriAI/litellm,
/// litellm/llms/anthropic/chat/transformation.py, `calculate_usage`), with `more`.
fn litellm(more: &Value) -> Value {
    let mut object = json!({
        "prompt_tokens": 4096, "completion_tokens": 503, "total_tokens": 4599,
        "prompt_tokens_details": {
            "audio_tokens": null, "cached_tokens": 1800, "text_tokens": 2048,
            "image_tokens": null, "cache_creation_tokens": 248,
            "cache_creation_token_details": {
                "ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100
            }
        },
        "completion_tokens_details": {"reasoning_tokens": 60, "text_tokens": 443},
        "cache_creation_input_tokens": 248, "cache_read_input_tokens": 1800,
        "server_tool_use": null, "inference_geo": null, "speed": null
    });
    let fields = object.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    object
}

#[test]
fn litellm_counts_the_cache_within_the_prompt_and_says_it_twice() {
    let expected = TokenCounts {
        cached_input: 1_800,
        cache_write: 148,
        cache_write_1h: 100,
        reasoning: 60,
        ..input_and_output(4_096, 503)
    };
    assert_eq!(counts(&litellm(&json!({}))), expected);
    let tools = json!({"server_tool_use": {"web_search_requests": 1}});
    assert_eq!(counts(&litellm(&tools)), expected);
    // An earlier version says less in the details, or nothing at all.
    let expected = TokenCounts {
        cache_write: 248,
        cache_write_1h: 0,
        ..expected
    };
    for details in [json!({"cached_tokens": 1800}), json!({}), Value::Null] {
        let said = litellm(&json!({"prompt_tokens_details": details}));
        assert_eq!(counts(&said), expected, "{said}");
    }
    let without_cache = json!({
        "prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29,
        "prompt_tokens_details": null, "completion_tokens_details": null,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0
    });
    assert_eq!(counts(&without_cache), input_and_output(19, 10));
}

#[test]
fn contradictions_of_litellm_are_named() {
    let wrong = |more: Value| wrong(&litellm(&more));
    let of = "prompt_tokens_details";
    assert_eq!(
        wrong(json!({"cache_read_input_tokens": 1801})),
        format!("{of}.cached_tokens")
    );
    assert_eq!(
        wrong(json!({"cache_creation_input_tokens": 0})),
        format!("{of}.cache_creation_tokens")
    );
    let split = json!({"cached_tokens": 1800, "cache_creation_token_details":
        {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 101}});
    assert_eq!(
        wrong(json!({of: split})),
        format!("{of}.cache_creation_token_details")
    );
    // The prompt is not as large as what it includes.
    let small = json!({"prompt_tokens": 2047, "total_tokens": 2550});
    assert_eq!(wrong(small), "prompt_tokens");
    assert_eq!(wrong(json!({"total_tokens": 4600})), "total_tokens");
    assert_eq!(wrong(json!({"input_tokens": 2048})), "input_tokens");
    assert_eq!(
        wrong(json!({"cache_read_input_tokens": "1800"})),
        "cache_read_input_tokens"
    );
}

#[test]
fn anthropic_counts_reads_and_writes_of_the_cache_beside_the_input() {
    // platform.claude.com/docs/en/build-with-claude/prompt-caching
    let both = json!({
        "input_tokens": 2048, "cache_read_input_tokens": 1800, "cache_creation_input_tokens": 248,
        "output_tokens": 503,
        "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
        "output_tokens_details": {"thinking_tokens": 60},
        "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 2},
        "service_tier": "standard", "inference_geo": "global"
    });
    let expected = ProviderUsage {
        counts: TokenCounts {
            cached_input: 1_800,
            cache_write: 148,
            cache_write_1h: 100,
            reasoning: 60,
            ..input_and_output(4_096, 503)
        },
        tier: Some(ServiceTier::Default),
    };
    assert_eq!(usage(&both), Ok(Some(expected)));
    // The python SDK writes what is missing as null.
    let fresh = json!({
        "cache_creation": null, "cache_creation_input_tokens": null,
        "cache_read_input_tokens": null, "input_tokens": 2095, "output_tokens": 503,
        "server_tool_use": null, "service_tier": "batch"
    });
    let expected = ProviderUsage {
        counts: input_and_output(2_095, 503),
        tier: Some(ServiceTier::Batch),
    };
    assert_eq!(usage(&fresh), Ok(Some(expected)));
}

#[test]
fn anthropic_writes_the_cache_for_five_minutes_unless_it_says_otherwise() {
    let without = json!({
        "input_tokens": 3, "cache_creation_input_tokens": 12304, "cache_read_input_tokens": 0,
        "output_tokens": 550
    });
    let expected = TokenCounts {
        cache_write: 12_304,
        ..input_and_output(12_307, 550)
    };
    assert_eq!(counts(&without), expected);
    let only_split = json!({
        "input_tokens": 3, "output_tokens": 550,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 12304}
    });
    let expected = TokenCounts {
        cache_write_1h: 12_304,
        ..input_and_output(12_307, 550)
    };
    assert_eq!(counts(&only_split), expected);
}

#[test]
fn gemini_counts_thoughts_and_tools_beside_candidates_and_prompt() {
    // An answer of gemini-2.5-flash with an implicit cache, as its API sends it.
    let seen = json!({
        "promptTokenCount": 326, "candidatesTokenCount": 63, "totalTokenCount": 543,
        "cachedContentTokenCount": 173,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 68}, {"modality": "IMAGE", "tokenCount": 258}
        ],
        "cacheTokensDetails": [
            {"modality": "IMAGE", "tokenCount": 137}, {"modality": "TEXT", "tokenCount": 36}
        ],
        "thoughtsTokenCount": 154
    });
    let expected = TokenCounts {
        cached_input: 173,
        image_input: 121,
        reasoning: 154,
        ..input_and_output(326, 217)
    };
    assert_eq!(counts(&seen), expected);
    let tools = json!({
        "promptTokenCount": 10, "toolUsePromptTokenCount": 3, "candidatesTokenCount": 5,
        "thoughtsTokenCount": 7, "totalTokenCount": 25, "trafficType": "ON_DEMAND_PRIORITY"
    });
    let expected = ProviderUsage {
        counts: TokenCounts {
            reasoning: 7,
            ..input_and_output(13, 12)
        },
        tier: Some(ServiceTier::Priority),
    };
    assert_eq!(usage(&tools), Ok(Some(expected)));
}

#[test]
fn gemini_says_by_modality_what_was_sound() {
    let live = json!({
        "promptTokenCount": 300, "responseTokenCount": 120, "totalTokenCount": 420,
        "promptTokensDetails": [
            {"modality": "AUDIO", "tokenCount": 250}, {"modality": "TEXT", "tokenCount": 50}
        ],
        "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 100}]
    });
    let expected = TokenCounts {
        audio_input: 250,
        audio_output: 100,
        ..input_and_output(300, 120)
    };
    assert_eq!(counts(&live), expected);
    // Of 250 tokens of sound 100 were cached, and of 50 of text 40.
    let cached = json!({
        "promptTokenCount": 300, "cachedContentTokenCount": 140, "candidatesTokenCount": 7,
        "totalTokenCount": 307,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 50}, {"modality": "AUDIO", "tokenCount": 250}
        ],
        "cacheTokensDetails": [
            {"modality": "AUDIO", "tokenCount": 100}, {"modality": "TEXT", "tokenCount": 40}
        ]
    });
    let expected = TokenCounts {
        cached_input: 140,
        cached_audio: Some(100),
        audio_input: 150,
        ..input_and_output(300, 7)
    };
    assert_eq!(counts(&cached), expected);
    let only_text = json!({
        "promptTokenCount": 300, "cachedContentTokenCount": 40, "totalTokenCount": 300,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 50}, {"modality": "AUDIO", "tokenCount": 250}
        ],
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 40}]
    });
    let expected = TokenCounts {
        cached_input: 40,
        cached_audio: Some(0),
        audio_input: 250,
        ..input_and_output(300, 0)
    };
    assert_eq!(counts(&only_text), expected);
    // A prompt that was refused has no candidates.
    let refused = json!({"promptTokenCount": 40, "totalTokenCount": 40});
    assert_eq!(counts(&refused), input_and_output(40, 0));
}

#[test]
fn bedrock_counts_reads_and_writes_of_the_cache_beside_the_input() {
    // docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
    let plain = json!({"inputTokens": 30, "outputTokens": 628, "totalTokens": 658});
    assert_eq!(counts(&plain), input_and_output(30, 628));
    // All the fields of docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
    let cached = json!({
        "inputTokens": 2, "outputTokens": 19, "totalTokens": 5114, "cacheReadInputTokens": 100,
        "cacheWriteInputTokens": 4993,
        "cacheDetails": [{"inputTokens": 993, "ttl": "1h"}, {"inputTokens": 4000, "ttl": "5m"}]
    });
    let expected = TokenCounts {
        cached_input: 100,
        cache_write: 4_000,
        cache_write_1h: 993,
        ..input_and_output(5_095, 19)
    };
    assert_eq!(counts(&cached), expected);
}

#[test]
fn fields_that_providers_add_are_ignored() {
    let added = json!({
        "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "cost": 0.1,
        "num_sources_used": 3, "prompt_tokens_details": {"cached_tokens": 1, "video_tokens": 0}
    });
    let expected = TokenCounts {
        cached_input: 1,
        ..input_and_output(5, 2)
    };
    assert_eq!(counts(&added), expected);
}

#[test]
fn the_tier_has_the_words_of_each_provider() {
    for (name, word, tier) in [
        ("service_tier", "auto", ServiceTier::Default),
        ("service_tier", "default", ServiceTier::Default),
        ("service_tier", "standard", ServiceTier::Default),
        ("service_tier", "scale", ServiceTier::Default),
        ("service_tier", "flex", ServiceTier::Flex),
        ("service_tier", "priority", ServiceTier::Priority),
        ("serviceTier", "batch", ServiceTier::Batch),
        ("trafficType", "ON_DEMAND", ServiceTier::Default),
        ("trafficType", "ON_DEMAND_FLEX", ServiceTier::Flex),
    ] {
        let object = json!({"input_tokens": 1, "output_tokens": 1, name: word});
        assert_eq!(usage(&object).unwrap().unwrap().tier, Some(tier), "{word}");
    }
    let silent = json!({"input_tokens": 1, "output_tokens": 1});
    assert_eq!(usage(&silent).unwrap().unwrap().tier, None);
}

#[test]
fn an_object_that_says_nothing_is_of_no_provider() {
    for nothing in [
        json!({}),
        json!({"tokens": 5}),
        json!({"service_tier": "flex"}),
    ] {
        assert_eq!(usage(&nothing), Ok(None), "{nothing}");
    }
}

#[test]
fn fields_of_two_providers_are_named() {
    let mixed = json!({"prompt_tokens": 5, "completion_tokens": 2, "output_tokens": 2});
    assert_eq!(wrong(&mixed), "output_tokens");
    let mixed = json!({
        "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7,
        "cache_read_input_tokens": 3, "cache_creation": {"ephemeral_5m_input_tokens": 1}
    });
    assert_eq!(wrong(&mixed), "cache_creation");
    let mixed = json!({
        "input_tokens": 5, "output_tokens": 2, "total_tokens": 7,
        "input_tokens_details": {"cached_tokens": 1}, "cache_creation_input_tokens": 3
    });
    assert_eq!(wrong(&mixed), "cache_creation_input_tokens");
    let mixed = json!({"promptTokenCount": 5, "candidatesTokenCount": 2, "inputTokens": 5});
    assert_eq!(wrong(&mixed), "inputTokens");
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(wrong(&json!({"prompt_tokens": 5})), "completion_tokens");
    assert_eq!(wrong(&json!({"completion_tokens": 5})), "prompt_tokens");
    assert_eq!(wrong(&json!({"output_tokens": 5})), "input_tokens");
    assert_eq!(
        wrong(&json!({"cache_read_input_tokens": 5})),
        "input_tokens output_tokens"
    );
    assert_eq!(wrong(&json!({"thoughtsTokenCount": 5})), "promptTokenCount");
    assert_eq!(
        wrong(&json!({"totalTokens": 5})),
        "inputTokens outputTokens"
    );
}

#[test]
fn contradictions_and_wrong_types_are_named() {
    let chat = |more: Value| {
        let mut object = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15});
        object
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        wrong(&object)
    };
    assert_eq!(chat(json!({"total_tokens": 14})), "total_tokens");
    assert_eq!(chat(json!({"prompt_tokens": -1})), "prompt_tokens");
    assert_eq!(chat(json!({"prompt_tokens": 1.5})), "prompt_tokens");
    assert_eq!(chat(json!({"prompt_tokens": "10"})), "prompt_tokens");
    assert_eq!(
        chat(json!({"completion_tokens": 1_000_000_001_i64})),
        "completion_tokens"
    );
    assert_eq!(
        chat(json!({"prompt_tokens_details": []})),
        "prompt_tokens_details"
    );
    assert_eq!(chat(json!({"service_tier": 5})), "service_tier");
    let cached = json!({"prompt_tokens_details": {"cached_tokens": 11, "audio_tokens": 11}});
    let both = "prompt_tokens_details.cached_tokens prompt_tokens_details.audio_tokens";
    assert_eq!(chat(cached), both);
    let thought = json!({"completion_tokens_details": {"reasoning_tokens": 6}});
    assert_eq!(chat(thought), "completion_tokens_details.reasoning_tokens");

    let anthropic = json!({
        "input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 3}
    });
    assert_eq!(wrong(&anthropic), "cache_creation");
    let gemini = json!({
        "promptTokenCount": 10, "cachedContentTokenCount": 11, "totalTokenCount": 9,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 11}]
    });
    let all = "cachedContentTokenCount totalTokenCount promptTokensDetails";
    assert_eq!(wrong(&gemini), all);
    let bedrock = json!({
        "inputTokens": 10, "outputTokens": 5, "totalTokens": 14, "cacheWriteInputTokens": 1,
        "cacheDetails": [{"inputTokens": 2, "ttl": "1h"}]
    });
    assert_eq!(wrong(&bedrock), "cacheDetails totalTokens");
}

/// Returns the object with its field `name` set to `value`.
fn with(object: &Value, name: &str, value: i64) -> Value {
    let mut object = object.clone();
    object[name] = json!(value);
    object
}

/// A total may have these values and none other.
#[track_caller]
fn total_is_one_of(object: &Value, name: &str, possible: &[i64]) {
    for total in 0..200 {
        let read = usage(&with(object, name, total));
        match possible.contains(&total) {
            true => assert!(read.is_ok(), "{total} {read:?}"),
            false => assert_eq!(read, Err(vec![name.to_owned()]), "{total}"),
        }
    }
}

#[test]
fn a_total_that_is_no_sum_of_its_parts_is_named() {
    let chat = json!({"prompt_tokens": 10, "completion_tokens": 5,
        "completion_tokens_details": {"reasoning_tokens": 3}});
    total_is_one_of(&chat, "total_tokens", &[15, 18]);
    let embedding = json!({"prompt_tokens": 10});
    total_is_one_of(&embedding, "total_tokens", &[10]);
    let response = json!({"input_tokens": 10, "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0}});
    total_is_one_of(&response, "total_tokens", &[15]);
    let gemini = json!({"promptTokenCount": 10, "candidatesTokenCount": 5,
        "thoughtsTokenCount": 30, "toolUsePromptTokenCount": 100});
    total_is_one_of(&gemini, "totalTokenCount", &[15, 45, 115, 145]);
    // Where nothing is said of thoughts, the total may have some.
    let silent = json!({"promptTokenCount": 10, "candidatesTokenCount": 5});
    let possible: Vec<i64> = (15..200).collect();
    total_is_one_of(&silent, "totalTokenCount", &possible);
    let bedrock = json!({"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 30,
        "cacheWriteInputTokens": 100});
    total_is_one_of(&bedrock, "totalTokens", &[15, 45, 115, 145]);
}

#[test]
fn what_was_written_for_each_duration_is_all_that_was_written() {
    let anthropic = |five_minutes: i64, hour: i64| {
        json!({"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 9,
            "cache_creation": {"ephemeral_5m_input_tokens": five_minutes,
                "ephemeral_1h_input_tokens": hour}})
    };
    assert!(usage(&anthropic(5, 4)).is_ok());
    assert_eq!(wrong(&anthropic(5, 3)), "cache_creation");
    assert_eq!(wrong(&anthropic(5, 5)), "cache_creation");
    // A client that adds up a stream may leave the split at zero.
    let expected = TokenCounts {
        cache_write: 9,
        ..input_and_output(10, 1)
    };
    assert_eq!(counts(&anthropic(0, 0)), expected);
    let bedrock = json!({"inputTokens": 1, "outputTokens": 1, "totalTokens": 11,
        "cacheWriteInputTokens": 9, "cacheDetails": [{"inputTokens": 4, "ttl": "1h"}]});
    assert_eq!(wrong(&bedrock), "cacheDetails");
}
