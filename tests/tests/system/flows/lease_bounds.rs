//! What may pass under a lease after a block or a lowered cap: its own requests, for a minute.

use super::leases::{holds_of, lease, release};
use super::{figure, world};
use end_to_end::{AGENT, World};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const BEGIN: &str = "2026-11-24T12:00:00Z";

fn at(seconds: i64) -> Timestamp {
    let begin: Timestamp = BEGIN.parse().unwrap();
    begin + SignedDuration::from_secs(seconds)
}

/// A client that keeps to the contract: it begins a request only on a hold that is left, and before
/// the lease ends.
struct Client {
    holds: Vec<String>,
    ends: Timestamp,
    begun: Vec<(i64, String)>,
}

impl Client {
    fn of(lease: &Value) -> Self {
        Self {
            holds: holds_of(lease),
            ends: lease["expires_at"].as_str().unwrap().parse().unwrap(),
            begun: Vec::new(),
        }
    }

    /// Begins a request at this second, if it may.
    fn begin(&mut self, second: i64) {
        if at(second) < self.ends && !self.holds.is_empty() {
            self.begun.push((second, self.holds.remove(0)));
        }
    }
}

async fn block(world: &World) {
    let body = json!({"reason": "a leak"});
    let blocked = world.admin("PUT", "/v1/users/ada/block", body).await;
    blocked.expect(200);
}

/// Lets a client run that never calls again, and blocks its user at second 10. Returns the seconds
/// in which it began requests.
async fn silent_client(requests: u8, each: usize) -> Vec<i64> {
    let (world, budget) = world(10_000).await;
    let mut client = Client::of(&lease(&world, "ada", "r-1", requests, 100).await);
    for second in 0..=120 {
        if second == 10 {
            world.set_clock(&at(second).to_string()).await;
            block(&world).await;
        }
        if second.rem_euclid(i64::try_from(each).unwrap()) == 0 {
            client.begin(second);
        }
    }
    world.set_clock(&at(120).to_string()).await;
    let refused = lease(&world, "ada", "r-2", 1, 100).await;
    assert_eq!(refused["reasons"][0]["code"], "user_blocked");
    // What it used counts, and what it did not use comes back.
    let used = client.begun.iter();
    let events = used.map(|(n, hold)| world.usage(&format!("e-{n}"), "ada", 80, 0, Some(hold)));
    let events: Vec<Value> = events.collect();
    world.report(&events).await;
    world.user("bob", "backend").await;
    let left = 10_000 - 80 * i64::try_from(events.len()).unwrap();
    world.hold("bob", "all-the-rest", left, 0).await;
    let spent = 10_000 - left;
    assert_eq!(
        figure(&world.figures(&budget).await),
        (spent, left, left, 0)
    );
    client.begun.into_iter().map(|(second, _)| second).collect()
}

#[tokio::test]
async fn after_a_block_at_most_the_requests_of_the_lease_begin_and_none_after_its_minute() {
    for (requests, each) in [(10, 1), (10, 4), (100, 1), (3, 30)] {
        let begun = silent_client(requests, each).await;
        let after = begun.iter().filter(|second| **second >= 10).count();
        assert!(after <= usize::from(requests));
        assert!(begun.iter().all(|second| *second < 60), "{begun:?}");
        assert!(after > 0 || requests == 10 && each == 1, "{begun:?}");
    }
}

#[tokio::test]
async fn a_block_ends_a_lease_when_its_client_asks_or_renews() {
    let (world, budget) = world(10_000).await;
    let held = lease(&world, "ada", "r-1", 10, 100).await;
    let holds = holds_of(&held);
    world
        .report(&[world.usage("e-1", "ada", 90, 0, Some(&holds[0]))])
        .await;
    block(&world).await;
    let refused = lease(&world, "ada", "r-1", 10, 100).await;
    assert_eq!(refused["decision"], "block", "{refused}");
    assert_eq!(refused["reasons"][0]["code"], "user_blocked");
    assert_eq!(
        (&refused["holds"], refused.get("expires_at")),
        (&json!([]), None)
    );
    let path = format!("/v1/holds/{}", holds[5]);
    let longer = json!({"extend_seconds": 300});
    let refused = world.call(AGENT, "PATCH", &path, longer).await.expect(200);
    assert_eq!(refused["reasons"][0]["code"], "user_blocked");
    // Some of its requests may be on their way: what they use stays held, until the client says
    // that it is not needed.
    assert_eq!(
        figure(&world.figures(&budget).await),
        (90, 900, 9_910, 9_010)
    );
    world
        .report(&[world.usage("e-2", "ada", 100, 0, Some(&holds[1]))])
        .await;
    assert_eq!(release(&world, &holds[2], "?lease=true").await, 204);
    assert_eq!(
        figure(&world.figures(&budget).await),
        (190, 0, 9_810, 9_810)
    );
}

#[tokio::test]
async fn a_lowered_cap_ends_a_lease_when_its_client_asks_again() {
    let (world, budget) = world(2_000).await;
    let held = lease(&world, "ada", "r-1", 10, 100).await;
    let holds = holds_of(&held);
    let path = format!("/v1/budgets/{budget}");
    let set = async |amount: i64| {
        let body = json!({ "amount": amount });
        world.admin("PATCH", &path, body).await.expect(200);
    };
    set(1_000).await;
    let again = lease(&world, "ada", "r-1", 10, 100).await;
    assert_eq!(holds_of(&again), holds, "it still fits");
    set(999).await;
    let refused = lease(&world, "ada", "r-1", 10, 100).await;
    assert_eq!(refused["decision"], "block", "{refused}");
    let reason = &refused["reasons"][0];
    assert_eq!(
        (&reason["code"], &reason["held"], &reason["available"]),
        (&json!("budget_exhausted"), &json!(1_000), &json!(-1))
    );
    // What is held is within the cap that was in force when it was held: the bound is the lease.
    let events = holds[..4].iter().enumerate();
    let events = events.map(|(n, hold)| world.usage(&format!("e-{n}"), "ada", 100, 0, Some(hold)));
    world.report(&events.collect::<Vec<_>>()).await;
    assert_eq!(release(&world, &holds[9], "?lease=true").await, 204);
    assert_eq!(figure(&world.figures(&budget).await), (400, 0, 599, 599));
    // The same request may be asked again with what fits.
    let smaller = lease(&world, "ada", "r-1", 5, 100).await;
    assert_eq!(holds_of(&smaller).len(), 5, "{smaller}");
}
