//! Variants have a type each, and a message each or none.

use moleculer_core::Error;
use moleculer_macros::ActionError;

#[derive(Debug, ActionError)]
enum SameType {
    #[action_error(code = 404, type = "A", message = "a")]
    A,
    #[action_error(code = 405, type = "A", message = "b")]
    B,
    #[action_error(other)]
    Other(Error),
}

#[derive(Debug, ActionError)]
enum OneMessage {
    #[action_error(code = 404, type = "A", message = "a")]
    A,
    #[action_error(code = 405, type = "B")]
    B,
    #[action_error(other)]
    Other(Error),
}

fn main() {}
