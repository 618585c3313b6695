//! Wrong policies and incidents.

use super::company::Company;
use serde_json::json;

pub(super) const TABLE: &str = r#"
POST /v1/policies {"name": "Leaks", "description": "", "trigger": {"type": "ip_risk_event"}, "match": "all", "conditions": [{"field": "risk_level", "op": "eq", "value": "high"}, {"field": "department_id", "op": "eq", "value": "eng"}], "actions": [{"type": "email_user"}, {"type": "email_manager"}, {"type": "block_access", "until": {"hours": 8}}, {"type": "create_incident", "severity": "high"}, {"type": "webhook", "url": "https://example.com/hook"}]}
  -name ; -trigger => 400 name trigger
  Idempotency-Key: <a256> => 400 Idempotency-Key
  name="" => 400 name
  name=5 => 400 name
  description=null => 400 description
  description="<a1001>" => 400 description
  match="some" => 400 match
  match=null => 400 match
  surprise=1 => 400 surprise
  status="active" => 400 status
  trigger=null => 400 trigger
  trigger="ip_risk_event" => 400 trigger
  trigger={} => 400 trigger.type
  trigger={"type": "surprise", "more": 1} => 400 trigger.type
  trigger={"type": "ip_risk_event", "tokens": 5} => 400 trigger.tokens
  trigger={"type": "token_budget_exceeded"} => 400 trigger.subject trigger.tokens
  trigger={"type": "token_budget_exceeded", "subject": "team", "tokens": 5} => 400 trigger.subject
  trigger={"type": "token_budget_exceeded", "subject": "user", "tokens": 0} => 400 trigger.tokens
  trigger={"type": "token_budget_exceeded", "subject": "user", "tokens": 1.5} => 400 trigger.tokens
  trigger={"type": "token_budget_exceeded", "subject": "user", "tokens": 5, "usd": 5} => 400 trigger.usd
  trigger={"type": "token_budget_exceeded", "subject": "user", "usd": 0} => 400 trigger.usd
  trigger={"type": "token_budget_exceeded", "subject": "user", "usd": 0.0000001} => 400 trigger.usd
  trigger={"type": "token_budget_exceeded", "subject": "user", "budget_percent": 1001} => 400 trigger.budget_percent
  trigger={"type": "token_budget_exceeded", "subject": "user", "tokens": null} => 400 trigger.tokens
  trigger={"type": "department_threshold", "tokens": 5} => 400 trigger.department_id
  trigger={"type": "department_threshold", "department_id": "theirs", "tokens": 5} => 400 trigger.department_id
  trigger={"type": "department_threshold", "department_id": "eng"} => 400 trigger.tokens
  trigger={"type": "unusual_usage_pattern", "deviations": 0.5} => 400 trigger.deviations
  trigger={"type": "unusual_usage_pattern", "deviations": 2.001} => 400 trigger.deviations
  trigger={"type": "unusual_usage_pattern", "min_days": 0, "min_tokens": -1} => 400 trigger.min_days trigger.min_tokens
  trigger={"type": "unusual_usage_pattern", "min_days": 29} => 400 trigger.min_days
  conditions={} => 400 conditions
  conditions=null => 400 conditions
  conditions=[5] => 400 conditions[0]
  conditions=[{}] => 400 conditions[0].field conditions[0].op
  conditions=[{"field": "risk_level", "op": "eq"}] => 400 conditions[0].value
  conditions=[{"field": "mood", "op": "eq", "value": 1}] => 400 conditions[0].field
  conditions=[{"field": "risk_level", "op": "is", "value": "high"}] => 400 conditions[0].op
  conditions=[{"field": "risk_level", "op": "eq", "value": "grave"}] => 400 conditions[0].value
  conditions=[{"field": "risk_level", "op": "eq", "value": "high", "x": 1}] => 400 conditions[0].x
  conditions=[{"field": "risk_level", "op": "eq", "value": "high"}, {"field": "user_id", "op": "gt", "value": "ada"}] => 400 conditions[1].op
  conditions=[{"field": "user_id", "op": "matches", "value": "a*"}] => 400 conditions[0].op
  conditions=[{"field": "user_id", "op": "in", "value": []}] => 400 conditions[0].value
  conditions=[{"field": "user_id", "op": "in", "value": "ada"}] => 400 conditions[0].value
  conditions=[{"field": "user_id", "op": "eq", "value": ["ada"]}] => 400 conditions[0].value
  conditions=[{"field": "user_id", "op": "eq", "value": "a b"}] => 400 conditions[0].value
  conditions=[{"field": "department_id", "op": "gte", "value": "eng"}] => 400 conditions[0].op
  conditions=[{"field": "department_id", "op": "eq", "value": "theirs"}] => 400 conditions[0].value
  conditions=[{"field": "department_id", "op": "in", "value": ["eng", "nowhere"]}] => 400 conditions[0].value
  conditions=[{"field": "token_count", "op": "gt", "value": "5"}] => 400 conditions[0].value
  conditions=[{"field": "token_count", "op": "gt", "value": -5}] => 400 conditions[0].value
  conditions=[{"field": "token_count", "op": "between", "value": [5, 1]}] => 400 conditions[0].value
  conditions=[{"field": "token_count", "op": "between", "value": [1]}] => 400 conditions[0].value
  conditions=[{"field": "token_count", "op": "matches", "value": "5*"}] => 400 conditions[0].op
  conditions=[{"field": "time_of_day", "op": "eq", "value": "22:00"}] => 400 conditions[0].op
  conditions=[{"field": "time_of_day", "op": "between", "value": ["22:00", "24:00"]}] => 400 conditions[0].value
  conditions=[{"field": "time_of_day", "op": "gte", "value": "9"}] => 400 conditions[0].value
  conditions=[{"field": "model_allowed", "op": "in", "value": [true]}] => 400 conditions[0].op
  conditions=[{"field": "model_allowed", "op": "eq", "value": "true"}] => 400 conditions[0].value
  conditions=[{"field": "model_id", "op": "lt", "value": "gpt-4o"}] => 400 conditions[0].op
  conditions=[{"field": "model_id", "op": "eq", "value": ""}] => 400 conditions[0].value
  conditions=[{"field": "model_id", "op": "eq_exact", "value": "gpt-4o"}] => 400 conditions[0].op
  conditions=[{"field": "model_id", "op": "in", "value": ["<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>"]}] => 400 conditions
  actions=[{"type": "email_user"}, {"type": "block_access"}, {"type": "block_access", "until": "released"}] => 400 actions[2]
  actions=[{"type": "webhook", "url": "https://example.com"}, {"type": "webhook", "url": "https://example.com"}] => 400 actions[1]
  conditions=[{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}] => 400 conditions
  actions={} => 400 actions
  actions=[{}] => 400 actions[0].type
  actions=[{"type": "call_police"}] => 400 actions[0].type
  actions=[{"type": "email_user", "to": "ada"}] => 400 actions[0].to
  actions=[{"type": "block_access", "until": "tomorrow"}] => 400 actions[0].until
  actions=[{"type": "block_access", "until": {"hours": 0}}] => 400 actions[0].until
  actions=[{"type": "block_access", "until": {"hours": 1, "x": 1}}] => 400 actions[0].until
  actions=[{"type": "create_incident", "severity": "grave"}] => 400 actions[0].severity
  actions=[{"type": "webhook"}] => 400 actions[0].webhook_id
  actions=[{"type": "webhook", "webhook_id": "whk_x", "url": "https://example.com"}] => 400 actions[0].url
  actions=[{"type": "email_user"}, {"type": "webhook", "webhook_id": "whk_x"}] => 400 actions[1].webhook_id
  actions=[{"type": "webhook", "url": "http://example.com"}] => 400 actions[0].url
  actions=[{"type": "webhook", "url": "example.com"}] => 400 actions[0].url
  actions=[{"type": "email_user"}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}] => 400 actions
GET /v1/policies?status=active
  /v1/policies?status=asleep => 400 status
  /v1/policies?limit=0&cursor=x&surprise=1 => 400 limit cursor surprise
GET /v1/policies/<policy>
  /v1/policies/nothing => 404
  /v1/policies/<their_policy> => 404
  /v1/policies/a%23b => 404
PATCH /v1/policies/<policy> {"name": "Other"}
  name=null => 400 name
  conditions=[{"field": "risk_level", "op": "matches", "value": "h*"}] => 400 conditions[0].op
  trigger={"type": "x"} => 400 trigger.type
  If-Match: 77 => 409
  If-Match: x => 400 If-Match
  /v1/policies/nothing => 404
  /v1/policies/<their_policy> => 404
POST /v1/policies/<policy>/test {"window_days": 90}
  window_days=0 => 400 window_days
  window_days=91 => 400 window_days
  window_days="30" => 400 window_days
  -window_days ; cursor="x" => 400 cursor
  surprise=1 => 400 surprise
  /v1/policies/nothing/test => 404
  /v1/policies/<their_policy>/test => 404
POST /v1/policies/<policy>/publish {}
  surprise=1 => 400 surprise
  If-Match: 77 => 409
  /v1/policies/nothing/publish => 404
  /v1/policies/<their_policy>/publish => 404
POST /v1/policies/<policy>/disable {}
  surprise=1 => 400 surprise
  /v1/policies/nothing/disable => 404
  /v1/policies/<their_policy>/disable => 404
GET /v1/incidents?status=open&severity=high
  /v1/incidents?status=new => 400 status
  /v1/incidents?severity=grave&surprise=1 => 400 severity surprise
GET /v1/incidents/<incident>
  /v1/incidents/nothing => 404
  /v1/incidents/<their_incident> => 404
PATCH /v1/incidents/<incident> {"status": "acknowledged", "note": "I look into it"}
  status="open" => 400 status
  status=null => 400 status
  note="" => 400 note
  note="<a1001>" => 400 note
  severity="low" => 400 severity
  /v1/incidents/nothing => 404
  /v1/incidents/<their_incident> => 404
POST /v1/webhooks {"url": "https://example.com/hook", "events": ["policy.fired"], "description": "Ours"}
  -url => 400 url
  url="http://example.com" => 400 url
  url="https://a@example.com" => 400 url
  url="https://exa}mple.com" => 400 url
  url="https://example.com:port" => 400 url
  url="https://example.com:0" => 400 url
  url="https://example.com:99999" => 400 url
  url="https://10.0.0.1/" => 400 url
  url="https://0xa000001/" => 400 url
  url="https://[fd00::1]/" => 400 url
  url="https://metadata.internal/" => 400 url
  url=null => 400 url
  events=["mood.changed"] => 400 events
  events=["policy.fired", "policy.fired"] => 400 events
  events={} => 400 events
  description="" => 400 description
  secret="mine" => 400 secret
  Idempotency-Key: <a256> => 400 Idempotency-Key
GET /v1/webhooks
  ?limit=0&cursor=x&surprise=1 => 400 limit cursor surprise
GET /v1/webhooks/<webhook>
  /v1/webhooks/nothing => 404
  /v1/webhooks/a%23b => 404
PATCH /v1/webhooks/<webhook> {"url": "https://example.com/other", "events": ["policy.fired"], "description": "Ours"}
  url=null => 400 url
  url="https://10.0.0.1/" => 400 url
  url="https://example.com:0" => 400 url
  events=["mood.changed"] => 400 events
  description="" => 400 description
  secret="mine" => 400 secret
  If-Match: 77 => 409
  If-Match: x => 400 If-Match
  /v1/webhooks/nothing => 404
POST /v1/webhooks/<webhook>/retry?since=2026-11-24T12:00:00Z {}
  surprise=1 => 400 surprise
  ?since=yesterday => 400 since
  /v1/webhooks/<webhook>/retry => 400 since
  /v1/webhooks/<webhook>/retry?since=2026-11-24T12:00:00Z&cursor=x => 400 cursor
  /v1/webhooks/<webhook>/retry?cursor=&limit=5 => 400 since cursor limit
  /v1/webhooks/nothing/retry?since=2026-11-24T12:00:00Z => 404
GET /v1/webhooks/<webhook>/deliveries
  ?limit=0&status=pending => 400 limit status
  /v1/webhooks/nothing/deliveries => 404
POST /v1/webhooks/<webhook>/deliveries/<delivery>/retry {}
  surprise=1 => 400 surprise
  /v1/webhooks/nothing/deliveries/<delivery>/retry => 404
  /v1/webhooks/<webhook>/deliveries/nothing/retry => 404
POST /v1/webhooks/<webhook>/test {}
  surprise=1 => 400 surprise
  Idempotency-Key: <a256> => 400 Idempotency-Key
  /v1/webhooks/nothing/test => 404
POST /v1/webhooks/<webhook>/rotate-secret {}
  surprise=1 => 400 surprise
  /v1/webhooks/nothing/rotate-secret => 404
GET /v1/suppressions
  ?limit=0&cursor=x&reason=bounce => 400 limit cursor reason
  ?email=old => 400 email
  ?email=<a260>@example.com => 400 email
DELETE /v1/suppressions/old@example.com
  /v1/suppressions/old => 404
  /v1/suppressions/nobody@example.com => 404
  /v1/suppressions/thea@example.com => 404
  /v1/suppressions/old%23b@example.com => 404
  /v1/suppressions/<a260>@example.com => 404
DELETE /v1/suppressions?email=odd%23b@example.com
  /v1/suppressions => 400 email
  /v1/suppressions?email= => 400 email
  /v1/suppressions?email=old => 400 email
  /v1/suppressions?email=<a260>@example.com => 400 email
  /v1/suppressions?email=old@example.com&email=old@example.com => 400 email
  /v1/suppressions?email=old@example.com&surprise=1 => 400 surprise
  /v1/suppressions?email=nobody@example.com => 404
DELETE /v1/webhooks/<webhook>
  /v1/webhooks/nothing => 404
DELETE /v1/policies/<policy>
  If-Match: 77 => 409
  /v1/policies/nothing => 404
  /v1/policies/<their_policy> => 404
"#;

#[tokio::test]
async fn wrong_policies_are_refused_with_the_path_of_the_fault() {
    let company = Company::new().await;
    let bounce = json!({"email": "odd#b@example.com", "type": "bounce"});
    let bounced = company.world.admin("POST", "/local/bounces", bounce).await;
    bounced.expect(200);
    company.world.system.drain().await.unwrap();
    company.refuses(TABLE).await;
}
