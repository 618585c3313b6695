//! Policies are drafted, edited, published, disabled and deleted. Only the published version is
//! evaluated. It is a row of its own that only publishing writes.

use super::change::{Actor, Proposal, all, change, check_department, check_version};
use super::openapi::rules::{CreatePolicy, UpdatePolicy};
use super::policy_view;
use super::replay::{Answer, IdempotentRequest};
use super::rule_fields::{self, AskedAction, RuleFields};
use super::webhooks::NewWebhook;
use super::{App, view, webhooks};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Audited, Change, Update};
use shared::domain::name::is_slug;
use shared::domain::org::configuration::Configuration;
use shared::domain::policy::{
    Action, Field, MAX_ACTIVE, MAX_POLICIES, Match, Operand, Policy, PolicyStatus, Rule, Scalar,
    Trigger,
};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, IfMatch, Invalid, Page, Slug, TooLarge, Unknown,
};
use shared::runtime::random;
use shared::store::Snapshot;
use std::collections::BTreeSet;
use std::sync::Arc;

const STATUSES: &[(&str, PolicyStatus)] = &[
    ("draft", PolicyStatus::Draft),
    ("active", PolicyStatus::Active),
    ("disabled", PolicyStatus::Disabled),
];

/// The actions, with a new webhook for each url.
struct ReadActions {
    actions: Option<Vec<Action>>,
    webhooks: Vec<NewWebhook>,
}

/// Creates a webhook for each url of `asked`.
fn read_actions(
    app: &App,
    organisation_id: &str,
    asked: Option<&Vec<AskedAction>>,
) -> Result<ReadActions, ApiError> {
    let Some(asked) = asked else {
        return Ok(ReadActions {
            actions: None,
            webhooks: Vec::new(),
        });
    };
    let mut new_webhooks: Vec<NewWebhook> = Vec::new();
    let mut actions = Vec::with_capacity(asked.len());
    for action in asked {
        let url = match action {
            AskedAction::Known(action) => {
                actions.push(action.clone());
                continue;
            }
            AskedAction::Url(url) => url,
        };
        let new = webhooks::made(app, organisation_id, url.clone())?;
        let webhook_id = new.webhook.id.clone();
        new_webhooks.push(new);
        actions.push(Action::Webhook { webhook_id });
    }
    Ok(ReadActions {
        actions: Some(actions),
        webhooks: new_webhooks,
    })
}

/// Reads the webhooks that `asked` names, if they exist.
async fn known_webhooks(
    app: &App,
    organisation_id: &str,
    asked: Option<&Vec<AskedAction>>,
) -> Result<BTreeSet<String>, ApiError> {
    let mut known = BTreeSet::new();
    for action in asked.into_iter().flatten() {
        if let AskedAction::Known(Action::Webhook { webhook_id }) = action {
            let webhook = app.store.webhook(organisation_id, webhook_id).await?;
            known.extend(webhook.map(|webhook| webhook.id));
        }
    }
    Ok(known)
}

/// Reports names that do not exist: departments of the trigger and the conditions, webhooks.
fn check_names(
    configuration: &Configuration,
    webhooks: &BTreeSet<String>,
    fields: &RuleFields,
) -> Result<(), ApiError> {
    let mut checks = Vec::new();
    if let Some(Trigger::DepartmentThreshold { department_id, .. }) = &fields.trigger {
        let field = "trigger.department_id";
        checks.push(check_department(configuration, field, Some(department_id)));
    }
    let conditions = fields.conditions.iter().flatten().enumerate();
    for (at, condition) in conditions.filter(|(_, c)| c.field == Field::DepartmentId) {
        let values = match &condition.value {
            Operand::One(value) => std::slice::from_ref(value),
            Operand::Several(values) => values.as_slice(),
            Operand::Range(..) => &[],
        };
        let is_unknown = |value: &&Scalar| match value {
            Scalar::Text(id) => !configuration.departments.contains_key(id),
            _ => true,
        };
        if let Some(unknown) = values.iter().find(is_unknown) {
            let message = format!("there is no such department: {unknown}");
            checks.push(Err(ApiError::field(
                format!("conditions[{at}].value"),
                message,
            )));
        }
    }
    for (at, action) in fields.actions.iter().flatten().enumerate() {
        if let AskedAction::Known(Action::Webhook { webhook_id }) = action
            && !webhooks.contains(webhook_id)
        {
            let field = format!("actions[{at}].webhook_id");
            checks.push(Err(ApiError::field(field, "there is no such webhook")));
        }
    }
    all(checks)
}

/// Answers with a policy and the secrets of its new webhooks.
fn answer(status: u16, policy: &Policy, webhooks: &[NewWebhook]) -> Answer {
    Answer {
        status,
        body: view::text(&policy_view::policy(policy, webhooks)),
        secrets: webhooks.iter().map(|new| new.secret.clone()).collect(),
    }
}

fn described(policy: &Policy) -> String {
    view::text(&policy_view::policy(policy, &[]))
}

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
        (status = 201, description = "The policy.", body = policy_view::PolicyView),
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
    let asked = rule_fields::read(&mut fields, app.egress);
    fields.finish()?;
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/policies", &body)?;
    let ReadActions { actions, webhooks } =
        read_actions(&app, organisation_id, asked.actions.as_ref())?;
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
        let named = known_webhooks(&app, organisation_id, asked.actions.as_ref()).await?;
        check_names(&snapshot.configuration, &named, &asked)?;
        if snapshot.head.policies.known >= MAX_POLICIES {
            let message = format!("an organisation has at most {MAX_POLICIES} policies");
            return Err(ApiError::conflict(message));
        }
        webhooks::check_room(&snapshot, webhooks.len())?;
        let answer = answer(201, &policy, &webhooks);
        let created = Change::PolicyCreated {
            policy: Audited::new(policy.clone(), described(&policy)),
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
        ("status" = Option<PolicyStatus>, Query, description = "Those of this status only."),
        Page,
    ),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<policy_view::PolicyView>),
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
    let status = parameters.one_of("status", STATUSES);
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
    let show = |policy| policy_view::policy(policy, &[]);
    let items = page.items.iter().map(show).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, view::text(&body)))
}

/// Finds a policy of the caller's organisation.
pub(crate) async fn known(app: &App, organisation_id: &str, id: &str) -> Result<Policy, ApiError> {
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
        (status = 200, description = "The policy.", body = policy_view::PolicyView),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let policy = known(&app, &owner.organisation_id, &id).await?;
    Ok(json(200, described(&policy)))
}

/// Changes one policy, unless the headers name another version. `edit` changes it and returns the
/// change and its answer.
async fn change_policy(
    app: &App,
    actor: &Actor,
    headers: &HeaderMap,
    id: &str,
    edit: impl AsyncFnOnce(Arc<Snapshot>, Policy, Policy) -> Result<Proposal, ApiError> + Copy,
) -> Result<Response, ApiError> {
    if !is_slug(id) {
        return Err(ApiError::not_found("policy"));
    }
    let now = app.clock.now();
    change(app, actor, None, async |snapshot| {
        let before = app.store.policy(&actor.organisation_id, id).await?;
        let before = before.ok_or_else(|| ApiError::not_found("policy"))?;
        check_version(headers, before.version)?;
        let mut after = before.clone();
        after.version += 1;
        after.updated_at = now;
        edit(snapshot, before, after).await
    })
    .await
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
        (status = 200, description = "The policy as it is now.", body = policy_view::PolicyView),
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
    let asked = rule_fields::read(&mut fields, app.egress);
    fields.finish()?;
    let organisation_id = &owner.organisation_id;
    let ReadActions { actions, webhooks } =
        read_actions(&app, organisation_id, asked.actions.as_ref())?;
    let actor = Actor::of(owner, &request_id);
    change_policy(
        &app,
        &actor,
        &headers,
        &id,
        async |snapshot, before, mut after| {
            let named = known_webhooks(&app, organisation_id, asked.actions.as_ref()).await?;
            check_names(&snapshot.configuration, &named, &asked)?;
            webhooks::check_room(&snapshot, webhooks.len())?;
            let rule = after.editable();
            set(&mut rule.name, asked.name.as_ref());
            set(&mut rule.description, asked.description.as_ref());
            set(&mut rule.trigger, asked.trigger.as_ref());
            set(&mut rule.combine, asked.combine.as_ref());
            set(&mut rule.conditions, asked.conditions.as_ref());
            set(&mut rule.actions, actions.as_ref());
            let answer = answer(200, &after, &webhooks);
            let updated = Change::PolicyUpdated {
                policy: Update::new(before, after, described),
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
        let json = described(&before);
        let policy = Audited::new(before, json);
        Ok(Proposal::silent(Change::PolicyDeleted(policy)))
    })
    .await
}

/// Publishes the newest version. It is evaluated from the next batch of events on. Publishing it
/// again changes nothing.
#[shared::endpoint(POST "/v1/policies/{id}/publish", ADMIN)]
#[utoipa::path(
    operation_id = "publishPolicy",
    tag = "Policies",
    params(("id" = Slug, Path, description = "The policy."), IfMatch),
    responses(
        (status = 200, description = "The policy as it is now.", body = policy_view::PolicyView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn publish(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    super::no_fields(&body)?;
    let policy = known(&app, &owner.organisation_id, &id).await?;
    if policy.status == PolicyStatus::Active && policy.draft.is_none() {
        check_version(&headers, policy.version)?;
        return Ok(json(200, described(&policy)));
    }
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change_policy(
        &app,
        &actor,
        &headers,
        &id,
        async |snapshot, before, mut after| {
            let is_new = before.status != PolicyStatus::Active;
            if is_new && snapshot.head.policies.active >= MAX_ACTIVE {
                let message =
                    format!("at most {MAX_ACTIVE} policies may be active; disable one first");
                return Err(ApiError::conflict(message));
            }
            after.rule = after.newest().clone();
            after.draft = None;
            after.status = PolicyStatus::Active;
            after.published_at = Some(now);
            let answer = answer(200, &after, &[]);
            let policy = Update::new(before, after, described);
            Ok(Proposal::answering(Change::PolicyPublished(policy), answer))
        },
    )
    .await
}

/// Stops the evaluation and deletes nothing. Disabling it again changes nothing.
#[shared::endpoint(POST "/v1/policies/{id}/disable", ADMIN)]
#[utoipa::path(
    operation_id = "disablePolicy",
    tag = "Policies",
    params(("id" = Slug, Path, description = "The policy."), IfMatch),
    responses(
        (status = 200, description = "The policy as it is now.", body = policy_view::PolicyView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn disable(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    super::no_fields(&body)?;
    let policy = known(&app, &owner.organisation_id, &id).await?;
    if policy.status == PolicyStatus::Disabled {
        check_version(&headers, policy.version)?;
        return Ok(json(200, described(&policy)));
    }
    let actor = Actor::of(owner, &request_id);
    change_policy(&app, &actor, &headers, &id, async |_, before, mut after| {
        if before.status == PolicyStatus::Draft {
            let message = "it is a draft and was never published; delete it, or leave it";
            return Err(ApiError::conflict(message));
        }
        after.status = PolicyStatus::Disabled;
        let answer = answer(200, &after, &[]);
        let policy = Update::new(before, after, described);
        Ok(Proposal::answering(Change::PolicyDisabled(policy), answer))
    })
    .await
}
