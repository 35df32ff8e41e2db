//! The middleware: [`Encryption`].

use std::{fmt, sync::Arc};

use bytes::Bytes;
use moleculer_core::{
    BytesFn, Error, ErrorKind, Middleware, Result, ServiceBroker, protocol::PacketKind,
};

use crate::{Aes, Key, aes::Cipher, sealed::Keys};

/// Encrypts all packets of a node; all nodes need it, with the same keys.
///
/// Among Rust nodes take [`authenticated`](Self::authenticated). The others are
/// `Transmit.Encryption` of Moleculer JS, for clusters that have JS nodes: with
/// them, equal packets look equal and a changed packet may go unnoticed.
///
/// ```
/// use moleculer_core::{BrokerBuilder, InProcessNetwork, Plugins};
/// use moleculer_middleware_encryption::{Encryption, Key};
///
/// # let (old, new) = ([1; 32], [2; 32]);
/// let keys = [Key::new("2026-11", new)?, Key::new("2026-10", old)?];
/// let broker = BrokerBuilder::new(Plugins::core())
///     .transporter(InProcessNetwork::default().transporter())
///     .middleware(Encryption::authenticated(keys)?)
///     .build()?;
/// # Ok::<(), moleculer_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Encryption(Arc<Kind>);

enum Kind {
    Plain { algorithm: String, cipher: Box<dyn Cipher> },
    Authenticated(Keys),
}

impl Encryption {
    /// The reference's encryption: the password's bytes are the key, and `iv`
    /// has 16 bytes; the mode ECB has none.
    ///
    /// ```
    /// use moleculer_middleware_encryption::{Aes, Encryption, Mode};
    ///
    /// let password = "0123456789abcdef0123456789abcdef";
    /// Encryption::exact(Aes::bits256(Mode::Cbc), password, Some(b"fedcba9876543210"))?;
    /// # Ok::<(), moleculer_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when the password or the iv does not fit.
    pub fn exact(algorithm: Aes, password: impl AsRef<[u8]>, iv: Option<&[u8]>) -> Result<Self> {
        let password = not_empty(password.as_ref())?;
        Ok(Self::plain(algorithm, algorithm.cipher(password, iv)?))
    }

    /// The encryption of Moleculer JS 0.14 without an iv: key and iv are
    /// derived from the password, by MD5. It is fast to guess: take a long
    /// random password.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when the password is empty.
    pub fn openssl_md5(algorithm: Aes, password: impl AsRef<[u8]>) -> Result<Self> {
        let (key, iv) = algorithm.derive(not_empty(password.as_ref())?);
        Ok(Self::plain(algorithm, algorithm.cipher(&key, iv.as_deref())?))
    }

    /// XChaCha20-Poly1305 with a random nonce for each packet: whoever has no
    /// key can neither read nor make nor change a packet. The first key
    /// encrypts, all decrypt, so that keys can be replaced one node at a time.
    ///
    /// A packet that was recorded can be sent again: that is not noticed.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when there is no key, or two have the same id.
    pub fn authenticated(keys: impl IntoIterator<Item = Key>) -> Result<Self> {
        Keys::new(keys.into_iter().collect()).map(|keys| Self(Arc::new(Kind::Authenticated(keys))))
    }

    fn plain(algorithm: Aes, cipher: Box<dyn Cipher>) -> Self {
        Self(Arc::new(Kind::Plain { algorithm: algorithm.name(), cipher }))
    }
}

fn not_empty(password: &[u8]) -> Result<&[u8]> {
    if password.is_empty() {
        return Err(Error::options("Must be set a password for encryption"));
    }
    Ok(password)
}

impl Kind {
    fn encrypt(&self, kind: PacketKind, bytes: &[u8]) -> Result<Bytes> {
        match self {
            Self::Plain { cipher, .. } => Ok(cipher.encrypt(bytes).into()),
            Self::Authenticated(keys) => keys.seal(kind, bytes),
        }
    }

    fn decrypt(&self, kind: PacketKind, bytes: &[u8]) -> Result<Bytes> {
        match self {
            Self::Plain { cipher, algorithm } => {
                cipher.decrypt(bytes).map(Bytes::from).ok_or_else(|| {
                    let message = format!(
                        "a packet cannot be decrypted; use {algorithm} with the same password and \
                         iv, and the same order of middlewares, on all nodes"
                    );
                    Error::new(ErrorKind::InvalidPacketData, message)
                })
            }
            Self::Authenticated(keys) => keys.open(kind, bytes),
        }
    }
}

impl Middleware for Encryption {
    fn name(&self) -> &'static str {
        "Encryption"
    }

    fn created(&self, _: &ServiceBroker) {
        tracing::info!(encryption = ?self, "packets are encrypted");
    }

    fn transporter_send(&self, next: BytesFn) -> BytesFn {
        let encryption = self.0.clone();
        Arc::new(move |kind, bytes| next(kind, encryption.encrypt(kind, &bytes)?))
    }

    fn transporter_receive(&self, next: BytesFn) -> BytesFn {
        let encryption = self.0.clone();
        Arc::new(move |kind, bytes| next(kind, encryption.decrypt(kind, &bytes)?))
    }
}

/// Shows no secret.
impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: &dyn fmt::Debug = match &*self.0 {
            Kind::Plain { algorithm, .. } => algorithm,
            Kind::Authenticated(keys) => keys,
        };
        f.debug_tuple("Encryption").field(shown).finish()
    }
}
