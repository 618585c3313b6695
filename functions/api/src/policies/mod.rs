//! Policies are drafted, edited, published, disabled and deleted. Only the published version is
//! evaluated. It is a row of its own that only publishing writes.

pub(crate) mod backtests;
mod body;
mod edit;
pub(crate) mod publishing;
mod references;
mod schema;
mod view;

use self::body::read_rule;
use self::edit::change_policy;
use self::references::{ReadActions, check_names, existing_webhooks, read_actions};
use self::schema::{CreatePolicy, UpdatePolicy};
use self::view::{PolicyView, policy_answer, policy_json, policy_view};
use super::App;
use super::change::{Actor, Proposal, change};
use super::json::to_json;
use super::replay::IdempotentRequest;
use super::webhooks::new::check_webhook_room;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Audited, Change, Update};
use shared::domain::name::is_slug;
use shared::domain::policy::{MAX_POLICIES, Match, Policy, PolicyStatus, Rule};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, IfMatch, Invalid, Page, Slug, TooLarge, Unknown,
};
use shared::runtime::random;

/// Creates a policy as a draft. It fires nothing until it is published.
///
/// A webhook that is given by its `url` is registered, and its secret is shown once.
#[shared::endpoint(POST "/v1/policies", ADMIN)]
#[utoipa::path(
    operation_id = "createPolicy",
    tag = "Policies",
    params(IdempotencyKey),
    request_body(content = CreatePolicy, example = json!({
        "name": "Leaks of engineering", "trigger": {"type": "ip_risk_event"}, "match": "all",
        "conditions": [
            {"field": "risk_level", "op": "eq", "value": "high"},
            {"field": "department_id", "op": "eq", "value": "engineering"}
        ],
        "actions": [{"type": "create_incident"}, {"type": "email_manager"}]
    })),
    responses(
        (status = 201, description = "The policy.", body = PolicyView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let organisation_id = &owner.organisation_id;
    let mut fields = Fields::of_body(&body)?;
    for name in ["name", "trigger"] {
        if !fields.has(name) {
            fields.is_required(name);
        }
    }
    let asked = read_rule(&mut fields, app.egress);
    fields.finish()?;
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/policies", &body)?;
    let ReadActions { actions, webhooks } =
        read_actions(&app, organisation_id, asked.actions.as_ref()).await?;
    let now = app.clock.now();
    let (Some(name), Some(trigger)) = (asked.name.clone(), asked.trigger.clone()) else {
        return Err(ApiError::field("trigger", "is required"));
    };
    let policy = Policy {
        id: random::id("pol_")?,
        status: PolicyStatus::Draft,
        rule: Rule {
            name,
            description: asked.description.clone().unwrap_or_default(),
            trigger,
            combine: asked.combine.unwrap_or(Match::All),
            conditions: asked.conditions.clone().unwrap_or_default(),
            actions: actions.unwrap_or_default(),
        },
        draft: None,
        version: 1,
        created_at: now,
        updated_at: now,
        published_at: None,
    };
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, idempotent.as_ref(), async |snapshot| {
        let named = existing_webhooks(&app, organisation_id, asked.actions.as_ref()).await?;
        check_names(&snapshot.configuration, &named, &asked)?;
        if snapshot.head.policies.known >= MAX_POLICIES {
            let message = format!("an organisation has at most {MAX_POLICIES} policies");
            return Err(ApiError::conflict(message));
        }
        check_webhook_room(&snapshot, webhooks.len())?;
        let answer = policy_answer(201, &policy, &webhooks);
        let created = Change::PolicyCreated {
            policy: Audited::new(policy.clone(), policy_json(&policy)),
            webhooks: webhooks.iter().map(|new| new.webhook.clone()).collect(),
        };
        Ok(Proposal::answering(created, answer))
    })
    .await
}

/// Lists the policies of the organisation.
#[shared::endpoint(GET "/v1/policies", ADMIN)]
#[utoipa::path(
    operation_id = "listPolicies",
    tag = "Policies",
    params(
        ("status" = Option<PolicyStatus>, Query, description = "Only those of this status."),
        Page,
    ),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<PolicyView>),
        Invalid, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let status = parameters.name::<PolicyStatus>("status");
    let list = format!("{} policies {status:?}", owner.organisation_id);
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let page = app
        .store
        .policies(
            &owner.organisation_id,
            status,
            asked.after.as_deref(),
            asked.limit,
        )
        .await?;
    let show = |policy| policy_view(policy, &[]);
    let items = page.items.iter().map(show).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}

/// Finds a policy of the caller's organisation.
pub(crate) async fn find_policy(
    app: &App,
    organisation_id: &str,
    id: &str,
) -> Result<Policy, ApiError> {
    let unknown = || ApiError::not_found("policy");
    if !is_slug(id) {
        return Err(unknown());
    }
    let policy = app.store.policy(organisation_id, id).await?;
    policy.ok_or_else(unknown)
}

/// Shows a policy, with its draft if that differs from the published version.
#[shared::endpoint(GET "/v1/policies/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "getPolicy",
    tag = "Policies",
    params(("id" = Slug, Path, description = "The policy.")),
    responses(
        (status = 200, description = "The policy.", body = PolicyView),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let policy = find_policy(&app, &owner.organisation_id, &id).await?;
    Ok(json(200, policy_json(&policy)))
}

fn set<T: Clone>(slot: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        slot.clone_from(given);
    }
}

/// Changes a policy. A published policy stays in force until the draft is published.
#[shared::endpoint(PATCH "/v1/policies/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "updatePolicy",
    tag = "Policies",
    params(("id" = Slug, Path, description = "The policy."), IfMatch),
    request_body(content = UpdatePolicy, example = json!({
        "conditions": [{"field": "risk_level", "op": "gte", "value": "low"}]
    })),
    responses(
        (status = 200, description = "The policy as it is now.", body = PolicyView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut fields = Fields::of_body(&body)?;
    let asked = read_rule(&mut fields, app.egress);
    fields.finish()?;
    let organisation_id = &owner.organisation_id;
    let ReadActions { actions, webhooks } =
        read_actions(&app, organisation_id, asked.actions.as_ref()).await?;
    let actor = Actor::of(owner, &request_id);
    change_policy(
        &app,
        &actor,
        &headers,
        &id,
        async |snapshot, before, mut after| {
            let named = existing_webhooks(&app, organisation_id, asked.actions.as_ref()).await?;
            check_names(&snapshot.configuration, &named, &asked)?;
            check_webhook_room(&snapshot, webhooks.len())?;
            let rule = after.editable();
            set(&mut rule.name, asked.name.as_ref());
            set(&mut rule.description, asked.description.as_ref());
            set(&mut rule.trigger, asked.trigger.as_ref());
            set(&mut rule.combine, asked.combine.as_ref());
            set(&mut rule.conditions, asked.conditions.as_ref());
            set(&mut rule.actions, actions.as_ref());
            let answer = policy_answer(200, &after, &webhooks);
            let updated = Change::PolicyUpdated {
                policy: Update::new(before, after, policy_json),
                webhooks: webhooks.iter().map(|new| new.webhook.clone()).collect(),
            };
            Ok(Proposal::answering(updated, answer))
        },
    )
    .await
}

/// Deletes a policy. Its past effects stay.
#[shared::endpoint(DELETE "/v1/policies/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "deletePolicy",
    tag = "Policies",
    params(("id" = Slug, Path, description = "The policy."), IfMatch),
    responses((status = 204, description = "It is gone."), Invalid, Unknown, Conflict, Denied),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let actor = Actor::of(owner, &request_id);
    change_policy(&app, &actor, &headers, &id, async |_, before, _| {
        let json = policy_json(&before);
        let policy = Audited::new(before, json);
        Ok(Proposal::silent(Change::PolicyDeleted(policy)))
    })
    .await
}
