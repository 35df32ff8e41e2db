//! Reading the input, and text that stands for bytes.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

/// How the input stands for bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    Raw,
    Hex,
    Base64,
}

/// The bytes of a file, or of standard input.
///
/// # Errors
///
/// What cannot be read, or is not of the form.
pub(crate) fn read(file: Option<&Path>, form: Option<Form>) -> Result<Vec<u8>, String> {
    let read = match file {
        Some(file) => fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display())),
        None => {
            let mut bytes = Vec::new();
            let read = io::stdin().read_to_end(&mut bytes);
            read.map(|_| bytes).map_err(|e| format!("cannot read standard input: {e}"))
        }
    };
    decode(read?, form)
}

fn decode(input: Vec<u8>, form: Option<Form>) -> Result<Vec<u8>, String> {
    let bytes = match form.unwrap_or_else(|| guess(&input)) {
        Form::Raw => input,
        Form::Hex => hex(&without_space(&input))?,
        Form::Base64 => base64(&without_space(&input))?,
    };
    if bytes.is_empty() { Err("the input is empty".to_owned()) } else { Ok(bytes) }
}

fn guess(input: &[u8]) -> Form {
    let text = without_space(input);
    if text.iter().all(u8::is_ascii_hexdigit) {
        Form::Hex
    } else if base64(&text).is_ok() {
        Form::Base64
    } else {
        Form::Raw
    }
}

fn without_space(input: &[u8]) -> Vec<u8> {
    input.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}

fn hex(text: &[u8]) -> Result<Vec<u8>, String> {
    let digit = |&byte: &u8| {
        let digit = char::from(byte).to_digit(16);
        digit.ok_or_else(|| format!("{:?} is no hexadecimal digit", char::from(byte)))
    };
    if !text.len().is_multiple_of(2) {
        return Err(format!("{} hexadecimal digits: half a byte is left", text.len()));
    }
    let digits = text.iter().map(digit).collect::<Result<Vec<_>, _>>()?;
    Ok(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

/// Both alphabets, with or without the padding.
fn base64(text: &[u8]) -> Result<Vec<u8>, String> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.chunks(4) {
        let mut bits = 0_u32;
        for &byte in group {
            bits = bits << 6 | sextet(byte)?;
        }
        bits <<= 6 * (4 - group.len());
        match group.len() {
            1 => return Err("base64 ends within a byte".to_owned()),
            len => bytes.extend_from_slice(&bits.to_be_bytes()[1..len]),
        }
    }
    Ok(bytes)
}

fn sextet(byte: u8) -> Result<u32, String> {
    Ok(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return Err(format!("{:?} is no character of base64", char::from(byte))),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_guessed() {
        for (input, expected) in [
            ("7b 7D\n", "{}"),
            ("e30=", "{}"),
            ("eyJ2ZXIiOiI1In0=\n", r#"{"ver":"5"}"#),
            ("_-8", "\u{fffd}\u{fffd}"),
            (r#"{"ver":"5"}"#, r#"{"ver":"5"}"#),
        ] {
            let bytes = decode(input.into(), None).expect(input);
            assert_eq!(String::from_utf8_lossy(&bytes), expected, "{input}");
        }
    }

    #[test]
    fn what_is_not_of_the_form_is_an_error() {
        for (form, input, expected) in [
            (Some(Form::Hex), "7b7", "3 hexadecimal digits: half a byte is left"),
            (Some(Form::Hex), "7g", "'g' is no hexadecimal digit"),
            (Some(Form::Base64), "e30*", "'*' is no character of base64"),
            (Some(Form::Base64), "e30ab", "base64 ends within a byte"),
            (None, " \n", "the input is empty"),
            (Some(Form::Raw), "", "the input is empty"),
        ] {
            assert_eq!(decode(input.into(), form), Err(expected.to_owned()), "{input}");
        }
    }
}
