//! Wrong departments.

use super::company::Company;

pub(super) const TABLE: &str = r#"
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
  models=5 ; name=5 => 400 name models
  models={"allow": [""]} => 400 models.allow[0]
  Idempotency-Key: <a256> => 400 Idempotency-Key
PATCH /v1/departments/backend {"name": "Backend"}
  id="other" => 400 id
  name=null => 400 name
  models={"deny": {}} => 400 models.deny
  models={"max_usd_per_million_output": true} => 400 models.max_usd_per_million_output
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
  If-Match: "1 => 400 If-Match
  If-Match: W/W/"1" => 400 If-Match
  If-Match: +1 => 400 If-Match
DELETE /v1/departments/empty
  /v1/departments/eng => 409
  /v1/departments/backend => 409
  /v1/departments/budgeted => 409
  /v1/departments/nobody => 404
  /v1/departments/theirs => 404
  If-Match: 99 => 409
  If-Match: abc => 400 If-Match
"#;

#[tokio::test]
async fn wrong_departments_are_refused() {
    Company::new().await.refuses(TABLE).await;
}
