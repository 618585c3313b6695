//! `prices check`: looks up what the price book has, and what people send.

use clap::Args;
use shared::domain::pricing::spellings::{self, Checked, check_list, check_table};
use std::collections::BTreeMap;
use std::path::PathBuf;

use super::files::{newest, read};
use crate::error::CommandError;
use crate::output::say;

/// Looks up every name of the price book, and a list of what people send.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Another list than the built-in one, in the form of shared/data/price-spellings.tsv.
    file: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let list = match &arguments.file {
        Some(file) => read(file)?,
        None => spellings::LIST.to_owned(),
    };
    let list = spellings::read(&list).map_err(|error| CommandError::Answer(error.to_string()))?;
    let book = newest();
    say(&format!("price book {}", book.version()));
    say("            right  inexact  unknown  wrong");
    let checked = check_table(book);
    let of_table = show("table", &checked);
    let of_list = show("spellings", &check_list(book, &list));
    explain(&checked.reasons);
    match of_table.saturating_add(of_list) {
        0 => Ok(()),
        wrong => Err(CommandError::Claim(format!("{wrong} names are wrong"))),
    }
}

/// Prints why names of the table are unknown although nothing is wrong with them.
fn explain(reasons: &BTreeMap<&'static str, usize>) {
    say("names of the table without a price of tokens, which is right:");
    for (reason, count) in reasons {
        say(&format!("{count:>6}  {reason}"));
    }
}

/// Prints the figures of a check and its faults. Returns the number of faults.
fn show(name: &str, checked: &Checked) -> usize {
    let Checked {
        right,
        inexact,
        unknown,
        wrong,
        ..
    } = checked;
    let count = wrong.len();
    say(&format!(
        "{name:<10} {right:>6}  {inexact:>7}  {unknown:>7}  {count:>5}"
    ));
    for line in wrong {
        say(&format!("wrong: {line}"));
    }
    count
}
