//! Big integers: decimal digits to bytes and back.

use moleculer_protocol::{BigInt, DecodeError, EncodeError};

/// The most bytes that are converted, since the time grows with their square.
const MAX_BYTES: usize = 1024;

const TOO_LONG: &str = "a big integer is longer than 1024 bytes; send it as binary data";

/// The most digits that so many bytes can have.
const MAX_DIGITS: usize = 2467;

/// Nine decimal digits fit four bytes.
const NINE_DIGITS: u64 = 1_000_000_000;

/// The sign, and how far from 0 upward, or from -1 downward, in big-endian
/// bytes without leading zeros.
pub(crate) fn magnitude(n: &BigInt) -> Result<(bool, Vec<u8>), EncodeError> {
    let (negative, digits) = match n.as_str().strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, n.as_str()),
    };
    let digits = digits.trim_start_matches('0');
    if digits.len() > MAX_DIGITS {
        return Err(EncodeError::new(TOO_LONG));
    }
    let mut words = from_digits(digits);
    let negative = negative && !words.is_empty();
    if negative {
        for word in &mut words {
            let borrows = *word == 0;
            *word = word.wrapping_sub(1);
            if !borrows {
                break;
            }
        }
    }
    let bytes = words.iter().rev().flat_map(|word| word.to_be_bytes());
    let bytes: Vec<u8> = bytes.skip_while(|byte| *byte == 0).collect();
    if bytes.len() > MAX_BYTES {
        return Err(EncodeError::new(TOO_LONG));
    }
    Ok((negative, bytes))
}

/// The number in a magnitude, if it is no longer than eight bytes.
pub(crate) fn to_u64(magnitude: &[u8]) -> Option<u64> {
    let number = || magnitude.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    (magnitude.len() <= 8).then(number)
}

/// The integer that is so far from 0 upward, or from -1 downward.
///
/// # Errors
///
/// Never: decimal digits are an integer.
pub(crate) fn from_u64(negative: bool, n: u64) -> Result<BigInt, DecodeError> {
    let n = i128::from(n);
    parse(&if negative { -1 - n } else { n }.to_string())
}

/// The same with big-endian bytes.
///
/// # Errors
///
/// When there are too many of them.
pub(crate) fn from_magnitude(negative: bool, bytes: &[u8]) -> Result<BigInt, DecodeError> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = &bytes[zeros..];
    if let Some(n) = to_u64(bytes) {
        return from_u64(negative, n);
    }
    if bytes.len() > MAX_BYTES {
        return Err(DecodeError::new(TOO_LONG));
    }
    let mut words: Vec<u32> = bytes.rchunks(4).map(word).collect();
    if negative {
        add(&mut words, 1);
    }
    let mut groups = Vec::with_capacity(words.len() * 2);
    while !words.is_empty() {
        groups.push(divide(&mut words));
    }
    let mut digits = String::with_capacity(groups.len() * 9 + 1);
    if negative {
        digits.push('-');
    }
    let rest = groups.iter().rev().skip(1).map(|group| format!("{group:09}"));
    digits.extend(groups.last().map(u32::to_string));
    digits.extend(rest);
    parse(&digits)
}

fn parse(digits: &str) -> Result<BigInt, DecodeError> {
    BigInt::parse(digits).ok_or_else(|| DecodeError::new("a big integer without digits"))
}

/// Up to four big-endian bytes.
fn word(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |n, byte| n << 8 | u32::from(*byte))
}

/// Decimal digits as words, the lowest first and the highest not 0.
fn from_digits(digits: &str) -> Vec<u32> {
    let mut words = Vec::with_capacity(digits.len() / 9 + 1);
    for group in digits.as_bytes().chunks(9) {
        let scale = 10_u64.pow(group.len() as u32);
        let group = group.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0'));
        let mut carry = group;
        for word in &mut words {
            let n = u64::from(*word) * scale + carry;
            (*word, carry) = (n as u32, n >> 32);
        }
        if carry != 0 {
            words.push(carry as u32);
        }
    }
    words
}

fn add(words: &mut Vec<u32>, n: u32) {
    let mut carry = n;
    for word in &mut *words {
        let (sum, more) = word.overflowing_add(carry);
        (*word, carry) = (sum, more.into());
    }
    if carry != 0 {
        words.push(carry);
    }
}

/// Divides by nine digits, whose remainder it returns.
fn divide(words: &mut Vec<u32>) -> u32 {
    let mut rest = 0;
    for word in words.iter_mut().rev() {
        let n = rest << 32 | u64::from(*word);
        (*word, rest) = ((n / NINE_DIGITS) as u32, n % NINE_DIGITS);
    }
    while words.last() == Some(&0) {
        words.pop();
    }
    rest as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_bytes_are_one() {
        let check = |digits: &str, bytes: &[u8]| {
            let (negative, magnitude) = magnitude(&BigInt::parse(digits).unwrap()).unwrap();
            assert_eq!((negative, &magnitude[..]), (digits.starts_with('-'), bytes), "{digits}");
            let back = from_magnitude(negative, &[&[0; 5], bytes].concat()).unwrap();
            assert_eq!(back.as_str(), digits);
        };
        check("0", &[]);
        check("-1", &[]);
        check("-2", &[1]);
        check("1000000000", &[0x3b, 0x9a, 0xca, 0]);
        check("18446744073709551615", &[0xff; 8]);
        check("18446744073709551616", &[1, 0, 0, 0, 0, 0, 0, 0, 0]);
        check("-18446744073709551616", &[0xff; 8]);
        check("-18446744073709551617", &[1, 0, 0, 0, 0, 0, 0, 0, 0]);
        check("-79228162514264337593543950336", &[0xff; 12]);
        check(
            "1000000000000000000000000000",
            &[0x03, 0x3b, 0x2e, 0x3c, 0x9f, 0xd0, 0x80, 0x3c, 0xe8, 0, 0, 0],
        );
    }

    #[test]
    fn digits_may_have_zeros_in_front() {
        for digits in ["-0", "000"] {
            assert_eq!(magnitude(&BigInt::parse(digits).unwrap()).unwrap(), (false, vec![]));
        }
        assert_eq!(magnitude(&BigInt::parse("-007").unwrap()).unwrap(), (true, vec![6]));
    }

    /// What is written can be read, and the other way around.
    #[test]
    fn the_largest_is_the_same_in_both_directions() {
        let largest = from_magnitude(false, &[0xff; MAX_BYTES]).unwrap();
        assert_eq!(largest.as_str().len(), MAX_DIGITS);
        assert_eq!(magnitude(&largest).unwrap(), (false, vec![0xff; MAX_BYTES]));
        let error = from_magnitude(true, &[1; MAX_BYTES + 1]).unwrap_err();
        assert_eq!(error.to_string(), TOO_LONG);
        for len in [MAX_DIGITS, MAX_DIGITS + 1] {
            let longer = BigInt::parse(&"9".repeat(len)).unwrap();
            assert_eq!(magnitude(&longer).unwrap_err().to_string(), TOO_LONG);
        }
    }
}
