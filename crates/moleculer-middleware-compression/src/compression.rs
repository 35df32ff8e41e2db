//! The middleware: [`Compression`].

use std::sync::Arc;

use bytes::Bytes;
use moleculer_core::{
    BytesFn, Error, ErrorKind, Middleware, Object, Result, ServiceBroker, protocol::PacketKind,
};
use serde::Deserialize;

use crate::{
    Method,
    codec::Broken,
    size::{size, size_or_null},
};

/// First byte of a packet that is as it was.
const PLAIN: u8 = 0;

/// First byte of a compressed packet.
const COMPRESSED: u8 = 1;

/// Compresses the packets of a node, as `Transmit.Compression` of Moleculer JS
/// does: all nodes need it, with the same method.
///
/// ```
/// use moleculer_core::{BrokerBuilder, InProcessNetwork, Plugins};
/// use moleculer_middleware_compression::{Compression, Method};
///
/// let broker = BrokerBuilder::new(Plugins::core())
///     .transporter(InProcessNetwork::default().transporter())
///     .middleware(Compression::default().method(Method::Gzip).threshold(4096))
///     .build()?;
/// # Ok::<(), moleculer_core::Error>(())
/// ```
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Compression {
    method: Method,
    #[serde(deserialize_with = "size_or_null")]
    threshold: usize,
    #[serde(deserialize_with = "size")]
    max_size: usize,
}

impl Default for Compression {
    fn default() -> Self {
        Self { method: Method::default(), threshold: 1 << 10, max_size: 64 << 20 }
    }
}

impl Compression {
    /// Sets how packets are compressed. Default: [`Method::Deflate`].
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Sets the size in bytes from which on packets are compressed; 0 for all.
    /// Default: 1024.
    pub fn threshold(mut self, threshold: usize) -> Self {
        self.threshold = threshold;
        self
    }

    /// Sets how large a compressed packet may become, in bytes. A larger one
    /// is not sent, and a received one is dropped before more memory than that
    /// is filled. Default: 64 MiB.
    pub fn max_size(mut self, max_size: usize) -> Self {
        self.max_size = max_size;
        self
    }

    fn compress(&self, kind: PacketKind, bytes: &[u8]) -> Result<Bytes> {
        if bytes.len() < self.threshold {
            return Ok([&[PLAIN], bytes].concat().into());
        }
        if bytes.len() > self.max_size {
            return Err(self.too_large(kind, bytes.len()));
        }
        let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
        out.push(COMPRESSED);
        match self.method.compress(bytes, &mut out) {
            Ok(()) => Ok(out.into()),
            Err(broken) => Err(Error::internal(format!("compressing failed: {broken}"))),
        }
    }

    fn decompress(&self, bytes: &Bytes) -> Result<Bytes> {
        match bytes.split_first() {
            Some((&PLAIN, _)) => Ok(bytes.slice(1..)),
            Some((&COMPRESSED, rest)) => self
                .method
                .decompress(rest, self.max_size)
                .map(Bytes::from)
                .map_err(|broken| self.refused(broken)),
            Some((marker, _)) => Err(invalid(format!(
                "a packet begins with byte {marker}, which marks neither a compressed nor a plain \
                 one; use the same middlewares in the same order on all nodes"
            ))),
            None => Err(invalid("an empty packet cannot be decompressed".to_owned())),
        }
    }

    fn too_large(&self, kind: PacketKind, size: usize) -> Error {
        let data = Object::from([("size", size), ("limit", self.max_size)]);
        let message = format!(
            "a {kind} packet of {size} bytes is larger than `maxSize` of the compression, {}; send \
             less, or raise it on all nodes",
            self.max_size
        );
        Error::new(ErrorKind::Moleculer, message).with_type("PACKET_TOO_LARGE").with_data(data)
    }

    fn refused(&self, broken: Broken) -> Error {
        let advice = match broken {
            Broken::TooLarge => {
                format!("that is {} bytes here; raise it if need be", self.max_size)
            }
            _ => format!("use `{:?}` on all nodes", self.method),
        };
        invalid(format!("a packet cannot be decompressed: {broken}; {advice}"))
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidPacketData, message)
}

impl Middleware for Compression {
    fn name(&self) -> &'static str {
        "Compression"
    }

    fn created(&self, _: &ServiceBroker) {
        tracing::info!(method = ?self.method, threshold = self.threshold, "packets are compressed");
    }

    fn transporter_send(&self, next: BytesFn) -> BytesFn {
        let compression = *self;
        Arc::new(move |kind, bytes| next(kind, compression.compress(kind, &bytes)?))
    }

    fn transporter_receive(&self, next: BytesFn) -> BytesFn {
        let compression = *self;
        Arc::new(move |kind, bytes| next(kind, compression.decompress(&bytes)?))
    }
}
