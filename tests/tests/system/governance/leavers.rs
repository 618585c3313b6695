//! Keys, clients and tokens of people who are suspended, blocked or demoted.

use super::oauth::{client, token};
use end_to_end::{ADMIN, AGENT, Answer, SHORT_TRUST, World};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::domain::org::authority::MAX_MAKERS;
use shared::domain::org::people::Role;
use shared::runtime::endpoint::Access;
use std::time::{Duration, Instant};

/// `eng` > `backend` with ada in it and ann, an administrator; a cap on `eng`. If somebody loses a
/// right, the next request sees it.
struct Company {
    world: World,
    budget: String,
    /// A key and a token of ann's, each as good as she is.
    anns: [String; 2],
}

async fn company_with(settings: SystemSettings) -> Company {
    let world = World::with(settings).await;
    world.set_clock("2026-11-24T12:00:00Z").await;
    world.department("eng", None).await;
    world.department("backend", Some("eng")).await;
    world.user("ada", "backend").await;
    world.user("ann", "eng").await;
    change(&world, "ann", json!({"role": "admin"})).await;
    let budget = world
        .budget(Some("eng"), "tokens", json!(1_000), true)
        .await;
    let asked = json!({"role": "admin", "user_id": "ann"});
    let (id, secret) = client(&world, asked).await;
    let token = token(&world, &id, &secret).await;
    let key = super::key(&world, "admin", Some("ann")).await;
    Company {
        anns: [key, token],
        world,
        budget,
    }
}

async fn company() -> Company {
    let settings = SystemSettings {
        keys_believed: Some(Duration::ZERO),
        ..SystemSettings::empty()
    };
    company_with(settings).await
}

async fn change(world: &World, user_id: &str, body: Value) {
    let path = format!("/v1/users/{user_id}");
    world.admin("PATCH", &path, body).await.expect(200);
}

fn preflight(user_id: &str, request_id: &str) -> Value {
    json!({
        "request_id": request_id, "user_id": user_id, "model": "gpt-4o", "input_tokens": 10,
        "max_output_tokens": 0,
    })
}

fn says(answer: &Answer, words: &str) -> bool {
    let message = answer.body["message"].as_str().unwrap_or_default();
    message.contains(words)
}

#[tokio::test]
async fn a_suspended_administrator_raises_no_cap_mints_no_key_and_is_not_active_again_by_herself() {
    let company = company().await;
    let world = &company.world;
    let (id, secret) = client(world, json!({"role": "admin", "user_id": "ann"})).await;
    let cap = format!("/v1/budgets/{}", company.budget);
    let usage = world.usage("e-1", "ann", 1, 0, None);
    let powers = [
        ("PATCH", cap.as_str(), json!({"amount": 1_000_000})),
        ("POST", "/v1/api-keys", json!({"role": "admin"})),
        ("POST", "/v1/oauth/clients", json!({"role": "admin"})),
        ("PATCH", "/v1/users/ann", json!({"status": "active"})),
        ("DELETE", "/v1/users/ann/block", Value::Null),
        ("GET", "/v1/users/ann", Value::Null),
        ("POST", "/v1/preflight", preflight("ann", "r-1")),
        ("POST", "/v1/events", json!({"events": [usage]})),
    ];
    for key in &company.anns {
        let seen = world.call(key, "GET", "/v1/users/ann", Value::Null).await;
        assert_eq!(seen.status, 200);
    }
    change(world, "ann", json!({"status": "suspended"})).await;
    let before = world.system.store().head("demo").await.unwrap().unwrap();
    for key in &company.anns {
        for (method, path, body) in &powers {
            let refused = world.call(key, method, path, body.clone()).await;
            assert_eq!(refused.status, 403, "{method} {path} {}", refused.body);
            assert!(says(&refused, "is suspended"), "{}", refused.body);
        }
    }
    let asked = super::oauth::ask(world, super::oauth::form(&id, &secret), None).await;
    assert_eq!(asked.status, 401);
    assert!(says(&asked, "is suspended"), "{}", asked.body);
    let after = world.system.store().head("demo").await.unwrap().unwrap();
    assert_eq!(before, after, "nothing was changed");
    assert_eq!(world.figures(&company.budget).await["amount"], 1_000);
    change(world, "ann", json!({"status": "active"})).await;
    for key in &company.anns {
        let raised = world.call(key, "PATCH", &cap, json!({"amount": 2_000}));
        raised.await.expect(200);
    }
}

/// Makes a key with another one; for a user if one is given.
async fn made(world: &World, with: &str, role: &str, user_id: Option<&str>) -> String {
    let body = json!({"role": role, "user_id": user_id});
    let made = world.call(with, "POST", "/v1/api-keys", body).await;
    made.expect(201)["key"].as_str().unwrap().to_owned()
}

/// The token of a client that is made with a key; for a user if one is given.
async fn token_made(world: &World, with: &str, user_id: Option<&str>) -> String {
    let body = json!({"role": "admin", "user_id": user_id});
    let made = world.call(with, "POST", "/v1/oauth/clients", body).await;
    let made = made.expect(201);
    let text = |name: &str| made[name].as_str().unwrap();
    token(world, text("client_id"), text("client_secret")).await
}

async fn administrator(world: &World, id: &str) {
    world.user(id, "eng").await;
    change(world, id, json!({"role": "admin"})).await;
}

#[tokio::test]
async fn nobody_is_free_or_an_administrator_again_by_a_key_that_they_made_for_another() {
    let company = company().await;
    let world = &company.world;
    administrator(world, "bob").await;
    let ann = &company.anns[0];
    let for_bob = made(world, ann, "admin", Some("bob")).await;
    let unbound = made(world, ann, "admin", None).await;
    let pup = json!({
        "id": "pup", "email": "pup@example.com", "name": "Pup", "department_id": "eng",
        "role": "admin",
    });
    let pup = world.call(&unbound, "POST", "/v1/users", pup).await;
    pup.expect(201);
    let keys = [
        token_made(world, ann, Some("bob")).await,
        made(world, &unbound, "admin", Some("pup")).await,
        made(world, &for_bob, "admin", Some("pup")).await,
        for_bob,
    ];
    let lost = json!({"status": "suspended", "role": "member"});
    let block = json!({"reason": "a leak", "until": "2026-11-30T12:00:00Z"});
    for key in &keys {
        for user in ["ann", "ada"] {
            change(world, user, lost.clone()).await;
            let path = format!("/v1/users/{user}/block");
            world.admin("PUT", &path, block.clone()).await.expect(200);
        }
        for (user, status, released) in [("ann", 403, 403), ("ada", 200, 204)] {
            let path = format!("/v1/users/{user}");
            for body in [json!({"status": "active"}), json!({"role": "admin"})] {
                let answer = world.call(key, "PATCH", &path, body).await;
                assert_eq!(answer.status, status, "{user} {}", answer.body);
                assert_eq!(says(&answer, "key that you made"), status == 403);
            }
            let named = world.call(key, "PATCH", &path, json!({"name": "N"}));
            named.await.expect(200);
            let path = format!("{path}/block");
            // A block that ends earlier is as good as none; a longer one anybody may put on
            // themselves.
            let longer = json!({"reason": "a leak", "until": "2026-12-01T12:00:00Z"});
            let longer = world.call(key, "PUT", &path, longer).await;
            longer.expect(200);
            let shorter = json!({"reason": "a leak", "until": "2026-11-24T12:00:01Z"});
            let shorter = world.call(key, "PUT", &path, shorter).await;
            assert_eq!(shorter.status, status, "{user} {}", shorter.body);
            let answer = world.call(key, "DELETE", &path, Value::Null).await;
            assert_eq!(answer.status, released, "{user} {}", answer.body);
        }
    }
    // With a key that she had no hand in, the same administrator frees her.
    let bobs = super::key(world, "admin", Some("bob")).await;
    let freed = json!({"status": "active", "role": "admin"});
    let freed = world.call(&bobs, "PATCH", "/v1/users/ann", freed).await;
    freed.expect(200);
    let released = world.call(&bobs, "DELETE", "/v1/users/ann/block", Value::Null);
    assert_eq!(released.await.status, 204);
}

#[tokio::test]
async fn a_key_without_a_user_is_an_agents_while_its_maker_is_no_administrator() {
    let company = company().await;
    let world = &company.world;
    administrator(world, "bob").await;
    let ann = &company.anns[0];
    let for_bob = made(world, ann, "admin", Some("bob")).await;
    let machine = made(world, ann, "agent", None).await;
    let first = made(world, ann, "admin", None).await;
    let of_both = made(world, &for_bob, "admin", None).await;
    let anns = [
        token_made(world, &first, None).await,
        made(world, &first, "admin", None).await,
        first,
    ];
    let cap = format!("/v1/budgets/{}", company.budget);
    let powers = [
        ("PATCH", cap.as_str(), json!({"amount": 2_000})),
        ("POST", "/v1/api-keys", json!({"role": "admin"})),
        ("POST", "/v1/oauth/clients", json!({"role": "admin"})),
        ("PATCH", "/v1/users/ada", json!({"name": "N"})),
        ("GET", "/v1/users", Value::Null),
        ("GET", "/v1/audit-log", Value::Null),
    ];
    let has_power = async |key: &str| {
        for (method, path, body) in &powers {
            let answer = world.call(key, method, path, body.clone()).await;
            assert!(answer.status < 300, "{method} {path} {}", answer.body);
        }
    };
    let has_none = async |key: &str| {
        for (method, path, body) in &powers {
            let refused = world.call(key, method, path, body.clone()).await;
            assert_eq!(refused.status, 403, "{method} {path} {}", refused.body);
            assert!(says(&refused, "somebody who made it"), "{}", refused.body);
        }
    };
    // The requests that the key of a machine makes.
    let serves = async |key: &str, number: usize| {
        let asked = preflight("ada", &format!("r-{number}"));
        let decided = world.call(key, "POST", "/v1/preflight", asked).await;
        let decided = decided.expect(200);
        assert_eq!(decided["decision"], "allow", "{decided}");
        let hold = decided["hold"]["id"].as_str().unwrap();
        let used = world.usage(&format!("e-{number}"), "ada", 1, 0, Some(hold));
        let sent = json!({"events": [used]});
        let sent = world.call(key, "POST", "/v1/events", sent).await;
        assert_eq!(sent.expect(202)["accepted"], 1);
    };
    let mut number = 0;
    for (lost, again) in [
        (json!({"status": "suspended"}), json!({"status": "active"})),
        (json!({"role": "member"}), json!({"role": "admin"})),
        (json!({"role": "manager"}), json!({"role": "admin"})),
        (Value::Null, Value::Null),
    ] {
        let lose = async |user: &str| match &lost {
            Value::Null => {
                let path = format!("/v1/users/{user}/block");
                let block = json!({"reason": "a leak"});
                world.admin("PUT", &path, block).await.expect(200);
            }
            lost => change(world, user, lost.clone()).await,
        };
        let regain = async |user: &str| match &again {
            Value::Null => {
                let path = format!("/v1/users/{user}/block");
                let released = world.admin("DELETE", &path, Value::Null).await;
                assert_eq!(released.status, 204);
            }
            again => change(world, user, again.clone()).await,
        };
        lose("ann").await;
        let before = world.system.store().head("demo").await.unwrap().unwrap();
        for key in anns.iter().chain([&of_both]) {
            has_none(key).await;
        }
        let after = world.system.store().head("demo").await.unwrap().unwrap();
        assert_eq!(before, after, "nothing was changed");
        has_power(&for_bob).await;
        for key in anns.iter().chain([&of_both, &machine]) {
            number += 1;
            serves(key, number).await;
        }
        regain("ann").await;
        // Of two who made a key, each has to have the power.
        lose("bob").await;
        has_none(&of_both).await;
        for key in &anns {
            has_power(key).await;
        }
        regain("bob").await;
        for key in anns.iter().chain([&of_both]) {
            has_power(key).await;
        }
    }
    world.system.drain().await.unwrap();
}

#[tokio::test]
async fn a_chain_of_makers_of_so_many_people_is_read_at_once_and_has_an_end() {
    let company = company().await;
    let world = &company.world;
    let mut key = ADMIN.to_owned();
    for number in 0..MAX_MAKERS {
        let id = format!("m-{number}");
        administrator(world, &id).await;
        key = made(world, &key, "admin", Some(&id)).await;
    }
    let of_all = made(world, &key, "admin", None).await;
    let too_far = made(world, &key, "admin", Some("ann")).await;
    // As many have made it as may have, and its own user would be one more.
    let body = json!({"role": "admin"});
    for path in ["/v1/api-keys", "/v1/oauth/clients"] {
        let refused = world.call(&too_far, "POST", path, body.clone()).await;
        assert_eq!(refused.status, 409, "{}", refused.body);
        assert!(says(&refused, "32 people"), "{}", refused.body);
    }
    let of = async |id: &str| {
        let path = format!("/v1/api-keys?limit=100&maker_user_id={id}");
        ids(world, &path).await.len()
    };
    assert_eq!([of("m-0").await, of("m-31").await], [33, 2]);
    // Read for the first time, and then together with all of them.
    for _ in 0..2 {
        let seen = world.call(&of_all, "GET", "/v1/users", Value::Null).await;
        assert_eq!(seen.status, 200, "{}", seen.body);
    }
    world.system.engine().reset_meter();
    let seen = world
        .call(&of_all, "GET", "/v1/api-keys", Value::Null)
        .await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    let calls = world.system.engine().meter().calls;
    assert_eq!(calls.get("BatchGetItem"), Some(&1), "{calls:?}");
    change(world, "m-17", json!({"role": "member"})).await;
    let refused = world.call(&of_all, "GET", "/v1/users", Value::Null).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
}

#[tokio::test]
async fn keys_of_a_demoted_administrator_lose_power_and_those_of_a_promoted_user_gain_none() {
    let company = company().await;
    let world = &company.world;
    let cap = format!("/v1/budgets/{}", company.budget);
    let statuses = async |key: &str| {
        let mut found = Vec::new();
        for (method, path, body) in [
            ("PATCH", cap.as_str(), json!({"amount": 1_000})),
            ("GET", "/v1/users", Value::Null),
            ("GET", "/v1/users/ann", Value::Null),
            ("GET", "/v1/users/ada", Value::Null),
        ] {
            found.push(world.call(key, method, path, body).await.status);
        }
        found
    };
    for key in &company.anns {
        for (role, expected) in [
            ("admin", [200, 200, 200, 200]),
            ("manager", [403, 200, 200, 403]),
            ("member", [403, 403, 200, 403]),
            ("admin", [200, 200, 200, 200]),
        ] {
            change(world, "ann", json!({ "role": role })).await;
            assert_eq!(statuses(key).await, expected, "{role}");
        }
        change(world, "ann", json!({"role": "member"})).await;
        let refused = world.call(key, "PATCH", &cap, json!({"amount": 1})).await;
        assert!(
            says(&refused, "its user is a member now"),
            "{}",
            refused.body
        );
        let other = world
            .call(key, "POST", "/v1/preflight", preflight("ada", "r-1"))
            .await;
        assert_eq!(other.status, 403, "{}", other.body);
        let own = world
            .call(key, "POST", "/v1/preflight", preflight("ann", "r-1"))
            .await;
        assert_eq!(own.expect(200)["decision"], "allow");
        let events = json!({"events": [world.usage("e-1", "ada", 1, 0, None)]});
        let sent = world.call(key, "POST", "/v1/events", events).await;
        assert_eq!(sent.expect(400)["rejected"][0]["error"], "forbidden");
        change(world, "ann", json!({"role": "admin"})).await;
    }
    let member = super::key(world, "member", Some("ada")).await;
    change(world, "ada", json!({"role": "admin"})).await;
    assert_eq!(statuses(&member).await, [403, 403, 403, 200]);
}

#[tokio::test]
async fn a_blocked_administrators_key_reads_her_own_data_asks_and_changes_nothing() {
    let company = company().await;
    let world = &company.world;
    let block = json!({"reason": "a leak", "until": "2026-11-24T13:00:00Z"});
    let path = "/v1/users/ann/block";
    let hold = world
        .call(
            &company.anns[0],
            "POST",
            "/v1/preflight",
            preflight("ann", "r-0"),
        )
        .await
        .expect(200);
    let hold = hold["hold"]["id"].as_str().unwrap().to_owned();
    world.admin("PUT", path, block).await.expect(200);
    let before = world.system.store().head("demo").await.unwrap().unwrap();
    for key in &company.anns {
        for endpoint in end_to_end::routes::endpoints() {
            let Access::Roles(roles) = endpoint.access else {
                continue;
            };
            if roles.contains(&Role::Member) && endpoint.is_open_while_blocked {
                continue;
            }
            let (method, path) = (endpoint.method, endpoint.path.replace("{id}", "ann"));
            let refused = world.call(key, method, &path, json!({"x": 1})).await;
            assert_eq!(refused.status, 403, "{method} {path} {}", refused.body);
            assert!(says(&refused, "is blocked"), "{}", refused.body);
        }
        let decision = world
            .call(key, "POST", "/v1/preflight", preflight("ann", "r-1"))
            .await
            .expect(200);
        assert_eq!(decision["reasons"][0]["code"], "user_blocked", "{decision}");
        let others = preflight("ada", "r-1");
        let others = world.call(key, "POST", "/v1/preflight", others).await;
        assert_eq!(others.status, 403);
        let own = world.call(key, "GET", "/v1/users/ann", Value::Null).await;
        assert_eq!(own.expect(200)["block"]["reason"], "a leak");
        let others = world.call(key, "GET", "/v1/users/ada", Value::Null).await;
        assert_eq!(others.status, 403);
    }
    let after = world.system.store().head("demo").await.unwrap().unwrap();
    assert_eq!(before, after, "nothing was changed");

    // Her earlier usage counts, her holds can be voided, and she can ask for an exemption.
    let key = &company.anns[0];
    let events = json!({"events": [world.usage("e-1", "ann", 5, 0, None)]});
    let sent = world.call(key, "POST", "/v1/events", events).await;
    assert_eq!(sent.expect(202)["accepted"], 1);
    let gone = format!("/v1/holds/{hold}");
    let gone = world.call(key, "DELETE", &gone, Value::Null).await;
    assert_eq!(gone.status, 204, "{}", gone.body);
    let ask = json!({
        "user_id": "ann", "kind": "lift", "reason": "the release",
        "ends_at": "2026-11-30T12:00:00Z",
    });
    let asked = world.call(key, "POST", "/v1/exemptions", ask).await;
    let asked = asked.expect(201)["id"].as_str().unwrap().to_owned();
    let withdrawn = format!("/v1/exemptions/{asked}/revoke");
    world
        .call(key, "POST", &withdrawn, json!({}))
        .await
        .expect(200);

    // The block ends by time, and her keys work again.
    world.set_clock("2026-11-24T13:00:00Z").await;
    let cap = format!("/v1/budgets/{}", company.budget);
    world
        .call(key, "PATCH", &cap, json!({"amount": 2_000}))
        .await
        .expect(200);
}

#[tokio::test]
async fn every_function_learns_of_a_suspension_when_its_time_of_trust_ends() {
    let settings = SystemSettings {
        keys_believed: Some(SHORT_TRUST),
        ..SystemSettings::empty()
    };
    let company = company_with(settings).await;
    let world = &company.world;
    let calls = [
        ("GET", "/v1/organisation"),
        ("POST", "/v1/preflight"),
        ("POST", "/v1/events"),
    ];
    for key in &company.anns {
        for (method, path) in calls {
            let status = world.call(key, method, path, json!({})).await.status;
            assert!(matches!(status, 200 | 400), "{path} {status}");
        }
    }
    // A key without a user that she made loses her power; it can still do what a machine may.
    let unbound = made(world, &company.anns[0], "admin", None).await;
    for (method, path) in calls {
        let status = world.call(&unbound, method, path, json!({})).await.status;
        assert!(matches!(status, 200 | 400), "{path} {status}");
    }
    change(world, "ann", json!({"status": "suspended"})).await;
    let since = Instant::now();
    let of_unbound = ("GET", "/v1/organisation");
    let of_anns = company.anns.iter().map(|key| (key, &calls[..]));
    for (key, calls) in of_anns.chain([(&unbound, &[of_unbound][..])]) {
        for (method, path) in calls {
            while world.call(key, method, path, json!({})).await.status != 403 {
                let is_in_time = since.elapsed() < SHORT_TRUST + Duration::from_millis(500);
                assert!(is_in_time, "{path} still trusts it");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// The ids of a list, under the name that it has for them.
async fn ids(world: &World, path: &str) -> Vec<String> {
    let name = if path.contains("oauth") {
        "client_id"
    } else {
        "id"
    };
    super::listed(world, ADMIN, path, name).await
}

#[tokio::test]
async fn keys_and_clients_are_listed_by_their_user_by_who_answers_for_them_and_by_who_made_them() {
    let company = company().await;
    let world = &company.world;
    administrator(world, "bob").await;
    for list in ["/v1/api-keys", "/v1/oauth/clients"] {
        let name = if list.contains("oauth") {
            "client_id"
        } else {
            "id"
        };
        let made = async |key: &str, body: Value| {
            let made = world.call(key, "POST", list, body).await.expect(201);
            made[name].as_str().unwrap().to_owned()
        };
        let adas = made(ADMIN, json!({"role": "member", "user_id": "ada"})).await;
        let server = made(&company.anns[0], json!({"role": "agent"})).await;
        let of_ada = ids(world, &format!("{list}?user_id=ada")).await;
        assert_eq!(of_ada, std::slice::from_ref(&adas));
        let of_ann = ids(world, &format!("{list}?user_id=ann")).await;
        assert!(!of_ann.contains(&server) && !of_ann.contains(&adas) && !of_ann.is_empty());
        let mut answers = of_ann.clone();
        answers.push(server.clone());
        answers.sort_unstable();
        let path = format!("{list}?responsible_user_id=ann");
        assert_eq!(ids(world, &path).await, answers);
        // She may still have the keys that she made, also those for others.
        let for_bob = made(&company.anns[0], json!({"role": "admin", "user_id": "bob"}));
        let for_bob = for_bob.await;
        let mut hers = vec![server.clone(), for_bob.clone()];
        hers.sort_unstable();
        assert_eq!(ids(world, &format!("{list}?maker_user_id=ann")).await, hers);
        let both = format!("{list}?maker_user_id=ann&user_id=bob");
        assert_eq!(ids(world, &both).await, std::slice::from_ref(&for_bob));
        assert!(
            ids(world, &format!("{list}?user_id=nobody"))
                .await
                .is_empty()
        );
        let all = world.admin("GET", list, Value::Null).await.expect(200);
        let all = all["items"].as_array().unwrap();
        let of = |id: &str| all.iter().find(|one| one[name] == id).unwrap();
        assert_eq!(of(&adas)["created_by"], "key/key_local_admin");
        assert_eq!(of(&adas)["responsible_user_id"], "ada");
        assert_eq!(of(&server)["user_id"], Value::Null);
        assert_eq!(of(&server)["responsible_user_id"], "ann");
        assert_eq!(of(&for_bob)["responsible_user_id"], "bob");
        assert_eq!(of(&for_bob)["maker_user_ids"], json!(["ann"]));
        assert_eq!(of(&adas)["maker_user_ids"], json!([]));
    }
    let keys = world.admin("GET", "/v1/api-keys", Value::Null).await;
    let keys = keys.expect(200);
    let local = keys["items"].as_array().unwrap().iter();
    let mut local = local.filter(|key| key["id"] == "key_local_admin");
    assert_eq!(local.next().unwrap()["created_by"], "operator");
}

#[tokio::test]
async fn the_audit_log_says_with_what_power_each_change_was_made() {
    let company = company().await;
    let world = &company.world;
    let cap = format!("/v1/budgets/{}", company.budget);
    let key = &company.anns[0];
    world
        .call(key, "PATCH", &cap, json!({"amount": 2_000}))
        .await
        .expect(200);
    change(world, "ann", json!({"role": "member"})).await;
    let ask = json!({
        "user_id": "ann", "kind": "lift", "reason": "the release",
        "ends_at": "2026-11-30T12:00:00Z",
    });
    world
        .call(key, "POST", "/v1/exemptions", ask)
        .await
        .expect(201);
    let newest = async |query: &str| {
        let path = format!("/v1/audit-log?limit=1&{query}");
        let page = world.admin("GET", &path, Value::Null).await.expect(200);
        page["items"][0]["authority"].clone()
    };
    let of = |role: &str| {
        json!({
            "role": role, "key_role": "admin", "user_id": "ann",
            "created_by": "key/key_local_admin",
            "responsible_user_id": "ann", "is_blocked": false,
        })
    };
    assert_eq!(newest("action=budget.update").await, of("admin"));
    assert_eq!(newest("action=exemption.request").await, of("member"));
    change(world, "ann", json!({"role": "admin"})).await;
    administrator(world, "bob").await;
    let for_bob = made(world, key, "admin", Some("bob")).await;
    world
        .call(&for_bob, "PATCH", &cap, json!({"amount": 3_000}))
        .await
        .expect(200);
    let by_bob = newest("action=budget.update").await;
    assert_eq!(by_bob["user_id"], "bob");
    assert_eq!(by_bob["maker_user_ids"], json!(["ann"]));
    let unbound = newest("action=user.update").await;
    assert_eq!(unbound["created_by"], "operator");
    assert_eq!(unbound["user_id"], Value::Null);
    assert_eq!(newest("actor=operator").await, Value::Null);
}

#[tokio::test]
async fn a_key_outlasts_an_outage_for_a_decision_only_and_not_its_revocation() {
    use aws_sdk_dynamodb::config::retry::RetryConfig;
    use local::dynamodb::{Fault, FaultKind, When};
    use shared::domain::org::organisation::OnUnavailable;
    // In an outage the organisation lets requests pass, and the deployment does not: so an answer
    // shows whether the key was believed.
    let settings = SystemSettings {
        keys_believed: Some(Duration::ZERO),
        retry: RetryConfig::disabled(),
        on_unavailable: OnUnavailable::Deny,
        ..SystemSettings::empty()
    };
    let company = company_with(settings).await;
    let world = &company.world;
    let made = json!({"role": "agent"});
    let made = world.admin("POST", "/v1/api-keys", made).await.expect(201);
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let decide = async |request_id: &str| {
        let body = preflight("ada", request_id);
        world.call(key, "POST", "/v1/preflight", body).await
    };
    let held = decide("r-1").await.expect(200);
    let hold = held["hold"]["id"].as_str().unwrap().to_owned();
    let fail = |calls: u64| {
        for call in 0..calls {
            world.system.engine().inject(Fault {
                call,
                when: When::Before,
                kind: FaultKind::ConnectionReset,
            });
        }
    };
    // Only its key cannot be asked for: the cap is still what decides.
    fail(1);
    let decided = decide("r-2").await.expect(200);
    assert_eq!(decided["degraded"], false, "{decided}");
    // Nothing is given back for somebody who may have lost the key.
    let path = format!("/v1/holds/{hold}");
    fail(1);
    let kept = world.call(key, "DELETE", &path, Value::Null).await;
    assert_eq!(kept.status, 503, "{}", kept.body);
    fail(50);
    let degraded = decide("r-3").await.expect(200);
    assert_eq!(degraded["degraded"], true, "{degraded}");
    assert_eq!(degraded["decision"], "allow", "{degraded}");
    world.system.engine().clear_faults();
    let path = format!("/v1/api-keys/{id}");
    let revoked = world.admin("DELETE", &path, Value::Null).await;
    assert_eq!(revoked.status, 204);
    assert_eq!(decide("r-4").await.status, 401);
    // It was seen to be gone, so the next outage does not bring it back.
    fail(50);
    let unknown = decide("r-5").await.expect(200);
    let nobodys = unknown_key();
    let by_default = preflight("ada", "r-6");
    let by_default = world.call(&nobodys, "POST", "/v1/preflight", by_default);
    let by_default = by_default.await.expect(200);
    for answer in [&unknown, &by_default] {
        assert_eq!(answer["decision"], "block", "{answer}");
        assert_eq!(answer["hold"], Value::Null);
        assert_eq!(answer["degraded"], true);
    }
    world.system.engine().clear_faults();
    let other = preflight("ada", "r-7");
    world
        .call(AGENT, "POST", "/v1/preflight", other)
        .await
        .expect(200);
}

/// A key of the right form that does not exist.
pub(super) fn unknown_key() -> String {
    format!("tk_{}", "A".repeat(43))
}
