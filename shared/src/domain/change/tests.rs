use super::*;
use crate::domain::amount::{Amounts, Unit};
use crate::domain::exemption::grant::{Covers, Kind, Terms};
use crate::domain::exemption::{ExemptionStatus, Party};
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::cell_update::CellUpdate;
use crate::domain::ledger::flagged::Flag;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::repricing::Booked;
use crate::domain::ledger::usage::Event;
use crate::domain::notice::alert::{AlertKind, AlertStatus, Severity};
use crate::domain::notice::event_type::EventType;
use crate::domain::notice::suppression::Reason;
use crate::domain::org::people::{Block, Role, Status};
use crate::domain::org::placement::HOME;
use crate::domain::policy::{Fired, Match, PolicyStatus, Rule, Subject, Trigger};
use crate::domain::pricing::own::{OwnPrice, PriceOf, Rates, Target};
use crate::domain::pricing::timeline::{Dated, Times};
use crate::domain::samples::{NOW, at, budget, cell, configuration, counter, month, usage, user};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

fn audited<T>(value: T) -> Audited<T> {
    Audited::new(value, "after".to_owned())
}

fn update<T: Clone>(value: &T) -> Update<T> {
    changed(value.clone(), value.clone())
}

fn changed<T>(before: T, after: T) -> Update<T> {
    Update {
        before: Audited::new(before, "before".to_owned()),
        after: Audited::new(after, "after".to_owned()),
    }
}

fn notice() -> Notice {
    let id = "ntc_1".to_owned();
    Notice::new(id, EventType::PolicyFired, json!({}), Vec::new(), at(NOW))
}

fn organisation() -> Organisation {
    configuration([]).organisation
}

fn department() -> Department {
    configuration([]).departments["eng"].clone()
}

fn gone() -> DeletedDepartment {
    DeletedDepartment {
        index: 0,
        tree: 0,
        path: vec!["eng".to_owned()],
    }
}

fn moved() -> DepartmentMove {
    DepartmentMove {
        tree: 1,
        department_id: "eng".to_owned(),
        old_ancestors: Vec::new(),
        at: at(NOW),
    }
}

fn of_sales() -> Budget {
    budget(Some("sales"), Unit::Tokens, 1_000)
}

fn key() -> ApiKey {
    ApiKey {
        id: "key_1".to_owned(),
        role: Role::Admin,
        user_id: None,
        description: None,
        created_at: at(NOW),
        made_by: None,
        digest: "digest".to_owned(),
    }
}

fn policy() -> Policy {
    Policy {
        id: "pol_1".to_owned(),
        status: PolicyStatus::Active,
        rule: Rule {
            name: "Leaks".to_owned(),
            description: String::new(),
            trigger: Trigger::IpRiskEvent,
            combine: Match::All,
            conditions: Vec::new(),
            actions: Vec::new(),
        },
        draft: None,
        version: 1,
        created_at: at(NOW),
        updated_at: at(NOW),
        published_at: None,
    }
}

fn webhook() -> Webhook {
    Webhook {
        id: "whk_1".to_owned(),
        url: "https://example.com".to_owned(),
        events: None,
        sealed_secret: "sealed".to_owned(),
        old_secret: None,
        description: None,
        created_at: at(NOW),
        receiver: 0,
        version: 1,
    }
}

fn exemption(decided: ExemptionStatus) -> Exemption {
    Exemption {
        id: "exm_1".to_owned(),
        terms: Terms {
            user_id: "ada".to_owned(),
            kind: Kind::Lift,
            tokens: None,
            micro_usd: None,
            covers: Covers::Path,
            starts_at: at(NOW),
            ends_at: at("2026-11-25T12:00:00Z"),
        },
        reason: "a release".to_owned(),
        requested_by: Party {
            key_id: "key_1".to_owned(),
            user_id: None,
            responsible_user_id: None,
            makers: BTreeSet::new(),
        },
        decided,
        decision: None,
        revocation: None,
        index: None,
        is_end_told: false,
        version: 1,
        created_at: at(NOW),
        updated_at: at(NOW),
    }
}

fn alert() -> Alert {
    Alert {
        id: "alr_1".to_owned(),
        kind: AlertKind::PolicyViolation,
        severity: Severity::Low,
        status: AlertStatus::Open,
        title: String::new(),
        message: String::new(),
        user_id: None,
        department_id: None,
        budget_id: None,
        policy_id: None,
        metadata: json!({}),
        created_at: at(NOW),
        resolved_at: None,
    }
}

fn incident() -> Incident {
    Incident {
        id: "inc_1".to_owned(),
        severity: Severity::Low,
        status: AlertStatus::Open,
        title: String::new(),
        message: String::new(),
        user_id: None,
        department_id: None,
        policy_id: None,
        event_id: None,
        alert_id: None,
        metadata: json!({}),
        notes: Vec::new(),
        created_at: at(NOW),
        updated_at: at(NOW),
        resolved_at: None,
    }
}

fn event() -> FlaggedEvent {
    let usage = usage("evt_1", 1, 1);
    FlaggedEvent {
        flag: Flag::HeldBack,
        identity: EventIdentity::of_usage(&usage),
        event: Event::LlmRequest(usage),
        received_at: at(NOW),
        path: "/eng/".to_owned(),
        period: month("2026-11"),
        charged: Amounts::ZERO,
        price: None,
        held: None,
        excess: None,
        decision: None,
        model_not_allowed: false,
    }
}

fn correction() -> Correction {
    Correction {
        id: "cor_1".to_owned(),
        user_id: None,
        department_id: Some("eng".to_owned()),
        path: "/eng/".to_owned(),
        month: month("2026-11"),
        counts_at: at(NOW),
        amounts: Amounts::new(1, 0),
        unpriced: 0,
        reason: "a test".to_owned(),
        created_by: "key/key_1".to_owned(),
        created_at: at(NOW),
    }
}

fn firing() -> FiringRecord {
    let identity = EventIdentity::of_usage(&usage("evt_1", 1, 1));
    FiringRecord {
        policy_id: "pol_1".to_owned(),
        subject: Subject::Event {
            identity: identity.clone(),
        },
        fired: Fired {
            event: identity,
            at: at(NOW),
            alert_id: "alr_1".to_owned(),
            notice_id: "ntc_1".to_owned(),
            more_notice_ids: Vec::new(),
            is_nobodys: false,
        },
        alert: Some(alert()),
        incident: None,
        notices: vec![notice(), notice()],
    }
}

fn hour() -> RefusedHour {
    RefusedHour {
        hour: "2026-11-24T11".to_owned(),
        user_id: "ada".to_owned(),
        reason: "blocked".to_owned(),
        first: at(NOW),
        last: at(NOW),
        count: 2,
    }
}

fn rollover(carried_out: i64) -> Rollover {
    Rollover {
        budget_id: "bud_1".to_owned(),
        unit: Unit::Tokens,
        level: 1,
        from_period: month("2026-10"),
        to_period: month("2026-11"),
        amount: 100,
        carried_in: 0,
        exempted: 0,
        spent: 0,
        held: 0,
        unused: 100,
        cap_percent: 50,
        carried_out,
        closed_at: at(NOW),
        corrected_at: None,
    }
}

fn blocked() -> User {
    User {
        block: Some(Block {
            policy_id: None,
            reason: "a leak".to_owned(),
            since: at(NOW),
            until: None,
        }),
        ..user("ada")
    }
}

fn suppression() -> Suppression {
    Suppression {
        email: "ada@example.com".to_owned(),
        reason: Reason::Bounce,
        since: at(NOW),
        detail: String::new(),
    }
}

fn github() -> GithubIntegration {
    GithubIntegration {
        sealed_secret: "sealed".to_owned(),
        users: BTreeMap::new(),
        updated_at: at(NOW),
    }
}

fn risks() -> GithubRisks {
    GithubRisks {
        rows: Vec::new(),
        updated_at: at(NOW),
    }
}

fn effect_of(change: &Change) -> &'static str {
    match change.effect() {
        Effect::Unseen => "unseen",
        Effect::NewEpoch => "epoch",
        Effect::Budget { .. } => "budget",
        Effect::Carry(..) => "carry",
    }
}

/// A change with its action, its target, its effect and the number of its notices.
type Row = (Change, &'static str, &'static str, &'static str, usize);

fn of_the_tree() -> Vec<Row> {
    let budget_1 = "budget/bud_sales_tokens";
    vec![
        (
            Change::OrganisationCreated {
                organisation: audited(organisation()),
                keys: vec![key()],
            },
            "organisation.create",
            "organisation/acme",
            "unseen",
            0,
        ),
        (
            Change::OrganisationUpdated(update(&organisation())),
            "organisation.update",
            "organisation/acme",
            "epoch",
            0,
        ),
        (
            Change::DepartmentCreated {
                department: audited(department()),
                returned: None,
            },
            "department.create",
            "department/eng",
            "epoch",
            0,
        ),
        (
            Change::DepartmentUpdated(update(&department())),
            "department.update",
            "department/eng",
            "epoch",
            0,
        ),
        (
            Change::DepartmentMoved {
                department: update(&department()),
                moved: moved(),
            },
            "department.move",
            "department/eng",
            "epoch",
            0,
        ),
        (
            Change::DepartmentDeleted {
                department: audited(department()),
                remembered: gone(),
            },
            "department.delete",
            "department/eng",
            "epoch",
            0,
        ),
        (
            Change::BudgetCreated {
                budget: audited(of_sales()),
                cleared: Vec::new(),
            },
            "budget.create",
            budget_1,
            "budget",
            0,
        ),
        (
            Change::BudgetUpdated {
                budget: update(&of_sales()),
                cleared: Vec::new(),
            },
            "budget.update",
            budget_1,
            "budget",
            0,
        ),
        (
            Change::BudgetToppedUp {
                budget: update(&of_sales()),
                cleared: Vec::new(),
                reason: "a release".to_owned(),
            },
            "budget.top_up",
            budget_1,
            "budget",
            0,
        ),
        (
            Change::BudgetDeleted {
                budget: audited(of_sales()),
                remembered: None,
                forgotten: Vec::new(),
            },
            "budget.delete",
            budget_1,
            "budget",
            0,
        ),
    ]
}

fn of_people() -> Vec<Row> {
    let mail = MailClaim::default;
    let suspended = User {
        status: Status::Suspended,
        ..user("ada")
    };
    let updated = |after: User| Change::UserUpdated {
        user: changed(user("ada"), after),
        departments: Vec::new(),
        mail: mail(),
    };
    vec![
        (
            Change::UserCreated {
                user: audited(user("ada")),
                department: None,
                mail: mail(),
            },
            "user.create",
            "user/ada",
            "unseen",
            0,
        ),
        (updated(user("ada")), "user.update", "user/ada", "unseen", 0),
        (updated(suspended), "user.update", "user/ada", "epoch", 0),
        (
            Change::UserBlocked {
                user: changed(user("ada"), blocked()),
                mail: mail(),
                notice: Some(notice()),
            },
            "user.block",
            "user/ada",
            "epoch",
            1,
        ),
        (
            Change::UserReleased {
                user: changed(blocked(), user("ada")),
                mail: mail(),
                notice: Some(notice()),
            },
            "user.release",
            "user/ada",
            "epoch",
            1,
        ),
        (
            Change::UserReleased {
                user: update(&user("ada")),
                mail: mail(),
                notice: None,
            },
            "user.release",
            "user/ada",
            "unseen",
            0,
        ),
        (
            Change::ApiKeyCreated(audited(key())),
            "api_key.create",
            "api_key/key_1",
            "unseen",
            0,
        ),
        (
            Change::ApiKeyDeleted(audited(key())),
            "api_key.delete",
            "api_key/key_1",
            "unseen",
            0,
        ),
        (
            Change::OauthClientCreated(audited(key())),
            "oauth_client.create",
            "oauth_client/key_1",
            "unseen",
            0,
        ),
        (
            Change::OauthClientDeleted(audited(key())),
            "oauth_client.delete",
            "oauth_client/key_1",
            "unseen",
            0,
        ),
    ]
}

fn of_rules() -> Vec<Row> {
    vec![
        (
            Change::PolicyCreated {
                policy: audited(policy()),
                webhooks: vec![webhook()],
            },
            "policy.create",
            "policy/pol_1",
            "unseen",
            0,
        ),
        (
            Change::PolicyUpdated {
                policy: update(&policy()),
                webhooks: Vec::new(),
            },
            "policy.update",
            "policy/pol_1",
            "unseen",
            0,
        ),
        (
            Change::PolicyPublished(update(&policy())),
            "policy.publish",
            "policy/pol_1",
            "unseen",
            0,
        ),
        (
            Change::PolicyDisabled(update(&policy())),
            "policy.disable",
            "policy/pol_1",
            "unseen",
            0,
        ),
        (
            Change::PolicyDeleted(audited(policy())),
            "policy.delete",
            "policy/pol_1",
            "unseen",
            0,
        ),
        (
            Change::WebhookCreated(audited(webhook())),
            "webhook.create",
            "webhook/whk_1",
            "unseen",
            0,
        ),
        (
            Change::WebhookUpdated(update(&webhook())),
            "webhook.update",
            "webhook/whk_1",
            "unseen",
            0,
        ),
        (
            Change::WebhookSecretRotated(update(&webhook())),
            "webhook.rotate_secret",
            "webhook/whk_1",
            "unseen",
            0,
        ),
        (
            Change::WebhookDeleted(audited(webhook())),
            "webhook.delete",
            "webhook/whk_1",
            "unseen",
            0,
        ),
        (
            Change::GithubPut(audited(github())),
            "integration.put",
            "integration/github",
            "unseen",
            0,
        ),
        (
            Change::GithubRisksPut {
                before: "before".to_owned(),
                risks: audited(risks()),
            },
            "integration.put_risks",
            "integration/github/risks",
            "unseen",
            0,
        ),
    ]
}

fn of_exemptions() -> Vec<Row> {
    let step = |before, after| changed(exemption(before), exemption(after));
    vec![
        (
            Change::ExemptionRequested {
                exemption: audited(exemption(ExemptionStatus::Pending)),
                notice: notice(),
            },
            "exemption.request",
            "exemption/exm_1",
            "unseen",
            1,
        ),
        (
            Change::ExemptionApproved {
                exemption: step(ExemptionStatus::Pending, ExemptionStatus::Approved),
                notice: notice(),
            },
            "exemption.approve",
            "exemption/exm_1",
            "epoch",
            1,
        ),
        (
            Change::ExemptionDenied {
                exemption: step(ExemptionStatus::Pending, ExemptionStatus::Denied),
                notice: notice(),
            },
            "exemption.deny",
            "exemption/exm_1",
            "unseen",
            1,
        ),
        (
            Change::ExemptionRevoked {
                exemption: step(ExemptionStatus::Approved, ExemptionStatus::Revoked),
                notice: notice(),
            },
            "exemption.revoke",
            "exemption/exm_1",
            "epoch",
            1,
        ),
        (
            Change::ExemptionRevoked {
                exemption: step(ExemptionStatus::Pending, ExemptionStatus::Revoked),
                notice: notice(),
            },
            "exemption.revoke",
            "exemption/exm_1",
            "unseen",
            1,
        ),
        (
            Change::ExemptionEnding {
                exemption: step(ExemptionStatus::Approved, ExemptionStatus::Approved),
                notice: Some(notice()),
            },
            "exemption.ending",
            "exemption/exm_1",
            "unseen",
            1,
        ),
        (
            Change::ExemptionExpired {
                exemption: step(ExemptionStatus::Approved, ExemptionStatus::Expired),
                notice: None,
            },
            "exemption.expire",
            "exemption/exm_1",
            "unseen",
            0,
        ),
    ]
}

fn price() -> OwnPrice {
    let of = PriceOf {
        provider: "openai".to_owned(),
        model: "gpt-4o".to_owned(),
    };
    Dated::with(None, of, (at(NOW), Rates::default()), times()).unwrap()
}

fn times() -> Times {
    Times {
        now: at(NOW),
        oldest: at("2025-11-24T12:00:00Z"),
    }
}

fn of_prices() -> Vec<Row> {
    fn put<T>(value: T) -> Put<T> {
        Put {
            before: Some("before".to_owned()),
            after: audited(value),
        }
    }
    fn removal<T>(value: T) -> Removal<T> {
        Removal {
            before: audited(value),
            remembered: None,
        }
    }
    let discount = Dated::with(None, "openai".to_owned(), (at(NOW), 500), times()).unwrap();
    let target = Target {
        provider: None,
        model: "gpt-4o".to_owned(),
    };
    let alias = Dated::with(None, "chat".to_owned(), (at(NOW), target), times()).unwrap();
    let row = |change, action, target| (Change::Prices(change), action, target, "epoch", 0);
    use PricesChange::{
        AliasRemoved, AliasSet, DiscountRemoved, DiscountSet, PriceRemoved, PriceSet,
    };
    vec![
        row(PriceSet(put(price())), "price.set", "price/openai/gpt-4o"),
        row(
            PriceRemoved(removal(price())),
            "price.delete",
            "price/openai/gpt-4o",
        ),
        row(
            DiscountSet(put(discount.clone())),
            "discount.set",
            "discount/openai",
        ),
        row(
            DiscountRemoved(removal(discount)),
            "discount.delete",
            "discount/openai",
        ),
        row(AliasSet(put(alias.clone())), "alias.set", "alias/chat"),
        row(AliasRemoved(removal(alias)), "alias.delete", "alias/chat"),
    ]
}

fn of_usage_and_months() -> Vec<Row> {
    let october = month("2026-10");
    vec![
        (
            Change::UsageRepriced {
                correction: audited(correction()),
                cleared: Vec::new(),
                booked: Booked {
                    month: october,
                    path: "/eng/".to_owned(),
                    hours: BTreeMap::new(),
                    unpriced: BTreeMap::new(),
                },
            },
            "correction.create",
            "correction/cor_1",
            "unseen",
            0,
        ),
        (
            Change::AlertUpdated(update(&alert())),
            "alert.update",
            "alert/alr_1",
            "unseen",
            0,
        ),
        (
            Change::IncidentUpdated {
                incident: update(&incident()),
                note: None,
            },
            "incident.update",
            "incident/inc_1",
            "unseen",
            0,
        ),
        (
            Change::SuppressionReleased(audited(suppression())),
            "suppression.release",
            "suppression/ada@example.com",
            "unseen",
            0,
        ),
        (
            Change::EventCounted(update(&event())),
            "event.count",
            "event/",
            "unseen",
            0,
        ),
        (
            Change::EventDiscarded(update(&event())),
            "event.discard",
            "event/",
            "unseen",
            0,
        ),
        (
            Change::CorrectionCreated {
                correction: audited(correction()),
                cleared: Vec::new(),
            },
            "correction.create",
            "correction/cor_1",
            "unseen",
            0,
        ),
        (
            Change::PolicyBlocked {
                user: changed(user("ada"), blocked()),
                firing: firing(),
            },
            "user.block",
            "user/ada",
            "epoch",
            2,
        ),
        (
            Change::FiringBlocked {
                user: changed(user("ada"), blocked()),
                firing: firing(),
            },
            "user.block",
            "user/ada",
            "epoch",
            2,
        ),
        (
            Change::FiringAttributed {
                user_id: "ada".to_owned(),
                firing: firing(),
            },
            "alert.update",
            "alert/alr_1",
            "unseen",
            2,
        ),
        (
            Change::DenialsLogged(vec![(hour(), 2)]),
            "preflight.refused",
            "user/ada",
            "unseen",
            0,
        ),
        (
            Change::MonthClosed {
                period: october,
                rollovers: vec![rollover(50)],
                notice: Some(notice()),
            },
            "period.close",
            "period/2026-10",
            "carry",
            1,
        ),
        (
            Change::MonthClosed {
                period: october,
                rollovers: vec![rollover(0)],
                notice: None,
            },
            "period.close",
            "period/2026-10",
            "unseen",
            0,
        ),
        (
            Change::MonthCorrected {
                period: october,
                before: vec![rollover(50)],
                after: vec![rollover(40)],
                is_last: true,
            },
            "period.correct",
            "period/2026-10",
            "carry",
            0,
        ),
        (
            Change::MonthCorrected {
                period: october,
                before: vec![rollover(50)],
                after: vec![rollover(50)],
                is_last: true,
            },
            "period.correct",
            "period/2026-10",
            "unseen",
            0,
        ),
    ]
}

fn table() -> Vec<Row> {
    let parts = [
        of_the_tree(),
        of_people(),
        of_rules(),
        of_exemptions(),
        of_prices(),
        of_usage_and_months(),
    ];
    parts.into_iter().flatten().collect()
}

#[test]
fn every_change_has_its_entry_its_effect_and_its_notices() {
    let author = Author::schedule();
    for (change, action, target, effect, notices) in table() {
        let entries = change.entries(&author);
        assert_eq!(entries.len(), 1, "{action}");
        let entry = &entries[0];
        assert_eq!(entry.action, action);
        assert!(entry.resource.starts_with(target), "{}", entry.resource);
        assert_eq!(effect_of(&change), effect, "{action}");
        assert_eq!(change.notices().len(), notices, "{action}");
        let author = (entry.actor.as_str(), entry.request_id.as_str());
        assert_eq!(author, ("schedule", "schedule"));
        let creates = [".create", ".request", ".refused", ".put", ".close"];
        let deletes = [".delete", "suppression.release"];
        let ends_with = |of: &[&str]| of.iter().any(|end| action.ends_with(end));
        assert_eq!(entry.before.is_none(), ends_with(&creates), "{action}");
        assert_eq!(entry.after.is_none(), ends_with(&deletes), "{action}");
    }
}

#[test]
fn the_table_has_every_kind_of_change() {
    let mut kinds: Vec<_> = Vec::new();
    for (change, ..) in table() {
        let kind = std::mem::discriminant(&change);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    // One more for each new kind.
    assert_eq!(kinds.len(), 49);
}

#[test]
fn an_entry_says_why() {
    let author = Author::schedule();
    let reasons: Vec<(String, String)> = table()
        .iter()
        .flat_map(|(change, ..)| change.entries(&author))
        .filter_map(|entry| Some((entry.action, entry.reason?)))
        .collect();
    let reason = |action: &str| {
        let known = reasons.iter().find(|(of, _)| of == action);
        known.map(|(_, reason)| reason.as_str())
    };
    assert_eq!(reason("budget.top_up"), Some("a release"));
    assert_eq!(reason("user.block"), Some("a leak"));
    assert_eq!(reason("exemption.request"), Some("a release"));
    assert_eq!(reason("correction.create"), Some("a test"));
    assert_eq!(reason("preflight.refused"), Some("blocked"));
    assert_eq!(reason("budget.update"), None);
}

/// The update of the only cell of a period.
fn home_update(effect: &Effect<'_>, cell: &Cell, period: Month, now: Month) -> CellUpdate {
    let caps = configuration([]).caps_in(period);
    let updates = effect.updates(std::slice::from_ref(cell), &caps, period, now);
    updates.get(HOME).cloned().unwrap_or_default()
}

#[test]
fn a_budget_changes_its_counter_by_the_difference_from_this_month_on() {
    let after = budget(Some("sales"), Unit::Tokens, 1_500);
    let node = counter(Some("sales"), Unit::Tokens);
    let (before, now) = (of_sales(), month("2026-11"));
    let known = cell([(node, 1_000)]);
    let added = |before, after, period| {
        let effect = Effect::Budget { before, after };
        let update = home_update(&effect, &known, period, now);
        update.add_or_begin.get(&node).copied()
    };
    assert_eq!(added(Some(&before), Some(&after), now), Some(500));
    assert_eq!(added(None, Some(&after), now), Some(1_500));
    assert_eq!(added(Some(&before), None, now), Some(-1_000));
    assert_eq!(added(Some(&before), Some(&after), now.next()), Some(500));
    assert_eq!(added(Some(&before), Some(&after), now.prev()), None);
}

#[test]
fn a_carry_reaches_its_own_month_only() {
    let node = counter(Some("sales"), Unit::Tokens);
    let now = month("2026-11");
    let effect = Effect::Carry(now, BTreeMap::from([(node, 50)]));
    assert_eq!(effect.carries_into(), Some(now));
    let known = cell([(node, 1_000)]);
    let carried = |period| {
        let update = home_update(&effect, &known, period, now);
        update.carry.get(&node).copied()
    };
    assert_eq!(carried(now), Some(50));
    assert_eq!(carried(now.next()), None);
}
