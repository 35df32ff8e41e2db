//! What a call may ask for: [`CallOptions`].

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use moleculer_protocol::{NodeId, Object, PacketId};

use super::Own;
use crate::{BodyStream, Fallback, context::Extra, sync::lock};

/// What a call may ask for; the methods of [`Call`](crate::Call) set it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// See [`Call::timeout`](crate::Call::timeout).
    pub timeout: Option<Duration>,
    /// See [`Call::retries`](crate::Call::retries).
    pub retries: Option<u32>,
    /// See [`Call::node`](crate::Call::node).
    pub node: Option<NodeId>,
    /// See [`Call::meta`](crate::Call::meta).
    pub meta: Object,
    /// See [`Call::header`](crate::Call::header).
    pub headers: Object,
    /// See [`Call::request_id`](crate::Call::request_id).
    pub request_id: Option<PacketId>,
    /// See [`Call::caller`](crate::Call::caller).
    pub caller: Option<Arc<str>>,
    /// See [`Call::tracking`](crate::Call::tracking).
    pub tracking: Option<bool>,
    /// See [`Call::fallback`](crate::Call::fallback).
    pub fallback: Option<Fallback>,
    pub(crate) stream: StreamSlot,
    pub(crate) own: Option<Own>,
}

/// A stream goes to the first context that is made for the call; who makes
/// the call again has none.
pub(super) type StreamSlot = Option<Arc<Mutex<Option<BodyStream>>>>;

impl CallOptions {
    /// Whether layers have something to do that do nothing by default.
    pub(super) const fn need_full_chain(&self) -> bool {
        self.timeout.is_some() || self.tracking.is_some() || self.fallback.is_some()
    }

    /// The metadata, and what the context keeps.
    pub(crate) fn split(self) -> (Object, Box<Extra>) {
        let extra = Extra {
            timeout: self.timeout,
            retries: self.retries,
            node: self.node,
            tracking: self.tracking,
            fallback: self.fallback,
            headers: self.headers,
            request_id: self.request_id,
            caller: self.caller,
            stream: take_stream(&self.stream).map(|stream| Mutex::new(Some(stream))),
            ..Extra::default()
        };
        (self.meta, Box::new(extra))
    }
}

fn take_stream(slot: &StreamSlot) -> Option<BodyStream> {
    lock(slot.as_ref()?).take()
}
