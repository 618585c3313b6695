//! The text that the program prints after its start.

use std::net::SocketAddr;
use std::path::Path;

use jiff::Timestamp;
use local::system::{ADMIN_KEY, AGENT_KEY, OPERATOR_KEY, ORGANISATION, Summary};
use serde_json::{Value, json};

use crate::demo::{CAPPED_USER, MODEL, PROVIDER, USER_WITH_ROOM};

/// The values in the welcome text.
pub(crate) struct Welcome<'a> {
    pub(crate) address: SocketAddr,
    /// The directory of the data. None if the data is in memory.
    pub(crate) data: Option<&'a Path>,
    pub(crate) summary: Summary,
    pub(crate) has_demo_data: bool,
    pub(crate) now: Timestamp,
}

/// Says where the system runs, its keys, three requests to try, and how to stop it.
pub(crate) fn text(welcome: &Welcome<'_>) -> String {
    let Welcome {
        address,
        data,
        summary,
        has_demo_data,
        now,
    } = *welcome;
    let kept = match data {
        None => "in memory; gone when the program stops (--data DIR keeps them)".to_owned(),
        Some(dir) => format!("kept in {}", dir.display()),
    };
    let Summary {
        departments,
        users,
        budgets,
    } = summary;
    let requests = if has_demo_data {
        demo_requests(now)
    } else {
        first_requests()
    };
    let mut text = format!(
        "Toktra runs on http://{address}\n\n\
         functions      api, preflight, ingest, evaluate\n\
         tables, queues {kept}\n\
         organisation   {ORGANISATION}: {departments} departments, {users} users, \
         {budgets} budgets\n\
         admin key      {ADMIN_KEY}\n\
         agent key      {AGENT_KEY}\n\
         operator key   {OPERATOR_KEY}\n\n\
         Try:\n"
    );
    for request in requests {
        let Request {
            about,
            key,
            path,
            body,
        } = request;
        text.push_str(&format!(
            "\n# {about}\n\
             curl -s http://{address}{path} -H 'Authorization: Bearer {key}' \
             -H 'Content-Type: application/json' -d '{body}'\n"
        ));
    }
    text.push_str("\nCtrl-C stops it.\n");
    text
}

/// A request to try. No text in it contains a quotation mark that a shell would interpret.
struct Request {
    about: String,
    key: &'static str,
    path: &'static str,
    body: Value,
}

/// Requests for the demo company. Their ids are new in each start, so that they work each time.
fn demo_requests(now: Timestamp) -> [Request; 3] {
    let start = now.as_second();
    let preflight = |about: String, user_id: &str, input_tokens: i64| Request {
        about,
        key: AGENT_KEY,
        path: "/v1/preflight",
        body: json!({
            "request_id": format!("try-{start}"),
            "user_id": user_id,
            "provider": PROVIDER,
            "model": MODEL,
            "input_tokens": input_tokens,
            "max_output_tokens": 800,
        }),
    };
    let counts = Request {
        about: "count what a request used".to_owned(),
        key: AGENT_KEY,
        path: "/v1/events",
        body: json!({"events": [{
            "event_id": format!("try-{start}"),
            "type": "llm_request",
            "occurred_at": now.to_string(),
            "user_id": USER_WITH_ROOM,
            "provider": PROVIDER,
            "model": MODEL,
            "input_tokens": 1_200,
            "output_tokens": 640,
        }]}),
    };
    [
        preflight(
            format!("ask whether {USER_WITH_ROOM} may send a request: allowed, and held for"),
            USER_WITH_ROOM,
            1_200,
        ),
        counts,
        preflight(
            format!(
                "ask for more than the department of {CAPPED_USER} may use: refused, \
                 with the reason"
            ),
            CAPPED_USER,
            30_000,
        ),
    ]
}

/// The first requests for an empty organisation.
fn first_requests() -> [Request; 3] {
    let create = |about: &str, path: &'static str, body: Value| Request {
        about: about.to_owned(),
        key: ADMIN_KEY,
        path,
        body,
    };
    [
        create(
            "make a department",
            "/v1/departments",
            json!({"id": "engineering", "name": "Engineering"}),
        ),
        create(
            "put a user into it",
            "/v1/users",
            json!({
                "id": "ada",
                "email": "ada@demo.example",
                "name": "Ada Berg",
                "department_id": "engineering",
                "role": "member",
            }),
        ),
        create(
            "limit what it may use in a month",
            "/v1/budgets",
            json!({
                "name": "Engineering tokens",
                "department_id": "engineering",
                "unit": "tokens",
                "amount": 1_000_000,
                "hard_cap": true,
            }),
        ),
    ]
}
