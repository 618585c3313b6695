//! Decides whether a request may pass, and holds its amounts.

use super::App;
use super::app::ATTEMPTS;
use super::deadline::Deadline;
use super::decision::{Decision, Verdict};
use super::holding::Asking;
use super::undecided::Known;
use jiff::Timestamp;
use shared::domain::amount::{Amounts, Unit};
use shared::domain::ledger::estimate::{Estimate, PreflightRequest};
use shared::domain::ledger::hold::{Exempt, Hold};
use shared::domain::ledger::hold_id::HoldKey;
use shared::domain::ledger::hold_request::{HoldRequest, UsableExemption};
use shared::domain::ledger::refusal::Reason;
use shared::domain::ledger::warning::{Warning, passed_soft_caps, unpriced};
use shared::domain::org::budget::Budget;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::department::Path;
use shared::domain::org::organisation::{Organisation, UnknownModel};
use shared::domain::org::people::User;
use shared::domain::pricing::book::PriceBooks;
use shared::domain::pricing::quote::Quote;
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::logs::{self, ErrorType};
use shared::runtime::random;
use shared::store::{StoreError, watch};
use std::sync::Arc;

/// Decides until `deadline`. If the database does not answer at all, the organisation's
/// `on_unavailable` decides. If it answers but nothing is decided in time, no hard cap is opened:
/// callers could bring that about on purpose.
pub(crate) async fn decide(
    app: &App,
    organisation_id: &str,
    request: &PreflightRequest,
    deadline: Deadline,
) -> Result<Decision, ApiError> {
    let mut known = Known::nothing(app.on_unavailable);
    let deciding = deadline.limit(attempts(app, organisation_id, request, &mut known));
    let (decided, has_answered) = watch(deciding).await;
    match decided {
        Ok(Ok(Some(decision))) => return Ok(decision),
        Ok(Err(Failed::Answer(error))) if error.code != ErrorCode::Unavailable => {
            return Err(error);
        }
        Ok(Err(Failed::Store(error @ StoreError::Unreadable(_)))) => return Err(error.into()),
        // This was logged when it failed.
        Ok(Err(Failed::Answer(_))) => {}
        Ok(Err(Failed::Store(error))) => undecided(organisation_id, &error),
        Ok(Ok(None)) => undecided(organisation_id, &StoreError::Contended),
        Err(late) => undecided(organisation_id, &late),
    }
    Ok(known.undecided(has_answered))
}

/// Logs why the store did not decide.
fn undecided(organisation: &str, error: &StoreError) {
    let (error_type, error) = (ErrorType::of(error).as_str(), logs::chain(error));
    tracing::error!(error_type, organisation, error, "the store did not decide");
}

#[derive(Debug)]
enum Failed {
    Answer(ApiError),
    Store(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Decides on the configuration in force. None if that changes again and again.
async fn attempts(
    app: &App,
    organisation_id: &str,
    request: &PreflightRequest,
    known: &mut Known,
) -> Result<Option<Decision>, Failed> {
    for _ in 0..ATTEMPTS {
        let configuration = app.cache.configuration(organisation_id).await;
        let configuration = configuration.map_err(Failed::Answer)?;
        match attempt(app, &configuration, request, known).await? {
            Some(decision) => return Ok(Some(decision)),
            None => app.cache.forget(&configuration),
        }
    }
    Ok(None)
}

/// Decides once on `configuration`. None if another configuration is in force.
async fn attempt(
    app: &App,
    configuration: &Arc<Configuration>,
    request: &PreflightRequest,
    known: &mut Known,
) -> Result<Option<Decision>, Failed> {
    let now = app.clock.now();
    let period = configuration.period_of(now);
    let pricing = configuration.pricing(PriceBooks::built_in(), now);
    let organisation = &configuration.organisation;
    *known = Known::nothing(organisation.on_unavailable);
    let Some(user) = app.cache.user(configuration, &request.user_id).await? else {
        let reason = Reason::unknown_user(&request.user_id);
        let verdict = Verdict::block(reason);
        return Ok(Some(decided(organisation, verdict, Vec::new())));
    };
    let path = configuration.path(&user.department_id);
    let budgets = configuration.budgets_on(&path, period);
    let quote = request.quote(&pricing);
    let denied = denied(configuration, &user, &path, request, &quote, now);
    let estimate = request.estimate(organisation, quote, pricing.book().largest_output());
    known.price = Some(estimate.matched.clone());
    let decided = |verdict, warnings| Decision {
        price: Some(estimate.matched.clone()),
        ..decided(organisation, verdict, warnings)
    };
    let mut warnings: Vec<Warning> = unpriced(&estimate.matched, &request.model)
        .into_iter()
        .collect();
    if let Some(verdict) = without_counters(denied, organisation, &budgets, request, &estimate) {
        known.may_pass_unheld = matches!(verdict, Verdict::Allow(_));
        if !known.may_pass_unheld {
            warnings.clear();
        }
        let is_in_force = app.store.is_in_force(configuration, period).await?;
        return Ok(is_in_force.then(|| decided(verdict, warnings)));
    }
    known.may_pass_unheld = budgets.iter().all(|budget| !budget.hard_cap);
    let amounts = estimate.amounts;
    let asked = hold_request(configuration, &user, &budgets, request, amounts, now)?;
    let asking = Asking {
        app,
        configuration,
        user: &user,
        period,
        estimate: &estimate,
        asked: &asked,
        is_lease: request.requests.is_some(),
        now,
    };
    // The place is taken until `places` has seen the cell that the write returned.
    let (outcome, _place) = asking.hold().await?;
    let answer = asking.answer(outcome, &request.request_id).await;
    let Some(answer) = answer.map_err(Failed::Answer)? else {
        return Ok(None);
    };
    warnings.extend(answer.unheld);
    let sums = &app.sums;
    let of = (&path, period);
    let seen = sums.to_warn_by(&app.store, configuration, of, &answer.cell, now);
    warnings.extend(passed_soft_caps(configuration, &path, period, &*seen.await));
    app.places
        .see(&organisation.id, period, asked.rid.cell(), answer.cell);
    Ok(Some(Decision {
        exemption_id: exemption_id(configuration, answer.exempt.as_ref()),
        ..decided(answer.verdict, warnings)
    }))
}

fn decided(organisation: &Organisation, verdict: Verdict, warnings: Vec<Warning>) -> Decision {
    Decision {
        verdict,
        warnings,
        price: None,
        on_unavailable: organisation.on_unavailable,
        exemption_id: None,
        is_degraded: false,
    }
}

/// Returns the id of the exemption that a hold used.
pub(crate) fn exemption_id(
    configuration: &Configuration,
    exempt: Option<&Exempt>,
) -> Option<String> {
    let index = exempt?.index;
    let mut grants = configuration.grants.iter();
    let grant = grants.find(|grant| grant.index == index)?;
    Some(grant.id.clone())
}

/// Returns why the user may not send the request, whatever the counters have.
fn denied(
    configuration: &Configuration,
    user: &User,
    path: &Path,
    request: &PreflightRequest,
    quote: &Quote,
    now: Timestamp,
) -> Option<Reason> {
    let provider = request.provider.as_deref();
    let (model, tier) = (request.model.as_str(), request.service_tier);
    let of_model = || Reason::of_model(configuration, path, quote, provider, model, tier);
    Reason::of_user(user, now).or_else(of_model)
}

/// Returns the verdict if it needs no counters.
fn without_counters(
    denied: Option<Reason>,
    organisation: &Organisation,
    budgets: &[&Budget],
    request: &PreflightRequest,
    estimate: &Estimate,
) -> Option<Verdict> {
    let has_hard_usd = budgets.iter().any(|b| b.hard_cap && b.unit == Unit::Usd);
    let refuses_unknown = organisation.unknown_model != UnknownModel::Count;
    if let Some(reason) = denied {
        Some(Verdict::block(reason))
    } else if estimate.matched.is_unpriced() && has_hard_usd && refuses_unknown {
        Some(Verdict::block(Reason::unknown_model(&request.model)))
    } else {
        budgets.is_empty().then_some(Verdict::Allow(Vec::new()))
    }
}

/// Builds the request to the cell.
fn hold_request(
    configuration: &Configuration,
    user: &User,
    budgets: &[&Budget],
    request: &PreflightRequest,
    amounts: Amounts,
    now: Timestamp,
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
    let asked = HoldRequest {
        rid: HoldKey::derive(&organisation.id, &request.user_id, &request.request_id)
            .in_cell(configuration.cell_of(user)),
        hold: Hold {
            department: department.map_or(u32::MAX, |department| department.index),
            tree: configuration.tree,
            fingerprint: request.fingerprint(),
            nonce,
            expires_at: u32::try_from(expires_at).unwrap_or(u32::MAX),
            extended_by: 0,
            tier: request.service_tier,
            amounts,
            nodes,
            exempt: None,
        },
        requests: 1,
        hard,
        epoch: configuration.epoch,
        earlier: configuration.earlier_cells_of(user, now),
        exemptions: exemptions.collect(),
    };
    Ok(match request.requests {
        Some(requests) => asked.leased(requests, now),
        None => asked,
    })
}
