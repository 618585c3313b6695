//! The kinds of changes in five groups, as patterns. A match that has much to say of each kind is
//! split by them: it names the kinds of its group, and skips the other groups. So it needs no
//! wildcard, and a new kind does not compile until it is in a group and its group handles it.

/// The organisation and its departments.
macro_rules! of_tree {
    () => {
        Change::OrganisationCreated { .. }
            | Change::OrganisationUpdated(_)
            | Change::CellsPlaced(_)
            | Change::DepartmentCreated { .. }
            | Change::DepartmentUpdated(_)
            | Change::DepartmentMoved { .. }
            | Change::DepartmentDeleted { .. }
    };
}

/// Budgets, everything that is counted in them, and what that costs.
macro_rules! of_budgets {
    () => {
        Change::BudgetCreated { .. }
            | Change::BudgetUpdated { .. }
            | Change::BudgetToppedUp { .. }
            | Change::BudgetDeleted { .. }
            | Change::EventCounted(_)
            | Change::EventDiscarded(_)
            | Change::CorrectionCreated { .. }
            | Change::Prices(_)
            | Change::UsageRepriced { .. }
            | Change::MonthClosed { .. }
            | Change::MonthCorrected { .. }
    };
}

/// Users, keys, exemptions and denials.
macro_rules! of_people {
    () => {
        Change::UserCreated { .. }
            | Change::UserUpdated { .. }
            | Change::UserBlocked { .. }
            | Change::UserReleased { .. }
            | Change::ApiKeyCreated(_)
            | Change::ApiKeyDeleted(_)
            | Change::OauthClientCreated(_)
            | Change::OauthClientDeleted(_)
            | Change::ExemptionRequested { .. }
            | Change::ExemptionApproved { .. }
            | Change::ExemptionDenied { .. }
            | Change::ExemptionRevoked { .. }
            | Change::ExemptionEnding { .. }
            | Change::ExemptionExpired { .. }
            | Change::DenialsLogged(_)
    };
}

/// Policies and their firings.
macro_rules! of_policies {
    () => {
        Change::PolicyCreated { .. }
            | Change::PolicyUpdated { .. }
            | Change::PolicyPublished(_)
            | Change::PolicyDisabled(_)
            | Change::PolicyDeleted(_)
            | Change::PolicyBlocked { .. }
            | Change::FiringBlocked { .. }
            | Change::FiringAttributed { .. }
    };
}

/// Alerts and incidents, and the ways to and from other systems.
macro_rules! of_channels {
    () => {
        Change::WebhookCreated(_)
            | Change::WebhookUpdated(_)
            | Change::WebhookSecretRotated(_)
            | Change::WebhookDeleted(_)
            | Change::AlertUpdated(_)
            | Change::IncidentUpdated { .. }
            | Change::SuppressionReleased(_)
            | Change::GithubPut(_)
            | Change::GithubRisksPut { .. }
    };
}

pub(crate) use {of_budgets, of_channels, of_people, of_policies, of_tree};
