//! From what users write to one form: an object with a `type`.

mod merge;
mod options;
mod resolve;
mod shorthand;

pub(crate) use self::{
    merge::extend,
    options::{Bound, Options},
    resolve::Resolver,
    shorthand::parse as parse_shorthand,
};
