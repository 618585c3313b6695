//! Updates of cells as expressions.

use super::cell_item::{
    MOVES, OTHERS, SHUT, SHUT_BELOW, attribute, carry_attribute, exempted_attribute, packed,
};
use super::item::{Item, number};
use crate::domain::ledger::cell_update::{CellUpdate, Condition};
use crate::domain::ledger::node::Node;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::{BTreeMap, HashMap};

/// Returns what an update adds to the stored numbers of levels.
fn stored_changes(update: &CellUpdate) -> BTreeMap<Node, i128> {
    let mut changes = update.add_or_begin.clone();
    for node in &update.shut {
        *changes.entry(*node).or_default() -= SHUT;
    }
    for node in &update.reopen {
        *changes.entry(*node).or_default() += SHUT;
    }
    changes
}

/// A condition and an update in DynamoDB's syntax.
#[derive(Debug, Default)]
pub(super) struct Expression {
    pub(super) condition: String,
    pub(super) update: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: Item,
}

impl Expression {
    pub(super) fn of(update: &CellUpdate) -> Self {
        let mut out = Self::default();
        let conditions: Vec<String> = update.conditions.iter().map(|c| out.condition(c)).collect();
        out.condition = conditions.join(" AND ");
        let one = out.value(number(1));
        let mut sets = vec![format!("v = v + {one}")];
        let mut removes = Vec::new();
        if let Some(epoch) = update.epoch {
            let value = out.value(number(epoch));
            sets.push(format!("e = {value}"));
        }
        sets.extend(out.home(update));
        for (&node, &delta) in &update.add {
            let name = attribute(node);
            let begin = match update.begin.get(&node) {
                Some(given) => out.known_or(&name, *given),
                None => name.clone(),
            };
            let sign = if delta < 0 { '-' } else { '+' };
            let value = out.value(number(delta.unsigned_abs()));
            sets.push(format!("{name} = {begin} {sign} {value}"));
        }
        for (node, delta) in stored_changes(update) {
            sets.push(out.add_or_begin(&attribute(node), delta));
        }
        let is_untouched = |(node, _): &(&Node, &i128)| !update.add.contains_key(*node);
        for (&node, &given) in update.begin.iter().filter(is_untouched) {
            let name = attribute(node);
            let begin = out.known_or(&name, given);
            sets.push(format!("{name} = {begin}"));
        }
        for (&node, carried) in &update.carry {
            let value = out.value(number(carried));
            sets.push(format!("{} = {value}", carry_attribute(node)));
        }
        for (&node, &delta) in &update.exempt {
            sets.push(out.add_or_begin(&exempted_attribute(node), delta));
        }
        for (rid, hold) in &update.put {
            let name = out.name(rid.as_str());
            let value = out.value(packed(hold));
            sets.push(format!("p.{name} = {value}"));
        }
        for rid in &update.remove {
            let name = out.name(rid.as_str());
            removes.push(format!("p.{name}"));
        }
        out.update = format!("SET {}", sets.join(", "));
        if !removes.is_empty() {
            out.update.push_str(" REMOVE ");
            out.update.push_str(&removes.join(", "));
        }
        out
    }

    /// Changes what only home has.
    fn home(&mut self, update: &CellUpdate) -> Vec<String> {
        let mut sets = Vec::new();
        if let Some(others) = update.others {
            sets.push(format!("{OTHERS} = {}", self.value(number(others))));
        }
        if update.is_move {
            sets.push(self.add_or_begin(MOVES, 1));
        }
        sets
    }

    /// Adds to a number that counts as zero if it is missing.
    fn add_or_begin(&mut self, name: &str, delta: i128) -> String {
        let sign = if delta < 0 { '-' } else { '+' };
        let begin = self.known_or(name, 0);
        let value = self.value(number(delta.unsigned_abs()));
        format!("{name} = {begin} {sign} {value}")
    }

    /// Refers to a number, or to `given` if it is missing.
    fn known_or(&mut self, name: &str, given: i128) -> String {
        let given = self.value(number(given));
        format!("if_not_exists({name}, {given})")
    }

    fn condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::Exists => "attribute_exists(k)".to_owned(),
            Condition::EpochIs(epoch) => format!("e = {}", self.value(number(epoch))),
            Condition::HoldAbsent(rid) => {
                format!("attribute_not_exists(p.{})", self.name(rid.as_str()))
            }
            Condition::HoldIs(rid, hold) => {
                format!(
                    "p.{} = {}",
                    self.name(rid.as_str()),
                    self.value(packed(hold))
                )
            }
            Condition::FewerHoldsThan(most) => format!("size(p) < {}", self.value(number(most))),
            Condition::AtLeast(node, least) => {
                format!("{} >= {}", attribute(*node), self.value(number(least)))
            }
            Condition::AtLeastOrNew(node, least) => {
                let (name, least) = (attribute(*node), self.value(number(least)));
                format!("(attribute_not_exists({name}) OR {name} >= {least})")
            }
            Condition::IsAbsent(node) => format!("attribute_not_exists({})", attribute(*node)),
            Condition::OthersAre(0) => format!("attribute_not_exists({OTHERS})"),
            Condition::OthersAre(others) => format!("{OTHERS} = {}", self.value(number(others))),
            Condition::IsOpen(node) => {
                let (name, most) = (attribute(*node), self.value(number(SHUT_BELOW)));
                format!("(attribute_not_exists({name}) OR {name} >= {most})")
            }
            Condition::IsShut(node) => {
                format!("{} < {}", attribute(*node), self.value(number(SHUT_BELOW)))
            }
            Condition::IsShutWith(node, least) => {
                let name = attribute(*node);
                let least = self.value(number(least - SHUT));
                let most = self.value(number(SHUT_BELOW));
                format!("{name} BETWEEN {least} AND {most}")
            }
        }
    }

    pub(super) fn name(&mut self, full: &str) -> String {
        let known = self.names.iter().find(|(_, known)| *known == full);
        if let Some((name, _)) = known {
            return name.clone();
        }
        let name = format!("#r{}", self.names.len());
        self.names.insert(name.clone(), full.to_owned());
        name
    }

    pub(super) fn value(&mut self, value: AttributeValue) -> String {
        let known = self.values.iter().find(|(_, known)| **known == value);
        if let Some((name, _)) = known {
            return name.clone();
        }
        let name = format!(":v{}", self.values.len());
        self.values.insert(name.clone(), value);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell_item::{cell_from_item, cell_to_item};
    use super::*;
    use crate::domain::amount::Amounts;
    use crate::domain::amount::Unit;
    use crate::domain::ledger::cell::Cell;
    use crate::domain::ledger::hold::Exempt;
    use crate::domain::ledger::hold::Hold;
    use crate::domain::ledger::hold_id::HoldKey;
    use crate::domain::ledger::hold_request::HoldRequest;
    use crate::domain::ledger::lease::MAX_LEASE;
    use crate::domain::ledger::settlement::{finish, lapsed_holds};
    use crate::domain::pricing::tokens::ServiceTier;
    use std::collections::BTreeSet;

    fn hold() -> Hold {
        Hold {
            department: 1,
            tree: 0,
            fingerprint: [1; 8],
            nonce: [2; 3],
            expires_at: 3,
            extended_by: 0,
            tier: ServiceTier::Default,
            amounts: Amounts::new(5, 6),
            nodes: vec![Node {
                unit: Unit::Usd,
                index: 12,
            }],
            exempt: None,
        }
    }

    #[test]
    fn a_cell_reads_as_written() {
        let cell = Cell {
            epoch: 7,
            version: 9,
            others: 3,
            moves: 4,
            shut: BTreeSet::from([Node {
                unit: Unit::Tokens,
                index: 0,
            }]),
            nodes: BTreeMap::from([
                (
                    Node {
                        unit: Unit::Tokens,
                        index: 0,
                    },
                    -5,
                ),
                (
                    Node {
                        unit: Unit::Usd,
                        index: 12,
                    },
                    1 << 90,
                ),
            ]),
            carried: BTreeMap::from([(
                Node {
                    unit: Unit::Tokens,
                    index: 0,
                },
                4,
            )]),
            exempted: BTreeMap::from([(
                Node {
                    unit: Unit::Usd,
                    index: 12,
                },
                9,
            )]),
            holds: BTreeMap::from([(HoldKey::derive("a", "b", "c"), hold())]),
        };
        assert_eq!(
            cell_from_item(0, &cell_to_item("k", &cell, 1)).unwrap(),
            cell
        );
    }

    #[test]
    fn the_longest_release_fits_into_an_expression() {
        let mut cell = Cell::default();
        for n in 0..60_u32 {
            let nodes = (0..9).flat_map(|k| {
                let index = Node::level(Some(1_000_000 + n * 9 + k));
                [Unit::Tokens, Unit::Usd].map(|unit| Node { unit, index })
            });
            let mut hold = hold();
            hold.nodes = nodes.collect();
            if n % 2 == 0 {
                let covered = std::mem::take(&mut hold.nodes);
                let given = Amounts::new(2, 2);
                hold.exempt = Some(Exempt {
                    index: Node::exemption(1_000_000 + n),
                    is_limited: true,
                    covered,
                    given,
                });
            }
            let rid = HoldKey::derive("a", "b", &n.to_string());
            cell.holds.insert(rid, hold);
        }
        let lapsed = lapsed_holds(&cell, jiff::Timestamp::MAX, |_| true);
        let update = finish(lapsed.iter().map(|(rid, hold)| (rid, hold, Amounts::ZERO)));
        let length = Expression::of(update.get(0).unwrap()).update.len();
        assert!((1_000..4_096).contains(&length), "{length}");
    }

    #[test]
    fn the_longest_lease_fits_into_an_expression() {
        let nodes = (0..9).flat_map(|level| {
            let index = Node::level(Some(1_000_000 + level));
            [Unit::Tokens, Unit::Usd].map(|unit| Node { unit, index })
        });
        let nodes: Vec<Node> = nodes.collect();
        let one = HoldRequest {
            rid: HoldKey::derive("a", "b", "c"),
            hold: Hold {
                amounts: Amounts::new(i64::MAX, i128::MAX),
                nodes: nodes.clone(),
                ..hold()
            },
            requests: 1,
            hard: nodes,
            epoch: u64::MAX,
            earlier: BTreeSet::new(),
            exemptions: Vec::new(),
        };
        let lease = one.leased(MAX_LEASE, jiff::Timestamp::UNIX_EPOCH);
        let updates = lease.update();
        let expression = Expression::of(updates.get(0).unwrap());
        let (condition, update) = (&expression.condition, &expression.update);
        let lengths = (condition.len(), update.len());
        println!("a lease of {MAX_LEASE}: condition and update of {lengths:?} bytes");
        assert!((3_000..4_096).contains(&lengths.0), "{lengths:?}");
        assert!((1_000..4_096).contains(&lengths.1), "{lengths:?}");
        // DynamoDB takes 300 operators and functions.
        let count = |text: &str, of: &[&str]| -> usize {
            of.iter()
                .map(|operator| text.matches(operator).count())
                .sum()
        };
        let in_condition = count(condition, &["(", " AND ", " = ", " >= ", " < "]);
        let in_update = count(update, &["(", " = ", " + ", " - "]);
        println!("{in_condition} and {in_update} operators and functions");
        assert!((200..=300).contains(&in_condition), "{in_condition}");
        assert!((100..=300).contains(&in_update), "{in_update}");
    }

    #[test]
    fn an_attribute_of_a_later_version_is_left_out_and_a_known_one_of_another_form_is_reported() {
        let text = || AttributeValue::S("1".to_owned());
        for (name, value, is_read) in [
            ("zz", number(1), true),
            ("t0x", number(1), true),
            ("tt", text(), true),
            ("e", text(), false),
            ("t2", text(), false),
            ("p", number(1), false),
            ("t0", number("1.5"), false),
        ] {
            let mut item = cell_to_item("k", &Cell::default(), 1);
            item.insert(name.into(), value);
            match cell_from_item(0, &item) {
                Ok(cell) => assert!(is_read && cell == Cell::default(), "{name}"),
                Err(error) => assert!(!is_read, "{name}: {error}"),
            }
        }
    }

    #[test]
    fn a_counter_that_is_not_there_has_what_it_opens_with() {
        let [tokens, usd] = [Unit::Tokens, Unit::Usd].map(|unit| Node { unit, index: 3 });
        let update = CellUpdate {
            conditions: vec![Condition::AtLeastOrNew(tokens, 5)],
            add: BTreeMap::from([(tokens, -5)]),
            begin: BTreeMap::from([(tokens, 90), (usd, 7)]),
            ..CellUpdate::default()
        };
        let expression = Expression::of(&update);
        assert_eq!(
            expression.condition,
            "(attribute_not_exists(t3) OR t3 >= :v0)"
        );
        assert_eq!(
            expression.update,
            "SET v = v + :v1, t3 = if_not_exists(t3, :v2) - :v0, u3 = if_not_exists(u3, :v3)"
        );
    }

    #[test]
    fn one_name_and_one_value_stand_for_the_same_thing_each_time() {
        let rid = HoldKey::derive("a", "b", "c");
        let update = CellUpdate {
            conditions: vec![Condition::HoldAbsent(rid.clone()), Condition::EpochIs(5)],
            add: BTreeMap::from([(
                Node {
                    unit: Unit::Tokens,
                    index: 3,
                },
                -5,
            )]),
            put: std::collections::BTreeMap::from([(rid, hold())]),
            ..CellUpdate::default()
        };
        let expression = Expression::of(&update);
        assert_eq!(
            expression.condition,
            "attribute_not_exists(p.#r0) AND e = :v0"
        );
        assert_eq!(
            expression.update,
            "SET v = v + :v1, t3 = t3 - :v0, p.#r0 = :v2"
        );
    }
}
