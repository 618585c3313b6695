//! Patterns of names, in which `*` stands for any characters.

/// Returns true if `text` fits `pattern`, in which `*` matches any characters, also none.
pub fn fits(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (text, pattern) in [
            ("gpt-4o", "gpt-4o"),
            ("gpt-4o-mini", "gpt-4*"),
            ("gpt-4o-mini", "*mini"),
            ("gpt-4o-mini", "*4*mini"),
            ("gpt-4o-mini", "*"),
            ("aba", "a*a"),
            ("aXbXc", "a*b*c"),
        ] {
            assert!(fits(text, pattern), "{text} {pattern}");
        }
        for (text, pattern) in [
            ("gpt-4o", "gpt-4"),
            ("a", "a*a"),
            ("gpt-4o-mini", "claude*"),
            ("abc", "*b"),
            ("abab", "ab*aab"),
        ] {
            assert!(!fits(text, pattern), "{text} {pattern}");
        }
    }
}
