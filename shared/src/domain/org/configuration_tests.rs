//! Tests of the configuration, its departments and its budgets.

use super::*;
use crate::domain::org::people::{Role, Status};
use crate::domain::samples;

fn department(index: u32, id: &str, parent: Option<&str>) -> (String, Department) {
    let department = Department {
        id: id.to_owned(),
        index,
        name: id.to_owned(),
        parent_id: parent.map(str::to_owned),
        manager_id: None,
        users: 0,
        models: None,
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    };
    (id.to_owned(), department)
}

fn configuration(
    departments: &[(u32, &str, Option<&str>)],
    moves: Vec<DepartmentMove>,
) -> Configuration {
    Configuration {
        epoch: 1,
        tree: moves.last().map_or(0, |m| m.tree),
        policies: 0,
        organisation: Organisation::new(
            "acme".into(),
            "Acme".into(),
            "UTC".into(),
            Timestamp::UNIX_EPOCH,
        ),
        departments: departments
            .iter()
            .map(|&(index, id, parent)| department(index, id, parent))
            .collect(),
        budgets: BTreeMap::new(),
        ended: Vec::new(),
        grants: Vec::new(),
        moves,
        gone: Vec::new(),
        prices: OwnPrices::default(),
        next_department: 4,
        placement: Default::default(),
    }
}

fn month(n: i8) -> Month {
    Month::new(2026, n).unwrap()
}

/// A budget of the organisation since January.
fn budget() -> Budget {
    Budget {
        id: "bud_1".into(),
        node: 0,
        since: month(1),
        top_ups: Vec::new(),
        name: "b".into(),
        department_id: None,
        unit: Unit::Tokens,
        amount: 10,
        earlier_amounts: Vec::new(),
        hard_cap: true,
        thresholds: Vec::new(),
        rollover_cap_percent: None,
        earlier_rollovers: Vec::new(),
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn months_gone_by_keep_the_amount_of_their_end() {
    let mut budget = budget();
    budget.change_amount(20, month(3));
    budget.change_amount(30, month(3));
    budget.change_amount(40, month(6));
    let amounts = |b: &Budget| [2, 3, 5, 6, 9].map(|n| b.amount_in(month(n)));
    assert_eq!(amounts(&budget), [10, 30, 30, 40, 40]);
    budget.change_amount(50, month(5));
    assert_eq!(
        amounts(&budget),
        [10, 30, 50, 50, 50],
        "a clock that went back"
    );
    budget.change_amount(30, month(7));
    assert_eq!(amounts(&budget), [10, 30, 50, 50, 30]);
}

#[test]
fn months_gone_by_keep_the_rollover_of_their_end() {
    let mut budget = budget();
    budget.change_rollover(Some(100), month(3));
    budget.change_rollover(Some(50), month(3));
    budget.change_rollover(None, month(6));
    let shares = |b: &Budget| [2, 3, 5, 6, 9].map(|n| b.rollover_in(month(n)));
    assert_eq!(shares(&budget), [None, Some(50), Some(50), None, None]);
    budget.change_rollover(Some(10), month(6));
    let expected = [None, Some(50), Some(50), Some(10), Some(10)];
    assert_eq!(shares(&budget), expected);
    budget.change_rollover(Some(50), month(7));
    let expected = [None, Some(50), Some(50), Some(10), Some(50)];
    assert_eq!(shares(&budget), expected);
}

#[test]
fn a_budget_that_was_stored_before_rollovers_had_dates_has_one_for_all_months() {
    let known = Budget {
        rollover_cap_percent: Some(25),
        ..budget()
    };
    let mut stored = serde_json::to_value(&known).unwrap();
    let fields = stored.as_object_mut().unwrap();
    assert!(fields.remove("earlier_rollovers").is_some());
    let read: Budget = serde_json::from_value(stored).unwrap();
    assert_eq!(read, known);
    assert_eq!(read.rollover_in(month(1)), Some(25));
}

#[test]
fn a_budget_that_was_deleted_counts_in_the_months_that_it_has_seen_the_end_of() {
    let mut config = configuration(&[], Vec::new());
    let made_again = Budget {
        id: "bud_2".into(),
        since: month(9),
        ..budget()
    };
    let ended = EndedBudget {
        budget: budget(),
        until: month(8),
    };
    config.ended.push(ended);
    let begins = |config: &Configuration, current| {
        let first = config.first_month_of(0, Unit::Tokens, month(current));
        let other = config.first_month_of(0, Unit::Usd, month(current));
        assert_eq!(other, month(current), "another unit is free");
        first
    };
    assert_eq!(begins(&config, 8), month(9), "by a clock that is behind");
    assert_eq!(begins(&config, 10), month(10));
    config.budgets.insert("bud_2".into(), made_again);
    let counted = |n| -> Vec<&str> {
        let budgets = config.budgets_in(month(n));
        budgets.map(|budget| budget.id.as_str()).collect()
    };
    assert_eq!(counted(1), ["bud_1"]);
    assert_eq!(counted(8), ["bud_1"]);
    assert_eq!(counted(9), ["bud_2"]);
    let on_path = |n| config.budgets_on(&Path::default(), month(n)).len();
    assert_eq!([8, 9].map(on_path), [0, 1], "only what is there decides");
}

fn moved(tree: u32, id: &str, old: &[&str]) -> DepartmentMove {
    DepartmentMove {
        tree,
        department_id: id.to_owned(),
        old_ancestors: old.iter().map(|s| (*s).to_owned()).collect(),
        at: second(i64::from(tree) * 10),
    }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn a_path_at_an_earlier_tree_undoes_the_later_moves() {
    // a > b > c at first. Then c moved to the top, then b moved under c.
    let config = configuration(
        &[(0, "a", None), (1, "b", Some("c")), (2, "c", None)],
        vec![moved(1, "c", &["a", "b"]), moved(2, "b", &["a"])],
    );
    let at = |index, tree| config.path_at(index, tree).map(|path| path.to_text());
    assert_eq!(at(1, 2).as_deref(), Some("/c/b/"));
    assert_eq!(at(1, 1).as_deref(), Some("/a/b/"));
    assert_eq!(at(2, 1).as_deref(), Some("/c/"));
    assert_eq!(at(2, 0).as_deref(), Some("/a/b/c/"));
    assert_eq!(at(9, 0), None, "an unknown department");
    assert_eq!(at(1, 3), None, "a move that is not known yet");
    let mut without = config.clone();
    without.departments.remove("b");
    without.gone.push(DeletedDepartment {
        index: 1,
        tree: 1,
        path: vec!["a".into(), "b".into()],
    });
    let at = |tree| without.path_at(1, tree).map(|path| path.to_text());
    assert_eq!(
        at(1).as_deref(),
        Some("/a/b/"),
        "a department that is no more"
    );
    assert_eq!(at(0).as_deref(), Some("/a/b/"));
}

#[test]
fn a_users_path_is_that_of_the_moment() {
    // a > b and c at first. At second 10 b moved under c, at second 20 c moved under a.
    let config = configuration(
        &[(0, "a", None), (1, "b", Some("c")), (2, "c", Some("a"))],
        vec![moved(1, "b", &["a"]), moved(2, "c", &[])],
    );
    let mut user = User {
        id: "ada".into(),
        email: "ada@example.com".into(),
        name: "Ada".into(),
        department_id: "b".into(),
        former: Vec::new(),
        manager_id: None,
        role: Role::Member,
        status: Status::Active,
        block: None,
        version: 1,
        created_at: second(5),
        updated_at: second(5),
    };
    let path = |user: &User, n| {
        let path = config.path_of_user_at(user, second(n));
        path.map(|path| path.to_text())
    };
    for (n, expected) in [(0, "/a/b/"), (9, "/a/b/"), (10, "/c/b/"), (20, "/a/c/b/")] {
        assert_eq!(path(&user, n).as_deref(), Some(expected), "{n}");
    }
    user.move_to("a".into(), 1, second(15));
    assert_eq!(path(&user, 14).as_deref(), Some("/c/b/"));
    assert_eq!(path(&user, 15).as_deref(), Some("/a/"));
    user.created_at = second(12);
    assert_eq!(path(&user, 3).as_deref(), Some("/c/b/"), "before the user");
    user.move_to("new".into(), 0, second(30));
    assert_eq!(path(&user, 30), None, "a department that is not known yet");
    assert_eq!(path(&user, 29).as_deref(), Some("/a/"));
}

#[test]
fn a_path_is_under_each_of_its_steps_and_the_organisation() {
    let path = Path::from_text("/a/b/");
    assert!(path.is_under(None) && path.is_under(Some("a")) && path.is_under(Some("b")));
    assert!(!path.is_under(Some("c")) && Path::default().is_under(None));
    assert_eq!(Path::default().to_text(), "/");
}

#[test]
fn a_height_counts_levels() {
    let config = configuration(
        &[
            (0, "a", None),
            (1, "b", Some("a")),
            (2, "c", Some("b")),
            (3, "d", Some("a")),
        ],
        Vec::new(),
    );
    assert_eq!(
        (config.height("a"), config.height("b"), config.height("d")),
        (3, 2, 1)
    );
}

#[test]
fn a_budget_gives_its_amount_and_what_was_topped_up_from_its_first_month_on() {
    let mut budget = samples::budget(Some("eng"), Unit::Tokens, 1_001);
    let month = samples::month;
    budget.top_up(250, month("2026-11")).unwrap();
    budget.top_up(7, month("2026-11")).unwrap();
    let given = ["2026-09", "2026-10", "2026-11", "2026-12"];
    let given = given.map(|text| budget.gives_in(month(text)));
    assert_eq!(given, [0, 1_001, 1_258, 1_001]);
}

#[test]
fn a_month_is_over_once_it_is_by_every_clock() {
    let config = samples::configuration([]);
    let is_over = |now| config.is_over(samples::month("2026-11"), samples::at(now));
    assert!(
        !is_over("2026-12-01T00:04:59Z"),
        "another clock may be behind"
    );
    assert!(is_over("2026-12-01T00:05:00Z"));
}

#[test]
fn the_nearest_budgets_come_first_and_the_organisations_last() {
    let config = samples::configuration([
        samples::budget(None, Unit::Tokens, 1),
        samples::budget(Some("eng"), Unit::Usd, 2),
        samples::budget(Some("backend"), Unit::Usd, 3),
        samples::budget(Some("backend"), Unit::Tokens, 4),
        samples::budget(Some("sales"), Unit::Tokens, 5),
    ]);
    let amounts = |budgets: Vec<&Budget>| -> Vec<i64> {
        budgets.iter().map(|budget| budget.amount).collect()
    };
    let path = config.path("backend");
    assert_eq!(amounts(config.budgets_on(&path, month(11))), [4, 3, 2, 1]);
    let counters = config.counters_on(&path);
    assert_eq!(amounts(config.budgets_of(&counters)), [4, 3, 2, 1]);
}

#[test]
fn nobody_is_their_own_manager() {
    let mut config = samples::configuration([]);
    for (department, manager) in [("backend", "mo"), ("eng", "eve")] {
        let department = config.departments.get_mut(department).unwrap();
        department.manager_id = Some(manager.to_owned());
    }
    let managers = |user: &User| {
        let candidates = config.manager_candidates(user);
        candidates.map(|(id, _)| id.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(managers(&samples::user("ada")), ["mo", "eve"]);
    assert_eq!(managers(&samples::user("mo")), ["eve"]);
    let own = User {
        manager_id: Some("max".to_owned()),
        ..samples::user("ada")
    };
    assert_eq!(managers(&own), ["max", "mo", "eve"]);
    let elsewhere = User {
        department_id: "sales".to_owned(),
        ..samples::user("sam")
    };
    assert!(managers(&elsewhere).is_empty());
}
