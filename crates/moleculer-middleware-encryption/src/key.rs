//! Keys of the authenticated mode: [`Key`].

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use moleculer_core::{Error, Result};
use serde::{Deserialize, Deserializer, de};

/// Most bytes of an id.
const MAX_ID: usize = 32;

/// A key of the authenticated mode, with the id that packets name it by.
#[derive(Clone)]
pub struct Key {
    pub(crate) id: Box<str>,
    pub(crate) cipher: XChaCha20Poly1305,
}

impl Key {
    /// A key: its id, which everyone can read in each packet, of 1 to 32 bytes,
    /// and 32 random bytes.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when the id is empty or too long.
    pub fn new(id: &str, key: [u8; 32]) -> Result<Self> {
        if !(1..=MAX_ID).contains(&id.len()) {
            return Err(Error::options(format!(
                "the id of a key must have 1 to {MAX_ID} bytes, but {id:?} has {}",
                id.len()
            )));
        }
        Ok(Self { id: id.into(), cipher: XChaCha20Poly1305::new(&key.into()) })
    }

    /// The same with the key in base64, as `openssl rand -base64 32` makes it.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and when it is not 32 bytes in base64.
    pub fn from_base64(id: &str, key: &str) -> Result<Self> {
        let bytes = STANDARD.decode(key.trim()).ok();
        let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let key = key.ok_or_else(|| {
            Error::options(format!(
                "the key {id:?} must be 32 bytes in base64, as `openssl rand -base64 32` makes them"
            ))
        })?;
        Self::new(id, key)
    }
}

/// Shows no secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            id: String,
            key: String,
        }
        let Fields { id, key } = Fields::deserialize(deserializer)?;
        Self::from_base64(&id, &key).map_err(|error| de::Error::custom(error.message()))
    }
}
