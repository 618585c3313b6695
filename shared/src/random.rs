//! Generates ids and secrets.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// Returns `N` unpredictable bytes.
///
/// # Errors
///
/// If the system has no randomness to give.
pub fn bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut out = [0; N];
    getrandom::fill(&mut out)?;
    Ok(out)
}

/// Returns a new id: the prefix and 24 hexadecimal digits.
pub fn id(prefix: &str) -> Result<String, getrandom::Error> {
    let digits = hex::encode(bytes::<12>()?);
    Ok(format!("{prefix}{digits}"))
}

/// Returns a new secret of 256 bits, with a prefix that scanners know.
pub fn secret(prefix: &str) -> Result<String, getrandom::Error> {
    Ok(format!(
        "{prefix}{}",
        URL_SAFE_NO_PAD.encode(bytes::<32>()?)
    ))
}

/// Returns whether `text` has the form of a [`secret`] with this prefix. Other texts need no
/// look-up.
pub fn could_be_secret(prefix: &str, text: &str) -> bool {
    let encoded = text.strip_prefix(prefix);
    let decoded = encoded.and_then(|encoded| URL_SAFE_NO_PAD.decode(encoded).ok());
    decoded.is_some_and(|bytes| bytes.len() == 32)
}

/// Returns whether `text` has the form of an [`id`] with this prefix.
pub fn could_be_id(prefix: &str, text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix(prefix)
        .is_some_and(|digits| digits.len() == 24 && digits.bytes().all(is_digit))
}

/// Returns a new secret for signing webhooks: `whsec_` and 256 bits in base64, as the Standard
/// Webhooks libraries read it.
pub fn signing_secret() -> Result<String, getrandom::Error> {
    Ok(format!("whsec_{}", STANDARD.encode(bytes::<32>()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_here_could_have_been_and_nothing_of_another_form() {
        for _ in 0..100 {
            assert!(could_be_secret("tk_", &secret("tk_").unwrap()));
            assert!(could_be_id("oac_", &id("oac_").unwrap()));
        }
        let right = secret("tk_").unwrap();
        for wrong in [
            String::new(),
            "tk_".to_owned(),
            "tk_nobody".to_owned(),
            right.replacen("tk_", "tks_", 1),
            right.replacen("tk_", "", 1),
            format!("{right}A"),
            right[..right.len() - 1].to_owned(),
            format!("{}=", &right[..right.len() - 1]),
            format!("tk_{}", "+".repeat(43)),
            // The last digit of 256 bits has two that are always zero
            format!("tk_{}B", "A".repeat(42)),
        ] {
            assert!(!could_be_secret("tk_", &wrong), "{wrong}");
        }
        for wrong in ["oac_nobody", "oac_", "oac_00000000000000000000000G"] {
            assert!(!could_be_id("oac_", wrong), "{wrong}");
        }
    }
}
