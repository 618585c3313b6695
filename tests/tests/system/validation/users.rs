//! Wrong users and blocks.

use super::company::Company;

pub(super) const TABLE: &str = r#"
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
  id=".." => 400 id
  id="" => 400 id
  id="<a129>" => 400 id
  id=1e400 => 400 id
  id="ada" ; manager_id=null => 409
  email="ada@example.com" => 409 email
  email="ADA@Example.COM" => 409 email
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
  email="bob@example.com" => 409 email
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

#[tokio::test]
async fn wrong_users_and_blocks_are_refused() {
    Company::new().await.refuses(TABLE).await;
}
