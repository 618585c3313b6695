//! The laws: what must be so after each call that changed something, and what when all is done. The
//! books of the world are compared in any case when it is dropped.

use super::company::{Company, Outcome, month_of};
use super::scenario::{BEFORE, Q, Scenario, Script, hold_of, used};
use super::search::is_write;
use local::dynamodb::Call;
use shared::domain::amount::Unit;
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::hold::Hold;
use shared::domain::ledger::hold_id::{HoldId, HoldKey};
use shared::domain::ledger::node::Node;
use shared::domain::ledger::refusal::Reason;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::people::User;
use shared::domain::period::Month;
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Laws<'a> {
    company: &'a Company,
    scenario: &'a Scenario,
    /// The month in which everybody acts.
    month: Month,
    /// The configuration when the cell was seen last.
    configuration: Configuration,
    /// The holds of the cell, by their id.
    holds: BTreeMap<String, Hold>,
    /// The amount that each path has spent.
    spent: BTreeMap<String, i64>,
    /// The least that a hard cap ever had.
    least: i64,
}

fn holds_of(month: Month, cell: &Cell) -> BTreeMap<String, Hold> {
    let of_one = |(rid, hold): (&HoldKey, &Hold)| {
        let id = HoldId::new(month, rid.clone(), hold);
        (id.to_string(), hold.clone())
    };
    cell.holds.iter().map(of_one).collect()
}

/// The counters of the hard caps in tokens.
fn hard(configuration: &Configuration, month: Month) -> Vec<Node> {
    let budgets = configuration.budgets.values();
    let budgets = budgets.filter(|budget| budget.counts_in(month));
    let hard = budgets.filter(|budget| budget.hard_cap && budget.unit == Unit::Tokens);
    hard.map(|budget| budget.counter()).collect()
}

/// The tokens that a counter has left.
fn rest(cell: &Cell, node: Node) -> i64 {
    let counted = cell.nodes.get(&node).copied().unwrap_or(0);
    counted.try_into().unwrap()
}

impl<'a> Laws<'a> {
    /// The laws of a world before any actor acts.
    pub(super) async fn new(company: &'a Company, scenario: &'a Scenario) -> Self {
        let mut laws = Self {
            company,
            scenario,
            month: month_of(scenario.setting.at),
            configuration: company.configuration().await,
            holds: BTreeMap::new(),
            spent: BTreeMap::new(),
            least: i64::MAX,
        };
        if let Some(cell) = laws.cell(laws.month).await {
            laws.holds = holds_of(laws.month, &cell);
            laws.see_counters(&cell);
        }
        laws
    }

    /// Checks the effect of a call on the cell and the totals.
    pub(super) async fn see(&mut self, call: &Call, script: Script) {
        if !is_write(call) {
            return;
        }
        if call.body.contains("\"Counters\"") {
            self.see_cell().await;
        }
        if self.tells_where(script) {
            self.see_usage().await;
        }
    }

    /// Whether usage counts in ada's current department: no usage in this scenario has a
    /// hold, or happened before.
    fn tells_where(&self, script: Script) -> bool {
        let all = self.scenario.scripts.iter();
        let mut events = all.flat_map(|script| script.events());
        let is_now = self.scenario.setting.used_at.is_none();
        !script.events().is_empty() && is_now && events.all(|event| hold_of(event).is_none())
    }

    async fn cell(&self, month: Month) -> Option<Cell> {
        let store = self.company.world.system.store();
        store.cell("demo", month).await.unwrap()
    }

    async fn user(&self) -> User {
        let store = self.company.world.system.store();
        store.user("demo", "ada").await.unwrap().unwrap()
    }

    /// A hold comes, or grows, by the configuration in force, and leaves no hard cap in debt.
    /// Nothing else brings one into debt if all that is used has a hold.
    async fn see_cell(&mut self) {
        let Some(cell) = self.cell(self.month).await else {
            return;
        };
        let holds = holds_of(self.month, &cell);
        let before = std::mem::replace(&mut self.holds, holds);
        let had = |id: &String| before.get(id).map_or(0, |hold| hold.amounts.tokens);
        let gained = self.holds.iter();
        let gained = gained.filter(|(id, hold)| hold.amounts.tokens > had(id));
        let gained: Vec<(String, Hold)> = gained
            .map(|(id, hold)| (id.clone(), hold.clone()))
            .collect();
        if !gained.is_empty() || cell.epoch != self.configuration.epoch {
            self.configuration = self.company.configuration().await;
        }
        self.see_counters(&cell);
        for (id, hold) in gained {
            self.see_gain(&cell, &id, &hold, before.contains_key(&id))
                .await;
        }
    }

    fn see_counters(&mut self, cell: &Cell) {
        for node in hard(&self.configuration, self.month) {
            let rest = rest(cell, node);
            self.least = self.least.min(rest);
            let may_owe = self.scenario.may_owe;
            assert!(rest >= 0 || may_owe, "{node:?} is {rest}: {cell:?}");
        }
    }

    async fn see_gain(&self, cell: &Cell, id: &str, hold: &Hold, was_there: bool) {
        let configuration = &self.configuration;
        let (is, should) = (cell.epoch, configuration.epoch);
        assert_eq!(is, should, "{id} is held under a state that is over");
        for node in hard(configuration, self.month) {
            let rest = rest(cell, node);
            let is_paid = hold.taken_from(node) <= 0 || rest >= 0;
            assert!(is_paid, "{id} leaves {node:?} at {rest}: {cell:?}");
        }
        if let Some(exempt) = &hold.exempt {
            let mut grants = configuration.grants.iter();
            let is_granted = grants.any(|grant| grant.index == exempt.index);
            assert!(is_granted, "{id} is under an exemption that has ended");
        }
        let user = self.user().await;
        let now = self.company.world.system.clock().now();
        let refusal = Reason::of_user(&user, now);
        assert!(refusal.is_none(), "{id} is held for a user who is blocked");
        let department = configuration.departments[&user.department_id].index;
        let is_where = was_there || hold.department == department;
        assert!(is_where, "{id} is held where its user is no more: {hold:?}");
    }

    /// Usage without a hold counts in the department of its user.
    async fn see_usage(&mut self) {
        let store = self.company.world.system.store();
        let totals = store.department_totals("demo", self.month).await.unwrap();
        let user = self.user().await;
        let path = self.company.configuration().await;
        let path = path.path(&user.department_id);
        for (of, sums) in totals.rows() {
            let before = self.spent.insert(of.to_text(), sums.tokens).unwrap_or(0);
            let is_where = before == sums.tokens || *of == path;
            assert!(is_where, "{path:?} used something, and {of:?} pays");
        }
    }

    /// An actor who was just told of a hold has one.
    pub(super) async fn answered(&self, outcome: &Outcome) {
        if let Outcome::Passes(Some(hold)) | Outcome::Renewed(Some(hold)) = outcome {
            assert!(self.holds.contains_key(hold), "{hold} is not in its cell");
            let has_ended = self.company.has_ended(hold).await;
            assert!(!has_ended, "{hold} had ended when it was answered");
        }
    }

    /// The laws that hold when all is done.
    pub(super) async fn end(mut self, outcomes: &[Outcome]) {
        self.see_cell().await;
        let store = self.company.world.system.store();
        let now = self.company.world.system.clock().now();
        self.configuration = self.company.configuration().await;
        let used_at = self.scenario.setting.used_at.map(month_of);
        let months = [Some(month_of(BEFORE)), used_at, Some(self.month)];
        let months: BTreeSet<Month> = months.into_iter().flatten().collect();
        let (mut held, mut spent) = (BTreeSet::new(), 0);
        for month in months {
            let totals = store.department_totals("demo", month).await.unwrap();
            let of_month = totals.spent_under(None).tokens;
            spent += of_month;
            let Some(cell) = self.cell(month).await else {
                continue;
            };
            held.extend(holds_of(month, &cell).into_keys());
            let is_current = month == self.month;
            let (is, should) = (cell.epoch, self.configuration.epoch);
            assert!(!is_current || is == should, "{month} was left at {is}");
            if is_current || of_month != 0 {
                let found = store.compare_counters("demo", month, now).await.unwrap();
                assert_eq!(found, [], "{month}: {cell:?}");
            }
        }
        assert_eq!(held, self.living(outcomes), "what is held: {outcomes:?}");
        let events = self.scenario.scripts.iter();
        let events: BTreeSet<u8> = events.flat_map(|script| script.events()).collect();
        let all: i64 = events.into_iter().map(used).sum();
        assert_eq!(spent, all, "each event counts once: {outcomes:?}");
        let is_full = |outcome: &&Outcome| match outcome {
            Outcome::Refused(code) => code == "budget_exhausted",
            _ => false,
        };
        let refused = outcomes.iter().filter(is_full).count();
        let (least, was_short) = (self.least, self.least < Q);
        assert!(
            refused == 0 || was_short,
            "refused although each cap always had {least}: {outcomes:?}"
        );
        let dead = self.company.world.system.queues().counts("events-dlq");
        assert_eq!(dead.unwrap().visible, 0);
        self.ask_for_what_is_left().await;
    }

    /// The holds that live when all is done: those that were there before and those that were
    /// answered, but for those that ended.
    fn living(&self, outcomes: &[Outcome]) -> BTreeSet<String> {
        let Scenario {
            setting, scripts, ..
        } = self.scenario;
        let mut living: BTreeSet<String> = self.company.holds.values().cloned().collect();
        for outcome in outcomes {
            if let Outcome::Passes(Some(hold)) = outcome {
                living.insert(hold.clone());
            }
        }
        let are_released = setting.is_swept || scripts.contains(&Script::Expire);
        for (request, hold) in &self.company.holds {
            let mut all = scripts.iter().zip(outcomes);
            let is_renewed = all.any(|(script, outcome)| {
                let was_renewed = *outcome == Outcome::Renewed(Some(hold.clone()));
                *script == Script::Renew(*request) && was_renewed
            });
            let is_ended = scripts.iter().any(|script| script.ends().contains(request));
            if is_ended || are_released && !is_renewed {
                living.remove(hold);
            }
        }
        living
    }

    /// A request for exactly the rest passes, and then none does.
    async fn ask_for_what_is_left(&self) {
        let Some(cell) = self.cell(self.month).await else {
            return;
        };
        let (user, configuration) = (self.user().await, &self.configuration);
        let path = configuration.counters_on(&configuration.path(&user.department_id));
        let caps = hard(configuration, self.month).into_iter();
        let caps = caps.filter(|node| path.contains(node));
        let Some(left) = caps.map(|node| rest(&cell, node)).min() else {
            return;
        };
        if user.block.is_some() {
            return;
        }
        let world = &self.company.world;
        if left > 0 {
            let decision = world.preflight("ada", "left", left, 0).await;
            assert_eq!(decision["decision"], "allow", "{left}: {decision}");
        }
        if configuration.grants.is_empty() {
            let decision = world.preflight("ada", "one-more", 1, 0).await;
            assert_eq!(decision["decision"], "block", "{decision}");
        }
    }
}
