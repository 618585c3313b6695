//! A trace of real requests: the time, the input tokens and the output tokens of each.

use jiff::civil::DateTime;
use std::time::Duration;

/// The built-in trace: 8,819 requests of one hour.
pub(super) const BUILT_IN: &str = include_str!("../../../data/azure-llm-inference-2023-code.csv");

const HEADER: &str = "TIMESTAMP,ContextTokens,GeneratedTokens";
/// The most input or output tokens that the API accepts.
const MAX_TOKENS: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The time since the first request of the trace.
    pub(super) after: Duration,
    pub(super) input: u64,
    pub(super) output: u64,
}

impl Row {
    pub(super) fn tokens(&self) -> u64 {
        self.input + self.output
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct TraceError {
    line: usize,
    what: String,
}

/// Parses a trace. Returns its requests in order.
pub(super) fn parse(text: &str) -> Result<Vec<Row>, TraceError> {
    let mut lines = text.lines().zip(1..);
    let (header, _) = lines.next().unwrap_or_default();
    if header.trim_start_matches('\u{feff}') != HEADER {
        let what = format!("the columns must be {HEADER}");
        return Err(TraceError { line: 1, what });
    }
    let mut first = None;
    let mut rows = Vec::new();
    for (text, line) in lines {
        let (at, input, output) = columns(text).map_err(|what| TraceError { line, what })?;
        let since = at.duration_since(*first.get_or_insert(at));
        rows.push(Row {
            after: Duration::try_from(since).unwrap_or_default(),
            input,
            output,
        });
    }
    if rows.is_empty() {
        let what = "there must be at least one request".to_owned();
        return Err(TraceError { line: 2, what });
    }
    Ok(rows)
}

fn columns(line: &str) -> Result<(DateTime, u64, u64), String> {
    let parts: Vec<&str> = line.split(',').collect();
    let [at, input, output] = parts[..] else {
        return Err(format!("{} columns instead of 3", parts.len()));
    };
    let at = at
        .parse()
        .map_err(|_| format!("TIMESTAMP {at:?} is not a time like 2023-11-16 18:17:03.97"))?;
    Ok((
        at,
        tokens("ContextTokens", input)?,
        tokens("GeneratedTokens", output)?,
    ))
}

fn tokens(column: &str, raw: &str) -> Result<u64, String> {
    raw.parse()
        .ok()
        .filter(|tokens| *tokens <= MAX_TOKENS)
        .ok_or_else(|| format!("{column} {raw:?} is not a whole number up to {MAX_TOKENS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(lines: &[&str]) -> Result<Vec<Row>, TraceError> {
        parse(&format!("{HEADER}\n{}", lines.join("\n")))
    }

    #[test]
    fn the_trace_of_the_program_is_whole() {
        let rows = parse(BUILT_IN).expect("the trace");
        assert_eq!(rows.len(), 8_819);
        assert_eq!(rows.iter().map(Row::tokens).sum::<u64>(), 18_305_870);
        assert_eq!(rows[0].after, Duration::ZERO);
        assert_eq!(rows[1].after, Duration::from_millis(52));
        assert_eq!((rows[0].input, rows[0].output), (4808, 10));
        assert!(rows.is_sorted_by_key(|row| row.after));
    }

    #[test]
    fn a_bad_row_names_its_line() {
        let good = "2023-11-16 18:17:03.9799600,1,2";
        let message = |line: &str| {
            trace(&[good, line, good])
                .expect_err("a bad row")
                .to_string()
        };
        for (line, says) in [
            ("", "line 3: 1 columns"),
            ("2023-11-16 18:17:03,1", "line 3: 2 columns"),
            ("2023-11-16 18:17:03,1,2,3", "line 3: 4 columns"),
            ("yesterday,1,2", "line 3: TIMESTAMP \"yesterday\""),
            ("2023-11-16 18:17:03,-1,2", "line 3: ContextTokens \"-1\""),
            (
                "2023-11-16 18:17:03,1,2.5",
                "line 3: GeneratedTokens \"2.5\"",
            ),
            ("2023-11-16 18:17:03,1000000001,2", "line 3: ContextTokens"),
        ] {
            assert!(message(line).starts_with(says), "{}", message(line));
        }
    }

    #[test]
    fn the_columns_and_one_request_are_needed() {
        let error = parse("a,b,c\n").expect_err("other columns").to_string();
        assert!(error.starts_with("line 1: "), "{error}");
        assert!(parse("").is_err());
        assert_eq!(trace(&[]).map_err(|error| error.line), Err(2));
        let windows = format!("\u{feff}{HEADER}\r\n2023-11-16T18:17:03,1,2\r\n");
        assert_eq!(parse(&windows).map(|rows| rows.len()), Ok(1));
    }
}
