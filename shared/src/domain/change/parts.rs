//! What changes are made of: their author, and values before and after them.

use crate::domain::node::Node;
use crate::domain::notice::alert::Level;
use crate::domain::org::department::{DeletedDepartment, DepartmentMove};
use crate::domain::period::Month;

/// Who makes a change, and under which request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// As the audit log names them: `key/<id>`, `operator`, `policy/<id>` or `schedule`.
    pub name: String,
    /// Why they may, as JSON. None for the operator and for the system itself.
    pub authority: Option<String>,
    pub request_id: String,
}

impl Author {
    /// The schedule, which needs no authority.
    pub fn schedule() -> Self {
        Self {
            name: "schedule".to_owned(),
            authority: None,
            request_id: "schedule".to_owned(),
        }
    }
}

/// A value with the JSON that the audit log keeps of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited<T> {
    pub value: T,
    pub json: String,
}

impl<T> Audited<T> {
    pub fn new(value: T, json: String) -> Self {
        Self { value, json }
    }
}

/// A value before and after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update<T> {
    pub before: Audited<T>,
    pub after: Audited<T>,
}

impl<T> Update<T> {
    /// `json` returns what the audit log keeps of either value.
    pub fn new(before: T, after: T, json: impl Fn(&T) -> String) -> Self {
        let [before_json, after_json] = [&before, &after].map(json);
        Self {
            before: Audited::new(before, before_json),
            after: Audited::new(after, after_json),
        }
    }
}

/// The marker of an alert that a crossing of a level raised. Once it is deleted, the next crossing
/// raises an alert again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossingMarker {
    pub period: Month,
    pub counter: Node,
    pub level: Level,
}

/// The mailboxes that a change of a user takes and gives back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailClaim {
    pub taken: Option<String>,
    pub given_back: Option<String>,
}

/// How a deleted department comes back under its old number: by a move from its last place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    pub deleted: DeletedDepartment,
    pub moved: DepartmentMove,
}
