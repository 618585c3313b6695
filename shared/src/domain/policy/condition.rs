//! Conditions: one field of an event compared with a value.

use super::facts::{Facts, Kind};
use super::field::{Field, Op};
use crate::domain::ledger::usage::RiskLevel;
use crate::domain::org::department::Path;
use crate::domain::pattern::fits;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// A value to compare with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scalar {
    Level(RiskLevel),
    /// A user, department, model or pattern.
    Text(String),
    Number(i64),
    Minute(i64),
    Flag(bool),
}

/// The right-hand side of a condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operand {
    One(Scalar),
    Several(Vec<Scalar>),
    /// From the first to the second.
    Range(Scalar, Scalar),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    pub field: Field,
    pub op: Op,
    pub value: Operand,
}

/// The result of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub holds: bool,
    /// True if the event lacks the field.
    pub is_missing: bool,
}

/// Returns the minutes since midnight of `22:05`. None for anything else.
pub fn minute_of_day(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |part: &str, below: i64| {
        let is_right = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        let value: i64 = part.parse().ok().filter(|_| is_right)?;
        (value < below).then_some(value)
    };
    Some(digits(hour, 24)? * 60 + digits(minute, 60)?)
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(level) => f.write_str(level.as_str()),
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Minute(minute) => write!(f, "{:02}:{:02}", minute / 60, minute % 60),
            Self::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.field.as_str(), self.op.as_str())?;
        match &self.value {
            Operand::One(value) => write!(f, "{value}"),
            Operand::Range(from, to) => write!(f, "{from} to {to}"),
            Operand::Several(values) => {
                let all: Vec<String> = values.iter().map(Scalar::to_string).collect();
                f.write_str(&all.join(", "))
            }
        }
    }
}

/// An event's value of a field.
#[derive(Clone, Copy, Debug)]
enum Actual<'a> {
    Level(RiskLevel),
    Text(&'a str),
    /// The reported name, and the one that its price was found by.
    Model(&'a str, Option<&'a str>),
    Number(i64),
    Minute(i64),
    Flag(bool),
    Department(&'a Path),
}

impl Actual<'_> {
    /// Compares it with `value`. None if their types differ. A department equals those above it,
    /// and a model either of its names.
    fn compare(self, value: &Scalar) -> Option<Ordering> {
        match (self, value) {
            (Self::Level(actual), Scalar::Level(value)) => Some(actual.cmp(value)),
            (Self::Text(actual), Scalar::Text(value)) => Some(actual.cmp(value)),
            (Self::Model(_, Some(matched)), Scalar::Text(value)) if matched == value => {
                Some(Ordering::Equal)
            }
            (Self::Model(reported, _), Scalar::Text(value)) => Some(reported.cmp(value)),
            (Self::Flag(actual), Scalar::Flag(value)) => Some(actual.cmp(value)),
            (Self::Number(actual), Scalar::Number(value))
            | (Self::Minute(actual), Scalar::Minute(value)) => Some(actual.cmp(value)),
            (Self::Department(path), Scalar::Text(id)) => Some(if path.is_under(Some(id)) {
                Ordering::Equal
            } else {
                Ordering::Less
            }),
            _ => None,
        }
    }
}

impl fmt::Display for Actual<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Level(level) => f.write_str(level.as_str()),
            Self::Text(text) | Self::Model(text, None) => f.write_str(text),
            Self::Model(reported, Some(matched)) => write!(f, "{reported} ({matched})"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Minute(minute) => Scalar::Minute(minute).fmt(f),
            Self::Department(path) => f.write_str(&path.to_text()),
        }
    }
}

impl Condition {
    /// Returns the value of the field in `facts`, seen from the department `path`.
    fn actual<'a>(&self, facts: &'a Facts, path: &'a Path) -> Option<Actual<'a>> {
        match (self.field, &facts.kind) {
            (Field::RiskLevel, Kind::Risk { risk_level, .. }) => Some(Actual::Level(*risk_level)),
            (Field::TokenCount, Kind::Usage { spent, .. }) => {
                Some(Actual::Number(spent.charged.tokens))
            }
            (Field::ModelId, Kind::Usage { model, matched, .. }) => {
                Some(Actual::Model(model, matched.as_deref()))
            }
            (Field::ModelAllowed, Kind::Usage { is_allowed, .. }) => {
                Some(Actual::Flag(*is_allowed))
            }
            (Field::UserId, _) => facts.user_id.as_deref().map(Actual::Text),
            (Field::DepartmentId, _) => (!path.0.is_empty()).then_some(Actual::Department(path)),
            (Field::TimeOfDay, _) => Some(Actual::Minute(facts.minute)),
            _ => None,
        }
    }

    /// Evaluates the condition on `facts`, seen from the department `path`.
    pub fn verdict(&self, facts: &Facts, path: &Path) -> Verdict {
        match self.actual(facts, path) {
            None => Verdict {
                holds: self.op.is_denial(),
                is_missing: true,
            },
            Some(actual) => Verdict {
                holds: self.holds(actual),
                is_missing: false,
            },
        }
    }

    fn holds(&self, actual: Actual<'_>) -> bool {
        let is = |value: &Scalar, wanted: &[Ordering]| {
            actual.compare(value).is_some_and(|is| wanted.contains(&is))
        };
        use Ordering::{Equal, Greater, Less};
        match (&self.value, self.op) {
            (Operand::One(value), Op::Eq) => is(value, &[Equal]),
            (Operand::One(value), Op::Ne) => !is(value, &[Equal]),
            (Operand::One(value), Op::Gt) => is(value, &[Greater]),
            (Operand::One(value), Op::Gte) => is(value, &[Greater, Equal]),
            (Operand::One(value), Op::Lt) => is(value, &[Less]),
            (Operand::One(value), Op::Lte) => is(value, &[Less, Equal]),
            (Operand::One(Scalar::Text(id)), Op::EqExact) => match actual {
                Actual::Department(path) => path.department_id() == Some(id),
                _ => false,
            },
            (Operand::One(Scalar::Text(pattern)), Op::Matches) => match actual {
                Actual::Text(text) => fits(text, pattern),
                Actual::Model(reported, matched) => {
                    fits(reported, pattern) || matched.is_some_and(|name| fits(name, pattern))
                }
                _ => false,
            },
            (Operand::Several(values), Op::In) => values.iter().any(|value| is(value, &[Equal])),
            (Operand::Several(values), Op::NotIn) => {
                !values.iter().any(|value| is(value, &[Equal]))
            }
            (Operand::Range(from, to), Op::Between) => {
                let (after, before) = (is(from, &[Greater, Equal]), is(to, &[Less, Equal]));
                match (from, to) {
                    // From 22:00 to 06:00 means after the first or before the second.
                    (Scalar::Minute(from), Scalar::Minute(to)) if from > to => after || before,
                    _ => after && before,
                }
            }
            _ => false,
        }
    }

    /// Explains the condition and the value found, in one line.
    pub fn why(&self, facts: &Facts, path: &Path) -> String {
        let verdict = self.verdict(facts, path);
        let outcome = if verdict.holds {
            "holds"
        } else {
            "does not hold"
        };
        match self.actual(facts, path) {
            Some(actual) => format!("{self}: {outcome}, it is {actual}"),
            None => format!(
                "{self}: {outcome}, the event has no {}",
                self.field.as_str()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_have_two_digits_each() {
        assert_eq!(minute_of_day("22:05"), Some(1325));
        assert_eq!(minute_of_day("00:00"), Some(0));
        for wrong in ["24:00", "22:60", "2:05", "22", "22:5", "-1:00", "+1:00", ""] {
            assert_eq!(minute_of_day(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_range_of_times_has_both_ends_and_may_pass_midnight() {
        let minute = |text| minute_of_day(text).unwrap();
        for (from, to, at, expected) in [
            ("08:00", "08:00", "08:00", true),
            ("08:00", "08:00", "07:59", false),
            ("08:00", "08:00", "08:01", false),
            ("08:00", "17:30", "17:30", true),
            ("08:00", "17:30", "17:31", false),
            ("22:00", "06:00", "22:00", true),
            ("22:00", "06:00", "06:00", true),
            ("22:00", "06:00", "06:01", false),
            ("22:00", "06:00", "21:59", false),
        ] {
            let [first, last] = [from, to].map(|text| Scalar::Minute(minute(text)));
            let condition = Condition {
                field: Field::TimeOfDay,
                op: Op::Between,
                value: Operand::Range(first, last),
            };
            let holds = condition.holds(Actual::Minute(minute(at)));
            assert_eq!(holds, expected, "{at} between {from} and {to}");
        }
    }
}
