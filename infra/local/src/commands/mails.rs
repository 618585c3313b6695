//! `mails`: what the mails say, one of each kind, before anybody gets one.

use super::{CommandError, say};
use clap::Args;
use serde_json::{Value, json};
use shared::domain::mail::{Letter, LetterStatus, Mail, compose};
use shared::domain::webhook::EventType;
use std::path::PathBuf;

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
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    if let Some(dir) = &arguments.html {
        let shown = || format!("cannot make {}", dir.display());
        std::fs::create_dir_all(dir).map_err(|error| CommandError::Io(shown(), error))?;
    }
    let samples = samples();
    let each = samples
        .iter()
        .map(|(name, letter)| (*name, std::slice::from_ref(letter)));
    let all: Vec<Letter> = samples.iter().map(|(_, letter)| letter.clone()).collect();
    for (name, letters) in each.chain([("joined", all.as_slice())]) {
        let Some(mail) = compose(letters, Some(&arguments.console)) else {
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

fn print(name: &str, mail: &Mail) {
    say(&format!("=== {name}"));
    say(&format!("To: {}", mail.to));
    say(&format!("Subject: {}\n", mail.subject));
    say(&mail.text);
}

fn samples() -> Vec<(&'static str, Letter)> {
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
                    "8000000 tokens of 10000000 tokens are spent in 2026-11. Nothing is refused yet.",
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
                    "10000000 tokens of 10000000 tokens are spent in 2026-11. It is a hard cap: requests are refused until the month ends \
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
            "blocked",
            letter(EventType::PolicyFired, "it was your activity", blocked),
        ),
    ]
}

fn letter(kind: EventType, because: &str, payload: Value) -> Letter {
    Letter {
        notice_id: "ntc_01a20fccf50f".to_owned(),
        kind,
        email: "mona@example.com".to_owned(),
        name: "Mona".to_owned(),
        because: because.to_owned(),
        payload,
        created_at: jiff::Timestamp::from_second(1_795_521_600).unwrap_or_default(),
        status: LetterStatus::Waiting,
    }
}
