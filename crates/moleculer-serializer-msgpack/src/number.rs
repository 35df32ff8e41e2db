//! Numbers, and the heads of lists and maps, in the widths that msgpack5 uses.

use std::{fmt::Display, io};

use bytes::BytesMut;
use moleculer_protocol::EncodeError;
use rmp::encode;

/// The largest integer up to which JavaScript has all of them.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// Below it msgpack5 uses 64 bits, though 32 would do down to -2^31.
const MIN_INT32: i64 = -214_748_364;

pub(crate) fn write_int(out: &mut BytesMut, n: i64) -> Result<(), EncodeError> {
    if n < MIN_INT32 {
        return encode::write_i64(&mut Target(out), n).map_err(failed);
    }
    encode::write_sint(&mut Target(out), n).map(drop).map_err(failed)
}

pub(crate) fn write_uint(out: &mut BytesMut, n: u64) -> Result<(), EncodeError> {
    encode::write_uint(&mut Target(out), n).map(drop).map_err(failed)
}

/// JavaScript has one kind of number: integral ones become integers. -0 stays
/// a float, or another Rust node would lose its sign.
pub(crate) fn write_float(out: &mut BytesMut, n: f64) -> Result<(), EncodeError> {
    let short = n as f32;
    if n.fract() == 0.0 && n.abs() <= MAX_SAFE_INTEGER && (n != 0.0 || n.is_sign_positive()) {
        write_int(out, n as i64)
    } else if n.is_nan() {
        encode::write_f32(&mut Target(out), f32::NAN).map_err(failed)
    } else if f64::from(short) == n && (n.is_infinite() || n.abs() <= MAX_SAFE_INTEGER) {
        encode::write_f32(&mut Target(out), short).map_err(failed)
    } else {
        encode::write_f64(&mut Target(out), n).map_err(failed)
    }
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

    #[test]
    fn widths_are_those_of_msgpack5() {
        let check = |n: f64, hex: &str| {
            let mut out = BytesMut::new();
            write_float(&mut out, n).unwrap();
            assert_eq!(format!("{:x}", out.freeze()), hex, "{n}");
        };
        check(0.0, "00");
        check(-0.0, "ca80000000");
        check(127.0, "7f");
        check(128.0, "cc80");
        check(-32.0, "e0");
        check(-33.0, "d0df");
        check(-214_748_364.0, "d2f3333334");
        check(-214_748_365.0, "d3fffffffff3333333");
        check(4_294_967_296.0, "cf0000000100000000");
        check(9_007_199_254_740_991.0, "cf001fffffffffffff");
        check(9_007_199_254_740_992.0, "cb4340000000000000");
        check(1.5, "ca3fc00000");
        check(0.1, "cb3fb999999999999a");
        check(f64::NAN, "ca7fc00000");
        check(f64::NEG_INFINITY, "caff800000");
        check(1e300, "cb7e37e43c8800759c");
    }
}
