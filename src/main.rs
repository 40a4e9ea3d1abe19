//! The `concordat` program: hands its arguments to the command line of the library.

fn main() -> std::process::ExitCode {
    concordat::cli::run()
}
