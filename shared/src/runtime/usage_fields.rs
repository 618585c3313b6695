//! Reads what preflights and usage events both say about the size and the price of a request.

use super::fields::Fields;
use super::parse::{self, is_sentence};
use crate::domain::ledger::estimate::MAX_TOKENS;
use crate::domain::ledger::labels::{
    Labels, MAX_ENTRIES, MAX_NAME, MAX_TAG, MAX_TAGS, MAX_VALUE, is_entry_name,
};
use crate::domain::ledger::usage::Operation;
use crate::domain::pricing::images::{ImageSize, MAX_IMAGE_BYTES, MAX_IMAGES, MAX_SIDE};
use crate::domain::pricing::reported_cost::pico_usd_from_json;
use crate::domain::pricing::tokens::{ServiceTier, TokenCounts};

pub fn operation(fields: &mut Fields) -> Operation {
    let operation = fields.optional("operation", parse::name);
    operation.unwrap_or_default()
}

pub fn service_tier(fields: &mut Fields) -> Option<ServiceTier> {
    fields.optional("service_tier", parse::name)
}

/// Reads `cost_usd`, in pico-USD.
pub fn reported_cost(fields: &mut Fields) -> Option<i64> {
    fields.optional("cost_usd", |raw| {
        let cost = pico_usd_from_json(raw);
        cost.ok_or_else(|| "must be US dollars from 0 to 1000000".to_owned())
    })
}

/// Reads `tags` and `metadata`, which are too short for prompts and answers.
pub fn labels(fields: &mut Fields) -> Labels {
    let tags = fields.optional("tags", |raw| {
        let tags = parse::list(0, MAX_TAGS)(raw)?;
        tags.iter()
            .map(|tag| parse::sentence(MAX_TAG)(tag))
            .collect()
    });
    let metadata = fields.optional("metadata", |raw| {
        let entries = parse::texts_by_name(raw)?;
        if entries.len() > MAX_ENTRIES {
            return Err(format!("must have at most {MAX_ENTRIES} entries"));
        }
        if !entries.keys().all(|name| is_entry_name(name)) {
            return Err(format!(
                "must have names of 1 to {MAX_NAME} letters, digits, '.', '_' and '-'"
            ));
        }
        match entries.values().all(|value| is_sentence(value, MAX_VALUE)) {
            true => Ok(entries),
            false => Err(format!(
                "must have values of 1 to {MAX_VALUE} characters, none of them a control"
            )),
        }
    });
    Labels {
        tags: tags.unwrap_or_default(),
        metadata: metadata.unwrap_or_default(),
    }
}

/// The field that says how much of `cached_input_tokens` was sound.
pub const CACHED_AUDIO: &str = "cached_audio_input_tokens";

/// Reads the parts of input and output. Their wholes are zero.
pub fn parts(fields: &mut Fields) -> TokenCounts {
    let tokens = parse::whole(0, MAX_TOKENS);
    let cached_input = fields.optional("cached_input_tokens", &tokens).unwrap_or(0);
    let cached_audio = fields.optional(CACHED_AUDIO, &tokens);
    if cached_audio.is_some_and(|sound| sound > cached_input) {
        fields.also_invalid(CACHED_AUDIO, "must be at most cached_input_tokens");
    }
    let mut part = |name: &str| fields.optional(name, &tokens).unwrap_or(0);
    TokenCounts {
        input: 0,
        cached_input,
        cached_audio,
        cache_write: part("cache_write_tokens"),
        cache_write_1h: part("cache_write_1h_tokens"),
        audio_input: part("audio_input_tokens"),
        image_input: part("image_input_tokens"),
        output: 0,
        reasoning: part("reasoning_tokens"),
        audio_output: part("audio_output_tokens"),
    }
}

/// The tokens that parts must fit into.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    /// The field that has them.
    pub name: &'a str,
    /// None if the field is missing: then it has no parts.
    pub tokens: Option<i64>,
}

/// Reports the first of `parts` that does not fit into `whole` beside those before it: parts do not
/// overlap.
pub fn check_parts(fields: &mut Fields, parts: &[(&'static str, i64)], whole: Whole<'_>) {
    let Some(tokens) = whole.tokens else {
        for (name, _) in parts.iter().filter(|(_, count)| *count > 0) {
            fields.also_invalid(name, format!("needs {}", whole.name));
        }
        return;
    };
    let mut sum: i64 = 0;
    for (name, count) in parts {
        sum = sum.saturating_add(*count);
        if sum > tokens {
            let whole = whole.name;
            let message = match *count > tokens {
                true => format!("must be at most {whole}"),
                false => format!("must be at most {whole}, together with its other parts"),
            };
            fields.also_invalid(name, message);
            return;
        }
    }
}

/// Reads `images`. They are counted on top of the input, so both are reported if the input has
/// `image_tokens` already.
pub fn images(fields: &mut Fields, image_tokens: i64) -> Vec<ImageSize> {
    fields.forget_nulls(|name| name == "images");
    let images = fields.objects("images", (0, MAX_IMAGES), image);
    let images = images.unwrap_or_default();
    if !images.is_empty() && image_tokens > 0 {
        fields.also_invalid(
            "image_input_tokens",
            "must not be given together with images",
        );
    }
    images
}

fn image(fields: &mut Fields) -> ImageSize {
    let has_side = fields.has("width") || fields.has("height");
    match (fields.has("bytes"), has_side) {
        (true, false) => {
            ImageSize::Bytes(fields.required("bytes", parse::whole(1, MAX_IMAGE_BYTES)))
        }
        (false, true) => ImageSize::Pixels {
            width: fields.required("width", parse::whole(1, MAX_SIDE)),
            height: fields.required("height", parse::whole(1, MAX_SIDE)),
        },
        (has_both, _) => {
            fields.take_only_one("width", "bytes", has_both);
            fields.forget("height");
            ImageSize::Bytes(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn wrong(body: &str, read: impl FnOnce(&mut Fields)) -> Vec<String> {
        let mut fields = Fields::of_body(body.as_bytes()).unwrap();
        read(&mut fields);
        let details = fields.into_details().into_iter();
        details
            .map(|of| format!("{}: {}", of.field, of.message))
            .collect()
    }

    #[test]
    fn parts_do_not_overlap_and_the_first_that_does_not_fit_is_named() {
        let check = |body: &str, tokens: Option<i64>| {
            wrong(body, |fields| {
                let parts = parts(fields);
                let name = "input_tokens";
                check_parts(fields, &parts.input_parts(), Whole { name, tokens });
            })
        };
        let all = r#"{"cached_input_tokens": 3, "cache_write_tokens": 2,
            "cache_write_1h_tokens": 1, "audio_input_tokens": 4, "image_input_tokens": 5}"#;
        assert!(check(all, Some(15)).is_empty());
        let beside = "must be at most input_tokens, together with its other parts";
        assert_eq!(
            check(all, Some(14)),
            [format!("image_input_tokens: {beside}")]
        );
        assert_eq!(
            check(all, Some(5)),
            [format!("cache_write_1h_tokens: {beside}")]
        );
        let alone = "cached_input_tokens: must be at most input_tokens";
        assert_eq!(check(all, Some(2)), [alone]);
        let sound = r#"{"cached_input_tokens": 3, "cached_audio_input_tokens": 3}"#;
        assert!(check(sound, Some(3)).is_empty());
        let sound = r#"{"cached_input_tokens": 3, "cached_audio_input_tokens": 4}"#;
        let beyond = "cached_audio_input_tokens: must be at most cached_input_tokens";
        assert_eq!(check(sound, Some(9)), [beyond]);
        let audio = r#"{"audio_input_tokens": 1, "image_input_tokens": 0}"#;
        assert_eq!(
            check(audio, None),
            ["audio_input_tokens: needs input_tokens"]
        );
    }

    #[test]
    fn a_picture_has_its_bytes_or_both_of_its_sides() {
        let mut fields =
            Fields::of_body(br#"{"images": [{"bytes": 5}, {"width": 2, "height": 3}]}"#).unwrap();
        let expected = [
            ImageSize::Bytes(5),
            ImageSize::Pixels {
                width: 2,
                height: 3,
            },
        ];
        assert_eq!(images(&mut fields, 0), expected);
        assert!(fields.into_details().is_empty());
        let read = |list: &str| {
            let body = format!(r#"{{"images": {list}}}"#);
            let mut named = wrong(&body, |fields| drop(images(fields, 0)));
            named
                .iter_mut()
                .for_each(|text| text.truncate(text.find(':').unwrap()));
            named.join(" ")
        };
        assert_eq!(read("null"), "");
        assert_eq!(read("[]"), "");
        assert_eq!(read("[{}]"), "images[0].width");
        assert_eq!(read(r#"[{"width": 1}]"#), "images[0].height");
        assert_eq!(read(r#"[{"bytes": 1, "height": 1}]"#), "images[0].bytes");
        assert_eq!(read(r#"[{"bytes": 0}]"#), "images[0].bytes");
        assert_eq!(
            read(r#"[{"width": 0, "height": 100001}]"#),
            "images[0].width images[0].height"
        );
        assert_eq!(read(r#"[{"bytes": 1, "url": "x"}]"#), "images[0].url");
        assert_eq!(
            read(&format!("[{}]", ["{\"bytes\": 1}"; 101].join(","))),
            "images"
        );
        let both = r#"{"images": [{"bytes": 1}]}"#;
        let said = wrong(both, |fields| drop(images(fields, 7)));
        assert_eq!(
            said,
            ["image_input_tokens: must not be given together with images"]
        );
    }

    #[test]
    fn labels_are_few_and_short() {
        let read = |body: &str| {
            let mut fields = Fields::of_body(body.as_bytes()).unwrap();
            let labels = labels(&mut fields);
            let wrong = fields.into_details().into_iter().map(|of| of.field);
            (labels, wrong.collect::<Vec<String>>())
        };
        let both = r#"{"tags": ["nightly", "a"], "metadata": {"run.id": "7", "team": "x"}}"#;
        let expected = Labels {
            tags: vec!["nightly".to_owned(), "a".to_owned()],
            metadata: [("run.id", "7"), ("team", "x")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        };
        assert_eq!(read(both), (expected, Vec::new()));
        let nothing = (Labels::default(), Vec::new());
        assert_eq!(read(r#"{"tags": null, "metadata": null}"#), nothing);
        assert_eq!(read(r#"{"tags": [], "metadata": {}}"#), nothing);
        let text = |length: usize| "a".repeat(length);
        let tags = |tags: Vec<String>| read(&serde_json::json!({"tags": tags}).to_string()).1;
        assert!(tags(vec![text(100); 20]).is_empty());
        assert_eq!(tags(vec![text(101)]), ["tags"]);
        assert_eq!(tags(vec![text(1); 21]), ["tags"]);
        assert_eq!(tags(vec![text(0)]), ["tags"]);
        let entry = |name: String, value: serde_json::Value| {
            read(&serde_json::json!({"metadata": {name: value}}).to_string()).1
        };
        assert!(entry(text(64), text(200).into()).is_empty());
        assert_eq!(entry(text(65), "x".into()), ["metadata"]);
        assert_eq!(entry("a b".to_owned(), "x".into()), ["metadata"]);
        assert_eq!(entry(text(1), text(201).into()), ["metadata"]);
        assert_eq!(entry(text(1), 5.into()), ["metadata"]);
        assert_eq!(
            read(r#"{"metadata": {"a": "1", "a": "2"}}"#).1,
            ["metadata"]
        );
        let many = (0..17).map(|n| (n.to_string(), "x".to_owned()));
        let many: BTreeMap<String, String> = many.collect();
        let many = serde_json::json!({ "metadata": many }).to_string();
        assert_eq!(read(&many).1, ["metadata"]);
    }

    #[test]
    fn a_cost_has_a_limit() {
        let read = |cost: &str| {
            let body = format!(r#"{{"cost_usd": {cost}}}"#);
            let mut fields = Fields::of_body(body.as_bytes()).unwrap();
            (reported_cost(&mut fields), fields.into_details().len())
        };
        assert_eq!(read("0.0123"), (Some(12_300_000_000), 0));
        assert_eq!(read("null"), (None, 0));
        for wrong in ["-1", "1000001", "\"1\"", "[]", "true"] {
            assert_eq!(read(wrong), (None, 1), "{wrong}");
        }
    }
}
