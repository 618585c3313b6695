//! Compares the engine with DynamoDB's documentation: one probe for each rule that the store relies
//! on. Known differences are listed here and in docs/deployment.md.

mod expressions;

use super::tests::{TABLE, b, client, key, n, open, s};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeysAndAttributes, Put, ReturnConsumedCapacity, TransactWriteItem, Update,
};
use std::collections::{BTreeSet, HashMap};

/// The rules that the embedded engine breaks, and those that ministack 1.5.33 breaks. DynamoDB
/// keeps all of them.
const BROKEN_BY_EMBEDDED: &[&str] = &[];
const BROKEN_BY_MINISTACK: &[&str] = &["a path is set once"];

/// Returns the result of a call: `ok`, or the error's code.
fn outcome<T, E: ProvideErrorMetadata>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.code().unwrap_or("no code").to_owned(),
    }
}

async fn update(
    client: &Client,
    pk: &str,
    expression: &str,
    values: &[(&str, AttributeValue)],
) -> String {
    let mut call = client
        .update_item()
        .table_name(TABLE)
        .set_key(Some(key(pk)))
        .update_expression(expression);
    for (name, value) in values {
        call = call.expression_attribute_values(*name, value.clone());
    }
    outcome(call.send().await)
}

fn put_of(pk: &str) -> TransactWriteItem {
    let put = Put::builder().table_name(TABLE).set_item(Some(key(pk)));
    TransactWriteItem::builder()
        .put(put.build().unwrap())
        .build()
}

fn add_of(pk: &str) -> TransactWriteItem {
    let update = Update::builder()
        .table_name(TABLE)
        .set_key(Some(key(pk)))
        .update_expression("ADD used :one")
        .expression_attribute_values(":one", n(1));
    TransactWriteItem::builder()
        .update(update.build().unwrap())
        .build()
}

async fn transact(client: &Client, items: Vec<TransactWriteItem>, token: Option<&str>) -> String {
    let call = client
        .transact_write_items()
        .set_transact_items(Some(items));
    let call = call.set_client_request_token(token.map(str::to_owned));
    outcome(call.send().await)
}

async fn number(client: &Client, pk: &str) -> String {
    let item = super::tests::get(client, pk).await.unwrap_or_default();
    match item.get("used") {
        Some(AttributeValue::N(number)) => number.clone(),
        other => format!("{other:?}"),
    }
}

/// Returns the write units of a transaction with one write.
async fn units(client: &Client, item: TransactWriteItem) -> String {
    let call = client.transact_write_items().transact_items(item);
    let call = call.return_consumed_capacity(ReturnConsumedCapacity::Total);
    let consumed = call.send().await.unwrap().consumed_capacity;
    let units = consumed.unwrap_or_default()[0].capacity_units;
    units.map_or("none".to_owned(), |units| units.to_string())
}

/// A rule, the result that was found, and the documented one.
type Probe = (&'static str, String, &'static str);

async fn probes(client: &Client) -> Vec<Probe> {
    let groups = [
        sizes(client).await,
        tokens(client).await,
        expressions::expressions(client).await,
        expressions::comparisons(client).await,
        pages(client).await,
        write_units(client).await,
    ];
    groups.concat()
}

/// Rules about the sizes of items, transactions and batches.
async fn sizes(client: &Client) -> Vec<Probe> {
    let mut found = Vec::new();
    let large = s(&"x".repeat(409_600));
    let call = client
        .put_item()
        .table_name(TABLE)
        .set_item(Some(key("large")))
        .item("v", large);
    found.push((
        "an item of more than 400 KB is refused",
        outcome(call.send().await),
        "ValidationException",
    ));

    let items: Vec<_> = (0..101).map(|i| put_of(&format!("t{i}"))).collect();
    found.push((
        "a transaction of 101 items is refused",
        transact(client, items, None).await,
        "ValidationException",
    ));
    let items: Vec<_> = (0..100).map(|i| put_of(&format!("t{i}"))).collect();
    found.push((
        "one of 100 is not",
        transact(client, items, None).await,
        "ok",
    ));
    let twice = vec![add_of("same"), add_of("same")];
    found.push((
        "a transaction names an item once",
        transact(client, twice, None).await,
        "ValidationException",
    ));

    let keys: Vec<_> = (0..101).map(|i| key(&format!("b{i}"))).collect();
    let asked = KeysAndAttributes::builder()
        .set_keys(Some(keys))
        .build()
        .unwrap();
    let call = client
        .batch_get_item()
        .request_items(TABLE, asked)
        .send()
        .await;
    found.push((
        "a batch of 101 keys is refused",
        outcome(call),
        "ValidationException",
    ));
    found
}

/// Rules about the tokens of transactions.
async fn tokens(client: &Client) -> Vec<Probe> {
    let mut found = Vec::new();
    transact(client, vec![add_of("token")], Some("a-token")).await;
    let again = transact(client, vec![add_of("token")], Some("a-token")).await;
    found.push((
        "a transaction under a token that was used is answered",
        again,
        "ok",
    ));
    found.push(("and not done again", number(client, "token").await, "1"));
    let other = transact(client, vec![add_of("other")], Some("a-token")).await;
    found.push((
        "another under that token is refused",
        other,
        "IdempotentParameterMismatchException",
    ));
    found
}

/// Rules about the pages of a query.
async fn pages(client: &Client) -> Vec<Probe> {
    let mut found = Vec::new();
    for i in 0..3 {
        let bytes = vec![0; 390_000];
        let item = HashMap::from([
            ("pk".to_owned(), s("page")),
            ("sk".to_owned(), s(&i.to_string())),
            ("v".to_owned(), b(&bytes)),
        ]);
        client
            .put_item()
            .table_name(TABLE)
            .set_item(Some(item))
            .send()
            .await
            .unwrap();
    }
    let call = client
        .query()
        .table_name(TABLE)
        .key_condition_expression("pk = :pk");
    let page = call
        .expression_attribute_values(":pk", s("page"))
        .send()
        .await
        .unwrap();
    let said = format!(
        "{} of 3, more: {}",
        page.count(),
        page.last_evaluated_key().is_some()
    );
    // "DynamoDB processes up to 1 MB": the item that passes it ends the page
    found.push(("a page has at most 1 MB", said, "2 of 3, more: true"));
    found
}

/// Rules about the write units of transactions.
async fn write_units(client: &Client) -> Vec<Probe> {
    let mut found = Vec::new();
    let large = Put::builder()
        .table_name(TABLE)
        .set_item(Some(key("units")))
        .item("v", s(&"x".repeat(1_020)));
    let large = TransactWriteItem::builder()
        .put(large.build().unwrap())
        .build();
    found.push((
        "in a transaction a write is two units for each KB",
        units(client, put_of("small")).await,
        "2",
    ));
    found.push(("of 1,029 bytes it is four", units(client, large).await, "4"));
    found.push((
        "what is written over counts where it was larger",
        units(client, put_of("units")).await,
        "4",
    ));
    found
}

#[tokio::test]
async fn the_engine_does_what_dynamodb_documents_but_for_what_is_listed() {
    let (engine, _) = open(None).await;
    let listed = if engine.is_another() {
        BROKEN_BY_MINISTACK
    } else {
        BROKEN_BY_EMBEDDED
    };
    let client = client(&engine);
    let mut broken = BTreeSet::new();
    for (rule, found, documented) in probes(&client).await {
        if found != documented {
            println!("{rule}: {found} instead of {documented}");
            broken.insert(rule);
        }
    }
    assert_eq!(broken, listed.iter().copied().collect::<BTreeSet<_>>());
}
