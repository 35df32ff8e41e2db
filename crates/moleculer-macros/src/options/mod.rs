//! What stands in the parentheses of the attributes.

mod action;
mod event;
mod hook;
mod members;
mod policies;
mod read;
mod service;
mod suggest;
mod values;

pub(crate) use self::{
    action::ActionOptions,
    event::EventOptions,
    hook::HookOptions,
    read::{arguments, flag, read_options, text, value},
    service::ServiceOptions,
    suggest::closest,
};
