//! Reads lists of prices in the forms that they come in, and writes the table of a book.

use super::name;
use super::rates::Listing;
use super::rules::Rules;
use super::source_rates::{NotAPrice, listing};
use super::table::{self, NoTable, Row, write_rates};
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// Digits behind the point of a price per token in US dollars.
const PICO_DECIMALS: i64 = 12;

/// A list of prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Whose list it is.
    pub source: String,
    pub version: String,
    /// From the beginning of this day, in UTC.
    pub effective_from: Date,
    models: Vec<Model>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Model {
    model: String,
    provider: String,
    mode: String,
    max_input_tokens: Option<i64>,
    max_output_tokens: Option<i64>,
    listing: Listing,
}

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("is no list of prices: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error(transparent)]
    NotAPrice(#[from] NotAPrice),
    #[error(transparent)]
    NoTable(#[from] NoTable),
}

/// Our form of a list. Its prices are integers: pico-USD per token.
#[derive(Deserialize)]
struct OurFile {
    #[serde(default)]
    source: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    effective_from: Date,
    models: Vec<OurModel>,
}

#[derive(Deserialize)]
struct OurModel {
    model: String,
    provider: String,
    #[serde(default = "chat")]
    mode: String,
    max_input_tokens: Option<i64>,
    max_output_tokens: Option<i64>,
    prices: BTreeMap<String, Box<RawValue>>,
}

fn chat() -> String {
    "chat".to_owned()
}

/// Reads a list of prices. It is either ours, with prices in pico-USD per token (`{"version",
/// "effective_from", "models": [{"model", "provider", "mode", "max_input_tokens",
/// "max_output_tokens", "prices"}]}`), or that of LiteLLM, with prices in US dollars per token (an
/// object of models). Both name prices as LiteLLM does: `input_cost_per_token`,
/// `cache_read_input_token_cost_above_200k_tokens`, .. Prices of anything but tokens are left out.
pub fn read(text: &str) -> Result<Source, SourceError> {
    match serde_json::from_str::<OurFile>(text) {
        Ok(file) => read_ours(file),
        // What is wrong with it is said of our form, unless it is a list of LiteLLM.
        Err(error) => read_litellm(text)?.ok_or(SourceError::NotJson(error)),
    }
}

fn read_ours(file: OurFile) -> Result<Source, SourceError> {
    let models = file.models.into_iter().map(|of| {
        Ok(Model {
            listing: listing(&of.model, &of.prices, 0)?,
            model: of.model,
            provider: of.provider,
            mode: of.mode,
            max_input_tokens: of.max_input_tokens,
            max_output_tokens: of.max_output_tokens,
        })
    });
    Ok(Source {
        models: models.collect::<Result<_, SourceError>>()?,
        source: file.source,
        version: file.version,
        effective_from: file.effective_from,
    })
}

/// Returns None if the text is not a list of LiteLLM.
fn read_litellm(text: &str) -> Result<Option<Source>, SourceError> {
    type Fields = BTreeMap<String, Box<RawValue>>;
    let Ok(file) = serde_json::from_str::<BTreeMap<String, Fields>>(text) else {
        return Ok(None);
    };
    let mut models = Vec::new();
    for (model, fields) in file {
        let word = |name: &str| {
            let value = fields.get(name)?;
            serde_json::from_str::<String>(value.get()).ok()
        };
        let number = |name: &str| {
            let value = fields.get(name)?;
            serde_json::from_str::<i64>(value.get()).ok()
        };
        let (Some(provider), true) = (word("litellm_provider"), model != "sample_spec") else {
            continue;
        };
        models.push(Model {
            listing: listing(&model, &fields, PICO_DECIMALS)?,
            provider,
            mode: word("mode").unwrap_or_else(chat),
            max_input_tokens: number("max_input_tokens"),
            max_output_tokens: number("max_output_tokens"),
            model,
        });
    }
    Ok((!models.is_empty()).then(|| Source {
        source: "LiteLLM model price table (MIT)".to_owned(),
        version: String::new(),
        effective_from: Date::ZERO,
        models,
    }))
}

impl Source {
    /// Returns the text of the table: see `table`.
    pub fn table(&self) -> String {
        let mut rows: Vec<(String, String)> = self
            .models
            .iter()
            .map(|of| (name::key(&of.model), of.row()))
            .collect();
        rows.sort_unstable();
        rows.dedup();
        let read = rows.iter().filter_map(|(_, row)| Row::read(row));
        let largest_output = read
            .filter(|row| row.is_chat() && row.price().is_some())
            // Some rows repeat the whole context as the longest output.
            .filter(|row| row.max_output_tokens < row.max_input_tokens)
            .filter_map(|row| row.max_output_tokens)
            .max();
        let head = [
            ("source", self.source.clone()),
            ("version", self.version.clone()),
            ("effective_from", self.effective_from.to_string()),
            ("largest_output", largest_output.unwrap_or(0).to_string()),
        ];
        let mut text = String::new();
        for (name, value) in head {
            text.push_str(&format!("{name}\t{}\n", plain(&value)));
        }
        text.push('\n');
        for (_, row) in rows {
            text.push_str(&row);
            text.push('\n');
        }
        text
    }

    /// Returns the providers that no rule for names knows. The names of their models would not be
    /// found without them in front.
    pub fn unlisted_providers(&self) -> Vec<&str> {
        let providers = self.models.iter().map(|model| model.provider.as_str());
        let unlisted = providers.filter(|name| Rules::get().called_by(name).is_none());
        unlisted.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Reads a table back.
    pub fn of_table(text: &str) -> Option<Self> {
        let head = |name| table::head(text, name);
        let model = |line| {
            let row = Row::read(line)?;
            Some(Model {
                model: row.model.to_owned(),
                provider: row.provider.to_owned(),
                mode: row.mode.to_owned(),
                max_input_tokens: row.max_input_tokens,
                max_output_tokens: row.max_output_tokens,
                listing: row.listing().unwrap_or_default(),
            })
        };
        Some(Self {
            source: head("source")?.to_owned(),
            version: head("version")?.to_owned(),
            effective_from: head("effective_from")?.parse().ok()?,
            models: table::rows(text)
                .lines()
                .map(model)
                .collect::<Option<_>>()?,
        })
    }
}

impl Model {
    fn row(&self) -> String {
        let limit = |limit: Option<i64>| limit.map_or_else(String::new, |limit| limit.to_string());
        [
            plain(&self.provider),
            plain(&self.model),
            plain(&self.mode),
            limit(self.max_input_tokens),
            limit(self.max_output_tokens),
            write_rates(&self.listing),
        ]
        .join("\t")
    }
}

/// Takes out what ends a column or a row.
fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}
