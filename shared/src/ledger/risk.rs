//! Records risk events.

use super::record::Recorded;
use crate::backoff::back_off;
use crate::domain::amount::Amounts;
use crate::domain::ledger::flagged::{Flag, FlaggedEvent};
use crate::domain::ledger::identity::{BodyDigest, EventIdentity};
use crate::domain::ledger::usage::{Event, Risk};
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::store::{ATTEMPTS, Known, Mark, Row, Store, StoreError, Transacted};
use jiff::Timestamp;

impl Store {
    /// Records a risk event with the path of the department that its user was in when it happened.
    /// It counts once, by its identity. An event under the identity of another body is stored
    /// beside it, and no policy sees it. A repeated GitHub event completes the record if its user
    /// was unknown.
    pub async fn record_risk(
        &self,
        configuration: &Configuration,
        risk: &Risk,
        received_at: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let path = match &risk.user_id {
            Some(user_id) => {
                self.path_of_user_in_force(configuration, user_id, risk.occurred_at)
                    .await?
            }
            None => Path::default(),
        };
        let (identity, digest) = (EventIdentity::of_risk(risk), BodyDigest::of_risk(risk));
        for attempt in 0..ATTEMPTS {
            let record = (&identity, None);
            let part = self.risk_item(organisation_id, risk, &path, record, received_at)?;
            if self.transact(vec![part]).await? == Transacted::Applied {
                return Ok(Recorded::counted(Mark::Unreserved));
            }
            match self
                .known_record(organisation_id, &identity, &digest, None)
                .await?
            {
                Known::Nothing => back_off(attempt).await,
                Known::Same(_) => {
                    self.complete_risk(organisation_id, risk, &path, received_at)
                        .await?;
                    return Ok(Recorded::Duplicate { exceeded_at: None });
                }
                Known::Another(_) => {
                    let beside = identity.in_conflict(&digest);
                    let record = (&beside, Some(Mark::Conflict));
                    let part = self.risk_item(organisation_id, risk, &path, record, received_at)?;
                    let flagged = FlaggedEvent {
                        flag: Flag::Conflict,
                        identity: beside.clone(),
                        event: Event::IpRisk(risk.clone()),
                        received_at,
                        path: path.to_text(),
                        period: configuration.period_of(risk.occurred_at),
                        charged: Amounts::ZERO,
                        price: None,
                        held: None,
                        excess: None,
                        decision: None,
                        model_not_allowed: false,
                    };
                    let flag = self.row_item(Row::flagged(organisation_id, &flagged)?)?;
                    self.transact(vec![part, flag]).await?;
                    return Ok(Recorded::Conflict { is_charged: false });
                }
            }
        }
        Err(StoreError::Contended)
    }
}
