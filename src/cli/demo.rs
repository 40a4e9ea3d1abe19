//! `concordat demo`: the first five minutes. It plays Inverclyde's More Choices, More Chances with a real exchange.

pub mod leavers;
