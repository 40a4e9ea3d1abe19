//! The command line.

use std::process::ExitCode;

pub mod demo;

/// Runs the program with the process's arguments and returns its exit code.
pub fn run() -> ExitCode {
    ExitCode::SUCCESS
}
