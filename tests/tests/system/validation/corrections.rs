//! Wrong corrections, and wrong decisions about events.

use super::company::Company;

pub(super) const TABLE: &str = r#"
GET /v1/events?status=held_back&user_id=ada
  /v1/events => 400 status
  /v1/events?status=new => 400 status
  /v1/events?status=conflict&status=conflict => 400 status
  /v1/events?status=conflict&user_id=a%20b => 400 user_id
  /v1/events?status=conflict&type=x&limit=0&cursor=x => 400 type limit cursor
POST /v1/events/decisions {"user_id": "ada", "event_id": "too-large", "type": "llm_request", "decision": "count", "reason": "it is true"}
  -user_id ; -event_id ; -decision ; -reason => 400 user_id event_id decision reason
  user_id="a b" => 400 user_id
  event_id="" => 400 event_id
  type="ip_risk" => 400 type
  decision="keep" => 400 decision
  decision=null => 400 decision
  reason="" => 400 reason
  reason="<a1001>" => 400 reason
  user_id="nobody" => 404
  user_id="thea" => 404
  event_id="e-1" ; user_id="bea" => 404
  event_id="nothing" => 404
  surprise=1 => 400 surprise
GET /v1/corrections?user_id=ada&department_id=eng&month=2026-11
  /v1/corrections?user_id=a%20b => 400 user_id
  /v1/corrections?department_id=ENG => 400 department_id
  /v1/corrections?month=november => 400 month
  /v1/corrections?month=2026-13 => 400 month
  /v1/corrections?reason=x&limit=0&cursor=x => 400 reason limit cursor
POST /v1/corrections {"user_id": "ada", "month": "2026-11", "tokens": -5, "usd": -0.5, "reason": "a test"}
  -user_id => 400 user_id
  user_id=null => 400 user_id
  user_id="nobody" => 400 user_id
  user_id="thea" => 400 user_id
  user_id="a b" => 400 user_id
  department_id="eng" => 400 department_id
  -user_id ; department_id="nothing" => 400 department_id
  -user_id ; department_id="theirs" => 400 department_id
  -user_id ; department_id="ENG" => 400 department_id
  -month => 400 month
  month=null => 400 month
  month="2026-12" => 400 month
  month="2025-09" => 400 month
  month="2026-11-01" => 400 month
  month=202611 => 400 month
  -tokens ; -usd => 400 tokens
  tokens=0 ; usd=0 => 400 tokens
  tokens=1.5 => 400 tokens
  tokens="5" => 400 tokens
  tokens=1000000000001 => 400 tokens
  tokens=-1000000000001 => 400 tokens
  usd=0.0000001 => 400 usd
  usd=10000001 => 400 usd
  usd=-10000001 => 400 usd
  usd="1" => 400 usd
  -reason => 400 reason
  reason="<a1001>" => 400 reason
  user_id="nobody" ; month="2027-01" => 400 user_id month
  id="cor_1" => 400 id
  Idempotency-Key: <a256> => 400 Idempotency-Key
"#;

#[tokio::test]
async fn wrong_corrections_and_decisions_are_refused() {
    Company::new().await.refuses(TABLE).await;
}
