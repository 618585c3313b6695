//! Writes that have to be made before a transaction, alone. They may be repeated.

use super::Store;
use super::error::StoreError;
use super::write::Write;
use futures::StreamExt as _;
use std::time::Instant;

/// How many of them are made at the same time.
const AT_ONCE: usize = 16;

impl Store {
    /// Makes the writes that have to be made before those of `parts`, unless this instance has.
    pub(super) async fn write_before(&self, parts: &[Write]) -> Result<(), StoreError> {
        let now = Instant::now();
        let each = parts.iter().filter_map(Write::before);
        let missing = each.filter(|write| !self.instance.has_written(&write.name(), now));
        let missing: Vec<_> = missing
            .map(|write| self.write_once(write.clone()))
            .collect();
        let mut made = futures::stream::iter(missing).buffer_unordered(AT_ONCE);
        while let Some(made) = made.next().await {
            made?;
        }
        Ok(())
    }

    async fn write_once(&self, write: Write) -> Result<(), StoreError> {
        let name = write.name();
        self.update_alone(write).await?;
        self.instance.remember(name, Instant::now());
        Ok(())
    }
}
