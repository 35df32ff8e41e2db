//! What `probe` does with binary values.

use bytes::Bytes;
use moleculer::{Object, prelude::*};
use sha1::{Digest, Sha1};

/// The test pattern: byte i is i modulo 251.
pub(crate) fn pattern(size: usize) -> Value {
    Bytes::from_iter((0..size).map(|i| (i % 251) as u8)).into()
}

/// Size and hash of bytes; `{data: bytes}` will do as well.
pub(crate) fn digest(params: &Value) -> Result<Object> {
    let bytes = bytes_of(params).or_else(|| bytes_of(params.pointer("data")?));
    let bytes = bytes.ok_or_else(|| {
        Error::client(400, "NOT_BINARY", "The params must be binary or {data: binary}.")
    })?;
    Ok(Object::from([
        ("size", Value::from(bytes.len())),
        ("sha1", hexadecimal(&Sha1::digest(&bytes)).into()),
    ]))
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON has no bytes: there they come as `{"type":"Buffer","data":[..]}`.
fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    if let Value::Bytes(bytes) = value {
        return Some(bytes.to_vec());
    }
    if value.pointer("type")?.as_str()? != "Buffer" {
        return None;
    }
    let numbers = value.pointer("data")?.as_array()?.iter();
    numbers.map(|number| u8::try_from(number.as_u64()?).ok()).collect()
}
