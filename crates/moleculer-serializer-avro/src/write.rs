//! Avro's types, written.

use bytes::{BufMut, BytesMut};
use moleculer_protocol::{
    EncodeError,
    schema::{Field, SchemaWriter},
};

/// Appends the fields of a record, one after the other.
#[derive(Debug)]
pub(crate) struct Writer<'a>(pub(crate) &'a mut BytesMut);

impl SchemaWriter for Writer<'_> {
    const NAME: &'static str = "Avro";
    const COMPLETE: bool = true;

    fn flag(&mut self, field: Field, flag: Option<bool>) {
        self.union(field, flag, |out, flag| out.0.put_u8(flag.into()));
    }

    fn int(&mut self, field: Field, n: Option<i32>) {
        self.long(field, n.map(i64::from));
    }

    fn long(&mut self, field: Field, n: Option<i64>) {
        self.union(field, n, Self::integer);
    }

    fn double(&mut self, field: Field, n: Option<f64>) {
        self.union(field, n, |out, n| out.0.put_f64_le(n));
    }

    fn bytes(&mut self, field: Field, bytes: Option<&[u8]>) {
        self.union(field, bytes, Self::sized);
    }

    /// The length comes out at the end and is then put in front.
    fn encoded(
        &mut self,
        field: Field,
        encode: impl FnOnce(&mut BytesMut) -> Result<bool, EncodeError>,
    ) -> Result<(), EncodeError> {
        let branch = self.0.len();
        self.union(field, Some(()), |_, ()| {});
        let start = self.0.len();
        if !encode(self.0)? {
            self.0.truncate(branch);
            self.union(field, None::<()>, |_, ()| {});
            return Ok(());
        }
        let end = self.0.len();
        self.integer((end - start) as i64);
        let head = self.0.len() - end;
        self.0[start..].rotate_right(head);
        Ok(())
    }

    /// One block with all items, then the end.
    fn list<T: AsRef<str>>(&mut self, field: Field, items: Option<&[T]>) {
        self.union(field, items, |out, items| {
            if !items.is_empty() {
                out.integer(items.len() as i64);
                items.iter().for_each(|item| out.sized(item.as_ref().as_bytes()));
            }
            out.integer(0);
        });
    }

    /// Its fields stand there as if they were the outer record's.
    fn record(&mut self, _: Field, texts: [&str; 3]) {
        texts.into_iter().for_each(|text| self.sized(text.as_bytes()));
    }
}

impl Writer<'_> {
    /// A value, behind the number of its branch if there may be null instead.
    fn union<T>(&mut self, field: Field, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        if field.nullable {
            self.integer(value.is_some().into());
        }
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.integer(bytes.len() as i64);
        self.0.put_slice(bytes);
    }

    /// A zigzag varint: Avro's `int` and `long` alike.
    fn integer(&mut self, n: i64) {
        let mut rest = ((n << 1) ^ (n >> 63)) as u64;
        while rest > 0x7f {
            self.0.put_u8(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.put_u8(rest as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_zigzag_varints() {
        let check = |n: i64, hex: &str| {
            let mut out = BytesMut::new();
            Writer(&mut out).integer(n);
            assert_eq!(format!("{:x}", out.freeze()), hex, "{n}");
        };
        check(0, "00");
        check(-1, "01");
        check(63, "7e");
        check(64, "8001");
        check(5001, "924e");
        check(i64::MAX, "feffffffffffffffff01");
        check(i64::MIN, "ffffffffffffffffff01");
    }
}
