//! Avro's types, read.

use moleculer_protocol::{
    DecodeError,
    schema::{Field, SchemaReader},
};

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads the fields of a record, one after the other.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> SchemaReader<'a> for Reader<'a> {
    fn flag(&mut self, field: Field) -> Result<Option<bool>> {
        self.union(field, |input| match input.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(DecodeError::new(format!("{other} is no boolean"))),
        })
    }

    fn integer(&mut self, field: Field) -> Result<Option<i64>> {
        self.union(field, Self::long)
    }

    fn double(&mut self, field: Field) -> Result<Option<f64>> {
        self.union(field, |input| input.array().map(f64::from_le_bytes))
    }

    fn bytes(&mut self, field: Field) -> Result<Option<&'a [u8]>> {
        self.union(field, Self::sized)
    }

    fn list(&mut self, field: Field, item: impl FnMut(&'a [u8]) -> Result<()>) -> Result<bool> {
        Ok(self.union(field, |input| input.blocks(item))?.is_some())
    }

    fn record(&mut self, _: Field) -> Result<Option<[&'a [u8]; 3]>> {
        Ok(Some([self.sized()?, self.sized()?, self.sized()?]))
    }
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(packet: &'a [u8]) -> Self {
        Self(packet)
    }

    /// # Errors
    ///
    /// When something follows what has been read.
    pub(crate) fn end(&self) -> Result<()> {
        match self.0.len() {
            0 => Ok(()),
            more => Err(DecodeError::new(format!("{more} bytes after the end"))),
        }
    }

    fn union<T>(
        &mut self,
        field: Field,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<Option<T>> {
        let branch = if field.nullable { self.long()? } else { 1 };
        match branch {
            0 => Ok(None),
            1 => read(self).map(Some),
            other => Err(DecodeError::new(format!("a union has no branch {other}"))),
        }
    }

    /// Blocks of texts. A negative count is followed by the block's size.
    fn blocks(&mut self, mut item: impl FnMut(&'a [u8]) -> Result<()>) -> Result<()> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                self.long()?;
            }
            // The count may lie, so nothing is reserved for it.
            for _ in 0..count.unsigned_abs() {
                item(self.sized()?)?;
            }
        }
    }

    fn long(&mut self) -> Result<i64> {
        let mut bits = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                break;
            }
            bits |= part << shift;
            if byte & 0x80 == 0 {
                return Ok((bits >> 1) as i64 ^ -((bits & 1) as i64));
            }
        }
        Err(DecodeError::new("an integer does not fit 64 bits"))
    }

    fn sized(&mut self) -> Result<&'a [u8]> {
        let len = self.long()?;
        let split = usize::try_from(len).ok().and_then(|len| self.0.split_at_checked(len));
        let Some((bytes, rest)) = split else { return Err(self.short(len)) };
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((bytes, rest)) = self.0.split_first_chunk() else {
            return Err(self.short(N as i64));
        };
        self.0 = rest;
        Ok(*bytes)
    }

    #[cold]
    fn short(&self, wanted: i64) -> DecodeError {
        let left = self.0.len();
        DecodeError::new(format!("the input ends early: {wanted} announced, {left} bytes left"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_zigzag_varints() {
        let read = |bytes: &'static [u8]| Reader::new(bytes).long();
        assert_eq!(read(b"\x00").unwrap(), 0);
        assert_eq!(read(b"\x01").unwrap(), -1);
        assert_eq!(read(b"\x80\x01").unwrap(), 64);
        assert_eq!(read(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01").unwrap(), i64::MAX);
        assert_eq!(read(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").unwrap(), i64::MIN);
        // Padded, but valid.
        assert_eq!(read(b"\x82\x80\x00").unwrap(), 1);
        assert!(read(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02").is_err());
        assert!(read(b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01").is_err());
        assert!(read(b"\x80").is_err());
    }

    #[test]
    fn lists_come_in_blocks() {
        let read = |bytes: &'static [u8]| {
            let mut items = Vec::new();
            let mut input = Reader::new(bytes);
            input.blocks(|item| {
                items.push(item);
                Ok(())
            })?;
            input.end().map(|()| items)
        };
        assert_eq!(read(b"\x00").unwrap(), Vec::<&[u8]>::new());
        assert_eq!(read(b"\x02\x02a\x02\x02b\x00").unwrap(), [b"a", b"b"]);
        assert_eq!(read(b"\x03\x08\x02a\x02b\x00").unwrap(), [b"a", b"b"]);
        assert!(read(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00").is_err());
    }
}
