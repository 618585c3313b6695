//! The commands that measure a system and check what is claimed of it.

pub(crate) mod backtest;
pub(crate) mod books;
pub(crate) mod compare;
pub(crate) mod counts;
pub(crate) mod crash;
mod figures;
pub(crate) mod race;
pub(crate) mod replay;
mod rivals;
mod runaway;
pub(crate) mod stress;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Config, Credentials, Region, StalledStreamProtectionConfig,
};
use local::system::{System, SystemSettings};

use crate::error::CommandError;

/// Starts a new system in memory.
async fn new_system() -> Result<System, CommandError> {
    Ok(System::start(SystemSettings::default()).await?)
}

/// Connects to the database of a system, to read or write its tables directly.
fn database(system: &System) -> Client {
    client_of(system, "other")
}

/// Connects as the functions do, whose calls nobody signs. The meter counts them by `caller`.
fn client_of(system: &System, caller: &'static str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(system.engine().http_client_of(caller));
    let config = if system.engine().is_another() {
        config.credentials_provider(Credentials::new("local", "local", None, None, "local"))
    } else {
        config.allow_no_auth()
    };
    Client::from_conf(config.build())
}
