//! Limits how often a source may try unknown keys.
//!
//! Each instance counts in memory, for itself. A source that has failed often must wait. Known keys
//! from there still pass, because many people may share one address. If it continues, its keys are
//! not looked up.

use super::error::{ApiError, ErrorCode};
use super::source::Source;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How many failures in a minute are answered with 401. Further ones are answered with 429.
pub const ANSWERED: u32 = 30;
/// How many failures in a minute may read the database.
pub const READ: u32 = 300;
/// How long failures are counted together.
const WINDOW: Duration = Duration::from_secs(60);
/// The most sources that an instance counts.
const MAX_SOURCES: usize = 10_000;

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Instant,
    failed: u32,
}

/// The failures of sources. Clones share the counts.
#[derive(Clone, Debug)]
pub struct Failures {
    is_limited: bool,
    windows: Arc<Mutex<HashMap<Source, Window>>>,
}

impl Failures {
    /// Counts failures if `is_limited`. Otherwise every request passes.
    pub fn new(is_limited: bool) -> Self {
        Self {
            is_limited,
            windows: Arc::default(),
        }
    }

    /// Refuses a source that has failed so often that its keys are not looked up.
    pub fn check(&self, source: Option<Source>, now: Instant) -> Result<(), ApiError> {
        let Some(source) = source.filter(|_| self.is_limited) else {
            return Ok(());
        };
        let windows = self.windows.lock().ok();
        let window = windows.and_then(|windows| windows.get(&source).copied());
        match window.filter(|window| window.is_open(now)) {
            Some(window) if window.failed >= READ => Err(window.refusal(now)),
            _ => Ok(()),
        }
    }

    /// Counts a failure and returns its answer: 401 with `message`, or 429 above the limit.
    pub fn add(&self, source: Option<Source>, message: &str, now: Instant) -> ApiError {
        let unknown = || ApiError::new(ErrorCode::Unauthorized, message);
        let Some(source) = source.filter(|_| self.is_limited) else {
            return unknown();
        };
        let Ok(mut windows) = self.windows.lock() else {
            return unknown();
        };
        if windows.len() >= MAX_SOURCES && !windows.contains_key(&source) {
            make_room(&mut windows, now);
        }
        let opened = Window {
            since: now,
            failed: 0,
        };
        let window = windows.entry(source).or_insert(opened);
        if !window.is_open(now) {
            *window = opened;
        }
        window.failed = window.failed.saturating_add(1);
        match window.failed > ANSWERED {
            true => window.refusal(now),
            false => unknown(),
        }
    }
}

impl Window {
    fn is_open(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < WINDOW
    }

    fn refusal(&self, now: Instant) -> ApiError {
        let rest = WINDOW.saturating_sub(now.saturating_duration_since(self.since));
        let seconds = rest.as_secs().saturating_add(1);
        let message =
            format!("too many unknown keys came from this address; retry in {seconds} seconds");
        let mut error = ApiError::new(ErrorCode::RateLimited, message);
        error.retry_after_seconds = Some(seconds);
        error
    }
}

/// Removes the windows that have ended. If that is not enough, removes those under the limit, then
/// all.
fn make_room(windows: &mut HashMap<Source, Window>, now: Instant) {
    windows.retain(|_, window| window.is_open(now));
    if windows.len() >= MAX_SOURCES {
        windows.retain(|_, window| window.failed > ANSWERED);
    }
    if windows.len() >= MAX_SOURCES {
        windows.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn source(n: u32) -> Option<Source> {
        Some(IpAddr::V4(Ipv4Addr::from_bits(n)).into())
    }

    #[test]
    fn thirty_failures_a_minute_are_answered_and_the_next_are_told_to_wait() {
        let (failures, start) = (Failures::new(true), Instant::now());
        let fail =
            |of, seconds| failures.add(source(of), "no", start + Duration::from_secs(seconds));
        for _ in 0..ANSWERED {
            assert_eq!(fail(1, 0).code, ErrorCode::Unauthorized);
        }
        let over = fail(1, 20);
        assert_eq!(over.code, ErrorCode::RateLimited);
        assert_eq!(over.retry_after_seconds, Some(41));
        assert_eq!(fail(2, 20).code, ErrorCode::Unauthorized, "another source");
        assert_eq!(fail(1, 60).code, ErrorCode::Unauthorized, "a minute later");
    }

    #[test]
    fn after_three_hundred_nothing_is_looked_up_until_the_minute_is_over() {
        let (failures, start) = (Failures::new(true), Instant::now());
        let late = start + Duration::from_secs(60);
        for _ in 0..READ {
            assert!(failures.check(source(1), start).is_ok());
            failures.add(source(1), "no", start);
        }
        let refused = failures.check(source(1), start).unwrap_err();
        assert_eq!(refused.code, ErrorCode::RateLimited);
        assert!(failures.check(source(2), start).is_ok());
        assert!(failures.check(source(1), late).is_ok());
    }

    #[test]
    fn nobody_waits_if_the_source_is_not_known_or_nothing_is_limited() {
        let now = Instant::now();
        for (failures, source) in [
            (Failures::new(true), None),
            (Failures::new(false), source(1)),
        ] {
            for _ in 0..READ + 1 {
                let answer = failures.add(source, "no", now);
                assert_eq!(answer.code, ErrorCode::Unauthorized);
            }
            assert!(failures.check(source, now).is_ok());
        }
    }

    #[test]
    fn many_sources_do_not_fill_the_memory_nor_free_one_that_is_over() {
        let (failures, now) = (Failures::new(true), Instant::now());
        for _ in 0..=ANSWERED {
            failures.add(source(0), "no", now);
        }
        let all = u32::try_from(MAX_SOURCES).unwrap();
        for n in 1..all + 50 {
            failures.add(source(n), "no", now);
        }
        assert!(failures.windows.lock().unwrap().len() <= MAX_SOURCES);
        let still = failures.add(source(0), "no", now);
        assert_eq!(still.code, ErrorCode::RateLimited);
    }
}
