//! Short labels that a client gives its usage: tags and metadata. They are no place for prompts or
//! answers.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most tags of an event.
pub const MAX_TAGS: usize = 20;
/// The most characters of a tag.
pub const MAX_TAG: usize = 100;
/// The most entries of an event's metadata.
pub const MAX_ENTRIES: usize = 16;
/// The most characters of the name of an entry.
pub const MAX_NAME: usize = 64;
/// The most characters of the value of an entry.
pub const MAX_VALUE: usize = 200;

/// What a client says of an event for its own use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Labels {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// By name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// Whether a text may be the name of an entry of metadata.
pub fn is_entry_name(text: &str) -> bool {
    let is_right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=MAX_NAME).contains(&text.len()) && text.chars().all(is_right)
}
