//! The rules by which the names of models are read. They are data: `shared/data/model-names.txt`
//! explains them.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

/// Who is meant by the name of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Called {
    /// More than one if the name does not say which.
    pub(super) sellers: Vec<&'static str>,
    /// The provider in the table whose rows come before those of the seller's other ones.
    pub(super) provider: Option<&'static str>,
}

/// The rules of the file.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// By the provider in the table.
    sellers: HashMap<&'static str, &'static str>,
    called: HashMap<&'static str, Called>,
    makers: HashSet<&'static str>,
    vendors: HashSet<&'static str>,
    /// What stands in front of a dot, and what is a part of the name.
    dotted: HashMap<&'static str, &'static str>,
    /// In the order of the file.
    joined: Vec<(&'static str, &'static str)>,
    regions: HashSet<&'static str>,
    /// What may stand behind a model.
    pub(super) tails: Vec<&'static str>,
    /// What stands between a base model and the id of a fine-tuned one.
    pub(super) tuned: Vec<&'static str>,
    pub(super) latest: Vec<&'static str>,
    /// The first version of Bedrock.
    pub(super) first: Vec<&'static str>,
    same: HashMap<&'static str, &'static str>,
    free: HashSet<&'static str>,
    own: HashSet<&'static str>,
    partial: HashSet<&'static str>,
}

const FILE: &str = include_str!("../../../data/model-names.txt");

impl Rules {
    /// The built-in rules.
    pub(super) fn get() -> &'static Self {
        static RULES: OnceLock<Rules> = OnceLock::new();
        RULES.get_or_init(|| Self::read(FILE))
    }

    fn read(file: &'static str) -> Self {
        let mut rules = Self::default();
        for line in file.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("sells") => rules.sells(words),
                Some("called") => rules.called(words),
                Some("maker") => rules.makers.extend(words),
                Some("vendor") => rules.vendors.extend(words),
                Some("dotted") => rules.dotted.extend(words.map(|word| pair(word, ""))),
                Some("joined") => rules.joined.extend(words.map(|word| pair(word, ""))),
                Some("region") => rules.regions.extend(words),
                Some("tail") => rules.tails.extend(words),
                Some("tuned") => rules.tuned.extend(words),
                Some("latest") => rules.latest.extend(words),
                Some("first") => rules.first.extend(words),
                Some("same") => rules.same.extend(words.next().zip(words.next())),
                Some("free") => rules.free.extend(words),
                Some("own") => rules.own.extend(words),
                Some("partial") => rules.partial.extend(words),
                _ => {}
            }
        }
        rules
    }

    fn sells(&mut self, mut words: impl Iterator<Item = &'static str>) {
        let Some(seller) = words.next() else {
            return;
        };
        let whole = Called {
            sellers: vec![seller],
            provider: None,
        };
        for provider in words {
            self.sellers.insert(provider, seller);
            let called = Called {
                provider: Some(provider).filter(|provider| *provider != seller),
                ..whole.clone()
            };
            self.called.insert(provider, called);
        }
        self.called.entry(seller).or_insert(whole);
    }

    fn called(&mut self, mut words: impl Iterator<Item = &'static str>) {
        let Some((sellers, provider)) = words.next().map(|word| halves(word, ':')) else {
            return;
        };
        let called = Called {
            sellers: sellers.split(',').collect(),
            provider,
        };
        if let [seller] = called.sellers[..] {
            // One of whom the table has no row is known, too.
            let whole = Called {
                sellers: vec![seller],
                provider: None,
            };
            self.called.entry(seller).or_insert(whole);
        }
        self.called.extend(words.map(|word| (word, called.clone())));
    }

    /// Returns the seller that a provider in the table belongs to.
    pub(super) fn seller<'a>(&self, provider: &'a str) -> &'a str {
        self.sellers.get(provider).copied().unwrap_or(provider)
    }

    /// Returns who is meant by a name in lower case, if it is known.
    pub(super) fn called_by(&self, name: &str) -> Option<&Called> {
        self.called.get(name)
    }

    /// Whether a seller is the vendor of models that others sell.
    pub(super) fn is_maker(&self, seller: &str) -> bool {
        self.makers.contains(seller)
    }

    pub(super) fn is_vendor(&self, word: &str) -> bool {
        self.vendors.contains(word) || self.called.contains_key(word)
    }

    /// Returns what of `word.` is a part of the name, if `word` is a vendor's.
    pub(super) fn dotted(&self, word: &str) -> Option<&'static str> {
        self.dotted.get(word).copied()
    }

    /// Returns `name` without a vendor's name that is joined to it.
    pub(super) fn unjoined(&self, name: &str) -> String {
        let mut name = name.to_owned();
        for (front, instead) in &self.joined {
            if let Some(rest) = name.strip_prefix(front).filter(|rest| !rest.is_empty()) {
                name = format!("{instead}{rest}");
            }
        }
        name
    }

    /// Whether `word` is a region: one of the file, or of a cloud.
    pub(super) fn is_region(&self, word: &str) -> bool {
        self.regions.contains(word) || is_cloud_region(word)
    }

    /// Returns the name that `name` stands for.
    pub(super) fn same(&self, name: &str) -> Option<&'static str> {
        self.same.get(name).copied()
    }

    pub(super) fn is_free(&self, provider: &str) -> bool {
        self.free.contains(provider)
    }

    /// Whether the models of a seller run on the organisation's own hardware.
    pub(super) fn is_own(&self, seller: &str) -> bool {
        self.own.contains(seller)
    }

    pub(super) fn is_partial(&self, model: &str) -> bool {
        self.partial.contains(model)
    }
}

fn halves(word: &'static str, at: char) -> (&'static str, Option<&'static str>) {
    match word.split_once(at) {
        Some((one, other)) => (one, Some(other)),
        None => (word, None),
    }
}

fn pair(word: &'static str, otherwise: &'static str) -> (&'static str, &'static str) {
    let (one, other) = halves(word, '=');
    (one, other.unwrap_or(otherwise))
}

/// `us-east-1`, `ap-southeast-2`, `us-gov-west-1`, `europe-west4`.
fn is_cloud_region(word: &str) -> bool {
    const SIDES: [&str; 9] = [
        "central",
        "east",
        "north",
        "northeast",
        "northwest",
        "south",
        "southeast",
        "southwest",
        "west",
    ];
    let place = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let is_numbered = (1..=2).contains(&word.len().saturating_sub(place.len()));
    let mut parts = place.trim_end_matches('-').split('-').rev();
    let has_side = parts.next().is_some_and(|side| SIDES.contains(&side));
    is_numbered && has_side && parts.next().is_some()
}
