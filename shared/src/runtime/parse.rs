//! Readers of single JSON values. Each returns the value, or says what it must be.

use crate::domain::amount::{MAX_AMOUNT, micro_usd_from_json};
use crate::domain::name::{is_client_id, is_display_name, is_email, is_slug, is_user_id};
use crate::domain::period::{Month, time_zone};
use jiff::Timestamp;
use serde::de::value::StrDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;

pub fn text(raw: &str) -> Result<String, String> {
    serde_json::from_str(raw).map_err(|_| "must be a string".to_owned())
}

fn checked(raw: &str, check: impl Fn(&str) -> bool, rule: &str) -> Result<String, String> {
    let text = text(raw)?;
    if check(&text) {
        Ok(text)
    } else {
        Err(rule.to_owned())
    }
}

/// A slug of an organisation or department.
pub fn slug(raw: &str) -> Result<String, String> {
    checked(
        raw,
        is_slug,
        "must be 1 to 64 characters of a-z, 0-9, _ and -, beginning with a letter or digit",
    )
}

pub fn user_id(raw: &str) -> Result<String, String> {
    checked(
        raw,
        is_user_id,
        "must be 1 to 128 characters of letters, digits, '.', '_', '@' and '-', and not only dots",
    )
}

/// A client's id of a request or event.
pub fn client_id(raw: &str) -> Result<String, String> {
    checked(
        raw,
        is_client_id,
        "must be 1 to 128 visible ASCII characters",
    )
}

/// A name for people.
pub fn display_name(raw: &str) -> Result<String, String> {
    checked(raw, is_display_name, "must be 1 to 200 characters")
}

pub fn email(raw: &str) -> Result<String, String> {
    checked(raw, is_email, "must be a mail address like ada@example.com")
}

/// A text of at most `most` characters.
pub fn sentence(most: usize) -> impl Fn(&str) -> Result<String, String> {
    move |raw| {
        let rule = format!("must be 1 to {most} characters, none of them a control");
        checked(raw, |text| is_sentence(text, most), &rule)
    }
}

/// Whether a text has something to read, in at most `most` characters.
pub fn is_sentence(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= most && text.chars().all(is_printable)
}

/// An object from names to texts, each name once.
pub fn texts_by_name(raw: &str) -> Result<BTreeMap<String, String>, String> {
    let Pairs(pairs) =
        serde_json::from_str(raw).map_err(|_| "must be an object of strings".to_owned())?;
    let count = pairs.len();
    let texts: BTreeMap<String, String> = pairs.into_iter().collect();
    match texts.len() == count {
        true => Ok(texts),
        false => Err("must have each name once".to_owned()),
    }
}

/// The fields of an object of texts, including repeated ones.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// An IANA time zone.
pub fn timezone(raw: &str) -> Result<String, String> {
    checked(
        raw,
        |name| time_zone(name).is_some(),
        "must be an IANA time zone like Europe/Berlin",
    )
}

pub fn boolean(raw: &str) -> Result<bool, String> {
    match raw {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// A whole number from `least` to `most`.
pub fn whole(least: i64, most: i64) -> impl Fn(&str) -> Result<i64, String> {
    move |raw| {
        let is_number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if !is_number || raw.contains(['.', 'e', 'E']) {
            return Err("must be a whole number".to_owned());
        }
        match raw.parse::<i64>() {
            Ok(value) if (least..=most).contains(&value) => Ok(value),
            _ => Err(format!("must be from {least} to {most}")),
        }
    }
}

/// An amount of US dollars as micro-USD, not below zero.
pub fn micro_usd(raw: &str) -> Result<i64, String> {
    match micro_usd_from_json(raw) {
        Ok(value) if (0..=MAX_AMOUNT).contains(&value) => Ok(value),
        Ok(_) => Err("must be from 0 to 1000000000".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// An amount of US dollars as micro-USD, above zero.
pub fn some_micro_usd(raw: &str) -> Result<i64, String> {
    match micro_usd(raw)? {
        0 => Err("must be more than 0".to_owned()),
        amount => Ok(amount),
    }
}

/// An amount of US dollars as micro-USD, from `-most` to `most` micro-USD.
pub fn signed_micro_usd(most: i64) -> impl Fn(&str) -> Result<i64, String> {
    move |raw| match micro_usd_from_json(raw) {
        Ok(value) if (-most..=most).contains(&value) => Ok(value),
        Ok(_) => {
            let dollars = most / 1_000_000;
            Err(format!("must be from -{dollars} to {dollars}"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// A month like `2026-11`.
pub fn month(raw: &str) -> Result<Month, String> {
    let rule = || "must be a month like 2026-11".to_owned();
    text(raw)?.parse().map_err(|_| rule())
}

/// A number with at most two decimals, in hundredths, from `least` to `most` hundredths.
pub fn hundredths(least: i64, most: i64) -> impl Fn(&str) -> Result<i64, String> {
    move |raw| {
        let rule = || {
            let (least, most) = (least / 100, most / 100);
            format!("must be a number from {least} to {most} with at most two decimals")
        };
        let millionths = micro_usd_from_json(raw).map_err(|_| rule())?;
        let value = millionths / 10_000;
        let is_right = millionths % 10_000 == 0 && (least..=most).contains(&value);
        is_right.then_some(value).ok_or_else(rule)
    }
}

/// A moment in RFC 3339.
pub fn timestamp(raw: &str) -> Result<Timestamp, String> {
    let rule = || "must be a time like 2026-11-23T12:00:00Z".to_owned();
    let text = text(raw)?;
    if text.len() > 40 || !text.contains(['T', 't']) {
        return Err(rule());
    }
    text.parse().map_err(|_| rule())
}

/// A name of an enum's variant, as serde reads it and the document of the API describes it.
pub fn name<T: DeserializeOwned>(raw: &str) -> Result<T, String> {
    name_of(&text(raw)?)
}

/// The same for a field that is required. It has a value if the field is valid.
pub fn required_name<T: DeserializeOwned>(raw: &str) -> Result<Option<T>, String> {
    name(raw).map(Some)
}

pub(super) fn name_of<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let text = StrDeserializer::<NotAName>::new(text);
    T::deserialize(text).map_err(|NotAName(rule)| rule)
}

/// Says what a name must be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotAName(String);

impl serde::de::Error for NotAName {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn unknown_variant(_: &str, names: &'static [&'static str]) -> Self {
        Self(format!("must be one of {}", names.join(", ")))
    }
}

/// One of several names.
pub fn one_of<T: Copy>(
    choices: &'static [(&'static str, T)],
) -> impl Fn(&str) -> Result<T, String> {
    move |raw| {
        let text = text(raw)?;
        let found = choices.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            format!("must be one of {}", names.join(", "))
        })
    }
}

/// The raw values of a list of `least` to `most`.
pub fn list(least: usize, most: usize) -> impl Fn(&str) -> Result<Vec<String>, String> {
    move |raw| {
        let values: Vec<&serde_json::value::RawValue> =
            serde_json::from_str(raw).map_err(|_| "must be a list".to_owned())?;
        if (least..=most).contains(&values.len()) {
            Ok(values
                .into_iter()
                .map(|value| value.get().to_owned())
                .collect())
        } else {
            Err(format!("must have {least} to {most} entries"))
        }
    }
}

/// Whether a queue accepts the character and a log shows it.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | '\t') || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_exact_and_within_their_limits() {
        let read = whole(0, 10);
        assert_eq!(read("10"), Ok(10));
        for wrong in [
            "11",
            "-1",
            "1.0",
            "1e1",
            "\"1\"",
            "null",
            "true",
            "99999999999999999999",
            "[]",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_read_as_it_is_shown_and_a_wrong_one_is_told_all() {
        use crate::domain::ledger::flagged::Flag;
        for flag in [Flag::HeldBack, Flag::Lapsed] {
            let raw = serde_json::to_string(&flag).unwrap();
            assert_eq!(name::<Flag>(&raw), Ok(flag));
        }
        assert_eq!(name::<Flag>("5"), Err("must be a string".to_owned()));
        let Err(rule) = name::<Flag>("\"Lapsed\"") else {
            panic!("names have no capitals");
        };
        assert!(
            rule.starts_with("must be one of held_back, counted, "),
            "{rule}"
        );
    }

    #[test]
    fn hundredths_are_exact_and_within_their_limits() {
        let read = hundredths(100, 10_000);
        assert_eq!(
            (read("3"), read("2.25"), read("100")),
            (Ok(300), Ok(225), Ok(10_000))
        );
        for wrong in ["0.99", "100.01", "2.001", "\"3\"", "-3", "null", "[3]"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_need_a_date_a_time_and_an_offset() {
        assert!(timestamp("\"2026-11-23T12:00:00Z\"").is_ok());
        assert!(timestamp("\"2026-11-23T12:00:00.5+01:00\"").is_ok());
        for wrong in [
            "\"2026-11-23\"",
            "\"2026-11-23T12:00:00\"",
            "5",
            "\"yesterday\"",
            "\"2026-02-30T00:00:00Z\"",
        ] {
            assert!(timestamp(wrong).is_err(), "{wrong}");
        }
    }
}
