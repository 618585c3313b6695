//! Departments, their moves, and paths in the tree.

use crate::domain::org::models::ModelRule;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The deepest department level. The organisation is above the first.
pub const MAX_DEPTH: usize = 8;
/// The most departments of an organisation.
pub const MAX_DEPARTMENTS: usize = 2_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Department {
    pub id: String,
    /// Its number, never reused.
    pub index: u32,
    pub name: String,
    /// The department above. None at the top.
    pub parent_id: Option<String>,
    pub manager_id: Option<String>,
    /// The number of users directly in it.
    pub users: u64,
    /// Which models may be used in it and below it. None leaves that to the levels above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<ModelRule>,
    /// Counts the changes, from 1.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A department that was put under another parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepartmentMove {
    /// The version of the tree after the move.
    pub tree: u32,
    pub department_id: String,
    /// The previous departments above it, topmost first.
    pub old_ancestors: Vec<String>,
    /// When it moved. Rows without a time count as older than all usage.
    #[serde(default)]
    pub at: Timestamp,
}

/// A deleted department, kept for holds and late usage that still name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedDepartment {
    pub index: u32,
    /// The version of the tree before it was deleted.
    pub tree: u32,
    /// Its last path, topmost first.
    pub path: Vec<String>,
}

impl DeletedDepartment {
    /// Returns its last departments above it, topmost first.
    pub fn ancestors(&self) -> &[String] {
        self.path.split_last().map_or(&[], |(_, above)| above)
    }
}

/// The ids of the departments from the topmost to one's own. The organisation itself is the empty
/// path.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(pub Vec<String>);

impl Path {
    /// Returns `/engineering/backend/`, or `/` for the organisation itself.
    pub fn to_text(&self) -> String {
        let mut text = String::from("/");
        for id in &self.0 {
            text.push_str(id);
            text.push('/');
        }
        text
    }

    pub fn from_text(text: &str) -> Self {
        Self(
            text.split('/')
                .filter(|id| !id.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }

    /// Returns true if usage of this path counts for `department_id`, or for the organisation if
    /// that is None.
    pub fn is_under(&self, department_id: Option<&str>) -> bool {
        department_id.is_none_or(|id| self.0.iter().any(|step| step == id))
    }

    /// Returns one's own department. None on the organisation's path.
    pub fn department_id(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }
}
