//! Where the two dialects meet: as formats of single values.

use bytes::BytesMut;
use moleculer_protocol::{
    DecodeError, EncodeError, Format, ValueFormat,
    format::{ReadTokens, WriteTokens},
};

use crate::{read::Reader, write::Writer};

/// The libraries behind the serializers of Moleculer JS: msgpack5, notepack.io.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[default]
    MsgPack,
    Notepack,
}

impl Dialect {
    /// Single values in this dialect.
    pub(crate) const fn format(self) -> Format {
        Format::Other(match self {
            Self::MsgPack => &Self::MsgPack,
            Self::Notepack => &Self::Notepack,
        })
    }
}

impl ValueFormat for Dialect {
    fn name(&self) -> &'static str {
        match self {
            Self::MsgPack => "MsgPack",
            Self::Notepack => "Notepack",
        }
    }

    fn encode(&self, out: &mut BytesMut, write: &WriteTokens<'_>) -> Result<(), EncodeError> {
        write(&mut Writer { out, dialect: *self })
    }

    fn decode(&self, input: &[u8], read: &mut ReadTokens<'_>) -> Result<(), DecodeError> {
        read(&mut Reader::new(input, *self))
    }
}
