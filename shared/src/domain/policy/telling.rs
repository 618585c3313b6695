//! The results of a firing: its alert, its incident, the frozen facts of its notice, and the block.

use super::facts::{Facts, Kind};
use super::firing::Firing;
use super::subject::Subject;
use super::{Action, ActivePolicy, BlockUntil, Rule};
use crate::domain::amount::Unit;
use crate::domain::ledger::usage::RiskLevel;
use crate::domain::notice::alert::{Alert, AlertKind, AlertStatus, Severity};
use crate::domain::notice::incident::Incident;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::people::Block;
use crate::domain::period::Month;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// An event that fired a policy.
#[derive(Clone, Copy, Debug)]
pub struct FiringReport<'a> {
    pub policy: &'a ActivePolicy,
    pub facts: &'a Facts,
    pub firing: &'a Firing,
    /// The time of the report.
    pub now: Timestamp,
}

impl FiringReport<'_> {
    /// Returns the severity: a risk's own level, or the one that the action names.
    fn severity(&self) -> Severity {
        match &self.facts.kind {
            Kind::Risk { risk_level, .. } => match risk_level {
                RiskLevel::Low => Severity::Low,
                RiskLevel::Medium => Severity::Medium,
                RiskLevel::High => Severity::High,
                RiskLevel::Critical => Severity::Critical,
            },
            _ if self.policy.rule.blocks().is_some() => Severity::High,
            _ => Severity::Medium,
        }
    }

    fn title(&self) -> String {
        format!("Policy {:?} fired", self.policy.rule.name)
    }

    fn message(&self) -> String {
        let reached = self.firing.measured.map(|m| {
            let (value, threshold) = m.shown();
            let (value, threshold) = (m.unit.shown(value), m.unit.shown(threshold));
            format!("{value}, and the policy fires at {threshold}")
        });
        let reached = reached.unwrap_or_default();
        match (&self.firing.subject, &self.facts.kind) {
            (
                Subject::Event { .. },
                Kind::Risk {
                    risk_level,
                    repository,
                    summary,
                },
            ) => {
                let place = repository
                    .as_ref()
                    .map_or(String::new(), |r| format!(" in {r}"));
                format!(
                    "A risk of the level {} was reported{place}: {summary}",
                    risk_level.as_str()
                )
            }
            (Subject::User { user_id, period }, _) => {
                format!("The user {user_id} has used {reached} in {period}.")
            }
            (
                Subject::Department {
                    department_id,
                    period,
                },
                _,
            ) => {
                format!("The department {department_id} has used {reached} in {period}.")
            }
            (Subject::UserDay { user_id, day }, _) => {
                format!(
                    "The user {user_id} has used {reached} on {day}, compared with their last days."
                )
            }
            (Subject::Event { .. }, _) => {
                format!("The event {} fired it.", self.facts.event_id)
            }
        }
    }

    /// Returns the facts at this moment.
    pub fn metadata(&self) -> Value {
        let facts = self.facts;
        let measured = self.firing.measured.map(|m| {
            let (value, threshold) = m.shown();
            json!({"unit": m.unit, "value": m.unit.figure(value),
                "threshold": m.unit.figure(threshold)})
        });
        let mut event = json!({
            "event_id": facts.event_id,
            "occurred_at": facts.occurred_at.to_string(),
            "received_at": facts.received_at.to_string(),
        });
        let more = match &facts.kind {
            Kind::Usage {
                model,
                is_allowed,
                spent,
                ..
            } => {
                let mut usage = json!({
                    "type": "llm_request", "model": model, "tokens": spent.charged.tokens,
                    "usd": Unit::Usd.figure(spent.charged.micro_usd()), "period": spent.period,
                });
                if !is_allowed {
                    usage["model_not_allowed"] = true.into();
                }
                usage
            }
            Kind::Risk {
                risk_level,
                repository,
                summary,
            } => json!({
                "type": "ip_risk", "risk_level": risk_level, "repository": repository,
                "summary": summary,
            }),
            Kind::AbandonedHold(_) | Kind::Correction(_) => json!({}),
        };
        if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
            event.extend(more);
        }
        json!({
            "policy": {"id": self.policy.id, "version": self.policy.version,
            "name": self.policy.rule.name},
            "event": event,
            "measured": measured,
            "conditions": self.policy.rule.why(facts, &self.firing.path),
        })
    }

    /// Returns the alert for the firing.
    pub fn alert(&self, id: String) -> Alert {
        Alert {
            id,
            kind: match self.firing.subject {
                Subject::Event { .. } => AlertKind::SecurityEvent,
                Subject::UserDay { .. } => AlertKind::AnomalyDetected,
                Subject::User { .. } | Subject::Department { .. } => AlertKind::PolicyViolation,
            },
            severity: self.severity(),
            status: AlertStatus::Open,
            title: self.title(),
            message: self.message(),
            user_id: self.facts.user_id.clone(),
            department_id: self.department_id(),
            budget_id: None,
            policy_id: Some(self.policy.id.clone()),
            metadata: self.metadata(),
            created_at: self.now,
            resolved_at: None,
        }
    }

    pub fn department_id(&self) -> Option<String> {
        self.firing.path.department_id().map(str::to_owned)
    }

    /// Returns the incident, if the policy opens one.
    pub fn incident(&self, id: String, alert_id: &str) -> Option<Incident> {
        let severity = self.policy.rule.opens()?;
        Some(Incident {
            id,
            severity: severity.unwrap_or_else(|| self.severity()),
            status: AlertStatus::Open,
            title: self.title(),
            message: self.message(),
            user_id: self.facts.user_id.clone(),
            department_id: self.department_id(),
            policy_id: Some(self.policy.id.clone()),
            event_id: Some(self.facts.event_id.clone()),
            alert_id: Some(alert_id.to_owned()),
            metadata: self.metadata(),
            notes: Vec::new(),
            created_at: self.now,
            updated_at: self.now,
            resolved_at: None,
        })
    }

    /// Returns the user's block, if the policy blocks. The end of the period is that of the month
    /// concerned, so it may already be over.
    pub fn block(&self, configuration: &Configuration) -> Option<Block> {
        let period = match &self.firing.subject {
            Subject::Event { .. } => configuration.period_of(self.now),
            Subject::User { period, .. } | Subject::Department { period, .. } => *period,
            Subject::UserDay { day, .. } => Month::of_date(*day),
        };
        let until = match self.policy.rule.blocks()? {
            BlockUntil::Released => None,
            BlockUntil::PeriodEnd => Some(configuration.organisation.month_end(period)),
            BlockUntil::Hours(hours) => {
                let hours = SignedDuration::from_hours(i64::from(hours));
                Some(self.now.saturating_add(hours).unwrap_or(Timestamp::MAX))
            }
        };
        let [title, message] = self.text();
        Some(Block {
            policy_id: Some(self.policy.id.clone()),
            reason: format!("{title}. {message}"),
            since: self.now,
            until,
        })
    }

    /// Returns title and text for the readers.
    pub fn text(&self) -> [String; 2] {
        [self.title(), self.message()]
    }
}

impl Rule {
    /// Returns the duration of the block, if it blocks.
    pub fn blocks(&self) -> Option<BlockUntil> {
        self.actions.iter().find_map(|action| match action {
            Action::BlockAccess { until } => Some(*until),
            _ => None,
        })
    }

    /// Returns the severity of the incident, if it opens one and names it.
    pub fn opens(&self) -> Option<Option<Severity>> {
        self.actions.iter().find_map(|action| match action {
            Action::CreateIncident { severity } => Some(*severity),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Match, Spent, Trigger};
    use super::*;
    use crate::domain::amount::Amounts;
    use crate::domain::ledger::identity::EventIdentity;
    use crate::domain::org::department::Path;
    use crate::domain::samples::{NOW, at, configuration, month};
    use jiff::tz::TimeZone;

    /// The result of late usage of October that fires a policy with these actions.
    fn told<T>(actions: &[Action], tell: impl Fn(&FiringReport<'_>) -> T) -> T {
        let policy = ActivePolicy {
            id: "pol_1".to_owned(),
            version: 2,
            rule: Rule {
                name: "Too much".to_owned(),
                description: String::new(),
                trigger: Trigger::IpRiskEvent,
                combine: Match::All,
                conditions: Vec::new(),
                actions: actions.to_vec(),
            },
        };
        let period = month("2026-10");
        let path = Path::from_text("/eng/backend/");
        let kind = Kind::Usage {
            model: "gpt-4o".to_owned(),
            matched: None,
            is_allowed: true,
            spent: Spent {
                period,
                charged: Amounts::new(1_003, 2_507),
                offset: Amounts::ZERO,
            },
        };
        let facts = Facts::new(
            EventIdentity::from_key("llm_request#ada#e-1"),
            "e-1".to_owned(),
            [at(NOW), at("2026-10-31T23:00:00Z")],
            &TimeZone::UTC,
            Some("ada".to_owned()),
            path.clone(),
            kind,
        );
        let user_id = "ada".to_owned();
        let firing = Firing {
            subject: Subject::User { user_id, period },
            path,
            measured: None,
        };
        tell(&FiringReport {
            policy: &policy,
            facts: &facts,
            firing: &firing,
            now: at(NOW),
        })
    }

    #[test]
    fn a_block_until_the_period_ends_is_of_the_month_that_the_total_is_of() {
        let until = |until| {
            let block = |telling: &FiringReport<'_>| telling.block(&configuration([]));
            told(&[Action::BlockAccess { until }], block).map(|block| block.until)
        };
        assert_eq!(
            until(BlockUntil::PeriodEnd),
            Some(Some(at("2026-11-01T00:00:00Z")))
        );
        assert_eq!(
            until(BlockUntil::Hours(5)),
            Some(Some(at("2026-11-24T17:00:00Z")))
        );
        assert_eq!(until(BlockUntil::Released), Some(None));
        let none = told(&[Action::EmailUser], |of| of.block(&configuration([])));
        assert_eq!(none, None);
    }

    #[test]
    fn it_is_grave_where_it_blocks_and_an_incident_is_as_grave_as_the_policy_says() {
        let until = BlockUntil::Released;
        let blocks = Action::BlockAccess { until };
        let opens = |severity| Action::CreateIncident { severity };
        for (actions, of_alert, of_incident) in [
            (vec![Action::EmailUser], Severity::Medium, None),
            (vec![blocks.clone()], Severity::High, None),
            (vec![opens(None)], Severity::Medium, Some(Severity::Medium)),
            (
                vec![opens(Some(Severity::Low)), blocks],
                Severity::High,
                Some(Severity::Low),
            ),
        ] {
            let alert = told(&actions, |telling| telling.alert("alr_1".to_owned()));
            assert_eq!(alert.severity, of_alert, "{actions:?}");
            let opened = told(&actions, |of| of.incident("inc_1".to_owned(), "alr_1"));
            let severity = opened.map(|incident| incident.severity);
            assert_eq!(severity, of_incident, "{actions:?}");
        }
    }
}
