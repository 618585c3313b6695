//! Wrong questions about alerts, rollovers and the tree.

use super::company::Company;

pub(super) const TABLE: &str = r#"
GET /v1/departments/tree
  ?period=2026-11 => 400 period
GET /v1/usage?period=hourly&start_date=2026-11-20&end_date=2026-11-23&user_id=ada&department_id=eng&model=m&provider=p
  /v1/usage?period=weekly => 400 period
  /v1/usage?start_date=yesterday => 400 start_date
  /v1/usage?start_date=2026-02-30 => 400 start_date
  /v1/usage?start_date=20261101 => 400 start_date
  /v1/usage?start_date=2026-11-01T25:00:00Z => 400 start_date
  /v1/usage?start_date=2026-11-01T00:00:00 => 400 start_date
  /v1/usage?end_date=1999-12-31 => 400 end_date
  /v1/usage?end_date=2026-13 => 400 end_date
  /v1/usage?start_date=2026-11-24&end_date=2026-11-23 => 400 start_date
  /v1/usage?period=hourly&start_date=2026-11-01 => 400 start_date
  /v1/usage?start_date=2026-01-01 => 400 start_date
  /v1/usage?period=monthly&start_date=2025-01 => 400 start_date
  /v1/usage?period=hourly&start_date=2000-01-01&end_date=9998-12-31 => 400 start_date
  /v1/usage?user_id=a%20b => 400 user_id
  /v1/usage?user_id= => 400 user_id
  /v1/usage?department_id=ENG => 400 department_id
  /v1/usage?model=&provider= => 400 model provider
  /v1/usage?surprise=1&limit=0&cursor=x => 400 surprise limit cursor
GET /v1/models?status=inexact&month=2026-11
  /v1/models => 400 status
  /v1/models?status=exact => 400 status
  /v1/models?status=unpriced&status=inexact => 400 status
  /v1/models?status=unpriced&month=2026-13 => 400 month
  /v1/models?status=unpriced&month=11-2026 => 400 month
  /v1/models?status=unpriced&surprise=1&limit=0&cursor=x => 400 surprise limit cursor
GET /v1/rollovers
  ?budget_id=x => 400 budget_id
GET /v1/budgets/<budget>/rollovers
  ?period=2026-11 => 400 period
  ?limit=0 => 400 limit
  ?cursor=x => 400 cursor
  /v1/budgets/nothing/rollovers => 404
  /v1/budgets/<their_budget>/rollovers => 404
GET /v1/alerts?severity=low&status=open
  /v1/alerts?severity=grave => 400 severity
  /v1/alerts?status=new => 400 status
  /v1/alerts?status=open&status=open => 400 status
  /v1/alerts?type=budget_exceeded&surprise=1 => 400 type surprise
GET /v1/alerts/<alert>
  /v1/alerts/nothing => 404
  /v1/alerts/<their_alert> => 404
  /v1/alerts/a%23b => 404
PATCH /v1/alerts/<alert> {"status": "acknowledged"}
  status="gone" => 400 status
  status=null => 400 status
  status=1 => 400 status
  severity="low" ; id="x" => 400 severity id
  /v1/alerts/nothing => 404
  /v1/alerts/<their_alert> => 404
  /v1/alerts/<a2100> => 404
"#;

#[tokio::test]
async fn wrong_questions_are_refused() {
    Company::new().await.refuses(TABLE).await;
}
