//! The `concordat` program: hands its arguments to the command line of the library.

use mimalloc::MiMalloc;

/// A publication makes some hundred small allocations, many of which another thread frees; the allocator of the C library
/// spends a quarter of the exchange's time on them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> std::process::ExitCode {
    concordat::cli::run()
}
