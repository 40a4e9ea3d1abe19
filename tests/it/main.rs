//! The one test binary.

mod machine;
