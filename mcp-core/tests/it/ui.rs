//! The compiler's messages for the usual mistakes. After a change of a message: `TRYBUILD=overwrite`, and read what it says.

#[test]
fn the_compiler_names_the_true_cause() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
