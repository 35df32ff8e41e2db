//! Services: what they offer, and how they are declared.

mod action;
mod builder;
mod cache;
mod carried;
mod definition;
pub(crate) mod glue;
mod handler;
mod hooks;
mod instance;
mod merge;
mod name;
mod schema;

pub use self::{
    action::{Action, Event},
    builder::ServiceBuilder,
    cache::{Cache, CacheLock, CacheWhen},
    definition::{ActionDef, EventDef, Visibility},
    handler::{
        ActionFn, EventFn, FromContext, Handler, Meta, Params, SharedParams, State,
        assert_params_once, run_handler,
    },
    hooks::{AfterHook, ErrorHook},
    instance::ServiceHandle,
    name::ServiceName,
    schema::{IntoService, Service},
};
pub(crate) use self::{
    carried::CarriedOptions,
    handler::{detached, panic_error, run_lifecycle},
    instance::{Instance, InstanceAction, InstanceEvent, Stage},
};
