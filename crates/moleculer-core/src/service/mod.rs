//! Services: what they offer, and how they are declared.

mod action;
mod builder;
mod definition;
mod handler;
mod hooks;
mod instance;
mod merge;
mod name;
mod schema;

pub use self::{
    action::{Action, Event},
    builder::ServiceBuilder,
    definition::{ActionDef, EventDef, Visibility},
    handler::{
        ActionFn, EventFn, FromContext, Handler, Meta, Params, SharedParams, State, run_handler,
    },
    hooks::{AfterHook, ErrorHook},
    instance::ServiceHandle,
    name::ServiceName,
    schema::{IntoService, Service},
};
pub(crate) use self::{
    handler::{panic_error, run_lifecycle},
    instance::{Instance, InstanceAction, InstanceEvent, Stage},
};
