//! Lists in pages: order, inserts between pages, filters and cursors.

use super::{all_pages, ids, names};
use end_to_end::{ADMIN, OPERATOR, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn page(world: &World, path: &str, query: &str) -> Value {
    world
        .admin("GET", &format!("{path}?{query}"), Value::Null)
        .await
        .expect(200)
}

/// Thirty departments, and sixty users by turns in the first three of them; every fifth is
/// suspended.
async fn company() -> World {
    let world = World::empty().await;
    for id in names("d", 30) {
        world.department(&id, None).await;
    }
    // Not made in order, so that a list is not in order by chance.
    for n in (0..60).rev() {
        let id = format!("u{n:03}");
        world.user(&id, &format!("d{:03}", n % 3)).await;
        if n % 5 == 0 {
            world
                .admin(
                    "PATCH",
                    &format!("/v1/users/{id}"),
                    json!({"status": "suspended"}),
                )
                .await
                .expect(200);
        }
    }
    world
}

#[tokio::test]
async fn pages_of_every_size_give_each_item_exactly_once_and_in_order() {
    let world = company().await;
    for limit in [1, 7, 25, 30, 60, 100] {
        assert_eq!(
            all_pages(&world, ADMIN, "/v1/users", "", limit).await,
            names("u", 60),
            "{limit}"
        );
        assert_eq!(
            all_pages(&world, ADMIN, "/v1/departments", "", limit).await,
            names("d", 30),
            "{limit}"
        );
    }
    assert_eq!(
        ids(&page(&world, "/v1/users", "").await),
        names("u", 60)[..25],
        "25 unless told"
    );
}

#[tokio::test]
async fn budgets_keys_and_organisations_come_in_pages_too() {
    let world = World::empty().await;
    for n in 0..5 {
        world.department(&format!("d{n}"), None).await;
        world
            .budget(Some(&format!("d{n}")), "tokens", json!(5), true)
            .await;
        world
            .admin("POST", "/v1/api-keys", json!({"role": "agent"}))
            .await
            .expect(201);
        let body = json!({"id": format!("org{n}"), "name": "O", "timezone": "UTC"});
        world
            .call(OPERATOR, "POST", "/v1/organisations", body)
            .await
            .expect(201);
    }
    for (key, path, count) in [
        (ADMIN, "/v1/budgets", 5),
        (ADMIN, "/v1/api-keys", 7),
        (OPERATOR, "/v1/organisations", 6),
    ] {
        let whole = all_pages(&world, key, path, "", 100).await;
        assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), count, "{path}");
        for limit in [1, 2, count] {
            assert_eq!(
                all_pages(&world, key, path, "", limit).await,
                whole,
                "{path} {limit}"
            );
        }
    }
}

#[tokio::test]
async fn inserts_between_pages_neither_repeat_nor_hide_what_was_there() {
    let world = company().await;
    for (path, prefix, count) in [("/v1/users", "u", 60), ("/v1/departments", "d", 30)] {
        let first = page(&world, path, "limit=7").await;
        let mut seen = ids(&first);
        let mut cursor = first["next_cursor"].as_str().map(str::to_owned);
        let mut turn = 0;
        while let Some(after) = cursor {
            // One before everything, one just after the cursor, one after everything.
            let last = seen.last().unwrap().clone();
            for id in [
                format!("a{turn}"),
                format!("{last}-new"),
                format!("z{turn}"),
            ] {
                match path {
                    "/v1/users" => world.user(&id, "d000").await,
                    _ => world.department(&id, None).await,
                }
            }
            let next = page(&world, path, &format!("limit=7&cursor={after}")).await;
            seen.extend(ids(&next));
            cursor = next["next_cursor"].as_str().map(str::to_owned);
            turn += 1;
            if turn > 4 {
                let rest = format!("limit=100&cursor={}", cursor.take().unwrap_or_default());
                if !rest.ends_with('=') {
                    seen.extend(ids(&page(&world, path, &rest).await));
                }
            }
        }
        assert!(turn >= 4);
        assert!(seen.is_sorted(), "{seen:?}");
        let unique: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(unique.len(), seen.len(), "{seen:?}");
        let old: Vec<String> = seen
            .into_iter()
            .filter(|id| id.starts_with(prefix) && id.len() == 4)
            .collect();
        assert_eq!(old, names(prefix, count));
    }
}

#[tokio::test]
async fn filters_give_what_fits_and_nothing_else_on_full_pages() {
    let world = company().await;
    let users = |wanted: &dyn Fn(usize) -> bool| -> Vec<String> {
        (0..60)
            .filter(|n| wanted(*n))
            .map(|n| format!("u{n:03}"))
            .collect()
    };
    for limit in [1, 7, 100] {
        let found = all_pages(&world, ADMIN, "/v1/users", "department=d001&", limit).await;
        assert_eq!(found, users(&|n| n % 3 == 1));
        let found = all_pages(&world, ADMIN, "/v1/users", "status=suspended&", limit).await;
        assert_eq!(found, users(&|n| n % 5 == 0));
        let found = all_pages(
            &world,
            ADMIN,
            "/v1/users",
            "status=active&department=d002&",
            limit,
        )
        .await;
        assert_eq!(found, users(&|n| n % 5 != 0 && n % 3 == 2));
        assert!(
            all_pages(&world, ADMIN, "/v1/users", "department=d029&", limit)
                .await
                .is_empty()
        );
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_filter_and_tenant_only_and_unaltered_only() {
    let world = company().await;
    let body = json!({"id": "rival", "name": "Rival", "timezone": "UTC"});
    let rival = world
        .call(OPERATOR, "POST", "/v1/organisations", body)
        .await
        .expect(201);
    let rival = rival["admin_key"].as_str().unwrap();
    for id in ["d000", "d001"] {
        world
            .call(
                rival,
                "POST",
                "/v1/departments",
                json!({"id": id, "name": id}),
            )
            .await
            .expect(201);
    }
    let cursor = page(&world, "/v1/users", "limit=1").await["next_cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    let departments = page(&world, "/v1/departments", "limit=1").await;
    let departments = departments["next_cursor"].as_str().unwrap();
    let filtered = page(&world, "/v1/users", "limit=1&status=active").await;
    let filtered = filtered["next_cursor"].as_str().unwrap();
    assert_eq!(
        ids(&page(&world, "/v1/users", &format!("limit=3&cursor={cursor}")).await),
        names("u", 4)[1..]
    );
    let mut wrong = vec![
        (ADMIN, format!("/v1/departments?cursor={cursor}")),
        (ADMIN, format!("/v1/budgets?cursor={cursor}")),
        (ADMIN, format!("/v1/api-keys?cursor={cursor}")),
        (OPERATOR, format!("/v1/organisations?cursor={cursor}")),
        (ADMIN, format!("/v1/users?cursor={departments}")),
        (ADMIN, format!("/v1/users?cursor={filtered}")),
        (
            ADMIN,
            format!("/v1/users?status=suspended&cursor={filtered}"),
        ),
        (
            ADMIN,
            format!("/v1/users?department=d000&status=active&cursor={filtered}"),
        ),
        (ADMIN, format!("/v1/users?status=active&cursor={cursor}")),
        (ADMIN, format!("/v1/users?department=d000&cursor={cursor}")),
        (rival, format!("/v1/users?cursor={cursor}")),
        (rival, format!("/v1/departments?cursor={departments}")),
        (
            ADMIN,
            format!("/v1/users?cursor={}", &cursor[..cursor.len() - 1]),
        ),
        (ADMIN, format!("/v1/users?cursor={cursor}A")),
        (ADMIN, format!("/v1/users?cursor={cursor}%20")),
    ];
    for at in 0..cursor.len() {
        for other in ["A", "B", "-"] {
            let altered = format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]);
            if altered != cursor {
                wrong.push((ADMIN, format!("/v1/users?cursor={altered}")));
            }
        }
    }
    for (key, path) in wrong {
        let answer = world.call(key, "GET", &path, Value::Null).await;
        assert_eq!(
            (answer.status, answer.fields()),
            (400, vec!["cursor".to_owned()]),
            "{path}: {}",
            answer.body
        );
    }
}
