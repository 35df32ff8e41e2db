//! Streams in, streams out.

use std::hash::{BuildHasher, RandomState};

use aes::Aes256;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use futures_util::StreamExt;
use moleculer::{ByteStream, prelude::*};

/// Encrypts and decrypts with the same key, which nobody else knows.
pub(crate) struct Aes {
    key: [u8; 32],
    iv: [u8; 16],
}

impl Default for Aes {
    fn default() -> Self {
        Self { key: random(), iv: random() }
    }
}

#[service(name = "aes")]
impl Aes {
    #[action]
    async fn encrypt(&self, body: ByteStream) -> Result<ByteStream> {
        Ok(self.through(body))
    }

    #[action]
    async fn decrypt(&self, body: ByteStream) -> Result<ByteStream> {
        Ok(self.through(body))
    }
}

impl Aes {
    /// AES-256-CTR is its own inverse.
    fn through(&self, body: ByteStream) -> ByteStream {
        let mut cipher = Ctr128BE::<Aes256>::new(&self.key.into(), &self.iv.into());
        ByteStream::new(body.map(move |chunk| {
            let mut chunk = chunk?.to_vec();
            cipher.apply_keystream(&mut chunk);
            Ok::<_, Error>(chunk)
        }))
    }
}

fn random<const N: usize>() -> [u8; N] {
    std::array::from_fn(|i| RandomState::new().hash_one(i) as u8)
}
