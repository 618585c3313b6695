//! The ledger in the shape that earlier releases wrote: a record and a resolution for each settled
//! hold, a row of usage for each hour, day and month, and an item for each month of a user. Suites
//! that read the tables read this one, and others check that it is still understood.

use super::World;
use aws_sdk_dynamodb::types::AttributeValue;
use shared::domain::ledger::buckets::hour_of_code;
use std::collections::{BTreeMap, HashMap};

pub type Item = HashMap<String, AttributeValue>;

/// The numbers of an hour.
const FIGURES: [(char, &str); 7] = [
    ('n', "requests"),
    ('i', "input_tokens"),
    ('o', "output_tokens"),
    ('c', "cached_input_tokens"),
    ('t', "tokens"),
    ('p', "pico_usd"),
    ('u', "unpriced_tokens"),
];
/// Those of a user's month.
const OF_USERS: [&str; 4] = ["tokens", "pico_usd", "requests", "unpriced_tokens"];

pub fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map_or("", String::as_str)
}

fn number(value: &AttributeValue) -> Option<i128> {
    value.as_n().ok()?.parse().ok()
}

fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// Sums by their key, and what else is in their items.
#[derive(Default)]
struct Sums(BTreeMap<(String, String), (Item, BTreeMap<String, i128>)>);

impl Sums {
    fn add(&mut self, pk: &str, sk: &str, of: Item, name: &str, more: i128) {
        let at = (pk.to_owned(), sk.to_owned());
        let (item, sums) = self.0.entry(at).or_default();
        item.extend(of);
        *sums.entry(name.to_owned()).or_default() += more;
    }

    /// Adds all numbers of an item.
    fn add_item(&mut self, pk: &str, sk: &str, mut item: Item) {
        let numbers: Vec<(String, i128)> = item
            .iter()
            .filter(|(name, _)| *name != "y")
            .filter_map(|(name, value)| Some((name.clone(), number(value)?)))
            .collect();
        item.retain(|name, _| numbers.iter().all(|(of, _)| of != name));
        for (name, more) in numbers {
            self.add(pk, sk, item.clone(), &name, more);
        }
    }

    fn items(self) -> impl Iterator<Item = Item> {
        let each = self.0.into_iter();
        each.map(|((pk, sk), (mut item, sums))| {
            let sums = sums.into_iter();
            item.extend(sums.map(|(name, sum)| (name, AttributeValue::N(sum.to_string()))));
            item.extend([("pk".to_owned(), s(pk)), ("sk".to_owned(), s(sk))]);
            item
        })
    }
}

/// Returns the items of a ledger as an earlier release would have written them.
pub fn in_former_shape(items: Vec<Item>) -> Vec<Item> {
    let mut kept: BTreeMap<(String, String), Item> = BTreeMap::new();
    let mut settled = Vec::new();
    let mut sums = Sums::default();
    for item in items {
        let (pk, sk) = (text(&item, "pk").to_owned(), text(&item, "sk").to_owned());
        let mut parts = pk.splitn(3, '#');
        let (org, kind, of) = (
            parts.next().unwrap_or_default().to_owned(),
            parts.next().unwrap_or_default().to_owned(),
            parts.next().unwrap_or_default().to_owned(),
        );
        match kind.as_str() {
            "resolution" if item.contains_key("type") => settled.push((org, of, item)),
            "usage" if of.contains('#') => add_row(&mut sums, &org, &of[..7], &sk, &item),
            // An entry of a day's list.
            "usage" if sk.matches('#').count() == 2 => {}
            "usage" | "user" => sums.add_item(&pk, &sk, item),
            "total" if sk.starts_with("department#") => {
                let path = sk.splitn(3, '#').take(2).collect::<Vec<_>>().join("#");
                sums.add_item(&pk, &path, item);
            }
            _ => drop(kept.insert((pk, sk), item)),
        }
    }
    for (org, hold, item) in settled {
        for item in [record(&org, &hold, &item, &kept), resolution(&item)] {
            let at = (text(&item, "pk").to_owned(), text(&item, "sk").to_owned());
            kept.insert(at, item);
        }
    }
    kept.into_values().chain(sums.items()).collect()
}

/// The record of a settlement, over the claim of its identity.
fn record(org: &str, hold: &str, settled: &Item, kept: &BTreeMap<(String, String), Item>) -> Item {
    let (_, identity) = text(settled, "at").split_once('#').unwrap();
    let pk = format!("{org}#record#{identity}");
    let claim = kept.get(&(pk.clone(), "-".to_owned()));
    let mut record = settled.clone();
    record.remove("hold");
    let outcome = record.remove("request_outcome").unwrap();
    let digest = match claim {
        Some(claim) => text(claim, "digest").to_owned(),
        // The identity of a conflict has it.
        None => identity.split('#').nth(1).unwrap().to_owned(),
    };
    assert!(
        claim.is_some() || identity.starts_with("conflict#"),
        "nobody claimed {identity}"
    );
    record.extend([
        ("pk".to_owned(), s(pk)),
        ("outcome".to_owned(), outcome),
        ("hold_id".to_owned(), s(hold)),
        ("digest".to_owned(), s(digest)),
    ]);
    record
}

/// The resolution of its hold.
fn resolution(settled: &Item) -> Item {
    let (_, identity) = text(settled, "at").split_once('#').unwrap();
    let names = ["pk", "sk", "outcome", "hold", "path", "y"];
    let mut resolution: Item = settled.clone();
    resolution.retain(|name, _| names.contains(&name.as_str()));
    let charged = ["tokens", "pico_usd"].map(|name| (name.to_owned(), settled[name].clone()));
    resolution.extend([
        ("event".to_owned(), s(identity)),
        ("charged".to_owned(), AttributeValue::M(charged.into())),
        ("resolved_at".to_owned(), settled["received_at"].clone()),
    ]);
    resolution
}

/// Adds a row of usage to the rows of its hours, its day and its month, and to its user's month.
fn add_row(sums: &mut Sums, org: &str, month: &str, sk: &str, row: &Item) {
    let mut parts = sk.splitn(3, '#');
    let [user, day, group] = [(); 3].map(|()| parts.next().unwrap());
    let user_pk = format!("{org}#user#{user}");
    let of_day = format!("d{}", &day[8..]);
    if group == "+" {
        let tokens = number(&row["of_day"]).unwrap();
        sums.add(&user_pk, &day[..7], Item::new(), &of_day, tokens);
        return;
    }
    let is_correction = group.starts_with('=');
    let mut of: Item = ["path", "provider", "model", "y"]
        .map(|name| (name.to_owned(), row[name].clone()))
        .into();
    of.insert("user_id".to_owned(), s(user));
    let place = format!("{user}#{}", group.trim_start_matches('='));
    for (name, value) in row {
        let figure = FIGURES.iter().find(|(letter, _)| name.starts_with(*letter));
        let Some(((_, figure), more)) = figure.zip(number(value)).filter(|_| name.len() == 3)
        else {
            continue;
        };
        let hour = hour_of_code(&name[1..], day).unwrap();
        for bucket in [hour.as_str(), day, month] {
            let pk = format!("{org}#usage#{bucket}");
            for (_, figure) in &FIGURES[..6] {
                sums.add(&pk, &place, of.clone(), figure, 0);
            }
            sums.add(&pk, &place, of.clone(), figure, more);
        }
        if user.is_empty() {
            continue;
        }
        if OF_USERS.contains(figure) {
            sums.add(&user_pk, month, Item::new(), figure, more);
        }
        if *figure == "tokens" && &day[..7] == month && !is_correction {
            sums.add(&user_pk, month, Item::new(), &of_day, more);
        }
    }
}

/// Returns the key of the row of usage whose sort key begins so, and the name of its tokens.
pub fn row_of(ledger: &[Item], month: &str, begins: &str) -> (String, String, String) {
    let prefix = format!("demo#usage#{month}#");
    let is_it = |item: &&Item| {
        text(item, "pk").starts_with(&prefix) && text(item, "sk").starts_with(begins)
    };
    let found: Vec<&Item> = ledger.iter().filter(is_it).collect();
    let [row] = found.as_slice() else {
        panic!("there is not one row of {begins}: {found:?}");
    };
    let is_tokens = |name: &&String| name.starts_with('t') && name.len() == 3;
    let tokens = row.keys().find(is_tokens).unwrap();
    (
        text(row, "pk").to_owned(),
        text(row, "sk").to_owned(),
        tokens.clone(),
    )
}

impl World {
    /// Returns every item of the ledger.
    pub async fn ledger(&self) -> Vec<Item> {
        let tables = self.tables();
        let scan = tables.scan().table_name("Ledger").consistent_read(true);
        let items = scan.into_paginator().items().send();
        items.try_collect().await.unwrap()
    }

    /// Replaces the ledger by one of the former shape. Returns how many items that has more. The
    /// lists of days stay: the system's instances know that they have written them.
    pub async fn back_to_the_former_shape(&self) -> usize {
        let tables = self.tables();
        let mut before = self.ledger().await;
        before.retain(|item| {
            let is_entry = text(item, "pk").contains("#usage#")
                && !item.contains_key("path")
                && !item.contains_key("of_day");
            !is_entry
        });
        let count = before.len();
        for item in &before {
            let delete = tables.delete_item().table_name("Ledger");
            let delete = delete.key("pk", item["pk"].clone());
            delete.key("sk", item["sk"].clone()).send().await.unwrap();
        }
        let former = in_former_shape(before);
        let more = former.len().saturating_sub(count);
        for item in former {
            let put = tables.put_item().table_name("Ledger");
            put.set_item(Some(item)).send().await.unwrap();
        }
        more
    }
}
