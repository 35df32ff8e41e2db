//! Services: what they offer, and how they are declared.

mod builder;
mod definition;
mod handler;

pub(crate) use self::handler::panic_error;
pub use self::{
    builder::{Action, Event, IntoService, Service, ServiceBuilder},
    definition::{ActionDef, EventDef, Visibility},
    handler::{
        ActionFn, EventFn, FromContext, Handler, Meta, Params, SharedParams, State, run_handler,
    },
};
