use std::collections::HashMap;
use std::path::Path;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, ConditionCheck, KeySchemaElement, KeyType,
    Put, ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure,
    ScalarAttributeType, TransactWriteItem, Update,
};

use super::{ACTOR, Engine, Fault, FaultKind, When};

pub(super) const TABLE: &str = "budgets";

pub(super) fn client(engine: &Engine) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(engine.http_client())
        .build();
    Client::from_conf(config)
}

pub(super) async fn open(dir: Option<&Path>) -> (Engine, Client) {
    let engine = Engine::open(dir).unwrap();
    let client = client(&engine);
    let key = |name: &str, kind| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .unwrap()
    };
    let attribute = |name: &str| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .unwrap()
    };
    client
        .create_table()
        .table_name(TABLE)
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .attribute_definitions(attribute("pk"))
        .attribute_definitions(attribute("sk"))
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .unwrap();
    engine.reset_meter();
    (engine, client)
}

pub(super) fn s(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(super) fn n(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn b(value: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

pub(super) fn key(pk: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([("pk".to_owned(), s(pk)), ("sk".to_owned(), s("a"))])
}

pub(super) async fn put(client: &Client, pk: &str, name: &str, value: AttributeValue) {
    client
        .put_item()
        .table_name(TABLE)
        .set_item(Some(key(pk)))
        .item(name, value)
        .send()
        .await
        .unwrap();
}

pub(super) async fn get(client: &Client, pk: &str) -> Option<HashMap<String, AttributeValue>> {
    client
        .get_item()
        .table_name(TABLE)
        .set_key(Some(key(pk)))
        .consistent_read(true)
        .send()
        .await
        .unwrap()
        .item
}

async fn add_one(client: &Client, pk: &str) -> Result<(), SdkError<UpdateItemError>> {
    client
        .update_item()
        .table_name(TABLE)
        .set_key(Some(key(pk)))
        .update_expression("ADD used :one")
        .expression_attribute_values(":one", n(1))
        .send()
        .await
        .map(|_| ())
}

async fn used(client: &Client, pk: &str) -> u64 {
    let item = get(client, pk).await;
    item.and_then(|item| item.get("used")?.as_n().ok()?.parse().ok())
        .unwrap_or(0)
}

#[tokio::test]
async fn a_failed_condition_returns_the_item_as_it_is() {
    let (_engine, client) = open(None).await;
    put(&client, "x", "used", n(5)).await;
    let error = client
        .update_item()
        .table_name(TABLE)
        .set_key(Some(key("x")))
        .update_expression("SET used = used + :one")
        .condition_expression("used < :max")
        .expression_attribute_values(":one", n(1))
        .expression_attribute_values(":max", n(5))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    let UpdateItemError::ConditionalCheckFailedException(failed) = error else {
        panic!("another error: {error:?}");
    };
    assert_eq!(failed.item.unwrap()["used"], n(5));
}

#[tokio::test]
async fn a_map_is_bounded_by_its_size_and_holds_binary_entries() {
    let (_engine, client) = open(None).await;
    put(&client, "x", "p", AttributeValue::M(HashMap::new())).await;
    let insert = async |name: &str| {
        client
            .update_item()
            .table_name(TABLE)
            .set_key(Some(key("x")))
            .update_expression("SET p.#r = :v")
            .condition_expression("attribute_not_exists(p.#r) AND size(p) < :max")
            .expression_attribute_names("#r", name)
            .expression_attribute_values(":v", b(&[0, 1, 255]))
            .expression_attribute_values(":max", n(2))
            .send()
            .await
    };
    insert("r1").await.unwrap();
    insert("r1").await.unwrap_err();
    insert("r2").await.unwrap();
    insert("r3").await.unwrap_err();

    let remove = async |value: &[u8]| {
        client
            .update_item()
            .table_name(TABLE)
            .set_key(Some(key("x")))
            .update_expression("REMOVE p.#r")
            .condition_expression("p.#r = :v")
            .expression_attribute_names("#r", "r1")
            .expression_attribute_values(":v", b(value))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
    };
    remove(&[0, 1]).await.unwrap_err();
    let after = remove(&[0, 1, 255]).await.unwrap().attributes.unwrap();
    let left: Vec<&String> = after["p"].as_m().unwrap().keys().collect();
    assert_eq!(left, ["r2"]);
    remove(&[0, 1, 255]).await.unwrap_err();
}

#[tokio::test]
async fn a_cancelled_transaction_says_why_for_each_item() {
    let (_engine, client) = open(None).await;
    put(&client, "x", "used", n(5)).await;
    let check = ConditionCheck::builder()
        .table_name(TABLE)
        .set_key(Some(key("x")))
        .condition_expression("used < :max")
        .expression_attribute_values(":max", n(5))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build()
        .unwrap();
    let other = Put::builder()
        .table_name(TABLE)
        .set_item(Some(key("y")))
        .build()
        .unwrap();
    let error = client
        .transact_write_items()
        .transact_items(TransactWriteItem::builder().put(other).build())
        .transact_items(TransactWriteItem::builder().condition_check(check).build())
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_transaction_canceled_exception(), "{error:?}");
    let reasons = match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            cancelled.cancellation_reasons.unwrap()
        }
        other => panic!("another error: {other:?}"),
    };
    let codes: Vec<_> = reasons
        .iter()
        .map(|reason| reason.code().unwrap())
        .collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    assert_eq!(reasons[1].item.as_ref().unwrap()["used"], n(5));
    assert!(get(&client, "y").await.is_none());
}

#[tokio::test]
async fn calls_and_their_capacity_are_counted() {
    let (engine, client) = open(None).await;
    put(&client, "x", "used", n(5)).await;
    assert_eq!(engine.meter().write_units_tenths, 0);
    client
        .get_item()
        .table_name(TABLE)
        .set_key(Some(key("x")))
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send()
        .await
        .unwrap();
    let update = Update::builder()
        .table_name(TABLE)
        .set_key(Some(key("x")))
        .update_expression("ADD used :one")
        .expression_attribute_values(":one", n(1))
        .build()
        .unwrap();
    client
        .transact_write_items()
        .transact_items(TransactWriteItem::builder().update(update).build())
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send()
        .await
        .unwrap();
    let meter = engine.meter();
    assert_eq!(meter.calls["PutItem"], 1);
    assert_eq!(meter.calls["GetItem"], 1);
    assert_eq!(meter.calls["TransactWriteItems"], 1);
    assert_eq!(meter.read_units_tenths, 5);
    assert_eq!(meter.write_units_tenths, 20);
    assert_eq!(meter.tables[TABLE].read_units_tenths, 5);
    assert_eq!(meter.tables[TABLE].write_units_tenths, 20);
    engine.reset_meter();
    assert_eq!(engine.meter(), super::Meter::default());
}

#[tokio::test]
async fn each_fault_before_changes_nothing_and_after_loses_only_the_answer() {
    let (engine, client) = open(None).await;
    let kinds = [
        (FaultKind::InternalServerError, Some("InternalServerError")),
        (FaultKind::Throttled, Some("ThrottlingException")),
        (
            FaultKind::TransactionConflict,
            Some("TransactionConflictException"),
        ),
        (FaultKind::ConnectionReset, None),
    ];
    let mut expected = 0;
    for (fired, (kind, code)) in kinds.into_iter().enumerate() {
        for when in [When::Before, When::After] {
            engine.inject(Fault {
                call: 1,
                when,
                kind,
            });
            add_one(&client, "x").await.unwrap();
            let error = add_one(&client, "x").await.unwrap_err();
            match &error {
                SdkError::DispatchFailure(failure) => assert!(failure.is_io() && code.is_none()),
                other => assert_eq!(other.code(), code),
            }
            expected += if when == When::After { 2 } else { 1 };
            assert_eq!(used(&client, "x").await, expected, "{kind:?} {when:?}");
        }
        assert_eq!(engine.faults_fired(), 2 * (fired as u64 + 1));
    }
    engine.inject(Fault {
        call: 0,
        when: When::Before,
        kind: FaultKind::Throttled,
    });
    engine.clear_faults();
    add_one(&client, "x").await.unwrap();
}

#[tokio::test]
async fn an_injected_conflict_cancels_a_transaction_and_passes_a_read() {
    let (engine, client) = open(None).await;
    let conflict = Fault {
        call: 0,
        when: When::Before,
        kind: FaultKind::TransactionConflict,
    };
    engine.inject(conflict);
    assert!(get(&client, "x").await.is_none());
    assert_eq!(engine.faults_fired(), 0);

    let item = |pk| {
        let put = Put::builder().table_name(TABLE).set_item(Some(key(pk)));
        TransactWriteItem::builder()
            .put(put.build().unwrap())
            .build()
    };
    for (kind, code) in [
        (FaultKind::TransactionConflict, "TransactionConflict"),
        (FaultKind::Throttled, "ThrottlingError"),
    ] {
        engine.inject(Fault { kind, ..conflict });
        let error = client
            .transact_write_items()
            .transact_items(item("x"))
            .transact_items(item("y"))
            .send()
            .await
            .unwrap_err()
            .into_service_error();
        match error {
            TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                let reasons = cancelled.cancellation_reasons();
                assert_eq!(reasons[0].code(), Some(code));
                assert_eq!(reasons[1].code(), Some("None"));
            }
            other => panic!("another error: {other:?}"),
        }
    }
    assert_eq!(engine.faults_fired(), 2);
    assert!(get(&client, "x").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_racing_updates_of_a_cap_of_a_hundred_admit_a_hundred() {
    let (_engine, client) = open(None).await;
    put(&client, "cap", "left", n(100)).await;
    let racers: Vec<_> = (0..200)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                client
                    .update_item()
                    .table_name(TABLE)
                    .set_key(Some(key("cap")))
                    .update_expression("SET #left = #left - :one")
                    .condition_expression("#left >= :one")
                    .expression_attribute_names("#left", "left")
                    .expression_attribute_values(":one", n(1))
                    .send()
                    .await
                    .is_ok()
            })
        })
        .collect();
    let mut admitted = 0;
    for racer in racers {
        admitted += usize::from(racer.await.unwrap());
    }
    assert_eq!(admitted, 100);
    assert_eq!(get(&client, "cap").await.unwrap()["left"], n(0));
}

#[tokio::test]
async fn data_in_a_directory_outlives_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (_engine, client) = open(Some(dir.path())).await;
        put(&client, "x", "used", n(5)).await;
    }
    let engine = Engine::open(Some(dir.path())).unwrap();
    let item = get(&client(&engine), "x").await.unwrap();
    assert_eq!(item["used"], n(5));
}

#[tokio::test]
async fn an_operation_that_is_not_served_is_unknown() {
    let (engine, client) = open(None).await;
    if engine.is_another() {
        return;
    }
    let error = client.describe_limits().send().await.unwrap_err();
    assert_eq!(error.code(), Some("UnknownOperationException"));
}

#[tokio::test]
async fn a_call_that_is_stopped_waits_until_it_may_go_on_and_others_pass() {
    let (engine, client) = open(None).await;
    let mut stopped = engine
        .stop_next(|operation, body| operation == "PutItem" && body.contains("the first one"));
    let first = put(&client, "the first one", "used", n(1));
    let others = async {
        stopped.arrived().await;
        put(&client, "another", "used", n(1)).await;
        assert_eq!(get(&client, "the first one").await, None);
        stopped.release();
    };
    tokio::join!(first, others);
    assert_eq!(used(&client, "the first one").await, 1);
    // It was one call, and a stop that is dropped stops nothing.
    put(&client, "the first one", "used", n(2)).await;
    drop(engine.stop_next(|_, _| true));
    assert_eq!(used(&client, "the first one").await, 2);
}

#[tokio::test]
async fn calls_of_actors_wait_until_they_are_chosen_and_a_lost_one_takes_effect_unanswered() {
    let (engine, client) = open(None).await;
    let schedule = engine.schedule();
    add_one(&client, "x").await.unwrap();
    assert_eq!(used(&client, "x").await, 1, "it is nobody's, so it passed");

    let mut lost = Box::pin(ACTOR.scope(7, add_one(&client, "x")));
    let mut chosen = Box::pin(ACTOR.scope(3, add_one(&client, "x")));
    let mut given_up = Box::pin(ACTOR.scope(5, add_one(&client, "x")));
    let all_wait = async {
        while schedule.actors().len() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = &mut lost => panic!("it did not wait"),
        _ = &mut chosen => panic!("it did not wait"),
        _ = &mut given_up => panic!("it did not wait"),
        () = all_wait => {}
    }
    drop(given_up);
    let calls = schedule.waiting();
    let actors: Vec<usize> = calls.iter().map(|call| call.actor).collect();
    assert_eq!((actors, schedule.come()), (vec![3, 7], 3));
    assert_eq!(calls[0].operation, "UpdateItem");
    assert_eq!(used(&client, "x").await, 1);

    assert!(schedule.go(calls[0].number));
    assert!(!schedule.go(calls[0].number), "it goes once");
    chosen.await.unwrap();
    assert_eq!(used(&client, "x").await, 2);

    let mut effect = schedule.lose(calls[1].number);
    assert!(!effect.is_over());
    let over = async {
        while !effect.is_over() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = &mut lost => panic!("it was answered"),
        () = over => {}
    }
    assert_eq!(used(&client, "x").await, 3);

    // Calls that wait when the schedule is dropped pass, and so do all later calls.
    let mut waiting = Box::pin(ACTOR.scope(1, add_one(&client, "x")));
    let waits = async {
        while schedule.actors().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = &mut waiting => panic!("it did not wait"),
        () = waits => {}
    }
    drop(schedule);
    waiting.await.unwrap();
    ACTOR.scope(1, add_one(&client, "x")).await.unwrap();
    assert_eq!(used(&client, "x").await, 5);
}
