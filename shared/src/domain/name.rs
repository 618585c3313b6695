//! Rules for names and texts.

/// The longest display name, in characters.
pub const MAX_NAME: usize = 200;
/// The longest client id of a request or an event, in bytes.
pub const MAX_CLIENT_ID: usize = 128;

/// Returns true if `id` is a slug of an organisation or department: `[a-z0-9][a-z0-9_-]{0,63}`.
pub fn is_slug(id: &str) -> bool {
    let bytes = id.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

/// Returns true if `id` is a user id: `[A-Za-z0-9._@-]{1,128}`, and not only dots, which clients
/// take out of a path.
pub fn is_user_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'-'))
        && id.bytes().any(|b| b != b'.')
}

/// Returns true if `id` may identify a request or an event: 1 to 128 visible ASCII characters.
pub fn is_client_id(id: &str) -> bool {
    (1..=MAX_CLIENT_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
}

/// Returns true if `text` is a display name: 1 to 200 characters, no control characters, not only
/// spaces.
pub fn is_display_name(text: &str) -> bool {
    text.chars().count() <= MAX_NAME
        && !text.trim().is_empty()
        && !text.chars().any(char::is_control)
}

/// Returns true if `text` looks like a mail address: one `@` with text on both sides, at most 254
/// bytes.
pub fn is_email(text: &str) -> bool {
    text.len() <= 254
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && domain.len() > 2 && domain.contains('.') && !domain.contains('@')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_lower_case_and_start_with_a_letter_or_digit() {
        assert!(is_slug("engineering"));
        assert!(is_slug("0-a_b"));
        assert!(!is_slug(""));
        assert!(!is_slug("-a"));
        assert!(!is_slug("A"));
        assert!(!is_slug("a.b"));
        assert!(!is_slug(&"a".repeat(65)));
    }

    #[test]
    fn user_ids_and_mail_addresses_have_their_limits() {
        assert!(is_user_id("ada@example.com"));
        assert!(!is_user_id("ada lovelace"));
        assert!(is_user_id(".ada."));
        assert!(!is_user_id("."));
        assert!(!is_user_id(".."));
        assert!(!is_user_id(&"a".repeat(129)));
        assert!(is_email("ada@example.com"));
        assert!(!is_email("ada@example"));
        assert!(!is_email("@example.com"));
        assert!(!is_email("a@b@c.de"));
    }

    #[test]
    fn the_longest_slugs_and_names_are_taken() {
        assert!(is_slug(&"a".repeat(64)));
        assert!(
            is_display_name(&"é".repeat(MAX_NAME)),
            "characters, not bytes"
        );
        assert!(!is_display_name(&"é".repeat(MAX_NAME + 1)));
        assert!(!is_display_name("  ") && !is_display_name("a\u{7}"));
    }
}
