//! Sealed packets: encrypted, and nobody without a key can make or change one.

use bytes::Bytes;
use chacha20poly1305::{AeadInOut, Tag, XNonce};
use moleculer_core::{Error, ErrorKind, Result, protocol::PacketKind};

use crate::Key;

/// First byte of a sealed packet. The text formats of packets do not begin so.
const VERSION: u8 = 0x81;

const NONCE: usize = 24;
const TAG: usize = 16;

/// The keys; the first one seals.
///
/// A sealed packet is a byte for the version, the length of the key's id and
/// that id, a random nonce, the encrypted bytes, and their tag. The tag covers
/// all before it and the kind of the packet.
#[derive(Clone, Debug)]
pub(crate) struct Keys(Vec<Key>);

impl Keys {
    pub(crate) fn new(keys: Vec<Key>) -> Result<Self> {
        if keys.is_empty() {
            return Err(Error::options("the authenticated encryption needs at least one key"));
        }
        for (i, key) in keys.iter().enumerate() {
            if keys[..i].iter().any(|other| other.id == key.id) {
                return Err(Error::options(format!("two keys have the id {:?}", key.id)));
            }
        }
        Ok(Self(keys))
    }

    pub(crate) fn seal(&self, kind: PacketKind, bytes: &[u8]) -> Result<Bytes> {
        let key = &self.0[0];
        let header = 2 + key.id.len();
        let start = header + NONCE;
        let mut out = Vec::with_capacity(start + bytes.len() + TAG);
        // `Key` keeps ids short.
        out.extend([VERSION, key.id.len() as u8]);
        out.extend_from_slice(key.id.as_bytes());
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| {
            Error::internal(format!("the system gives no random bytes for a nonce: {error}"))
        })?;
        out.extend_from_slice(&nonce);
        out.extend_from_slice(bytes);
        let bound = bound(kind, &out[..header]);
        let tag = key
            .cipher
            .encrypt_inout_detached(&XNonce::from(nonce), &bound, out[start..].as_mut().into())
            .map_err(|_| Error::internal("the packet is too large to be encrypted"))?;
        out.extend_from_slice(&tag);
        Ok(out.into())
    }

    pub(crate) fn open(&self, kind: PacketKind, packet: &[u8]) -> Result<Bytes> {
        let (&[version, length], rest) = packet.split_first_chunk().ok_or_else(truncated)?;
        if version != VERSION {
            return Err(invalid(format!(
                "a packet begins with byte {version} instead of {VERSION}: it is not sealed; use \
                 the same middlewares in the same order on all nodes"
            )));
        }
        let (id, rest) = rest.split_at_checked(usize::from(length)).ok_or_else(truncated)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or_else(truncated)?;
        let (sealed, tag) = rest.split_last_chunk::<TAG>().ok_or_else(truncated)?;
        let key = self.0.iter().find(|key| key.id.as_bytes() == id).ok_or_else(|| {
            let id = String::from_utf8_lossy(id);
            invalid(format!("a packet is sealed with the key {id:?}, which is not among `keys`"))
        })?;
        let mut out = sealed.to_vec();
        let bound = bound(kind, &packet[..2 + id.len()]);
        key.cipher
            .decrypt_inout_detached(
                &XNonce::from(*nonce),
                &bound,
                out.as_mut_slice().into(),
                &Tag::from(*tag),
            )
            .map_err(|_| {
                invalid(format!(
                    "a packet that names the key {:?} was changed, or sealed with another key of \
                     that id",
                    key.id
                ))
            })?;
        Ok(out.into())
    }
}

/// What the tag covers besides the encrypted bytes: a packet cannot be turned
/// into one of another kind.
fn bound(kind: PacketKind, header: &[u8]) -> Vec<u8> {
    [header, kind.to_string().as_bytes()].concat()
}

fn truncated() -> Error {
    invalid("a packet is too short for a sealed one".to_owned())
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidPacketData, message)
}
