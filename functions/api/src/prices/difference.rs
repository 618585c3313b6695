//! Shows what priced usage differs by.

use jiff::Timestamp;
use serde::Serialize;
use shared::domain::amount::Unit;
use shared::domain::ledger::repricing::{Cost, Costs, Place};
use shared::domain::org::configuration::Configuration;
use shared::domain::org::department::Path;
use shared::domain::period::Month;
use shared::runtime::openapi::{Moment, MonthId};
use shared::runtime::wire::Usd;
use utoipa::ToSchema;

/// The difference of one place.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) place: Place,
    pub(super) costs: Costs,
    /// What is left to book.
    pub(super) left: Cost,
    /// The id of the correction that books it.
    pub(super) correction_id: String,
    pub(super) is_booked: bool,
    /// Why it is not booked.
    pub(super) refused: Option<String>,
}

impl Item {
    pub(super) fn is_due(&self) -> bool {
        !self.left.is_zero()
    }
}

/// What a call priced.
pub(super) struct Window<'a> {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) is_dry_run: bool,
    pub(super) records: usize,
    pub(super) next_cursor: Option<&'a str>,
}

/// The difference of a department and month, beside those of the departments below it.
#[derive(Serialize, ToSchema)]
#[schema(as = RepricedDepartment)]
struct DifferenceView<'a> {
    /// Null for usage of the organisation alone.
    #[schema(required = true)]
    department_id: Option<&'a str>,
    #[schema(value_type = MonthId)]
    month: Month,
    /// What the usage was charged.
    recorded_usd: Usd,
    /// What it costs now.
    repriced_usd: Usd,
    /// What is booked of it now, or would be: the difference less what was booked before.
    difference_usd: Usd,
    /// The tokens that had no price and have one now: so many fewer are `unpriced_tokens`. Below
    /// zero if they have none again.
    priced_tokens: i64,
    /// The correction that books it. Null in a dry run, or if nothing is booked.
    #[schema(required = true)]
    correction_id: Option<&'a str>,
    /// Why it was not booked, if it was not.
    #[schema(required = true)]
    refused: Option<&'a str>,
}

/// The difference of a budget in US dollars: of all departments that count for it.
#[derive(Serialize, ToSchema)]
#[schema(as = RepricedBudget)]
struct BudgetView<'a> {
    budget_id: &'a str,
    name: &'a str,
    #[schema(required = true)]
    department_id: Option<&'a str>,
    #[schema(value_type = MonthId)]
    month: Month,
    difference_usd: Usd,
    /// So many fewer tokens are `unpriced_tokens`.
    priced_tokens: i64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Repriced)]
pub(super) struct RepriceView<'a> {
    /// The hours of arrival that were priced: from the beginning of one .. An hour that goes on in
    /// the next call is not among them.
    #[schema(value_type = Moment)]
    from: String,
    /// .. to the end of another.
    #[schema(value_type = Moment)]
    to: String,
    dry_run: bool,
    /// How many events this call has read.
    records: usize,
    departments: Vec<DifferenceView<'a>>,
    budgets: Vec<BudgetView<'a>>,
    /// What to send as `cursor` to continue; null at the end.
    #[schema(required = true)]
    next_cursor: Option<&'a str>,
}

pub(super) fn shown<'a>(
    configuration: &'a Configuration,
    items: &'a [Item],
    of: Window<'a>,
) -> RepriceView<'a> {
    let usd = |pico_usd| Usd(Unit::Usd.rounded_up(pico_usd));
    let departments = items.iter().map(|item| {
        let (month, path) = &item.place;
        let department_id = path.trim_matches('/').rsplit('/').next();
        DifferenceView {
            department_id: department_id.filter(|id| !id.is_empty()),
            month: *month,
            recorded_usd: usd(item.costs.recorded.pico_usd),
            repriced_usd: usd(item.costs.anew.pico_usd),
            difference_usd: usd(item.left.pico_usd),
            priced_tokens: item.left.unpriced.saturating_neg(),
            correction_id: item.is_booked.then_some(item.correction_id.as_str()),
            refused: item.refused.as_deref(),
        }
    });
    RepriceView {
        from: of.from.to_string(),
        to: of.to.to_string(),
        dry_run: of.is_dry_run,
        records: of.records,
        departments: departments.collect(),
        budgets: budgets(configuration, items),
        next_cursor: of.next_cursor,
    }
}

fn budgets<'a>(configuration: &'a Configuration, items: &[Item]) -> Vec<BudgetView<'a>> {
    let mut months: Vec<Month> = items.iter().map(|item| item.place.0).collect();
    months.sort_unstable();
    months.dedup();
    let mut views = Vec::new();
    for month in months {
        let budgets = configuration.budgets_in(month);
        for budget in budgets.filter(|budget| budget.unit == Unit::Usd) {
            let department_id = budget.department_id.as_deref();
            let counts = items.iter().filter(|item| {
                let (of, path) = &item.place;
                *of == month && Path::from_text(path).is_under(department_id)
            });
            let difference = counts.fold(Cost::default(), |sum, item| sum.plus(item.left));
            views.push(BudgetView {
                budget_id: &budget.id,
                name: &budget.name,
                department_id,
                month,
                difference_usd: Usd(Unit::Usd.rounded_up(difference.pico_usd)),
                priced_tokens: difference.unpriced.saturating_neg(),
            });
        }
    }
    views
}
