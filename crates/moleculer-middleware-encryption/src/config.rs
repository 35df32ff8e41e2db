//! The options as a configuration has them.

use moleculer_core::{Error, Result, Value};
use serde::{Deserialize, Deserializer, de};

use crate::{Aes, Encryption, Key};

/// Options of both ways to encrypt; which one it is, `keys` tells.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[derive(Default)]
pub(crate) struct Config {
    algorithm: Option<String>,
    password: Option<Secret>,
    iv: Option<Secret>,
    derivation: Option<Derivation>,
    keys: Option<Vec<Key>>,
}

/// How a password becomes a key.
#[derive(Clone, Copy, PartialEq, Deserialize)]
enum Derivation {
    /// Its bytes are the key.
    #[serde(rename = "exact")]
    Exact,
    /// As Moleculer JS 0.14 does it without an iv.
    #[serde(rename = "openssl-md5")]
    OpensslMd5,
}

/// Text, or bytes as JSON has them: `{"type": "Buffer", "data": [..]}`.
struct Secret(Vec<u8>);

const AUTHENTICATED: &str = "xchacha20-poly1305";

impl Config {
    pub(crate) fn build(self) -> Result<Encryption> {
        let name = self.algorithm.as_deref();
        let authenticated = name.is_some_and(|name| name.eq_ignore_ascii_case(AUTHENTICATED));
        if let Some(keys) = self.keys {
            if name.is_some() && !authenticated {
                return Err(Error::options(format!("`keys` belong to {AUTHENTICATED} alone")));
            }
            if self.password.is_some() || self.iv.is_some() || self.derivation.is_some() {
                return Err(Error::options(
                    "leave `password`, `iv` and `derivation` out with `keys`",
                ));
            }
            return Encryption::authenticated(keys);
        }
        if authenticated {
            return Err(Error::options(format!(
                "{AUTHENTICATED} needs `keys`: [{{\"id\": \"..\", \"key\": \"<32 bytes in base64>\"}}]"
            )));
        }
        let algorithm = Aes::named(name.unwrap_or("aes-256-cbc"))?;
        let password = self.password.map_or_else(Vec::new, |password| password.0);
        let iv = self.iv.map(|iv| iv.0);
        match self.derivation.unwrap_or(Derivation::Exact) {
            Derivation::Exact => Encryption::exact(algorithm, password, iv.as_deref()),
            Derivation::OpensslMd5 if iv.is_some() => Err(Error::options(
                "with an `iv` no node derives keys; leave `iv` or `derivation` out",
            )),
            Derivation::OpensslMd5 => Encryption::openssl_md5(algorithm, password),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || {
            de::Error::custom("must be a text, or bytes as {\"type\": \"Buffer\", \"data\": [..]}")
        };
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text.into())),
            Value::Bytes(bytes) => Ok(Self(bytes.to_vec())),
            Value::Object(object)
                if object.get("type").and_then(Value::as_str) == Some("Buffer") =>
            {
                let Some(Value::Array(bytes)) = object.get("data") else {
                    return Err(wrong());
                };
                let byte = |value: &Value| match value {
                    Value::Int(byte) => u8::try_from(*byte).ok(),
                    _ => None,
                };
                bytes.iter().map(byte).collect::<Option<_>>().map(Self).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}
