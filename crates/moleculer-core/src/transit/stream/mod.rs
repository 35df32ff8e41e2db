//! Streams between nodes: spec "Streams".
//!
//! A stream is a run of request or response packets with one id, numbered
//! from 0: the first opens it, the last says so and may carry an error.

mod incoming;
mod outgoing;

use moleculer_protocol::{Object, Value};

pub(super) use self::{
    incoming::{Incoming, Key, Opened, Part, Side},
    outgoing::{Upload, mark_objects},
};

/// Says that chunks are objects. In the headers; in the metadata with
/// protocol 4, which has no headers.
const OBJECTS: &str = "$streamObjectMode";

/// The error that ended a request's stream, in the same place.
const FAILED: &str = "$streamError";

/// What a packet's metadata and headers say of its stream. The marks are
/// taken out of both, whatever the protocol: no handler has a use for them.
#[derive(Default)]
pub(super) struct Marks {
    pub(super) objects: bool,
    pub(super) error: Option<Value>,
}

impl Marks {
    pub(super) fn take(meta: &mut Object, headers: Option<&mut Object>) -> Self {
        let mut marks = Self::default();
        for place in [Some(meta), headers].into_iter().flatten() {
            marks.objects |= place.remove(OBJECTS).is_some_and(|flag| flag.is_truthy());
            marks.error = place.remove(FAILED).or(marks.error);
        }
        marks
    }
}
