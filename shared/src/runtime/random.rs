//! New ids and secrets.

use crate::domain::hex::hex;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// `N` unpredictable bytes.
///
/// # Errors
/// Where the system has no randomness to give.
pub fn bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut out = [0; N];
    getrandom::fill(&mut out)?;
    Ok(out)
}

/// A new id: the prefix and 24 hexadecimal digits.
pub fn id(prefix: &str) -> Result<String, getrandom::Error> {
    let digits = hex(&bytes::<12>()?);
    Ok(format!("{prefix}{digits}"))
}

/// A new secret of 256 bits, with a prefix that scanners know.
pub fn secret(prefix: &str) -> Result<String, getrandom::Error> {
    Ok(format!(
        "{prefix}{}",
        URL_SAFE_NO_PAD.encode(bytes::<32>()?)
    ))
}

/// A new secret that webhooks are signed with: `whsec_` and 256 bits in base64, as the Standard Webhooks libraries read it.
pub fn signing_secret() -> Result<String, getrandom::Error> {
    Ok(format!("whsec_{}", STANDARD.encode(bytes::<32>()?)))
}
