//! Our ledger, set up for a load: in one cell or in many, with the whole preflight or the hold
//! alone.

use super::super::race::TOKENS;
use super::super::rivals::Outcome;
use super::runs::Load;
use super::users;
use crate::api_client::ApiClient;
use crate::audit;
use crate::error::CommandError;
use http::Method;
use jiff::Timestamp;
use local::system::{ORGANISATION, System};
use serde_json::{Value, json};
use shared::domain::amount::Amounts;
use shared::domain::change::Author;
use shared::domain::ledger::hold::Hold;
use shared::domain::ledger::hold_id::HoldKey;
use shared::domain::ledger::hold_request::HoldRequest;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::placement::Placement;
use shared::ledger::HoldOutcome;
use shared::store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// The live holds that a cell should have: then a write costs one unit. The system splits crowded
/// cells by this rule.
const HOLDS_A_CELL: u32 = 15;
const MAX_CELLS: u32 = 64;
/// The users whose items and cells are known before a run begins.
const WARM: u32 = 100;

/// Which part of ours is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The whole preflight, in one cell, as a month begins.
    Preflight,
    /// The same after the cells were split for this load.
    Split,
    /// The hold without the request around it, as the others are measured, in split cells.
    Hold,
}

/// Our ledger.
pub(super) struct Ours {
    api: ApiClient,
    agent: ApiClient,
    /// The budgets from the root to the leaf.
    budget_ids: Vec<String>,
    leaf: String,
    /// The store and what an instance of preflight knows, to hold without a request.
    alone: Option<(Store, Configuration)>,
}

impl Ours {
    pub(super) async fn create(
        part: Part,
        system: &System,
        load: &Load,
    ) -> Result<Self, CommandError> {
        let api = ApiClient::of_system(system);
        let mut parent = None;
        let mut budget_ids = Vec::new();
        for (level, cap) in (1..).zip(load.caps()) {
            let name = format!("d{level}");
            api.create_department(&name, parent.as_deref()).await?;
            let amount = json!(i64::from(cap) * TOKENS);
            budget_ids.push(api.create_budget(Some(&name), "tokens", &amount).await?);
            parent = Some(name);
        }
        let leaf = parent.unwrap_or_default();
        users::create(system, &api, load.users, &leaf).await?;
        if part != Part::Preflight {
            split(system, &leaf, load).await?;
        }
        let ours = Self {
            agent: api.as_agent(),
            api,
            budget_ids,
            alone: None,
            leaf,
        };
        ours.warm(load).await?;
        let alone = match part {
            Part::Hold => Some((system.store().clone(), configuration(system).await?)),
            Part::Preflight | Part::Split => None,
        };
        Ok(Self { alone, ..ours })
    }

    /// Holds and gives back once for the usual users. So a run has neither the reading of the
    /// configuration in it nor the opening of cells, which happen once in a month.
    async fn warm(&self, load: &Load) -> Result<(), CommandError> {
        for n in 0..load.users.min(load.requests).min(WARM) {
            let user = user_of(n, load);
            let decision = self.agent.preflight(&user, &format!("warm-{n}"), 1).await?;
            let hold = decision["hold"]["id"].as_str().unwrap_or_default();
            let path = format!("/v1/holds/{hold}");
            let (status, answer) = self.agent.send(Method::DELETE, &path, &Value::Null).await?;
            if !(200..300).contains(&status) {
                let message = format!("a hold was not given back: {status} {answer}");
                return Err(CommandError::Answer(message));
            }
        }
        Ok(())
    }

    /// The caller by whose name the meter counts it.
    pub(super) fn caller(&self) -> &'static str {
        match self.alone {
            Some(_) => "local",
            None => "preflight",
        }
    }

    pub(super) async fn hold(&self, load: &Load, n: u32) -> Result<Outcome, CommandError> {
        let (user, request) = (user_of(n, load), format!("request-{n}"));
        let is_admitted = match &self.alone {
            None => {
                let decision = self.agent.preflight(&user, &request, TOKENS).await?;
                decision["hold"].is_object()
            }
            Some((store, known)) => {
                let now = Timestamp::now();
                let period = known.period_of(now);
                let asked = self.request(known, &user, &request, now);
                let outcome = store.hold(known, period, &asked, now).await?;
                matches!(outcome, HoldOutcome::Held { .. })
            }
        };
        Ok(Outcome {
            is_admitted,
            // Its calls follow one another: the meter has them.
            round_trips: 0,
        })
    }

    fn request(&self, known: &Configuration, user: &str, id: &str, now: Timestamp) -> HoldRequest {
        let path = known.path(&self.leaf);
        let budgets = known.budgets_on(&path, known.period_of(now));
        let department = known.departments.get(&self.leaf);
        let department = department.map_or(u32::MAX, |department| department.index);
        let cell = known.placement.cell_of(department, user);
        let expires_at = now.as_second() + i64::from(known.organisation.hold_seconds);
        HoldRequest {
            rid: HoldKey::derive(&known.organisation.id, user, id).in_cell(cell),
            hold: Hold {
                department,
                tree: known.tree,
                expires_at: u32::try_from(expires_at).unwrap_or(u32::MAX),
                amounts: Amounts {
                    tokens: TOKENS,
                    ..Amounts::ZERO
                },
                nodes: known.counters_on(&path),
                ..Hold::default()
            },
            requests: 1,
            hard: budgets.iter().map(|budget| budget.counter()).collect(),
            epoch: known.epoch,
            earlier: BTreeSet::new(),
            exemptions: Vec::new(),
        }
    }

    /// What is held at each level, in holds, and whether the books agree with it.
    pub(super) async fn held(&self, system: &System) -> Result<(Vec<u32>, bool), CommandError> {
        let mut levels = Vec::new();
        for id in &self.budget_ids {
            let held = self.api.budget(id).await?["held"].as_i64().unwrap_or(0);
            levels.push(u32::try_from(held / TOKENS).unwrap_or(0));
        }
        let books = audit::compare_local(system).await?;
        Ok((levels, audit::differences(&books) == 0))
    }
}

async fn configuration(system: &System) -> Result<Configuration, CommandError> {
    let known = system.store().configuration(ORGANISATION).await?;
    known.ok_or_else(|| CommandError::Answer("there is no organisation".to_owned()))
}

/// Splits the cells as the system does when it has seen such a load for a minute.
async fn split(system: &System, leaf: &str, load: &Load) -> Result<(), CommandError> {
    let known = configuration(system).await?;
    let others = cells_for(load.expected()) - 1;
    let department = known.departments.get(leaf);
    let Some(department) = department.filter(|_| others > 0) else {
        return Ok(());
    };
    let placement = Placement {
        others,
        cells: BTreeMap::from([(department.index, (0..=others).collect())]),
        ..Placement::default()
    };
    let author = Author::schedule();
    let now = system.clock().now();
    let placed = system
        .store()
        .place_cells(ORGANISATION, &author, now, Some(&placement));
    placed.await?;
    Ok(())
}

/// The cells that a load needs.
pub(super) fn cells_for(live_holds: u32) -> u32 {
    live_holds.div_ceil(HOLDS_A_CELL).clamp(1, MAX_CELLS)
}

/// Spreads the requests over all users, whatever their number.
fn user_of(n: u32, load: &Load) -> String {
    let step = (load.users / load.requests).max(1);
    format!("u{}", n.wrapping_mul(step) % load.users)
}
