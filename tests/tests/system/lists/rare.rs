//! A filter that few rows fit: its first page is not empty while more follows.

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use end_to_end::{ADMIN, World};
use serde_json::Value;
use std::collections::HashMap;

/// More rows than a page that has something looks at, with its last read.
const MANY: u64 = 3_000;

fn text(value: String) -> AttributeValue {
    AttributeValue::S(value)
}

/// Writes so many rows like the one at `sk` of the organisation; `change` is told which one it is.
async fn write_many(
    world: &World,
    [table, sk]: [&str; 2],
    change: impl Fn(u64, &mut HashMap<String, AttributeValue>) -> String,
) {
    let tables = world.tables();
    let found = tables
        .get_item()
        .table_name(table)
        .key("pk", text("demo".to_owned()))
        .key("sk", text(sk.to_owned()));
    let template = found.send().await.unwrap().item.unwrap();
    let numbers: Vec<u64> = (0..MANY).collect();
    for some in numbers.chunks(25) {
        let puts = some.iter().map(|n| {
            let mut item = template.clone();
            let Some(AttributeValue::M(data)) = item.get_mut("data") else {
                panic!("{template:?}");
            };
            let sk = change(*n, data);
            item.insert("sk".to_owned(), text(sk));
            let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        });
        let write = tables
            .batch_write_item()
            .request_items(table, puts.collect());
        write.send().await.unwrap();
    }
}

#[tokio::test]
async fn the_first_page_of_a_rare_filter_is_not_empty_while_more_follows() {
    let mut world = World::empty().await;
    world.department("eng", None).await;
    world.user("ada", "eng").await;
    world.user("zoe", "eng").await;
    let zoe = serde_json::json!({"status": "suspended"});
    world.admin("PATCH", "/v1/users/zoe", zoe).await.expect(200);
    write_many(&world, ["Governance", "user#ada"], |n, data| {
        let id = format!("b{n:05}");
        data.insert("id".to_owned(), text(id.clone()));
        format!("user#{id}")
    })
    .await;
    // The log is longer than its head says: it is not walked.
    world.is_tampered = true;
    let head = world.system.store().head("demo").await.unwrap().unwrap();
    let newest = format!("{:012}", head.seq);
    write_many(&world, ["Audit", &newest], |n, data| {
        let seq = head.seq + 1 + n;
        data.insert("seq".to_owned(), AttributeValue::N(seq.to_string()));
        format!("{seq:012}")
    })
    .await;
    for (path, name, wanted) in [
        ("/v1/users?status=suspended", "id", "zoe"),
        (
            "/v1/audit-log?actor=operator",
            "action",
            "organisation.create",
        ),
        (
            "/v1/audit-log?action=department&limit=1",
            "resource",
            "department/eng",
        ),
    ] {
        let page = world.call(ADMIN, "GET", path, Value::Null).await;
        let page = page.expect(200);
        assert_eq!(page["items"][0][name], wanted, "{path}: {page}");
        assert_eq!(page["has_more"], false, "{path}");
    }
}
