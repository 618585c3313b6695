//! Wrong integrations.

use super::company::Company;

pub(super) const TABLE: &str = r#"
PUT /v1/integrations/github {"secret": "a-secret-of-github", "users": {"Codertocat": "ada"}}
  -secret ; -users => 400 secret users
  secret="short" => 400 secret
  secret="<a257>" => 400 secret
  secret="a secret of github" => 400 secret
  secret=null ; users=null => 400 secret users
  users=[] => 400 users
  users={"a b": "ada"} => 400 users
  users={"": "ada"} => 400 users
  users={"x": "a b"} => 400 users
  users={"x": 5} => 400 users
  users={"x": "nobody"} => 400 users
  users={"x": "thea"} => 400 users
  users={"x": "ada", "X": "bob"} => 400 users
  users={"x": "ada", "x": "bob"} => 400 users
  users={"x": "ada", "X": "ada"} => 400 users
  surprise=1 => 400 surprise
PUT /v1/integrations/github/risks {"items": [{"event": "fork", "action": null, "risk_level": "low"}]}
  -items => 400 items
  items=null => 400 items
  items={} => 400 items
  items=[5] => 400 items
  items=[{"event": "fork", "risk_level": "grave"}] => 400 items
  items=[{"event": "Fork", "risk_level": "low"}] => 400 items
  items=[{"risk_level": "low"}] => 400 items
  items=[{"event": "fork", "level": "low"}] => 400 items
  items=[{"event": "fork"}, {"event": "fork", "risk_level": "low"}] => 400 items
GET /v1/integrations/github
  /v1/integrations/gitlab => 404
GET /v1/integrations/github/risks
  /v1/integrations/github/risks/x => 404
"#;

#[tokio::test]
async fn wrong_integrations_are_refused() {
    let company = Company::new().await;
    let right = serde_json::json!({"secret": "a-secret-of-github", "users": {}});
    company
        .world
        .admin("PUT", "/v1/integrations/github", right)
        .await
        .expect(200);
    company.refuses(TABLE).await;
}
