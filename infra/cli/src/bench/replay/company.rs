//! The senders of the requests: departments under one root, each with a cap, and users in the
//! leaves.

use super::spread::Zipf;
use crate::api_client::ApiClient;
use crate::error::CommandError;
use serde_json::json;

/// The levels of departments below the root. Each department has two children.
const LEVELS: u32 = 3;
const LEAVES: usize = 1 << LEVELS;
/// The caps in percent of each department's fair share: by level below the root, for its first and
/// second children. One of two siblings is tight and one has room, so that refusals come from
/// several levels.
const GENEROSITY: [[u64; 2]; LEVELS as usize + 1] =
    [[100, 100], [110, 130], [140, 120], [100, 160]];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// None for the organisation.
    pub(super) department_id: Option<String>,
    /// The depth below the organisation.
    pub(super) depth: usize,
    /// The cap in tokens.
    pub(super) cap: u64,
    pub(super) budget_id: String,
}

/// The company that a replay makes.
#[derive(Clone, Debug)]
pub(super) struct Company {
    /// The organisation, if it has a cap, and the departments from the root on, each followed by
    /// its descendants.
    pub(super) levels: Vec<Level>,
    /// The index of the root department in `levels`.
    pub(super) root: usize,
    /// The users by rank, the heaviest first.
    pub(super) users: Vec<String>,
}

impl Company {
    /// Returns the department of a user.
    pub(super) fn department_of(&self, user: usize) -> String {
        let bits = (0..LEVELS).rev().map(|level| leaf_of(user) >> level & 1);
        bits.fold(self.name().to_owned(), |id, bit| {
            format!("{id}-{}", bit + 1)
        })
    }

    /// Returns the root department's id, with which all ids of the replay begin.
    pub(super) fn name(&self) -> &str {
        let root = &self.levels[self.root];
        root.department_id.as_deref().unwrap_or_default()
    }
}

/// A department before it is made.
#[derive(Debug, PartialEq, Eq)]
struct Planned {
    id: String,
    parent_id: Option<String>,
    level: usize,
    cap: u64,
}

/// Returns `percent` of the tokens expected of users with this total `weight`, times the
/// generosity.
fn cap(tokens: u64, percent: u32, weight: u64, zipf: &Zipf, generosity: u64) -> u64 {
    let share = u128::from(tokens) * u128::from(percent) * u128::from(weight);
    let cap = share * u128::from(generosity) / (u128::from(zipf.total()) * 100 * 100);
    u64::try_from(cap).unwrap_or(u64::MAX)
}

/// Plans the departments, each followed by its descendants. The root's cap is `percent` of
/// `tokens`.
fn planned(root: &str, zipf: &Zipf, tokens: u64, percent: u32) -> Vec<Planned> {
    let mut parents = vec![root.to_owned()];
    let mut out = vec![Planned {
        id: root.to_owned(),
        parent_id: None,
        level: 0,
        cap: cap(tokens, percent, zipf.total(), zipf, 100),
    }];
    for (level, generosity) in GENEROSITY.iter().enumerate().skip(1) {
        let leaves_each = LEAVES >> level;
        let mut ids = Vec::new();
        for (place, parent_id) in parents.iter().flat_map(|id| [id, id]).enumerate() {
            let id = format!("{parent_id}-{}", place % 2 + 1);
            let own = (0..zipf.users()).filter(|user| leaf_of(*user) / leaves_each == place);
            let weight = own.map(|user| zipf.weight(user)).sum();
            out.push(Planned {
                id: id.clone(),
                parent_id: Some(parent_id.clone()),
                level,
                cap: cap(tokens, percent, weight, zipf, generosity[place % 2]),
            });
            ids.push(id);
        }
        parents = ids;
    }
    out.sort_by(|one, other| one.id.cmp(&other.id));
    out
}

fn leaf_of(user: usize) -> usize {
    user % LEAVES
}

/// Makes the company through the API. The organisation gets a cap only if nobody else uses the
/// system.
pub(super) async fn create(
    client: &ApiClient,
    root: &str,
    zipf: &Zipf,
    tokens: u64,
    percent: u32,
) -> Result<Company, CommandError> {
    let planned = planned(root, zipf, tokens, percent);
    for department in &planned {
        let parent_id = department.parent_id.as_deref();
        client.create_department(&department.id, parent_id).await?;
    }
    let is_leaf = |one: &&Planned| one.level + 1 == GENEROSITY.len();
    let leaves: Vec<&Planned> = planned.iter().filter(is_leaf).collect();
    let mut users = Vec::new();
    for user in 0..zipf.users() {
        let id = format!("{root}-u{}", user + 1);
        client.create_user(&id, &leaves[leaf_of(user)].id).await?;
        users.push(id);
    }
    let mut levels: Vec<Level> = Vec::new();
    if client.is_in_process() {
        levels.push(Level {
            department_id: None,
            depth: 0,
            cap: planned[0].cap,
            budget_id: String::new(),
        });
    }
    let root = levels.len();
    levels.extend(planned.into_iter().map(|department| Level {
        department_id: Some(department.id),
        depth: department.level + 1,
        cap: department.cap,
        budget_id: String::new(),
    }));
    for level in &mut levels {
        let department_id = level.department_id.as_deref();
        level.budget_id = client
            .create_budget(department_id, "tokens", &json!(level.cap))
            .await?;
    }
    Ok(Company {
        levels,
        root,
        users,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_follow_the_expected_shares() {
        let zipf = Zipf::new(50);
        let all = planned("r", &zipf, 1_000_000, 50);
        assert_eq!(all.len(), 15);
        assert_eq!((all[0].id.as_str(), all[0].cap), ("r", 500_000));
        assert_eq!(all[1].id, "r-1");
        assert_eq!(all[14].id, "r-2-2-2");
        assert_eq!(all[14].parent_id.as_deref(), Some("r-2-2"));
        for level in 1..=3 {
            let caps: u64 = all
                .iter()
                .filter(|one| one.level == level)
                .map(|one| one.cap)
                .sum();
            // They add up to more than the root's cap, so that the root refuses too.
            assert!((500_001..800_000).contains(&caps), "{level}: {caps}");
        }
    }

    #[test]
    fn a_department_without_users_gets_nothing() {
        let all = planned("r", &Zipf::new(1), 1_000, 50);
        let caps: Vec<u64> = all.iter().map(|one| one.cap).collect();
        assert_eq!(caps[..4], [500, 550, 700, 500]);
        assert_eq!(caps[4..], [0; 11]);
    }
}
