//! The verbs that need no exchange, as typed: `tests/cli/` holds the commands and what they answer.

#[test]
fn the_verbs_that_need_no_exchange_answer_as_written() {
    trycmd::TestCases::new()
        .env("RUST_BACKTRACE", "0")
        .case("tests/cli/*.trycmd")
        .case("tests/cli/*.toml")
        .run();
}
