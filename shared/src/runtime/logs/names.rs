//! The names of errors and metrics, which alarms and the runbook know.

use crate::store::StoreError;

macro_rules! named {
    ($(#[$of:meta])* $kind:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $kind { $($(#[$doc])* $variant,)* }

        impl $kind {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in logs and in CloudWatch, which must not change.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

named! {
    /// The `error_type` of a log line and the dimension `ErrorType` of the metric `Errors`. Each
    /// has an alarm (`infra/monitoring.yaml`) and a line in the runbook.
    ErrorType {
        /// A preflight was decided by `on_unavailable`.
        DecisionWithoutDatabase = "decision_without_database",
        /// The database did not answer, or too many callers changed the same item: a request got a
        /// 503, or work is left for later.
        StoreFailed = "store_failed",
        /// An item has a form that this version does not know.
        UnreadableData = "unreadable_data",
        /// An organisation's data has a form that only later versions know: nothing is decided or
        /// changed.
        NewerData = "newer_data",
        /// An event was not recorded and will be redelivered.
        EventNotRecorded = "event_not_recorded",
        /// A message of a queue has an unknown form.
        UnreadableMessage = "unreadable_message",
        /// A policy could not act, or events could not be evaluated. They will be redelivered.
        PolicyNotActed = "policy_not_acted",
        /// A crossing of a budget's level raised no alert yet.
        CrossingNotTold = "crossing_not_told",
        /// A refused preflight is missing in the record.
        RefusalNotRecorded = "refusal_not_recorded",
        /// The queue of events rejected some.
        EventsNotQueued = "events_not_queued",
        /// The queue of notices rejected one. The schedule finds it.
        NoticeNotQueued = "notice_not_queued",
        /// A notice or a delivery was not sent and will be redelivered.
        NoticeNotSent = "notice_not_sent",
        /// The mail service rejected a mail. It is retried for a day.
        MailNotSent = "mail_not_sent",
        /// A part of an organisation's turn in the schedule failed. The next pass tries again.
        OrganisationNotTended = "organisation_not_tended",
        /// Records, totals and counters do not agree.
        SelfAuditDifference = "self_audit_difference",
        /// No comparison of an organisation's records with its totals was completed for three days.
        BooksNotCompared = "books_not_compared",
        /// An organisation's audit log is broken.
        AuditLogBroken = "audit_log_broken",
        /// The head of an audit log could not be signed or put into the bucket. The next pass tries
        /// again.
        AuditHeadNotKept = "audit_head_not_kept",
        Panicked = "panicked",
    }
}

named! {
    /// A metric in CloudWatch, with the dimension `Stack`.
    Metric {
        PreflightsAllowed = "PreflightsAllowed",
        PreflightsBlocked = "PreflightsBlocked",
        /// Decisions whose price is unknown or inexact.
        PreflightsUnsure = "PreflightsUnsure",
        /// Events that the queue accepted.
        EventsAccepted = "EventsAccepted",
        /// Recorded events, each once.
        EventsRecorded = "EventsRecorded",
        /// Recorded usage whose price is unknown or inexact, each once.
        EventsUnsure = "EventsUnsure",
        /// The age of the oldest event of a batch when it was recorded.
        EventAge = "EventAge",
        /// Crossings of budgets that raised an alert.
        AlertsRaised = "AlertsRaised",
        PoliciesFired = "PoliciesFired",
        /// Mails that the mail service accepted.
        MailsSent = "MailsSent",
        /// Addresses that bounced or complained.
        MailsBounced = "MailsBounced",
        /// Attempts of webhooks that were answered with a 2xx.
        DeliveriesTaken = "DeliveriesTaken",
        /// Attempts of webhooks that were not.
        DeliveriesRefused = "DeliveriesRefused",
        /// Organisations that had their turn in the schedule.
        OrganisationsTended = "OrganisationsTended",
        MonthsClosed = "MonthsClosed",
        /// Records that were compared with the totals.
        RecordsCompared = "RecordsCompared",
        /// Differences that were found. 0 for a comparison that found none.
        Differences = "Differences",
    }
}

impl ErrorType {
    /// Returns the type of a failure of the store.
    pub fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Contended => ErrorType::StoreFailed,
            StoreError::Newer { .. } => ErrorType::NewerData,
            StoreError::Unreadable(_) => ErrorType::UnreadableData,
        }
    }
}

impl Metric {
    pub fn unit(self) -> &'static str {
        match self {
            Self::EventAge => "Milliseconds",
            _ => "Count",
        }
    }
}
