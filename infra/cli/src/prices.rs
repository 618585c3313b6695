//! `prices`: imports a newer list of prices, and checks the price book.

mod check;
mod files;
mod import;

use clap::{Args, Subcommand};

use crate::error::CommandError;

/// Imports a newer list of prices, or checks the price book.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes the table of a newer list of prices, and prints what it changes.
    Import(import::Arguments),
    /// Looks up every name of the price book, and a list of what people send.
    Check(check::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    match &arguments.command {
        Command::Import(arguments) => import::run(arguments),
        Command::Check(arguments) => check::run(arguments),
    }
}
