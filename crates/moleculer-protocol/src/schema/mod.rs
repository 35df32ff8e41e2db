//! Packets as the fields of a schema, for Avro, Protocol Buffers and Thrift.
//!
//! The three formats carry the same twelve records with the same field
//! numbers, and have no place for what protocol 5 added. A format implements
//! [`SchemaWriter`] and [`SchemaReader`]; [`encode`] and [`decode`] know the
//! records, and what becomes JSON text in them: services, meta, errors, gossip
//! rows and those params and data that are not binary as a whole.

mod decode;
mod encode;
mod fields;

use bytes::BytesMut;

pub use self::{decode::decode, encode::encode};
use crate::format::{DecodeError, EncodeError};

/// One more than the largest field number: the size of a table of fields.
pub const FIELDS: usize = 18;

/// A field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// From 1. ProtoBuf and Thrift write it; in Avro the order counts.
    pub number: u8,
    /// The name, for messages.
    pub name: &'static str,
    /// Whether Avro has a union with null for it. The other formats leave out
    /// whatever is absent.
    pub nullable: bool,
}

/// Writes the fields of one record in the order of their numbers. `None`
/// stands for an absent field.
pub trait SchemaWriter {
    /// The format's name in messages.
    const NAME: &'static str;

    /// Whether a field that is not nullable must be there, as in Avro. It is
    /// then never written as `None`.
    const COMPLETE: bool = false;

    /// Writes a flag.
    fn flag(&mut self, field: Field, flag: Option<bool>);

    /// Writes an integer of 32 bits.
    fn int(&mut self, field: Field, n: Option<i32>);

    /// Writes an integer of 64 bits.
    fn long(&mut self, field: Field, n: Option<i64>);

    /// Writes a number.
    fn double(&mut self, field: Field, n: Option<f64>);

    /// Writes bytes or text, which look alike in all three formats.
    fn bytes(&mut self, field: Field, bytes: Option<&[u8]>);

    /// Writes the bytes that `encode` appends, or an absent field when
    /// `encode` returns false.
    ///
    /// # Errors
    ///
    /// What `encode` returns.
    fn encoded(
        &mut self,
        field: Field,
        encode: impl FnOnce(&mut BytesMut) -> Result<bool, EncodeError>,
    ) -> Result<(), EncodeError>;

    /// Writes a list of texts.
    fn list<T: AsRef<str>>(&mut self, field: Field, items: Option<&[T]>);

    /// Writes a record whose fields 1, 2 and 3 are texts.
    fn record(&mut self, field: Field, texts: [&str; 3]);
}

/// Reads the fields of one record, asked for in the order of their numbers.
/// `None` stands for an absent field. Errors need not name the field.
pub trait SchemaReader<'a> {
    /// Reads a flag.
    ///
    /// # Errors
    ///
    /// When the input ends early or holds something else; so everywhere.
    fn flag(&mut self, field: Field) -> Result<Option<bool>, DecodeError>;

    /// Reads an integer of 32 or 64 bits.
    ///
    /// # Errors
    ///
    /// See [`SchemaReader::flag`].
    fn integer(&mut self, field: Field) -> Result<Option<i64>, DecodeError>;

    /// Reads a number.
    ///
    /// # Errors
    ///
    /// See [`SchemaReader::flag`].
    fn double(&mut self, field: Field) -> Result<Option<f64>, DecodeError>;

    /// Reads bytes or text; they must lie in the packet's buffer.
    ///
    /// # Errors
    ///
    /// See [`SchemaReader::flag`].
    fn bytes(&mut self, field: Field) -> Result<Option<&'a [u8]>, DecodeError>;

    /// Hands the texts of a list to `item`; returns whether there is a list.
    ///
    /// # Errors
    ///
    /// See [`SchemaReader::flag`], and what `item` returns.
    fn list(
        &mut self,
        field: Field,
        item: impl FnMut(&'a [u8]) -> Result<(), DecodeError>,
    ) -> Result<bool, DecodeError>;

    /// Reads a record whose fields 1, 2 and 3 are texts; absent ones are empty.
    ///
    /// # Errors
    ///
    /// See [`SchemaReader::flag`].
    fn record(&mut self, field: Field) -> Result<Option<[&'a [u8]; 3]>, DecodeError>;
}

/// What the bytes of a payload are; the field after it tells.
mod data_type {
    pub(super) const UNDEFINED: i32 = 0;
    pub(super) const NULL: i32 = 1;
    pub(super) const JSON: i32 = 2;
    pub(super) const BUFFER: i32 = 3;
}
