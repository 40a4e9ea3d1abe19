//! The vocabulary of the exchange: small pure types that every other module names.
//!
//! Nothing here reads a clock, draws a random number or touches a file.

pub mod birth;
pub mod date;
pub mod digest;
pub mod hexadecimal;
pub mod id;
pub mod identifier;
pub mod limit;
pub mod name;
pub mod order;
pub mod row;
pub mod violation;
