//! Fields to messages.

use bytes::{BufMut, Bytes, BytesMut};
use moleculer_protocol::{
    EncodeError,
    schema::{Field, SchemaWriter},
};

use crate::{
    message::Client,
    slot::{SlotMut, Slots},
};

/// Fills in a message. Its texts and bytes lie in one buffer.
pub(crate) struct Writer<'a> {
    message: &'a mut dyn Slots,
    buffer: BytesMut,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(message: &'a mut dyn Slots) -> Self {
        Self { message, buffer: BytesMut::with_capacity(512) }
    }

    fn copy(&mut self, bytes: &[u8]) -> Bytes {
        self.buffer.put_slice(bytes);
        self.buffer.split().freeze()
    }
}

impl SchemaWriter for Writer<'_> {
    const NAME: &'static str = "ProtoBuf";

    fn flag(&mut self, field: Field, flag: Option<bool>) {
        if let Some(SlotMut::Flag(slot)) = self.message.slot_mut(field.number) {
            *slot = flag;
        }
    }

    fn int(&mut self, field: Field, n: Option<i32>) {
        if let Some(SlotMut::Int(slot)) = self.message.slot_mut(field.number) {
            *slot = n;
        }
    }

    fn long(&mut self, field: Field, n: Option<i64>) {
        if let Some(SlotMut::Long(slot)) = self.message.slot_mut(field.number) {
            *slot = n;
        }
    }

    fn double(&mut self, field: Field, n: Option<f64>) {
        if let Some(SlotMut::Double(slot)) = self.message.slot_mut(field.number) {
            *slot = n;
        }
    }

    fn bytes(&mut self, field: Field, bytes: Option<&[u8]>) {
        let bytes = bytes.map(|bytes| self.copy(bytes));
        if let Some(SlotMut::Bytes(slot)) = self.message.slot_mut(field.number) {
            *slot = bytes;
        }
    }

    fn encoded(
        &mut self,
        field: Field,
        encode: impl FnOnce(&mut BytesMut) -> Result<bool, EncodeError>,
    ) -> Result<(), EncodeError> {
        let keep = encode(&mut self.buffer)?;
        let bytes = self.buffer.split().freeze();
        if let Some(SlotMut::Bytes(slot)) = self.message.slot_mut(field.number) {
            *slot = keep.then_some(bytes);
        }
        Ok(())
    }

    fn list<T: AsRef<str>>(&mut self, field: Field, items: Option<&[T]>) {
        let items = items.unwrap_or_default().iter();
        let items = items.map(|item| self.copy(item.as_ref().as_bytes())).collect();
        if let Some(SlotMut::List(slot)) = self.message.slot_mut(field.number) {
            *slot = items;
        }
    }

    fn record(&mut self, field: Field, texts: [&str; 3]) {
        let [kind, version, lang_version] = texts.map(|text| Some(self.copy(text.as_bytes())));
        if let Some(SlotMut::Client(slot)) = self.message.slot_mut(field.number) {
            *slot = Some(Client { kind, version, lang_version });
        }
    }
}
