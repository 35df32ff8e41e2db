//! Thrift's binary protocol, read.

use moleculer_protocol::{
    DecodeError,
    schema::{FIELDS, Field, SchemaReader},
};

use crate::wire;

type Result<T> = std::result::Result<T, DecodeError>;

/// Unknown fields nest no deeper; the known ones have two levels.
const MAX_DEPTH: u8 = 32;

/// The fields of a struct: what type each has, and its bytes.
#[derive(Debug)]
pub(crate) struct Reader<'a>([(u8, &'a [u8]); FIELDS]);

impl<'a> Reader<'a> {
    /// Finds the fields of the struct that is the whole of `packet`.
    pub(crate) fn new(packet: &'a [u8]) -> Result<Self> {
        let mut input = Input(packet);
        let reader = Self::fields(&mut input)?;
        match input.0.len() {
            0 => Ok(reader),
            more => Err(DecodeError::new(format!("{more} bytes after the end"))),
        }
    }

    /// Fields that nobody knows are skipped; the last one of a number counts.
    fn fields(input: &mut Input<'a>) -> Result<Self> {
        let mut fields = [(wire::STOP, &[][..]); FIELDS];
        loop {
            let [kind] = input.array()?;
            if kind == wire::STOP {
                return Ok(Self(fields));
            }
            let id = input.array().map(i16::from_be_bytes)?;
            let before = input.0;
            input
                .skip(kind, MAX_DEPTH)
                .map_err(|error| error.within(format_args!("field {id}")))?;
            let slot = usize::try_from(id).ok().and_then(|id| fields.get_mut(id));
            if let Some(slot) = slot {
                *slot = (kind, &before[..before.len() - input.0.len()]);
            }
        }
    }

    fn get(&self, field: Field, kind: u8) -> Result<Option<Input<'a>>> {
        match self.0[usize::from(field.number)] {
            (wire::STOP, _) => Ok(None),
            (found, bytes) if found == kind => Ok(Some(Input(bytes))),
            (found, _) => {
                Err(DecodeError::new(format!("expected a value of type {kind}, found {found}")))
            }
        }
    }
}

impl<'a> SchemaReader<'a> for Reader<'a> {
    fn flag(&mut self, field: Field) -> Result<Option<bool>> {
        let input = self.get(field, wire::BOOL)?;
        input.map(|mut input| input.array().map(|[flag]| flag != 0)).transpose()
    }

    fn integer(&mut self, field: Field) -> Result<Option<i64>> {
        if self.0[usize::from(field.number)].0 == wire::I64 {
            let input = self.get(field, wire::I64)?;
            return input.map(|mut input| input.array().map(i64::from_be_bytes)).transpose();
        }
        let input = self.get(field, wire::I32)?;
        input.map(|mut input| input.array().map(i32::from_be_bytes).map(i64::from)).transpose()
    }

    fn double(&mut self, field: Field) -> Result<Option<f64>> {
        let input = self.get(field, wire::DOUBLE)?;
        input.map(|mut input| input.array().map(f64::from_be_bytes)).transpose()
    }

    fn bytes(&mut self, field: Field) -> Result<Option<&'a [u8]>> {
        let input = self.get(field, wire::STRING)?;
        input.map(|mut input| input.sized()).transpose()
    }

    fn list(&mut self, field: Field, mut item: impl FnMut(&'a [u8]) -> Result<()>) -> Result<bool> {
        let Some(mut input) = self.get(field, wire::LIST)? else { return Ok(false) };
        let [kind] = input.array()?;
        let count = input.array().map(i32::from_be_bytes)?;
        if kind != wire::STRING && count > 0 {
            return Err(DecodeError::new(format!("expected a list of texts, found type {kind}")));
        }
        for _ in 0..count {
            item(input.sized()?)?;
        }
        Ok(true)
    }

    fn record(&mut self, field: Field) -> Result<Option<[&'a [u8]; 3]>> {
        let Some(mut input) = self.get(field, wire::STRUCT)? else { return Ok(None) };
        let mut fields = Self::fields(&mut input)?;
        let mut text = |number| {
            let text = fields.bytes(Field { number, name: "", nullable: false });
            text.map(Option::unwrap_or_default)
        };
        Ok(Some([text(1)?, text(2)?, text(3)?]))
    }
}

/// What is left of the input.
#[derive(Clone, Copy, Debug)]
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let Some((bytes, rest)) = self.0.split_at_checked(len) else {
            return Err(self.short(len));
        };
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((bytes, rest)) = self.0.split_first_chunk() else { return Err(self.short(N)) };
        self.0 = rest;
        Ok(*bytes)
    }

    fn count(&mut self) -> Result<usize> {
        let count = self.array().map(i32::from_be_bytes)?;
        usize::try_from(count).map_err(|_| DecodeError::new(format!("{count} is no length")))
    }

    fn sized(&mut self) -> Result<&'a [u8]> {
        let len = self.count()?;
        self.take(len)
    }

    /// Every value takes a byte or more, so no count outruns the input.
    fn skip(&mut self, kind: u8, depth: u8) -> Result<()> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(DecodeError::new("nested too deep"));
        };
        match kind {
            wire::BOOL | wire::BYTE => self.take(1).map(drop),
            wire::I16 => self.take(2).map(drop),
            wire::I32 => self.take(4).map(drop),
            wire::I64 | wire::DOUBLE => self.take(8).map(drop),
            wire::STRING => self.sized().map(drop),
            wire::STRUCT => loop {
                let [kind] = self.array()?;
                if kind == wire::STOP {
                    return Ok(());
                }
                self.take(2)?;
                self.skip(kind, depth)?;
            },
            wire::MAP => {
                let [key, value] = self.array()?;
                (0..self.count()?).try_for_each(|_| {
                    self.skip(key, depth)?;
                    self.skip(value, depth)
                })
            }
            wire::SET | wire::LIST => {
                let [kind] = self.array()?;
                (0..self.count()?).try_for_each(|_| self.skip(kind, depth))
            }
            other => Err(DecodeError::new(format!("there is no type {other}"))),
        }
    }

    #[cold]
    fn short(&self, wanted: usize) -> DecodeError {
        let left = self.0.len();
        DecodeError::new(format!("the input ends early: {wanted} announced, {left} bytes left"))
    }
}
