//! Registering and changing webhooks.

use super::{deliveries, event, pass, path, pause, seen, statuses, world_with_ada};
use end_to_end::ADMIN;
use end_to_end::receiver::Receiver;
use serde_json::{Value, json};

#[tokio::test]
async fn a_webhook_is_changed_under_its_version_and_the_change_is_audited() {
    let (world, receiver, made) = world_with_ada().await;
    assert_eq!(made["version"], 1);
    let change = async |headers: &[(&str, &str)], body: Value| {
        let body = body.to_string();
        world.raw(ADMIN, "PATCH", &path(&made), headers, body).await
    };
    let body = json!({"events": ["user.released"], "description": "Ours"});
    let changed = change(&[("if-match", "1")], body).await.expect(200);
    assert_eq!(
        (
            &changed["version"],
            &changed["events"],
            &changed["description"]
        ),
        (&json!(2), &json!(["user.released"]), &json!("Ours"))
    );
    assert_eq!(changed["url"], made["url"]);
    assert_eq!(changed["signing_secret"], Value::Null);
    assert_eq!(seen(&world, &made).await, changed);
    let stale = change(&[("if-match", "1")], json!({"events": null})).await;
    assert_eq!(stale.status, 409);
    event(&world, 0).await;
    assert!(receiver.received().is_empty(), "of blocks it is not told");
    event(&world, 1).await;
    assert_eq!(receiver.received().len(), 1);
    let all = json!({"events": null, "description": null});
    let changed = change(&[], all).await.expect(200);
    assert_eq!(
        (&changed["events"], &changed["description"]),
        (&Value::Null, &Value::Null)
    );
    event(&world, 2).await;
    assert_eq!(receiver.received().len(), 2);
    let log = world
        .admin("GET", "/v1/audit-log?action=webhook.update", Value::Null)
        .await
        .expect(200);
    let entries = log["items"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[1]["after"]["description"], "Ours");
    for (body, field) in [
        (json!({"url": null}), "url"),
        (json!({"url": "https://10.0.0.1/"}), "url"),
        (json!({"events": ["nothing"]}), "events"),
        (json!({"secret": "x"}), "secret"),
    ] {
        let refused = change(&[], body.clone()).await;
        assert_eq!(
            (refused.status, refused.fields()),
            (400, vec![field.to_owned()]),
            "{body}"
        );
    }
    let unknown = world
        .admin("PATCH", "/v1/webhooks/whk_nobody", json!({"events": null}))
        .await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn deliveries_that_waited_for_a_paused_or_ended_receiver_go_to_the_new_one() {
    let (world, old, made) = world_with_ada().await;
    pause(&world, &made).await;
    event(&world, 0).await;
    let new = Receiver::start().await;
    let url = json!({"url": format!("{}/new", new.url)});
    let changed = world.admin("PATCH", &path(&made), url).await.expect(200);
    assert_eq!(
        (&changed["status"], &changed["failing_since"]),
        (&json!("active"), &Value::Null)
    );
    pass(&world, 900).await;
    assert!(old.received().is_empty());
    assert_eq!(new.received()[0].path, "/new");
    new.answer(410, &[]);
    event(&world, 1).await;
    assert_eq!(seen(&world, &made).await["status"], "ended");
    let url = json!({"url": format!("{}/old", old.url)});
    let changed = world.admin("PATCH", &path(&made), url).await.expect(200);
    assert_eq!(changed["status"], "active");
    event(&world, 2).await;
    assert_eq!(old.received()[0].path, "/old");
}

#[tokio::test]
async fn one_waiting_delivery_fails_if_the_new_receiver_is_down_too() {
    let (world, old, made) = world_with_ada().await;
    old.answer(503, &[]);
    let test = format!("{}/test", path(&made));
    for _ in 0..12 {
        world.admin("POST", &test, Value::Null).await.expect(202);
    }
    world.system.drain().await.unwrap();
    for _ in 0..30 {
        pass(&world, 3_600).await;
    }
    // Each has one attempt left.
    assert_eq!(seen(&world, &made).await["status"], "paused");
    let new = Receiver::start().await;
    new.answer(503, &[]);
    // There and back again: the first receiver is another one by then, too.
    for (receiver, expected) in [(&new, 2), (&old, 3)] {
        let url = json!({"url": format!("{}/hook", receiver.url)});
        world.admin("PATCH", &path(&made), url).await.expect(200);
        pass(&world, 900).await;
        assert_eq!(seen(&world, &made).await["status"], "paused");
        let all = deliveries(&world, &made).await;
        let given_up = statuses(&all).into_iter().filter(|of| *of == "failed");
        assert_eq!((all.len(), given_up.count()), (12, expected), "{all:?}");
    }
    let opened = world.admin("GET", "/v1/incidents", Value::Null).await;
    assert_eq!(opened.expect(200)["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn answers_of_the_old_receiver_say_nothing_about_the_new_one() {
    let (world, old, made) = world_with_ada().await;
    let new = Receiver::start().await;
    old.answer(410, &[]);
    old.hold(true);
    let test = format!("{}/test", path(&made));
    world.admin("POST", &test, Value::Null).await.expect(202);
    let racing = async {
        old.wait_for(1).await;
        let url = json!({"url": new.url});
        world.admin("PATCH", &path(&made), url).await.expect(200);
        old.hold(false);
    };
    let (drained, ()) = tokio::join!(world.system.drain(), racing);
    drained.unwrap();
    assert_eq!(seen(&world, &made).await["status"], "active");
    assert_eq!(new.received().len(), 1, "it goes there at once");
    assert_eq!(statuses(&deliveries(&world, &made).await), ["delivered"]);
}

#[tokio::test]
async fn no_private_address_and_no_impossible_port_is_registered() {
    let (world, _receiver, made) = world_with_ada().await;
    for url in [
        "https://10.0.0.1/",
        "https://172.16.0.1:8443/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://167772161/",
        "https://0xa000001/",
        "https://012.0.0.1/",
        "https://10.1/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[::]/",
        "https://[::ffff:10.0.0.1]/",
        "https://metadata.internal/",
        "https://printer.local/",
        "https://intranet/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:65536/",
        "https://user:secret@example.com/",
        "https://example.com/#here",
        "http://example.com/",
    ] {
        let body = json!({ "url": url });
        for (method, path) in [("POST", "/v1/webhooks".to_owned()), ("PATCH", path(&made))] {
            let refused = world.admin(method, &path, body.clone()).await;
            let (status, fields) = (refused.status, refused.fields());
            assert_eq!(
                (status, fields),
                (400, vec!["url".to_owned()]),
                "{method} {url}"
            );
        }
        let policy = json!({
            "name": "x", "trigger": {"type": "ip_risk_event"},
            "actions": [{"type": "webhook", "url": url}],
        });
        let refused = world.admin("POST", "/v1/policies", policy).await;
        assert_eq!(refused.fields(), ["actions[0].url"], "{url}");
    }
    // The local stack reaches this machine, so that a newcomer can try one.
    for url in [
        "http://127.0.0.1:9/",
        "http://localhost:9/",
        "https://[::1]/",
    ] {
        let body = json!({ "url": url });
        world.admin("POST", "/v1/webhooks", body).await.expect(201);
    }
}
