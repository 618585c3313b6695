//! Webhooks of an organisation: where its own systems are told.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The most webhooks of an organisation.
pub const MAX_WEBHOOKS: u64 = 100;
/// The longest url, in bytes.
const MAX_URL: usize = 2_048;

/// A receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Made here: `whk_...`.
    pub id: String,
    /// Where it posts.
    pub url: String,
    /// What it signs with, sealed.
    pub sealed_secret: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Whether `url` has the form of a receiver: `https`, a host, and neither a user nor a fragment.
pub fn is_receiver(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else {
        return false;
    };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    url.len() <= MAX_URL
        && url.bytes().all(|b| b.is_ascii_graphic())
        && !url.contains(['#', '\\', '"', '<', '>'])
        && !host.contains('@')
        && host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_https_with_a_host() {
        assert!(is_receiver("https://example.com"));
        assert!(is_receiver("https://example.com:8443/hook?x=1"));
        for wrong in [
            "http://example.com",
            "https://",
            "https:///x",
            "https://user@example.com",
            "https://example.com/#x",
            "https://exa mple.com",
            "ftp://example.com",
            "",
        ] {
            assert!(!is_receiver(wrong), "{wrong}");
        }
    }
}
