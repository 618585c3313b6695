//! `audit`: compares the books of an organisation and prints each difference.

use clap::Args;
use local::system::{ORGANISATION, System, SystemSettings, has_data};
use reset::AuditRequest;
use shared::store::Books;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::demo;
use crate::error::CommandError;
use crate::output::say;

/// How long the comparison may take.
const TIME: Duration = Duration::from_secs(600);

/// Compares records, resolutions, totals and counters.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The directory of the data, which no other program may use meanwhile. Without it the demo
    /// company is compared.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The organisation to compare.
    #[arg(long, default_value = ORGANISATION)]
    organisation: String,
    /// Rebuilds counters that differ from the totals.
    #[arg(long)]
    repair: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), CommandError> {
    // A start would make the missing tables, and an audit must not hide that they are missing.
    if let Some(data) = arguments.data.as_ref().filter(|data| !has_data(data)) {
        let message = format!("there is no data in {}", data.display());
        return Err(CommandError::Answer(message));
    }
    let system = match arguments.data {
        Some(data) => {
            let settings = SystemSettings {
                data: Some(data),
                ..SystemSettings::empty()
            };
            System::start(settings).await?
        }
        None => {
            let system = System::start(SystemSettings::default()).await?;
            demo::ensure(&system).await?;
            system
        }
    };
    system.drain().await?;
    let request = AuditRequest {
        audit: arguments.organisation,
        repair: arguments.repair,
    };
    let books = compare(&system, &request).await;
    system.stop().await;
    let books = books?;
    if books.is_empty() {
        let message = format!("there is no organisation {:?}", request.audit);
        return Err(CommandError::Answer(message));
    }
    say(&text(&books));
    let differences = differences(&books);
    if differences == 0 || request.repair {
        Ok(())
    } else {
        let message = format!("{differences} differences; the runbook says what to do");
        Err(CommandError::Claim(message))
    }
}

/// Compares the books of an organisation.
pub(crate) async fn compare(
    system: &System,
    request: &AuditRequest,
) -> Result<Vec<Books>, CommandError> {
    let books = system.audit(request, Instant::now() + TIME).await;
    books.map_err(|error| CommandError::Answer(format!("cannot read the books: {error}")))
}

/// Compares the books of the organisation that every system has, and repairs nothing.
pub(crate) async fn compare_local(system: &System) -> Result<Vec<Books>, CommandError> {
    let request = AuditRequest {
        audit: ORGANISATION.to_owned(),
        repair: false,
    };
    compare(system, &request).await
}

/// The number of differences in all months.
pub(crate) fn differences(books: &[Books]) -> usize {
    books.iter().map(|month| month.differences.len()).sum()
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
            lines.push("  repaired: the counters are rebuilt from the totals".to_owned());
        }
    }
    lines.join("\n")
}
