//! Wrong organisations.

use super::company::Company;

pub(super) const TABLE: &str = r#"
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
  id="risks" => 400 id
  id="demo" => 409
  name="" => 400 name
  name="<a201>" => 400 name
  name="a\u0000b" => 400 name
  name=["x"] => 400 name
  timezone="Mars/Olympus" => 400 timezone
  timezone="localtime" => 400 timezone
  timezone="posixrules" => 400 timezone
  timezone="Factory" => 400 timezone
  timezone="posix/Europe/Berlin" => 400 timezone
  timezone="right/Europe/Berlin" => 400 timezone
  timezone="europe/berlin" => 400 timezone
  timezone="utc" => 400 timezone
  timezone="Etc/Unknown" => 400 timezone
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
  timezone="localtime" => 400 timezone
  timezone="posixrules" => 400 timezone
  timezone="Factory" => 400 timezone
  timezone="posix/Europe/Berlin" => 400 timezone
  timezone="right/Europe/Berlin" => 400 timezone
  timezone="europe/berlin" => 400 timezone
  timezone="utc" => 400 timezone
  timezone="Etc/Unknown" => 400 timezone
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
  user_holds_percent=0 => 400 user_holds_percent
  user_holds_percent=101 => 400 user_holds_percent
  user_holds_percent=null ; hold_seconds=1 => 400 hold_seconds user_holds_percent
  rollover_grace_hours=-1 => 400 rollover_grace_hours
  rollover_grace_hours=673 => 400 rollover_grace_hours
  rollover_grace_hours=1.5 => 400 rollover_grace_hours
  max_tokens_per_request=0 => 400 max_tokens_per_request
  max_tokens_per_request=1000000001 => 400 max_tokens_per_request
  max_tokens_per_request=null => 400 max_tokens_per_request
  abandoned_holds="keep" => 400 abandoned_holds
  unknown_model=1 => 400 unknown_model
  price_source="gateway" => 400 price_source
  price_source=null ; unknown_model=1 => 400 price_source unknown_model
  on_unavailable="maybe" => 400 on_unavailable
  models="gpt-4o" => 400 models
  models=["gpt-4o"] => 400 models
  models={"allowed": []} => 400 models.allowed
  models={"allow": "gpt-4o"} => 400 models.allow
  models={"allow": ["gpt-4o", ""], "deny": [5, "<a201>", "x"]} => 400 models.allow[1] models.deny[0] models.deny[1]
  models={"deny": ["<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>", "<a200>"]} => 400 models.allow
  models={"allow": ["x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x"]} => 400 models.allow
  models={"max_usd_per_million_output": -1} => 400 models.max_usd_per_million_output
  models={"max_usd_per_million_output": 0.0000001} => 400 models.max_usd_per_million_output
  models={"max_usd_per_million_output": "5"} => 400 models.max_usd_per_million_output
  models={"max_usd_per_million_output": 1000000001, "allow": 5} ; unknown_model=1 => 400 unknown_model models.allow models.max_usd_per_million_output
  reserve="x" ; hold_seconds=0 ; on_unavailable=0 => 400 reserve hold_seconds on_unavailable
  If-Match: 99 => 409
  If-Match: abc => 400 If-Match
  If-Match: -1 => 400 If-Match
"#;

#[tokio::test]
async fn wrong_organisations_are_refused() {
    Company::new().await.refuses(TABLE).await;
}
