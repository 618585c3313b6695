//! Sample letters: one of each kind.

mod exemptions;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::domain::amount::Unit;
use shared::domain::ledger::labels::Labels;
use shared::domain::ledger::reported::ReportedTokens;
use shared::domain::ledger::rollover::Rollover;
use shared::domain::ledger::self_audit::{Difference, Subject};
use shared::domain::ledger::usage::{Operation, Outcome, Usage};
use shared::domain::notice::Notice;
use shared::domain::notice::blocking::{blocked_by_hand, released};
use shared::domain::notice::closing::{self, ClosedBudget};
use shared::domain::notice::event_type::EventType;
use shared::domain::notice::incident::Cause;
use shared::domain::notice::mail::{EmailStatus, PendingEmail};
use shared::domain::notice::suppression::{Reason, Suppression};
use shared::domain::notice::unsure_price::UnsurePrice;
use shared::domain::org::audit_head::AuditHead;
use shared::domain::org::people::{Block, Role, Status, Superiors, User};
use shared::domain::period::Month;
use shared::domain::pricing::matched::{MatchKind, PriceMatch, Unsure};
use shared::domain::pricing::tokens::{ServiceTier, TokenCounts};

/// Returns each sample with its name.
pub(super) fn all() -> Vec<(&'static str, PendingEmail)> {
    let mut all = about_budgets_and_policies();
    all.extend(about_the_rest());
    all.extend(exemptions::all());
    all
}

fn about_budgets_and_policies() -> Vec<(&'static str, PendingEmail)> {
    let fired = json!({
        "title": "Policy \"Leaks of engineering\" fired",
        "message": "A risk of the level high was reported in acme/shop: \
                    secret scanning alert created: aws_access_key_id, alert 7",
        "alert_id": "alr_01a20fcc4a11",
    });
    let mut blocked = fired.clone();
    blocked["blocked"] = json!({"until": "2026-12-01T00:00:00Z"});
    let manages = "you manage the department engineering";
    vec![
        (
            "threshold",
            letter(
                EventType::BudgetThreshold,
                manages,
                alert_payload(
                    "\"Engineering tokens\" of Engineering has reached 80 %",
                    "8,000,000 tokens of 10,000,000 tokens are spent in 2026-11. \
                     Nothing is refused yet.",
                ),
            ),
        ),
        (
            "soft-cap",
            letter(
                EventType::BudgetExceeded,
                manages,
                alert_payload(
                    "\"Engineering spend\" of Engineering has passed 100 %",
                    "$30.5 of $30 are spent in 2026-11. It is a soft cap: requests go on.",
                ),
            ),
        ),
        (
            "hard-cap",
            letter(
                EventType::BudgetExceeded,
                manages,
                alert_payload(
                    "\"Engineering tokens\" of Engineering is used up (100 %)",
                    "10,000,000 tokens of 10,000,000 tokens are spent in 2026-11. It is a \
                     hard cap: requests are refused until the month ends or the amount is raised.",
                ),
            ),
        ),
        (
            "policy-fired",
            letter(
                EventType::PolicyFired,
                "you are the manager of octavia",
                fired,
            ),
        ),
        (
            "blocked-by-policy",
            letter(EventType::PolicyFired, "it was your activity", blocked),
        ),
    ]
}

fn alert_payload(title: &str, message: &str) -> Value {
    json!({"title": title, "message": message, "alert_id": "alr_01a20fccf50f"})
}

/// Sample letters about anything else, made as the functions make
/// them.
fn about_the_rest() -> Vec<(&'static str, PendingEmail)> {
    let now = made_at();
    let id = || "ntc_01a20fccf50f".to_owned();
    let superiors = Superiors {
        manager: Some((
            user("mona", "Mona"),
            "you are the manager of octavia".to_owned(),
        )),
        administrators: Vec::new(),
    };
    let octavia = user("octavia", "Octavia");
    let block = Block {
        policy_id: None,
        reason: "A key of the shop was pushed to a public repository".to_owned(),
        since: now,
        until: now.checked_add(SignedDuration::from_hours(8)).ok(),
    };
    let suppression = Suppression {
        email: "octavia@example.com".to_owned(),
        reason: Reason::Bounce,
        since: now,
        detail: "smtp; 550 5.1.1 user unknown".to_owned(),
    };
    let incident = suppression.incident("inc_01a20fccf50f".to_owned());
    let period = Month::of(now, &jiff::tz::TimeZone::UTC);
    let difference = Difference {
        period,
        subject: Subject::Budget {
            id: "bud_01a20fccf50f".to_owned(),
        },
        unit: Unit::Tokens,
        expected: 8_000_182,
        found: 8_000_181,
    };
    let alert = difference.alert("alr_01a20fccf50f".to_owned(), now);
    let administers = "you are an administrator";
    let each = [
        (
            "blocked-by-hand",
            "it is your access",
            blocked_by_hand(id(), &octavia, &block, &superiors),
        ),
        (
            "released",
            "it is your access",
            released(id(), &octavia, &block, &superiors, now),
        ),
        (
            "incident",
            administers,
            incident.notice(id(), Cause::Suppression, Vec::new()),
        ),
        (
            "month-closed",
            administers,
            closing::notice(id(), period, closed(period), Vec::new(), now),
        ),
        ("books", administers, alert.notice(id(), Vec::new())),
        ("unpriced-model", administers, unpriced_model(id(), period)),
        ("audit-head", administers, audit_head(id(), now)),
    ];
    letters(each)
}

fn letters<const N: usize>(
    notices: [(&'static str, &str, Notice); N],
) -> Vec<(&'static str, PendingEmail)> {
    let letters = notices
        .into_iter()
        .map(|(name, because, notice)| (name, letter(notice.kind, because, notice.payload)));
    letters.collect()
}

fn unpriced_model(id: String, month: Month) -> Notice {
    let usage = Usage {
        event_id: "evt-1".to_owned(),
        occurred_at: made_at(),
        user_id: "octavia".to_owned(),
        provider: "anthropic".to_owned(),
        model: "claude-of-tomorrow".to_owned(),
        tokens: ReportedTokens::counted(TokenCounts {
            input: 12_000,
            output: 900,
            ..TokenCounts::default()
        }),
        service_tier: ServiceTier::Default,
        reported_pico_usd: None,
        hold_id: None,
        outcome: Outcome::Completed,
        operation: Operation::Chat,
        source: None,
        labels: Labels::default(),
    };
    let price = PriceMatch {
        kind: MatchKind::Estimate,
        model: None,
        version: "2026-11".to_owned(),
    };
    let unsure = UnsurePrice {
        unsure: Unsure::Unpriced,
        price,
        month,
        usage: &usage,
    };
    let alert = unsure.alert("alr_01a20fccf50f".to_owned(), made_at());
    alert.notice(id, Vec::new())
}

fn audit_head(id: String, now: Timestamp) -> Notice {
    let head = AuditHead {
        day: now.to_zoned_datetime(jiff::tz::TimeZone::UTC).date(),
        seq: 1_204,
        hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        at: now,
        signed_head: String::new(),
        is_archived: false,
    };
    head.notice(id, &Value::Null, Vec::new(), now)
}

fn user(id: &str, name: &str) -> User {
    User {
        id: id.to_owned(),
        email: format!("{id}@example.com"),
        name: name.to_owned(),
        department_id: "platform".to_owned(),
        former: Vec::new(),
        manager_id: None,
        role: Role::Member,
        status: Status::Active,
        block: None,
        version: 1,
        created_at: made_at(),
        updated_at: made_at(),
    }
}

/// Two budgets of a closed month: one carries tokens over, one does not.
fn closed(period: Month) -> Vec<ClosedBudget> {
    let budget = |name: &str, unit, [amount, spent, carried_out]: [i64; 3]| ClosedBudget {
        name: name.to_owned(),
        department_id: Some("engineering".to_owned()),
        carries: carried_out > 0,
        figures: Rollover {
            budget_id: "bud_01a20fccf50f".to_owned(),
            unit,
            level: 0,
            from_period: period,
            to_period: period.next(),
            amount,
            carried_in: 0,
            exempted: 0,
            spent,
            held: 0,
            unused: amount - spent,
            cap_percent: 50,
            carried_out,
            closed_at: made_at(),
            corrected_at: None,
        },
    };
    vec![
        budget(
            "Engineering tokens",
            Unit::Tokens,
            [10_000_000, 8_000_000, 1_000_000],
        ),
        budget("Engineering spend", Unit::Usd, [30_000_000, 28_250_000, 0]),
    ]
}

fn made_at() -> Timestamp {
    Timestamp::from_second(1_795_521_600).unwrap_or_default()
}

fn letter(kind: EventType, because: &str, payload: Value) -> PendingEmail {
    PendingEmail {
        notice_id: "ntc_01a20fccf50f".to_owned(),
        kind,
        email: "mona@example.com".to_owned(),
        name: "Mona".to_owned(),
        because: because.to_owned(),
        payload,
        created_at: made_at(),
        status: EmailStatus::Waiting,
    }
}
