//! The demo company, made through the system's own API: the demo does nothing that a client could
//! not do.

mod company;
#[cfg(test)]
mod tests;

use http::Method;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use local::system::{ORGANISATION, System};
use serde_json::{Value, json};
use shared::domain::period::Month;
use shared::store::{Store, StoreError};

use crate::api_client::ApiClient;
use crate::error::CommandError;
use company::{BUDGETS, DEPARTMENTS, HELD, LAST_USER, REQUESTS, USAGE, USERS, Usage, User};
pub(crate) use company::{CAPPED_USER, MODEL, PROVIDER, USER_WITH_ROOM};

/// How far back the company's usage goes, if the month is that old.
const HISTORY: SignedDuration = SignedDuration::from_hours(20 * 24);

/// Whether all of the demo data exists. The last user is made after everything else, and users are
/// never deleted.
pub(crate) async fn is_complete(store: &Store) -> Result<bool, StoreError> {
    let user = store.user(ORGANISATION, LAST_USER.id).await?;
    Ok(user.is_some())
}

/// Makes the demo data, unless it is complete.
pub(crate) async fn ensure(system: &System) -> Result<(), CommandError> {
    if is_complete(system.store()).await? {
        return Ok(());
    }
    create(system).await
}

/// Makes the missing demo data. Each step can be repeated, so that one start completes what an
/// earlier one left unfinished.
async fn create(system: &System) -> Result<(), CommandError> {
    let client = ApiClient::of_system(system);
    create_departments_and_users(&client).await?;
    create_budgets(&client).await?;
    // An earlier start may have reported usage that is still in the queue. Reporting it again at
    // another time would contradict it.
    system.drain().await?;
    let now = system.clock().now();
    let month = Month::of(now, &TimeZone::UTC);
    let totals = system.store().department_totals(ORGANISATION, month);
    if totals.await?.rows().is_empty() {
        use_models(&client, now).await?;
        system.drain().await?;
    }
    // After the drain, so that this is the only hold and nothing settles it.
    preflight(&client, &HELD).await?;
    create_user(&client, &LAST_USER).await
}

async fn create_departments_and_users(client: &ApiClient) -> Result<(), CommandError> {
    for department in DEPARTMENTS {
        let body = json!({
            "id": department.id, "name": department.name, "parent_id": department.parent_id,
        });
        client
            .ensure(Method::POST, "/v1/departments", &body)
            .await?;
    }
    for user in USERS {
        create_user(client, user).await?;
    }
    for department in DEPARTMENTS {
        let path = format!("/v1/departments/{}", department.id);
        let body = json!({"manager_id": department.manager_id});
        client.ensure(Method::PATCH, &path, &body).await?;
    }
    Ok(())
}

async fn create_budgets(client: &ApiClient) -> Result<(), CommandError> {
    for budget in BUDGETS {
        let mut body = json!({
            "name": budget.name,
            "department_id": budget.department_id,
            "unit": budget.unit,
            "amount": budget.amount,
            "hard_cap": budget.hard_cap,
        });
        if let Some(percent) = budget.rollover_cap_percent {
            body["rollover"] = json!({"cap_percent": percent});
        }
        client.ensure(Method::POST, "/v1/budgets", &body).await?;
    }
    Ok(())
}

async fn create_user(client: &ApiClient, user: &User) -> Result<(), CommandError> {
    let body = json!({
        "id": user.id,
        "email": format!("{}@demo.example", user.id),
        "name": user.name,
        "department_id": user.department_id,
        "manager_id": user.manager_id,
        "role": user.role,
    });
    client.ensure(Method::POST, "/v1/users", &body).await?;
    Ok(())
}

/// Reports usage without holds, and requests with holds.
async fn use_models(client: &ApiClient, now: Timestamp) -> Result<(), CommandError> {
    let mut events = Vec::new();
    let total: u32 = USAGE.iter().map(|usage| usage.requests).sum();
    // In rounds, so that each user's requests spread over the whole time.
    for round in 0.. {
        let using: Vec<&Usage> = USAGE
            .iter()
            .filter(|usage| usage.requests > round)
            .collect();
        if using.is_empty() {
            break;
        }
        for usage in using {
            let place = u32::try_from(events.len()).unwrap_or(total);
            let occurred_at = back_in_the_month(now, total - place, total);
            let event_id = format!("demo-{}-{round}", usage.user_id);
            events.push(event(usage, &event_id, occurred_at, None));
        }
    }
    for usage in REQUESTS {
        let hold_id = preflight(client, usage).await?;
        let event_id = format!("demo-{}-held", usage.user_id);
        events.push(event(usage, &event_id, now, hold_id.as_deref()));
    }
    client.report(&events).await
}

/// Returns the time `part` / `parts` of the history before `now`, in the same month.
fn back_in_the_month(now: Timestamp, part: u32, parts: u32) -> Timestamp {
    let month = Month::of(now, &TimeZone::UTC).start(&TimeZone::UTC);
    let history_ms = now.duration_since(month).min(HISTORY).as_millis();
    let back_ms = history_ms * i128::from(part) / i128::from(parts.max(1));
    let back = SignedDuration::from_millis(i64::try_from(back_ms).unwrap_or(0));
    now.checked_sub(back).unwrap_or(now)
}

fn event(usage: &Usage, event_id: &str, occurred_at: Timestamp, hold_id: Option<&str>) -> Value {
    let mut event = json!({
        "event_id": event_id,
        "type": "llm_request",
        "occurred_at": occurred_at.to_string(),
        "user_id": usage.user_id,
        "provider": usage.model.provider,
        "model": usage.model.name,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "outcome": "completed",
        "source": "demo",
    });
    if let Some(hold_id) = hold_id {
        event["hold_id"] = json!(hold_id);
    }
    event
}

/// Asks for twice the output that the request will use. Returns the id of the hold, if there is
/// one.
async fn preflight(client: &ApiClient, usage: &Usage) -> Result<Option<String>, CommandError> {
    let body = json!({
        "request_id": format!("demo-{}", usage.user_id),
        "user_id": usage.user_id,
        "provider": usage.model.provider,
        "model": usage.model.name,
        "input_tokens": usage.input_tokens,
        "max_output_tokens": usage.output_tokens * 2,
    });
    let answer = client.ensure(Method::POST, "/v1/preflight", &body).await?;
    Ok(answer["hold"]["id"].as_str().map(str::to_owned))
}
