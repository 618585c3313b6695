//! A change of an organisation, as one value. The audit log, the effect on decisions and counters,
//! and the notices are each derived from it by a match without a wildcard: a new kind of change
//! does not compile until it says all of them.

mod audit;
mod effect;
mod kinds;
mod parts;
mod prices;
#[cfg(test)]
mod tests;

pub use effect::Effect;
pub(crate) use kinds::{of_budgets, of_channels, of_people, of_policies, of_tree};
pub use parts::{Audited, Author, CrossingMarker, MailClaim, Return, Update};
pub use prices::{PricesChange, Put, Removal};

use crate::domain::exemption::Exemption;
use crate::domain::integration::{GithubIntegration, GithubRisks};
use crate::domain::ledger::correction::Correction;
use crate::domain::ledger::flagged::FlaggedEvent;
use crate::domain::ledger::refused::RefusedHour;
use crate::domain::ledger::repricing::Booked;
use crate::domain::ledger::rollover::Rollover;
use crate::domain::notice::Notice;
use crate::domain::notice::alert::Alert;
use crate::domain::notice::incident::Incident;
use crate::domain::notice::suppression::Suppression;
use crate::domain::notice::webhook::Webhook;
use crate::domain::org::api_key::ApiKey;
use crate::domain::org::budget::{Budget, EndedBudget};
use crate::domain::org::department::{DeletedDepartment, Department, DepartmentMove};
use crate::domain::org::organisation::Organisation;
use crate::domain::org::people::User;
use crate::domain::org::placement::Placement;
use crate::domain::period::Month;
use crate::domain::policy::{FiringRecord, Policy};

/// Everything that changes an organisation in one transaction with its audit entry.
#[derive(Clone, Debug)]
pub enum Change {
    /// It has no snapshot to change: it is the first entry of its log.
    OrganisationCreated {
        organisation: Audited<Organisation>,
        keys: Vec<ApiKey>,
    },
    OrganisationUpdated(Update<Organisation>),
    /// Departments get other cells, or more of them.
    CellsPlaced(Update<Placement>),
    DepartmentCreated {
        department: Audited<Department>,
        /// None if there was none of its id before.
        returned: Option<Return>,
    },
    DepartmentUpdated(Update<Department>),
    DepartmentMoved {
        department: Update<Department>,
        moved: DepartmentMove,
    },
    DepartmentDeleted {
        department: Audited<Department>,
        /// What late usage needs of it.
        remembered: DeletedDepartment,
    },
    BudgetCreated {
        budget: Audited<Budget>,
        cleared: Vec<CrossingMarker>,
    },
    BudgetUpdated {
        budget: Update<Budget>,
        cleared: Vec<CrossingMarker>,
    },
    BudgetToppedUp {
        budget: Update<Budget>,
        cleared: Vec<CrossingMarker>,
        reason: String,
    },
    BudgetDeleted {
        budget: Audited<Budget>,
        /// What open months need of it. None if it counts in none.
        remembered: Option<EndedBudget>,
        /// Budgets deleted earlier that no month needs any longer.
        forgotten: Vec<String>,
    },
    UserCreated {
        user: Audited<User>,
        /// The department with the user counted.
        department: Option<Department>,
        mail: MailClaim,
    },
    UserUpdated {
        user: Update<User>,
        /// The departments that the user leaves and joins, each with its new count.
        departments: Vec<Department>,
        mail: MailClaim,
    },
    UserBlocked {
        user: Update<User>,
        mail: MailClaim,
        /// None if the same block is in force already.
        notice: Option<Notice>,
    },
    UserReleased {
        user: Update<User>,
        mail: MailClaim,
        /// None if the user was not blocked.
        notice: Option<Notice>,
    },
    ApiKeyCreated(Audited<ApiKey>),
    ApiKeyDeleted(Audited<ApiKey>),
    OauthClientCreated(Audited<ApiKey>),
    OauthClientDeleted(Audited<ApiKey>),
    PolicyCreated {
        policy: Audited<Policy>,
        /// The webhooks that its urls became.
        webhooks: Vec<Webhook>,
    },
    PolicyUpdated {
        policy: Update<Policy>,
        webhooks: Vec<Webhook>,
    },
    PolicyPublished(Update<Policy>),
    PolicyDisabled(Update<Policy>),
    PolicyDeleted(Audited<Policy>),
    WebhookCreated(Audited<Webhook>),
    WebhookUpdated(Update<Webhook>),
    WebhookSecretRotated(Update<Webhook>),
    WebhookDeleted(Audited<Webhook>),
    ExemptionRequested {
        exemption: Audited<Exemption>,
        notice: Notice,
    },
    ExemptionApproved {
        exemption: Update<Exemption>,
        notice: Notice,
    },
    ExemptionDenied {
        exemption: Update<Exemption>,
        notice: Notice,
    },
    ExemptionRevoked {
        exemption: Update<Exemption>,
        notice: Notice,
    },
    /// Its user is told that it ends soon.
    ExemptionEnding {
        exemption: Update<Exemption>,
        /// None if the user does not exist any longer.
        notice: Option<Notice>,
    },
    ExemptionExpired {
        exemption: Update<Exemption>,
        notice: Option<Notice>,
    },
    AlertUpdated(Update<Alert>),
    IncidentUpdated {
        incident: Update<Incident>,
        note: Option<String>,
    },
    SuppressionReleased(Audited<Suppression>),
    GithubPut(Audited<GithubIntegration>),
    GithubRisksPut {
        /// The table before, as JSON.
        before: String,
        risks: Audited<GithubRisks>,
    },
    EventCounted(Update<FlaggedEvent>),
    EventDiscarded(Update<FlaggedEvent>),
    CorrectionCreated {
        correction: Audited<Correction>,
        cleared: Vec<CrossingMarker>,
    },
    Prices(PricesChange),
    /// Recorded usage was priced anew, and the difference of a department and month is corrected.
    UsageRepriced {
        correction: Audited<Correction>,
        cleared: Vec<CrossingMarker>,
        /// All that is booked of the place afterwards.
        booked: Booked,
    },
    /// A policy fired and blocked a user.
    PolicyBlocked {
        user: Update<User>,
        firing: FiringRecord,
    },
    /// A firing whose event had no known user blocks the user who is known now.
    FiringBlocked {
        user: Update<User>,
        firing: FiringRecord,
    },
    /// A firing whose event had no known user has one now, and blocks nobody.
    FiringAttributed {
        user_id: String,
        firing: FiringRecord,
    },
    /// Hours of denied preflights, each with how many the audit log did not know of.
    DenialsLogged(Vec<(RefusedHour, u64)>),
    MonthClosed {
        period: Month,
        rollovers: Vec<Rollover>,
        /// The notice that the month is closed. None if rollovers are left for another change.
        notice: Option<Notice>,
    },
    MonthCorrected {
        period: Month,
        before: Vec<Rollover>,
        after: Vec<Rollover>,
        /// Whether no rollover is left for another change.
        is_last: bool,
    },
}

impl Change {
    /// The notices that are written with the change and queued after it.
    pub fn notices(&self) -> Vec<&Notice> {
        match self {
            Self::UserBlocked { notice, .. }
            | Self::UserReleased { notice, .. }
            | Self::ExemptionEnding { notice, .. }
            | Self::ExemptionExpired { notice, .. }
            | Self::MonthClosed { notice, .. } => notice.iter().collect(),
            Self::ExemptionRequested { notice, .. }
            | Self::ExemptionApproved { notice, .. }
            | Self::ExemptionDenied { notice, .. }
            | Self::ExemptionRevoked { notice, .. } => vec![notice],
            Self::PolicyBlocked { firing, .. }
            | Self::FiringBlocked { firing, .. }
            | Self::FiringAttributed { firing, .. } => firing.notices.iter().collect(),
            Self::OrganisationCreated { .. }
            | Self::OrganisationUpdated(_)
            | Self::CellsPlaced(_)
            | Self::DepartmentCreated { .. }
            | Self::DepartmentUpdated(_)
            | Self::DepartmentMoved { .. }
            | Self::DepartmentDeleted { .. }
            | Self::BudgetCreated { .. }
            | Self::BudgetUpdated { .. }
            | Self::BudgetToppedUp { .. }
            | Self::BudgetDeleted { .. }
            | Self::UserCreated { .. }
            | Self::UserUpdated { .. }
            | Self::ApiKeyCreated(_)
            | Self::ApiKeyDeleted(_)
            | Self::OauthClientCreated(_)
            | Self::OauthClientDeleted(_)
            | Self::PolicyCreated { .. }
            | Self::PolicyUpdated { .. }
            | Self::PolicyPublished(_)
            | Self::PolicyDisabled(_)
            | Self::PolicyDeleted(_)
            | Self::WebhookCreated(_)
            | Self::WebhookUpdated(_)
            | Self::WebhookSecretRotated(_)
            | Self::WebhookDeleted(_)
            | Self::AlertUpdated(_)
            | Self::IncidentUpdated { .. }
            | Self::SuppressionReleased(_)
            | Self::GithubPut(_)
            | Self::GithubRisksPut { .. }
            | Self::EventCounted(_)
            | Self::EventDiscarded(_)
            | Self::CorrectionCreated { .. }
            | Self::Prices(_)
            | Self::UsageRepriced { .. }
            | Self::DenialsLogged(_)
            | Self::MonthCorrected { .. } => Vec::new(),
        }
    }
}
