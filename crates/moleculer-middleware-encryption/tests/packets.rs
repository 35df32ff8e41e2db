//! Packets: those of Moleculer JS, our own, and hostile ones.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use moleculer_core::{BytesFn, Error, Middleware, Plugins, Result, Value, protocol::PacketKind};
use moleculer_middleware_encryption::{Aes, ENCRYPTION, Encryption, Key, Mode, PLUGIN};
use proptest::prelude::*;
use serde_json::json;

fn same() -> BytesFn {
    Arc::new(|_, bytes| Ok(bytes))
}

fn send(encryption: &dyn Middleware, bytes: &[u8]) -> Result<Bytes> {
    encryption.transporter_send(same())(PacketKind::Event, bytes.to_vec().into())
}

fn receive(encryption: &dyn Middleware, bytes: &[u8]) -> Result<Bytes> {
    encryption.transporter_receive(same())(PacketKind::Event, bytes.to_vec().into())
}

fn make(options: &serde_json::Value) -> Result<Arc<dyn Middleware>> {
    let plugins = Plugins::core().middleware(PLUGIN).middleware(ENCRYPTION);
    let choice = json!({"type": "Transmit.Encryption", "options": options});
    let made = plugins.make_middleware(&Value::from(choice));
    let short = json!({"type": "Encryption", "options": options});
    assert_eq!(plugins.make_middleware(&Value::from(short)).is_ok(), made.is_ok());
    made
}

#[test]
fn packets_of_the_reference() {
    let vectors = include_str!("vectors/packets.json");
    let vectors: Vec<serde_json::Value> = serde_json::from_str(vectors).expect("JSON");
    let (mut sent, mut refused) = (0, 0);
    for vector in &vectors {
        let mut options = vector["options"].clone();
        let legacy = vector["version"] == "0.14" && options.get("iv").is_none();
        if legacy {
            options["derivation"] = "openssl-md5".into();
        }
        let Some(packets) = vector["sent"].as_array() else {
            let error = make(&options).expect_err("refused by the reference too");
            assert_eq!(error.name(), "BrokerOptionsError");
            refused += 1;
            continue;
        };
        let encryption = make(&options).expect("the reference's options");
        for packet in packets {
            let plain = packet[0].as_str().expect("text").as_bytes();
            let theirs = STANDARD.decode(packet[1].as_str().expect("base64")).expect("base64");
            assert_eq!(send(&*encryption, plain).expect("sent"), theirs, "{vector}");
            assert_eq!(receive(&*encryption, &theirs).expect("received"), plain, "{vector}");
            sent += 1;
        }
    }
    assert_eq!((sent, refused), (4 * 35, 19));
}

#[test]
fn bytes_are_taken_as_passwords() {
    let bytes: Vec<u8> = (200..232).collect();
    let options = json!({
        "password": {"type": "Buffer", "data": bytes}, "iv": {"type": "Buffer", "data": &bytes[..16]}
    });
    let encryption = make(&options).expect("valid");
    let exact = Encryption::exact(Aes::bits256(Mode::Cbc), &bytes, Some(&bytes[..16]));
    let sent = send(&*encryption, b"hello").expect("sent");
    assert_eq!(send(&exact.expect("valid"), b"hello").expect("sent"), sent);
}

#[test]
fn mistakes_are_named() {
    let check = |options: serde_json::Value, expected: &str| {
        let error = make(&options).expect_err("invalid");
        assert_eq!(error.name(), "BrokerOptionsError");
        assert!(error.message().contains(expected), "{error}");
        assert!(!error.message().contains("s3cret"), "{error}");
    };
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let iv = "0123456789abcdef";
    check(json!({}), "Must be set a password for encryption");
    check(json!({"password": "", "iv": iv}), "Must be set a password for encryption");
    check(json!({"password": "", "derivation": "openssl-md5"}), "Must be set a password");
    check(json!({"password": "s3cret", "iv": iv}), "exactly 32 bytes, but has 6");
    check(json!({"password": "x".repeat(32)}), "needs an `iv` of 16 bytes");
    check(json!({"password": "x".repeat(32), "iv": "s3cret"}), "exactly 16 bytes, but has 6");
    check(json!({"password": "x".repeat(16), "iv": iv, "algorithm": "aes-128-ecb"}), "takes no iv");
    check(json!({"password": "s3cret", "algorithm": "rc4"}), "algorithm 'rc4' is not known");
    check(json!({"password": "s3cret", "iv": iv, "derivation": "openssl-md5"}), "with an `iv`");
    check(json!({"password": "s3cret", "derivation": "scrypt"}), "unknown variant `scrypt`");
    check(json!({"password": 5}), "password: must be a text, or bytes");
    check(json!({"pasword": "s3cret"}), "did you mean `password`?");
    check(json!({"algorithm": "xchacha20-poly1305"}), "needs `keys`");
    check(json!({"keys": []}), "at least one key");
    check(json!({"keys": [{"id": "a", "key": "s3cret"}]}), "the key \"a\" must be 32 bytes");
    check(json!({"keys": [{"id": "", "key": key}]}), "1 to 32 bytes");
    check(json!({"keys": [{"id": "a".repeat(33), "key": key}]}), "1 to 32 bytes");
    check(json!({"keys": [{"id": "a", "key": key}, {"id": "a", "key": key}]}), "two keys");
    check(json!({"keys": [], "password": "s3cret"}), "leave `password`");
    check(json!({"keys": [], "algorithm": "aes-256-cbc"}), "belong to xchacha20-poly1305");
}

#[test]
fn nothing_shows_secrets() {
    let encryption = authenticated(&[("a", 77)]);
    let exact = Encryption::openssl_md5(Aes::bits128(Mode::Ctr), "hush").expect("valid");
    assert_eq!(
        format!("{encryption:?} {exact:?}"),
        r#"Encryption(Keys([Key { id: "a", .. }])) Encryption("aes-128-ctr")"#
    );
}

fn authenticated(keys: &[(&str, u8)]) -> Encryption {
    let keys = keys.iter().map(|(id, byte)| Key::new(id, [*byte; 32]).expect("a key"));
    Encryption::authenticated(keys).expect("valid")
}

#[test]
fn equal_packets_are_sealed_differently() {
    let encryption = authenticated(&[("a", 1)]);
    let [first, second] = [0, 1].map(|_| send(&encryption, b"same").expect("sent"));
    assert_ne!(first, second);
    assert_eq!(first.len(), 4 + 42 + 1);
    assert_eq!(receive(&encryption, &first).expect("received"), "same");
}

#[test]
fn keys_are_replaced_one_node_at_a_time() {
    let (old, new) = (("2026-10", 1), ("2026-11", 2));
    let steps = [vec![old], vec![old, new], vec![new, old], vec![new]];
    let nodes = steps.map(|keys| authenticated(&keys));
    for neighbours in nodes.windows(2) {
        for (from, to) in [(0, 1), (1, 0)] {
            let packet = send(&neighbours[from], b"hello").expect("sent");
            assert_eq!(receive(&neighbours[to], &packet).expect("received"), "hello");
        }
    }
    let packet = send(&nodes[0], b"hello").expect("sent");
    let error = receive(&nodes[3], &packet).expect_err("too late");
    assert!(error.message().contains("the key \"2026-10\", which is not among"), "{error}");
}

#[test]
fn a_packet_keeps_its_kind() {
    let encryption = authenticated(&[("a", 1)]);
    let packet = send(&encryption, b"hello").expect("sent");
    let receive = encryption.transporter_receive(same());
    assert!(receive(PacketKind::Event, packet.clone()).is_ok());
    assert!(receive(PacketKind::Request, packet).is_err());
}

#[test]
fn invalid_packets_are_told_apart() {
    let check = |encryption: &Encryption, bytes: &[u8], expected: &str| {
        let error: Error = receive(encryption, bytes).expect_err("invalid");
        assert_eq!(error.name(), "InvalidPacketDataError");
        assert!(error.message().contains(expected), "{error}");
    };
    let sealed = authenticated(&[("a", 1)]);
    check(&sealed, b"", "too short");
    check(&sealed, b"{\"ver\":\"5\"}", "begins with byte 123 instead of 129");
    check(&sealed, &[0x81, 255, b'a'], "too short");
    check(&sealed, &[&[0x81, 1, b'\n'][..], &[0; 40]].concat(), "the key \"\\n\", which is not");
    let other = send(&authenticated(&[("a", 2)]), b"hello").expect("sent");
    check(&sealed, &other, "was changed, or sealed with another key of that id");
    let plain = Encryption::openssl_md5(Aes::bits256(Mode::Cbc), "one").expect("valid");
    check(&plain, b"{\"ver\":\"5\"}", "use aes-256-cbc with the same password and iv");
    check(&plain, b"", "cannot be decrypted");
    let ecb = Encryption::openssl_md5(Aes::bits128(Mode::Ecb), "one").expect("valid");
    check(&ecb, b"", "cannot be decrypted");
    check(&ecb, &[0; 15], "cannot be decrypted");
}

proptest! {
    #[test]
    fn all_packets_come_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for mode in [Mode::Cbc, Mode::Ctr, Mode::Ecb] {
            let encryption = Encryption::openssl_md5(Aes::bits192(mode), "one").expect("valid");
            let sent = send(&encryption, &bytes).expect("sent");
            prop_assert_eq!(&receive(&encryption, &sent).expect("received")[..], &bytes[..]);
        }
        let encryption = authenticated(&[("a", 1)]);
        let sent = send(&encryption, &bytes).expect("sent");
        prop_assert_eq!(&receive(&encryption, &sent).expect("received")[..], &bytes[..]);
    }

    #[test]
    fn no_bit_of_a_sealed_packet_can_be_changed(
        bytes in prop::collection::vec(any::<u8>(), 0..50), at in any::<prop::sample::Index>(), bit in 0..8_u32,
    ) {
        let encryption = authenticated(&[("a", 1), ("b", 1)]);
        let mut packet = send(&encryption, &bytes).expect("sent").to_vec();
        let at = at.index(packet.len());
        packet[at] ^= 1_u8 << bit;
        prop_assert!(receive(&encryption, &packet).is_err());
        packet[at] ^= 1_u8 << bit;
        prop_assert!(receive(&encryption, &packet[..at]).is_err());
    }

    #[test]
    fn hostile_packets_make_nothing_larger(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for mode in [Mode::Cbc, Mode::Ctr, Mode::Ecb] {
            let encryption = Encryption::openssl_md5(Aes::bits128(mode), "one").expect("valid");
            if let Ok(packet) = receive(&encryption, &bytes) {
                prop_assert!(packet.len() <= bytes.len());
            }
        }
        if let [version, length, id, ..] = &mut bytes[..] {
            (*version, *length, *id) = (0x81, 1, b'a');
        }
        prop_assert!(receive(&authenticated(&[("a", 1)]), &bytes).is_err());
    }
}

/// A block of the sender's own choice, without the padding behind it.
#[test]
fn blocks_with_wrong_padding_are_refused() {
    let ecb = Encryption::openssl_md5(Aes::bits128(Mode::Ecb), "one").expect("valid");
    let open = |block: [u8; 16]| receive(&ecb, &send(&ecb, &block).expect("encrypted")[..16]);
    let ending = |end: [u8; 2]| {
        let mut block = [b'x'; 16];
        block[14..].copy_from_slice(&end);
        block
    };
    assert_eq!(open(ending([2, 2])).expect("sound"), [b'x'; 14].as_slice());
    for end in [[1, 2], [0, 0], [0, 17], [0, 255]] {
        let error = open(ending(end)).expect_err("wrong padding");
        assert!(error.message().contains("cannot be decrypted"), "{end:?}: {error}");
    }
}
