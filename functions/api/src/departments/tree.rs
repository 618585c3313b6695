//! The whole department tree with its budgets and usage in one answer.

use crate::App;
use crate::budgets::view::{BudgetView, PeriodUsage, budget_view};
use crate::in_force::configuration_and_cell;
use crate::json::to_json;
use crate::visibility::Visibility;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use shared::domain::amount::Unit;
use shared::domain::ledger::cell::Cell;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::department::Department;
use shared::domain::period::Month;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::json;
use shared::runtime::list::Parameters;
use shared::runtime::openapi::{Denied, Invalid, Unknown};
use shared::runtime::wire::Usd;
use shared::store::{DepartmentTotals, Sums};
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = DepartmentTree)]
struct TreeView {
    period: String,
    /// The budgets of the organisation itself.
    budgets: Vec<BudgetView>,
    /// All usage of the month in all departments; null for a key that sees only some of them.
    usage: Option<UsageView>,
    /// Whether the amounts of the departments exceed the organisation's budget; null like `usage`.
    over_allocated: Option<bool>,
    /// The topmost departments that the key sees.
    items: Vec<NodeView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DepartmentNode)]
struct NodeView {
    id: String,
    name: String,
    #[schema(required = true)]
    parent_id: Option<String>,
    #[schema(required = true)]
    manager_id: Option<String>,
    budgets: Vec<BudgetView>,
    usage: UsageView,
    over_allocated: bool,
    /// Whether it was deleted. It is listed because of its usage in this month.
    deleted: bool,
    #[schema(no_recursion)]
    children: Vec<NodeView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SubtreeUsage)]
struct UsageView {
    tokens: i64,
    /// Those of them whose model has no price.
    unpriced_tokens: i64,
    usd: Usd,
    requests: i64,
}

fn usage_view(sums: Sums) -> UsageView {
    UsageView {
        tokens: sums.tokens,
        unpriced_tokens: sums.unpriced,
        usd: Usd(sums.amounts().micro_usd()),
        requests: sums.requests,
    }
}

/// The data of a tree.
struct Drawing<'a> {
    configuration: &'a Configuration,
    period: Month,
    cell: &'a Cell,
    children: BTreeMap<Option<&'a str>, Vec<&'a Department>>,
    totals: &'a DepartmentTotals,
    used: Used<'a>,
    now: Timestamp,
}

/// The usage under the topmost departments. Each record is under one of them, so they add up to the
/// organisation.
#[derive(Default)]
struct Used<'a> {
    /// The topmost departments by id.
    roots: BTreeMap<String, Sums>,
    /// Deleted departments by id, if nothing above or below them is left.
    deleted: BTreeMap<&'a str, Sums>,
}

impl<'a> Used<'a> {
    /// Usage stays in the department that spent it, also after that has moved. It counts under the
    /// topmost department of its time, or under the one that contains that department today.
    fn of(configuration: &'a Configuration, totals: &'a DepartmentTotals) -> Self {
        let mut used = Self::default();
        for (path, sums) in totals.rows() {
            let mut steps = path.0.iter();
            let existing = steps.find(|id| configuration.departments.contains_key(*id));
            let root = existing.and_then(|id| configuration.path(id).0.into_iter().next());
            let sum = match (root, path.department_id()) {
                (Some(root), _) => used.roots.entry(root).or_default(),
                (None, Some(id)) => used.deleted.entry(id).or_default(),
                (None, None) => continue,
            };
            *sum = sum.plus(*sums);
        }
        used
    }

    /// Returns the nodes of deleted departments.
    fn deleted(&self) -> impl Iterator<Item = NodeView> {
        self.deleted.iter().map(|(id, sums)| NodeView {
            id: (*id).to_owned(),
            name: (*id).to_owned(),
            parent_id: None,
            manager_id: None,
            budgets: Vec::new(),
            usage: usage_view(*sums),
            over_allocated: false,
            deleted: true,
            children: Vec::new(),
        })
    }
}

impl<'a> Drawing<'a> {
    fn children(&self, id: Option<&'a str>) -> &[&'a Department] {
        self.children.get(&id).map_or(&[], Vec::as_slice)
    }

    fn budgets(&self, id: Option<&str>) -> Vec<BudgetView> {
        let budgets = self.configuration.budgets.values();
        let mut own: Vec<_> = budgets
            .filter(|budget| budget.department_id.as_deref() == id)
            .collect();
        own.sort_by_key(|budget| budget.unit);
        let used = PeriodUsage {
            cell: Some(self.cell),
            totals: self.totals,
        };
        own.into_iter()
            .map(|budget| budget_view(self.configuration, budget, used, self.now))
            .collect()
    }

    fn amount(&self, id: Option<&str>, unit: Unit) -> Option<i64> {
        let mut budgets = self.configuration.budgets.values();
        let own = budgets.find(|b| b.unit == unit && b.department_id.as_deref() == id);
        own.map(|budget| budget.amount_in(self.period))
    }

    /// Returns the amounts given to the departments under `id`: that of each, or of those under it
    /// if it has none.
    fn given_below(&self, id: Option<&'a str>, unit: Unit) -> i64 {
        let given = |child: &&'a Department| {
            let child: &'a Department = child;
            let child_id = Some(child.id.as_str());
            self.amount(child_id, unit)
                .unwrap_or_else(|| self.given_below(child_id, unit))
        };
        let children = self.children(id).iter();
        children.map(given).fold(0, i64::saturating_add)
    }

    /// Returns the usage under a department.
    fn used_under(&self, department: &Department) -> Sums {
        match department.parent_id {
            None => self
                .used
                .roots
                .get(&department.id)
                .copied()
                .unwrap_or_default(),
            Some(_) => self.totals.sums_under(Some(&department.id)),
        }
    }

    fn is_over_allocated(&self, id: Option<&'a str>) -> bool {
        [Unit::Tokens, Unit::Usd].into_iter().any(|unit| {
            self.amount(id, unit)
                .is_some_and(|amount| self.given_below(id, unit) > amount)
        })
    }

    /// Returns the topmost visible departments under `parent_id`, each with its subtree.
    fn visible(&self, parent_id: Option<&'a str>, visibility: &Visibility) -> Vec<NodeView> {
        let children = self.children(parent_id).iter();
        let each = children.map(|department: &&'a Department| {
            let department: &'a Department = department;
            match visibility.has_department(Some(&department.id)) {
                true => vec![self.node(department)],
                false => self.visible(Some(&department.id), visibility),
            }
        });
        each.flatten().collect()
    }

    /// Returns all topmost departments, with the deleted ones.
    fn whole(&self, visibility: &Visibility) -> Vec<NodeView> {
        let mut items = self.visible(None, visibility);
        items.extend(self.used.deleted());
        items
    }

    fn node(&self, department: &'a Department) -> NodeView {
        let id = Some(department.id.as_str());
        let children = self.children(id).iter();
        NodeView {
            id: department.id.clone(),
            name: department.name.clone(),
            parent_id: department.parent_id.clone(),
            manager_id: department.manager_id.clone(),
            budgets: self.budgets(id),
            usage: usage_view(self.used_under(department)),
            over_allocated: self.is_over_allocated(id),
            deleted: false,
            children: children.map(|child| self.node(child)).collect(),
        }
    }
}

/// Shows the department tree with the budgets and this month's usage of each subtree.
#[shared::endpoint(GET "/v1/departments/tree", MANAGED)]
#[utoipa::path(
    operation_id = "getDepartmentTree",
    tag = "Departments",
    responses((status = 200, description = "The tree.", body = TreeView), Invalid, Unknown, Denied),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    Parameters::of_query(query.as_deref()).finish()?;
    let now = app.clock.now();
    let (configuration, cell) = configuration_and_cell(&app, owner, now).await?;
    let period = configuration.period_of(now);
    let totals = app
        .store
        .department_totals(&owner.organisation_id, period)
        .await?;
    let mut children: BTreeMap<Option<&str>, Vec<&Department>> = BTreeMap::new();
    for department in configuration.departments.values() {
        let parent = department.parent_id.as_deref();
        children.entry(parent).or_default().push(department);
    }
    let drawing = Drawing {
        configuration: &configuration,
        period,
        cell: &cell,
        totals: &totals,
        used: Used::of(&configuration, &totals),
        children,
        now,
    };
    let visibility = Visibility::of_departments(owner, &configuration);
    let is_whole = visibility.has_department(None);
    let tree = TreeView {
        period: period.to_string(),
        budgets: match is_whole {
            true => drawing.budgets(None),
            false => Vec::new(),
        },
        usage: is_whole.then(|| usage_view(totals.sums_under(None))),
        over_allocated: is_whole.then(|| drawing.is_over_allocated(None)),
        items: match is_whole {
            true => drawing.whole(&visibility),
            false => drawing.visible(None, &visibility),
        },
    };
    Ok(json(200, to_json(&tree)))
}
