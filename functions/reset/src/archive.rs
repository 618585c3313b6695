//! The bucket that heads of the audit log are put into, if the deployment has one. With S3's object lock nobody can change
//! or delete what is there, this function included.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use std::error::Error;

/// What S3 answers if there is an object of that name.
const IS_THERE: u16 = 412;

/// A bucket.
#[derive(Clone, Debug)]
pub struct Archive {
    s3: Client,
    bucket: String,
}

/// The bucket did not take an object.
#[derive(Debug, thiserror::Error)]
#[error("the bucket did not take a head")]
pub(crate) struct NotArchived(#[source] Box<dyn Error + Send + Sync>);

impl Archive {
    /// The bucket called `bucket`.
    pub fn new(s3: Client, bucket: String) -> Self {
        Self { s3, bucket }
    }

    /// Puts JSON under `name`. What is there already stays.
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
