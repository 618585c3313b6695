//! Describes request bodies with the limits of the handlers. These types are never built: a handler
//! reads its fields one by one, so that every wrong one is named at once.
//!
//! A field that may be missing and may be null is an `Option`. A field of a `PATCH` that may be
//! missing but not null is `required = false`.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use super::lists::{BudgetAmount, EventTypes, GithubUsers, Thresholds};
use shared::domain::exemption::grant::Covers;
use shared::domain::ledger::usage::RiskLevel;
use shared::domain::notice::alert::AlertStatus;
use shared::domain::notice::event_type::EventType;
use shared::domain::org::organisation::{AbandonedHolds, OnUnavailable, Reserve, UnknownModel};
use shared::domain::org::people::Status;
use shared::runtime::openapi::{
    ClientId, Cursor, DepartmentId, Dollars, Email, GithubWord, Moment, MonthId, Name, NoteText,
    Reason, ReceiverUrl, SharedSecret, SignedDollars, SignedTokens, Slug, SomeDollars, SomeTokens,
    TimeZone, Tokens, UserId,
};
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateOrganisation {
    /// The id `risks` is taken by a path.
    id: Slug,
    name: Name,
    timezone: TimeZone,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateOrganisation {
    #[schema(required = false)]
    name: Name,
    /// A month that has begun ends in the new zone. A month that is over does not come back.
    #[schema(required = false)]
    timezone: TimeZone,
    #[schema(required = false)]
    reserve: Reserve,
    #[schema(required = false, minimum = 0, maximum = 10_000_000)]
    output_reserve_tokens: i64,
    /// A new organisation has 120.
    #[schema(required = false, minimum = 30, maximum = 3600)]
    hold_seconds: i64,
    /// A new organisation has 10.
    #[schema(required = false, minimum = 1, maximum = 100)]
    user_holds_percent: i64,
    #[schema(required = false)]
    abandoned_holds: AbandonedHolds,
    #[schema(required = false)]
    unknown_model: UnknownModel,
    #[schema(required = false)]
    on_unavailable: OnUnavailable,
    #[schema(required = false, minimum = 0, maximum = 672)]
    rollover_grace_hours: i64,
    /// A request with more is held back if its model's limits are not known. The limit is ten times
    /// as high for a batch and a hundred times for a sum of requests.
    #[schema(required = false, minimum = 1, maximum = 1_000_000_000)]
    max_tokens_per_request: i64,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateDepartment {
    /// The id `tree` is taken by a path.
    id: Slug,
    name: Name,
    /// Null is the top of the tree, which is at most eight levels deep.
    parent_id: Option<DepartmentId>,
    manager_id: Option<UserId>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateDepartment {
    #[schema(required = false)]
    name: Name,
    /// Moves the subtree. Null makes it a root.
    parent_id: Option<DepartmentId>,
    manager_id: Option<UserId>,
}

/// The role of a user.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum UserRole {
    Member,
    Manager,
    Admin,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateUser {
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._@-]+$")]
    id: String,
    email: Email,
    name: Name,
    department_id: DepartmentId,
    manager_id: Option<UserId>,
    role: UserRole,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateUser {
    #[schema(required = false)]
    email: Email,
    #[schema(required = false)]
    name: Name,
    #[schema(required = false)]
    department_id: DepartmentId,
    manager_id: Option<UserId>,
    #[schema(required = false)]
    role: UserRole,
    #[schema(required = false)]
    status: Status,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlockUser {
    reason: Reason,
    /// A time in the future; null blocks until the user is released.
    until: Option<Moment>,
}

/// Carries unused amounts into the next month.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetRollover {
    /// The most that is carried, in percent of the month's own amount.
    #[schema(minimum = 0, maximum = 100)]
    cap_percent: i64,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum InTokens {
    Tokens,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum InUsd {
    Usd,
}

/// A budget in tokens or in US dollars.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum CreateBudget {
    Tokens(CreateTokenBudget),
    Usd(CreateUsdBudget),
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTokenBudget {
    name: Name,
    /// Null is the whole organisation.
    department_id: Option<DepartmentId>,
    unit: InTokens,
    amount: Tokens,
    /// Whether requests beyond it are refused.
    hard_cap: bool,
    #[schema(value_type = Option<Thresholds>)]
    thresholds: (),
    rollover: Option<SetRollover>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateUsdBudget {
    name: Name,
    /// Null is the whole organisation.
    department_id: Option<DepartmentId>,
    unit: InUsd,
    amount: Dollars,
    /// Whether requests beyond it are refused.
    hard_cap: bool,
    #[schema(value_type = Option<Thresholds>)]
    thresholds: (),
    rollover: Option<SetRollover>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateBudget {
    #[schema(required = false)]
    name: Name,
    /// In the budget's unit: whole tokens, or dollars with at most six decimals.
    #[schema(required = false)]
    amount: BudgetAmount,
    #[schema(required = false)]
    hard_cap: bool,
    #[schema(required = false, value_type = Thresholds)]
    thresholds: (),
    /// Null ends the rollover of unused amounts.
    rollover: Option<SetRollover>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopUpBudget {
    /// In the budget's unit, more than zero: whole tokens, or dollars with at most six decimals.
    amount: BudgetAmount,
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestPolicy {
    /// The days before now; 30 by default. Not allowed with a cursor, which has its window.
    #[schema(minimum = 1, maximum = 90)]
    window_days: Option<i64>,
    /// The `next_cursor` of the previous answer, to continue.
    cursor: Option<Cursor>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateAlert {
    #[schema(required = false)]
    status: AlertStatus,
}

/// The states that an incident may change to. It is never opened again.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum NextStatus {
    Acknowledged,
    Resolved,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateIncident {
    #[schema(required = false)]
    status: NextStatus,
    note: Option<NoteText>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateWebhook {
    url: ReceiverUrl,
    /// The events it receives. Null is all events; an empty list is only events that name the
    /// webhook.
    #[schema(value_type = Option<EventTypes>)]
    events: Option<Vec<EventType>>,
    description: Option<Name>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateWebhook {
    /// Another url is another receiver: waiting deliveries go there.
    #[schema(required = false)]
    url: ReceiverUrl,
    /// The events it receives. Null is all events; an empty list is only events that name the
    /// webhook.
    #[schema(value_type = Option<EventTypes>)]
    events: Option<Vec<EventType>>,
    /// Null removes the description.
    description: Option<Name>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutGithub {
    secret: SharedSecret,
    /// Maps logins of GitHub to ids of users.
    #[schema(value_type = GithubUsers)]
    users: BTreeMap<String, UserId>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutGithubRisks {
    /// Each event and action may occur once.
    #[schema(max_items = 200)]
    items: Vec<PutGithubRisk>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutGithubRisk {
    event: GithubWord,
    /// Null is any action that has no row of its own.
    action: Option<GithubWord>,
    /// Null means no risk.
    risk_level: Option<RiskLevel>,
}

/// A key with a user is for members and managers. A key for agents has no user.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum CreateApiKey {
    Bound(CreateBoundKey),
    Admin(CreateAdminKey),
    Agent(CreateAgentKey),
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum BoundRole {
    Member,
    Manager,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBoundKey {
    role: BoundRole,
    user_id: UserId,
    description: Option<Name>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum AdminRole {
    Admin,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateAdminKey {
    role: AdminRole,
    user_id: Option<UserId>,
    description: Option<Name>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum AgentRole {
    Agent,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateAgentKey {
    role: AgentRole,
    description: Option<Name>,
}

/// The length of the buckets of a report.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum UsagePeriod {
    Hourly,
    Daily,
    Monthly,
}

/// The kind of an exemption: more tokens, more dollars, both, or no limit.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum CreateExemption {
    Tokens(RaiseOfTokens),
    Dollars(RaiseOfDollars),
    Lift(Lift),
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum RaiseKind {
    Raise,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum LiftKind {
    Lift,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RaiseOfTokens {
    user_id: UserId,
    kind: RaiseKind,
    /// The amount for each month that it covers.
    tokens: SomeTokens,
    usd: Option<SomeDollars>,
    /// The caps that are raised; by default all caps on the path.
    covers: Option<Covers>,
    reason: NoteText,
    /// The moment of the decision if this is missing or in the past by then.
    starts_at: Option<Moment>,
    /// In the future, at most 366 days after the start.
    ends_at: Moment,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RaiseOfDollars {
    user_id: UserId,
    kind: RaiseKind,
    /// The amount for each month that it covers.
    usd: SomeDollars,
    /// The caps that are raised; by default all caps on the path.
    covers: Option<Covers>,
    reason: NoteText,
    /// The moment of the decision if this is missing or in the past by then.
    starts_at: Option<Moment>,
    /// In the future, at most 366 days after the start.
    ends_at: Moment,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lift {
    user_id: UserId,
    kind: LiftKind,
    /// The caps that are lifted; by default all caps on the path.
    covers: Option<Covers>,
    reason: NoteText,
    /// The moment of the decision if this is missing or in the past by then.
    starts_at: Option<Moment>,
    /// In the future, at most 366 days after the start.
    ends_at: Moment,
}

/// The amounts that a correction adds to a month, for a user or for a department. At least one of
/// them is not zero.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateCorrection {
    /// The user whose usage is corrected, on their path in that month. Alternative to
    /// `department_id`.
    user_id: Option<UserId>,
    department_id: Option<DepartmentId>,
    /// The current month or one of the 13 before it.
    month: MonthId,
    tokens: Option<SignedTokens>,
    usd: Option<SignedDollars>,
    reason: NoteText,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum EventDecision {
    Count,
    Discard,
}

/// The decision about an event that was held back.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecideEvent {
    user_id: UserId,
    event_id: ClientId,
    r#type: Option<DecidableType>,
    decision: EventDecision,
    reason: NoteText,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum DecidableType {
    LlmRequest,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    note: Option<NoteText>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum GrantType {
    ClientCredentials,
}

/// Unknown fields are ignored.
#[derive(ToSchema)]
pub(crate) struct TokenRequest {
    grant_type: GrantType,
    #[schema(required = false, min_length = 1, max_length = 256)]
    client_id: String,
    #[schema(required = false, min_length = 1, max_length = 256)]
    client_secret: String,
}
