//! Lists in pages: limits, filters, and cursors that nobody can alter.

use super::error::{ApiError, Detail};
use super::parse;
use super::secrets::Secret;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The parameters of a request's query, taken one by one.
#[derive(Debug, Default)]
pub struct Parameters {
    values: BTreeMap<String, String>,
    invalid: Vec<Detail>,
}

impl Parameters {
    /// Reads a query string. A repeated name is an error.
    pub fn of_query(query: Option<&str>) -> Self {
        let mut parameters = Self::default();
        for (name, value) in form_pairs(query.unwrap_or_default()) {
            if parameters.values.insert(name.clone(), value).is_some() {
                parameters.refuse(&name, "must be given once");
            }
        }
        parameters
    }

    /// Whether a parameter is present and was not taken yet.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Reports a parameter as invalid.
    pub fn refuse(&mut self, name: &str, message: &str) {
        let shown: String = name.chars().take(64).collect();
        self.invalid.push(Detail {
            field: shown,
            message: message.to_owned(),
        });
    }

    /// Takes a parameter, if it is present and `check` accepts it.
    pub fn take<T>(
        &mut self,
        name: &str,
        rule: &str,
        check: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.values.remove(name)?;
        let checked = check(&value);
        if checked.is_none() {
            self.refuse(name, rule);
        }
        checked
    }

    /// Takes a parameter that is the name of an enum's variant, if it is present.
    pub fn name<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let rule = parse::name_of::<T>("").err().unwrap_or_default();
        self.take(name, &rule, |text| parse::name_of(text).ok())
    }

    /// The same for a parameter that must be present. None if it is invalid: [`Self::finish`] then
    /// returns the error.
    pub fn required_name<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        if !self.values.contains_key(name) {
            self.refuse(name, "is required");
        }
        self.name(name)
    }

    /// Takes a parameter that is one of several names, if it is present.
    pub fn one_of<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let rule = format!("must be one of {}", names.join(", "));
        self.take(name, &rule, |text| {
            let found = choices.iter().find(|(name, _)| *name == text);
            found.map(|(_, value)| *value)
        })
    }

    /// Takes a parameter that must be present.
    pub fn required(&mut self, name: &str, rule: &str, check: impl Fn(&str) -> bool) -> String {
        if !self.values.contains_key(name) {
            self.refuse(name, "is required");
        }
        let take = |value: &str| check(value).then(|| value.to_owned());
        self.take(name, rule, take).unwrap_or_default()
    }

    /// Returns an error that names every invalid or unknown parameter, if there is one.
    pub fn finish(mut self) -> Result<(), ApiError> {
        for name in std::mem::take(&mut self.values).into_keys() {
            self.refuse(&name, "is not a known parameter");
        }
        if self.invalid.is_empty() {
            Ok(())
        } else {
            Err(ApiError::invalid(self.invalid))
        }
    }
}

/// Returns the pairs of `application/x-www-form-urlencoded` text.
pub fn form_pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

/// A request's page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// How many items: 1 to 100.
    pub limit: usize,
    /// The place that the page begins after.
    pub after: Option<String>,
}

/// Signs cursors, so that an altered one is rejected. The secret must have been read before.
#[derive(Clone, Debug)]
pub struct Cursors {
    secret: Secret,
}

const TAG: usize = 16;

/// Returns the tag of a cursor, which covers its list (owner, name and filters) and its place.
fn tag(secret: &str, list: &str, after: &str) -> Option<[u8; TAG]> {
    let mut key = Sha256::new();
    key.update(b"toktra cursors\0");
    key.update(secret.as_bytes());
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.finalize()).ok()?;
    mac.update(list.as_bytes());
    mac.update(&[0]);
    mac.update(after.as_bytes());
    let tag = mac.finalize().into_bytes();
    tag.first_chunk::<TAG>().copied()
}

impl Cursors {
    /// Creates cursors that are signed with keys derived from a secret of the deployment.
    pub fn new(secret: Secret) -> Self {
        Self { secret }
    }

    /// Returns the tags that a cursor may have, that of the secret's current value first.
    fn tags(&self, list: &str, after: &str) -> Vec<[u8; TAG]> {
        let versions = self.secret.known();
        let secrets = versions.iter().flat_map(|versions| versions.all());
        secrets
            .filter_map(|secret| tag(secret, list, after))
            .collect()
    }

    /// Returns the cursor that continues `list` after `after`.
    pub fn write(&self, list: &str, after: &str) -> String {
        let tags = self.tags(list, after);
        let mut bytes = tags.first().map(|tag| tag.to_vec()).unwrap_or_default();
        bytes.extend_from_slice(after.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Returns the place after which a cursor continues `list`, or None if the cursor was altered.
    pub fn read(&self, list: &str, cursor: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (tag, after) = bytes.split_first_chunk::<TAG>()?;
        let after = std::str::from_utf8(after).ok()?;
        let is_ours = self.tags(list, after).contains(tag);
        is_ours.then(|| after.to_owned())
    }

    /// Takes `limit` and `cursor` out of the parameters of `list`.
    pub fn page(&self, parameters: &mut Parameters, list: &str) -> PageRequest {
        let limit = parameters.take("limit", "must be a whole number from 1 to 100", |text| {
            text.parse().ok().filter(|limit| (1..=100).contains(limit))
        });
        let after = parameters.take(
            "cursor",
            "must be a next_cursor of the same list, unchanged",
            |text| self.read(list, text),
        );
        PageRequest {
            limit: limit.unwrap_or(25),
            after,
        }
    }
}

/// A page as clients see it.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Page))]
pub struct PageBody<T> {
    pub items: Vec<T>,
    /// What to ask for next; null at the end.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub next_cursor: Option<String>,
    /// Whether there is more.
    pub has_more: bool,
}

impl<T> PageBody<T> {
    /// Creates a page whose next one begins after `next`.
    pub fn new(items: Vec<T>, next: Option<&str>, cursors: &Cursors, list: &str) -> Self {
        let next_cursor = next.map(|after| cursors.write(list, after));
        Self {
            items,
            has_more: next_cursor.is_some(),
            next_cursor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::secrets::tests::Manager;

    async fn cursors(manager: &Manager) -> Cursors {
        let secret = manager.secret();
        secret.versions().await.unwrap();
        Cursors::new(secret)
    }

    #[tokio::test]
    async fn a_cursor_is_read_by_its_own_list_only_and_unaltered_only() {
        let manager = Manager::with(&["secret"]);
        let cursors = cursors(&manager).await;
        let cursor = cursors.write("acme users", "ada");
        assert_eq!(cursors.read("acme users", &cursor).as_deref(), Some("ada"));
        assert_eq!(cursors.read("acme budgets", &cursor), None);
        let other = super::tests::cursors(&Manager::with(&["other"])).await;
        assert_eq!(other.read("acme users", &cursor), None);
        let mut altered = cursor.into_bytes();
        let last = altered.len() - 2;
        altered[last] ^= 1;
        assert_eq!(
            cursors.read("acme users", std::str::from_utf8(&altered).unwrap()),
            None
        );
    }

    #[tokio::test]
    async fn unknown_double_and_wrong_parameters_are_named() {
        let mut parameters = Parameters::of_query(Some("limit=0&x=%41&limit=5&y=a+b"));
        let page = cursors(&Manager::with(&["s"]))
            .await
            .page(&mut parameters, "l");
        assert_eq!(page.limit, 5);
        let error = parameters.finish().unwrap_err();
        let named: Vec<&str> = error.details.iter().map(|d| d.field.as_str()).collect();
        assert_eq!(named, ["limit", "x", "y"]);
        let pairs = form_pairs("a=a%20b+c%zz&&b");
        let expected = [("a", "a b c%zz"), ("b", "")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs, expected);
    }
}
