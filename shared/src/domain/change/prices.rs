//! Changes of the organisation's own prices, discounts and aliases.

use super::Audited;
use super::audit::Entry;
use crate::domain::pricing::own::{Alias, Discount, OwnPrice};

/// A value that is put in the place of another one, or of none.
#[derive(Clone, Debug)]
pub struct Put<T> {
    /// What there was, as the audit log keeps it.
    pub before: Option<String>,
    pub after: Audited<T>,
}

/// A value that is removed.
#[derive(Clone, Debug)]
pub struct Removal<T> {
    pub before: Audited<T>,
    /// What late usage needs of it. None if it needs nothing.
    pub remembered: Option<T>,
}

/// A change of what usage costs. Decisions see each of them.
#[derive(Clone, Debug)]
pub enum PricesChange {
    PriceSet(Put<OwnPrice>),
    PriceRemoved(Removal<OwnPrice>),
    DiscountSet(Put<Discount>),
    DiscountRemoved(Removal<Discount>),
    AliasSet(Put<Alias>),
    AliasRemoved(Removal<Alias>),
}

impl<T> Put<T> {
    fn entry(&self, action: &'static str, target: String) -> Entry {
        Entry {
            action,
            target,
            before: self.before.clone(),
            after: Some(self.after.json.clone()),
            reason: None,
        }
    }
}

impl<T> Removal<T> {
    fn entry(&self, action: &'static str, target: String) -> Entry {
        Entry {
            action,
            target,
            before: Some(self.before.json.clone()),
            after: None,
            reason: None,
        }
    }
}

fn price(of: &OwnPrice) -> String {
    format!("price/{}/{}", of.of.provider, of.of.model)
}

fn discount(of: &Discount) -> String {
    format!("discount/{}", of.of)
}

fn alias(of: &Alias) -> String {
    format!("alias/{}", of.of)
}

impl PricesChange {
    pub(super) fn entry(&self) -> Entry {
        match self {
            Self::PriceSet(put) => put.entry("price.set", price(&put.after.value)),
            Self::PriceRemoved(gone) => gone.entry("price.delete", price(&gone.before.value)),
            Self::DiscountSet(put) => put.entry("discount.set", discount(&put.after.value)),
            Self::DiscountRemoved(gone) => {
                gone.entry("discount.delete", discount(&gone.before.value))
            }
            Self::AliasSet(put) => put.entry("alias.set", alias(&put.after.value)),
            Self::AliasRemoved(gone) => gone.entry("alias.delete", alias(&gone.before.value)),
        }
    }
}
