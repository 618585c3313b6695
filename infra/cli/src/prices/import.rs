//! `prices import`: makes the table of a newer list of prices.

use clap::Args;
use jiff::civil::Date;
use shared::domain::pricing::book::PriceBook;
use shared::domain::pricing::changes::{Changed, changes};
use shared::domain::pricing::source::{self, Source};
use shared::domain::pricing::spellings::check_table;
use shared::domain::pricing::table::tier_word;
use std::path::PathBuf;

use super::files::{newest, read};
use crate::error::CommandError;
use crate::output::say;

/// The most names of one kind that are printed.
const MOST_NAMES: usize = 200;

/// Writes the table of a newer list of prices, and prints what it changes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A list in the form of LiteLLM (model_prices_and_context_window.json), or in ours: its prices
    /// in integer micro-USD per million tokens.
    file: PathBuf,
    /// The version that records keep, such as 2027-01. If missing, that of the file.
    #[arg(long)]
    version: Option<String>,
    /// The day from which it is in force, in UTC. If missing, the first day of a version that is a
    /// month, or else that of the file.
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// Prints the models of which a rate changes by more than so many per cent.
    #[arg(long, value_name = "PERCENT", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(i64).range(0..=1_000_000))]
    changed_by: i64,
    /// Where tables are.
    #[arg(long, value_name = "DIR", default_value = "shared/data")]
    into: PathBuf,
    /// Replaces a table of the same version. Do so only if no record has been priced by it.
    #[arg(long)]
    replace: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let source = versioned(arguments)?;
    let file = arguments
        .into
        .join(format!("prices-{}.tsv", source.version));
    let shown = file.display();
    if file.exists() && !arguments.replace {
        let message = format!(
            "{shown} is there. Records keep the version that they were priced by: give another one"
        );
        return Err(CommandError::Answer(message));
    }
    let table = source.table();
    let book = PriceBook::of_table(table.clone());
    let book = book.map_err(|error| CommandError::Answer(error.to_string()))?;
    print_changes(&book, arguments.changed_by);
    let wrong = check_table(&book).wrong;
    for line in &wrong {
        say(&format!("wrong: {line}"));
    }
    if !wrong.is_empty() {
        let message = format!("{} names are not found by themselves", wrong.len());
        return Err(CommandError::Claim(message));
    }
    let failed = |error| CommandError::Io(format!("{shown} cannot be written"), error);
    std::fs::write(&file, table).map_err(failed)?;
    say(&format!("{shown} is written"));
    say("to ship it, add it to FILES in shared/src/domain/pricing/book.rs");
    Ok(())
}

/// Reads the list, and gives it its version and day.
fn versioned(arguments: &Arguments) -> Result<Source, CommandError> {
    let wrong = |message: String| Err(CommandError::Answer(message));
    let shown = arguments.file.display();
    let text = read(&arguments.file)?;
    let mut source = match source::read(&text) {
        Ok(source) => source,
        Err(error) => return wrong(format!("{shown} {error}")),
    };
    let unlisted = source.unlisted_providers();
    if !unlisted.is_empty() {
        return wrong(format!(
            "shared/data/model-names.txt does not say what these providers sell: {}",
            unlisted.join(", ")
        ));
    }
    if let Some(version) = &arguments.version {
        source.version.clone_from(version);
    }
    if source.version.is_empty() {
        return wrong(format!(
            "{shown} names no version; give one: --version 2027-01"
        ));
    }
    let letters = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    if !(1..=40).contains(&source.version.len()) || !source.version.chars().all(letters) {
        return wrong("--version must be 1 to 40 letters, digits, '-', '.' or '_'".to_owned());
    }
    let of_month = format!("{}-01", source.version).parse().ok();
    let of_file = Some(source.effective_from).filter(|date| *date != Date::ZERO);
    match arguments.from.or(of_month).or(of_file) {
        Some(date) => source.effective_from = date,
        None => return wrong("--from is missing".to_owned()),
    }
    Ok(source)
}

fn print_changes(book: &PriceBook, percent: i64) {
    let before = newest();
    let changes = changes(before, book, percent);
    say(&format!("from {} to {}", before.version(), book.version()));
    let changed: Vec<String> = changes.changed.iter().map(line).collect();
    list(&format!("changed by more than {percent} %"), &changed);
    list("new", &changes.new);
    list("gone", &changes.gone);
}

fn list(what: &str, lines: &[String]) {
    say(&format!("{what}: {}", lines.len()));
    for line in lines.iter().take(MOST_NAMES) {
        say(&format!("  {line}"));
    }
    if lines.len() > MOST_NAMES {
        say(&format!("  and {} more", lines.len() - MOST_NAMES));
    }
}

fn line(changed: &Changed) -> String {
    let Changed { model, rate } = changed;
    let Some(rate) = rate else {
        return format!("{model}: tokens have a price in one of them only");
    };
    let above = match rate.above {
        0 => String::new(),
        tokens => format!(" above {tokens} tokens"),
    };
    let percent = match rate.hundredths() {
        i128::MAX => "from nothing".to_owned(),
        hundredths => format!("{} %", hundredths / 100),
    };
    let (tier, part) = (tier_word(rate.tier), rate.part.as_str());
    let [before, after] = rate.usd();
    format!("{model}: {tier} {part}{above} from ${before} to ${after} per million ({percent})")
}
