//! `mails`: prints one mail of each kind, before anybody receives one.

mod samples;

use clap::Args;
use shared::domain::notice::mail::{Mail, PendingEmail, compose};
use shared::domain::notice::mail_layout::Layout;
use std::path::{Path, PathBuf};

use crate::error::CommandError;
use crate::output::say;

/// Prints one mail of each kind as it would be sent.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Also writes each mail as a page into this directory.
    #[arg(long, value_name = "DIR")]
    html: Option<PathBuf>,
    /// The URL that links lead to, like the stack's parameter ConsoleUrl.
    #[arg(
        long,
        value_name = "URL",
        default_value = "https://console.example.com"
    )]
    console: String,
    /// Tries another layout: `subject.txt`, `mail.txt` and `mail.html` in this directory, each if
    /// it exists, like the stack's parameters MailSubject, MailText and MailHtml.
    #[arg(long, value_name = "DIR")]
    layout: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let layout = layout(arguments.layout.as_deref())?;
    if let Some(dir) = &arguments.html {
        let shown = || format!("cannot make {}", dir.display());
        std::fs::create_dir_all(dir).map_err(|error| CommandError::Io(shown(), error))?;
    }
    let samples = samples::all();
    let each = samples
        .iter()
        .map(|(name, letter)| (*name, std::slice::from_ref(letter)));
    let all: Vec<PendingEmail> = samples.iter().map(|(_, letter)| letter.clone()).collect();
    for (name, letters) in each.chain([("joined", all.as_slice())]) {
        let Some(mail) = compose(letters, &layout, Some(&arguments.console)) else {
            continue;
        };
        print(name, &mail);
        if let Some(dir) = &arguments.html {
            let path = dir.join(format!("{name}.html"));
            let shown = || format!("cannot write {}", path.display());
            std::fs::write(&path, &mail.html).map_err(|e| CommandError::Io(shown(), e))?;
            say(&format!("written to {}", path.display()));
        }
    }
    Ok(())
}

/// The files of a layout.
const LAYOUT: [&str; 3] = ["subject.txt", "mail.txt", "mail.html"];

/// Reads the layout in a directory, which must have at least one of the files. Without a directory,
/// returns the default layout.
fn layout(dir: Option<&Path>) -> Result<Layout, CommandError> {
    if let Some(dir) = dir.filter(|dir| !LAYOUT.iter().any(|name| dir.join(name).is_file())) {
        let message = format!(
            "there is no {} in {}",
            LAYOUT.join(" and no "),
            dir.display()
        );
        return Err(CommandError::Answer(message));
    }
    let read = |name: &str| match dir.map(|dir| dir.join(name)) {
        Some(path) if path.exists() => {
            let shown = format!("cannot read {}", path.display());
            let text = std::fs::read_to_string(&path);
            // The line feed at the end of a file is not part of the layout.
            text.map(|text| Some(text.trim_end().to_owned()))
                .map_err(|error| CommandError::Io(shown, error))
        }
        _ => Ok(None),
    };
    let [subject, text, html] = LAYOUT;
    let parts = [read(subject)?, read(text)?, read(html)?];
    Layout::new(parts).map_err(|error| CommandError::Answer(error.to_string()))
}

fn print(name: &str, mail: &Mail) {
    say(&format!("=== {name}"));
    say(&format!("To: {}", mail.to));
    say(&format!("Subject: {}\n", mail.subject));
    say(&mail.text);
}
