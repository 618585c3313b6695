//! Places departments in the tree.

use jiff::Timestamp;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::department::{Department, DepartmentMove, MAX_DEPTH};
use shared::runtime::error::ApiError;

/// Refuses a place under `parent_id` if a subtree of `height` levels would be too deep there.
pub(super) fn check_depth(
    configuration: &Configuration,
    parent_id: Option<&str>,
    height: usize,
) -> Result<(), ApiError> {
    let above = parent_id.map_or(0, |id| configuration.path(id).0.len());
    if above + height > MAX_DEPTH {
        let message = format!("the tree may be at most {MAX_DEPTH} levels deep");
        return Err(ApiError::field("parent_id", message));
    }
    Ok(())
}

/// Returns the move of a department under another parent. Refuses a parent in its own subtree, and
/// a tree that gets too deep.
pub(super) fn department_move(
    configuration: &Configuration,
    before: &Department,
    after: &Department,
    now: Timestamp,
) -> Result<DepartmentMove, ApiError> {
    if let Some(parent_id) = &after.parent_id
        && configuration.path(parent_id).0.contains(&before.id)
    {
        return Err(ApiError::conflict(format!(
            "{parent_id:?} is {:?} itself or under it: that would be a cycle",
            before.id
        )));
    }
    let height = configuration.height(&before.id);
    check_depth(configuration, after.parent_id.as_deref(), height)?;
    let mut old_ancestors = configuration.path(&before.id).0;
    old_ancestors.pop();
    Ok(DepartmentMove {
        tree: configuration.tree + 1,
        department_id: before.id.clone(),
        old_ancestors,
        at: now,
    })
}
