//! The tree of departments, today and at earlier moments.

use super::Configuration;
use crate::domain::org::department::{Department, MAX_DEPTH, Path};
use crate::domain::org::people::User;
use jiff::Timestamp;

impl Configuration {
    /// Returns today's path of a department. Empty if there is no such department.
    pub fn path(&self, department_id: &str) -> Path {
        let mut steps = Vec::new();
        let mut next = self.departments.get(department_id);
        while let Some(department) = next {
            steps.push(department.id.clone());
            if steps.len() > MAX_DEPTH {
                break;
            }
            next = department
                .parent_id
                .as_ref()
                .and_then(|parent| self.departments.get(parent));
        }
        steps.reverse();
        Path(steps)
    }

    /// Returns the path that the department with number `index` had at version `tree` of the tree:
    /// today's path with later moves undone, the latest first. None if this configuration is older
    /// than the tree or the department.
    pub fn path_at(&self, index: u32, tree: u32) -> Option<Path> {
        if tree > self.tree || index >= self.next_department {
            return None;
        }
        let department = self.departments.values().find(|d| d.index == index);
        let gone = self.gone.iter().find(|gone| gone.index == index);
        let (mut path, known_at) = match (department, gone) {
            (Some(department), _) => (self.path(&department.id), self.tree),
            (None, Some(gone)) => (Path(gone.path.clone()), gone.tree),
            (None, None) => (Path::default(), self.tree),
        };
        let later = self.moves.iter().rev().filter(|m| m.tree <= known_at);
        for moved in later.take_while(|m| m.tree > tree) {
            if let Some(at) = path.0.iter().position(|id| *id == moved.department_id) {
                path.0.splice(..at, moved.old_ancestors.iter().cloned());
            }
        }
        Some(path)
    }

    /// Returns the version of the tree at `at`.
    fn tree_at(&self, at: Timestamp) -> u32 {
        let last = self.moves.iter().rev().find(|moved| moved.at <= at);
        match (last, self.moves.first()) {
            (Some(last), _) => last.tree,
            (None, Some(first)) => first.tree.saturating_sub(1),
            (None, None) => self.tree,
        }
    }

    /// Returns the path of the department that `user` was in at `at`, in the tree of that moment.
    /// Before their creation it is that of their first moment. None if this configuration is older
    /// than the user's row.
    pub fn path_of_user_at(&self, user: &User, at: Timestamp) -> Option<Path> {
        let at = at.max(user.created_at);
        let index = match user.former_department(at) {
            Some(index) => index,
            None => self.departments.get(&user.department_id)?.index,
        };
        self.path_at(index, self.tree_at(at))
    }

    /// Returns the path that a department had at `at`, also if it was deleted in the last months.
    /// None if there is no such department.
    pub fn path_of_department_at(&self, id: &str, at: Timestamp) -> Option<Path> {
        let known = self.departments.get(id).map(|known| known.index);
        let index = known.or_else(|| Some(self.deleted_department(id)?.index))?;
        self.path_at(index, self.tree_at(at))
    }

    /// Returns the departments directly under `parent_id`.
    pub fn children<'a>(&'a self, parent_id: &'a str) -> impl Iterator<Item = &'a Department> {
        self.departments
            .values()
            .filter(move |d| d.parent_id.as_deref() == Some(parent_id))
    }

    /// Returns how many levels the subtree of `department_id` has, including itself.
    pub fn height(&self, department_id: &str) -> usize {
        self.departments
            .keys()
            .map(|id| self.path(id).0)
            .filter_map(|steps| {
                let at = steps.iter().position(|id| id == department_id)?;
                Some(steps.len() - at)
            })
            .max()
            .unwrap_or(0)
    }
}
