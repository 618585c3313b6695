//! Wrong inputs: each is a clear 4xx that names the field, and nothing changes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers fail loudly where a test would"
)]

use axum::body::Body;
use end_to_end::{ADMIN, AGENT, Answer, OPERATOR, World};
use http::{HeaderMap, Request};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A section begins with a request that is right. Each line under it says what is changed to make it wrong
/// (`-field`, `field=value`, `?query`, `/path`, a header, or `.` for nothing), the status, and the fields in `details`.
/// `<a65>` stands for 65 times `a`, `<budget>` for an id.
mod tables {
    pub(super) const ORGANISATIONS: &str = r#"
GET /v1/organisations
  ?surprise=1 => 400 surprise
  ?limit=0&surprise=1 => 400 limit surprise
POST /v1/organisations {"id": "third", "name": "Third", "timezone": "Europe/Berlin"}
  -id => 400 id
  -id ; -name ; -timezone ; surprise=1 => 400 id name timezone surprise
  id=null ; name=null ; timezone=null => 400 id name timezone
  id="Third" => 400 id
  id="th ird" => 400 id
  id="<a65>" => 400 id
  id="@operator" => 400 id
  id="demo.202611" => 400 id
  id="demo#record" => 400 id
  id=7 => 400 id
  id="demo" => 409
  name="" => 400 name
  name="<a201>" => 400 name
  name="a\u0000b" => 400 name
  name=["x"] => 400 name
  timezone="Mars/Olympus" => 400 timezone
  timezone="" => 400 timezone
  timezone="../../etc/passwd" => 400 timezone
  timezone="Europe/Berlin " => 400 timezone
  timezone=1 => 400 timezone
  reserve="strict" => 400 reserve
  Idempotency-Key: <a256> => 400 Idempotency-Key
POST /v1/organisations/demo/admin-keys {}
  surprise=1 => 400 surprise
  /v1/organisations/nobody/admin-keys => 404
  /v1/organisations/@operator/admin-keys => 404
  /v1/organisations/demo%23x/admin-keys => 404
  /v1/organisations/<a2100>/admin-keys => 404
  Idempotency-Key: <a256> => 400 Idempotency-Key
GET /v1/organisation
  /v1/organisation/demo => 404
PATCH /v1/organisation {"name": "Demo"}
  id="other" => 400 id
  version=1 ; created_at="x" => 400 version created_at
  name=null ; timezone=null ; reserve=null ; hold_seconds=null => 400 name timezone reserve hold_seconds
  name="   " => 400 name
  name="<a201>" => 400 name
  timezone="utc+2" => 400 timezone
  reserve="Strict" => 400 reserve
  output_reserve_tokens=-1 => 400 output_reserve_tokens
  output_reserve_tokens=1000000000000000000000000000000 => 400 output_reserve_tokens
  output_reserve_tokens=1e400 => 400 output_reserve_tokens
  output_reserve_tokens=1.5 => 400 output_reserve_tokens
  output_reserve_tokens="5" => 400 output_reserve_tokens
  output_reserve_tokens=true => 400 output_reserve_tokens
  hold_seconds=29 => 400 hold_seconds
  hold_seconds=3601 => 400 hold_seconds
  hold_seconds=-600 => 400 hold_seconds
  abandoned_holds="keep" => 400 abandoned_holds
  unknown_model=1 => 400 unknown_model
  on_unavailable="maybe" => 400 on_unavailable
  reserve="x" ; hold_seconds=0 ; on_unavailable=0 => 400 reserve hold_seconds on_unavailable
  If-Match: 99 => 409
  If-Match: abc => 400 If-Match
  If-Match: -1 => 400 If-Match
"#;

    pub(super) const DEPARTMENTS: &str = r#"
GET /v1/departments
  ?department=eng => 400 department
GET /v1/departments/eng
  /v1/departments/nobody => 404
  /v1/departments/theirs => 404
  /v1/departments/ENG => 404
  /v1/departments/<a2100> => 404
POST /v1/departments {"id": "new", "name": "New", "parent_id": "eng", "manager_id": "ada"}
  -id ; -name => 400 id name
  id="Eng" => 400 id
  id="-eng" => 400 id
  id="a b" => 400 id
  id="é" => 400 id
  id="" => 400 id
  id="<a65>" => 400 id
  id=null => 400 id
  id=5 => 400 id
  id="eng" => 409
  name="" => 400 name
  name="<a201>" => 400 name
  name="\ud800" => 400 name
  name={} => 400 name
  parent_id="nobody" => 400 parent_id
  parent_id="theirs" => 400 parent_id
  parent_id="d8" => 400 parent_id
  parent_id=["eng"] => 400 parent_id
  manager_id="nobody" => 400 manager_id
  manager_id="thea" => 400 manager_id
  manager_id="a b" => 400 manager_id
  parent_id="theirs" ; manager_id="thea" => 400 parent_id manager_id
  users=5 => 400 users
  Idempotency-Key: <a256> => 400 Idempotency-Key
PATCH /v1/departments/backend {"name": "Backend"}
  id="other" => 400 id
  name=null => 400 name
  name="<a201>" => 400 name
  parent_id="theirs" ; manager_id="thea" => 400 parent_id manager_id
  parent_id="Eng" => 400 parent_id
  parent_id="backend" => 409
  /v1/departments/eng ; parent_id="backend" => 409
  /v1/departments/eng ; parent_id="d7" => 400 parent_id
  /v1/departments/theirs => 404
  If-Match: 99 => 409
  If-Match: "x" => 400 If-Match
  If-Match: 99999999999999999999 => 400 If-Match
DELETE /v1/departments/empty
  /v1/departments/eng => 409
  /v1/departments/backend => 409
  /v1/departments/budgeted => 409
  /v1/departments/held => 409
  /v1/departments/nobody => 404
  /v1/departments/theirs => 404
  If-Match: 99 => 409
  If-Match: abc => 400 If-Match
"#;

    pub(super) const USERS: &str = r#"
GET /v1/users
  ?department=theirs => 400 department
  ?department=ENG => 400 department
  ?status=blocked => 400 status
  ?status=Active&department=&limit=x => 400 department limit status
  ?role=member => 400 role
GET /v1/users/ada
  /v1/users/nobody => 404
  /v1/users/thea => 404
  /v1/users/a%20b => 404
  /v1/users/a%23b => 404
  /v1/users/<a2100> => 404
POST /v1/users {"id": "new", "email": "new@example.com", "name": "New", "department_id": "eng", "manager_id": "ada", "role": "member"}
  -id ; -email ; -name ; -department_id ; -role => 400 id email name department_id role
  id=null ; email=null ; name=null ; department_id=null ; role=null => 400 id email name department_id role
  id="new user" => 400 id
  id="a#b" => 400 id
  id="a/b" => 400 id
  id="" => 400 id
  id="<a129>" => 400 id
  id=1e400 => 400 id
  id="ada" ; manager_id=null => 409
  email="ada" => 400 email
  email="a b@example.com" => 400 email
  email="<a260>@example.com" => 400 email
  email=5 => 400 email
  name="" => 400 name
  name="<a201>" => 400 name
  department_id="nobody" => 400 department_id
  department_id="theirs" => 400 department_id
  department_id="Eng" => 400 department_id
  manager_id="new" => 400 manager_id
  manager_id="thea" => 400 manager_id
  manager_id="nobody" ; department_id="theirs" => 400 department_id manager_id
  role="agent" => 400 role
  role="Admin" => 400 role
  status="active" => 400 status
  block=null => 400 block
  Idempotency-Key: <a256> => 400 Idempotency-Key
PATCH /v1/users/ada {"name": "Ada"}
  id="other" => 400 id
  email=null ; name=null ; department_id=null ; role=null ; status=null => 400 email name department_id role status
  department_id="theirs" ; manager_id="thea" => 400 department_id manager_id
  manager_id="ada" => 400 manager_id
  status="blocked" => 400 status
  status=true => 400 status
  role="operator" => 400 role
  block={"reason": "x"} => 400 block
  email="x" ; surprise=1 => 400 email surprise
  /v1/users/thea => 404
  /v1/users/<a2100> => 404
  If-Match: 99 => 409
  If-Match: 1.0 => 400 If-Match
PUT /v1/users/ada/block {"reason": "a leak", "until": "2026-11-23T12:00:01Z"}
  -reason => 400 reason
  reason=null => 400 reason
  reason="  " => 400 reason
  reason="<a501>" => 400 reason
  until="2026-11-23T11:59:59Z" => 400 until
  until="2026-11-23T12:00:00Z" => 400 until
  until="1e400" ; reason="" => 400 reason until
  until="2026-11-24" => 400 until
  until="2026-02-30T00:00:00Z" => 400 until
  until=1e400 => 400 until
  policy_id="p" ; since="2026-11-23T12:00:00Z" => 400 policy_id since
  /v1/users/thea/block => 404
  /v1/users/<a2100>/block => 404
  If-Match: 99 => 409
  If-Match: x => 400 If-Match
DELETE /v1/users/ada/block
  /v1/users/nobody/block => 404
  /v1/users/thea/block => 404
  /v1/users/<a2100>/block => 404
  If-Match: 99 => 409
"#;

    pub(super) const BUDGETS: &str = r#"
GET /v1/budgets
  ?unit=usd => 400 unit
GET /v1/budgets/<budget>
  /v1/budgets/nothing => 404
  /v1/budgets/<their_budget> => 404
GET /v1/budgets/effective?user_id=ada
  /v1/budgets/effective => 400 user_id
  /v1/budgets/effective?user_id= => 400 user_id
  /v1/budgets/effective?user_id=a%20b&surprise=1 => 400 user_id surprise
  /v1/budgets/effective?user_id=ada&user_id=bob => 400 user_id
  /v1/budgets/effective?user_id=nobody => 404
  /v1/budgets/effective?user_id=thea => 404
POST /v1/budgets {"name": "New", "department_id": "eng", "unit": "tokens", "amount": 5, "hard_cap": true}
  -name ; -unit ; -amount ; -hard_cap => 400 name unit amount hard_cap
  name=null ; unit=null ; amount=null ; hard_cap=null => 400 name unit amount hard_cap
  name="" => 400 name
  name="<a201>" => 400 name
  department_id="theirs" => 400 department_id
  department_id="nobody" => 400 department_id
  department_id="ENG" => 400 department_id
  department_id="budgeted" => 409
  department_id=null => 409
  unit="eur" => 400 unit
  unit="USD" => 400 unit
  amount=-1 => 400 amount
  amount=1.5 => 400 amount
  amount="5" => 400 amount
  amount=[5] => 400 amount
  amount=1e400 => 400 amount
  amount=1000000000000000000000000000000 => 400 amount
  amount=1000000000000001 => 400 amount
  unit="usd" ; amount=-0.01 => 400 amount
  unit="usd" ; amount=0.0000001 => 400 amount
  unit="usd" ; amount=1.2345678 => 400 amount
  unit="usd" ; amount="5" => 400 amount
  unit="usd" ; amount=true => 400 amount
  unit="usd" ; amount=1e400 => 400 amount
  unit="usd" ; amount=1e99999999999999999999 => 400 amount
  unit="usd" ; amount=1000000000000000000000000000000 => 400 amount
  unit="usd" ; amount=1000000000.000001 => 400 amount
  hard_cap="true" => 400 hard_cap
  hard_cap=1 => 400 hard_cap
  thresholds=[0] => 400 thresholds
  thresholds=[1001] => 400 thresholds
  thresholds=[-5] => 400 thresholds
  thresholds=[50.5] => 400 thresholds
  thresholds=["50"] => 400 thresholds
  thresholds=[50, null] => 400 thresholds
  thresholds=[80, 50, 80] => 400 thresholds
  thresholds=[1,2,3,4,5,6,7,8,9,10,11] => 400 thresholds
  thresholds=50 => 400 thresholds
  thresholds={"50": true} => 400 thresholds
  thresholds=[1000000000000000000000000000000] => 400 thresholds
  rollover={} => 400 rollover
  rollover={"cap_percent": 101} => 400 rollover
  rollover={"cap_percent": -1} => 400 rollover
  rollover={"cap_percent": null} => 400 rollover
  rollover={"cap_percent": 50, "surprise": 1} => 400 rollover
  rollover=50 => 400 rollover
  rollover=[] => 400 rollover
  period="weekly" ; currency="EUR" ; spent=0 => 400 period currency spent
  Idempotency-Key: <a256> => 400 Idempotency-Key
PATCH /v1/budgets/<usd> {"amount": 6.5, "rollover": null}
  amount=-0.000001 => 400 amount
  amount=0.0000001 => 400 amount
  amount=1e400 => 400 amount
  amount=null ; name=null ; hard_cap=null ; thresholds=null => 400 name amount hard_cap thresholds
  unit="tokens" ; department_id="eng" => 400 department_id unit
  thresholds=[0] ; rollover={"cap_percent": 101} => 400 thresholds rollover
  rollover={"cap": 5} => 400 rollover
  /v1/budgets/<budget> ; amount=6.5 => 400 amount
  /v1/budgets/<their_budget> => 404
  /v1/budgets/nothing => 404
  If-Match: 99 => 409
  If-Match: abc => 400 If-Match
DELETE /v1/budgets/<usd>
  /v1/budgets/<their_budget> => 404
  /v1/budgets/nothing => 404
  If-Match: 99 => 409
  If-Match: abc => 400 If-Match
"#;

    pub(super) const KEYS: &str = r#"
GET /v1/api-keys
  ?role=admin => 400 role
POST /v1/api-keys {"role": "member", "user_id": "ada", "description": "a laptop"}
  -role => 400 role
  role=null ; description=5 => 400 role description
  role="operator" => 400 role
  role="Member" => 400 role
  -user_id => 400 user_id
  user_id=null => 400 user_id
  role="manager" ; -user_id => 400 user_id
  role="agent" => 400 user_id
  user_id="thea" => 400 user_id
  role="admin" ; user_id="thea" => 400 user_id
  user_id="nobody" => 400 user_id
  user_id="a b" => 400 user_id
  description="<a201>" => 400 description
  description="" => 400 description
  key="tk_mine" ; id="key_mine" => 400 id key
  Idempotency-Key: <a256> => 400 Idempotency-Key
DELETE /v1/api-keys/<key>
  /v1/api-keys/nothing => 404
  /v1/api-keys/<their_key> => 404
  /v1/api-keys/<a2100> => 404
"#;

    pub(super) const PREFLIGHT: &str = r#"
POST /v1/preflight {"request_id": "r-new", "user_id": "ada", "model": "gpt-4o", "input_tokens": 0}
  -request_id ; -user_id ; -model ; -input_tokens ; surprise=1 => 400 request_id user_id model input_tokens surprise
  request_id=null ; user_id=null ; model=null ; input_tokens=null => 400 request_id user_id model input_tokens
  request_id="" => 400 request_id
  request_id="a b" => 400 request_id
  request_id="<a129>" => 400 request_id
  request_id=5 => 400 request_id
  request_id="r-live" => 409
  user_id="a b" => 400 user_id
  user_id="<a129>" => 400 user_id
  model="" => 400 model
  model="<a201>" => 400 model
  model=4 => 400 model
  provider="<a101>" => 400 provider
  provider=["openai"] => 400 provider
  -input_tokens => 400 input_tokens
  input_bytes=5 => 400 input_bytes
  input_tokens=-1 => 400 input_tokens
  input_tokens=0.5 => 400 input_tokens
  input_tokens="5" => 400 input_tokens
  input_tokens=1e400 => 400 input_tokens
  input_tokens=1000000001 => 400 input_tokens
  input_tokens=1000000000000000000000000000000 => 400 input_tokens
  -input_tokens ; input_bytes=-1 => 400 input_bytes
  -input_tokens ; input_bytes=4000000001 => 400 input_bytes
  -input_tokens ; input_bytes=null => 400 input_bytes
  max_output_tokens=-1 => 400 max_output_tokens
  max_output_tokens=1e400 => 400 max_output_tokens
  max_output_tokens="all" => 400 max_output_tokens
  prompt="a secret" ; messages=[] => 400 messages prompt
DELETE /v1/holds/<hold>
  /v1/holds/nothing => 404
  /v1/holds/<their_hold> => 404
  /v1/holds/hold_202611_AAAAAAAAAAAAAAAA_AAAAAAAAAA => 404
  /v1/holds/hold_209913_AAAAAAAAAAAAAAAA_AAAAAAAAAA => 404
  /v1/holds/<a2100> => 404
POST /v1/events {"events": [5]}
  -events => 400 events
  events=null => 400 events
  events=[] => 400 events
  events={} => 400 events
  events="[]" => 400 events
  events=[] ; event=1 => 400 event events
"#;

    pub(super) const EVENTS: &str = r#"
EVENT llm_request {"event_id": "e-1", "type": "llm_request", "occurred_at": "2026-11-23T12:00:00Z", "user_id": "ada", "provider": "openai", "model": "gpt-4o", "input_tokens": 0, "output_tokens": 0}
  -event_id ; -type ; -occurred_at => bad_request event_id type occurred_at
  -user_id ; -provider ; -model => bad_request user_id provider model
  -input_tokens ; -output_tokens => bad_request input_tokens output_tokens
  input_tokens=null => bad_request input_tokens
  event_id="" => bad_request event_id
  event_id="a b" => bad_request event_id
  event_id="<a129>" => bad_request event_id
  event_id=null => bad_request event_id
  type="embedding" => bad_request type
  type=5 => bad_request type
  occurred_at="2026-11-23T12:05:01Z" => bad_request occurred_at
  occurred_at="2025-10-20T12:00:00Z" => bad_request occurred_at
  occurred_at="now" => bad_request occurred_at
  occurred_at=1763899200 => bad_request occurred_at
  user_id="a b" => bad_request user_id
  user_id="nobody" => unknown_user
  user_id="thea" => unknown_user
  provider="<a101>" ; model="<a201>" => bad_request provider model
  input_tokens=-1 ; output_tokens=-1 => bad_request input_tokens output_tokens
  input_tokens=1e400 => bad_request input_tokens
  output_tokens=1000000000000000000000000000000 => bad_request output_tokens
  output_tokens="5" => bad_request output_tokens
  cached_input_tokens=1 => bad_request cached_input_tokens
  cached_input_tokens=-1 => bad_request cached_input_tokens
  outcome="ok" => bad_request outcome
  hold_id="nothing" => bad_request hold_id
  hold_id=5 => bad_request hold_id
  hold_id="<their_hold>" => bad_request hold_id
  user_id="bob" ; hold_id="<hold>" => bad_request hold_id
  source="<a101>" => bad_request source
  prompt="a secret" ; risk_level="low" => bad_request prompt risk_level
EVENT ip_risk {"event_id": "e-2", "type": "ip_risk", "occurred_at": "2026-11-23T12:00:00Z", "risk_level": "low", "summary": "a leak"}
  -risk_level ; -summary => bad_request risk_level summary
  risk_level="extreme" => bad_request risk_level
  risk_level=null => bad_request risk_level
  summary="" => bad_request summary
  summary="<a2001>" => bad_request summary
  repository="<a301>" => bad_request repository
  user_id="a b" => bad_request user_id
  user_id="thea" => unknown_user
  model="gpt-4o" => bad_request model
"#;

    pub(super) const ALL: [&str; 6] = [ORGANISATIONS, DEPARTMENTS, USERS, BUDGETS, KEYS, PREFLIGHT];
}

/// A request of a table and what it is answered with.
#[derive(Clone, Debug)]
struct Line {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<BTreeMap<String, Box<RawValue>>>,
    text: String,
    expected: String,
    fields: BTreeSet<String>,
}

#[derive(Debug)]
struct Section {
    right: Line,
    wrong: Vec<Line>,
}

impl Line {
    fn of_header(text: &str) -> Self {
        let mut parts = text.splitn(3, ' ');
        let mut part = || parts.next().map(str::to_owned);
        Self {
            method: part().unwrap(),
            path: part().unwrap(),
            headers: Vec::new(),
            body: part().map(|body| serde_json::from_str(&body).unwrap()),
            text: text.to_owned(),
            expected: String::new(),
            fields: BTreeSet::new(),
        }
    }

    fn changed(&self, text: &str) -> Self {
        let (changes, expected) = text.trim().rsplit_once(" => ").unwrap();
        let mut expected = expected.split_whitespace().map(str::to_owned);
        let mut line = self.clone();
        line.text = format!("{} {} with {text}", self.method, self.path);
        line.text.truncate(200);
        line.expected = expected.next().unwrap();
        line.fields = expected.collect();
        for change in changes.split(" ; ") {
            line.change(change);
        }
        line
    }

    fn change(&mut self, change: &str) {
        let is_header = change.starts_with("If-Match: ") || change.starts_with("Idempotency-Key: ");
        if let Some(query) = change.strip_prefix('?') {
            self.path = format!("{}?{query}", self.path);
        } else if change.starts_with('/') {
            change.clone_into(&mut self.path);
        } else if is_header {
            let (name, value) = change.split_once(": ").unwrap();
            self.headers.push((name.to_owned(), value.to_owned()));
        } else if let Some(name) = change.strip_prefix('-') {
            let removed = self.body.as_mut().unwrap().remove(name);
            assert!(removed.is_some(), "{name} was not there");
        } else {
            let (name, value) = change.split_once('=').unwrap();
            let value = RawValue::from_string(value.to_owned()).unwrap();
            self.body.as_mut().unwrap().insert(name.to_owned(), value);
        }
    }

    fn key(&self) -> &'static str {
        if self.path.starts_with("/v1/organisations") {
            OPERATOR
        } else {
            ADMIN
        }
    }

    fn json(&self) -> String {
        self.body
            .as_ref()
            .map_or(String::new(), |body| serde_json::to_string(body).unwrap())
    }

    async fn send(&self, world: &World) -> Answer {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        world
            .raw(self.key(), &self.method, &self.path, &headers, self.json())
            .await
    }
}

fn sections(table: &str, ids: &BTreeMap<&str, String>) -> Vec<Section> {
    let mut out: Vec<Section> = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty()) {
        let line = expanded(line, ids);
        if line.starts_with(' ') {
            let section = out.last_mut().unwrap();
            section.wrong.push(section.right.changed(&line));
        } else {
            out.push(Section {
                right: Line::of_header(&line),
                wrong: Vec::new(),
            });
        }
    }
    out
}

fn expanded(line: &str, ids: &BTreeMap<&str, String>) -> String {
    let mut line = line.to_owned();
    for (name, id) in ids {
        line = line.replace(&format!("<{name}>"), id);
    }
    while let Some((before, rest)) = line.split_once("<a") {
        let (count, after) = rest.split_once('>').unwrap();
        line = format!("{before}{}{after}", "a".repeat(count.parse().unwrap()));
    }
    line
}

struct Company {
    world: World,
    rival: String,
    ids: BTreeMap<&'static str, String>,
}

async fn made(world: &World, key: &str, path: &str, body: Value) -> Value {
    world.call(key, "POST", path, body).await.expect(201)
}

impl Company {
    /// `demo` with something of everything, and a rival whose ids are foreign to it.
    async fn new() -> Self {
        let world = World::empty().await;
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
        for (id, department) in [("ada", "backend"), ("bob", "eng"), ("mo", "held")] {
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
        let thea = json!({"id": "thea", "email": "thea@example.com", "name": "Thea", "department_id": "theirs", "role": "member"});
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

        let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
        let ids = BTreeMap::from([
            ("budget", budget),
            ("usd", usd),
            ("hold", hold),
            ("key", id(&key)),
            ("their_budget", id(&their_budget)),
            ("their_key", id(&their_key)),
            ("their_hold", id(&their_hold["hold"])),
        ]);
        Self { world, rival, ids }
    }

    /// Everything that anybody could have changed.
    async fn snapshot(&self) -> Vec<String> {
        let mut seen = Vec::new();
        for key in [ADMIN, &self.rival] {
            for path in ["departments", "users", "budgets", "api-keys"] {
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
            seen.push(format!(
                "{:?}",
                self.world.system.store().head(id).await.unwrap().unwrap()
            ));
        }
        let organisations = self
            .world
            .call(OPERATOR, "GET", "/v1/organisations", Value::Null)
            .await;
        seen.push(organisations.expect(200).to_string());
        seen.push(
            self.world
                .admin("GET", "/local/queues", Value::Null)
                .await
                .expect(200)
                .to_string(),
        );
        seen
    }

    /// Sends every wrong request of a table, then every right one, and says all that was not as it should be.
    async fn refuses(&self, table: &str) {
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

fn code_of(status: u16) -> &'static str {
    match status {
        400 => "bad_request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        409 => "conflict",
        413 => "payload_too_large",
        status => panic!("{status} is not a refusal"),
    }
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers
        .get(name)
        .map_or(String::new(), |value| value.to_str().unwrap().to_owned())
}

/// Whether an answer has the one form of all errors, this status, and names these fields.
fn is_refusal(
    answer: &Answer,
    status: u16,
    fields: Option<&BTreeSet<String>>,
) -> Result<(), String> {
    let body = &answer.body;
    let shown = || format!("{} {body}", answer.status);
    if answer.status != status || body["error"] != code_of(status) {
        return Err(format!("not {status}: {}", shown()));
    }
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    let has_form = keys == ["details", "error", "message", "request_id"]
        && body["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty())
        && body["request_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("req_"))
        && body["request_id"] == header(&answer.headers, "x-request-id")
        && header(&answer.headers, "content-type") == "application/json"
        && body["details"].is_array();
    if !has_form {
        return Err(format!("not the form of an error: {}", shown()));
    }
    let told = body.to_string().to_lowercase();
    if let Some(word) = ["dynamo", "serde", "panick", "governance", "tk_", "thea@"]
        .iter()
        .find(|word| told.contains(**word))
    {
        return Err(format!("tells {word}: {}", shown()));
    }
    let named: BTreeSet<String> = answer.fields().into_iter().collect();
    match fields {
        Some(fields) if *fields != named => Err(format!("names {named:?}, not {fields:?}")),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn wrong_organisations_are_refused() {
    Company::new().await.refuses(tables::ORGANISATIONS).await;
}

#[tokio::test]
async fn wrong_departments_are_refused() {
    Company::new().await.refuses(tables::DEPARTMENTS).await;
}

#[tokio::test]
async fn wrong_users_and_blocks_are_refused() {
    Company::new().await.refuses(tables::USERS).await;
}

#[tokio::test]
async fn wrong_budgets_are_refused() {
    Company::new().await.refuses(tables::BUDGETS).await;
}

#[tokio::test]
async fn wrong_keys_are_refused() {
    Company::new().await.refuses(tables::KEYS).await;
}

#[tokio::test]
async fn wrong_preflights_holds_and_batches_are_refused() {
    Company::new().await.refuses(tables::PREFLIGHT).await;
}

#[tokio::test]
async fn wrong_events_are_rejected_one_by_one_and_their_neighbour_is_accepted() {
    let company = Company::new().await;
    let before = company.snapshot().await;
    let mut faults = Vec::new();
    for section in sections(tables::EVENTS, &company.ids) {
        for line in &section.wrong {
            let body = format!(r#"{{"events": [{}]}}"#, line.json());
            let answer = company
                .world
                .raw(AGENT, "POST", "/v1/events", &[], body)
                .await
                .expect(202);
            let rejected = &answer["rejected"][0];
            let details = rejected["details"].as_array().unwrap();
            let prefix = "events[0].";
            let named: BTreeSet<String> = details
                .iter()
                .map(|detail| detail["field"].as_str().unwrap().replace(prefix, ""))
                .collect();
            let is_rejected = answer["accepted"] == 0
                && rejected["index"] == 0
                && rejected["error"] == line.expected
                && rejected["message"]
                    .as_str()
                    .is_some_and(|message| !message.is_empty())
                && named == line.fields;
            if !is_rejected {
                faults.push(format!("{}: {answer}", line.text));
            }
        }
        let pair = format!(r#"{{"events": [{}, 5]}}"#, section.right.json());
        assert_eq!(
            company.snapshot().await,
            before,
            "nothing was queued or counted"
        );
        let answer = company
            .world
            .raw(AGENT, "POST", "/v1/events", &[], pair)
            .await
            .expect(202);
        assert_eq!(
            (&answer["accepted"], &answer["rejected"][0]["index"]),
            (&json!(1), &json!(1)),
            "{answer}"
        );
        company.world.system.drain().await.unwrap();
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test]
async fn a_batch_has_one_to_five_hundred_events() {
    let company = Company::new().await;
    let event = |n: usize| company.world.usage(&format!("e-{n}"), "ada", 0, 0, None);
    let batch = |count: usize| json!({"events": (0..count).map(event).collect::<Vec<_>>()});
    let before = company.snapshot().await;
    let answer = company
        .world
        .call(AGENT, "POST", "/v1/events", batch(501))
        .await;
    is_refusal(&answer, 400, Some(&BTreeSet::from(["events".to_owned()]))).unwrap();
    assert_eq!(company.snapshot().await, before);
    let answer = company
        .world
        .call(AGENT, "POST", "/v1/events", batch(500))
        .await
        .expect(202);
    assert_eq!(answer, json!({"accepted": 500, "rejected": []}));
}

/// Every route of the functions, read from their source: method and path.
fn routes() -> BTreeSet<(String, String)> {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    let mut found = BTreeSet::new();
    for function in std::fs::read_dir(functions).unwrap() {
        let source = std::fs::read_to_string(function.unwrap().path().join("src/lib.rs")).unwrap();
        for route in source.split(".route(").skip(1) {
            let mut parts = route.splitn(3, '"');
            let (path, rest) = (parts.nth(1).unwrap(), parts.next().unwrap());
            let mut depth = 1;
            let end = rest.find(|c| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                depth == 0
            });
            let handlers = &rest[..end.unwrap()];
            let before = found.len();
            for method in METHODS {
                let call = format!("{}(", method.to_lowercase());
                let is_call = |(at, _): (usize, &str)| {
                    !handlers[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
                };
                if handlers.match_indices(&call).any(is_call) {
                    found.insert((method.to_owned(), path.to_owned()));
                }
            }
            assert!(found.len() > before, "no method of {path} was recognised");
        }
    }
    found
}

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/// What takes no input at all, not even a key.
const OPEN: (&str, &str) = ("GET", "/v1/health");

fn key_for(path: &str) -> &'static str {
    if path.starts_with("/v1/organisations") {
        OPERATOR
    } else {
        ADMIN
    }
}

fn concrete(path: &str) -> String {
    path.replace("{id}", "nobody")
}

#[test]
fn every_route_has_wrong_inputs_in_a_table() {
    let routes = routes();
    assert!(routes.len() >= 28, "{routes:#?}");
    let mut covered = BTreeSet::from([(OPEN.0.to_owned(), OPEN.1.to_owned())]);
    let names = [
        "budget",
        "usd",
        "hold",
        "key",
        "their_budget",
        "their_key",
        "their_hold",
    ];
    let ids = BTreeMap::from(names.map(|name| (name, "id".to_owned())));
    for section in tables::ALL.iter().flat_map(|table| sections(table, &ids)) {
        assert!(
            !section.wrong.is_empty(),
            "{} has no wrong input",
            section.right.text
        );
        let (method, path) = (section.right.method, section.right.path);
        let path = path.split('?').next().unwrap();
        let fits = |template: &str| {
            let parts = template.split('/').zip(path.split('/'));
            template.split('/').count() == path.split('/').count()
                && parts
                    .into_iter()
                    .all(|(part, given)| part == "{id}" || part == given)
        };
        let of_method = || routes.iter().filter(|(known, _)| *known == method);
        let found = of_method().find(|(_, template)| template == path);
        let found = found.or_else(|| of_method().find(|(_, template)| fits(template)));
        covered.insert(
            found
                .unwrap_or_else(|| panic!("{method} {path} is no route"))
                .clone(),
        );
    }
    let missing: Vec<_> = routes.difference(&covered).collect();
    assert!(missing.is_empty(), "without a wrong input: {missing:#?}");
}

/// Sends wrong requests that fit many routes, and compares everything before and after all of them.
async fn all_refused(company: &Company, requests: Vec<(String, Request<Body>, u16, Option<&str>)>) {
    assert!(!requests.is_empty());
    let before = company.snapshot().await;
    let mut faults = Vec::new();
    for (text, request, status, field) in requests {
        let fields = field.map(|field| BTreeSet::from([field.to_owned()]));
        let answer = company.world.send(request).await;
        if let Err(fault) = is_refusal(&answer, status, fields.as_ref()) {
            faults.push(format!("{text}: {fault}"));
        }
        if status == 405 && header(&answer.headers, "allow").is_empty() {
            faults.push(format!("{text}: does not say which methods are allowed"));
        }
    }
    assert_eq!(company.snapshot().await, before);
    assert!(faults.is_empty(), "{faults:#?}");
}

fn request(key: &str, method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    request
        .header("authorization", format!("Bearer {key}"))
        .body(body.into())
        .unwrap()
}

/// The routes that read a body, with ids that exist.
fn with_body() -> Vec<(String, String)> {
    let known = |path: &str| match path {
        "/v1/organisations/{id}/admin-keys" => "/v1/organisations/demo/admin-keys".to_owned(),
        "/v1/departments/{id}" => "/v1/departments/eng".to_owned(),
        path => path.replace("/v1/users/{id}", "/v1/users/ada"),
    };
    let takes_body = |method: &str| matches!(method, "POST" | "PUT" | "PATCH");
    let all = routes()
        .into_iter()
        .filter(|(method, _)| takes_body(method));
    all.map(|(method, path)| (method, known(&path))).collect()
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused_everywhere() {
    let company = Company::new().await;
    let deep = format!(
        "{{\"surprise\": {}{}}}",
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    let wrong: [&[u8]; 14] = [
        b"",
        b"  ",
        b"{",
        b"[]",
        b"[{}]",
        b"5",
        b"null",
        b"\"x\"",
        b"{\"name\":}",
        b"{} {}",
        b"{'name': 'x'}",
        b"\xff\xfe",
        b"{\"name\": \"\xff\"}",
        b"\xef\xbb\xbf{}",
    ];
    let mut requests = Vec::new();
    for (method, path) in with_body() {
        let path = path.replace(
            "/v1/budgets/{id}",
            &format!("/v1/budgets/{}", company.ids["usd"]),
        );
        for body in wrong {
            if body.is_empty() && path.ends_with("/admin-keys") {
                continue;
            }
            let text = format!("{method} {path} {:?}", String::from_utf8_lossy(body));
            requests.push((
                text,
                request(key_for(&path), &method, &path, body),
                400,
                Some("body"),
            ));
        }
        requests.push((
            format!("{method} {path} deep"),
            request(key_for(&path), &method, &path, deep.clone()),
            400,
            None,
        ));
    }
    all_refused(&company, requests).await;
}

#[tokio::test]
async fn a_body_of_two_megabytes_is_refused_everywhere() {
    let company = Company::new().await;
    let mut requests = Vec::new();
    for (method, path) in with_body() {
        let path = path.replace(
            "/v1/budgets/{id}",
            &format!("/v1/budgets/{}", company.ids["usd"]),
        );
        let body = json!({"name": "a".repeat(2 * 1024 * 1024)}).to_string();
        requests.push((
            format!("{method} {path}"),
            request(key_for(&path), &method, &path, body),
            413,
            Some("body"),
        ));
    }
    all_refused(&company, requests).await;
}

#[tokio::test]
async fn a_missing_wrong_or_revoked_key_is_refused_everywhere_but_for_health() {
    let company = Company::new().await;
    let revoked = made(
        &company.world,
        ADMIN,
        "/v1/api-keys",
        json!({"role": "admin"}),
    )
    .await;
    let path = format!("/v1/api-keys/{}", revoked["id"].as_str().unwrap());
    company.world.admin("DELETE", &path, Value::Null).await;
    let revoked = format!("Bearer {}", revoked["key"].as_str().unwrap());
    let long = format!("Bearer {}", "a".repeat(5_000));
    let wrong = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer tk_nobody",
        "Basic dGtfbG9jYWxfYWRtaW46",
        ADMIN,
        "Bearer tk_local_admin tk_local_admin",
        "Bearer TK_LOCAL_ADMIN",
        "Bearer key_local_admin",
        &revoked,
        &long,
    ];
    let mut requests = Vec::new();
    for (method, path) in routes() {
        if (method.as_str(), path.as_str()) == OPEN {
            continue;
        }
        let bare = Request::builder()
            .method(method.as_str())
            .uri(concrete(&path));
        requests.push((
            format!("{method} {path} without"),
            bare.body(Body::empty()).unwrap(),
            401,
            None,
        ));
        for header in wrong {
            let request = Request::builder()
                .method(method.as_str())
                .uri(concrete(&path));
            let request = request
                .header("authorization", header)
                .body(Body::from("{}"))
                .unwrap();
            requests.push((format!("{method} {path} {header:.40}"), request, 401, None));
        }
    }
    all_refused(&company, requests).await;
    let health = Request::builder().uri(OPEN.1).body(Body::empty()).unwrap();
    assert_eq!(company.world.send(health).await.status, 200);
}

#[tokio::test]
async fn a_wrong_method_and_an_unknown_path_are_refused_in_the_same_form() {
    let company = Company::new().await;
    let routes = routes();
    let mut requests = Vec::new();
    for path in routes.iter().map(|(_, path)| path).collect::<BTreeSet<_>>() {
        for method in METHODS {
            if !routes.contains(&(method.to_owned(), path.clone())) {
                let request = request(ADMIN, method, &concrete(path), "{}");
                requests.push((format!("{method} {path}"), request, 405, None));
            }
        }
    }
    let unknown = [
        "/",
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v2/users",
        "/V1/health",
        "/v1//users",
        "/v1/users/",
        "/v1/users/ada/",
        "/v1/users/ada/block/x",
        "/v1/departments/eng/x",
        "/v1/organisations/demo",
        "/v1/health/x",
        "/v1/holds",
    ];
    for path in unknown {
        for method in METHODS {
            requests.push((
                format!("{method} {path}"),
                request(ADMIN, method, path, "{}"),
                404,
                None,
            ));
        }
    }
    requests.push((
        "not UTF-8".to_owned(),
        request(ADMIN, "GET", "/v1/users/%ff", ""),
        400,
        None,
    ));
    all_refused(&company, requests).await;
}

#[tokio::test]
async fn wrong_pages_are_refused_by_every_list() {
    let company = Company::new().await;
    let mut requests = Vec::new();
    for list in [
        "departments",
        "users",
        "budgets",
        "api-keys",
        "organisations",
    ] {
        let path = format!("/v1/{list}");
        let first = company
            .world
            .call(
                key_for(&path),
                "GET",
                &format!("{path}?limit=1"),
                Value::Null,
            )
            .await
            .expect(200);
        let cursor = first["next_cursor"].as_str().unwrap();
        let altered = format!(
            "{}{}",
            if cursor.starts_with('A') { 'B' } else { 'A' },
            &cursor[1..]
        );
        let queries = [
            ("limit=0".to_owned(), "limit"),
            ("limit=101".to_owned(), "limit"),
            ("limit=-1".to_owned(), "limit"),
            ("limit=abc".to_owned(), "limit"),
            ("limit=".to_owned(), "limit"),
            ("limit=1.5".to_owned(), "limit"),
            (format!("limit=1{}", "0".repeat(30)), "limit"),
            ("limit=1e400".to_owned(), "limit"),
            ("limit=5&limit=5".to_owned(), "limit"),
            ("page=2".to_owned(), "page"),
            ("Limit=5".to_owned(), "Limit"),
            ("cursor=".to_owned(), "cursor"),
            ("cursor=nothing".to_owned(), "cursor"),
            (format!("cursor={}", "A".repeat(4_000)), "cursor"),
            (format!("cursor={altered}"), "cursor"),
            (format!("cursor={cursor}="), "cursor"),
        ];
        for (query, field) in queries {
            let path = format!("{path}?{query}");
            let request = request(key_for(&path), "GET", &path, "");
            requests.push((path, request, 400, Some(field)));
        }
    }
    all_refused(&company, requests).await;
}

#[tokio::test]
async fn an_idempotency_key_is_visible_text_of_reasonable_length() {
    let company = Company::new().await;
    let mut requests = Vec::new();
    let bodies = tables::ALL
        .iter()
        .flat_map(|table| sections(table, &company.ids));
    for section in
        bodies.filter(|section| section.wrong.iter().any(|line| !line.headers.is_empty()))
    {
        let right = section.right;
        if right.method != "POST" {
            continue;
        }
        for key in [&b""[..], b"\xff", &[b'a'; 256], &[b'a'; 5_000]] {
            let mut request = request(right.key(), "POST", &right.path, right.json());
            request.headers_mut().insert(
                "idempotency-key",
                http::HeaderValue::from_bytes(key).unwrap(),
            );
            requests.push((right.text.clone(), request, 400, Some("Idempotency-Key")));
        }
    }
    assert_eq!(requests.len(), 6 * 4, "six endpoints create");
    all_refused(&company, requests).await;
}
