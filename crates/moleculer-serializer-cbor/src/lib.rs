#![doc = include_str!("../README.md")]

mod big;
mod read;
mod serializer;
mod tagged;
mod write;

pub use self::serializer::{CborConfig, CborSerializer, PLUGIN};

/// Tags of the registry at IANA that mean something here.
mod tag {
    /// A date as text (RFC 3339), which other languages write.
    pub(crate) const DATE_TEXT: u64 = 0;
    /// Seconds since 1970, a number.
    pub(crate) const SECONDS: u64 = 1;
    /// A big integer's magnitude, from 0 upward.
    pub(crate) const BIG: u64 = 2;
    /// The same from -1 downward.
    pub(crate) const BIG_NEGATIVE: u64 = 3;
    /// A class's name and the arguments of its constructor.
    pub(crate) const CLASS: u64 = 27;
    /// A list with each element once.
    pub(crate) const SET: u64 = 258;
    /// A map whose keys need not be text.
    pub(crate) const MAP: u64 = 259;
    /// Says no more than that this is CBOR.
    pub(crate) const SELF_DESCRIBED: u64 = 55_799;
}

/// The first byte of a value without its major type: what follows is a number
/// of eight bytes.
const EIGHT_BYTES: u8 = 27;
