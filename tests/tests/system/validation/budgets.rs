//! Wrong budgets.

use super::company::Company;

pub(super) const TABLE: &str = r#"
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
POST /v1/budgets/<budget>/top-ups {"amount": 5, "reason": "The release"}
  -amount ; -reason => 400 amount reason
  amount=0 => 400 amount
  amount=-1 => 400 amount
  amount=1.5 => 400 amount
  amount=1000000000000001 => 400 amount
  amount=1000000000000000 => 400 amount
  reason="" => 400 reason
  reason="<a1001>" => 400 reason
  surprise=1 => 400 surprise
  /v1/budgets/nothing/top-ups => 404
  /v1/budgets/<their_budget>/top-ups => 404
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

#[tokio::test]
async fn wrong_budgets_are_refused() {
    Company::new().await.refuses(TABLE).await;
}
