//! Corrects usage by signed amounts, in open and closed months.

use super::budgets::tell_crossings;
use super::change::{Actor, Proposal, all, cells_in_force, change, user_of};
use super::openapi::bodies::CreateCorrection;
use super::replay::IdempotentRequest;
use super::{App, view};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use jiff::Timestamp;
use serde::Serialize;
use shared::domain::amount::{Amounts, Unit};
use shared::domain::change::{Audited, Change, CrossingMarker};
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::correction::{
    Correction, MAX_MICRO_USD, MAX_TOKENS, counts_at, is_correctable,
};
use shared::domain::ledger::figures::Figures;
use shared::domain::ledger::settlement::debit;
use shared::domain::name::{is_slug, is_user_id};
use shared::domain::notice::alert::Level;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::department::Path;
use shared::domain::org::people::User;
use shared::domain::period::Month;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{
    Conflict, Denied, DepartmentId, IdempotencyKey, Invalid, Moment, Page, TooLarge, UserId,
};
use shared::runtime::parse;
use shared::runtime::wire::Usd;
use shared::store::{DepartmentTotals, KeyOwner, Sums, new_id};
use utoipa::ToSchema;

/// The most levels that one correction resets for new alerts, as its transaction is limited.
const MAX_CLEARED: usize = 50;

#[derive(Serialize, ToSchema)]
#[schema(as = Correction)]
struct CorrectionView<'a> {
    id: &'a str,
    /// Null if a department is corrected.
    #[schema(required = true)]
    user_id: Option<&'a str>,
    /// The department that it counts for: that of the user at that time.
    #[schema(required = true)]
    department_id: Option<&'a str>,
    #[schema(value_type = String)]
    month: Month,
    /// A negative amount was taken away.
    tokens: i64,
    usd: Usd,
    reason: &'a str,
    /// Who made it, as the audit log names them.
    created_by: &'a str,
    #[schema(value_type = Moment)]
    created_at: String,
}

fn shown(correction: &Correction) -> CorrectionView<'_> {
    CorrectionView {
        id: &correction.id,
        user_id: correction.user_id.as_deref(),
        department_id: correction.department_id.as_deref(),
        month: correction.month,
        tokens: correction.amounts.tokens,
        usd: Usd(correction.amounts.micro_usd),
        reason: &correction.reason,
        created_by: &correction.created_by,
        created_at: correction.created_at.to_string(),
    }
}

/// The user or department whose usage is corrected.
#[derive(Clone, Debug)]
enum Whose {
    User(String),
    Department(String),
}

/// A correction as the request describes it.
struct Asked {
    whose: Whose,
    month: Month,
    amounts: Amounts,
    reason: String,
}

fn read(body: &[u8]) -> Result<Asked, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let given = ["user_id", "department_id"].map(|name| fields.has(name));
    let user_id = fields.optional("user_id", parse::user_id);
    let department_id = fields.optional("department_id", parse::slug);
    let whose = match (user_id, department_id) {
        (Some(id), None) => Some(Whose::User(id)),
        (None, Some(id)) => Some(Whose::Department(id)),
        (Some(_), Some(_)) => {
            fields.also_invalid("department_id", "must not be given together with user_id");
            None
        }
        (None, None) => {
            if given == [false, false] {
                fields.also_invalid("user_id", "is required, or department_id");
            } else if !fields.is_invalid() {
                fields.also_invalid(
                    "user_id",
                    "one of user_id and department_id must not be null",
                );
            }
            None
        }
    };
    let month = fields.required("month", |raw| parse::month(raw).map(Some));
    let tokens = fields.optional("tokens", parse::whole(-MAX_TOKENS, MAX_TOKENS));
    let micro_usd = fields.optional("usd", parse::signed_micro_usd(MAX_MICRO_USD));
    let reason = fields.required("reason", parse::sentence(1_000));
    let amounts = Amounts::new(tokens.unwrap_or(0), micro_usd.unwrap_or(0));
    if amounts == Amounts::ZERO && !fields.is_invalid() {
        fields.also_invalid("tokens", "tokens or usd must be given and not be zero");
    }
    fields.finish()?;
    let (Some(whose), Some(month)) = (whose, month) else {
        return Err(ApiError::field("body", "could not be read"));
    };
    Ok(Asked {
        whose,
        month,
        amounts,
        reason,
    })
}

/// Corrects the usage of a month: adds to it, or takes away if the amounts are negative.
///
/// A correction counts like late usage: in totals and reports (by hour and day at the end of the
/// month, or now), for budgets, and for the carry while the month's grace lasts. In reports its
/// model and provider are `correction`, and its `user_id` is empty if it has no user. It takes away
/// at most the recorded usage; more is a conflict. It cannot be changed: correct a wrong one by
/// another.
#[shared::endpoint(POST "/v1/corrections", ADMIN)]
#[utoipa::path(
    operation_id = "createCorrection",
    tag = "Budgets",
    params(IdempotencyKey),
    request_body(content = CreateCorrection, example = json!({
        "user_id": "ada", "month": "2026-11", "tokens": -2_000_000,
        "reason": "a test was reported as usage"
    })),
    responses(
        (status = 201, description = "The correction.", body = CorrectionView),
        Invalid, Conflict, TooLarge, Denied,
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
    let asked = read(&body)?;
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/corrections", &body)?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    let id = new_id("cor_", now, 0)?;
    let corrected = change(&app, &actor, idempotent.as_ref(), async |snapshot| {
        let configuration = &snapshot.configuration;
        let cells = cells_in_force(&app, configuration, now).await?;
        let recorded = Recorded::read(&app, owner, &asked).await?;
        let correction = correction(configuration, &recorded, &asked, &id, &actor, now)?;
        let body = view::text(&shown(&correction));
        let created = Change::CorrectionCreated {
            cleared: cleared(configuration, &cells, &correction),
            correction: Audited::new(correction, body.clone()),
        };
        Ok(Proposal::showing(created, 201, body))
    })
    .await?;
    tell_crossings(&app, owner, now).await;
    Ok(corrected)
}

/// The usage of the month that is corrected.
struct Recorded {
    departments: DepartmentTotals,
    /// None if a department is corrected, or if the user does not exist.
    user: Option<(User, Sums)>,
}

impl Recorded {
    async fn read(app: &App, owner: &KeyOwner, asked: &Asked) -> Result<Self, ApiError> {
        let organisation_id = &owner.organisation_id;
        let user_id = match &asked.whose {
            Whose::User(id) => Some(id),
            Whose::Department(_) => None,
        };
        let user = user_of(app, organisation_id, user_id).await?;
        let departments = app
            .store
            .department_totals(organisation_id, asked.month)
            .await?;
        let user = match user {
            Some(user) => {
                let total = app.store.user_total(organisation_id, asked.month, &user.id);
                let total = total.await?;
                Some((user, total))
            }
            None => None,
        };
        Ok(Self { departments, user })
    }
}

/// Builds the correction on the path of its user or department at the end of its month.
fn correction(
    configuration: &Configuration,
    recorded: &Recorded,
    asked: &Asked,
    id: &str,
    actor: &Actor,
    now: Timestamp,
) -> Result<Correction, ApiError> {
    let month = match is_correctable(configuration, asked.month, now) {
        true => Ok(()),
        false => Err(ApiError::field(
            "month",
            "must be the current month or one of the 13 before it",
        )),
    };
    let counts_at = counts_at(configuration, asked.month, now);
    let place = match &asked.whose {
        Whose::User(_) => {
            let user = recorded.user.as_ref();
            let path = user.and_then(|(user, _)| configuration.path_of_user_at(user, counts_at));
            let missing = || ApiError::field("user_id", "there is no such user");
            path.ok_or_else(missing)
        }
        Whose::Department(id) => {
            let path = configuration.path_of_department_at(id, counts_at);
            let missing = || ApiError::field("department_id", "there is no such department");
            path.ok_or_else(missing)
        }
    };
    let path: Path = place.clone().unwrap_or_default();
    all([month, place.map(|_| ())])?;
    check_recorded(recorded, asked, &path)?;
    Ok(Correction {
        id: id.to_owned(),
        user_id: match &asked.whose {
            Whose::User(id) => Some(id.clone()),
            Whose::Department(_) => None,
        },
        department_id: path.department_id().map(str::to_owned),
        path: path.to_text(),
        month: asked.month,
        counts_at,
        amounts: asked.amounts,
        reason: asked.reason.clone(),
        created_by: actor.author.name.clone(),
        created_at: now,
    })
}

/// Returns a conflict if it takes away more than was recorded, of its user and at each level that
/// it counts for. Otherwise a correction could let more through a cap than its amount.
fn check_recorded(totals: &Recorded, asked: &Asked, path: &Path) -> Result<(), ApiError> {
    let levels = path.0.iter().map(|id| Some(id.as_str()));
    let mut recorded = totals.departments.spent_under(None);
    for level in levels {
        let of_level = totals.departments.spent_under(level);
        recorded.tokens = recorded.tokens.min(of_level.tokens);
        recorded.micro_usd = recorded.micro_usd.min(of_level.micro_usd);
    }
    if let Whose::User(_) = &asked.whose {
        let of_user = totals.user.as_ref().map(|(_, total)| *total);
        let of_user = of_user.unwrap_or_default();
        recorded.tokens = recorded.tokens.min(of_user.tokens);
        recorded.micro_usd = recorded.micro_usd.min(of_user.micro_usd);
    }
    for (field, unit) in [("tokens", Unit::Tokens), ("usd", Unit::Usd)] {
        let (taken, there) = (asked.amounts.of(unit), recorded.of(unit).max(0));
        if taken < 0 && taken.saturating_add(there) < 0 {
            return Err(ApiError::conflict(format!(
                "{field} takes away more than there is: {} recorded in {}",
                unit.shown(there),
                asked.month
            )));
        }
    }
    Ok(())
}

/// Returns the markers of levels that budgets no longer reach, so that these levels alert again.
fn cleared(
    configuration: &Configuration,
    cells: &[(Month, Cell)],
    correction: &Correction,
) -> Vec<CrossingMarker> {
    let period = correction.month;
    let mut markers = Vec::new();
    for (_, cell) in cells.iter().filter(|(of, _)| *of == period) {
        let path = correction.path();
        let update = debit(&configuration.counters_on(&path), correction.amounts);
        let mut after = Some(cell.clone());
        let (Ok(()), Some(after)) = (update.apply(&mut after), after) else {
            continue;
        };
        for budget in configuration.budgets_on(&path, period) {
            let was = Figures::of(budget, period, cell);
            let is = Figures::of(budget, period, &after);
            let levels = Level::all_of(budget).into_iter();
            let left = levels.filter(|l| l.is_reached(&was) && !l.is_reached(&is));
            markers.extend(left.map(|level| CrossingMarker {
                period,
                counter: budget.counter(),
                level,
            }));
        }
    }
    markers.truncate(MAX_CLEARED);
    markers
}

/// Lists corrections, the newest first.
#[shared::endpoint(GET "/v1/corrections", ADMIN)]
#[utoipa::path(
    operation_id = "listCorrections",
    tag = "Budgets",
    params(
        ("user_id" = Option<UserId>, Query, description = "Those of this user only."),
        (
            "department_id" = Option<DepartmentId>, Query,
            description = "Those that count for this department or below it only.",
        ),
        (
            "month" = Option<String>, Query, pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$",
            description = "Those of this month only.",
        ),
        Page,
    ),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<CorrectionView>),
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
    let user_id = parameters.take("user_id", "must be a user's id", |text| {
        is_user_id(text).then(|| text.to_owned())
    });
    let department_id = parameters.take("department_id", "must be a department's id", |text| {
        is_slug(text).then(|| text.to_owned())
    });
    let month: Option<Month> = parameters.take("month", "must be a month like 2026-11", |text| {
        text.parse().ok()
    });
    let list = format!(
        "{} corrections {user_id:?} {department_id:?} {month:?}",
        owner.organisation_id
    );
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let wanted = |correction: &Correction| {
        (user_id.is_none() || user_id == correction.user_id)
            && month.is_none_or(|month| month == correction.month)
            && correction.path().is_under(department_id.as_deref())
    };
    let after = asked.after.as_deref();
    let page = app
        .store
        .corrections(&owner.organisation_id, wanted, after, asked.limit)
        .await?;
    let items = page.items.iter().map(shown).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, view::text(&body)))
}
