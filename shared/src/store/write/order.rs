//! What a write needs before it, and where one adds to a sum that is spread.

use super::{Verb, Write};
use aws_sdk_dynamodb::types::AttributeValue;

impl Write {
    /// Makes `other` first, which may be repeated. An instance makes it once an hour.
    #[must_use]
    pub(in crate::store) fn after(self, other: Write) -> Self {
        Self {
            before: Some(Box::new(other)),
            ..self
        }
    }

    /// Adds to any of several rows, whose sort keys begin with this one's. Their sum counts.
    #[must_use]
    pub(in crate::store) fn spread(self) -> Self {
        Self {
            is_spread: true,
            ..self
        }
    }

    pub(in crate::store) fn before(&self) -> Option<&Write> {
        self.before.as_deref()
    }

    pub(in crate::store) fn is_spread(&self) -> bool {
        self.is_spread
    }

    /// Returns the same write to a row of a spread sum. The first row has the sort key itself.
    #[must_use]
    pub(in crate::store) fn in_row(mut self, row: u8) -> Self {
        if let (true, Verb::Update(key, _)) = (self.is_spread && row > 0, &mut self.verb)
            && let Some(AttributeValue::S(sk)) = key.get_mut("sk")
        {
            sk.push_str(&format!("#{row}"));
        }
        self
    }

    /// Returns a name of the item that no other has.
    pub(in crate::store) fn name(&self) -> String {
        let (table, key) = self.place();
        format!("{table:?} {key:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Changes, Table};
    use super::*;
    use crate::store::item::{Item, text};
    use crate::store::tables::Tables;

    #[test]
    fn a_spread_sum_has_its_key_in_the_first_row_and_a_number_behind_it_in_the_others() {
        let of = |sk: &str| Item::from([("pk".to_owned(), text("a")), ("sk".to_owned(), text(sk))]);
        let sum = Write::update(Table::Ledger, of("b"), Changes::default().add("n", 1));
        let sk = |write: Write| {
            let update = write.into_part(&Tables::local()).unwrap().update;
            update.unwrap().key["sk"].as_s().unwrap().clone()
        };
        assert_eq!(sk(sum.clone().spread().in_row(0)), "b");
        assert_eq!(sk(sum.clone().spread().in_row(7)), "b#7");
        assert_eq!(sk(sum.in_row(7)), "b", "it is not spread");
    }
}
