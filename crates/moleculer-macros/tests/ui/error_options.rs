//! Each option is checked, at the word that is wrong.

use moleculer_core::Error;
use moleculer_macros::ActionError;

#[derive(Debug, ActionError)]
enum Options {
    #[action_error(cod = 404, type = "A", message = "a")]
    Unknown,
    #[action_error(code = 40, type = "A", message = "a")]
    NoCode,
    #[action_error(code = "404", type = "A", message = "a")]
    NoNumber,
    #[action_error(code = 404, type = "", message = "a")]
    NoType,
    #[action_error(code = 404, code = 405, type = "A", message = "a")]
    Twice,
    #[action_error(code = 404)]
    #[action_error(type = "A")]
    TwoAttributes,
    #[action_error(code = 404, type = "A", retryable = true, message = "a")]
    Flag,
    #[action_error("a")]
    Literal,
    #[action_error(code = 404, type = "A", message = "a")]
    FieldOption {
        #[action_error(name = "b")]
        a: u8,
    },
    #[action_error(code = 404, type = "A", message = "a")]
    NoFieldOption(#[action_error(rename = "b")] u8),
    #[action_error(other)]
    Other(Error),
}

#[derive(Debug, ActionError)]
#[action_error(root = moleculer_core)]
enum Root {
    #[action_error(other)]
    Other(Error),
}

fn main() {}
