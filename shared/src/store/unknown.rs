//! Attributes that a later version has written and this one does not know. Whoever writes an item
//! anew carries them over.

use super::item::Item;
use super::tables::TTL;
use aws_sdk_dynamodb::types::AttributeValue;

/// Adds to `written` what `stored`, the item before, has and `known` lacks: the same item, as this
/// version reads it and would write it again. So an attribute that this version removes stays
/// removed. Maps inside are treated alike.
pub(super) fn carry_over(stored: &Item, known: &Item, written: &mut Item) {
    for (name, value) in stored.iter().filter(|(name, _)| *name != TTL) {
        match (value, known.get(name), written.get_mut(name)) {
            (_, None, None) => {
                written.insert(name.clone(), value.clone());
            }
            (
                AttributeValue::M(stored),
                Some(AttributeValue::M(known)),
                Some(AttributeValue::M(written)),
            ) => carry_over(stored, known, written),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn item(json: Value) -> Item {
        serde_dynamo::to_item(json).unwrap()
    }

    #[test]
    fn what_is_unknown_stays_at_any_depth_and_what_was_removed_or_changed_does_not_come_back() {
        for (stored, known, written, after) in [
            (
                json!({"a": 1, "z": 9}),
                json!({"a": 1}),
                json!({"a": 2}),
                json!({"a": 2, "z": 9}),
            ),
            (
                json!({"a": 1, "b": 1}),
                json!({"a": 1, "b": 1}),
                json!({"a": 1}),
                json!({"a": 1}),
            ),
            (
                json!({"m": {"a": 1, "z": {"y": 9}}}),
                json!({"m": {"a": 1}}),
                json!({"m": {"a": 2}}),
                json!({"m": {"a": 2, "z": {"y": 9}}}),
            ),
            (
                json!({"m": {"a": 1, "z": 9}}),
                json!({"m": {"a": 1}}),
                json!({}),
                json!({}),
            ),
            (json!({"z": 9}), json!({}), json!({"z": 1}), json!({"z": 1})),
            (json!({"y": 9}), json!({}), json!({}), json!({})),
        ] {
            let mut carried = item(written);
            carry_over(&item(stored), &item(known), &mut carried);
            assert_eq!(carried, item(after));
        }
    }
}
