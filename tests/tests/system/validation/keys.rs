//! Wrong API keys.

use super::company::Company;

pub(super) const TABLE: &str = r#"
GET /v1/api-keys
  ?role=admin => 400 role
  ?user_id=a%20b&responsible_user_id= => 400 responsible_user_id user_id
  ?maker_user_id=a%20b => 400 maker_user_id
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
  role="admin" => 400 role
  role="manager" => 400 role
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

#[tokio::test]
async fn wrong_keys_are_refused() {
    Company::new().await.refuses(TABLE).await;
}
