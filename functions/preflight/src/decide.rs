//! From a request to a decision.

use super::{ATTEMPTS, App};
use shared::domain::amount::Unit;
use shared::domain::cell::{HoldRequest, UsableExemption};
use shared::domain::configuration::{Budget, Configuration, OnUnavailable, UnknownModel};
use shared::domain::estimate::PreflightRequest;
use shared::domain::hold::{Exempt, Hold, HoldId, Rid};
use shared::domain::people::User;
use shared::domain::price::PriceBooks;
use shared::domain::refusal::{Reason, Warning, offer, passed_soft_caps};
use shared::runtime::error::ApiError;
use shared::runtime::logs::{self, ErrorType};
use shared::runtime::random;
use shared::store::{HoldOutcome, StoreError};
use std::sync::Arc;

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) on_unavailable: OnUnavailable,
    /// The exemption that let it pass, where a cap would not have.
    pub(crate) exemption_id: Option<String>,
    /// The decision was made without the database.
    pub(crate) is_degraded: bool,
}

/// Whether the request may pass.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It may, with a hold where a budget counts it.
    Allow(Option<(HoldId, Hold)>),
    /// It may not.
    Block {
        reasons: Vec<Reason>,
        /// The largest answer that would be admitted.
        offer: Option<i64>,
        /// Whether the same request may pass in some seconds.
        is_retryable: bool,
    },
}

impl Verdict {
    fn block(reason: Reason) -> Self {
        Self::Block {
            reasons: vec![reason],
            offer: None,
            is_retryable: false,
        }
    }
}

/// Decides. Where the database does not answer, the organisation's `on_unavailable` does.
pub(crate) async fn decide(
    app: &App,
    organisation_id: &str,
    request: &PreflightRequest,
) -> Result<Decision, ApiError> {
    let mut on_unavailable = app.on_unavailable;
    for _ in 0..ATTEMPTS {
        let configuration = match app.cache.configuration(organisation_id).await {
            Ok(configuration) => configuration,
            Err(error) if error.code == shared::runtime::error::ErrorCode::Unavailable => {
                return Ok(degraded(on_unavailable));
            }
            Err(error) => return Err(error),
        };
        on_unavailable = configuration.organisation.on_unavailable;
        match attempt(app, &configuration, request).await {
            Ok(Some(decision)) => return Ok(decision),
            Ok(None) => app.cache.forget(&configuration),
            Err(Failed::Answer(error)) => return Err(error),
            Err(Failed::Store(error @ StoreError::Unreadable(_))) => return Err(error.into()),
            Err(Failed::Store(error)) => {
                let (error_type, error) = (ErrorType::of(&error).as_str(), logs::chain(&error));
                let organisation = organisation_id;
                tracing::error!(error_type, organisation, error, "the store did not decide");
                return Ok(degraded(on_unavailable));
            }
        }
    }
    Ok(degraded(on_unavailable))
}

enum Failed {
    Answer(ApiError),
    Store(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The answer without a decision.
pub(crate) fn degraded(on_unavailable: OnUnavailable) -> Decision {
    let message = "the budget service cannot decide at the moment";
    let verdict = match on_unavailable {
        OnUnavailable::Allow => Verdict::Allow(None),
        OnUnavailable::Deny => Verdict::Block {
            reasons: Vec::new(),
            offer: None,
            is_retryable: true,
        },
    };
    Decision {
        verdict,
        warnings: vec![Warning::NotHeld {
            code: "unavailable",
            message: message.to_owned(),
        }],
        on_unavailable,
        exemption_id: None,
        is_degraded: true,
    }
}

/// One decision on one configuration; none where another configuration is in force.
async fn attempt(
    app: &App,
    configuration: &Arc<Configuration>,
    request: &PreflightRequest,
) -> Result<Option<Decision>, Failed> {
    let now = app.clock.now();
    let period = configuration.period_of(now);
    let book = PriceBooks::built_in().at(now);
    let decided = |verdict, warnings| Decision {
        verdict,
        warnings,
        on_unavailable: configuration.organisation.on_unavailable,
        exemption_id: None,
        is_degraded: false,
    };
    let Some(user) = app.cache.user(configuration, &request.user_id).await? else {
        let reason = Reason::unknown_user(&request.user_id);
        return Ok(Some(decided(Verdict::block(reason), Vec::new())));
    };
    let path = configuration.path(&user.department_id);
    let budgets = configuration.budgets_on(&path);
    let estimate = request.estimate(&configuration.organisation, book);
    let mut warnings = Vec::new();
    if estimate.price.is_none() {
        warnings.push(Warning::Unpriced {
            model: request.model.clone(),
        });
    }
    let has_hard_usd = budgets.iter().any(|b| b.hard_cap && b.unit == Unit::Usd);
    let refuses_unknown = configuration.organisation.unknown_model == UnknownModel::Refuse;
    let without_hold = if let Some(reason) = Reason::of_user(&user, now) {
        Some(Verdict::block(reason))
    } else if estimate.price.is_none() && has_hard_usd && refuses_unknown {
        Some(Verdict::block(Reason::unknown_model(&request.model)))
    } else if budgets.is_empty() {
        Some(Verdict::Allow(None))
    } else {
        None
    };
    if let Some(verdict) = without_hold {
        let is_in_force = app.store.is_in_force(configuration, period).await?;
        return Ok(is_in_force.then(|| decided(verdict, warnings)));
    }
    let asked = hold_request(
        configuration,
        &user,
        &budgets,
        request,
        estimate.amounts,
        now,
    )?;
    let rid = asked.rid.clone();
    let mut exemption_id = None;
    let verdict = match app.store.hold(configuration, period, &asked, now).await? {
        HoldOutcome::Held { hold, cell } => {
            warnings.extend(passed_soft_caps(configuration, &path, period, &cell));
            let by = |exempt: &Exempt| {
                configuration
                    .grants
                    .iter()
                    .find(|g| g.index == exempt.index)
            };
            exemption_id = hold
                .exempt
                .as_ref()
                .and_then(by)
                .map(|grant| grant.id.clone());
            Verdict::Allow(Some((HoldId::new(period, rid, &hold), hold)))
        }
        HoldOutcome::AnotherBody => {
            return Err(Failed::Answer(ApiError::conflict(format!(
                "request_id {:?} holds already with another body; use a new request_id",
                request.request_id
            ))));
        }
        HoldOutcome::AnotherEpoch => return Ok(None),
        HoldOutcome::TooManyHolds => {
            let reason = Reason::too_many_holds();
            match configuration.organisation.on_unavailable {
                OnUnavailable::Allow => {
                    warnings.push(Warning::NotHeld {
                        code: reason.code.as_str(),
                        message: reason.message,
                    });
                    Verdict::Allow(None)
                }
                OnUnavailable::Deny => Verdict::Block {
                    reasons: vec![reason],
                    offer: None,
                    is_retryable: true,
                },
            }
        }
        HoldOutcome::Short { nodes, cell } => {
            warnings.extend(passed_soft_caps(configuration, &path, period, &cell));
            Verdict::Block {
                reasons: Reason::short(configuration, &user, &cell, &nodes, &estimate, now),
                offer: offer(&asked, &cell, &estimate),
                is_retryable: false,
            }
        }
    };
    Ok(Some(Decision {
        exemption_id,
        ..decided(verdict, warnings)
    }))
}

/// What is asked of the cell.
fn hold_request(
    configuration: &Configuration,
    user: &User,
    budgets: &[&Budget],
    request: &PreflightRequest,
    amounts: shared::domain::amount::Amounts,
    now: jiff::Timestamp,
) -> Result<HoldRequest, Failed> {
    let organisation = &configuration.organisation;
    let nonce = random::bytes::<3>().map_err(|error| Failed::Answer(error.into()))?;
    let nodes = configuration.counters_on(&configuration.path(&user.department_id));
    let hard = budgets
        .iter()
        .filter(|b| b.hard_cap)
        .map(|b| b.counter())
        .collect();
    let expires_at = now.as_second() + i64::from(organisation.hold_seconds);
    let department = configuration.departments.get(&user.department_id);
    let grants = configuration.grants_of(&user.id, now).into_iter();
    let exemptions = grants.map(|grant| UsableExemption {
        grant: grant.clone(),
        covered: grant.covered(user, budgets),
    });
    Ok(HoldRequest {
        rid: Rid::derive(&organisation.id, &request.user_id, &request.request_id),
        hold: Hold {
            department: department.map_or(u32::MAX, |department| department.index),
            tree: configuration.tree,
            fingerprint: request.fingerprint(),
            nonce,
            expires_at: u32::try_from(expires_at).unwrap_or(u32::MAX),
            extended_by: 0,
            amounts,
            nodes,
            exempt: None,
        },
        hard,
        epoch: configuration.epoch,
        exemptions: exemptions.collect(),
    })
}
