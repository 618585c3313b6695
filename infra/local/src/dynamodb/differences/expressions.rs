//! Rules about expressions and conditions.

use super::super::tests::{TABLE, key, n, put, s};
use super::{Probe, outcome, update};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

/// Rules about paths, values and names in expressions.
pub(super) async fn expressions(client: &Client) -> Vec<Probe> {
    let mut found = Vec::new();
    put(client, "flat", "used", n(1)).await;
    let nested = update(client, "flat", "SET p.x = :v", &[(":v", n(1))]).await;
    found.push((
        "a path into what is no map is refused",
        nested,
        "ValidationException",
    ));
    let unused = update(client, "flat", "SET a = :v", &[(":v", n(1)), (":w", n(1))]).await;
    found.push((
        "a value that no expression names is refused",
        unused,
        "ValidationException",
    ));
    let twice = update(client, "flat", "SET a = :v, a = :v", &[(":v", n(1))]).await;
    found.push(("a path is set once", twice, "ValidationException"));
    let text = update(client, "flat", "ADD used :v", &[(":v", s("1"))]).await;
    found.push(("text is added to no number", text, "ValidationException"));
    let digits = AttributeValue::N("1".repeat(39));
    let long = update(client, "flat", "SET a = :v", &[(":v", digits)]).await;
    found.push((
        "a number has at most 38 digits",
        long,
        "ValidationException",
    ));
    let set = AttributeValue::Ns(Vec::new());
    let empty = update(client, "flat", "SET a = :v", &[(":v", set)]).await;
    found.push(("a set is not empty", empty, "ValidationException"));
    let empty = update(client, "flat", "SET a = :v", &[(":v", s(""))]).await;
    found.push(("a text may be", empty, "ok"));
    let call = client
        .put_item()
        .table_name(TABLE)
        .item("pk", s(""))
        .item("sk", s("a"));
    found.push((
        "a key is not",
        outcome(call.send().await),
        "ValidationException",
    ));
    let reserved = update(client, "flat", "SET ttl = :v", &[(":v", n(1))]).await;
    found.push((
        "a reserved word needs a name",
        reserved,
        "ValidationException",
    ));
    found
}

/// Rules about comparing values.
pub(super) async fn comparisons(client: &Client) -> Vec<Probe> {
    let mut found = Vec::new();
    put(client, "flat", "used", n(1)).await;
    let call = client
        .update_item()
        .table_name(TABLE)
        .set_key(Some(key("flat")));
    let call = call
        .update_expression("SET a = :a")
        .condition_expression("used > :nine");
    let call = call
        .expression_attribute_values(":a", n(1))
        .expression_attribute_values(":nine", s("9"));
    let mixed = outcome(call.send().await);
    found.push((
        "a number and a text do not compare",
        mixed,
        "ConditionalCheckFailedException",
    ));
    put(client, "ten", "used", n(10)).await;
    let call = client
        .update_item()
        .table_name(TABLE)
        .set_key(Some(key("ten")));
    let call = call
        .update_expression("SET a = :a")
        .condition_expression("used > :nine");
    let call = call
        .expression_attribute_values(":a", n(1))
        .expression_attribute_values(":nine", n(9));
    found.push((
        "numbers compare as numbers: 10 > 9",
        outcome(call.send().await),
        "ok",
    ));
    found
}
