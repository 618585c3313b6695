//! The body of `PATCH /v1/holds/{id}`: how much longer a hold shall live, and what it shall gain.

use jiff::Timestamp;
use shared::domain::ledger::estimate::MAX_TOKENS;
use shared::domain::ledger::refusal::Reason;
use shared::domain::ledger::renewal::{MAX_LIFE_SECONDS, Model, Wish};
use shared::domain::org::configuration::Configuration;
use shared::domain::org::people::User;
use shared::domain::pricing::book::PriceBooks;
use shared::domain::pricing::quote::Quote;
use shared::domain::pricing::tokens::ServiceTier;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::parse;
use shared::runtime::values;

/// The body of a request.
pub(crate) struct Asked {
    extend_seconds: Option<u32>,
    pub(crate) tokens: Option<i64>,
    /// The model of what the hold gains.
    pub(crate) model: Option<String>,
    provider: Option<String>,
}

impl Asked {
    /// Returns why the user may not renew a hold so, whatever the counters have.
    pub(crate) fn denied(
        &self,
        configuration: &Configuration,
        user: &User,
        quote: Option<&Quote>,
        now: Timestamp,
    ) -> Option<Reason> {
        Reason::of_user(user, now).or_else(|| {
            let path = configuration.path(&user.department_id);
            let (provider, model) = (self.provider.as_deref(), self.model.as_deref()?);
            // The tier of the hold is not known before it is read.
            let tier = ServiceTier::Default;
            Reason::of_model(configuration, &path, quote?, provider, model, tier)
        })
    }

    /// Returns what its model costs. None if it names none.
    pub(crate) fn quote(&self, configuration: &Configuration, now: Timestamp) -> Option<Quote> {
        let pricing = configuration.pricing(PriceBooks::built_in(), now);
        Some(pricing.find(self.provider.as_deref(), self.model.as_deref()?))
    }

    /// Returns what is wished, with the price of its model.
    pub(crate) fn wish(&self, quote: Option<Quote>) -> Wish {
        let price = |quote: Quote| quote.price.map_or(Model::Unpriced, Model::Priced);
        Wish {
            extend_seconds: self.extend_seconds,
            tokens: self.tokens,
            model: quote.map_or(Model::NotNamed, price),
        }
    }
}

pub(crate) fn read(body: &[u8]) -> Result<Asked, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let most = i64::from(MAX_LIFE_SECONDS);
    let seconds = fields.changed_value("extend_seconds", parse::whole(1, most));
    let tokens = fields.changed_value("tokens", parse::whole(1, MAX_TOKENS));
    let model = fields.optional("model", values::Model::read);
    let provider = fields.optional("provider", values::Provider::read);
    fields.finish()?;
    Ok(Asked {
        extend_seconds: seconds.and_then(|seconds| u32::try_from(seconds).ok()),
        tokens,
        model,
        provider,
    })
}
