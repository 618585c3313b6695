//! Places a correction and checks it against what was recorded.

use super::body::{CorrectionRequest, Subject};
use crate::App;
use crate::change::{Actor, check_all, user_of};
use jiff::Timestamp;
use shared::domain::amount::Unit;
use shared::domain::ledger::correction::{Correction, counts_at, is_correctable};
use shared::domain::org::configuration::Configuration;
use shared::domain::org::department::Path;
use shared::domain::org::people::User;
use shared::runtime::error::ApiError;
use shared::store::{DepartmentTotals, KeyOwner, Sums};

/// The usage of the month that is corrected.
pub(super) struct Recorded {
    departments: DepartmentTotals,
    /// None if a department is corrected, or if the user does not exist.
    user: Option<(User, Sums)>,
}

impl Recorded {
    pub(super) async fn read(
        app: &App,
        owner: &KeyOwner,
        asked: &CorrectionRequest,
    ) -> Result<Self, ApiError> {
        let organisation_id = &owner.organisation_id;
        let user_id = match &asked.subject {
            Subject::User(id) => Some(id),
            Subject::Department(_) => None,
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
pub(super) fn correction(
    configuration: &Configuration,
    recorded: &Recorded,
    asked: &CorrectionRequest,
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
    let place = match &asked.subject {
        Subject::User(_) => {
            let user = recorded.user.as_ref();
            let path = user.and_then(|(user, _)| configuration.path_of_user_at(user, counts_at));
            let missing = || ApiError::field("user_id", "there is no such user");
            path.ok_or_else(missing)
        }
        Subject::Department(id) => {
            let path = configuration.path_of_department_at(id, counts_at);
            let missing = || ApiError::field("department_id", "there is no such department");
            path.ok_or_else(missing)
        }
    };
    let path: Path = place.clone().unwrap_or_default();
    check_all([month, place.map(|_| ())])?;
    check_recorded(recorded, asked, &path)?;
    Ok(Correction {
        id: id.to_owned(),
        user_id: match &asked.subject {
            Subject::User(id) => Some(id.clone()),
            Subject::Department(_) => None,
        },
        department_id: path.department_id().map(str::to_owned),
        path: path.to_text(),
        month: asked.month,
        counts_at,
        amounts: asked.amounts,
        unpriced: 0,
        reason: asked.reason.clone(),
        created_by: actor.author.name.clone(),
        created_at: now,
    })
}

/// Returns a conflict if it takes away more than was recorded, of its user and at each level that
/// it counts for. Otherwise a correction could let more through a cap than its amount.
fn check_recorded(
    totals: &Recorded,
    asked: &CorrectionRequest,
    path: &Path,
) -> Result<(), ApiError> {
    let levels = path.0.iter().map(|id| Some(id.as_str()));
    let mut recorded = totals.departments.spent_under(None);
    for level in levels {
        let of_level = totals.departments.spent_under(level);
        recorded.tokens = recorded.tokens.min(of_level.tokens);
        recorded.pico_usd = recorded.pico_usd.min(of_level.pico_usd);
    }
    if let Subject::User(_) = &asked.subject {
        let of_user = totals.user.as_ref().map(|(_, total)| *total);
        let of_user = of_user.unwrap_or_default();
        recorded.tokens = recorded.tokens.min(of_user.tokens);
        recorded.pico_usd = recorded.pico_usd.min(of_user.pico_usd);
    }
    for (field, unit) in [("tokens", Unit::Tokens), ("usd", Unit::Usd)] {
        let (taken, there) = (asked.amounts.of(unit), recorded.of(unit).max(0));
        if taken < 0 && taken.saturating_add(there) < 0 {
            return Err(ApiError::conflict(format!(
                "{field} would remove more than was recorded: {} in {}",
                unit.shown(unit.rounded_down(there)),
                asked.month
            )));
        }
    }
    Ok(())
}
