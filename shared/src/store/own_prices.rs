//! The organisation's own prices, discounts and aliases: rows of the configuration.

use super::error::StoreError;
use super::governance::short_digest;
use super::item::expires_at;
use super::keys::{self, ALIAS, DISCOUNT, Key, PRICE};
use super::rows::{Row, WAITING_SECONDS};
use crate::domain::change::{PricesChange, Put, Removal};
use crate::domain::pricing::own::{Alias, Discount, OwnPrice, folded};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn key(organisation_id: &str, prefix: &str, name: &str) -> Key {
    keys::governance(organisation_id, format!("{prefix}{}", short_digest(name)))
}

fn price_key(organisation_id: &str, price: &OwnPrice) -> Key {
    key(organisation_id, PRICE, &price.of.key())
}

fn discount_key(organisation_id: &str, discount: &Discount) -> Key {
    key(organisation_id, DISCOUNT, &folded(&discount.of))
}

fn alias_key(organisation_id: &str, alias: &Alias) -> Key {
    key(organisation_id, ALIAS, &folded(&alias.of))
}

impl Row {
    /// Builds the row of a change of prices. What is removed is kept as long as late usage may
    /// need it.
    pub(super) fn of_prices(
        organisation_id: &str,
        change: &PricesChange,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let id = organisation_id;
        match change {
            PricesChange::PriceSet(put) => Self::put(put, |of| price_key(id, of)),
            PricesChange::PriceRemoved(gone) => Self::removed(gone, now, |of| price_key(id, of)),
            PricesChange::DiscountSet(put) => Self::put(put, |of| discount_key(id, of)),
            PricesChange::DiscountRemoved(gone) => {
                Self::removed(gone, now, |of| discount_key(id, of))
            }
            PricesChange::AliasSet(put) => Self::put(put, |of| alias_key(id, of)),
            PricesChange::AliasRemoved(gone) => Self::removed(gone, now, |of| alias_key(id, of)),
        }
    }

    fn put<T: Serialize + DeserializeOwned>(
        put: &Put<T>,
        key: impl Fn(&T) -> Key,
    ) -> Result<Self, StoreError> {
        Self::replacing(key(&put.after.value), &put.after.value)
    }

    fn removed<T: Serialize>(
        removal: &Removal<T>,
        now: Timestamp,
        key: impl Fn(&T) -> Key,
    ) -> Result<Self, StoreError> {
        let key = key(&removal.before.value);
        let Some(remembered) = &removal.remembered else {
            return Ok(Self::gone(key));
        };
        let mut row = Self::new(key, remembered)?;
        row.expire(expires_at(now) + WAITING_SECONDS);
        Ok(row)
    }
}
