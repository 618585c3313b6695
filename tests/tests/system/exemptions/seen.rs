//! Who sees what of exemptions, and what the log, the mails and the budgets say.

use super::{asking, company};
use end_to_end::ADMIN;
use serde_json::{Value, json};

#[tokio::test]
async fn everybody_sees_their_own_a_manager_their_people_an_administrator_all() {
    let company = company(100).await;
    let world = &company.world;
    world.department("sales", None).await;
    world.user("cy", "sales").await;
    let of_ada = company
        .ask(&company.ada, asking(json!({"kind": "lift"})))
        .await;
    let for_bob = asking(json!({"kind": "lift", "user_id": "bob"}));
    let of_bob = company.ask(&company.mo, for_bob).await;
    let for_cy = asking(json!({"kind": "lift", "user_id": "cy"}));
    let of_cy = company.ask(ADMIN, for_cy).await;
    for (key, sees) in [
        (&company.ada, vec![&of_ada]),
        (&company.bob, vec![&of_bob]),
        (&company.mo, vec![&of_ada, &of_bob]),
        (&ADMIN.to_owned(), vec![&of_ada, &of_bob, &of_cy]),
    ] {
        let list = world.call(key, "GET", "/v1/exemptions", Value::Null).await;
        let list = list.expect(200);
        let mut ids: Vec<&str> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_str().unwrap())
            .collect();
        let mut sees: Vec<&str> = sees.into_iter().map(String::as_str).collect();
        ids.sort_unstable();
        sees.sort_unstable();
        assert_eq!(ids, sees);
        for id in [&of_ada, &of_bob, &of_cy] {
            let path = format!("/v1/exemptions/{id}");
            let status = world.call(key, "GET", &path, Value::Null).await.status;
            let expected = if sees.contains(&id.as_str()) {
                200
            } else {
                403
            };
            assert_eq!(status, expected, "{id}");
        }
    }
    for (query, count) in [
        ("status=pending", 3),
        ("status=approved", 0),
        ("user_id=ada", 1),
    ] {
        let path = format!("/v1/exemptions?{query}");
        let list = world.admin("GET", &path, Value::Null).await.expect(200);
        assert_eq!(list["items"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn the_effective_budgets_show_those_in_force_and_those_to_come() {
    let company = company(100).await;
    let now = company
        .granted(json!({"kind": "raise", "tokens": 500}))
        .await;
    let later = json!({"kind": "lift", "starts_at": "2026-11-28T00:00:00Z"});
    let later = company.granted(later).await;
    company
        .ask(&company.ada, asking(json!({"kind": "lift"})))
        .await;
    company.world.hold("ada", "r-1", 300, 0).await;
    let path = "/v1/budgets/effective?user_id=ada";
    let seen = company
        .world
        .call(&company.ada, "GET", path, Value::Null)
        .await;
    let seen = seen.expect(200);
    let shown: Vec<(&Value, &Value)> = seen["exemptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|exemption| (&exemption["id"], &exemption["used"]["tokens"]))
        .collect();
    let (now, later) = (json!(now), json!(later));
    assert_eq!(shown.len(), 2, "{seen}");
    assert!(shown.contains(&(&now, &json!(200))), "{seen}");
    assert!(shown.contains(&(&later, &json!(0))), "{seen}");
    assert_eq!(seen["items"][0]["exempted"], 200);
}

#[tokio::test]
async fn each_step_is_in_the_audit_log_with_who_and_why() {
    let company = company(100).await;
    let world = &company.world;
    let granted = company
        .ask(&company.mo, asking(json!({"kind": "lift"})))
        .await;
    let path = format!("/v1/exemptions/{granted}/approve");
    let note = json!({"note": "the release is worth it"});
    world.admin("POST", &path, note).await.expect(200);
    let denied = company
        .ask(&company.ada, asking(json!({"kind": "lift"})))
        .await;
    company
        .step(&company.root, &denied, "deny")
        .await
        .expect(200);
    company.step(ADMIN, &granted, "revoke").await.expect(200);
    let log = "/v1/audit-log?action=exemption&limit=100";
    let log = world.admin("GET", log, Value::Null).await.expect(200);
    let steps: Vec<(&str, String)> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|entry| {
            let id = entry["resource"].as_str().unwrap();
            (entry["action"].as_str().unwrap(), id.to_owned())
        })
        .collect();
    let of = |id: &str| format!("exemption/{id}");
    assert_eq!(
        steps,
        [
            ("exemption.request", of(&granted)),
            ("exemption.approve", of(&granted)),
            ("exemption.request", of(&denied)),
            ("exemption.deny", of(&denied)),
            ("exemption.revoke", of(&granted)),
        ]
    );
    let approved = &log["items"][3];
    assert_eq!(approved["reason"], "the release is worth it");
    assert_eq!(approved["actor"], "key/key_local_admin");
    assert_eq!(approved["before"]["status"], "pending");
    assert_eq!(approved["after"]["status"], "approved");
    assert_eq!(approved["after"]["requested_by"]["user_id"], "mo");
}

#[tokio::test]
async fn those_who_may_decide_and_those_concerned_get_a_mail() {
    let company = company(100).await;
    let world = &company.world;
    let id = company
        .ask(&company.mo, asking(json!({"kind": "raise", "tokens": 500})))
        .await;
    world.system.drain().await.unwrap();
    company.step(ADMIN, &id, "approve").await.expect(200);
    world.system.drain().await.unwrap();
    let mails = world
        .admin("GET", "/local/emails", Value::Null)
        .await
        .expect(200);
    let mut seen: Vec<(String, String)> = mails["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mail| (mail["to"].to_string(), mail["subject"].to_string()))
        .collect();
    seen.sort_unstable();
    let mail =
        |to: &str, subject: &str| (format!("\"{to}@example.com\""), format!("\"{subject}\""));
    assert_eq!(
        seen,
        [
            mail("ada", "The exemption for ada was approved"),
            mail("mo", "The exemption for ada was approved"),
            mail("root", "ada asks for an exemption"),
        ],
        "{mails}"
    );
    let text = mails.to_string();
    assert!(
        text.contains("500 tokens more than the caps of backend"),
        "{text}"
    );
    let bus = world
        .admin("GET", "/local/bus", Value::Null)
        .await
        .expect(200);
    let bus = bus.to_string();
    for kind in ["exemption.requested", "exemption.approved"] {
        assert!(bus.contains(kind), "{bus}");
    }
}
