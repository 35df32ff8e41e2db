//! AES as the reference uses it: the same key and iv for every packet.

use aes::{
    Aes128, Aes192, Aes256, Block,
    cipher::{
        BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, BlockSizeUser,
        InnerIvInit, KeyInit, StreamCipher, block_padding::Pkcs7, consts::U16,
    },
};
use md5::{Digest, Md5};
use moleculer_core::{Error, Result};

/// An algorithm that the reference knows: AES with a key size and a mode.
///
/// ```
/// use moleculer_middleware_encryption::{Aes, Mode};
///
/// assert_eq!(Aes::named("aes-256-cbc")?, Aes::bits256(Mode::Cbc));
/// # Ok::<(), moleculer_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aes {
    bits: usize,
    mode: Mode,
}

/// How AES treats a packet that is longer than a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Cipher block chaining.
    Cbc,
    /// Counter.
    Ctr,
    /// Each block alone: shows which blocks are equal. The only mode without
    /// an iv.
    Ecb,
}

/// Encrypts and decrypts packets; nothing tells whether one was changed.
pub(crate) trait Cipher: Send + Sync {
    fn encrypt(&self, bytes: &[u8]) -> Vec<u8>;
    /// `None` when no packet can be encrypted to these bytes.
    fn decrypt(&self, bytes: &[u8]) -> Option<Vec<u8>>;
}

/// Length of a block and of an iv, in bytes.
const BLOCK: usize = 16;

impl Aes {
    /// AES with a key of 16 bytes.
    pub const fn bits128(mode: Mode) -> Self {
        Self { bits: 128, mode }
    }

    /// AES with a key of 24 bytes.
    pub const fn bits192(mode: Mode) -> Self {
        Self { bits: 192, mode }
    }

    /// AES with a key of 32 bytes.
    pub const fn bits256(mode: Mode) -> Self {
        Self { bits: 256, mode }
    }

    /// The algorithm of an OpenSSL name, such as `aes-256-cbc`.
    ///
    /// # Errors
    ///
    /// `BrokerOptionsError` when it is not AES in one of the modes.
    pub fn named(name: &str) -> Result<Self> {
        let lower = name.to_ascii_lowercase();
        let known = [Mode::Cbc, Mode::Ctr, Mode::Ecb]
            .into_iter()
            .flat_map(|mode| [Self::bits128(mode), Self::bits192(mode), Self::bits256(mode)]);
        known.into_iter().find(|aes| aes.name() == lower).ok_or_else(|| {
            Error::options(format!(
                "the algorithm '{name}' is not known; known are aes-{{128,192,256}}-{{cbc,ctr,ecb}} \
                 and xchacha20-poly1305"
            ))
        })
    }

    pub(crate) fn name(self) -> String {
        let mode = match self.mode {
            Mode::Cbc => "cbc",
            Mode::Ctr => "ctr",
            Mode::Ecb => "ecb",
        };
        format!("aes-{}-{mode}", self.bits)
    }

    /// The cipher with this key and iv, whose lengths have to fit exactly.
    pub(crate) fn cipher(self, key: &[u8], iv: Option<&[u8]>) -> Result<Box<dyn Cipher>> {
        let made = match self.bits {
            128 => cipher::<Aes128>(self, key, iv),
            192 => cipher::<Aes192>(self, key, iv),
            _ => cipher::<Aes256>(self, key, iv),
        }?;
        made.ok_or_else(|| {
            Error::options(format!(
                "the password for {} must have exactly {} bytes, but has {}",
                self.name(),
                self.bits / 8,
                key.len()
            ))
        })
    }

    /// The key and the iv that OpenSSL once made of a password: MD5 over what
    /// came before and the password, again and again, without salt.
    pub(crate) fn derive(self, password: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        let key = self.bits / 8;
        let wanted = key + BLOCK;
        let (mut derived, mut last) = (Vec::with_capacity(wanted + BLOCK), Vec::new());
        while derived.len() < wanted {
            last = Md5::new().chain_update(&last).chain_update(password).finalize().to_vec();
            derived.extend_from_slice(&last);
        }
        let iv = (self.mode != Mode::Ecb).then(|| derived[key..wanted].to_vec());
        derived.truncate(key);
        (derived, iv)
    }
}

/// `None` when the key has another length.
fn cipher<C>(aes: Aes, key: &[u8], iv: Option<&[u8]>) -> Result<Option<Box<dyn Cipher>>>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U16>,
    C: KeyInit + Clone + Send + Sync + 'static,
{
    let Ok(cipher) = C::new_from_slice(key) else {
        return Ok(None);
    };
    Ok(Some(match aes.mode {
        Mode::Cbc => Box::new(Cbc { cipher, iv: iv_of(aes, iv)? }),
        Mode::Ctr => Box::new(Ctr { cipher, iv: iv_of(aes, iv)? }),
        Mode::Ecb if iv.is_some_and(|iv| !iv.is_empty()) => {
            return Err(Error::options(format!("{} takes no iv; leave it out", aes.name())));
        }
        Mode::Ecb => Box::new(Ecb(cipher)),
    }))
}

fn iv_of(aes: Aes, iv: Option<&[u8]>) -> Result<Block> {
    let iv = iv.ok_or_else(|| {
        Error::options(format!(
            "{} needs an `iv` of 16 bytes; for nodes of Moleculer JS 0.14 without one, set \
             `derivation` to \"openssl-md5\"",
            aes.name()
        ))
    })?;
    Block::try_from(iv).map_err(|_| {
        Error::options(format!("the iv must have exactly 16 bytes, but has {}", iv.len()))
    })
}

struct Cbc<C> {
    cipher: C,
    iv: Block,
}

impl<C> Cipher for Cbc<C>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U16>,
    C: Clone + Send + Sync,
{
    fn encrypt(&self, bytes: &[u8]) -> Vec<u8> {
        let cbc = cbc::Encryptor::inner_iv_init(self.cipher.clone(), &self.iv);
        cbc.encrypt_padded_vec::<Pkcs7>(bytes)
    }

    fn decrypt(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let cbc = cbc::Decryptor::inner_iv_init(self.cipher.clone(), &self.iv);
        cbc.decrypt_padded_vec::<Pkcs7>(bytes).ok()
    }
}

struct Ctr<C> {
    cipher: C,
    iv: Block,
}

impl<C> Cipher for Ctr<C>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Clone + Send + Sync,
{
    fn encrypt(&self, bytes: &[u8]) -> Vec<u8> {
        let core = ctr::CtrCore::inner_iv_init(self.cipher.clone(), &self.iv);
        let mut out = bytes.to_vec();
        ctr::Ctr128BE::from_core(core).apply_keystream(&mut out);
        out
    }

    fn decrypt(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        Some(self.encrypt(bytes))
    }
}

struct Ecb<C>(C);

impl<C> Cipher for Ecb<C>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U16> + Send + Sync,
{
    fn encrypt(&self, bytes: &[u8]) -> Vec<u8> {
        let padding = BLOCK - bytes.len() % BLOCK;
        let mut out = Vec::with_capacity(bytes.len() + padding);
        out.extend_from_slice(bytes);
        out.resize(bytes.len() + padding, padding as u8);
        let (blocks, _) = Block::slice_as_chunks_mut(&mut out);
        self.0.encrypt_blocks(blocks);
        out
    }

    fn decrypt(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if !bytes.len().is_multiple_of(BLOCK) {
            return None;
        }
        let mut out = bytes.to_vec();
        let (blocks, _) = Block::slice_as_chunks_mut(&mut out);
        self.0.decrypt_blocks(blocks);
        let padding = usize::from(*out.last()?);
        let length = out.len().checked_sub(padding).filter(|_| (1..=BLOCK).contains(&padding))?;
        let padded = out[length..].iter().all(|&byte| usize::from(byte) == padding);
        out.truncate(length);
        padded.then_some(out)
    }
}
