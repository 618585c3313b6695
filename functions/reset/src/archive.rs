//! The bucket for heads of the audit log, if the deployment has one. With S3's object lock nobody
//! can change or delete its objects, not even this function.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use std::error::Error;

/// The status of S3's answer if there is an object of that name.
const IS_THERE: u16 = 412;

/// A bucket that objects are only added to.
#[derive(Clone, Debug)]
pub struct Archive {
    s3: Client,
    bucket: String,
}

#[derive(Debug, thiserror::Error)]
#[error("the bucket did not take a head")]
pub(crate) struct NotArchived(#[source] Box<dyn Error + Send + Sync>);

impl Archive {
    pub fn new(s3: Client, bucket: String) -> Self {
        Self { s3, bucket }
    }

    /// Puts JSON under `name`. If there is an object of that name, it stays.
    pub(crate) async fn put(&self, name: &str, json: String) -> Result<(), NotArchived> {
        let call = self
            .s3
            .put_object()
            .bucket(&self.bucket)
            .key(name)
            .content_type("application/json")
            .if_none_match("*")
            .body(ByteStream::from(json.into_bytes()));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_response() {
                Some(answer) if answer.status().as_u16() == IS_THERE => Ok(()),
                _ => Err(NotArchived(error.into())),
            },
        }
    }
}
