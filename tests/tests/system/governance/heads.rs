//! The daily head of the audit log: signed, told, put into the bucket, and compared later.

use super::{listed, schedule, world};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use end_to_end::receiver::Receiver;
use end_to_end::{ADMIN, World, at_least};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::domain::org::audit::AuditRecord;
use std::collections::HashMap;

type Item = HashMap<String, AttributeValue>;

/// The company with an administrator, a day later; no call is made again by itself.
async fn next_day() -> World {
    let settings = SystemSettings {
        retry: RetryConfig::disabled(),
        ..SystemSettings::empty()
    };
    let world = World::with(settings).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    world.user("root", "eng").await;
    let admin = json!({"role": "admin"});
    let root = world.admin("PATCH", "/v1/users/root", admin).await;
    root.expect(200);
    world.set_clock("2026-11-25T00:10:00Z").await;
    world
}

/// Runs the schedule once; returns its notices.
async fn pass(world: &World) -> reset::Report {
    let report = schedule(world).await;
    world.system.drain().await.unwrap();
    report
}

/// The heads that are on the bus.
fn told(world: &World) -> Vec<Value> {
    let events = world.system.bus().events().into_iter();
    let heads = events.filter(|event| event.detail_type == "audit.head");
    let mut heads: Vec<Value> = heads.map(|event| event.detail["data"].clone()).collect();
    heads.dedup();
    heads
}

async fn verify(world: &World, query: &str) -> Value {
    let path = format!("/v1/audit-log/verify?{query}");
    world.admin("GET", &path, Value::Null).await.expect(200)
}

/// The parameters that compare with a head that was told.
fn kept(head: &Value) -> String {
    format!(
        "seq={}&hash={}",
        head["seq"],
        head["hash"].as_str().unwrap()
    )
}

async fn patch(world: &World, name: &str) {
    let change = world.admin("PATCH", "/v1/users/ada", json!({ "name": name }));
    change.await.expect(200);
}

#[tokio::test]
async fn a_day_ends_in_a_signed_head_that_is_told_once_and_put_into_the_bucket() {
    let world = next_day().await;
    let receiver = Receiver::start().await;
    let hook = json!({"url": receiver.url, "events": ["audit.head"]});
    // Of the new day: the head does not reach it.
    world.admin("POST", "/v1/webhooks", hook).await.expect(201);
    world.set_clock("2026-11-25T00:09:59Z").await;
    assert_eq!(pass(&world).await.totals.heads_signed, 0, "not settled yet");
    world.set_clock("2026-11-25T00:10:00Z").await;
    assert_eq!(pass(&world).await.totals.heads_signed, 1);
    assert_eq!(pass(&world).await.totals.heads_signed, 0);
    let heads = told(&world);
    let [head] = heads.as_slice() else {
        panic!("{heads:?}");
    };
    let log = world.system.store().head("demo").await.unwrap().unwrap();
    assert_eq!(head["seq"], log.seq - 1);
    assert_eq!(head["day"], "2026-11-24");
    assert_eq!(verify(&world, &kept(head)).await["ok"], true);

    let mails = world.system.mails().sent();
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, "root@example.com"));
    assert!(mails[0].text.contains(head["hash"].as_str().unwrap()));
    let posted: Vec<Value> = receiver.received().iter().map(|got| got.json()).collect();
    assert_eq!((posted.len(), &posted[0]["data"]), (1, head));
    let objects = world.system.bucket().objects();
    let object: Value = serde_json::from_str(&objects["demo/2026-11-24.json"]).unwrap();
    assert_eq!((objects.len(), &object["org_id"]), (1, &json!("demo")));

    // With the public key anybody can check who has said so.
    for from in [head, &object] {
        let key: Jwk = serde_json::from_value(from["public_key"].clone()).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let token = from["signed_head"].as_str().unwrap();
        let key = DecodingKey::from_jwk(&key).unwrap();
        let read = jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap();
        for name in ["day", "seq", "hash"] {
            assert_eq!(read.claims[name], head[name], "{name}");
        }
        assert_eq!(read.claims["org"], "demo");
    }
}

#[tokio::test]
async fn a_day_without_entries_has_no_head_and_the_next_one_reaches_over_it() {
    let world = next_day().await;
    pass(&world).await;
    world.set_clock("2026-11-26T12:00:00Z").await;
    assert_eq!(pass(&world).await.totals.heads_signed, 0);
    patch(&world, "Ada L.").await;
    world.set_clock("2026-11-29T12:00:00Z").await;
    assert_eq!(pass(&world).await.totals.heads_signed, 1);
    let heads = told(&world);
    assert_eq!((heads.len(), &heads[1]["day"]), (2, &json!("2026-11-28")));
    for head in &heads {
        assert_eq!(verify(&world, &kept(head)).await["ok"], true, "{head}");
    }
}

fn key(seq: u64) -> [AttributeValue; 2] {
    [
        AttributeValue::S("demo".to_owned()),
        AttributeValue::S(format!("{seq:012}")),
    ]
}

async fn put(world: &World, table: &str, item: Item) {
    let put = world.tables().put_item().table_name(table);
    put.set_item(Some(item)).send().await.unwrap();
}

async fn item(world: &World, table: &str, [pk, sk]: [AttributeValue; 2]) -> Item {
    let get = world.tables().get_item().table_name(table);
    let found = get.key("pk", pk).key("sk", sk).send().await.unwrap();
    found.item.unwrap()
}

/// Rewrites the entries from `from` on, as if somebody else had acted, each with a right hash.
async fn rewrite(world: &World, from: u64) -> String {
    let store = world.system.store();
    let (entries, _) = store.audit_entries("demo", from - 1).await.unwrap();
    let mut previous = entries[0].previous_hash.clone();
    for entry in entries {
        let mut anew = AuditRecord {
            actor: "key/key_other".to_owned(),
            previous_hash: previous,
            ..entry
        };
        anew.hash = anew.computed_hash();
        let mut row = item(world, "Audit", key(anew.seq)).await;
        let Some(AttributeValue::M(data)) = row.get_mut("data") else {
            panic!("{row:?}");
        };
        for (name, value) in [
            ("actor", &anew.actor),
            ("previous_hash", &anew.previous_hash),
            ("hash", &anew.hash),
        ] {
            data.insert(name.to_owned(), AttributeValue::S(value.clone()));
        }
        put(world, "Audit", row).await;
        previous = anew.hash;
    }
    previous
}

/// Lets the organisation's row name another hash as the last one.
async fn set_last_hash(world: &World, hash: &str) {
    let row = [
        AttributeValue::S("demo".to_owned()),
        AttributeValue::S("config#0head".to_owned()),
    ];
    let mut head = item(world, "Governance", row).await;
    head.insert("audit_hash".to_owned(), AttributeValue::S(hash.to_owned()));
    put(world, "Governance", head).await;
}

#[tokio::test]
async fn the_newest_entry_rewritten_is_found_without_any_head() {
    let mut world = world(100).await;
    world.is_tampered = true;
    let last = world.system.store().head("demo").await.unwrap().unwrap();
    rewrite(&world, last.seq).await;
    let found = verify(&world, "").await;
    assert_eq!(
        (&found["ok"], &found["broken"]["seq"]),
        (&json!(false), &json!(last.seq))
    );
}

#[tokio::test]
async fn a_log_rewritten_from_end_to_end_is_found_by_a_head_that_was_kept() {
    let mut world = next_day().await;
    pass(&world).await;
    let head = told(&world).remove(0);
    world.is_tampered = true;
    let last = rewrite(&world, 2).await;
    set_last_hash(&world, &last).await;
    assert_eq!(
        verify(&world, "").await["ok"],
        true,
        "the chain itself holds"
    );
    let found = verify(&world, &kept(&head)).await;
    assert_eq!(found["ok"], false);
    assert_eq!(found["broken"]["seq"], head["seq"]);

    // The schedule compares with its own signed head, tells of it once and signs nothing.
    let mails = world.system.mails().sent().len();
    patch(&world, "Ada L.").await;
    for day in 26..28 {
        world.set_clock(&format!("2026-11-{day}T12:00:00Z")).await;
        assert_eq!(pass(&world).await.totals.heads_signed, 0);
    }
    let titles = listed(&world, ADMIN, "/v1/alerts", "title").await;
    assert_eq!(titles, ["the audit log was altered"]);
    assert_eq!(world.system.mails().sent().len(), mails + 1);
    assert_eq!(told(&world).len(), 1);
}

#[tokio::test]
async fn a_head_in_the_tables_that_this_deployment_did_not_sign_is_told_of() {
    let mut world = next_day().await;
    pass(&world).await;
    world.is_tampered = true;
    let last = rewrite(&world, 2).await;
    set_last_hash(&world, &last).await;
    // An attacker who can write the tables writes a head there, too: without the key it has no
    // signature.
    let (entries, _) = world.system.store().audit_entries("demo", 0).await.unwrap();
    let row = [
        AttributeValue::S("demo".to_owned()),
        AttributeValue::S("audithead#2026-11-24".to_owned()),
    ];
    let mut head = item(&world, "Governance", row).await;
    let Some(AttributeValue::M(data)) = head.get_mut("data") else {
        panic!("{head:?}");
    };
    let hash = entries.last().unwrap().hash.clone();
    data.insert("hash".to_owned(), AttributeValue::S(hash));
    put(&world, "Governance", head).await;
    patch(&world, "Ada L.").await;
    world.set_clock("2026-11-26T12:00:00Z").await;
    pass(&world).await;
    let alerts = world.admin("GET", "/v1/alerts", Value::Null).await;
    let alert = alerts.expect(200)["items"][0].clone();
    let said = alert["message"].as_str().unwrap();
    assert!(
        said.contains("not signed with the deployment's key"),
        "{alert}"
    );
}

#[tokio::test]
async fn a_head_that_the_log_never_had_is_not_ok_and_half_a_head_is_refused() {
    let world = world(100).await;
    let hash = "0".repeat(64);
    let found = verify(&world, &format!("seq=9999&hash={hash}")).await;
    assert_eq!(
        (&found["ok"], &found["broken"]["seq"]),
        (&json!(false), &json!(9_999))
    );
    let found = verify(&world, &format!("seq=1&hash={hash}")).await;
    assert_eq!(
        (&found["ok"], &found["broken"]["seq"]),
        (&json!(false), &json!(1))
    );
    for (query, field) in [
        ("seq=1".to_owned(), "hash"),
        (format!("hash={hash}"), "seq"),
        (format!("seq=0&hash={hash}"), "seq"),
        (format!("seq=one&hash={hash}"), "seq"),
        (format!("seq=1&hash={}", &hash[1..]), "hash"),
        (format!("seq=1&hash={}g", &hash[1..]), "hash"),
    ] {
        let path = format!("/v1/audit-log/verify?{query}");
        let answer = world.admin("GET", &path, Value::Null).await;
        assert_eq!(
            (answer.status, answer.fields()),
            (400, vec![field.to_owned()]),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_bucket_that_is_down_gets_the_head_later() {
    let world = next_day().await;
    world.system.bucket().set_down(true);
    assert_eq!(pass(&world).await.totals.heads_signed, 1);
    assert!(world.system.bucket().objects().is_empty());
    assert_eq!(told(&world).len(), 1, "it is told all the same");
    world.system.bucket().set_down(false);
    pass(&world).await;
    let objects = world.system.bucket().objects();
    let object: Value = serde_json::from_str(&objects["demo/2026-11-24.json"]).unwrap();
    assert_eq!(object["signed_head"], told(&world)[0]["signed_head"]);
}

async fn whichever_call_fails_a_head_is_told_once_and_reaches_the_bucket(when: When) {
    for of_queue in [false, true] {
        for call in 0.. {
            let world = next_day().await;
            let kind = FaultKind::ConnectionReset;
            let fault = Fault { call, when, kind };
            if of_queue {
                world.system.queues().inject(fault);
            } else {
                world.system.engine().inject(fault);
            }
            // The next pass does what fails in it.
            let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
            let _ = world.system.schedule(until).await;
            let has_fired =
                world.system.engine().faults_fired() + world.system.queues().faults_fired() > 0;
            world.system.engine().clear_faults();
            world.system.queues().clear_faults();
            for hour in [2, 3] {
                world
                    .set_clock(&format!("2026-11-25T{hour:02}:00:00Z"))
                    .await;
                pass(&world).await;
            }
            let case = format!("call {call} {when:?} {of_queue}");
            assert_eq!(told(&world).len(), 1, "{case}");
            assert_eq!(world.system.mails().sent().len(), 1, "{case}");
            assert_eq!(world.system.bucket().objects().len(), 1, "{case}");
            if !has_fired {
                assert!(
                    call >= if of_queue { 1 } else { at_least(when, 6, 4) },
                    "{case}"
                );
                break;
            }
        }
    }
}

#[tokio::test]
async fn whichever_call_fails_before_it_is_applied_a_head_is_told_once_and_reaches_the_bucket() {
    whichever_call_fails_a_head_is_told_once_and_reaches_the_bucket(When::Before).await;
}

#[tokio::test]
async fn whichever_answer_is_lost_a_head_is_told_once_and_reaches_the_bucket() {
    whichever_call_fails_a_head_is_told_once_and_reaches_the_bucket(When::After).await;
}
