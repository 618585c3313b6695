//! A key also stands for its makers: nobody decides their own exemption with a key that they made
//! for.

use super::{Company, asking, company};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use end_to_end::{ADMIN, OPERATOR};
use serde_json::json;

/// A key without a user, made with another one.
async fn minted(company: &Company, with: &str) -> String {
    let body = json!({"role": "admin"});
    let made = company.world.call(with, "POST", "/v1/api-keys", body).await;
    made.expect(201)["key"].as_str().unwrap().to_owned()
}

/// A key for a user, made with another one.
async fn minted_for(company: &Company, with: &str, user_id: &str) -> String {
    let body = json!({"role": "admin", "user_id": user_id});
    let made = company.world.call(with, "POST", "/v1/api-keys", body).await;
    made.expect(201)["key"].as_str().unwrap().to_owned()
}

/// Adds an administrator and returns a key of theirs.
async fn administrator(company: &Company, id: &str) {
    company.world.user(id, "eng").await;
    let path = format!("/v1/users/{id}");
    let role = json!({"role": "admin"});
    company.world.admin("PATCH", &path, role).await.expect(200);
}

/// The token of a client, made with a key; for a user if one is given.
async fn token(company: &Company, with: &str, user_id: Option<&str>) -> String {
    let world = &company.world;
    let body = json!({"role": "admin", "user_id": user_id});
    let made = world.call(with, "POST", "/v1/oauth/clients", body).await;
    let made = made.expect(201);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let basic = STANDARD.encode(format!("{}:{}", text("client_id"), text("client_secret")));
    let request = http::Request::post("/v1/oauth/token")
        .header("authorization", format!("Basic {basic}"))
        .body(axum::body::Body::from("grant_type=client_credentials"));
    let token = world.send(request.unwrap()).await.expect(200);
    token["access_token"].as_str().unwrap().to_owned()
}

/// Asks with each key for ada; none of the others may decide it, and `decides` may.
async fn one_person(company: &Company, keys: &[&String], decides: &str) {
    for asks in keys {
        let id = company.ask(asks, asking(json!({"kind": "lift"}))).await;
        for other in keys {
            for step in ["approve", "deny"] {
                let answer = company.step(other, &id, step).await;
                assert_eq!(answer.status, 403, "{step} {}", answer.body);
                let message = answer.body["message"].as_str().unwrap();
                assert!(message.contains("key that you made"), "{message}");
            }
        }
        company.step(decides, &id, "approve").await.expect(200);
        company.step(decides, &id, "revoke").await.expect(200);
    }
}

#[tokio::test]
async fn an_administrator_and_the_keys_made_by_her_key_do_not_decide_for_each_other() {
    let company = company(100).await;
    let first = minted(&company, &company.root).await;
    let second = minted(&company, &first).await;
    let third = minted(&company, &second).await;
    let client = token(&company, &second, None).await;
    let of_client = minted(&company, &client).await;
    let keys = [&company.root, &first, &second, &third, &client, &of_client];
    one_person(&company, &keys, ADMIN).await;
}

#[tokio::test]
async fn keys_that_the_operator_and_their_keys_have_made_are_one_persons() {
    let company = company(100).await;
    let path = "/v1/organisations/demo/admin-keys";
    let made = company.world.call(OPERATOR, "POST", path, json!({})).await;
    let operators = made.expect(201)["admin_key"].as_str().unwrap().to_owned();
    let admin = ADMIN.to_owned();
    let minted = minted(&company, ADMIN).await;
    // Root's key was made with one of them, and is root's.
    one_person(&company, &[&admin, &operators, &minted], &company.root).await;
}

#[tokio::test]
async fn nobody_decides_an_exemption_for_themselves_with_a_key_that_they_made() {
    let company = company(100).await;
    let minted = minted(&company, &company.root).await;
    let for_root = asking(json!({"kind": "lift", "user_id": "root"}));
    let id = company.ask(&company.mo, for_root).await;
    assert_eq!(company.step(&minted, &id, "approve").await.status, 403);
    company.step(ADMIN, &id, "approve").await.expect(200);
}

#[tokio::test]
async fn nobody_decides_their_own_exemption_with_a_key_that_they_made_for_another() {
    let company = company(100).await;
    administrator(&company, "zoe").await;
    administrator(&company, "pup").await;
    let for_zoe = minted_for(&company, &company.root, "zoe").await;
    let unbound = minted(&company, &company.root).await;
    let keys = [
        minted_for(&company, &unbound, "pup").await,
        minted_for(&company, &for_zoe, "pup").await,
        minted(&company, &for_zoe).await,
        token(&company, &company.root, Some("zoe")).await,
        token(&company, &for_zoe, Some("pup")).await,
        for_zoe,
    ];
    let zoes = super::key(&company.world, "admin", "zoe").await;
    let asked = [
        (&company.root, asking(json!({"kind": "lift"}))),
        (&unbound, asking(json!({"kind": "lift"}))),
        (
            &company.mo,
            asking(json!({"kind": "lift", "user_id": "root"})),
        ),
    ];
    for (asks, body) in asked {
        let id = company.ask(asks, body).await;
        for key in &keys {
            for step in ["approve", "deny"] {
                let answer = company.step(key, &id, step).await;
                assert_eq!(answer.status, 403, "{step} {}", answer.body);
                let message = answer.body["message"].as_str().unwrap();
                assert!(message.contains("key that you made"), "{message}");
            }
        }
        assert_eq!(company.exemption(&id).await["status"], "pending");
        // The same administrator decides with a key that root had no hand in.
        company.step(&zoes, &id, "approve").await.expect(200);
    }
    // Such a key decides the requests of others.
    for key in &keys {
        let id = company
            .ask(&company.ada, asking(json!({"kind": "lift"})))
            .await;
        company.step(key, &id, "deny").await.expect(200);
    }
}

#[tokio::test]
async fn no_maker_of_a_key_without_a_user_decides_its_requests_or_is_asked_to() {
    let company = company(100).await;
    for id in ["zoe", "pup"] {
        administrator(&company, id).await;
    }
    let for_zoe = minted_for(&company, &company.root, "zoe").await;
    let unbound = minted(&company, &for_zoe).await;
    let id = company.ask(&unbound, asking(json!({"kind": "lift"}))).await;
    company.world.system.drain().await.unwrap();
    let mails = company.world.system.mails().sent();
    let is_asked = |id: &str| {
        let address = format!("{id}@example.com");
        mails.iter().any(|mail| mail.to == address)
    };
    assert_eq!(["root", "zoe", "pup"].map(is_asked), [false, false, true]);
    let zoes = super::key(&company.world, "admin", "zoe").await;
    for key in [&company.root, &zoes] {
        assert_eq!(company.step(key, &id, "approve").await.status, 403);
    }
    let pups = super::key(&company.world, "admin", "pup").await;
    company.step(&pups, &id, "approve").await.expect(200);
}

#[tokio::test]
async fn administrators_are_asked_by_mail_except_the_makers_of_the_key_that_asked() {
    let company = company(100).await;
    let minted = minted(&company, &company.root).await;
    company.ask(&minted, asking(json!({"kind": "lift"}))).await;
    company.world.system.drain().await.unwrap();
    let mails = company.world.system.mails().sent();
    assert!(
        mails.iter().all(|mail| mail.to != "root@example.com"),
        "{mails:?}"
    );
}
