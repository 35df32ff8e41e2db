//! What the compiler finds, it tells at the user's own words.

use moleculer_core::Error;
use moleculer_macros::ActionError;
use serde::Serialize;

#[derive(Debug, ActionError)]
#[action_error(crate = moleculer_core)]
enum NoDisplay {
    #[action_error(code = 404, type = "A")]
    A,
    #[action_error(other)]
    Other(Error),
}

#[derive(Debug, Serialize)]
struct OneWay;

#[derive(Debug, ActionError)]
#[action_error(crate = moleculer_core)]
enum Fields {
    #[action_error(code = 404, type = "A", message = "a")]
    A { one_way: OneWay },
    #[action_error(code = 404, type = "B", message = "no {such} field")]
    B { a: u8 },
    #[action_error(other)]
    Other(Error),
}

#[derive(Debug, ActionError)]
#[action_error(crate = moleculer_core)]
enum WrongOther {
    #[action_error(other)]
    Other(String),
}

fn main() {}
