//! The AWS services of one system, all in this process.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use shared::runtime::clock::Clock;

use crate::bucket::LocalBucket;
use crate::bus::LocalBus;
use crate::dynamodb::Engine;
use crate::names::{DEAD_EVENTS, DEAD_NOTICES, EVENTS, NOTICES};
use crate::permissions::Permission;
use crate::secrets::LocalSecrets;
use crate::ses::Mails;
use crate::sqs::{QueueError, QueueSettings, Queues};
use crate::start_error::StartError;

/// How often a message is delivered before it becomes a dead letter. A deployment has patience for
/// days (`template.yaml`); here nobody waits for an outage to end.
const DELIVERIES: u32 = 5;
/// How long a received message is hidden from other receivers.
const VISIBILITY: Duration = Duration::from_secs(30);

/// The services. Clones share their data.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    pub(crate) engine: Engine,
    pub(crate) queues: Queues,
    pub(crate) mails: Mails,
    pub(crate) bus: LocalBus,
    pub(crate) bucket: LocalBucket,
    pub(crate) secrets: LocalSecrets,
}

impl Services {
    /// Opens the data in `dir`, or empty services in memory if there is no directory.
    pub(crate) fn open(dir: Option<&Path>, clock: &Clock) -> Result<Self, StartError> {
        // The queues come first: their file keeps a second process out of the directory.
        let queues = Queues::open(
            dir,
            &[
                queue(EVENTS, DEAD_EVENTS),
                dead_letter_queue(DEAD_EVENTS),
                queue(NOTICES, DEAD_NOTICES),
                dead_letter_queue(DEAD_NOTICES),
            ],
        )
        .map_err(|error| open_error(error, dir))?;
        Ok(Self {
            engine: Engine::open(dir)?,
            queues,
            mails: Mails::new(clock.clone()),
            bus: LocalBus::default(),
            bucket: LocalBucket::default(),
            secrets: LocalSecrets::default(),
        })
    }

    /// Returns the permissions that each function used since the services were opened.
    pub(crate) fn permissions_used(&self) -> BTreeSet<Permission> {
        let services = [
            self.engine.permissions_used(),
            self.queues.permissions_used(),
            self.mails.permissions_used(),
            self.bus.permissions_used(),
            self.bucket.permissions_used(),
            self.secrets.permissions_used(),
        ];
        services.into_iter().flatten().collect()
    }
}

/// The settings of a queue whose messages go to `dead_letters` after [`DELIVERIES`] attempts.
pub(crate) fn queue(name: &str, dead_letters: &str) -> QueueSettings {
    QueueSettings {
        dead_letter_queue: Some(dead_letters.to_owned()),
        ..dead_letter_queue(name)
    }
}

fn dead_letter_queue(name: &str) -> QueueSettings {
    QueueSettings {
        name: name.to_owned(),
        visibility_timeout: VISIBILITY,
        max_receive_count: DELIVERIES,
        dead_letter_queue: None,
    }
}

fn open_error(error: QueueError, dir: Option<&Path>) -> StartError {
    match (error, dir) {
        (QueueError::Database(error), Some(dir))
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) =>
        {
            StartError::InUse(dir.to_owned())
        }
        (error, _) => error.into(),
    }
}
