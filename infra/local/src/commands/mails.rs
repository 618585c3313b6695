//! `mails`: what the mails say, one of each kind, before anybody gets one.

use super::{CommandError, say};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::domain::amount::{Amounts, Unit};
use shared::domain::audit_head::AuditHead;
use shared::domain::blocking::{blocked_by_hand, released};
use shared::domain::closing::{self, ClosedBudget};
use shared::domain::exemption::{Covers, Decision, Exemption, ExemptionStatus, Kind, Party, Terms};
use shared::domain::exemption_notice::{self, Event};
use shared::domain::incident::Cause;
use shared::domain::mail::{EmailStatus, Mail, PendingEmail, compose};
use shared::domain::mail_layout::Layout;
use shared::domain::notice::Notice;
use shared::domain::people::{Block, Role, Status, Superiors, User};
use shared::domain::period::Month;
use shared::domain::rollover::Rollover;
use shared::domain::self_audit::{Difference, Subject};
use shared::domain::suppression::{Reason, Suppression};
use shared::domain::webhook::EventType;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Prints one mail of each kind as it would be sent.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Also writes each as a page into this directory.
    #[arg(long, value_name = "DIR")]
    html: Option<PathBuf>,
    /// Where links lead to, as the parameter ConsoleUrl of the stack.
    #[arg(
        long,
        value_name = "URL",
        default_value = "https://console.example.com"
    )]
    console: String,
    /// Tries another layout: `subject.txt`, `mail.txt` and `mail.html` of this directory, those that are there, as the parameters
    /// MailSubject, MailText and MailHtml of the stack.
    #[arg(long, value_name = "DIR")]
    layout: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let layout = layout(arguments.layout.as_deref())?;
    if let Some(dir) = &arguments.html {
        let shown = || format!("cannot make {}", dir.display());
        std::fs::create_dir_all(dir).map_err(|error| CommandError::Io(shown(), error))?;
    }
    let mut samples = samples();
    samples.extend(more_samples());
    let each = samples
        .iter()
        .map(|(name, letter)| (*name, std::slice::from_ref(letter)));
    let all: Vec<PendingEmail> = samples.iter().map(|(_, letter)| letter.clone()).collect();
    for (name, letters) in each.chain([("joined", all.as_slice())]) {
        let Some(mail) = compose(letters, &layout, Some(&arguments.console)) else {
            continue;
        };
        print(name, &mail);
        if let Some(dir) = &arguments.html {
            let path = dir.join(format!("{name}.html"));
            let shown = || format!("cannot write {}", path.display());
            std::fs::write(&path, &mail.html).map_err(|e| CommandError::Io(shown(), e))?;
            say(&format!("written to {}", path.display()));
        }
    }
    Ok(())
}

/// The files of a layout.
const LAYOUT: [&str; 3] = ["subject.txt", "mail.txt", "mail.html"];

/// The layout of a directory, which has at least one of its files; the usual one without.
fn layout(dir: Option<&Path>) -> Result<Layout, CommandError> {
    if let Some(dir) = dir.filter(|dir| !LAYOUT.iter().any(|name| dir.join(name).is_file())) {
        let message = format!(
            "there is no {} in {}",
            LAYOUT.join(" and no "),
            dir.display()
        );
        return Err(CommandError::Answer(message));
    }
    let read = |name: &str| match dir.map(|dir| dir.join(name)) {
        Some(path) if path.exists() => {
            let shown = format!("cannot read {}", path.display());
            let text = std::fs::read_to_string(&path);
            // A file ends with a line feed, which is none of the layout.
            text.map(|text| Some(text.trim_end().to_owned()))
                .map_err(|error| CommandError::Io(shown, error))
        }
        _ => Ok(None),
    };
    let [subject, text, html] = LAYOUT;
    let parts = [read(subject)?, read(text)?, read(html)?];
    Layout::new(parts).map_err(|error| CommandError::Answer(error.to_string()))
}

fn print(name: &str, mail: &Mail) {
    say(&format!("=== {name}"));
    say(&format!("To: {}", mail.to));
    say(&format!("Subject: {}\n", mail.subject));
    say(&mail.text);
}

fn samples() -> Vec<(&'static str, PendingEmail)> {
    let budget = |title: &str, message: &str| json!({"title": title, "message": message, "alert_id": "alr_01a20fccf50f"});
    let fired = json!({
        "title": "Policy \"Leaks of engineering\" fired",
        "message": "A risk of the level high was reported in acme/shop: secret scanning alert created: aws_access_key_id, alert 7",
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
                budget(
                    "\"Engineering tokens\" of Engineering has reached 80 %",
                    "8,000,000 tokens of 10,000,000 tokens are spent in 2026-11. Nothing is refused yet.",
                ),
            ),
        ),
        (
            "soft-cap",
            letter(
                EventType::BudgetExceeded,
                manages,
                budget(
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
                budget(
                    "\"Engineering tokens\" of Engineering is used up (100 %)",
                    "10,000,000 tokens of 10,000,000 tokens are spent in 2026-11. It is a hard cap: requests are refused until the month ends \
                     or the amount is raised.",
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

/// Mails of what is no budget's and no policy's, made as the functions make them.
fn more_samples() -> Vec<(&'static str, PendingEmail)> {
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
        ("audit-head", administers, audit_head(id(), now)),
        (
            "exemption-requested",
            "you are an administrator and may decide it",
            exemption(Event::Requested),
        ),
        (
            "exemption-approved",
            "it is for you",
            exemption(Event::Approved),
        ),
        (
            "exemption-denied",
            "it is for you",
            exemption(Event::Denied),
        ),
        (
            "exemption-revoked",
            "it is for you",
            exemption(Event::Revoked),
        ),
        (
            "exemption-ending",
            "it is for you",
            exemption(Event::Ending(Amounts::new(12_000, 0))),
        ),
        (
            "exemption-expired",
            "it is for you",
            exemption(Event::Expired(Amounts::new(48_500, 0))),
        ),
    ];
    let each = each.into_iter();
    each.map(|(name, because, notice)| (name, letter(notice.kind, because, notice.payload)))
        .collect()
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

/// A step of a raise for octavia.
fn exemption(event: Event) -> Notice {
    let now = made_at();
    let party = |user_id: &str| Party {
        key_id: format!("key_{user_id}"),
        user_id: Some(user_id.to_owned()),
        responsible_user_id: None,
        makers: BTreeSet::new(),
    };
    let decision = Decision {
        by: party("ann"),
        at: now,
        note: Some("Until the release, and not longer.".to_owned()),
    };
    let exemption = Exemption {
        id: "exm_01a20fccf50f".to_owned(),
        terms: Terms {
            user_id: "octavia".to_owned(),
            kind: Kind::Raise,
            tokens: Some(50_000),
            micro_usd: None,
            covers: Covers::Path,
            starts_at: now,
            ends_at: now
                .checked_add(SignedDuration::from_hours(72))
                .unwrap_or(now),
        },
        reason: "The release is on Friday".to_owned(),
        requested_by: party("mona"),
        decided: ExemptionStatus::Approved,
        decision: Some(decision.clone()),
        revocation: Some(decision),
        index: None,
        is_end_told: false,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let id = "ntc_01a20fccf50f".to_owned();
    let octavia = user("octavia", "Octavia");
    exemption_notice::notice(id, event, &exemption, &octavia, Vec::new(), now)
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

/// A month with a budget that carries something over and one that does not.
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
