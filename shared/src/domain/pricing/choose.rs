//! Chooses among the rows that a name may mean.

use super::matched::MatchKind;
use super::name::{Name, Version};
use super::price::Price;
use super::rules::{Called, Rules};
use super::table::Row;

/// A row with its name.
#[derive(Clone, Debug)]
struct Known<'a> {
    row: Row<'a>,
    name: Name,
    seller: &'a str,
}

/// What a name means.
#[derive(Clone, Debug)]
pub(super) struct Choice<'a> {
    pub(super) price: Price,
    pub(super) kind: MatchKind,
    /// The name of the row, or of the dearest one.
    pub(super) model: &'a str,
    /// Who may sell it, if nobody is named who does.
    pub(super) sellers: Vec<&'a str>,
    /// Whether the table lists the date that was asked for.
    is_listed_date: bool,
}

/// Returns what `asked` means among the rows of its key, or None if they do not say, or have no
/// price of tokens. `provider` is who was named. If the name has the form of another seller's, such
/// as an inference profile of Bedrock, it may be either.
pub(super) fn choose<'a>(
    rows: Vec<(Row<'a>, Name)>,
    asked: &Name,
    provider: Option<&Provider<'_>>,
) -> Option<Choice<'a>> {
    let named = provider.map_or_else(Vec::new, Provider::sellers);
    let preferred = match provider {
        Some(Provider::Known(called)) => called.provider,
        _ => None,
    };
    let all = known(rows);
    let is_named = all.iter().any(|known| named.contains(&known.seller));
    let platforms = platforms(asked);
    let is_meant = |known: &Known<'_>| {
        !is_named || named.contains(&known.seller) || platforms.contains(&known.seller)
    };
    let known: Vec<Known<'_>> = all.into_iter().filter(is_meant).collect();
    let known = spelled_as(known, asked)?;
    let mut sellers: Vec<&str> = known.iter().map(|known| known.seller).collect();
    sellers.sort_unstable();
    sellers.dedup();
    let mut choices: Vec<Choice<'_>> = sellers
        .into_iter()
        .filter(|seller| is_named || !Rules::get().is_own(seller))
        .filter_map(|seller| of_seller(&known, seller, asked, preferred))
        .collect();
    if choices.iter().any(|choice| choice.is_listed_date) {
        choices.retain(|choice| choice.is_listed_date);
    }
    let choice = dearest(choices)?;
    Some(match provider {
        Some(_) if is_named => Choice {
            sellers: Vec::new(),
            ..choice
        },
        Some(_) => Choice {
            kind: MatchKind::DearestProvider,
            ..choice
        },
        None => choice,
    })
}

/// Returns the longest answer of the model that is asked for, in tokens: by those who are named, or
/// else by all. Rows without a price say it, too.
pub(super) fn longest_output<'a>(
    rows: Vec<(Row<'a>, Name)>,
    asked: &Name,
    provider: Option<&Provider<'_>>,
) -> Option<i64> {
    let known = spelled_as(known(rows), asked)?;
    let named = provider.map_or_else(Vec::new, Provider::sellers);
    let (of_named, others): (Vec<_>, Vec<_>) = known
        .iter()
        .partition(|known| named.contains(&known.seller));
    let longest = |rows: Vec<&Known<'_>>| {
        let limits = rows.into_iter().map(|known| known.row.max_output_tokens);
        limits.max().flatten()
    };
    longest(of_named).or_else(|| longest(others))
}

fn known<'a>(rows: Vec<(Row<'a>, Name)>) -> Vec<Known<'a>> {
    let known = rows.into_iter().map(|(row, name)| Known {
        row,
        name,
        seller: Rules::get().seller(row.provider),
    });
    known.collect()
}

/// Returns who is in front of a name and is not just the vendor of the model.
fn platforms(asked: &Name) -> &[&'static str] {
    let front = asked.front.as_ref().map(|front| front.sellers.as_slice());
    let front = front.unwrap_or_default();
    match front.iter().any(|seller| Rules::get().is_maker(seller)) {
        true => &[],
        false => front,
    }
}

/// Who was named as the provider.
#[derive(Clone, Debug)]
pub(super) enum Provider<'a> {
    Known(&'a Called),
    /// The name in lower case.
    Unknown(&'a str),
}

impl<'a> Provider<'a> {
    fn sellers(&self) -> Vec<&'a str> {
        match self {
            Self::Known(called) => called.sellers.clone(),
            Self::Unknown(name) => vec![name],
        }
    }
}

/// Keeps the rows of the same model. Names that differ only in where their parts end may be of
/// several: None if it is not clear which of them is meant.
fn spelled_as<'a>(known: Vec<Known<'a>>, asked: &Name) -> Option<Vec<Known<'a>>> {
    let (same, others): (Vec<_>, Vec<_>) = known
        .into_iter()
        .partition(|known| known.name.model == asked.model);
    if !same.is_empty() {
        return Some(same);
    }
    let first = others.first()?.name.model.clone();
    others
        .iter()
        .all(|known| known.name.model == first)
        .then_some(others)
}

fn of_seller<'a>(
    known: &[Known<'a>],
    seller: &str,
    asked: &Name,
    preferred: Option<&str>,
) -> Option<Choice<'a>> {
    let all: Vec<&Known<'_>> = known
        .iter()
        .filter(|known| known.seller == seller)
        .collect();
    let whole: Vec<_> = all
        .iter()
        .copied()
        .filter(|known| known.name.whole == asked.whole)
        .collect();
    let is_dated = matches!(asked.version, Version::Date(_));
    if !whole.is_empty() {
        return priced(&whole, MatchKind::Exact, is_dated);
    }
    let of_provider = |known: &&Known<'_>| Some(known.row.provider) == preferred;
    let all = preferring(all, of_provider).0;
    let (rows, region) = of_region(all, asked.region.as_deref());
    let (rows, mut kind) = of_version(rows, &asked.version);
    let (rows, is_spelled) = preferring(rows, |known: &&Known<'_>| {
        known.name.spelled == asked.spelled
    });
    let (rows, _) = preferring(rows, |known: &&Known<'_>| known.name.vendor == asked.vendor);
    let is_listed_date = is_dated && kind == MatchKind::Exact;
    let (rows, is_literal) = preferring(rows, |known: &&Known<'_>| {
        known.name.literal == asked.literal
    });
    if !is_literal {
        // The same model, with more or less behind its name.
        kind = MatchKind::Dated;
    }
    if !is_spelled
        || rows
            .iter()
            .any(|known| known.name.is_tuned != asked.is_tuned)
    {
        kind = MatchKind::Alias;
    }
    priced(&rows, kind.max(region), is_listed_date)
}

/// Returns the rows of a region, and how sure that is. If a region has none, they are all rows.
fn of_region<'a, 'b>(
    rows: Vec<&'b Known<'a>>,
    region: Option<&str>,
) -> (Vec<&'b Known<'a>>, MatchKind) {
    let of = |region| move |known: &&Known<'_>| known.name.region.as_deref() == region;
    let (rows, has_region) = preferring(rows, of(region));
    match region {
        Some(global) if !has_region && global.starts_with("global") => {
            // What may run anywhere costs at most what runs in one place.
            (preferring(rows, of(None)).0, MatchKind::Alias)
        }
        Some(_) if !has_region => (rows, MatchKind::DearestProvider),
        _ => (rows, MatchKind::Exact),
    }
}

/// Returns the rows of a version, and how they were found. The rows of a date that is not listed
/// are all of them.
fn of_version<'a, 'b>(
    rows: Vec<&'b Known<'a>>,
    version: &Version,
) -> (Vec<&'b Known<'a>>, MatchKind) {
    let of = |version: Version| move |known: &&Known<'_>| known.name.version == version;
    let (rows, is_listed) = preferring(rows, of(version.clone()));
    if is_listed {
        return (rows, MatchKind::Exact);
    }
    let rows = match version {
        // The name without a version is that of the latest one.
        Version::Latest => preferring(rows, of(Version::None)).0,
        Version::None | Version::Date(_) => rows,
    };
    (rows, MatchKind::Dated)
}

/// Returns what `is_wanted` of, and true; or all of them, and false.
fn preferring<T>(all: Vec<T>, is_wanted: impl Fn(&T) -> bool) -> (Vec<T>, bool) {
    if !all.iter().any(&is_wanted) {
        return (all, false);
    }
    (all.into_iter().filter(is_wanted).collect(), true)
}

fn priced<'a>(rows: &[&Known<'a>], kind: MatchKind, is_listed_date: bool) -> Option<Choice<'a>> {
    let priced = rows.iter().filter_map(|known| {
        let price = known.row.price()?;
        let model = known.row.model;
        Some(Choice {
            price,
            kind,
            model,
            sellers: vec![known.seller],
            is_listed_date,
        })
    });
    dearest(priced.collect())
}

/// Returns the only choice, or what is at least as dear as each of them. If they cost the same, the
/// surest one speaks for all.
fn dearest(choices: Vec<Choice<'_>>) -> Option<Choice<'_>> {
    let first = choices.first()?;
    let is_same = choices
        .iter()
        .all(|choice| choice.price.is_as_dear_as(&first.price));
    let kind = match is_same {
        true => choices.iter().map(|choice| choice.kind).min()?,
        false => MatchKind::DearestProvider,
    };
    let is_listed_date = choices.iter().any(|choice| choice.is_listed_date);
    let dearest = choices.into_iter().reduce(|one, other| {
        let price = one.price.most_of(&other.price);
        let is_other = whole(&other.price) > whole(&one.price);
        let mut sellers = [one.sellers.as_slice(), other.sellers.as_slice()].concat();
        sellers.dedup();
        Choice {
            price,
            sellers,
            ..if is_other { other } else { one }
        }
    })?;
    Some(Choice {
        kind,
        is_listed_date,
        ..dearest
    })
}

/// Orders prices, to name the dearest one.
fn whole(price: &Price) -> i64 {
    use super::rates::Part;
    use super::tokens::ServiceTier::Default;
    price
        .rate(Part::Input, Default, 0)
        .saturating_add(price.rate(Part::Output, Default, 0))
}
