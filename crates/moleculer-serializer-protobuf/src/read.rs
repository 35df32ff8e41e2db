//! Messages to fields.

use moleculer_protocol::{
    DecodeError,
    schema::{Field, SchemaReader},
};

use crate::slot::{Slot, Slots};

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads the fields of a message.
pub(crate) struct Reader<'a>(pub(crate) &'a dyn Slots);

impl<'a> SchemaReader<'a> for Reader<'a> {
    fn flag(&mut self, field: Field) -> Result<Option<bool>> {
        match self.0.slot(field.number) {
            Some(Slot::Flag(flag)) => Ok(*flag),
            _ => Ok(None),
        }
    }

    fn integer(&mut self, field: Field) -> Result<Option<i64>> {
        match self.0.slot(field.number) {
            Some(Slot::Int(n)) => Ok(n.map(i64::from)),
            Some(Slot::Long(n)) => Ok(*n),
            _ => Ok(None),
        }
    }

    fn double(&mut self, field: Field) -> Result<Option<f64>> {
        match self.0.slot(field.number) {
            Some(Slot::Double(n)) => Ok(*n),
            _ => Ok(None),
        }
    }

    /// Empty ids and texts are the default, and as good as absent.
    fn bytes(&mut self, field: Field) -> Result<Option<&'a [u8]>> {
        match self.0.slot(field.number) {
            Some(Slot::Bytes(Some(bytes))) if !(field.nullable && bytes.is_empty()) => {
                Ok(Some(bytes))
            }
            _ => Ok(None),
        }
    }

    fn list(&mut self, field: Field, item: impl FnMut(&'a [u8]) -> Result<()>) -> Result<bool> {
        let Some(Slot::List(items)) = self.0.slot(field.number) else { return Ok(false) };
        items.iter().map(|item| &**item).try_for_each(item)?;
        Ok(!items.is_empty())
    }

    fn record(&mut self, field: Field) -> Result<Option<[&'a [u8]; 3]>> {
        let Some(Slot::Client(Some(client))) = self.0.slot(field.number) else { return Ok(None) };
        let texts = [&client.kind, &client.version, &client.lang_version];
        Ok(Some(texts.map(|text| text.as_deref().unwrap_or_default())))
    }
}
