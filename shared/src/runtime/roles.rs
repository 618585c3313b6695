//! The table of who may do what: one line for each endpoint, and how far each role sees. Nothing else in the code decides it.

use crate::domain::people::Role;

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a key: what they send proves itself, or there is nothing to protect.
    Anybody,
    /// The operator of the deployment.
    Operator,
    /// Keys of an organisation with one of these roles.
    Roles(&'static [Role]),
}

/// How far a role sees and acts within its organisation, where an endpoint is open to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleScope {
    /// Everything.
    All,
    /// Itself, its reports, and the departments it manages with all under them and their users.
    Managed,
    /// Itself.
    Own,
    /// Any user, by preflight, holds and events only.
    AnyUser,
}

impl Role {
    /// How far the role sees.
    pub fn scope(self) -> RoleScope {
        match self {
            Self::Admin => RoleScope::All,
            Self::Manager => RoleScope::Managed,
            Self::Member => RoleScope::Own,
            Self::Agent => RoleScope::AnyUser,
        }
    }
}

const ADMIN: Access = Access::Roles(&[Role::Admin]);
const MANAGED: Access = Access::Roles(&[Role::Admin, Role::Manager]);
const OWN: Access = Access::Roles(&[Role::Admin, Role::Manager, Role::Member]);
const TRAFFIC: Access = Access::Roles(&[Role::Admin, Role::Manager, Role::Member, Role::Agent]);

/// Method, path and who may call it, in the order of the paths.
pub const ENDPOINTS: &[(&str, &str, Access)] = &[
    ("GET", "/v1/alerts", MANAGED),
    ("GET", "/v1/alerts/{id}", MANAGED),
    ("PATCH", "/v1/alerts/{id}", ADMIN),
    ("GET", "/v1/api-keys", ADMIN),
    ("POST", "/v1/api-keys", ADMIN),
    ("DELETE", "/v1/api-keys/{id}", ADMIN),
    ("GET", "/v1/audit-log", ADMIN),
    ("GET", "/v1/audit-log/export", ADMIN),
    ("GET", "/v1/audit-log/verify", ADMIN),
    ("GET", "/v1/budgets", MANAGED),
    ("POST", "/v1/budgets", ADMIN),
    ("GET", "/v1/budgets/effective", OWN),
    ("GET", "/v1/budgets/{id}", MANAGED),
    ("PATCH", "/v1/budgets/{id}", ADMIN),
    ("DELETE", "/v1/budgets/{id}", ADMIN),
    ("GET", "/v1/budgets/{id}/rollovers", MANAGED),
    ("POST", "/v1/budgets/{id}/top-ups", ADMIN),
    ("GET", "/v1/corrections", ADMIN),
    ("POST", "/v1/corrections", ADMIN),
    ("GET", "/v1/departments", MANAGED),
    ("POST", "/v1/departments", ADMIN),
    ("GET", "/v1/departments/tree", MANAGED),
    ("GET", "/v1/departments/{id}", MANAGED),
    ("PATCH", "/v1/departments/{id}", ADMIN),
    ("DELETE", "/v1/departments/{id}", ADMIN),
    ("GET", "/v1/events", ADMIN),
    ("POST", "/v1/events", TRAFFIC),
    ("POST", "/v1/events/decisions", ADMIN),
    ("GET", "/v1/exemptions", OWN),
    ("POST", "/v1/exemptions", OWN),
    ("GET", "/v1/exemptions/{id}", OWN),
    ("POST", "/v1/exemptions/{id}/approve", ADMIN),
    ("POST", "/v1/exemptions/{id}/deny", ADMIN),
    ("POST", "/v1/exemptions/{id}/revoke", OWN),
    ("GET", "/v1/health", Access::Anybody),
    ("DELETE", "/v1/holds/{id}", TRAFFIC),
    ("PATCH", "/v1/holds/{id}", TRAFFIC),
    ("GET", "/v1/incidents", MANAGED),
    ("GET", "/v1/incidents/{id}", MANAGED),
    ("PATCH", "/v1/incidents/{id}", ADMIN),
    ("GET", "/v1/integrations/github", ADMIN),
    ("PUT", "/v1/integrations/github", ADMIN),
    ("GET", "/v1/integrations/github/risks", ADMIN),
    ("PUT", "/v1/integrations/github/risks", ADMIN),
    ("POST", "/v1/integrations/github/{id}", Access::Anybody),
    ("GET", "/v1/oauth/clients", ADMIN),
    ("POST", "/v1/oauth/clients", ADMIN),
    ("DELETE", "/v1/oauth/clients/{id}", ADMIN),
    ("POST", "/v1/oauth/token", Access::Anybody),
    ("GET", "/v1/openapi.json", Access::Anybody),
    ("GET", "/v1/organisation", OWN),
    ("PATCH", "/v1/organisation", ADMIN),
    ("GET", "/v1/organisations", Access::Operator),
    ("POST", "/v1/organisations", Access::Operator),
    (
        "POST",
        "/v1/organisations/{id}/admin-keys",
        Access::Operator,
    ),
    ("GET", "/v1/policies", ADMIN),
    ("POST", "/v1/policies", ADMIN),
    ("GET", "/v1/policies/{id}", ADMIN),
    ("PATCH", "/v1/policies/{id}", ADMIN),
    ("DELETE", "/v1/policies/{id}", ADMIN),
    ("POST", "/v1/policies/{id}/disable", ADMIN),
    ("POST", "/v1/policies/{id}/publish", ADMIN),
    ("POST", "/v1/policies/{id}/test", ADMIN),
    ("POST", "/v1/preflight", TRAFFIC),
    ("GET", "/v1/rollovers", MANAGED),
    ("GET", "/v1/suppressions", ADMIN),
    ("DELETE", "/v1/suppressions/{email}", ADMIN),
    ("GET", "/v1/usage", OWN),
    ("GET", "/v1/users", MANAGED),
    ("POST", "/v1/users", ADMIN),
    ("GET", "/v1/users/{id}", OWN),
    ("PATCH", "/v1/users/{id}", ADMIN),
    ("PUT", "/v1/users/{id}/block", ADMIN),
    ("DELETE", "/v1/users/{id}/block", ADMIN),
    ("GET", "/v1/webhooks", ADMIN),
    ("POST", "/v1/webhooks", ADMIN),
    ("GET", "/v1/webhooks/{id}", ADMIN),
    ("PATCH", "/v1/webhooks/{id}", ADMIN),
    ("DELETE", "/v1/webhooks/{id}", ADMIN),
    ("GET", "/v1/webhooks/{id}/deliveries", ADMIN),
    (
        "POST",
        "/v1/webhooks/{id}/deliveries/{delivery_id}/retry",
        ADMIN,
    ),
    ("POST", "/v1/webhooks/{id}/retry", ADMIN),
    ("POST", "/v1/webhooks/{id}/rotate-secret", ADMIN),
    ("POST", "/v1/webhooks/{id}/test", ADMIN),
];

/// What a blocked user's key may do beside reading what a member may read: ask for an exemption and take that back, be told of
/// the block, give back what is held, and report what was used.
pub const WHILE_BLOCKED: &[(&str, &str)] = &[
    ("POST", "/v1/exemptions"),
    ("POST", "/v1/exemptions/{id}/revoke"),
    ("POST", "/v1/preflight"),
    ("DELETE", "/v1/holds/{id}"),
    ("POST", "/v1/events"),
];

/// Whether an endpoint is open to a blocked user's key, if it is open to members at all.
pub fn is_open_while_blocked(method: &str, path: &str) -> bool {
    matches!(method, "GET" | "HEAD") || WHILE_BLOCKED.contains(&(method, path))
}

/// Who may call an endpoint; none where it is in no line, and then nobody may.
pub fn access_to(method: &str, path: &str) -> Option<Access> {
    // The answer to `HEAD` is that to `GET` without its body.
    let method = if method == "HEAD" { "GET" } else { method };
    let line = ENDPOINTS
        .iter()
        .find(|(m, p, _)| *m == method && *p == path);
    line.map(|(_, _, who)| *who)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_has_one_line() {
        let mut lines: Vec<_> = ENDPOINTS.iter().map(|(m, p, _)| (p, m)).collect();
        let all = lines.len();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), all);
    }

    #[test]
    fn what_a_blocked_user_may_do_is_what_members_may() {
        for (method, path) in WHILE_BLOCKED {
            let Some(Access::Roles(roles)) = access_to(method, path) else {
                panic!("{method} {path}");
            };
            assert!(roles.contains(&Role::Member), "{method} {path}");
        }
        assert!(!is_open_while_blocked("PATCH", "/v1/users/{id}"));
    }

    #[test]
    fn what_is_in_no_line_is_for_nobody() {
        assert_eq!(access_to("GET", "/v1/nothing"), None);
        assert_eq!(access_to("PUT", "/v1/alerts"), None);
        assert_eq!(
            access_to("HEAD", "/v1/alerts"),
            access_to("GET", "/v1/alerts")
        );
    }
}
