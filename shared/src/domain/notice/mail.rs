//! The content of mails. A letter is a notice for one person. Letters for the same person within a
//! minute become one mail.

use crate::domain::notice::event_type::EventType;
use crate::domain::notice::mail_layout::Layout;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Write as _;

/// How long a letter waits for others, in seconds.
pub const JOIN_SECONDS: i64 = 60;
/// The most letters of one mail. Others follow in the next mail.
pub const MAX_EMAILS: usize = 20;
/// The delay after each failed attempt, in seconds: all within a day.
const DELAYS: [i64; 8] = [30, 120, 600, 1_800, 3_600, 10_800, 21_600, 36_000];

/// The state of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailStatus {
    Waiting,
    /// It was passed to the mail service.
    Sent,
    Failed,
    /// Its address is suppressed.
    Suppressed,
}

/// A notice for one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingEmail {
    pub notice_id: String,
    pub kind: EventType,
    pub email: String,
    pub name: String,
    /// The reason for getting it.
    pub because: String,
    /// The frozen content of the notice.
    pub payload: Value,
    pub created_at: Timestamp,
    pub status: EmailStatus,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub to: String,
    pub subject: String,
    pub text: String,
    /// The same words as HTML.
    pub html: String,
}

/// Returns the seconds until the retry after the attempt with this number (from 0). None if the
/// mail is given up.
pub fn retry_delay(attempt: usize) -> Option<i64> {
    DELAYS.get(attempt).copied()
}

/// The longest subject, in characters.
const MAX_SUBJECT: usize = 150;

/// Returns one line, without line breaks.
fn line(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(MAX_SUBJECT).collect()
}

/// Escapes `text` for markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Returns the console's page about the letter's subject.
fn page(letter: &PendingEmail) -> Option<String> {
    let payload = &letter.payload;
    let of = |page: &str, id: &Value| Some(format!("{page}/{}", id.as_str()?));
    match letter.kind {
        EventType::IncidentCreated => of("incidents", &payload["incident_id"]),
        EventType::UserBlocked | EventType::UserReleased => of("users", &payload["user"]["id"]),
        EventType::PeriodClosed => Some("rollovers".to_owned()),
        EventType::AuditHead => Some("audit-log".to_owned()),
        EventType::ExemptionRequested
        | EventType::ExemptionApproved
        | EventType::ExemptionDenied
        | EventType::ExemptionRevoked
        | EventType::ExemptionEnding
        | EventType::ExemptionExpired => of("exemptions", &payload["exemption_id"]),
        EventType::PolicyFired
        | EventType::BudgetThreshold
        | EventType::BudgetExceeded
        | EventType::AlertCreated
        | EventType::ModelUnpriced
        | EventType::WebhookTest => of("alerts", &payload["alert_id"]),
    }
}

/// Returns the title of a letter, then its paragraphs.
fn paragraphs(letter: &PendingEmail, console: Option<&str>) -> (String, Vec<String>) {
    let text = |name: &str| letter.payload[name].as_str().unwrap_or_default().to_owned();
    let mut said = vec![text("message")];
    match &letter.payload["blocked"] {
        Value::Null => {}
        blocked => said.push(match blocked["until"].as_str() {
            Some(until) => format!("LLM access is blocked until {until}."),
            None => "LLM access is blocked until an administrator releases it.".to_owned(),
        }),
    }
    let figures = letter.payload["figures"].as_object();
    for (name, value) in figures.into_iter().flatten() {
        said.push(format!("{name}: {value}"));
    }
    let what_now = text("what_now");
    if !what_now.is_empty() {
        said.push(what_now);
    }
    if let (Some(console), Some(page)) = (console, page(letter)) {
        said.push(format!("{}/{page}", console.trim_end_matches('/')));
    }
    said.push(format!("You get this because {}.", letter.because));
    said.retain(|paragraph| !paragraph.is_empty());
    (text("title"), said)
}

/// Composes one mail of all `letters`, which have the same address, in `layout`. None without
/// letters. Links lead to `console`, if there is one.
pub fn compose(letters: &[PendingEmail], layout: &Layout, console: Option<&str>) -> Option<Mail> {
    let first = letters.first()?;
    let (first_title, _) = paragraphs(first, console);
    let subject = match letters.len() {
        1 => line(&first_title),
        count => line(&format!("{count} notices: {first_title}, and more")),
    };
    let (mut text, mut html) = (String::new(), String::new());
    for letter in letters {
        let (title, said) = paragraphs(letter, console);
        let _ = write!(text, "\n{title}\n{}\n", letter.created_at);
        let _ = write!(
            html,
            "<h2>{}</h2><p><small>{}</small></p>",
            escaped(&title),
            letter.created_at
        );
        for paragraph in said {
            let _ = write!(text, "\n{paragraph}\n");
            let paragraph = escaped(&paragraph).replace('\n', "<br>");
            let is_link = paragraph.starts_with("https://") && !paragraph.contains(' ');
            if is_link {
                let _ = write!(html, "<p><a href=\"{paragraph}\">{paragraph}</a></p>");
            } else {
                let _ = write!(html, "<p>{paragraph}</p>");
            }
        }
    }
    Some(Mail {
        to: first.email.clone(),
        subject: line(&layout.subject(&subject)),
        text: layout.text(&first.name, &text),
        html: layout.html(&escaped(&first.name), &html),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn letter(title: &str) -> PendingEmail {
        PendingEmail {
            notice_id: "ntc_1".to_owned(),
            kind: EventType::PolicyFired,
            email: "max@example.com".to_owned(),
            name: "Max <b>".to_owned(),
            because: "you are the manager of ada".to_owned(),
            payload: json!({
                "title": title, "message": "A key & more was pushed", "alert_id": "alr_1",
                "blocked": {"until": "2026-12-01T00:00:00Z"},
            }),
            created_at: "2026-11-24T12:00:00Z".parse().unwrap(),
            status: EmailStatus::Waiting,
        }
    }

    #[test]
    fn a_mail_says_what_happened_until_when_where_to_look_and_why_one_gets_it() {
        let mail = compose(
            &[letter("Policy fired")],
            &Layout::default(),
            Some("https://console.example.com/"),
        )
        .unwrap();
        assert_eq!(
            (mail.to.as_str(), mail.subject.as_str()),
            ("max@example.com", "Policy fired")
        );
        for said in [
            "A key & more was pushed",
            "blocked until 2026-12-01T00:00:00Z",
            "https://console.example.com/alerts/alr_1",
            "because you are the manager of ada",
        ] {
            assert!(mail.text.contains(said), "{}", mail.text);
        }
        assert!(
            mail.html.contains("Hello Max &lt;b&gt;") && mail.html.contains("A key &amp; more")
        );
        assert!(
            mail.html
                .contains("<a href=\"https://console.example.com/alerts/alr_1\">")
        );
    }

    #[test]
    fn several_letters_are_one_mail_and_a_title_cannot_break_the_subject() {
        let mail = compose(
            &[letter("One\r\nBcc: all@example.com"), letter("Two")],
            &Layout::default(),
            None,
        )
        .unwrap();
        assert_eq!(
            mail.subject,
            "2 notices: One  Bcc: all@example.com, and more"
        );
        assert!(mail.text.contains("\nTwo\n") && !mail.text.contains("https://"));
        assert_eq!(compose(&[], &Layout::default(), None), None);
    }

    #[test]
    fn attempts_end_within_a_day() {
        let delays: Vec<i64> = (0..).map_while(retry_delay).collect();
        assert_eq!((delays.len(), delays[0], delays[7]), (8, 30, 36_000));
        assert!(delays.is_sorted() && delays.iter().sum::<i64>() < 24 * 3_600);
    }

    #[test]
    fn a_letter_leads_to_the_page_of_what_it_tells_of() {
        let payload = json!({
            "incident_id": "inc_1", "user": {"id": "ada"}, "exemption_id": "exm_1",
            "alert_id": "alr_1",
        });
        for (kind, expected) in [
            (EventType::IncidentCreated, "incidents/inc_1"),
            (EventType::UserBlocked, "users/ada"),
            (EventType::UserReleased, "users/ada"),
            (EventType::PeriodClosed, "rollovers"),
            (EventType::AuditHead, "audit-log"),
            (EventType::ExemptionEnding, "exemptions/exm_1"),
            (EventType::BudgetExceeded, "alerts/alr_1"),
        ] {
            let letter = PendingEmail {
                kind,
                payload: payload.clone(),
                ..letter("Something")
            };
            assert_eq!(page(&letter).as_deref(), Some(expected));
        }
    }
}
