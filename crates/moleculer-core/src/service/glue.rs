//! What the output of `moleculer-macros` is made of.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::{AfterHook, ErrorHook, Handler, IntoService, Service, ServiceHandle};
use crate::{Body, Context, Error, Result, ServiceBroker};

/// A type that `#[service]` made a service: also from an `Arc`, so that a
/// program can keep one.
pub trait SharedService {
    /// Makes it a service.
    fn shared_into_service(state: Arc<Self>) -> Service;
}

impl<T: SharedService> IntoService for Arc<T> {
    fn into_service(self) -> Service {
        T::shared_into_service(self)
    }
}

/// What a lifecycle handler can take besides `&self`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a lifecycle handler",
    label = "not known when a service starts or stops",
    note = "arguments are `ServiceHandle` and `ServiceBroker`"
)]
pub trait LifecycleArg {
    /// Takes it from the service.
    fn take(service: &ServiceHandle) -> Self;
}

impl LifecycleArg for ServiceHandle {
    fn take(service: &ServiceHandle) -> Self {
        service.clone()
    }
}

impl LifecycleArg for ServiceBroker {
    fn take(service: &ServiceHandle) -> Self {
        service.broker().clone()
    }
}

/// A member of an action's params.
///
/// It asks for one trait of several, so that a type that has none of them is
/// one error; the derives tell what else is missing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a named argument of a handler",
    label = "no member of params",
    note = "what is taken from the context is marked: `#[extract] name: {Self}`",
    note = "a named argument can be cloned, serialized and deserialized: derive `Clone`, `Debug`, `serde::Serialize` and `serde::Deserialize`"
)]
pub trait NamedArgument {}

impl<T: DeserializeOwned> NamedArgument for T {}

/// Tells at the argument what it lacks.
pub fn named_argument<T: NamedArgument>() {}

/// The parts of what a handler returns.
pub trait HandlerResult {
    /// The result.
    type Value;
    /// The error.
    type Error;
}

impl<T, E> HandlerResult for Result<T, E> {
    type Value = T;
    type Error = E;
}

/// A hook that gets the context and the state as they are.
#[derive(Clone, Copy, Debug)]
pub struct Raw<F>(F);

/// Distinguishes raw hooks from functions with arguments.
#[derive(Clone, Copy, Debug)]
pub struct RawArgs;

/// A hook that runs before the handler.
pub fn before<S, F>(hook: F) -> Raw<F>
where
    F: Fn(Context, &S) -> BoxFuture<'static, Result<Body>>,
{
    Raw(hook)
}

/// A hook that gets the result.
pub fn after<S, F>(hook: F) -> Raw<F>
where
    F: Fn(Context, Body, &S) -> BoxFuture<'static, Result<Body>>,
{
    Raw(hook)
}

/// A hook that gets the error.
pub fn on_error<S, F>(hook: F) -> Raw<F>
where
    F: Fn(Context, Error, &S) -> BoxFuture<'static, Result<Body>>,
{
    Raw(hook)
}

impl<S, F> Handler<RawArgs, S> for Raw<F>
where
    F: Fn(Context, &S) -> BoxFuture<'static, Result<Body>> + Send + Sync + 'static,
{
    fn call(&self, ctx: Context, state: &S) -> BoxFuture<'static, Result<Body>> {
        (self.0)(ctx, state)
    }
}

impl<S, F> AfterHook<RawArgs, S> for Raw<F>
where
    F: Fn(Context, Body, &S) -> BoxFuture<'static, Result<Body>> + Send + Sync + 'static,
{
    fn call(&self, ctx: Context, result: Body, state: &S) -> BoxFuture<'static, Result<Body>> {
        (self.0)(ctx, result, state)
    }
}

impl<S, F> ErrorHook<RawArgs, S> for Raw<F>
where
    F: Fn(Context, Error, &S) -> BoxFuture<'static, Result<Body>> + Send + Sync + 'static,
{
    fn call(&self, ctx: Context, error: Error, state: &S) -> BoxFuture<'static, Result<Body>> {
        (self.0)(ctx, error, state)
    }
}
