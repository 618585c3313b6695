//! A decision is made in time, whatever the database does, and whichever call it begins with. The
//! clock is the runtime's own: it moves while everybody waits, so a second takes no time.

use axum::Router;
use axum::body::Body;
use end_to_end::{AGENT, World};
use http::Request;
use http_body_util::BodyExt;
use local::dynamodb::{Fault, FaultKind, When};
use local::system::SystemSettings;
use serde_json::{Value, json};
use shared::runtime::settings::Patience;
use std::time::Duration;
use tokio::time::Instant;
use tower::ServiceExt;

/// The time of a decision, as in a deployment.
const TIME: Duration = Duration::from_millis(1_500);
/// What the clock of the runtime rounds up to.
const TICK: Duration = Duration::from_millis(1);
/// Longer than a call is waited for.
const TOO_LATE: FaultKind = FaultKind::Late(Duration::from_millis(200));
/// An answer that comes just in time.
const SLOW: FaultKind = FaultKind::Late(Duration::from_millis(140));

/// Where the faults begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// An instance that has answered before.
    Warm,
    /// The first request of an instance that could not read ahead.
    Cold,
    /// A month whose cap is held by holds that have lapsed.
    Lapsed,
}

struct Answered {
    decision: Value,
    after: Duration,
}

fn deployed() -> SystemSettings {
    SystemSettings {
        preflight_patience: Some(Patience::SHORT),
        decision_time: Some(TIME),
        delivers_events: false,
        ..SystemSettings::empty()
    }
}

/// Ada is under a hard cap of 1,000 tokens, and nothing stops what nobody decides.
async fn world(settings: SystemSettings) -> World {
    let world = World::with(settings).await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    world
        .budget(Some("eng"), "tokens", json!(1_000), true)
        .await;
    world
}

/// Thirty holds take nearly all of the cap, and an hour goes by.
async fn let_lapse(world: &World) {
    for n in 0..30 {
        world.hold("ada", &format!("old-{n}"), 33, 0).await;
    }
    let later = world.system.clock().now() + jiff::SignedDuration::from_hours(1);
    world.set_clock(&later.to_string()).await;
}

/// From call `first` on, every call of the database fails so.
fn fail_from(world: &World, first: u64, kind: FaultKind) {
    for call in first..first + 400 {
        let when = When::Before;
        world.system.engine().inject(Fault { call, when, kind });
    }
}

async fn ask(instance: Router) -> Answered {
    let body = json!({
        "request_id": "asked", "user_id": "ada", "provider": "openai", "model": "gpt-4o",
        "input_tokens": 500, "max_output_tokens": 0,
    });
    let request = Request::post("/v1/preflight").header("authorization", format!("Bearer {AGENT}"));
    let request = request.body(Body::from(body.to_string())).unwrap();
    let asked_at = Instant::now();
    let answer = instance.oneshot(request).await.unwrap();
    let after = asked_at.elapsed();
    assert_eq!(answer.status(), 200);
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let decision = serde_json::from_slice(&bytes).unwrap();
    Answered { decision, after }
}

/// The answer while every call from `first` on fails, and whether one did.
async fn answered(scene: Scene, first: u64, kind: FaultKind) -> (Answered, bool) {
    let world = world(deployed()).await;
    let instance = match scene {
        Scene::Warm => {
            world.hold("ada", "warm", 1, 0).await;
            world.system.router()
        }
        Scene::Cold => {
            fail_from(&world, 0, FaultKind::ConnectionReset);
            let instance = world.system.another_preflight().await;
            world.system.engine().clear_faults();
            instance
        }
        Scene::Lapsed => {
            let_lapse(&world).await;
            world.system.router()
        }
    };
    let before = world.system.engine().faults_fired();
    fail_from(&world, first, kind);
    let answered = ask(instance).await;
    let has_failed = world.system.engine().faults_fired() > before;
    world.system.engine().clear_faults();
    (answered, has_failed)
}

/// The answers for every call that a fault may begin with.
async fn answers(scene: Scene, kind: FaultKind) -> Vec<Answered> {
    let mut all = Vec::new();
    for first in 0.. {
        let (answered, has_failed) = answered(scene, first, kind).await;
        let case = format!("{scene:?} from call {first}: {}", answered.decision);
        assert!(answered.after <= TIME + TICK, "{:?} {case}", answered.after);
        if !has_failed {
            assert_eq!(answered.decision["decision"], "allow", "{case}");
            break;
        }
        all.push(answered);
    }
    assert!(!all.is_empty(), "{scene:?} meets no fault");
    all
}

const SCENES: [Scene; 3] = [Scene::Warm, Scene::Cold, Scene::Lapsed];

#[tokio::test(start_paused = true)]
async fn a_database_that_is_too_slow_to_be_heard_is_an_outage() {
    for scene in SCENES {
        let answers = answers(scene, TOO_LATE).await;
        let first = &answers[0].decision;
        assert_eq!(
            (&first["decision"], &first["degraded"]),
            (&json!("allow"), &json!(true))
        );
        for Answered { decision, .. } in &answers {
            let is_open = decision["degraded"] == true;
            let is_shut = decision["reasons"][0]["code"] == "overloaded";
            assert!(
                is_open || is_shut || decision["hold"].is_object(),
                "{decision}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_throttles_or_conflicts_for_ever_opens_no_hard_cap() {
    for kind in [FaultKind::Throttled, FaultKind::TransactionConflict] {
        let mut shut = 0;
        for scene in SCENES {
            for Answered { decision, .. } in answers(scene, kind).await {
                assert_eq!(
                    decision["degraded"], false,
                    "{kind:?} {scene:?}: {decision}"
                );
                if decision["hold"].is_object() {
                    continue;
                }
                assert_eq!(
                    decision["decision"], "block",
                    "{kind:?} {scene:?}: {decision}"
                );
                assert_eq!(
                    decision["retryable"], true,
                    "{kind:?} {scene:?}: {decision}"
                );
                shut += 1;
            }
        }
        assert!(shut >= SCENES.len(), "{kind:?} shut only {shut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_database_decides_if_it_can_in_time_and_opens_nothing_if_it_cannot() {
    let mut held = 0;
    for scene in SCENES {
        for Answered { decision, .. } in answers(scene, SLOW).await {
            assert_eq!(decision["degraded"], false, "{scene:?}: {decision}");
            match decision["hold"].is_object() {
                true => held += 1,
                false => assert_eq!(decision["reasons"][0]["code"], "overloaded", "{decision}"),
            }
        }
    }
    assert!(held > 0);
}

#[tokio::test(start_paused = true)]
async fn the_queue_of_refusals_has_the_rest_of_the_time_only() {
    let settings = SystemSettings {
        decision_time: Some(Duration::from_millis(200)),
        ..deployed()
    };
    let world = world(settings).await;
    world.hold("ada", "most", 900, 0).await;
    fail_from(&world, 0, SLOW);
    world.system.queues().inject(Fault {
        call: 0,
        when: When::Before,
        kind: FaultKind::Silence,
    });
    let Answered { decision, after } = ask(world.system.router()).await;
    assert_eq!(
        decision["reasons"][0]["code"], "budget_exhausted",
        "{decision}"
    );
    assert!(after >= Duration::from_millis(200), "{after:?}");
    assert!(after <= Duration::from_millis(200) + TICK, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_given_back_in_time_or_the_client_asks_again() {
    let settings = SystemSettings {
        decision_time: Some(Duration::from_millis(200)),
        ..deployed()
    };
    let world = world(settings).await;
    let hold = world.hold("ada", "r-1", 900, 0).await;
    let path = format!("/v1/holds/{hold}");
    fail_from(&world, 0, SLOW);
    let asked_at = Instant::now();
    let late = world.call(AGENT, "DELETE", &path, Value::Null).await;
    assert_eq!(
        (late.status, late.body["error"].as_str()),
        (503, Some("unavailable"))
    );
    assert!(asked_at.elapsed() <= Duration::from_millis(200) + TICK);
    world.system.engine().clear_faults();
    let again = world.call(AGENT, "DELETE", &path, Value::Null).await;
    assert_eq!(again.status, 204);
}

#[tokio::test(start_paused = true)]
async fn lapsed_holds_are_released_four_at_a_time() {
    let settings = SystemSettings {
        decision_time: None,
        ..deployed()
    };
    let world = world(settings).await;
    let_lapse(&world).await;
    fail_from(&world, 0, SLOW);
    let Answered { decision, after } = ask(world.system.router()).await;
    assert_eq!(decision["decision"], "allow", "{decision}");
    // The hold, 25 releases in seven rounds, their one update, and the hold again.
    let rounds = after.as_millis() / 140;
    assert_eq!(rounds, 10, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_starts_with_the_usual_patience() {
    let world = world(deployed()).await;
    for call in 0..4 {
        let kind = FaultKind::Late(Duration::from_millis(400));
        let when = When::Before;
        world.system.engine().inject(Fault { call, when, kind });
    }
    let instance = world.system.another_preflight().await;
    world.system.engine().reset_meter();
    let Answered { decision, .. } = ask(instance).await;
    assert_eq!(decision["decision"], "allow");
    let meter = world.system.engine().meter();
    assert_eq!(
        meter.callers["preflight"].calls, 2,
        "all else was read at the start"
    );
}
