//! A company with one of everything, and the requests that it refuses.

use super::is_refusal;
use super::table::sections;
use end_to_end::{ADMIN, OPERATOR, World};
use local::sqs::Counts;
use local::system::SystemSettings;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) struct Company {
    pub(super) world: World,
    rival: String,
    pub(super) ids: BTreeMap<&'static str, String>,
}

pub(super) async fn made(world: &World, key: &str, path: &str, body: Value) -> Value {
    world.call(key, "POST", path, body).await.expect(201)
}

impl Company {
    /// `demo` with something of everything, and a rival whose ids are foreign to it.
    pub(super) async fn new() -> Self {
        // Nothing happens by itself while before and after are compared.
        let settings = SystemSettings {
            delivers_events: false,
            ..SystemSettings::empty()
        };
        let world = World::with(settings).await;
        world.set_clock("2026-11-23T12:00:00Z").await;
        for id in ["eng", "empty", "budgeted", "held", "d1"] {
            world.department(id, None).await;
        }
        world.department("backend", Some("eng")).await;
        for depth in 2..=8 {
            world
                .department(&format!("d{depth}"), Some(&format!("d{}", depth - 1)))
                .await;
        }
        for (id, department) in [
            ("ada", "backend"),
            ("bob", "eng"),
            ("mo", "held"),
            ("bea", "budgeted"),
        ] {
            world.user(id, department).await;
        }
        let budget = world.budget(None, "tokens", json!(1_000_000), true).await;
        let usd = world.budget(Some("eng"), "usd", json!(10), true).await;
        world
            .budget(Some("budgeted"), "tokens", json!(5), false)
            .await;
        let hold = world.hold("ada", "r-live", 10, 10).await;
        world.hold("mo", "r-held", 10, 10).await;
        world
            .admin("PATCH", "/v1/users/mo", json!({"department_id": "eng"}))
            .await
            .expect(200);
        let key = made(&world, ADMIN, "/v1/api-keys", json!({"role": "agent"})).await;

        let rival = json!({"id": "rival", "name": "Rival", "timezone": "UTC"});
        let rival = made(&world, OPERATOR, "/v1/organisations", rival).await;
        let rival = rival["admin_key"].as_str().unwrap().to_owned();
        made(
            &world,
            &rival,
            "/v1/departments",
            json!({"id": "theirs", "name": "Theirs"}),
        )
        .await;
        let thea = json!({
            "id": "thea", "email": "thea@example.com", "name": "Thea", "department_id": "theirs",
            "role": "member",
        });
        made(&world, &rival, "/v1/users", thea).await;
        let theirs =
            json!({"name": "Theirs", "unit": "tokens", "amount": 1_000_000, "hard_cap": true});
        let their_budget = made(&world, &rival, "/v1/budgets", theirs).await;
        let their_key = made(&world, &rival, "/v1/api-keys", json!({"role": "agent"})).await;
        let ask =
            json!({"request_id": "r-1", "user_id": "thea", "model": "gpt-4o", "input_tokens": 10});
        let their_hold = world
            .call(&rival, "POST", "/v1/preflight", ask)
            .await
            .expect(200);

        let usage = world.usage("e-theirs", "thea", 500_000, 0, None);
        world
            .call(&rival, "POST", "/v1/events", json!({"events": [usage]}))
            .await
            .expect(202);
        world.report(&[world.usage("e-1", "bea", 4, 0, None)]).await;
        let too_large = world.usage("too-large", "ada", 5_000_000, 0, None);
        world.report(&[too_large]).await;
        let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
        let mut policies = Vec::new();
        for (key, event) in [(ADMIN, "e-risk"), (&rival, "e-their-risk")] {
            let policy = json!({
                "name": "Leaks", "trigger": {"type": "ip_risk_event"},
                "actions": [{"type": "create_incident"}],
            });
            let policy = made(&world, key, "/v1/policies", policy).await;
            let publish = format!("/v1/policies/{}/publish", id(&policy));
            world
                .call(key, "POST", &publish, Value::Null)
                .await
                .expect(200);
            let risk = json!({
                "event_id": event, "type": "ip_risk", "occurred_at": "2026-11-23T12:00:00Z",
                "risk_level": "high",
                "summary": "a leak",
            });
            let body = json!({ "events": [risk] });
            world
                .call(key, "POST", "/v1/events", body)
                .await
                .expect(202);
            world.system.drain().await.unwrap();
            policies.push(id(&policy));
        }
        let hook = json!({"url": "https://hooks.example.com/"});
        let webhook = id(&made(&world, ADMIN, "/v1/webhooks", hook).await);
        let test = format!("/v1/webhooks/{webhook}/test");
        let delivery = world.admin("POST", &test, Value::Null).await;
        let delivery = id(&delivery.expect(202));
        world.system.drain().await.unwrap();
        let bounce = json!({"email": "old@example.com", "type": "bounce"});
        world
            .admin("POST", "/local/bounces", bounce)
            .await
            .expect(200);
        let newest_incident = async |key: &str| {
            let page = world.call(key, "GET", "/v1/incidents", Value::Null).await;
            id(&page.expect(200)["items"][0])
        };
        let incident = newest_incident(ADMIN).await;
        let their_incident = newest_incident(&rival).await;
        let newest_alert = async |key: &str| {
            let page = world.call(key, "GET", "/v1/alerts", Value::Null).await;
            id(&page.expect(200)["items"][0])
        };
        let (alert, their_alert) = (newest_alert(ADMIN).await, newest_alert(&rival).await);
        let member = made(
            &world,
            ADMIN,
            "/v1/api-keys",
            json!({"role": "member", "user_id": "ada"}),
        )
        .await;
        let member = member["key"].as_str().unwrap();
        let mut exemptions = Vec::new();
        for key in [member, member, member, ADMIN] {
            let ask = json!({
                "user_id": "ada", "kind": "raise", "tokens": 50_000, "reason": "a release",
                "ends_at": "2026-11-30T12:00:00Z",
            });
            exemptions.push(id(&made(&world, key, "/v1/exemptions", ask).await));
        }
        let client = made(&world, ADMIN, "/v1/oauth/clients", json!({"role": "agent"})).await;
        let client = client["client_id"].as_str().unwrap().to_owned();
        // A message in flight would change something by itself.
        world.system.drain().await.unwrap();
        let ids = BTreeMap::from([
            ("client", client),
            ("own", exemptions.remove(3)),
            ("to_revoke", exemptions.remove(2)),
            ("to_deny", exemptions.remove(1)),
            ("to_approve", exemptions.remove(0)),
            ("budget", budget),
            ("usd", usd),
            ("hold", hold),
            ("key", id(&key)),
            ("alert", alert),
            ("their_alert", their_alert),
            ("incident", incident),
            ("webhook", webhook),
            ("delivery", delivery),
            ("their_incident", their_incident),
            ("policy", policies.remove(0)),
            ("their_policy", policies.remove(0)),
            ("their_budget", id(&their_budget)),
            ("their_key", id(&their_key)),
            ("their_hold", id(&their_hold["hold"])),
        ]);
        Self { world, rival, ids }
    }

    /// Everything that anybody could have changed.
    pub(super) async fn snapshot(&self) -> Vec<String> {
        let mut seen = Vec::new();
        for key in [ADMIN, &self.rival] {
            for path in [
                "departments",
                "users",
                "budgets",
                "api-keys",
                "alerts",
                "rollovers",
                "policies",
                "incidents",
                "webhooks",
                "exemptions",
                "oauth/clients",
                "suppressions",
            ] {
                let path = format!("/v1/{path}?limit=100");
                let page = self
                    .world
                    .call(key, "GET", &path, Value::Null)
                    .await
                    .expect(200);
                assert_eq!(page["has_more"], false);
                seen.push(page.to_string());
            }
            let organisation = self
                .world
                .call(key, "GET", "/v1/organisation", Value::Null)
                .await;
            seen.push(organisation.expect(200).to_string());
        }
        for id in ["demo", "rival"] {
            let head = self.world.system.store().head(id).await.unwrap().unwrap();
            seen.push(serde_json::to_string(&head).unwrap());
        }
        let organisations = self
            .world
            .call(OPERATOR, "GET", "/v1/organisations", Value::Null)
            .await;
        seen.push(organisations.expect(200).to_string());
        // A message that becomes due is the same message.
        let queues = self.world.system.queues().depths().into_iter();
        let depths = queues.map(|(name, counts)| {
            let Counts {
                visible,
                in_flight,
                released,
                delayed,
            } = counts;
            format!("{name} {}", visible + in_flight + released + delayed)
        });
        seen.extend(depths);
        seen
    }

    /// Sends every wrong request of a table, then every right one, and says all that was not as it
    /// should be.
    pub(super) async fn refuses(&self, table: &str) {
        let sections = sections(table, &self.ids);
        let before = self.snapshot().await;
        let mut faults = Vec::new();
        for line in sections.iter().flat_map(|section| &section.wrong) {
            let answer = line.send(&self.world).await;
            let status = line.expected.parse().unwrap();
            if let Err(fault) = is_refusal(&answer, status, Some(&line.fields)) {
                faults.push(format!("{}: {fault}", line.text));
            }
            if self.snapshot().await != before {
                panic!("{} changed something; also {faults:#?}", line.text);
            }
        }
        for section in &sections {
            let answer = section.right.send(&self.world).await;
            if !(200..300).contains(&answer.status) {
                faults.push(format!(
                    "{} should be right: {}",
                    section.right.text, answer.body
                ));
            }
        }
        assert!(faults.is_empty(), "{faults:#?}");
    }
}
