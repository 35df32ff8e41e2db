//! Values put together from encoded parts, in any format.

use bytes::{Bytes, BytesMut};
use moleculer_protocol::{
    EncodeError, Format,
    format::{Compound, Open, TokenWriter},
    json,
};

use super::Outcome;

/// A member of an object: its key and its encoded value.
pub(crate) type Member = (String, Bytes);

/// An object with these members.
pub(crate) fn object(format: Format, members: &[Member]) -> Outcome<Bytes> {
    if let Format::Json = format {
        return json_object(members).map(Into::into);
    }
    write(format, Compound::Object, members.len(), &|writer| {
        members.iter().try_for_each(|(key, value)| {
            writer.key(key)?;
            writer.raw(value)
        })
    })
}

fn json_object(members: &[Member]) -> Outcome<String> {
    let text = |(key, value): &Member| {
        let mut out = BytesMut::new();
        json::to_writer(key, &mut out).map_err(|error| error.to_string())?;
        out.extend_from_slice(b":");
        out.extend_from_slice(value);
        String::from_utf8(out.to_vec()).map_err(|error| error.to_string())
    };
    let members = members.iter().map(text).collect::<Outcome<Vec<_>>>()?;
    Ok(format!("{{{}}}", members.join(",")))
}

/// Lists in lists (or objects in objects), so many that no stack holds them.
///
/// It is written from the inside, so that formats which count bytes get right
/// lengths.
pub(crate) fn nested(format: Format, compound: Compound, levels: usize) -> Outcome<Bytes> {
    let mut inner = BytesMut::new();
    format.encode(&(), &mut inner).map_err(|error| error.to_string())?;
    if let Format::Json = format {
        let (open, close) = match compound {
            Compound::Array => ("[", "]"),
            _ => ("{\"a\":", "}"),
        };
        return Ok([open.repeat(levels).as_bytes(), &inner, close.repeat(levels).as_bytes()]
            .concat()
            .into());
    }
    let mut inner = inner.freeze();
    for _ in 0..levels {
        inner = write(format, compound, 1, &|writer| {
            if compound != Compound::Array {
                writer.key("a")?;
            }
            writer.raw(&inner)
        })?;
    }
    Ok(inner)
}

fn write(
    format: Format,
    compound: Compound,
    len: usize,
    content: &dyn Fn(&mut dyn TokenWriter) -> Result<(), EncodeError>,
) -> Outcome<Bytes> {
    let Format::Other(other) = format else {
        return Err("JSON is put together as text".to_owned());
    };
    let mut out = BytesMut::new();
    other
        .encode(&mut out, &|writer| {
            let place = writer.begin(compound, Some(len))?;
            content(writer)?;
            writer.end(Open { compound, len: Some(len), place }, len)
        })
        .map_err(|error| error.to_string())?;
    Ok(out.freeze())
}
