//! Many instances of evaluate record usage of one department at the same time. Transactions that
//! are underway together and write the same item conflict, as in DynamoDB.

use end_to_end::World;
use end_to_end::former::text;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use local::dynamodb::{ACTOR, Call, Fault, FaultKind, Schedule, When};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::domain::ledger::identity::{BodyDigest, EventIdentity};
use shared::domain::ledger::usage::{Event, Usage};
use shared::domain::pricing::book::PriceBooks;
use shared::store::{Claimant, Store, Tables};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

const INSTANCES: usize = 8;
const BATCHES: usize = 10;
/// How many events a batch has, each of another user.
const EVENTS: usize = 3;

/// The items that a transaction writes.
fn items(call: &Call) -> BTreeSet<String> {
    let body: Value = serde_json::from_str(&call.body).unwrap();
    let parts = body["TransactItems"].as_array().unwrap().iter();
    let of = |part: &Value| {
        let write = part.as_object().unwrap().values().next().unwrap().clone();
        let key = [&write["Key"], &write["Item"]]
            .into_iter()
            .find(|key| key.is_object());
        let key = key.unwrap();
        format!("{} {}", key["pk"], key["sk"])
    };
    parts.map(of).collect()
}

/// Instances that record their batches, one call of the database after the other.
struct Stage<'a> {
    schedule: Schedule,
    works: Vec<Option<LocalBoxFuture<'a, ()>>>,
}

impl Stage<'_> {
    /// Lets the instances go on until each waits at a call or is done.
    async fn settle(&mut self) {
        loop {
            poll_fn(|context| {
                for work in &mut self.works {
                    let done = work.as_mut().map(|work| work.poll_unpin(context));
                    if done.is_some_and(|done| done.is_ready()) {
                        *work = None;
                    }
                }
                Poll::Ready(())
            })
            .await;
            let underway = self.works.iter().filter(|work| work.is_some()).count();
            if self.schedule.actors().len() == underway {
                return;
            }
            // Somebody waits before they try again.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// `eng` with users whose holds live, and the batches of each instance.
async fn company() -> (World, Vec<Vec<Vec<Usage>>>) {
    let world = World::with(SystemSettings {
        delivers_events: false,
        ..SystemSettings::empty()
    })
    .await;
    world.department("eng", None).await;
    world
        .budget(Some("eng"), "tokens", json!(1_000_000), true)
        .await;
    let (store, now) = (world.system.store().clone(), world.system.clock().now());
    let mut all = Vec::new();
    for instance in 0..INSTANCES {
        for n in 0..EVENTS {
            world.user(&format!("u{instance}-{n}"), "eng").await;
        }
        let mut batches = Vec::new();
        for batch in 0..BATCHES {
            let mut usages = Vec::new();
            for n in 0..EVENTS {
                let user = format!("u{instance}-{n}");
                let hold = world.hold(&user, &format!("r-{batch}"), 10, 0).await;
                let mut event = world.usage(&format!("e-{batch}"), &user, 10, 0, Some(&hold));
                event["outcome"] = json!("completed");
                event["cached_input_tokens"] = json!(0);
                let Event::LlmRequest(usage) = serde_json::from_value(event).unwrap() else {
                    panic!("it is usage");
                };
                let claimant = Claimant {
                    identity: &EventIdentity::of_usage(&usage),
                    digest: &BodyDigest::of_usage(&usage),
                    hold_id: usage.hold_id.as_deref(),
                    report: "r",
                };
                store.claim("demo", claimant, now).await.unwrap();
                usages.push(usage);
            }
            batches.push(usages);
        }
        all.push(batches);
    }
    (world, all)
}

async fn record_all(world: &World, batches: &[Vec<Usage>]) {
    let store = Store::new(world.tables(), Tables::local());
    let now = world.system.clock().now();
    for batch in batches {
        let configuration = store.configuration("demo").await.unwrap().unwrap();
        let usages: Vec<(&Usage, Timestamp)> = batch.iter().map(|usage| (usage, now)).collect();
        let books = PriceBooks::built_in();
        let recorded = store.record_usages(&configuration, books, &usages, now);
        for result in recorded.await {
            result.unwrap();
        }
    }
}

#[tokio::test]
async fn instances_that_record_for_one_department_conflict_until_each_has_a_row_of_its_own() {
    let (world, all) = company().await;
    let engine = world.system.engine();
    let mut stage = Stage {
        schedule: engine.schedule(),
        works: Vec::new(),
    };
    for (number, batches) in all.iter().enumerate() {
        let work = ACTOR.scope(number, record_all(&world, batches));
        stage.works.push(Some(work.boxed_local()));
    }
    // How many transactions conflicted, of how many that were underway together.
    let mut rounds: Vec<(usize, usize)> = Vec::new();
    loop {
        stage.settle().await;
        let calls = stage.schedule.waiting();
        if calls.is_empty() {
            break;
        }
        let is_transaction = |call: &&Call| call.operation == "TransactWriteItems";
        let others: Vec<&Call> = calls.iter().filter(|call| !is_transaction(call)).collect();
        if !others.is_empty() {
            for call in others {
                stage.schedule.go(call.number);
            }
            continue;
        }
        // The worst that can be: the transactions of all instances are underway at once.
        let mut written: BTreeSet<String> = BTreeSet::new();
        let mut conflicts = 0;
        for call in &calls {
            let items = items(call);
            if written.is_disjoint(&items) {
                written.extend(items);
            } else {
                conflicts += 1;
                engine.inject(Fault {
                    call: 0,
                    when: When::Before,
                    kind: FaultKind::TransactionConflict,
                });
            }
            stage.schedule.go(call.number);
            stage.settle().await;
        }
        rounds.push((conflicts, calls.len()));
    }
    drop(stage);
    let conflicts: usize = rounds.iter().map(|(conflicts, _)| conflicts).sum();
    let transactions = INSTANCES * BATCHES;
    println!(
        "{INSTANCES} instances at once, {transactions} batches of one department: {conflicts} \
         conflicts, in the rounds {rounds:?}"
    );
    assert!(
        conflicts >= INSTANCES - 1,
        "all begin with the first row: {rounds:?}"
    );
    assert!(conflicts <= 3 * INSTANCES, "{rounds:?}");
    let (_, late) = rounds.split_at(rounds.len() / 2);
    assert!(
        late.iter().all(|(conflicts, _)| *conflicts == 0),
        "{rounds:?}"
    );
    let ledger = world.ledger().await;
    let rows = ledger
        .iter()
        .filter(|item| text(item, "sk").starts_with("department#/eng/"));
    let rows = rows.count();
    assert!(
        (INSTANCES..=16).contains(&rows),
        "one for each instance: {rows}"
    );
    let store = world.system.store();
    let totals = store.department_totals("demo", "2026-11".parse().unwrap());
    let totals = totals.await.unwrap();
    let expected = i64::try_from(10 * EVENTS * transactions).unwrap();
    assert_eq!(totals.rows().len(), 1, "and one total");
    assert_eq!(totals.spent_under(Some("eng")).tokens, expected);
}
