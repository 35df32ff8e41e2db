//! Thrift's binary protocol, written.

use bytes::{BufMut, BytesMut};
use moleculer_protocol::{
    EncodeError,
    schema::{Field, SchemaWriter},
};

use crate::wire;

/// Appends the fields of a struct; absent ones are left out.
#[derive(Debug)]
pub(crate) struct Writer<'a>(pub(crate) &'a mut BytesMut);

impl SchemaWriter for Writer<'_> {
    const NAME: &'static str = "Thrift";

    fn flag(&mut self, field: Field, flag: Option<bool>) {
        self.field(field, wire::BOOL, flag, |out, flag| out.put_u8(flag.into()));
    }

    fn int(&mut self, field: Field, n: Option<i32>) {
        self.field(field, wire::I32, n, BytesMut::put_i32);
    }

    fn long(&mut self, field: Field, n: Option<i64>) {
        self.field(field, wire::I64, n, BytesMut::put_i64);
    }

    fn double(&mut self, field: Field, n: Option<f64>) {
        self.field(field, wire::DOUBLE, n, BytesMut::put_f64);
    }

    fn bytes(&mut self, field: Field, bytes: Option<&[u8]>) {
        self.field(field, wire::STRING, bytes, put_sized);
    }

    /// The length comes out at the end; its place is kept free.
    fn encoded(
        &mut self,
        field: Field,
        encode: impl FnOnce(&mut BytesMut) -> Result<bool, EncodeError>,
    ) -> Result<(), EncodeError> {
        let head = self.0.len();
        self.int(field, Some(0));
        self.0[head] = wire::STRING;
        let start = self.0.len();
        if encode(self.0)? {
            let len = (self.0.len() - start) as i32;
            self.0[start - 4..start].copy_from_slice(&len.to_be_bytes());
        } else {
            self.0.truncate(head);
        }
        Ok(())
    }

    fn list<T: AsRef<str>>(&mut self, field: Field, items: Option<&[T]>) {
        self.field(field, wire::LIST, items, |out, items| {
            out.put_u8(wire::STRING);
            out.put_i32(items.len() as i32);
            items.iter().for_each(|item| put_sized(out, item.as_ref().as_bytes()));
        });
    }

    fn record(&mut self, field: Field, texts: [&str; 3]) {
        self.field(field, wire::STRUCT, Some(texts), |out, texts| {
            for (id, text) in (1..).zip(texts) {
                out.put_u8(wire::STRING);
                out.put_i16(id);
                put_sized(out, text.as_bytes());
            }
            out.put_u8(wire::STOP);
        });
    }
}

impl Writer<'_> {
    pub(crate) fn stop(&mut self) {
        self.0.put_u8(wire::STOP);
    }

    fn field<T>(
        &mut self,
        field: Field,
        kind: u8,
        value: Option<T>,
        put: impl FnOnce(&mut BytesMut, T),
    ) {
        if let Some(value) = value {
            self.0.put_u8(kind);
            self.0.put_i16(field.number.into());
            put(self.0, value);
        }
    }
}

fn put_sized(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
}
