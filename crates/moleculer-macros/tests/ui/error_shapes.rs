//! What can be an error, and what its variants can hold.

use moleculer_core::Error;
use moleculer_macros::ActionError;

#[derive(Debug, ActionError)]
struct Alone;

#[derive(Debug, ActionError)]
enum Generic<T> {
    #[action_error(code = 404, type = "A", message = "a")]
    A(T),
    #[action_error(other)]
    Other(Error),
}

#[derive(Debug, ActionError)]
enum Incomplete {
    #[action_error(code = 404, type = "A", message = "a")]
    A,
}

#[derive(Debug, ActionError)]
enum Shapes {
    #[action_error(code = 404, type = "A", message = "a")]
    Unnamed(u8, u8),
    #[action_error(code = 404, type = "B", message = "b")]
    SameKey {
        a: u8,
        #[action_error(rename = "a")]
        b: u8,
    },
    Bare,
    #[action_error(code = 404)]
    NoType,
    #[action_error(other)]
    Nothing,
    #[action_error(other, code = 500)]
    NotAlone(Error),
}

#[derive(Debug, ActionError)]
enum TwoOthers {
    #[action_error(other)]
    First(Error),
    #[action_error(other)]
    Second(Error),
}

fn main() {}
