//! Reads a JSON object and reports every invalid field at once.

use super::error::{ApiError, Detail};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// How much of a field's name an error shows, in characters.
const MAX_SHOWN: usize = 64;
/// The most fields that one error names.
const MAX_DETAILS: usize = 100;

/// An object with all its fields, including repeated ones.
struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// An object whose fields are taken one by one. Fields that remain at the end are unknown.
#[derive(Debug)]
pub struct Fields {
    values: BTreeMap<String, Box<RawValue>>,
    prefix: String,
    invalid: Vec<Detail>,
}

impl Fields {
    /// Reads the object of a request's body.
    pub fn of_body(body: &[u8]) -> Result<Self, ApiError> {
        let wrong = |message: String| ApiError::field("body", message);
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(wrong("must be a JSON object; it is empty".to_owned()));
        }
        let object: Object = serde_json::from_slice(body).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            wrong(if error.is_data() {
                "must be a JSON object".to_owned()
            } else {
                format!("is not JSON: error at {place}")
            })
        })?;
        Ok(Self::of_object(object, String::new()))
    }

    /// Reads an object inside another one. `path` is its place: `thresholds[2]`.
    pub fn of_value(raw: &str, path: &str) -> Result<Self, Vec<Detail>> {
        let object: Object = serde_json::from_str(raw).map_err(|_| {
            vec![Detail {
                field: path.to_owned(),
                message: "must be an object".to_owned(),
            }]
        })?;
        Ok(Self::of_object(object, format!("{path}.")))
    }

    fn of_object(object: Object, prefix: String) -> Self {
        let mut fields = Self {
            values: BTreeMap::new(),
            prefix,
            invalid: Vec::new(),
        };
        for (name, value) in object.0 {
            if fields.values.insert(name.clone(), value).is_some() {
                fields.refuse(&name, "must be given once");
            }
        }
        fields
    }

    fn refuse(&mut self, name: &str, message: impl Into<String>) {
        if self.invalid.len() >= MAX_DETAILS {
            return;
        }
        let shown: String = name.chars().take(MAX_SHOWN).collect();
        self.invalid.push(Detail {
            field: format!("{}{shown}", self.prefix),
            message: message.into(),
        });
    }

    /// Takes a field that must be present and not null. Returns the default if it is invalid;
    /// [`Self::finish`] then returns the error.
    pub fn required<T: Default>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        match self.values.remove(name) {
            None => {
                self.refuse(name, "is required");
                T::default()
            }
            Some(raw) => parse(raw.get()).unwrap_or_else(|message| {
                self.refuse(name, message);
                T::default()
            }),
        }
    }

    /// Takes a field that may be missing or null.
    pub fn optional<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.changed(name, parse).flatten()
    }

    /// Takes a field of a `PATCH`: missing, null, or a value.
    pub fn changed<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        let raw = self.values.remove(name)?;
        if raw.get() == "null" {
            return Some(None);
        }
        match parse(raw.get()) {
            Ok(value) => Some(Some(value)),
            Err(message) => {
                self.refuse(name, message);
                None
            }
        }
    }

    /// Takes an object and reads its fields with `read`. Errors have their full paths:
    /// `trigger.type`. Returns None if the field is missing or is no object.
    pub fn object<T>(&mut self, name: &str, read: impl FnOnce(&mut Fields) -> T) -> Option<T> {
        let raw = self.values.remove(name)?;
        self.nested(name, raw.get(), read)
    }

    /// Takes an object of a `PATCH`: missing, null, or an object whose fields `read` reads.
    pub fn changed_object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields) -> T,
    ) -> Option<Option<T>> {
        if self.values.get(name)?.get() == "null" {
            self.values.remove(name);
            return Some(None);
        }
        self.object(name, read).map(Some)
    }

    /// Takes a list of `least` to `most` objects: `conditions[2].op`. Returns None if the field is
    /// missing or is no such list.
    pub fn objects<T>(
        &mut self,
        name: &str,
        (least, most): (usize, usize),
        read: impl Fn(&mut Fields) -> T,
    ) -> Option<Vec<T>> {
        let raw = self.values.remove(name)?;
        match super::parse::list(least, most)(raw.get()) {
            Ok(values) => {
                let values = values.iter().enumerate();
                let each = values
                    .filter_map(|(at, raw)| self.nested(&format!("{name}[{at}]"), raw, &read));
                Some(each.collect())
            }
            Err(message) => {
                self.refuse(name, message);
                None
            }
        }
    }

    fn nested<T>(
        &mut self,
        name: &str,
        raw: &str,
        read: impl FnOnce(&mut Fields) -> T,
    ) -> Option<T> {
        match Self::of_value(raw, &format!("{}{name}", self.prefix)) {
            Ok(mut fields) => {
                let value = read(&mut fields);
                self.invalid.extend(fields.into_details());
                self.invalid.truncate(MAX_DETAILS);
                Some(value)
            }
            Err(details) => {
                self.invalid.extend(details);
                None
            }
        }
    }

    /// Accepts all remaining fields, if it is not known which ones there should be.
    pub fn ignore_rest(&mut self) {
        self.values.clear();
    }

    /// Drops the null fields whose names fit, so that they count as missing.
    pub fn forget_nulls(&mut self, is_meant: impl Fn(&str) -> bool) {
        self.values
            .retain(|name, raw| raw.get() != "null" || !is_meant(name));
    }

    /// Drops a field, because another one is wrong already.
    pub fn forget(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// Reports a missing field.
    pub fn is_required(&mut self, name: &str) {
        self.refuse(name, "is required");
    }

    /// Takes a field of a `PATCH` that cannot be null.
    pub fn changed_value<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.changed(name, parse)?;
        if value.is_none() {
            self.refuse(name, "must not be null");
        }
        value
    }

    /// Reports two fields unless exactly one of them is present.
    pub fn take_only_one(&mut self, one: &str, other: &str, are_both_there: bool) {
        self.values.remove(one);
        self.values.remove(other);
        if are_both_there {
            self.refuse(other, format!("must not be given together with {one}"));
        } else {
            self.refuse(one, format!("is required, or {other}"));
        }
    }

    /// Reports a field because of another field's value.
    pub fn also_invalid(&mut self, name: &str, message: impl Into<String>) {
        self.refuse(name, message);
    }

    /// Whether anything was invalid so far.
    pub fn is_invalid(&self) -> bool {
        !self.invalid.is_empty()
    }

    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Returns every invalid field, including every unknown one.
    pub fn into_details(mut self) -> Vec<Detail> {
        for name in std::mem::take(&mut self.values).into_keys() {
            self.refuse(&name, "is not a known field");
        }
        self.invalid
    }

    /// Returns an error that names every invalid field, if there is one.
    pub fn finish(self) -> Result<(), ApiError> {
        let details = self.into_details();
        if details.is_empty() {
            Ok(())
        } else {
            Err(ApiError::invalid(details))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn every_invalid_field_is_named_at_once() {
        let mut fields =
            Fields::of_body(br#"{"id": 5, "name": "", "amount": -1, "surprise": true}"#).unwrap();
        let _: String = fields.required("id", parse::slug);
        let _: String = fields.required("name", parse::display_name);
        let _: i64 = fields.required("amount", parse::whole(0, 10));
        let _: bool = fields.required("hard_cap", parse::boolean);
        let named: Vec<String> = fields.into_details().into_iter().map(|d| d.field).collect();
        assert_eq!(named, ["id", "name", "amount", "hard_cap", "surprise"]);
    }

    #[test]
    fn a_body_that_is_no_object_is_refused_by_name() {
        for body in ["", "  ", "[]", "5", "{", "{\"a\":}", "\u{feff}{}"] {
            let error = Fields::of_body(body.as_bytes()).unwrap_err();
            assert_eq!(error.details[0].field, "body", "{body}");
        }
        assert!(Fields::of_body(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn a_field_that_comes_twice_is_refused() {
        let mut fields = Fields::of_body(br#"{"a": "x", "a": "y"}"#).unwrap();
        let _: String = fields.required("a", parse::display_name);
        assert_eq!(fields.into_details()[0].message, "must be given once");
    }

    #[test]
    fn missing_null_and_a_value_are_three_things() {
        let mut fields = Fields::of_body(br#"{"a": null, "b": "x"}"#).unwrap();
        assert_eq!(fields.changed("a", parse::display_name), Some(None));
        assert_eq!(
            fields.changed("b", parse::display_name),
            Some(Some("x".to_owned()))
        );
        assert_eq!(fields.changed("c", parse::display_name), None);
        assert!(fields.finish().is_ok());
    }
}
