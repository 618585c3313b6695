//! Sample letters about an exemption.

use jiff::SignedDuration;
use shared::domain::amount::Amounts;
use shared::domain::exemption::grant::{Covers, Kind, Terms};
use shared::domain::exemption::{Decision, Exemption, ExemptionStatus, Party};
use shared::domain::notice::Notice;
use shared::domain::notice::exemption::{self as exemption_notice, Event};
use shared::domain::notice::mail::PendingEmail;
use std::collections::BTreeSet;

use super::{letters, made_at, user};

pub(super) fn all() -> Vec<(&'static str, PendingEmail)> {
    letters([
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
    ])
}

/// A notice about a raise for octavia.
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
