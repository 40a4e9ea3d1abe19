//! Structured logs on standard error, as text or JSON. Never personal data: whoever logs gives ids and causes only.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt};

/// Begins to log what `filter` lets through (directives of `tracing`, such as `info,concordat::node=debug`).
///
/// A second call in one process changes nothing.
///
/// # Errors
/// The filter does not parse.
pub fn begin(filter: &str, json: bool) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|cause| cause.to_string())?;
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr);
    let begun = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(io::stderr().is_terminal()).try_init()
    };
    // Somebody who embeds the program logs already.
    drop(begun);
    Ok(())
}
