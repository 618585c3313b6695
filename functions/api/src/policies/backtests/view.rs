//! Shows the findings of a test as JSON.

use serde::Serialize;
use shared::domain::amount::Unit;
use shared::domain::policy::{ActionCounts, Figures, Replay, Sample, Tally};
use shared::runtime::openapi::Moment;
use shared::runtime::wire::Figure;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The most users that a test names.
const MAX_USERS: usize = 1_000;

#[derive(Serialize, ToSchema)]
#[schema(as = Window)]
struct WindowView {
    #[schema(value_type = Moment)]
    from: String,
    #[schema(value_type = Moment)]
    to: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Measured)]
struct FiguresView {
    unit: Unit,
    value: Figure,
    threshold: Figure,
}

impl From<Figures> for FiguresView {
    fn from(figures: Figures) -> Self {
        let Figures {
            unit,
            value,
            threshold,
        } = figures;
        Self {
            unit,
            value: Figure(unit, value),
            threshold: Figure(unit, threshold),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Sample)]
struct SampleView<'a> {
    event_id: &'a str,
    #[schema(value_type = Moment)]
    occurred_at: String,
    #[schema(required = true)]
    user_id: Option<&'a str>,
    #[schema(required = true)]
    department_id: Option<&'a str>,
    #[schema(required = true)]
    measured: Option<FiguresView>,
    conditions: &'a [String],
}

fn sample_view(sample: &Sample) -> SampleView<'_> {
    SampleView {
        event_id: &sample.event_id,
        occurred_at: sample.occurred_at.to_string(),
        user_id: sample.user_id.as_deref(),
        department_id: sample.department_id.as_deref(),
        measured: sample.figures.map(FiguresView::from),
        conditions: &sample.why,
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = PolicyTest)]
pub(crate) struct TestView<'a> {
    window: WindowView,
    events_evaluated: u64,
    would_trigger: u64,
    /// The users for whom it would fire most often.
    by_user: BTreeMap<&'a str, u64>,
    /// The number of users who are not listed.
    other_users: usize,
    by_department: &'a BTreeMap<String, u64>,
    by_day: BTreeMap<String, u64>,
    would_do: ActionCounts,
    samples: Vec<SampleView<'a>>,
    /// Whether all of the window was evaluated.
    is_complete: bool,
    /// The end of the evaluated part if it is not complete: send `next_cursor` as `cursor` to
    /// continue.
    #[schema(value_type = Moment)]
    evaluated_until: String,
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// The findings of a test so far.
pub(crate) fn test_view<'a>(
    replay: &'a Replay,
    evaluated_until: String,
    next_cursor: Option<String>,
) -> TestView<'a> {
    let Tally {
        events_evaluated,
        would_trigger,
        by_user,
        by_department,
        by_day,
        would_do,
        samples,
    } = &replay.tally;
    let mut users: Vec<(&str, u64)> = by_user.iter().map(|(id, n)| (id.as_str(), *n)).collect();
    users.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let other_users = users.len().saturating_sub(MAX_USERS);
    users.truncate(MAX_USERS);
    TestView {
        window: WindowView {
            from: replay.window.from.to_string(),
            to: replay.window.to.to_string(),
        },
        events_evaluated: *events_evaluated,
        would_trigger: *would_trigger,
        by_user: users.into_iter().collect(),
        other_users,
        by_department,
        by_day: by_day
            .iter()
            .map(|(day, n)| (day.to_string(), *n))
            .collect(),
        would_do: *would_do,
        samples: samples.iter().map(sample_view).collect(),
        is_complete: next_cursor.is_none(),
        evaluated_until,
        next_cursor,
    }
}
