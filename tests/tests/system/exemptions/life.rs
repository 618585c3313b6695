//! Who asks, who decides, and what each of them may not.

use super::{asking, company};
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use end_to_end::{ADMIN, AGENT, World};
use serde_json::{Value, json};

#[tokio::test]
async fn a_user_or_their_manager_asks_and_nobody_else() {
    let company = company(100).await;
    let world = &company.world;
    let raise = asking(json!({"kind": "raise", "tokens": 5}));
    for (key, status) in [
        (company.ada.as_str(), 201),
        (&company.mo, 201),
        (&company.root, 201),
        (&company.bob, 403),
        (AGENT, 403),
    ] {
        let answer = world
            .call(key, "POST", "/v1/exemptions", raise.clone())
            .await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    let of_mo = asking(json!({"kind": "lift", "user_id": "mo"}));
    let answer = world
        .call(&company.ada, "POST", "/v1/exemptions", of_mo)
        .await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn an_administrator_who_neither_asked_nor_gains_decides_once() {
    let company = company(100).await;
    let own = asking(json!({"kind": "lift", "user_id": "root"}));
    let by_root = company
        .ask(&company.root, asking(json!({"kind": "lift"})))
        .await;
    let for_root = company.ask(&company.mo, own).await;
    for id in [&by_root, &for_root] {
        for step in ["approve", "deny"] {
            for key in [&company.root, &company.ada, &company.mo, &AGENT.to_owned()] {
                let answer = company.step(key, id, step).await;
                assert_eq!(answer.status, 403, "{}", answer.body);
            }
        }
        let approved = company.step(ADMIN, id, "approve").await.expect(200);
        assert_eq!(approved["decided_by"]["key_id"], "key_local_admin");
        for step in ["approve", "deny"] {
            assert_eq!(company.step(ADMIN, id, step).await.status, 409);
        }
        company.step(ADMIN, id, "revoke").await.expect(200);
        for step in ["approve", "deny", "revoke"] {
            assert_eq!(company.step(ADMIN, id, step).await.status, 409);
        }
    }
    let denied = company
        .ask(&company.ada, asking(json!({"kind": "lift"})))
        .await;
    let answer = company
        .step(&company.root, &denied, "deny")
        .await
        .expect(200);
    assert_eq!(answer["status"], "denied");
    assert_eq!(company.step(ADMIN, &denied, "approve").await.status, 409);
    let refused = company.world.preflight("ada", "r-1", 500, 0).await;
    assert_eq!(refused["decision"], "block");
}

#[tokio::test]
async fn two_who_decide_at_once_decide_once() {
    let company = company(100).await;
    let id = company
        .ask(&company.ada, asking(json!({"kind": "lift"})))
        .await;
    let (approved, denied) = futures::join!(
        company.step(ADMIN, &id, "approve"),
        company.step(&company.root, &id, "deny")
    );
    let mut statuses = [approved.status, denied.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let log = "/v1/audit-log?action=exemption";
    let log = company
        .world
        .admin("GET", log, Value::Null)
        .await
        .expect(200);
    assert_eq!(log["items"].as_array().unwrap().len(), 2, "{log}");
}

#[tokio::test]
async fn the_requester_may_withdraw_it_while_it_waits() {
    let company = company(100).await;
    let id = company
        .ask(&company.ada, asking(json!({"kind": "lift"})))
        .await;
    assert_eq!(company.step(&company.bob, &id, "revoke").await.status, 403);
    assert_eq!(company.step(&company.mo, &id, "revoke").await.status, 403);
    let withdrawn = company.step(&company.ada, &id, "revoke").await.expect(200);
    assert_eq!(withdrawn["status"], "revoked");
    let granted = company.granted(json!({"kind": "lift"})).await;
    assert_eq!(
        company.step(&company.ada, &granted, "revoke").await.status,
        403
    );
}

#[tokio::test]
async fn only_so_many_wait_and_only_so_many_are_in_force() {
    let company = company(100).await;
    let world = &company.world;
    let raise = asking(json!({"kind": "raise", "tokens": 5}));
    let mut asked = Vec::new();
    for _ in 0..10 {
        asked.push(company.ask(&company.ada, raise.clone()).await);
    }
    let answer = world
        .call(&company.ada, "POST", "/v1/exemptions", raise.clone())
        .await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    for id in &asked[..5] {
        company.step(ADMIN, id, "approve").await.expect(200);
    }
    let answer = company.step(ADMIN, &asked[5], "approve").await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    company.step(ADMIN, &asked[0], "revoke").await.expect(200);
    company.step(ADMIN, &asked[5], "approve").await.expect(200);
    company.ask(&company.ada, raise).await;
}

/// Lets so many more exemptions wait, each of a user of its own: copies of the row of one that
/// does.
async fn let_wait(world: &World, waiting: &str, count: usize) {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let tables = world.tables();
    let found = tables
        .get_item()
        .table_name("Governance")
        .key("pk", text("demo"))
        .key("sk", text(&format!("pending#{waiting}")));
    let template = found.send().await.unwrap().item.unwrap();
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(25) {
        let puts = some.iter().map(|n| {
            let mut item = template.clone();
            let id = format!("exm_copy{n:03}");
            item.insert("sk".to_owned(), text(&format!("pending#{id}")));
            let Some(AttributeValue::M(data)) = item.get_mut("data") else {
                panic!("{template:?}");
            };
            data.insert("user_id".to_owned(), text(&format!("user-{n}")));
            data.insert("id".to_owned(), text(&id));
            let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        });
        let write = tables
            .batch_write_item()
            .request_items("Governance", puts.collect());
        write.send().await.unwrap();
    }
}

#[tokio::test]
async fn at_most_five_hundred_of_an_organisation_wait() {
    let company = company(100).await;
    let world = &company.world;
    let lift = asking(json!({"kind": "lift"}));
    let of_ada = company.ask(&company.ada, lift.clone()).await;
    let_wait(world, &of_ada, 498).await;
    let of_bob = asking(json!({"kind": "lift", "user_id": "bob"}));
    company.ask(&company.bob, of_bob.clone()).await;
    for (key, body) in [(&company.ada, &lift), (&company.bob, &of_bob)] {
        let answer = world
            .call(key, "POST", "/v1/exemptions", body.clone())
            .await;
        assert_eq!(answer.status, 409, "{}", answer.body);
    }
    let withdrawn = company.step(&company.ada, &of_ada, "revoke").await;
    withdrawn.expect(200);
    company.ask(&company.bob, of_bob).await;
    let answer = world
        .call(&company.ada, "POST", "/v1/exemptions", lift)
        .await;
    assert_eq!(answer.status, 409, "{}", answer.body);
}

#[tokio::test]
async fn asking_again_with_the_same_key_asks_once() {
    let company = company(100).await;
    let body = asking(json!({"kind": "lift"})).to_string();
    let headers = [("idempotency-key", "once")];
    let ask = || {
        company.world.raw(
            &company.ada,
            "POST",
            "/v1/exemptions",
            &headers,
            body.clone(),
        )
    };
    let (first, second) = (ask().await.expect(201), ask().await.expect(201));
    assert_eq!(first, second);
    company.world.system.drain().await.unwrap();
    let notices = company
        .world
        .admin("GET", "/local/notices", Value::Null)
        .await;
    let notices = notices.expect(200);
    assert_eq!(notices["items"].as_array().unwrap().len(), 1, "{notices}");
}
