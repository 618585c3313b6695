//! Usage reports by hour, day or month, user, department, provider and model.

use super::openapi::bodies::UsagePeriod;
use super::visibility::Visibility;
use super::{App, view};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::Serialize;
use shared::domain::ledger::buckets::{Bucket, Division, between};
use shared::domain::name::{is_slug, is_user_id};
use shared::domain::org::configuration::Configuration;
use shared::domain::org::department::Path;
use shared::domain::period::Month;
use shared::runtime::auth::Caller;
use shared::runtime::error::{ApiError, Detail};
use shared::runtime::http::json;
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{Day, Denied, DepartmentId, Invalid, Moment, Page, Unknown, UserId};
use shared::runtime::wire::Usd;
use shared::store::{UsageFilter, UsageRow};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The most hours (a week), days and months of one report.
const MOST: [(Division, usize); 3] = [
    (Division::Hourly, 7 * 25),
    (Division::Daily, 92),
    (Division::Monthly, 14),
];

#[derive(Serialize, ToSchema)]
#[schema(as = UsageRow)]
struct UsageView {
    user_id: String,
    #[schema(required = true)]
    department_id: Option<String>,
    model: String,
    provider: String,
    period: &'static str,
    period_id: String,
    #[schema(value_type = Option<Moment>, required = true)]
    starts_at: Option<String>,
    total_requests: i64,
    total_input_tokens: i64,
    total_output_tokens: i64,
    total_cached_input_tokens: i64,
    total_tokens: i64,
    estimated_cost_usd: Usd,
}

const DIVISIONS: &[(&str, Division)] = &[
    ("hourly", Division::Hourly),
    ("daily", Division::Daily),
    ("monthly", Division::Monthly),
];

/// The start or end of a report.
#[derive(Clone, Copy, Debug)]
enum Edge {
    /// A day such as `2026-11-24`. `2026-11` stands for its first day or its last.
    Days(Date, Date),
    /// The day of a time like `2026-11-24T12:00:00Z`, in the organisation's time zone.
    DayOf(Timestamp),
}

impl Edge {
    fn read(text: &str) -> Option<Self> {
        let known = |year: i16| (2000..=9998).contains(&year);
        if text.len() == 10 {
            let day: Date = text.parse().ok()?;
            return known(day.year()).then_some(Self::Days(day, day));
        }
        if text.contains(['T', 't']) {
            let at: Timestamp = text.parse().ok()?;
            let year = TimeZone::UTC.to_datetime(at).year();
            return known(year).then_some(Self::DayOf(at));
        }
        let month: Month = text.parse().ok()?;
        let first: Date = format!("{month}-01").parse().ok()?;
        Some(Self::Days(first, first.last_of_month()))
    }

    fn days(self, zone: &TimeZone) -> (Date, Date) {
        match self {
            Self::Days(first, last) => (first, last),
            Self::DayOf(at) => {
                let day = zone.to_datetime(at).date();
                (day, day)
            }
        }
    }
}

/// A requested report, as far as it can be read without the organisation.
struct Asked {
    division: Division,
    start: Option<Edge>,
    end: Option<Edge>,
    filter: UsageFilter,
}

fn read(parameters: &mut Parameters) -> Asked {
    let division = parameters.one_of("period", DIVISIONS);
    let rule = "must be a date like 2026-11-24 or a month like 2026-11";
    let start = parameters.take("start_date", rule, Edge::read);
    let end = parameters.take("end_date", rule, Edge::read);
    let named = |most: usize| {
        move |text: &str| {
            let is_right = !text.is_empty() && text.chars().count() <= most;
            is_right.then(|| text.to_owned())
        }
    };
    let filter = UsageFilter {
        user_id: parameters.take("user_id", "must be a user's id", |text| {
            is_user_id(text).then(|| text.to_owned())
        }),
        department_id: parameters.take("department_id", "must be a department's id", |text| {
            is_slug(text).then(|| text.to_owned())
        }),
        model: parameters.take("model", "must be 1 to 200 characters", named(200)),
        provider: parameters.take("provider", "must be 1 to 100 characters", named(100)),
    };
    Asked {
        division: division.unwrap_or(Division::Daily),
        start,
        end,
        filter,
    }
}

impl Asked {
    /// Returns the buckets of the report. Fails if it ends before it begins or is too long.
    fn buckets(
        &self,
        configuration: &Configuration,
        now: Timestamp,
    ) -> Result<Vec<Bucket>, ApiError> {
        let zone = configuration.organisation.zone();
        let mut today = zone.to_datetime(now).date();
        if self.division == Division::Monthly {
            // After a change of time zone, a month may have begun before its first day.
            let begun = configuration.period_of(now).day(1);
            today = begun.map_or(today, |begun| begun.max(today));
        }
        let last = self.end.map_or(today, |edge| edge.days(&zone).1);
        let first = self.start.map(|edge| edge.days(&zone).0);
        let first = first.unwrap_or(match self.division {
            Division::Hourly => last,
            Division::Daily => last.first_of_month(),
            Division::Monthly => last.first_of_month().saturating_sub(Span::new().months(11)),
        });
        let wrong = |field: &str, message: String| {
            Err(ApiError::invalid(vec![Detail {
                field: field.to_owned(),
                message,
            }]))
        };
        if first > last {
            return wrong("start_date", "must not be after end_date".to_owned());
        }
        let (_, most) = MOST[match self.division {
            Division::Hourly => 0,
            Division::Daily => 1,
            Division::Monthly => 2,
        }];
        // A span of years is refused before its hours are listed.
        let days = first.until(last).map_or(i32::MAX, |span| span.get_days());
        let is_long = usize::try_from(days).is_ok_and(|days| days > 14 * 31);
        let mut buckets = match is_long {
            true => Vec::new(),
            false => between(self.division, first, last, &zone),
        };
        if self.division == Division::Monthly {
            for bucket in &mut buckets {
                if let Ok(month) = bucket.id.parse() {
                    bucket.starts_at = configuration.organisation.month_start(month);
                }
            }
        }
        if is_long || buckets.len() > most {
            let message = match self.division {
                Division::Hourly => "a report by the hour has at most 7 days",
                Division::Daily => "a report by the day has at most 92 days",
                Division::Monthly => "a report by the month has at most 14 months",
            };
            return wrong("start_date", message.to_owned());
        }
        Ok(buckets)
    }
}

/// Reports usage by hour, day or month, user, department, provider and model.
///
/// A report has at most 7 days by hour, 92 days by day and 14 months by month.
///
/// All rows of a month add up to the usage in the departments' tree. So a hold that was charged
/// because nobody settled it (`abandoned_holds`, or its report was held back) has a row too. Its
/// model and provider are `abandoned_hold`, its `user_id` is empty, and it is a request whose
/// tokens are neither input nor output. The row is replaced when usage of the hold comes late, or
/// when the held-back report is counted.
#[shared::endpoint(GET "/v1/usage", OWN)]
#[utoipa::path(
    operation_id = "listUsage",
    tag = "Budgets",
    params(
        (
            "period" = Option<UsagePeriod>, Query,
            description = "By hour, day or month; by day where nothing is said.",
        ),
        (
            "start_date" = Option<Day>, Query,
            description = "The first day, or the first of a month.",
        ),
        (
            "end_date" = Option<Day>, Query,
            description = "The last day, or the last of a month; today where nothing is said.",
        ),
        ("user_id" = Option<UserId>, Query, description = "Of this user only."),
        (
            "department_id" = Option<DepartmentId>, Query,
            description = "Of this department and its subtree only.",
        ),
        (
            "model" = Option<String>, Query, min_length = 1, max_length = 200,
            description = "Of this model only.",
        ),
        (
            "provider" = Option<String>, Query, min_length = 1, max_length = 100,
            description = "Of this provider only.",
        ),
        Page,
    ),
    responses(
        (status = 200, description = "A page of it.", body = PageBody<UsageView>),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let asked = read(&mut parameters);
    let list = format!(
        "{} usage {:?} {:?} {:?} {:?}",
        owner.organisation_id, asked.division, asked.start, asked.end, asked.filter
    );
    let page = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let configuration = super::budgets::configuration(&app, owner).await?;
    let visibility = Visibility::of_departments(owner, &configuration);
    match (&asked.filter.user_id, &asked.filter.department_id) {
        (None, id) if visibility.has_department(id.as_deref()) => {}
        (Some(_), _) if visibility.has_department(None) => {}
        (Some(user_id), _) => {
            super::visibility::user(&app, owner, user_id).await?;
        }
        (None, _) => {
            let message = "this key does not see the whole organisation: say which user with \
                           user_id, or which department of yours with department_id";
            return Err(ApiError::forbidden(message));
        }
    }
    let buckets = asked.buckets(&configuration, app.clock.now())?;
    let ids: Vec<String> = buckets.iter().map(|bucket| bucket.id.clone()).collect();
    let rows = app
        .store
        .usage_rows(
            &owner.organisation_id,
            &ids,
            &asked.filter,
            page.after.as_deref(),
            page.limit,
        )
        .await?;
    let starts: BTreeMap<String, String> = buckets
        .into_iter()
        .map(|bucket| (bucket.id, bucket.starts_at.to_string()))
        .collect();
    let show = |row: UsageRow| view_of(row, asked.division, &starts);
    let items = rows.items.into_iter().map(show).collect();
    let body = PageBody::new(items, rows.next.as_deref(), &app.cursors, &list);
    Ok(json(200, view::text(&body)))
}

fn view_of(row: UsageRow, division: Division, starts: &BTreeMap<String, String>) -> UsageView {
    let path = Path::from_text(&row.path);
    UsageView {
        user_id: row.user_id,
        department_id: path.department_id().map(str::to_owned),
        model: row.model,
        provider: row.provider,
        period: division.as_str(),
        starts_at: starts.get(&row.bucket).cloned(),
        period_id: row.bucket,
        total_requests: row.requests,
        total_input_tokens: row.input_tokens,
        total_output_tokens: row.output_tokens,
        total_cached_input_tokens: row.cached_input_tokens,
        total_tokens: row.tokens,
        estimated_cost_usd: Usd(row.micro_usd),
    }
}
