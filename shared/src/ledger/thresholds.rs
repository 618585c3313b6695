//! Raises the alerts of budgets whose levels are crossed.

use super::alerts::RaisedAlert;
use crate::domain::change::CrossingMarker;
use crate::domain::ledger::cell::Cell;
use crate::domain::notice::alert::crossings;
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use crate::store::{AlertMarker, Store, StoreError, new_id};
use jiff::Timestamp;

impl Store {
    /// Raises an alert for each crossing in `cell`, the cell of `period`, that has none yet, and
    /// returns the new ones. Call it after each change of the cell, and again after a fault: of
    /// several concurrent callers, one raises each alert.
    pub async fn raise_crossing_alerts(
        &self,
        configuration: &Configuration,
        period: Month,
        cell: &Cell,
        now: Timestamp,
    ) -> Result<Vec<RaisedAlert>, StoreError> {
        let crossings = crossings(configuration, period, cell);
        if crossings.is_empty() {
            return Ok(Vec::new());
        }
        let organisation_id = &configuration.organisation.id;
        let known = self.crossing_markers(organisation_id, period).await?;
        let mut raised = Vec::new();
        for (order, crossing) in crossings.into_iter().enumerate() {
            let (budget, level) = (crossing.budget, crossing.level);
            let marker = CrossingMarker {
                period,
                counter: budget.counter(),
                level,
            };
            let marker = AlertMarker::crossing(organisation_id, &marker);
            if !known.contains(&marker) {
                let alert = crossing.alert(new_id("alr_", now, order)?, configuration, now);
                let department_id = budget.department_id.as_deref();
                let recipients = self.budget_recipients(configuration, department_id).await?;
                let notice = alert.notice(new_id("ntc_", now, order)?, recipients);
                raised.extend(self.raise(organisation_id, marker, alert, notice).await?);
            }
        }
        Ok(raised)
    }
}
