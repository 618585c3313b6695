//! Figures as the reports print them.

/// A number of tenths with one decimal.
pub(super) fn tenths(value: u64) -> String {
    format!("{}.{}", value / 10, value % 10)
}

/// `part` / `whole` with two decimals.
pub(super) fn ratio(part: u64, whole: u64) -> String {
    let hundredths = part.saturating_mul(100) / whole.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// Microseconds as milliseconds with two decimals.
pub(super) fn millis(micros: u64) -> String {
    ratio(micros, 1_000)
}

/// The smallest of the sorted values that `percent` of them do not exceed. 0 if there is none.
pub(super) fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

/// The processor time of this process so far, in hundredths of a second. None if the operating
/// system does not say.
pub(super) fn cpu_hundredths() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The processor time of a process so far, in microseconds, or of `self`. Threads that have ended
/// are not in it. None if the operating system does not say.
pub(super) fn cpu_micros(process: &str) -> Option<u64> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let mut nanos = 0_u64;
    for thread in threads {
        // A thread may end meanwhile.
        let path = thread.ok()?.path().join("schedstat");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        nanos += first_number(&text).unwrap_or(0);
    }
    Some(nanos / 1_000)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 50), 50);
        assert_eq!(percentile(&hundred, 99), 99);
        assert_eq!(percentile(&[7], 50), 7);
        assert_eq!(percentile(&[7], 99), 7);
        assert_eq!(percentile(&[1, 2, 3], 50), 2);
        assert_eq!(percentile(&[1, 2, 3], 99), 3);
        assert_eq!(percentile(&[], 50), 0);
    }

    #[test]
    fn the_processor_time_of_this_process_grows() {
        let before = cpu_micros("self").unwrap();
        let mut sum = 0_u64;
        while cpu_micros("self").unwrap() <= before {
            sum = std::hint::black_box((0..100_000_u64).fold(sum, u64::wrapping_add));
        }
        assert_eq!(cpu_micros("no-such-process"), None);
        assert_eq!(first_number("164285 10847239 2"), Some(164_285));
        assert_eq!(first_number(""), None);
    }

    #[test]
    fn figures_have_one_or_two_decimals() {
        assert_eq!(tenths(12), "1.2");
        assert_eq!(ratio(1, 3), "0.33");
        assert_eq!(millis(1_234), "1.23");
    }
}
