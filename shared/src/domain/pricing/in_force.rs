//! The prices in force at a moment: the organisation's own over those of the table.

use super::book::{PriceBook, PriceBooks};
use super::matched::MatchKind;
use super::name::{Name, Version};
use super::overlay::overlaid;
use super::own::{Discount, OwnPrice, OwnPrices, Target, discounted, folded};
use super::price::Price;
use super::quote::Quote;
use super::rules::Rules;
use super::timeline::Step;
use jiff::Timestamp;

/// What a model costs an organisation at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Pricing<'a> {
    book: &'a PriceBook,
    own: &'a OwnPrices,
    at: Timestamp,
    /// Whether a model without a price has the dearest of its provider.
    estimates: bool,
}

impl<'a> Pricing<'a> {
    pub fn new(books: &'a PriceBooks, own: &'a OwnPrices, at: Timestamp) -> Self {
        Self {
            book: books.at(at),
            own,
            at,
            estimates: false,
        }
    }

    /// Returns the prices of a table, of an organisation that has no own ones.
    pub fn of_table(book: &'a PriceBook) -> Self {
        static NOTHING: OwnPrices = OwnPrices::none();
        Self {
            book,
            own: &NOTHING,
            at: Timestamp::MIN,
            estimates: false,
        }
    }

    /// Lets a model without a price have the dearest of its provider, marked as an estimate.
    #[must_use]
    pub fn estimating(self, estimates: bool) -> Self {
        Self { estimates, ..self }
    }

    /// The table of the moment.
    pub fn book(&self) -> &'a PriceBook {
        self.book
    }

    /// Returns what `model` costs, and how sure that is. A name that stands for a model comes
    /// first, then the organisation's own price, then the table less the provider's discount.
    pub fn find(&self, provider: Option<&str>, model: &str) -> Quote {
        let quote = self.known(provider, model);
        let dearest = quote.price.is_none().then(|| self.dearest_of(provider));
        match dearest.flatten() {
            Some(dearest) => quote.with_dearest(dearest, self.estimates),
            None => quote,
        }
    }

    /// Returns the same without an estimate.
    pub fn known(&self, provider: Option<&str>, model: &str) -> Quote {
        let provider = provider.filter(|name| !name.trim().is_empty());
        let Some((_, target)) = self.own.target(model, self.at) else {
            return self.priced(provider, model);
        };
        let Target {
            provider: own,
            model,
        } = target;
        let mut quote = self.priced(own.as_deref().or(provider), model);
        quote.alias_of = own.as_deref().map(folded);
        if matches!(quote.matched.kind, MatchKind::Exact | MatchKind::Dated) {
            // The organisation said which model it is.
            quote.matched.kind = MatchKind::Organisation;
            quote.matched.model = Some(model.clone());
        }
        quote
    }

    /// Returns what is at least as dear as any chat model of `provider`, less its discount, and the
    /// version that says so.
    pub fn dearest_of(&self, provider: Option<&str>) -> Option<(Price, String)> {
        let price = self.book.dearest_of(provider)?;
        let sellers = sellers(provider, None);
        Some(match self.discount(provider, &sellers) {
            Some((step, hundredths)) => (less(price, hundredths), self.version_less(step)),
            None => (price, self.book.version().to_owned()),
        })
    }

    /// Returns the version of the table less a discount.
    fn version_less(&self, step: &Step<i64>) -> String {
        format!("{}/discount-{}", self.book.version(), step.version)
    }

    fn priced(&self, provider: Option<&str>, model: &str) -> Quote {
        if self.own.is_empty() {
            return self.book.find(provider, model);
        }
        let name = Name::read(model);
        let sellers = sellers(provider, name.as_ref());
        let own = self.own_quotes(provider, &sellers, (model, name.as_ref()));
        if !sellers.is_empty() {
            let Some(mut own) = dearest(own) else {
                return self.table_quote(provider, &sellers, model);
            };
            own.sellers.retain(|_| provider.is_none());
            return own;
        }
        // Nobody says whose model it is: it may be the table's as well.
        let table = self.book.find(provider, model);
        match (own.is_empty(), table.price.is_some()) {
            (true, _) => table,
            (false, false) => dearest(own).unwrap_or(table),
            (false, true) => dearest([own, vec![table.clone()]].concat()).unwrap_or(table),
        }
    }

    fn table_quote(&self, provider: Option<&str>, sellers: &[String], model: &str) -> Quote {
        let mut quote = self.book.find(provider, model);
        if let Some((step, hundredths)) = self.discount(provider, sellers)
            && let Some(price) = quote.price.take()
        {
            quote.price = Some(less(price, hundredths));
            quote.matched.version = self.version_less(step);
        }
        quote
    }

    /// Returns the discount of a provider: under the same name, or else the least of those under
    /// another name of the same one.
    fn discount(&self, provider: Option<&str>, sellers: &[String]) -> Option<(&'a Step<i64>, i64)> {
        let in_force = |discount: &'a Discount| {
            let (step, hundredths) = discount.values.at(self.at)?;
            (*hundredths > 0).then_some((step, *hundredths))
        };
        let own: &'a OwnPrices = self.own;
        let of_name = provider.and_then(|name| own.discount(name));
        if let Some((step, hundredths)) = of_name.and_then(|of| of.values.at(self.at)) {
            return (*hundredths > 0).then_some((step, *hundredths));
        }
        let same = own
            .discounts()
            .filter(|discount| sells(sellers, &discount.of));
        same.filter_map(in_force)
            .min_by_key(|(_, hundredths)| *hundredths)
    }

    /// Returns the quotes of the organisation's own prices of a model: one of each provider that
    /// is meant.
    fn own_quotes(
        &self,
        provider: Option<&str>,
        sellers: &[String],
        (model, name): (&str, Option<&Name>),
    ) -> Vec<Quote> {
        let prices = self.own.prices_like(model);
        let found: Vec<(Rank, &OwnPrice)> = prices
            .filter(|price| sellers.is_empty() || sells(sellers, &price.of.provider))
            .filter_map(|price| Some((Rank::of(price, provider, (model, name))?, price)))
            .filter(|(_, price)| price.values.at(self.at).is_some())
            .collect();
        let is_best = |(rank, price): &&(Rank, &OwnPrice)| {
            // Without a provider each may be meant.
            let rivals = found.iter().filter(|(_, other)| {
                !sellers.is_empty() || folded(&other.of.provider) == folded(&price.of.provider)
            });
            rivals.map(|(other, _)| other).max() == Some(rank)
        };
        let found = found.iter().filter(is_best);
        found
            .filter_map(|(_, price)| self.own_quote(price, model))
            .collect()
    }

    fn own_quote(&self, own: &OwnPrice, model: &str) -> Option<Quote> {
        let (step, rates) = own.values.at(self.at)?;
        let table = self.book.find(Some(&own.of.provider), model);
        let mut price = overlaid(&table, rates)?;
        price.max_input_tokens = table.max_input_tokens;
        let longest = || {
            let provider = Some(own.of.provider.as_str());
            self.book.longest_output_of(provider, model)
        };
        price.max_output_tokens = table.max_output_tokens.or_else(longest);
        let version = format!("organisation/{}", step.version);
        let kind = MatchKind::Organisation;
        Some(Quote {
            sellers: vec![folded(&own.of.provider)],
            ..Quote::of(price, kind, &own.of.model, &version)
        })
    }
}

/// How closely an own price fits what is asked, from the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_same_name: bool,
    has_version: bool,
    has_region: bool,
    is_same_provider: bool,
}

impl Rank {
    /// Returns None if the price is of another model. The price of a name without a version or a
    /// region is that of all of them.
    fn of(
        price: &OwnPrice,
        provider: Option<&str>,
        (model, name): (&str, Option<&Name>),
    ) -> Option<Self> {
        let is_same_provider =
            provider.is_some_and(|name| folded(name) == folded(&price.of.provider));
        if folded(&price.of.model) == folded(model) {
            return Some(Self {
                is_same_name: true,
                has_version: true,
                has_region: true,
                is_same_provider,
            });
        }
        let (own, asked) = (Name::read(&price.of.model)?, name?);
        let is_any = matches!(own.version, Version::None | Version::Latest);
        let fits = own.model == asked.model
            && own.is_tuned == asked.is_tuned
            && (is_any || own.version == asked.version)
            && (own.region.is_none() || own.region == asked.region);
        fits.then_some(Self {
            is_same_name: false,
            has_version: !is_any,
            has_region: own.region.is_some(),
            is_same_provider,
        })
    }
}

/// Returns who is meant by a provider, or by what stands in front of a model. Empty if nobody is.
fn sellers(provider: Option<&str>, name: Option<&Name>) -> Vec<String> {
    if let Some(provider) = provider {
        return sellers_of(provider);
    }
    let front = name.and_then(|name| name.front.as_ref());
    let sellers = front.map(|called| called.sellers.iter().map(|name| (*name).to_owned()));
    sellers.map_or_else(Vec::new, Iterator::collect)
}

fn sellers_of(provider: &str) -> Vec<String> {
    let name = folded(provider);
    match Rules::get().called_by(&name) {
        Some(called) => called
            .sellers
            .iter()
            .map(|name| (*name).to_owned())
            .collect(),
        None => vec![name],
    }
}

/// Whether a provider is one of `sellers`.
fn sells(sellers: &[String], provider: &str) -> bool {
    sellers_of(provider)
        .iter()
        .any(|seller| sellers.contains(seller))
}

fn less(price: Price, hundredths: i64) -> Price {
    price.with_each_rate(|band, tier, part| discounted(band.rate(part, tier), hundredths))
}

/// Returns the only quote, or what is at least as dear as each of them.
fn dearest(quotes: Vec<Quote>) -> Option<Quote> {
    let mut quotes = quotes.into_iter();
    let mut most = quotes.next()?;
    for mut quote in quotes {
        most.sellers.append(&mut quote.sellers);
        let (Some(one), Some(other)) = (&most.price, &quote.price) else {
            continue;
        };
        if !one.is_as_dear_as(other) {
            most.matched.kind = MatchKind::DearestProvider;
        }
        let price = one.most_of(other);
        most.max_input_tokens = price.max_input_tokens;
        most.max_output_tokens = price.max_output_tokens;
        most.price = Some(price);
    }
    Some(most)
}

#[cfg(test)]
#[path = "in_force_tests.rs"]
mod tests;
