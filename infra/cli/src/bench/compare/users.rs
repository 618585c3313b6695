//! Many users in little time.

use super::super::client_of;
use crate::api_client::ApiClient;
use crate::error::CommandError;
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use local::system::{ORGANISATION, System};

const TABLE: &str = "Governance";
/// The most items of one batch write.
const BATCH: usize = 25;
/// Makes the users `u0`, `u1`, .. in a department: the first by the API, which takes a transaction
/// for each, and the others as copies of its item.
pub(super) async fn create(
    system: &System,
    api: &ApiClient,
    users: u32,
    department: &str,
) -> Result<(), CommandError> {
    api.create_user("u0", department).await?;
    copy_first(system, 1..users).await
}

async fn copy_first(system: &System, users: std::ops::Range<u32>) -> Result<(), CommandError> {
    let client = client_of(system, "other");
    let first = client
        .get_item()
        .table_name(TABLE)
        .key("pk", AttributeValue::S(ORGANISATION.to_owned()))
        .key("sk", AttributeValue::S("user#u0".to_owned()))
        .send()
        .await
        .map_err(failed)?;
    let first = first.item.unwrap_or_default();
    let users: Vec<u32> = users.collect();
    for batch in users.chunks(BATCH) {
        let mut puts = Vec::new();
        for user in batch {
            let id = format!("u{user}");
            let mut item = first.clone();
            item.insert("sk".to_owned(), AttributeValue::S(format!("user#{id}")));
            for value in item.values_mut() {
                if let AttributeValue::M(fields) = value {
                    fields.insert("id".to_owned(), AttributeValue::S(id.clone()));
                }
            }
            let put = PutRequest::builder().set_item(Some(item)).build();
            let put = put.map_err(failed)?;
            puts.push(WriteRequest::builder().put_request(put).build());
        }
        let write = client.batch_write_item().request_items(TABLE, puts);
        write.send().await.map_err(failed)?;
    }
    Ok(())
}

fn failed(error: impl std::error::Error) -> CommandError {
    CommandError::Answer(DisplayErrorContext(error).to_string())
}
