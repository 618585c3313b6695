//! Exemptions: who asks, who decides, which requests pass meanwhile, and how each ends.

#![expect(clippy::unwrap_used, reason = "helpers fail loudly where a test would")]

mod debt;
mod ends;
mod faults;
mod four_eyes;
mod ledger;
mod life;
mod room;
mod seen;

use end_to_end::{ADMIN, World};
use local::system::SystemSettings;
use serde_json::{Value, json};

/// `eng` > `backend` with ada and bob; mo manages eng; root is an administrator with
/// their own key.
struct Company {
    world: World,
    /// The hard cap of `eng`, in tokens.
    budget: String,
    ada: String,
    bob: String,
    mo: String,
    root: String,
}

async fn key(world: &World, role: &str, user_id: &str) -> String {
    let body = json!({"role": role, "user_id": user_id});
    let made = world.admin("POST", "/v1/api-keys", body).await.expect(201);
    made["key"].as_str().unwrap().to_owned()
}

async fn company(cap: i64) -> Company {
    company_with(SystemSettings::empty(), cap).await
}

async fn company_with(settings: SystemSettings, cap: i64) -> Company {
    let world = World::with(settings).await;
    world.set_clock("2026-11-24T12:00:00Z").await;
    world.department("eng", None).await;
    world.department("backend", Some("eng")).await;
    for (id, department) in [
        ("ada", "backend"),
        ("bob", "backend"),
        ("mo", "eng"),
        ("root", "eng"),
    ] {
        world.user(id, department).await;
    }
    for (id, role) in [("root", "admin"), ("mo", "manager")] {
        let path = format!("/v1/users/{id}");
        world
            .admin("PATCH", &path, json!({ "role": role }))
            .await
            .expect(200);
    }
    world
        .admin("PATCH", "/v1/departments/eng", json!({"manager_id": "mo"}))
        .await
        .expect(200);
    let budget = world.budget(Some("eng"), "tokens", json!(cap), true).await;
    Company {
        ada: key(&world, "member", "ada").await,
        bob: key(&world, "member", "bob").await,
        mo: key(&world, "manager", "mo").await,
        root: key(&world, "admin", "root").await,
        world,
        budget,
    }
}

/// A request for an exemption for ada until noon of the last of November.
fn asking(extra: Value) -> Value {
    let mut body = json!({
        "user_id": "ada", "reason": "the release", "ends_at": "2026-11-30T12:00:00Z",
    });
    let fields = extra.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body
}

impl Company {
    async fn ask(&self, key: &str, body: Value) -> String {
        let made = self.world.call(key, "POST", "/v1/exemptions", body).await;
        let made = made.expect(201);
        assert_eq!(made["status"], "pending", "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    async fn step(&self, key: &str, id: &str, step: &str) -> end_to_end::Answer {
        let path = format!("/v1/exemptions/{id}/{step}");
        self.world.call(key, "POST", &path, json!({})).await
    }

    /// An exemption for ada that is approved.
    async fn granted(&self, extra: Value) -> String {
        let id = self.ask(&self.ada, asking(extra)).await;
        let approved = self.step(ADMIN, &id, "approve").await.expect(200);
        assert_eq!(approved["status"], "approved", "{approved}");
        id
    }

    async fn exemption(&self, id: &str) -> Value {
        let path = format!("/v1/exemptions/{id}");
        self.world
            .admin("GET", &path, Value::Null)
            .await
            .expect(200)
    }

    /// exempted, spent, held, available of the cap.
    async fn figures(&self) -> [i64; 4] {
        let budget = self.world.figures(&self.budget).await;
        let of = |name: &str| budget[name].as_i64().unwrap();
        let (amount, carried) = (of("amount"), of("carried"));
        assert_eq!(
            amount + carried + of("exempted"),
            of("remaining") + of("spent"),
            "{budget}"
        );
        assert_eq!(of("available"), of("remaining") - of("held"), "{budget}");
        [of("exempted"), of("spent"), of("held"), of("available")]
    }

    async fn differences(&self) -> usize {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let report = self.world.system.schedule(until).await.unwrap();
        usize::try_from(report.totals.differences).unwrap()
    }
}
