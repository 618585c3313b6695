//! Reads the name of a model: who sells it, where it runs, the model itself, and its version.

use super::dates::dated;
use super::rules::{Called, Rules};

/// The longest name that is read, in bytes.
const LONGEST: usize = 400;

/// The version behind the name of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// The name has no version.
    None,
    /// `-latest`, or `@default`.
    Latest,
    /// A date, as its digits: `20250807`, `0613`. Or the number of a revision: `@001`.
    Date(String),
}

/// The parts of a name. All are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The whole name.
    pub(super) whole: String,
    /// The seller or vendor before the model.
    pub(super) front: Option<Called>,
    pub(super) region: Option<String>,
    /// What is in front of the model and says nothing about its price.
    pub(super) vendor: String,
    /// The model as it is spelled: `claude-sonnet-4.5`.
    pub(super) spelled: String,
    /// The model with dashes between its parts: `claude-sonnet-4-5`.
    pub(super) model: String,
    /// The model with all that is behind it: `claude-sonnet-4.5@20250929`. Only a row with the same
    /// one is of exactly this name.
    pub(super) literal: String,
    pub(super) version: Version,
    /// Whether it is a fine-tuned model.
    pub(super) is_tuned: bool,
}

impl Name {
    pub(super) fn read(name: &str) -> Option<Self> {
        let whole = name.trim().to_ascii_lowercase();
        if whole.is_empty() || whole.len() > LONGEST {
            return None;
        }
        let rules = Rules::get();
        let mut read = Self {
            front: None,
            region: None,
            vendor: String::new(),
            spelled: String::new(),
            model: String::new(),
            literal: String::new(),
            version: Version::None,
            is_tuned: false,
            whole,
        };
        let path = read.whole.clone();
        let last = read.read_front(rules, &path);
        let base = read.read_tail(rules, last);
        read.spelled = rules.unjoined(base);
        read.literal = last.replacen(base, &read.spelled, 1);
        read.model = dashed(&read.spelled);
        if let Some(same) = rules.same(&read.model) {
            same.clone_into(&mut read.model);
        }
        Some(read)
    }

    /// Returns what names of the same model have in common.
    pub(super) fn key(&self) -> String {
        let tuned = if self.is_tuned { "ft:" } else { "" };
        format!("{tuned}{}", self.model.replace('-', ""))
    }

    /// Takes away what is in front of the model, and returns the rest.
    fn read_front<'a>(&mut self, rules: &Rules, path: &'a str) -> &'a str {
        let mut rest = self.read_resource(rules, path);
        while let Some((word, after)) = rest.split_once('/') {
            if after.is_empty() {
                break;
            }
            if rules.is_region(word) {
                self.region = Some(word.to_owned());
            } else if let Some(called) = rules.called_by(word)
                && self.front.is_none()
                && self.vendor.is_empty()
            {
                self.front = Some(called.clone());
            } else if rules.is_vendor(word) {
                self.vendor = format!("{}{word}/", self.vendor);
            } else {
                break;
            }
            rest = after;
        }
        self.read_dotted(rules, rest)
    }

    /// Takes away what Bedrock has in front of a model.
    fn read_dotted<'a>(&mut self, rules: &Rules, mut rest: &'a str) -> &'a str {
        while let Some((word, after)) = rest.split_once('.') {
            let dotted = rules.dotted(word);
            if after.is_empty() || dotted.is_none() && !rules.is_region(word) {
                break;
            }
            if self.front.is_none() {
                self.front = rules.called_by("bedrock").cloned();
            }
            match dotted {
                None => self.region = Some(word.to_owned()),
                Some(part) => {
                    self.vendor = format!("{}{word}.", self.vendor);
                    if !part.is_empty() {
                        // The vendor is a part of the name, and the dot reads as a dash.
                        break;
                    }
                }
            }
            rest = after;
        }
        rest
    }

    /// Takes away the form of a resource's name: an ARN of AWS, or a path of Google.
    fn read_resource<'a>(&mut self, rules: &Rules, path: &'a str) -> &'a str {
        if path.starts_with("arn:aws") {
            let region = path.split(':').nth(3).filter(|region| !region.is_empty());
            self.region = region.map(str::to_owned);
            self.front = rules.called_by("bedrock").cloned();
            return path.split_once('/').map_or(path, |(_, id)| id);
        }
        if let Some((_, location)) = path.split_once("/locations/")
            && path.starts_with("projects/")
            && let Some((region, rest)) = location.split_once('/')
        {
            self.region = Some(region.to_owned()).filter(|region| region != "global");
            self.front = rules.called_by("vertex_ai").cloned();
            return rest;
        }
        path
    }

    /// Takes away what is behind the model, and returns the rest.
    fn read_tail<'a>(&mut self, rules: &Rules, name: &'a str) -> &'a str {
        let mut rest = without_any(name, &rules.tails).unwrap_or(name);
        if let Some(tuned) = rest.strip_prefix("ft:") {
            self.is_tuned = true;
            rest = tuned.split_once(':').map_or(tuned, |(base, _)| base);
        } else if let Some((base, _)) = rules.tuned.iter().find_map(|mark| rest.split_once(mark)) {
            self.is_tuned = true;
            rest = base;
        }
        rest = without_revision(rules, rest);
        if let Some(before) = without_any(rest, &rules.latest) {
            self.version = Version::Latest;
            return before;
        }
        if let Some((before, version)) = rest.split_once('@')
            && let Some(version) = version_of(version)
            && !before.is_empty()
        {
            self.version = version;
            return without_revision(rules, before);
        }
        if let Some((before, date)) = dated(rest) {
            self.version = Version::Date(date);
            return before;
        }
        rest
    }
}

/// Returns the key of the name of a row.
pub(super) fn key(name: &str) -> String {
    Name::read(name).map_or_else(String::new, |name| name.key())
}

/// Returns a name with dashes between its parts: `gpt-4.1` and `gpt_4_1` are `gpt-4-1`, `v0:2` is
/// `v0-2`, and `glm-4p5`, as Fireworks spells it, is `glm-4-5`.
fn dashed(spelled: &str) -> String {
    let bytes = spelled.as_bytes();
    let is_digit = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    let mut out = String::with_capacity(spelled.len());
    for (at, letter) in spelled.char_indices() {
        let is_between = is_digit(at.checked_sub(1)) && is_digit(at.checked_add(1));
        let is_last = at.saturating_add(letter.len_utf8()) == spelled.len();
        let is_dash = match letter {
            // A name that ends in one is another name.
            _ if is_last => false,
            '.' | '_' | ' ' | '-' => true,
            'p' => is_between,
            ':' => is_between && is_version(spelled.get(..at).unwrap_or("")),
            _ => false,
        };
        match is_dash {
            true if out.ends_with('-') => {}
            true => out.push('-'),
            false => out.push(letter),
        }
    }
    out
}

/// Whether a name ends in `-v` and digits.
fn is_version(name: &str) -> bool {
    let number = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    number.len() < name.len() && number.ends_with("-v")
}

/// Takes away the first version of Bedrock, which says nothing, and the first revision of another
/// version (`:0` of `-v2:0`).
fn without_revision<'a>(rules: &Rules, name: &'a str) -> &'a str {
    let is_model = |model: &&str| model.contains(|l: char| l == '-' || l.is_ascii_digit());
    if let Some(model) = without_any(name, &rules.first).filter(is_model) {
        return model;
    }
    let rest = name
        .strip_suffix(":0")
        .filter(|rest| is_numbered(rest))
        .unwrap_or(name);
    // A later version of a dated model is a part of its date.
    if let Some((model, number)) = rest.rsplit_once("-v")
        && number.bytes().all(|b| b.is_ascii_digit())
        && dated(model).is_some_and(|(_, date)| date.len() == 8)
    {
        return model;
    }
    rest
}

/// Returns what is in front of the first of `ends` that a name has.
fn without_any<'a>(name: &'a str, ends: &[&str]) -> Option<&'a str> {
    let before = ends.iter().find_map(|end| name.strip_suffix(end));
    before.filter(|before| !before.is_empty())
}

/// Whether a name ends in a version that may have a revision: `-v2`, `-1`.
fn is_numbered(name: &str) -> bool {
    let number = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    number.len() < name.len() && (number.ends_with("-v") || number.ends_with('-'))
}

/// Returns the version behind an `@`.
fn version_of(text: &str) -> Option<Version> {
    let digits = text.replace('-', "");
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    let is_long_enough = (3..=8).contains(&digits.len());
    (is_number && is_long_enough).then_some(Version::Date(digits))
}
