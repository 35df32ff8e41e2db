//! The params of a call, and what is said when they do not fit.

use moleculer_protocol::{DecodeError, Object, Payload, Refused};
use serde::{Serialize, de::DeserializeOwned};

use super::{Context, Target};
use crate::{Error, Result, error::validation};

impl Context {
    /// The params, converted; they stay where they are.
    ///
    /// # Errors
    ///
    /// `ValidationError` when they do not fit `T`, and an error when they
    /// were moved into an argument of the handler.
    pub fn params<T: DeserializeOwned + Send + Sync + 'static>(&self) -> Result<T> {
        let params = self.lock_params().clone().ok_or_else(taken)?;
        params.try_take().map_err(|refused| self.misfit::<T>(&refused))
    }

    /// The params as they are; nothing if they were moved into an argument of
    /// the handler.
    pub fn payload(&self) -> Payload {
        self.lock_params().clone().unwrap_or_default()
    }

    /// Reads the params in place.
    pub(crate) fn with_payload<R>(&self, read: impl FnOnce(&Payload) -> R) -> R {
        match &*self.lock_params() {
            Some(params) => read(params),
            None => read(&Payload::nothing()),
        }
    }

    /// Replaces the params, in a hook or middleware that runs before the handler.
    pub fn set_params(&self, params: impl Serialize + Send + Sync + 'static) {
        *self.lock_params() = Some(Payload::new(params));
    }

    /// The params for the handler: moved out unless somebody needs them later.
    #[inline]
    pub(crate) fn handler_payload(&self) -> Result<Payload> {
        self.lock_params().take().ok_or_else(taken)
    }

    /// Puts the params back for who comes after the handler, unless they are
    /// still there.
    pub(crate) fn give_back_params(&self, params: Payload) {
        self.lock_params().get_or_insert(params);
    }

    /// The error of params that do not fit `T`.
    #[cold]
    pub(crate) fn misfit<T: DeserializeOwned>(&self, refused: &Refused) -> Error {
        let misfits = refused.payload.misfits::<T>();
        validation(&misfits, &refused.error, &self.item_origin())
    }

    /// The error of params that break rules.
    #[cfg(feature = "garde")]
    #[cold]
    pub(crate) fn broken_rules(&self, mut items: Vec<Object>) -> Error {
        let origin = self.item_origin();
        for item in &mut items {
            item.merge(origin.clone());
        }
        Error::new(crate::ErrorKind::Validation, "Parameters validation error!").with_data(items)
    }

    /// The error of metadata that do not fit.
    #[cold]
    pub(crate) fn meta_misfit(&self, error: DecodeError) -> Error {
        validation(&[], &error.within("meta"), &self.item_origin())
    }

    /// What each item of a validation error says besides: who asked for what.
    fn item_origin(&self) -> Object {
        let asked = match &self.0.target {
            Target::Action(endpoint) => ("action", &endpoint.name),
            Target::Event(endpoint, _) => ("event", &endpoint.def.name),
        };
        Object::from([("nodeID", self.node_id().as_str()), (asked.0, asked.1)])
    }

    /// Starts something that may take the params, which stay here as well.
    pub(crate) fn lending_params<R>(&self, start: impl FnOnce() -> R) -> R {
        let params = self.lock_params().clone();
        let started = start();
        let mut left = self.lock_params();
        if left.is_none() {
            *left = params;
        }
        started
    }
}

#[cold]
fn taken() -> Error {
    Error::internal(
        "the params were taken already: a handler can take them once, so ask for one type that has all members",
    )
}
