//! Numbers in the widths that each dialect uses.

use std::{fmt::Display, io};

use bytes::BytesMut;
use moleculer_protocol::EncodeError;
use rmp::encode;

use crate::dialect::Dialect;

/// The largest integer up to which JavaScript has all of them.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// From here on notepack.io writes other integers than it was given.
const TWO_64: f64 = 18_446_744_073_709_551_616.0;

/// Below it msgpack5 uses 64 bits, though 32 would do down to -2^31.
const MIN_INT32: i64 = -214_748_364;

pub(crate) fn write_int(out: &mut BytesMut, n: i64, dialect: Dialect) -> Result<(), EncodeError> {
    if n < MIN_INT32 && dialect == Dialect::MsgPack {
        return encode::write_i64(&mut Target(out), n).map_err(failed);
    }
    encode::write_sint(&mut Target(out), n).map(drop).map_err(failed)
}

pub(crate) fn write_uint(out: &mut BytesMut, n: u64) -> Result<(), EncodeError> {
    encode::write_uint(&mut Target(out), n).map(drop).map_err(failed)
}

/// JavaScript has one kind of number: integral ones become integers. -0 stays
/// a float, or another Rust node would lose its sign.
pub(crate) fn write_float(out: &mut BytesMut, n: f64, dialect: Dialect) -> Result<(), EncodeError> {
    let integral = n.fract() == 0.0 && (n != 0.0 || n.is_sign_positive());
    match dialect {
        Dialect::MsgPack if integral && n.abs() <= MAX_SAFE_INTEGER => {
            write_int(out, n as i64, dialect)
        }
        Dialect::MsgPack if is_short(n) => {
            let short = if n.is_nan() { f32::NAN } else { n as f32 };
            encode::write_f32(&mut Target(out), short).map_err(failed)
        }
        Dialect::Notepack if integral && (-TWO_64 / 2.0..0.0).contains(&n) => {
            write_int(out, n as i64, dialect)
        }
        Dialect::Notepack if integral && (0.0..TWO_64).contains(&n) => write_uint(out, n as u64),
        _ => {
            let long = if n.is_nan() { f64::NAN } else { n };
            encode::write_f64(&mut Target(out), long).map_err(failed)
        }
    }
}

/// Whether msgpack5 writes this number in 32 bits.
fn is_short(n: f64) -> bool {
    let exact = f64::from(n as f32) == n;
    !n.is_finite() || (exact && n.abs() <= MAX_SAFE_INTEGER)
}

/// A buffer as the codec wants it. The one that `bytes` offers asks for room
/// twice per write, which shows in values made of many small parts.
pub(crate) struct Target<'a>(pub(crate) &'a mut BytesMut);

impl io::Write for Target<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writing to a `BytesMut` cannot fail, but the codec's signatures say so.
pub(crate) fn failed(error: impl Display) -> EncodeError {
    EncodeError::new(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(n: f64, msgpack: &str, notepack: &str) {
        for (dialect, hex) in [(Dialect::MsgPack, msgpack), (Dialect::Notepack, notepack)] {
            let mut out = BytesMut::new();
            write_float(&mut out, n, dialect).unwrap();
            assert_eq!(format!("{:x}", out.freeze()), hex, "{n} in {dialect:?}");
        }
    }

    #[test]
    fn widths_are_those_of_the_dialect() {
        for (n, hex) in [
            (0.0, "00"),
            (127.0, "7f"),
            (128.0, "cc80"),
            (-32.0, "e0"),
            (-33.0, "d0df"),
            (-214_748_364.0, "d2f3333334"),
            (4_294_967_296.0, "cf0000000100000000"),
            (9_007_199_254_740_991.0, "cf001fffffffffffff"),
            (0.1, "cb3fb999999999999a"),
            (1e300, "cb7e37e43c8800759c"),
        ] {
            check(n, hex, hex);
        }
        check(-214_748_365.0, "d3fffffffff3333333", "d2f3333333");
        check(-2_147_483_648.0, "d3ffffffff80000000", "d280000000");
        check(-2_147_483_649.0, "d3ffffffff7fffffff", "d3ffffffff7fffffff");
        check(9_007_199_254_740_992.0, "cb4340000000000000", "cf0020000000000000");
        check(-9.2e18, "cbc3dfeb3dd0676600", "d3805308be62680000");
        check(1e19, "cb43e158e460913d00", "cf8ac7230489e80000");
        check(1e21, "cb444b1ae4d6e2ef50", "cb444b1ae4d6e2ef50");
    }

    /// The trap of narrow floats: msgpack5 writes four bytes where they do.
    #[test]
    fn floats_are_short_where_the_dialect_is() {
        check(-0.0, "ca80000000", "cb8000000000000000");
        check(1.5, "ca3fc00000", "cb3ff8000000000000");
        check(f64::NAN, "ca7fc00000", "cb7ff8000000000000");
        check(f64::NEG_INFINITY, "caff800000", "cbfff0000000000000");
        check(16_777_216.5, "cb4170000008000000", "cb4170000008000000");
    }
}
