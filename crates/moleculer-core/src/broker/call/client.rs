//! What typed clients are made of.

use std::{borrow::Cow, marker::PhantomData, sync::Arc};

use moleculer_protocol::Payload;
use serde::Serialize;

use super::{Call, Request, Via};
use crate::{Context, ServiceBroker};

impl<'a> From<&'a ServiceBroker> for Via<'a> {
    fn from(broker: &'a ServiceBroker) -> Self {
        Self::Broker(broker)
    }
}

impl<'a> From<&'a Context> for Via<'a> {
    fn from(ctx: &'a Context) -> Self {
        Self::Context(ctx)
    }
}

/// The part of a typed client that does not depend on its service.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct ClientCalls<'a> {
    via: Via<'a>,
    /// Own and full names of the actions, if they are not the usual ones.
    renamed: Option<Arc<[(&'static str, String)]>>,
}

impl<'a> ClientCalls<'a> {
    /// Calls the service by the name that its attributes give it.
    pub fn new(via: impl Into<Via<'a>>) -> Self {
        Self { via: via.into(), renamed: None }
    }

    /// Calls a service of another full name.
    #[must_use]
    pub fn named(self, service: &str, actions: &[&'static str]) -> Self {
        let renamed = actions.iter().map(|action| (*action, format!("{service}.{action}")));
        Self { renamed: Some(renamed.collect()), ..self }
    }

    /// Begins a call, which may outlive the client; `full` is the usual full
    /// name.
    pub fn call<R, E>(
        &self,
        action: &str,
        full: &'static str,
        params: impl Serialize + Send + Sync + 'static,
    ) -> Call<'a, R, E> {
        let renamed = self.renamed.iter().flat_map(|names| names.iter());
        let name = match renamed.into_iter().find(|(own, _)| *own == action) {
            Some((_, name)) => Cow::Owned(name.clone()),
            None => Cow::Borrowed(full),
        };
        let request = Request {
            via: Some(self.via),
            action: name,
            params: Payload::new(params),
            options: None,
        };
        Call { request, result: PhantomData }
    }
}
