//! How a packet becomes bytes and back.

use std::{fmt, sync::Arc};

use bytes::{Bytes, BytesMut};

use crate::{
    Object, Packet, PacketKind, ProtocolVersion,
    format::{DecodeError, EncodeError, Format},
};

/// Encodes packets. One serializer serves a whole cluster: nothing on the
/// wire tells which.
///
/// # Contract
///
/// - Pure: same input, same output, no state between calls.
/// - `decode` never panics and never allocates more than 64 times the input
///   plus 64 KiB, whatever the bytes.
/// - `decode` leaves params, results and event data encoded: the payload
///   shares the packet's buffer until the handler's type is known.
/// - Unknown members are ignored; absent and `undefined` are one state, null
///   another.
/// - An error names the packet, and the member where there is one.
///
/// `moleculer-testkit` has a conformance suite of these rules, for serializers
/// of one's own as well; [an example][example] implements one in under 150
/// lines and passes it. [`Packet::to_tokens`] and [`Packet::from_tokens`] do
/// most of the work for a format that describes itself.
///
/// [example]: https://github.com/moleculer-rs/moleculer/tree/main/examples/custom-serializer
pub trait Serializer: fmt::Debug + Send + Sync + 'static {
    /// The name in configuration, for example `JSON`.
    fn name(&self) -> &'static str;

    /// The format of params, data and meta inside the packets.
    fn format(&self) -> Format;

    /// The protocol versions whose packets it can carry. Default: all.
    fn protocols(&self) -> &'static [ProtocolVersion] {
        &[ProtocolVersion::V4, ProtocolVersion::V5]
    }

    /// Appends the encoded packet to `out`.
    ///
    /// # Errors
    ///
    /// When a value inside cannot be carried. `out` may then hold a part of
    /// the packet.
    fn encode(&self, packet: &Packet, out: &mut BytesMut) -> Result<(), EncodeError>;

    /// Decodes one packet of a kind that the topic told.
    ///
    /// # Errors
    ///
    /// When the bytes are not such a packet.
    fn decode(&self, kind: PacketKind, bytes: &Bytes) -> Result<Packet, DecodeError>;
}

/// A serializer that can be chosen by name: what a serializer's crate exports,
/// so that it needs no more than this crate.
///
/// ```
/// use std::sync::Arc;
/// use moleculer_protocol::{JsonSerializer, Object, SerializerPlugin};
///
/// const PLUGIN: SerializerPlugin = SerializerPlugin {
///     name: "MyJSON",
///     build: |options| {
///         SerializerPlugin::no_options(&options)?;
///         Ok(Arc::new(JsonSerializer))
///     },
/// };
///
/// assert_eq!((PLUGIN.build)(Object::new())?.name(), "JSON");
/// assert!((PLUGIN.build)(Object::from([("x", 1)])).is_err());
/// # Ok::<(), moleculer_protocol::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SerializerPlugin {
    /// The name in configuration, in the reference's spelling; case does not matter.
    pub name: &'static str,
    /// Makes one of the options in configuration. The error says what is wrong
    /// with them.
    pub build: fn(Object) -> Result<Arc<dyn Serializer>, DecodeError>,
}

impl SerializerPlugin {
    /// For serializers without options.
    ///
    /// # Errors
    ///
    /// When there is an option.
    pub fn no_options(options: &Object) -> Result<(), DecodeError> {
        match options.keys().next() {
            None => Ok(()),
            Some(key) => {
                Err(DecodeError::new(format!("unknown key `{key}`; there are no options")))
            }
        }
    }
}
