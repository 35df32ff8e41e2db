//! The serializer under test.

use std::{
    any::Any,
    hint::black_box,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    Format, Packet, PacketBody, PacketId, PacketKind, Payload, ProtocolVersion, RequestPacket,
    Serializer, Value,
};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use proptest::{strategy::Strategy, test_runner::TestError};

use super::{Extra, Outcome, ensure, samples};
use crate::{alloc, compare};

/// A serializer, and what it claims to carry.
#[derive(Debug)]
pub(crate) struct Subject {
    serializer: Box<dyn Serializer>,
    carries: Vec<Extra>,
}

impl Subject {
    pub(crate) fn new(serializer: impl Serializer, carries: &[Extra]) -> Self {
        Self { serializer: Box::new(serializer), carries: carries.to_vec() }
    }

    pub(crate) fn carries(&self, extra: Extra) -> bool {
        self.carries.contains(&extra)
    }

    pub(crate) fn extras(&self) -> &[Extra] {
        &self.carries
    }

    pub(crate) fn serializer(&self) -> &dyn Serializer {
        &*self.serializer
    }

    pub(crate) fn format(&self) -> Format {
        self.serializer.format()
    }

    /// The newest protocol that it carries.
    pub(crate) fn version(&self) -> ProtocolVersion {
        *self.serializer.protocols().last().unwrap_or(&ProtocolVersion::V5)
    }

    /// Packets of all kinds with all their members.
    pub(crate) fn samples(&self) -> impl Iterator<Item = Packet> {
        let version = self.version();
        PacketKind::ALL.into_iter().map(move |kind| samples::full(kind, version))
    }

    /// A request with these params.
    pub(crate) fn request(&self, params: Payload) -> Packet {
        let mut request = RequestPacket::new(PacketId::from("1"), "posts.get");
        request.params = params;
        samples::packet(self.version(), samples::body_of(request))
    }

    pub(crate) fn encode(&self, packet: &Packet) -> Outcome<Bytes> {
        let mut out = BytesMut::new();
        self.serializer
            .encode(packet, &mut out)
            .map_err(|error| format!("{} cannot be encoded: {error}", packet.kind()))?;
        Ok(out.freeze())
    }

    pub(crate) fn decode(&self, kind: PacketKind, bytes: &Bytes) -> Outcome<Packet> {
        self.serializer
            .decode(kind, bytes)
            .map_err(|error| format!("{kind} cannot be decoded: {error}: {}", shown(bytes)))
    }

    /// What arrives when `packet` is sent.
    pub(crate) fn send(&self, packet: &Packet) -> Outcome<Packet> {
        self.decode(packet.kind(), &self.encode(packet)?)
    }

    /// What arrives when `params` are sent.
    pub(crate) fn send_params(&self, params: Payload) -> Outcome<Payload> {
        self.send(&self.request(params)).map(|packet| payload(&packet))
    }

    /// A value in the value format.
    pub(crate) fn encode_value(&self, value: &Value) -> Outcome<Bytes> {
        let mut out = BytesMut::new();
        let result = self.format().encode(value, &mut out);
        result.map_err(|error| format!("{} cannot be encoded: {error}", compare::short(value)))?;
        Ok(out.freeze())
    }

    /// # Errors
    ///
    /// When the packets differ.
    pub(crate) fn compare(&self, expected: &Packet, actual: &Packet) -> Outcome {
        let kind = expected.kind();
        let difference = compare::packets(expected, actual).map_err(|e| format!("{kind}: {e}"))?;
        difference.map_or(Ok(()), |difference| Err(format!("{kind}: {difference}")))
    }

    /// Decodes bytes that may be anything, and tries what nodes do with a
    /// packet. Returns the packet, or the error by which it was refused.
    ///
    /// # Errors
    ///
    /// When something panics, takes too much memory, or when the packet or the
    /// error is not as it should be.
    pub(crate) fn check(&self, kind: PacketKind, bytes: &Bytes) -> Outcome<Result<Packet, String>> {
        self.try_packet(kind, bytes)
            .map_err(|violation| format!("{kind}: {violation}; the bytes are {}", shown(bytes)))
    }

    fn try_packet(&self, kind: PacketKind, bytes: &Bytes) -> Outcome<Result<Packet, String>> {
        let decode = || self.serializer.decode(kind, bytes);
        let packet = match bounded("decoding", bytes.len(), decode)? {
            Ok(packet) => packet,
            Err(error) => return refused(kind, &error.to_string()).map(Err),
        };
        ensure!(packet.kind() == kind, "was read as {}", packet.kind());
        let payload = payload(&packet);
        // A payload is found but not read, so it may turn out to be bad later.
        let readable = bounded("reading the payload", bytes.len(), || payload.to_value())?.is_ok();
        let part = bounded("reading a part", bytes.len(), || payload.get("a.0"))?;
        ensure!(part.is_ok() || !readable, "the payload can be read, but not a part of it");
        let list = || payload.clone().take::<Vec<Value>>();
        drop(bounded("reading a list", bytes.len(), list)?);
        self.try_again(&packet)?;
        Ok(Ok(packet))
    }

    /// What was read is written, and then read and written alike.
    fn try_again(&self, packet: &Packet) -> Outcome {
        let mut written = BytesMut::new();
        let kind = packet.kind();
        if let Err(error) = self.serializer.encode(packet, &mut written) {
            return refused(kind, &error.to_string()).map(drop);
        }
        let written = written.freeze();
        let again = self.decode(kind, &written).and_then(|again| self.encode(&again));
        let again = again.map_err(|error| format!("it was read, but then: {error}"))?;
        ensure!(
            again == written,
            "it was read, but changes with each node that passes it on: first {}, then {}",
            shown(&written),
            shown(&again)
        );
        Ok(())
    }
}

/// # Errors
///
/// When the message does not name the packet.
pub(crate) fn refused(kind: PacketKind, message: &str) -> Outcome<String> {
    ensure!(message.contains(kind.as_str()), "the error does not name {kind}: {message}");
    Ok(message.to_owned())
}

/// # Errors
///
/// When the program does not count its allocations.
pub(crate) fn counted() -> Outcome {
    let (_, bytes) = alloc::peak(|| drop(black_box(Box::new(0_u64))));
    ensure!(
        bytes > 0,
        "nothing counts allocations: the test program needs `#[global_allocator] \
         static ALLOCATOR: CountingAllocator = CountingAllocator;`"
    );
    Ok(())
}

/// Runs `run` on `len` bytes of input.
///
/// # Errors
///
/// When it panics or takes more than 64 times the input plus 64 KiB.
pub(crate) fn bounded<T>(what: &str, len: usize, run: impl FnOnce() -> T) -> Outcome<T> {
    const FACTOR: usize = 64;
    const MORE: usize = 64 * 1024;
    counted()?;
    let (result, peak) = alloc::peak(|| catch_unwind(AssertUnwindSafe(run)));
    let result = result.map_err(|panic| format!("{what} panicked: {}", message(&*panic)))?;
    ensure!(peak <= len * FACTOR + MORE, "{what} took {peak} bytes for {len} bytes of input");
    Ok(result)
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Tries generated input; the failure names the smallest that fails.
pub(crate) fn for_all<S: Strategy>(strategy: &S, test: impl Fn(S::Value) -> Outcome) -> Outcome {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(14);
    }
    let seed = config.rng_seed;
    let run = |input| test(input).map_err(TestCaseError::fail);
    TestRunner::new(config).run(strategy, run).map_err(|error| match error {
        TestError::Fail(reason, input) => format!("{reason}; the input was {input:?}; seed {seed}"),
        TestError::Abort(reason) => reason.to_string(),
    })
}

/// Params, or data; nothing where a packet has neither.
pub(crate) fn payload(packet: &Packet) -> Payload {
    match &packet.body {
        PacketBody::Request(request) => request.params.clone(),
        PacketBody::Response(response) => response.data.clone(),
        PacketBody::Event(event) => event.data.clone(),
        _ => Payload::nothing(),
    }
}

/// Bytes in hexadecimal, a part of them when they are many.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const SHOWN: usize = 400;
    let mut text: String = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > SHOWN {
        text.push_str("...");
    }
    text
}
