//! The rules that every middleware has to keep.

use std::process::ExitCode;

use moleculer_middleware_encryption::{Aes, Encryption, Key, Mode};

fn main() -> ExitCode {
    moleculer_testkit::middleware::run(&[
        ("authenticated encryption", |broker| {
            let key = Key::new("a", [7; 32]).expect("a key");
            broker.middleware(Encryption::authenticated([key]).expect("valid"))
        }),
        ("encryption of the reference", |broker| {
            let encryption = Encryption::openssl_md5(Aes::bits256(Mode::Cbc), "secret");
            broker.middleware(encryption.expect("valid"))
        }),
    ])
}
