//! The command line from outside: what it prints, and with which exit code it ends. Mostly refusals.

/// Every case is a file; `TRYCMD=overwrite` writes down what the tool says now, to be read before it is committed.
#[test]
fn what_is_refused_says_what_and_what_to_do_next() {
    trycmd::TestCases::new().env("COLUMNS", "100").case("tests/cmd/*.trycmd").case("tests/cmd/*.toml");
}
