//! `audit`: compares an organisation's books and prints every difference.

use super::{CommandError, say};
use clap::Args;
use local::system::{ORGANISATION, System, SystemSettings, has_data};
use reset::AuditRequest;
use shared::ledger::Books;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the comparison may take.
const TIME: Duration = Duration::from_secs(600);

/// Compares records, resolutions, totals and counters.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The directory of the data; no other program may use it meanwhile. Without it the demo company is compared.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The organisation.
    #[arg(long, default_value = ORGANISATION)]
    organisation: String,
    /// Makes counters that differ anew from the totals.
    #[arg(long)]
    repair: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    // A system makes what is missing; whoever looks for differences wants what is there.
    if let Some(data) = arguments.data.as_ref().filter(|data| !has_data(data)) {
        let message = format!("there is no data in {}", data.display());
        return Err(CommandError::Answer(message));
    }
    let settings = match arguments.data {
        Some(data) => SystemSettings {
            data: Some(data),
            ..SystemSettings::empty()
        },
        None => SystemSettings::default(),
    };
    let system = System::start(settings).await?;
    let drained = system.drain().await;
    drained.map_err(|error| CommandError::Answer(format!("the queue failed: {error}")))?;
    let request = AuditRequest {
        audit: arguments.organisation,
        repair: arguments.repair,
    };
    let books = system.audit(&request, Instant::now() + TIME).await;
    system.stop().await;
    let books = books
        .map_err(|error| CommandError::Answer(format!("the books cannot be read: {error}")))?;
    if books.is_empty() {
        let message = format!("there is no organisation {:?}", request.audit);
        return Err(CommandError::Answer(message));
    }
    say(&text(&books));
    let differences: usize = books.iter().map(|month| month.differences.len()).sum();
    if differences == 0 || request.repair {
        Ok(())
    } else {
        let message = format!("{differences} differences; the runbook says what to do");
        Err(CommandError::Claim(message))
    }
}

/// A line for each month and for each difference.
pub(crate) fn text(books: &[Books]) -> String {
    let mut lines = Vec::new();
    for month in books {
        let records = match month.records {
            Some(records) => format!("{records} records compared"),
            None => "the records were too many for the time".to_owned(),
        };
        lines.push(format!(
            "{} {}: {records}, {} differences",
            month.organisation_id,
            month.period,
            month.differences.len()
        ));
        for difference in &month.differences {
            lines.push(format!("  {difference}"));
        }
        if month.is_repaired {
            lines.push("  repaired: the counters are made anew from the totals".to_owned());
        }
    }
    lines.join("\n")
}
