//! What the compiler says of mistakes.
//!
//! Where the compiler's own words change with its version, and after a wanted
//! change, `TRYBUILD=overwrite cargo test -p moleculer-macros --test ui` writes
//! the new messages.

#[test]
fn diagnostics() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass.rs");
    for case in [
        "argument_types",
        "client_names",
        "duplicate_action",
        "hooks",
        "options",
        "service_options",
        "signatures",
        "traits",
        "wrong_item",
    ] {
        cases.compile_fail(format!("tests/ui/{case}.rs"));
    }
}

/// Those of `#[derive(ActionError)]`.
#[test]
fn error_diagnostics() {
    let cases = trybuild::TestCases::new();
    for case in ["error_options", "error_shapes", "error_types", "error_variants"] {
        cases.compile_fail(format!("tests/ui/{case}.rs"));
    }
}
