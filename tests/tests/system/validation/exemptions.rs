//! Wrong exemptions, and wrong questions to the audit log.

use super::company::Company;

pub(super) const TABLE: &str = r#"
POST /v1/exemptions {"user_id": "ada", "kind": "raise", "tokens": 50000, "usd": 1.5, "covers": "path", "reason": "a release", "starts_at": "2026-11-23T12:00:00Z", "ends_at": "2026-11-30T12:00:00Z"}
  -user_id => 400 user_id
  user_id="nobody" => 400 user_id
  user_id="thea" => 400 user_id
  user_id="a b" => 400 user_id
  -kind => 400 kind
  kind="more" => 400 kind
  kind=null => 400 kind
  -tokens ; -usd => 400 tokens
  tokens=null ; usd=null => 400 tokens
  tokens=0 => 400 tokens
  tokens=-1 => 400 tokens
  tokens=1.5 ; -usd => 400 tokens
  tokens="5" => 400 tokens
  tokens=1000000000000001 => 400 tokens
  usd=0 => 400 usd
  usd=-1 ; -tokens => 400 usd
  usd=0.0000001 => 400 usd
  usd="1" => 400 usd
  kind="lift" => 400 tokens
  kind="lift" ; -tokens => 400 usd
  covers="organisation" => 400 covers
  -reason => 400 reason
  reason="" => 400 reason
  reason="<a1001>" => 400 reason
  -ends_at => 400 ends_at
  ends_at=null => 400 ends_at
  ends_at="tomorrow" => 400 ends_at
  ends_at="2026-11-23T12:00:00Z" => 400 ends_at
  ends_at="2026-11-22T12:00:00Z" => 400 ends_at
  ends_at="2027-11-25T12:00:00Z" => 400 ends_at
  starts_at="2026-12-01T12:00:00Z" => 400 ends_at
  starts_at="noon" ; ends_at=5 => 400 starts_at ends_at
  status="approved" ; id="exm_1" => 400 id status
  Idempotency-Key: <a256> => 400 Idempotency-Key
GET /v1/exemptions?status=pending&user_id=ada
  /v1/exemptions?status=open => 400 status
  /v1/exemptions?user_id=a%20b => 400 user_id
  /v1/exemptions?user_id=nobody => 404
  /v1/exemptions?user_id=thea => 404
  /v1/exemptions?kind=raise => 400 kind
  /v1/exemptions?limit=0&cursor=x => 400 cursor limit
GET /v1/exemptions/<to_approve>
  /v1/exemptions/nothing => 404
  /v1/exemptions/a%23b => 404
  /v1/exemptions/<a2100> => 404
POST /v1/exemptions/<to_approve>/approve {"note": "for the release"}
  note="" => 400 note
  note="<a1001>" => 400 note
  note=5 => 400 note
  status="approved" => 400 status
  /v1/exemptions/nothing/approve => 404
  /v1/exemptions/<own>/approve => 403
POST /v1/exemptions/<to_deny>/deny {"note": "not this month"}
  note="" => 400 note
  reason="no" => 400 reason
  /v1/exemptions/nothing/deny => 404
  /v1/exemptions/<own>/deny => 403
POST /v1/exemptions/<to_revoke>/revoke {"note": "no longer"}
  note="" => 400 note
  surprise=1 => 400 surprise
  /v1/exemptions/nothing/revoke => 404
GET /v1/audit-log?actor=key&action=budget.create&resource=budget&from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z
  /v1/audit-log?from=yesterday => 400 from
  /v1/audit-log?to=2026-11-23 => 400 to
  /v1/audit-log?actor= => 400 actor
  /v1/audit-log?action=<a201> => 400 action
  /v1/audit-log?resource=x&resource=y => 400 resource
  /v1/audit-log?user=ada => 400 user
  /v1/audit-log?limit=0&cursor=x => 400 cursor limit
GET /v1/audit-log/export?after_seq=3
  /v1/audit-log/export?after_seq=-1 => 400 after_seq
  /v1/audit-log/export?after_seq=x => 400 after_seq
  /v1/audit-log/export?limit=5 => 400 limit
GET /v1/audit-log/verify?after_seq=0
  /v1/audit-log/verify?after_seq=1e3 => 400 after_seq
  /v1/audit-log/verify?after_seq=900000 => 404
  /v1/audit-log/verify?from=1 => 400 from
GET /v1/oauth/clients
  ?role=admin => 400 role
  ?maker_user_id=a%20b => 400 maker_user_id
POST /v1/oauth/clients {"role": "member", "user_id": "ada", "description": "a server"}
  -role => 400 role
  role="operator" => 400 role
  -user_id => 400 user_id
  role="agent" => 400 user_id
  user_id="thea" => 400 user_id
  description="" => 400 description
  client_id="oac_mine" => 400 client_id
  Idempotency-Key: <a256> => 400 Idempotency-Key
DELETE /v1/oauth/clients/<client>
  /v1/oauth/clients/nothing => 404
  /v1/oauth/clients/<key> => 404
  /v1/oauth/clients/<a2100> => 404
"#;

#[tokio::test]
async fn wrong_exemptions_and_questions_to_the_audit_log_are_refused() {
    Company::new().await.refuses(TABLE).await;
}
