//! Prints the output of the commands.

use std::io::{self, Write};

/// Prints a line. A closed output does not stop the command.
pub(crate) fn say(line: &str) {
    write(&mut io::stdout(), &format!("{line}\n"));
}

/// Prints `text` on the standard output.
pub(crate) fn print(text: &str) {
    write(&mut io::stdout(), text);
}

/// Prints `text` on the standard error output.
pub(crate) fn print_error(text: &str) {
    write(&mut io::stderr(), text);
}

fn write(out: &mut impl Write, text: &str) {
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        tracing::debug!(%error, "nobody reads the output");
    }
}
