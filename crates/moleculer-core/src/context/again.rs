//! Another attempt of a call.

use std::sync::{Arc, Mutex, OnceLock, atomic::AtomicBool};

use moleculer_protocol::Payload;

use super::{Context, Inner, Target};
use crate::{broker::CallOptions, registry::ActionEndpoint};

impl Context {
    /// The context of another attempt of this call: a new id, but the same
    /// request.
    pub(crate) fn again(
        &self,
        endpoint: &Arc<ActionEndpoint>,
        params: Payload,
        options: CallOptions,
    ) -> Self {
        let extra = self.0.extra.get();
        let (meta, mut copy) = options.split();
        copy.request_id = Some(self.request_id());
        copy.parent_id = extra.and_then(|extra| extra.parent_id.clone());
        copy.tracing = extra.and_then(|extra| extra.tracing);
        copy.within_retry = extra.is_some_and(|extra| extra.within_retry);
        copy.attempt = self.attempt() + 1;
        if let Some(locals) = extra.and_then(|extra| extra.locals.get()) {
            copy.locals = OnceLock::from(locals.clone());
        }
        Self(Arc::new(Inner {
            target: Target::Action(endpoint.clone()),
            params: Mutex::new(Some(params)),
            meta: Mutex::new(meta),
            parent: self.0.parent.clone(),
            extra: OnceLock::from(copy),
            level: self.0.level,
            cached: AtomicBool::new(false),
        }))
    }

    /// What the call asked for, and what it has in its metadata now.
    pub(crate) fn call_options(&self) -> CallOptions {
        let mut options = CallOptions { meta: self.meta(), ..CallOptions::default() };
        if let Some(extra) = self.0.extra.get() {
            options.timeout = extra.timeout;
            options.retries = extra.retries;
            options.tracking = extra.tracking;
            options.node.clone_from(&extra.node);
            options.headers.clone_from(&extra.headers);
            options.caller.clone_from(&extra.caller);
            options.fallback.clone_from(&extra.fallback);
        }
        options
    }

    /// Takes over what another attempt leaves behind.
    pub(crate) fn take_over(&self, attempt: &Self) {
        self.merge_meta(attempt.meta());
        if attempt.fallback_result() {
            self.set_fallback_result();
        }
        for (key, value) in attempt.response_headers() {
            self.set_response_header(key, value);
        }
    }
}
