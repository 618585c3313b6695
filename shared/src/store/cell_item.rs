//! Cells as items.

use super::error::StoreError;
use super::item::{Item, counted, number};
use super::tables::TTL;
use crate::domain::amount::Unit;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldKey;
use crate::domain::ledger::node::Node;
use crate::domain::wide_number;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::{BTreeMap, HashMap};

/// How many cells there are beside home, and how many writes changed a counter in two of them.
pub(super) const OTHERS: &str = "c";
pub(super) const MOVES: &str = "b";

/// Returns a counter's attribute: `t3` for tokens, `u3` for pico-USD.
pub(super) fn attribute(node: Node) -> String {
    match node.unit {
        Unit::Tokens => format!("t{}", node.index),
        Unit::Usd => format!("u{}", node.index),
    }
}

/// Returns the attribute of a counter's carry: `ct3`, `cu3`.
pub(super) fn carry_attribute(node: Node) -> String {
    format!("c{}", attribute(node))
}

/// Returns the attribute of the amount that exemptions gave beyond a counter: `xt3`, `xu3`.
pub(super) fn exempted_attribute(node: Node) -> String {
    format!("x{}", attribute(node))
}

fn node(attribute: &str) -> Option<Node> {
    let unit = match attribute.as_bytes().first()? {
        b't' => Unit::Tokens,
        b'u' => Unit::Usd,
        _ => return None,
    };
    let index = attribute.get(1..)?.parse().ok()?;
    Some(Node { unit, index })
}

/// Subtracted from each part of a counter that is shut. It is larger than all amounts together, so
/// a shut counter fails every condition for something left by itself: no operation can forget to
/// look. What is given back is added as to any other.
pub(super) const SHUT: i128 = 1_000 * wide_number::MAX;
/// A stored number below this is of a shut counter.
pub(super) const SHUT_BELOW: i128 = -SHUT / 2;

pub(super) fn packed(hold: &Hold) -> AttributeValue {
    AttributeValue::B(Blob::new(hold.pack()))
}

fn packed_all(holds: &BTreeMap<HoldKey, Hold>) -> AttributeValue {
    AttributeValue::M(
        holds
            .iter()
            .map(|(rid, hold)| (rid.as_str().to_owned(), packed(hold)))
            .collect(),
    )
}

/// Builds the item of `cell` under `key`. It may expire after `expires_at`, in seconds.
pub(super) fn cell_to_item(key: &str, cell: &Cell, expires_at: i64) -> Item {
    let mut item = HashMap::from([
        ("k".to_owned(), AttributeValue::S(key.to_owned())),
        ("e".to_owned(), number(cell.epoch)),
        ("v".to_owned(), number(cell.version)),
        ("p".to_owned(), packed_all(&cell.holds)),
        (TTL.to_owned(), number(expires_at)),
    ]);
    for (node, rest) in &cell.nodes {
        let shut = if cell.shut.contains(node) { SHUT } else { 0 };
        item.insert(attribute(*node), number(rest - shut));
    }
    if cell.others > 0 {
        item.insert(OTHERS.to_owned(), number(cell.others));
    }
    if cell.moves > 0 {
        item.insert(MOVES.to_owned(), number(cell.moves));
    }
    for (node, carried) in &cell.carried {
        item.insert(carry_attribute(*node), number(carried));
    }
    for (node, exempted) in &cell.exempted {
        item.insert(exempted_attribute(*node), number(exempted));
    }
    item
}

/// Reads an item that [`cell_to_item`] and updates of the cell `of` wrote. Other attributes are of
/// later versions.
pub(super) fn cell_from_item(of: u32, item: &Item) -> Result<Cell, StoreError> {
    let unreadable = |name: &str| StoreError::unreadable(format!("cell attribute {name}"));
    let mut cell = Cell::default();
    for (name, value) in item {
        match (name.as_str(), value) {
            ("k", _) => {}
            (name, _) if name == TTL => {}
            ("e", AttributeValue::N(n)) => cell.epoch = integer(name, n)?,
            ("v", AttributeValue::N(n)) => cell.version = integer(name, n)?,
            (OTHERS, AttributeValue::N(n)) => cell.others = integer(name, n)?,
            (MOVES, AttributeValue::N(n)) => cell.moves = integer(name, n)?,
            ("p", AttributeValue::M(holds)) => {
                for (rid, value) in holds {
                    let (rid, hold) = hold_from(rid, value)?;
                    cell.holds.insert(rid.in_cell(of), hold);
                }
            }
            ("e" | "v" | "p" | OTHERS | MOVES, _) => return Err(unreadable(name)),
            (name, value) => {
                let (numbers, counter) = match name.split_at_checked(1) {
                    Some(("c", counter)) => (&mut cell.carried, counter),
                    Some(("x", counter)) => (&mut cell.exempted, counter),
                    _ => (&mut cell.nodes, name),
                };
                let Some(node) = node(counter) else { continue };
                let digits = value.as_n().map_err(|_| unreadable(name))?;
                let stored: i128 = integer(name, digits)?;
                if stored < SHUT_BELOW {
                    cell.shut.insert(node);
                    let rest = (stored + SHUT).to_string();
                    cell.nodes.insert(node, counted(name, &rest)?);
                } else {
                    numbers.insert(node, counted(name, digits)?);
                }
            }
        }
    }
    Ok(cell)
}

fn integer<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, StoreError> {
    text.parse()
        .map_err(|_| StoreError::unreadable(format!("number {name} of a cell")))
}

fn hold_from(rid: &str, value: &AttributeValue) -> Result<(HoldKey, Hold), StoreError> {
    let unreadable = || StoreError::unreadable("a hold of a cell");
    let bytes = value.as_b().map_err(|_| unreadable())?;
    let hold = Hold::unpack(bytes.as_ref()).map_err(|_| unreadable())?;
    Ok((HoldKey::parse(rid).ok_or_else(unreadable)?, hold))
}
