//! The names that the system and its clients agree on: the organisation, its keys, the queues, the
//! bus and the bucket.

/// The organisation that every system has.
pub const ORGANISATION: &str = "demo";
pub const ADMIN_KEY: &str = "tk_local_admin";
pub const AGENT_KEY: &str = "tk_local_agent";
pub const OPERATOR_KEY: &str = "tk_local_operator";

/// The queue between `ingest` and `evaluate`.
pub const EVENTS: &str = "events";
/// Receives the messages that `evaluate` cannot handle.
pub const DEAD_EVENTS: &str = "events-dlq";
/// The queue between `evaluate` and `notify`.
pub const NOTICES: &str = "notices";
/// Receives the notices that cannot be sent.
pub const DEAD_NOTICES: &str = "notices-dlq";

/// The bus that `notify` puts events on.
pub const BUS: &str = "toktra";
/// The bucket of the signed heads of the audit logs.
pub const BUCKET: &str = "audit-heads";
/// The names of the deployment's secrets, as in `template.yaml`.
pub const OPERATOR_SECRET: &str = "OperatorKey";
pub const SEALING_SECRET: &str = "SealingKey";
pub const TOKEN_SECRET: &str = "TokenKey";
pub const AUDIT_SECRET: &str = "AuditKey";
/// The sender of every mail.
pub const MAIL_SENDER: &str = "toktra@localhost";
/// The configuration set through which the mail service reports bounces.
pub const CONFIGURATION_SET: &str = "local";
