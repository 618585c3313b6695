//! Sums of records by department and user, which the totals of a month are compared with.

use super::self_audit::{Difference, Subject};
use crate::domain::amount::Amounts;
use crate::domain::period::Month;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// A total that records add to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    pub month: Month,
    pub book: Book,
    /// The path of the department, or the id of the user.
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Book {
    Department,
    User,
}

/// What is known of one total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The records of settled days.
    pub settled: Amounts,
    /// The records of the days after them.
    pub recent: Amounts,
    /// The total, as it was before the recent records were read.
    pub total: Amounts,
}

/// The sums of an organisation's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums(BTreeMap<Account, Line>);

/// A line of text is not a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sum of records is malformed")]
pub struct UnreadableSum;

impl Sums {
    pub fn lines(&self) -> impl Iterator<Item = (&Account, &Line)> {
        self.0.iter()
    }

    /// Adds a record. `is_settled` says whether it arrived on a settled day.
    pub fn add(&mut self, account: Account, more: Amounts, is_settled: bool) {
        let line = self.0.entry(account).or_default();
        let sum = match is_settled {
            true => &mut line.settled,
            false => &mut line.recent,
        };
        *sum = sum.saturating_add(more);
    }

    /// Sets the totals as they are before the recent records are read.
    pub fn set_totals(&mut self, totals: BTreeMap<Account, Amounts>) {
        for (account, total) in totals {
            self.0.entry(account).or_default().total = total;
        }
    }

    /// Forgets what the last look added up: everything if this one reads all records, otherwise
    /// what it knew of recent days.
    pub fn begin_look(&mut self, is_whole: bool) {
        if is_whole {
            self.0.clear();
        }
        self.0.retain(|_, line| {
            let settled = line.settled;
            *line = Line {
                settled,
                ..Line::default()
            };
            settled != Amounts::ZERO
        });
    }

    /// Keeps what the next comparison needs, whose first month is `first` or a later one.
    pub fn keep(&mut self, first: Option<Month>) {
        self.begin_look(false);
        self.0.retain(|account, _| Some(account.month) >= first);
    }

    /// Returns the sums of `months` that are not between two readings of their totals: the one
    /// before the recent records were read, and `totals` after that.
    pub fn differences(
        &self,
        months: &[Month],
        totals: &BTreeMap<Account, Amounts>,
    ) -> Vec<Difference> {
        let summed = self.0.keys().filter(|of| months.contains(&of.month));
        let accounts: BTreeSet<&Account> = summed.chain(totals.keys()).collect();
        let mut found = Vec::new();
        for account in accounts {
            let line = self.0.get(account).copied().unwrap_or_default();
            let expected = line.settled.saturating_add(line.recent);
            let (was, is) = (line.total, totals.get(account).copied().unwrap_or_default());
            let differences = Difference::between(account.month, &account.subject(), expected, is);
            found.extend(differences.into_iter().filter(|of| {
                let (was, is) = (was.of(of.unit), is.of(of.unit));
                !(was.min(is)..=was.max(is)).contains(&of.expected)
            }));
        }
        found
    }
}

impl FromIterator<(Account, Line)> for Sums {
    fn from_iter<T: IntoIterator<Item = (Account, Line)>>(lines: T) -> Self {
        Self(lines.into_iter().collect())
    }
}

impl Account {
    fn subject(&self) -> Subject {
        match self.book {
            Book::Department => Subject::Department {
                path: self.name.clone(),
            },
            Book::User => Subject::User {
                id: self.name.clone(),
            },
        }
    }
}

/// A sum as a line of text: month, book, three pairs of tokens and pico-USD, and the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextOf(pub Account, pub Line);

impl fmt::Display for TextOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(account, line) = self;
        let book = match account.book {
            Book::Department => 'd',
            Book::User => 'u',
        };
        write!(f, "{} {book}", account.month)?;
        for amounts in [line.settled, line.recent, line.total] {
            write!(f, " {} {}", amounts.tokens, amounts.pico_usd)?;
        }
        write!(f, " {}", account.name)
    }
}

impl FromStr for TextOf {
    type Err = UnreadableSum;

    fn from_str(text: &str) -> Result<Self, UnreadableSum> {
        let mut parts = text.splitn(9, ' ');
        let month = part(parts.next())?;
        let book = match parts.next() {
            Some("d") => Book::Department,
            Some("u") => Book::User,
            _ => return Err(UnreadableSum),
        };
        let mut amounts = || Ok(Amounts::new(part(parts.next())?, part(parts.next())?));
        let line = Line {
            settled: amounts()?,
            recent: amounts()?,
            total: amounts()?,
        };
        let name = parts.next().ok_or(UnreadableSum)?.to_owned();
        Ok(Self(Account { month, book, name }, line))
    }
}

fn part<T: FromStr>(text: Option<&str>) -> Result<T, UnreadableSum> {
    let parsed = text.and_then(|text| text.parse().ok());
    parsed.ok_or(UnreadableSum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::month;

    fn account(name: &str) -> Account {
        Account {
            month: month("2026-11"),
            book: Book::User,
            name: name.to_owned(),
        }
    }

    fn tokens(tokens: i64) -> Amounts {
        Amounts::new(tokens, i128::from(tokens) * 7)
    }

    /// The tokens of the differences of a total that was `was` and is `is`, if its records say
    /// `settled` and `recent`.
    fn found(settled: i64, recent: i64, was: i64, is: i64) -> Vec<(i128, i128)> {
        let mut sums = Sums::default();
        sums.set_totals(BTreeMap::from([(account("ada"), tokens(was))]));
        sums.add(account("ada"), tokens(settled), true);
        sums.add(account("ada"), tokens(recent), false);
        let after = BTreeMap::from([(account("ada"), tokens(is))]);
        let found = sums.differences(&[month("2026-11")], &after);
        let of_tokens = found.iter().step_by(2);
        of_tokens.map(|of| (of.expected, of.found)).collect()
    }

    #[test]
    fn records_agree_with_a_total_that_grew_past_them_while_they_were_read_and_with_no_other() {
        for (was, is, agrees) in [
            (12, 12, true),
            (10, 13, true),
            (12, 15, true),
            (13, 15, false),
            (5, 11, false),
            (0, 0, false),
        ] {
            let found = found(7, 5, was, is);
            assert_eq!(found.is_empty(), agrees, "{was} {is}");
            assert!(agrees || found == [(12, is.into())], "{found:?}");
        }
    }

    #[test]
    fn a_total_without_records_and_records_without_a_total_differ_in_both_units() {
        let (one, other) = (account("ada"), account("bea"));
        let totals = BTreeMap::from([(other, tokens(2))]);
        let mut sums = Sums::default();
        sums.set_totals(totals.clone());
        sums.add(one, tokens(1), true);
        let found = sums.differences(&[month("2026-11")], &totals);
        assert_eq!(found.len(), 4);
        let of_later = sums.differences(&[month("2026-12")], &BTreeMap::new());
        assert_eq!(of_later, [], "another month is not compared");
    }

    #[test]
    fn a_look_begins_with_what_is_settled_or_with_nothing() {
        let filled = || {
            let mut sums = Sums::default();
            sums.set_totals(BTreeMap::from([(account("ada"), tokens(9))]));
            sums.add(account("ada"), tokens(7), true);
            sums.add(account("bea"), tokens(5), false);
            sums
        };
        let settled = Line {
            settled: tokens(7),
            ..Line::default()
        };
        let mut sums = filled();
        sums.begin_look(false);
        assert_eq!(sums, Sums::from_iter([(account("ada"), settled)]));
        sums.keep(Some(month("2026-12")));
        assert_eq!(sums, Sums::default());
        let mut sums = filled();
        sums.begin_look(true);
        assert_eq!(sums, Sums::default());
    }

    #[test]
    fn a_sum_reads_as_written_whatever_its_name_has() {
        for (name, pico_usd) in [
            ("", 0),
            ("ada", -5),
            ("a b  c", i128::from(i64::MAX) * 1_000),
        ] {
            for book in [Book::Department, Book::User] {
                let of = Account {
                    book,
                    ..account(name)
                };
                let line = Line {
                    settled: Amounts::new(1, pico_usd),
                    recent: Amounts::new(-2, 3),
                    total: tokens(4),
                };
                let text = TextOf(of, line);
                assert_eq!(text.to_string().parse(), Ok(text));
            }
        }
        for text in [
            "",
            "2026-11 d 1 2 3 4 5 6",
            "2026-11 x 1 2 3 4 5 6 ada",
            "2026-11 d 1",
        ] {
            assert_eq!(text.parse::<TextOf>(), Err(UnreadableSum), "{text}");
        }
    }
}
