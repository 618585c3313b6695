//! The pause before an operation that met another one is tried again.

use crate::random;
use std::time::Duration;

/// The longest pause, in microseconds.
const MAX_MICROS: u64 = 50_000;

/// Waits before attempt `attempt + 1`: a random time of at most 1 ms after the first attempt,
/// twice that after each further one, and never more than 50 ms.
///
/// The time is random so that two writers that met once do not meet again.
pub(crate) async fn back_off(attempt: u32) {
    tokio::time::sleep(pause(attempt, spread(attempt))).await;
}

/// Returns two random bytes. Without randomness the attempt's own number has to do.
fn spread(attempt: u32) -> u64 {
    let bytes = random::bytes::<2>().map(u16::from_be_bytes);
    bytes.map_or(u64::from(attempt), u64::from)
}

/// Returns `spread`, which is below 65,536, as a share of the longest pause of an attempt.
fn pause(attempt: u32, spread: u64) -> Duration {
    let most = (1_000_u64 << attempt.min(6)).min(MAX_MICROS);
    Duration::from_micros(most * spread.min(65_535) / 65_535)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_at_most_twice_the_one_before_and_at_most_50_ms() {
        let most = |attempt| pause(attempt, 65_535).as_micros();
        assert_eq!([0, 1, 2, 5].map(most), [1_000, 2_000, 4_000, 32_000]);
        assert_eq!([6, 7, 63, u32::MAX].map(most), [50_000; 4]);
        assert_eq!(pause(3, 0), Duration::ZERO);
        assert_eq!(pause(0, 13_107).as_micros(), 200);
    }
}
