//! The forms in which dates stand behind the names of models.

/// Splits a date from the end of a name, and returns its digits: `-2025-08-07`, `-20250807`,
/// `-08-2024`, `-2025-09`, `-05-06`, `-251201`, `-0613` (a day) and `-2411` (a month).
pub(super) fn dated(name: &str) -> Option<(&str, String)> {
    for length in [10, 8, 7, 6, 5, 4] {
        let at = name.len().saturating_sub(length);
        let Some((before, date)) = name.split_at_checked(at) else {
            continue;
        };
        let before = before.strip_suffix('-').filter(|before| !before.is_empty());
        if let (Some(before), true) = (before, is_date(date)) {
            return Some((before, date.replace('-', "")));
        }
    }
    None
}

fn is_date(text: &str) -> bool {
    if !text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return false;
    }
    // Years have four digits, or two.
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        [year, month, day] => is_year(year, 4) && is_month(month) && is_day(day),
        [one, other] => {
            is_year(one, 4) && is_month(other)
                || is_month(one) && (is_year(other, 4) || is_day(other))
        }
        [digits] => is_undivided(digits),
        _ => false,
    }
}

/// Whether digits are a day with a year, a day, or a month with a year.
fn is_undivided(digits: &str) -> bool {
    let cut = |at: usize| digits.split_at_checked(at);
    match digits.len() {
        8 => cut(4).is_some_and(|(year, day)| is_year(year, 4) && is_month_and_day(day)),
        6 => cut(2).is_some_and(|(year, day)| is_year(year, 2) && is_month_and_day(day)),
        4 => {
            let is_month_of_year =
                |(year, month): (&str, &str)| is_year(year, 2) && is_month(month);
            is_month_and_day(digits) || cut(2).is_some_and(is_month_of_year)
        }
        _ => false,
    }
}

fn is_month_and_day(digits: &str) -> bool {
    let halves = digits.split_at_checked(2);
    halves.is_some_and(|(month, day)| is_month(month) && is_day(day))
}

fn is_year(text: &str, digits: usize) -> bool {
    let century = if digits == 4 { 2000 } else { 0 };
    text.len() == digits && is_within(text, century + 20, century + 49)
}

fn is_month(text: &str) -> bool {
    text.len() == 2 && is_within(text, 1, 12)
}

fn is_day(text: &str) -> bool {
    text.len() == 2 && is_within(text, 1, 31)
}

fn is_within(text: &str, least: u32, most: u32) -> bool {
    text.parse()
        .is_ok_and(|number: u32| (least..=most).contains(&number))
}
