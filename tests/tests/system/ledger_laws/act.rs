//! Each step in the system and in the model.

use super::model::{Model, ModelBudget, ModelHold, Sum, pico_usd};
use super::steps::Step;
use super::{DEPARTMENTS, USERS, admin, jiff_text, persist};
use end_to_end::{AGENT, World};
use local::dynamodb::{Fault, FaultKind, When};
use serde_json::{Value, json};
use shared::domain::org::organisation::DEFAULT_HOLD_SECONDS;
use std::collections::BTreeSet;

async fn hold(world: &World, model: &mut Model, user: usize, request: u8, input: i64, output: i64) {
    let body = json!({
        "request_id": format!("r-{request}"), "user_id": USERS[user], "provider": "openai",
        "model": "gpt-4o",
        "input_tokens": input, "max_output_tokens": output,
    });
    let amounts = Sum {
        tokens: input + output,
        pico_usd: pico_usd(input, output),
    };
    let path = model.path(&model.homes[USERS[user]].clone());
    let answer = persist(world, AGENT, "POST", "/v1/preflight", body).await;
    let same = model.holds.get(&(user, request)).cloned();
    let may_be_known = same.as_ref().filter(|hold| model.may_live(hold));
    let is_known = |known: &ModelHold| answer.body["hold"]["id"] == json!(known.id);
    if may_be_known.is_some_and(|known| answer.status == 409 || is_known(known)) {
        return;
    }
    let known = same.filter(|h| !h.is_over && h.expires > model.now && !h.is_unwanted);
    if let Some(known) = known {
        // On a path without a budget there is nothing to look into: the request just passes.
        if answer.status == 200 && answer.body["hold"].is_null() {
            return;
        }
        if known.body == (input, output) {
            assert_eq!(
                answer.body["hold"]["id"],
                json!(known.id),
                "the same request is the same hold"
            );
        } else {
            assert_eq!(answer.status, 409, "{}", answer.body);
        }
        return;
    }
    let on_path: Vec<&ModelBudget> = model.budgets.iter().filter(|b| b.counts(&path)).collect();
    let short: BTreeSet<String> = on_path
        .iter()
        .filter(|b| b.hard && model.available(b) < amounts.of(b.is_usd))
        .map(|b| b.id.clone())
        .collect();
    let maybe_short: BTreeSet<String> = on_path
        .iter()
        .filter(|b| b.hard && model.surely_available(b) < amounts.of(b.is_usd))
        .map(|b| b.id.clone())
        .collect();
    let body = answer.expect(200);
    if short != maybe_short && body["decision"] == "block" {
        let named = named(&body);
        assert!(short.is_subset(&named), "{short:?}: {body}");
        assert!(named.is_subset(&maybe_short), "{maybe_short:?}: {body}");
    } else if short.is_empty() {
        assert_eq!(body["decision"], "allow", "it fits and was refused: {body}");
        if on_path.is_empty() || input + output == 0 {
            assert_eq!(body["hold"], Value::Null);
            return;
        }
        let made = ModelHold {
            id: body["hold"]["id"].as_str().unwrap().to_owned(),
            path,
            amounts,
            expires: model.now + i64::from(DEFAULT_HOLD_SECONDS),
            body: (input, output),
            is_over: false,
            is_unwanted: false,
        };
        if let Some(before) = model.holds.insert((user, request), made) {
            model.earlier.push(before);
        }
    } else {
        assert_eq!(
            named(&body),
            short,
            "a refusal names what was short and nothing else: {body}"
        );
    }
}

/// The budgets that a refusal names.
fn named(refusal: &Value) -> BTreeSet<String> {
    let reasons = refusal["reasons"].as_array().unwrap();
    let ids = reasons.iter().map(|r| r["budget_id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

async fn renew(
    world: &World,
    model: &mut Model,
    of: (usize, u8),
    seconds: Option<i64>,
    tokens: Option<i64>,
) {
    let Some(known) = model.holds.get(&of).cloned() else {
        return;
    };
    if model.may_live(&known) {
        return;
    }
    let mut body = json!({});
    for (name, value) in [("extend_seconds", seconds), ("tokens", tokens)] {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    let path = format!("/v1/holds/{}", known.id);
    let answer = persist(world, AGENT, "PATCH", &path, body).await;
    if known.is_over || known.expires <= model.now {
        assert_eq!(answer.status, 409, "{}", answer.body);
        return;
    }
    let mut amounts = known.amounts;
    if let Some(tokens) = tokens.filter(|tokens| *tokens > amounts.tokens) {
        let worth = amounts.pico_usd * tokens;
        amounts.pico_usd = (worth + amounts.tokens - 1) / amounts.tokens;
        amounts.tokens = tokens;
    }
    let gains = |is_usd| amounts.of(is_usd) - known.amounts.of(is_usd);
    let on_path = model.budgets.iter().filter(|b| b.counts(&known.path));
    let on_path: Vec<&ModelBudget> = on_path.filter(|b| b.hard).collect();
    let ids = |left: &dyn Fn(&ModelBudget) -> i64| -> BTreeSet<String> {
        let short = on_path.iter().filter(|b| left(b) < gains(b.is_usd));
        short.map(|b| b.id.clone()).collect()
    };
    let short = ids(&|b| model.available(b));
    let maybe_short = ids(&|b| model.surely_available(b));
    let body = answer.expect(200);
    if gains(false) > 0 && short != maybe_short && body["decision"] == "block" {
        let named = named(&body);
        assert!(short.is_subset(&named), "{short:?}: {body}");
        assert!(named.is_subset(&maybe_short), "{maybe_short:?}: {body}");
        return;
    }
    if gains(false) > 0 && !short.is_empty() {
        assert_eq!(
            (&body["decision"], &body["hold"]),
            (&json!("block"), &Value::Null)
        );
        assert_eq!(named(&body), short, "{body}");
        return;
    }
    let hold = model.holds.get_mut(&of).unwrap();
    hold.amounts = amounts;
    hold.expires = hold.expires.max(model.now + seconds.unwrap_or(0));
    assert_eq!(body["decision"], "allow", "it fits and was refused: {body}");
    assert_eq!(body["hold"]["id"], json!(hold.id));
    assert_eq!(body["hold"]["tokens"], amounts.tokens);
    assert_eq!(body["hold"]["expires_at"], jiff_text(hold.expires));
}

pub(super) async fn act(world: &World, model: &mut Model, step: Step) {
    match step {
        Step::Hold {
            user,
            request,
            input,
            output,
        } => hold(world, model, user, request, input, output).await,
        Step::Usage {
            user,
            request,
            event,
            input,
            output,
            times,
        } => {
            let Some(of) = model
                .holds
                .get(&(user, request))
                .map(|hold| hold.id.clone())
            else {
                return;
            };
            let sum = Sum {
                tokens: input + output,
                pico_usd: pico_usd(input, output),
            };
            let event_id = format!("e-{event}");
            let body =
                json!({"events": [world.usage(&event_id, USERS[user], input, output, Some(&of))]});
            let id = format!("{}/{event_id}", USERS[user]);
            if model.counted.contains(&id) || model.waiting.iter().any(|(known, ..)| *known == id) {
                return;
            }
            for _ in 0..times {
                let answer = persist(world, AGENT, "POST", "/v1/events", body.clone())
                    .await
                    .expect(202);
                let is_one = |name: &str| answer[name] == 1;
                assert!(is_one("accepted") != is_one("duplicates"), "{answer}");
                model
                    .waiting
                    .push((id.clone(), user, Some(of.clone()), sum, model.now));
            }
        }
        Step::Unreserved {
            user,
            event,
            input,
            times,
            ago,
        } => {
            let event_id = format!("e-{event}");
            let id = format!("{}/{event_id}", USERS[user]);
            if model.counted.contains(&id) || model.waiting.iter().any(|(known, ..)| *known == id) {
                return;
            }
            let sum = Sum {
                tokens: input,
                pico_usd: pico_usd(input, 0),
            };
            let at = model.now - ago;
            let mut event = world.usage(&event_id, USERS[user], input, 0, None);
            event["occurred_at"] = json!(jiff_text(at));
            let body = json!({ "events": [event] });
            for _ in 0..times {
                persist(world, AGENT, "POST", "/v1/events", body.clone())
                    .await
                    .expect(202);
                model.waiting.push((id.clone(), user, None, sum, at));
            }
        }
        Step::Deliver => {
            world.system.drain().await.unwrap();
            model.deliver();
        }
        Step::Void { user, request } => {
            let Some(hold) = model.holds.get(&(user, request)).cloned() else {
                return;
            };
            let path = format!("/v1/holds/{}", hold.id);
            assert_eq!(
                persist(world, AGENT, "DELETE", &path, Value::Null)
                    .await
                    .status,
                204
            );
            let waits = model.waits(&hold);
            let hold = model.holds.get_mut(&(user, request)).unwrap();
            // Usage that waits settles it, even if it is voided.
            hold.is_over |= !waits;
            hold.is_unwanted = true;
        }
        Step::Renew {
            user,
            request,
            seconds,
            tokens,
        } => renew(world, model, (user, request), seconds, tokens).await,
        Step::Tick { seconds } => {
            model.now += seconds;
            world.set_clock(&jiff_text(model.now)).await;
        }
        Step::Create {
            department,
            is_usd,
            amount,
            hard,
        } => {
            let department = department.map(|n| DEPARTMENTS[n].to_owned());
            let taken = model
                .budgets
                .iter()
                .any(|b| b.department == department && b.is_usd == is_usd);
            let (unit, shown) = match is_usd {
                true => ("usd", usd(amount)),
                false => ("tokens", json!(amount)),
            };
            let body = json!({
                "name": "b", "department_id": department, "unit": unit, "amount": shown,
                "hard_cap": hard,
            });
            model.asked += 1;
            let key = format!("create-{}", model.asked);
            let answer = loop {
                let headers = [("idempotency-key", key.as_str())];
                let answer = world
                    .raw(
                        end_to_end::ADMIN,
                        "POST",
                        "/v1/budgets",
                        &headers,
                        body.to_string(),
                    )
                    .await;
                if answer.status != 503 {
                    break answer;
                }
            };
            if taken {
                assert_eq!(answer.status, 409);
                return;
            }
            let id = answer.expect(201)["id"].as_str().unwrap().to_owned();
            model.budgets.push(ModelBudget {
                id,
                department,
                is_usd,
                amount,
                hard,
            });
        }
        Step::Change { budget, amount } => {
            let Some(budget) = model.budgets.get_mut(usize::from(budget)) else {
                return;
            };
            let shown = if budget.is_usd {
                usd(amount)
            } else {
                json!(amount)
            };
            let path = format!("/v1/budgets/{}", budget.id);
            admin(world, "PATCH", &path, json!({"amount": shown}))
                .await
                .expect(200);
            budget.amount = amount;
        }
        Step::Delete { budget } => {
            if usize::from(budget) < model.budgets.len() {
                let gone = model.budgets.remove(usize::from(budget));
                let answer = admin(
                    world,
                    "DELETE",
                    &format!("/v1/budgets/{}", gone.id),
                    Value::Null,
                )
                .await;
                assert!(matches!(answer.status, 204 | 404), "{}", answer.body);
            }
        }
        Step::MoveUser { user, department } => {
            let body = json!({"department_id": DEPARTMENTS[department]});
            admin(world, "PATCH", &format!("/v1/users/{}", USERS[user]), body)
                .await
                .expect(200);
            model
                .homes
                .insert(USERS[user].to_owned(), DEPARTMENTS[department].to_owned());
            model.note_move();
        }
        Step::MoveDepartment { department, parent } => {
            let id = DEPARTMENTS[department];
            let parent = parent.map(|n| DEPARTMENTS[n].to_owned());
            let is_cycle = parent
                .as_ref()
                .is_some_and(|parent| model.path(parent).iter().any(|step| step == id));
            let answer = admin(
                world,
                "PATCH",
                &format!("/v1/departments/{id}"),
                json!({"parent_id": parent}),
            )
            .await;
            if is_cycle {
                assert_eq!(answer.status, 409);
            } else {
                answer.expect(200);
                model.parents.insert(id.to_owned(), parent);
                model.note_move();
            }
        }
        Step::Fail {
            call,
            after,
            conflict,
        } => {
            let when = if after { When::After } else { When::Before };
            let kind = if conflict {
                FaultKind::TransactionConflict
            } else {
                FaultKind::ConnectionReset
            };
            // A conflict is always said before anything is applied.
            let when = if conflict { When::Before } else { when };
            world.system.engine().inject(Fault { call, when, kind });
        }
    }
}

fn usd(micro: i64) -> Value {
    serde_json::from_str(&format!("0.{micro:06}")).unwrap()
}
