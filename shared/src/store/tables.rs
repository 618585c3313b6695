//! The tables, and their creation without a template.

use super::{Store, StoreError};
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};

/// The names of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// Cells: partition key `k`.
    pub counters: String,
    /// Records, resolutions, totals: `pk` and `sk`, and the index `by_day`.
    pub ledger: String,
    /// Everything configured or decided: `pk` and `sk`.
    pub governance: String,
    /// The audit logs: `pk` and `sk`. Entries are put and read, never updated or deleted.
    pub audit: String,
}

/// One of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Table {
    Counters,
    Ledger,
    Governance,
    Audit,
}

impl Table {
    /// Returns the attribute with the partition key.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Counters => "k",
            Self::Ledger | Self::Governance | Self::Audit => "pk",
        }
    }
}

impl Tables {
    pub(super) fn name(&self, table: Table) -> &str {
        match table {
            Table::Counters => &self.counters,
            Table::Ledger => &self.ledger,
            Table::Governance => &self.governance,
            Table::Audit => &self.audit,
        }
    }

    /// Returns the names of the local stack.
    pub fn local() -> Self {
        Self {
            counters: "Counters".to_owned(),
            ledger: "Ledger".to_owned(),
            governance: "Governance".to_owned(),
            audit: "Audit".to_owned(),
        }
    }
}

/// The index of the records by organisation and day.
pub(super) const BY_DAY: &str = "by_day";
/// The attribute with the second after which an item may expire.
pub(super) const TTL: &str = "y";

fn string(name: &str) -> Result<AttributeDefinition, StoreError> {
    Ok(AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S)
        .build()?)
}

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement, StoreError> {
    Ok(KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()?)
}

impl Store {
    /// Creates the missing tables, for an engine that no template describes.
    pub async fn create_missing_tables(&self) -> Result<(), StoreError> {
        let known = self.client.list_tables().send().await?;
        let is_missing = |name: &String| !known.table_names().contains(name);
        if is_missing(&self.tables.counters) {
            self.new_table(&self.tables.counters)
                .attribute_definitions(string("k")?)
                .key_schema(key("k", KeyType::Hash)?)
                .send()
                .await?;
            self.expire_by_time(&self.tables.counters).await?;
        }
        if is_missing(&self.tables.ledger) {
            let by_day = GlobalSecondaryIndex::builder()
                .index_name(BY_DAY)
                .key_schema(key("day", KeyType::Hash)?)
                .key_schema(key("at", KeyType::Range)?)
                .projection(
                    Projection::builder()
                        .projection_type(ProjectionType::All)
                        .build(),
                )
                .build()?;
            self.new_two_part_table(&self.tables.ledger)?
                .attribute_definitions(string("day")?)
                .attribute_definitions(string("at")?)
                .global_secondary_indexes(by_day)
                .send()
                .await?;
            self.expire_by_time(&self.tables.ledger).await?;
        }
        if is_missing(&self.tables.governance) {
            let table = self.new_two_part_table(&self.tables.governance)?;
            table.send().await?;
            self.expire_by_time(&self.tables.governance).await?;
        }
        // No entry of an audit log expires.
        if is_missing(&self.tables.audit) {
            let table = self.new_two_part_table(&self.tables.audit)?;
            table.send().await?;
        }
        Ok(())
    }

    fn new_table(&self, name: &str) -> CreateTableFluentBuilder {
        self.client
            .create_table()
            .table_name(name)
            .billing_mode(BillingMode::PayPerRequest)
    }

    fn new_two_part_table(&self, name: &str) -> Result<CreateTableFluentBuilder, StoreError> {
        Ok(self
            .new_table(name)
            .attribute_definitions(string("pk")?)
            .attribute_definitions(string("sk")?)
            .key_schema(key("pk", KeyType::Hash)?)
            .key_schema(key("sk", KeyType::Range)?))
    }

    async fn expire_by_time(&self, table: &str) -> Result<(), StoreError> {
        let setting = TimeToLiveSpecification::builder()
            .attribute_name(TTL)
            .enabled(true)
            .build()?;
        self.client
            .update_time_to_live()
            .table_name(table)
            .time_to_live_specification(setting)
            .send()
            .await?;
        Ok(())
    }
}
