//! Values of options that are more than a text: durations, numbers, choices.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Error, Ident, Lit, LitBool, LitInt, Result, meta::ParseNestedMeta};

use super::{
    read::{integer, text, value},
    suggest::closest,
};

/// A duration, written as a text with a unit.
pub(super) fn duration(meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
    let key = meta.path.to_token_stream();
    let text = text(meta, &format!("{key} = \"2s\""))?;
    let Some(milliseconds) = parse_milliseconds(&text.value()) else {
        let message = format!(
            "`{}` is no duration; write a whole number with a unit: `500ms`, `2s`, `1m`, `1h`",
            text.value()
        );
        return Err(Error::new(text.span(), message));
    };
    Ok(quote!(::std::time::Duration::from_millis(#milliseconds)))
}

fn parse_milliseconds(text: &str) -> Option<u64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A whole number that is not negative, without its suffix.
pub(super) fn whole(meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
    let key = meta.path.to_token_stream();
    value(meta, &format!("{key} = 3"), |input| {
        let number: LitInt = input.parse()?;
        let plain = LitInt::new(&number.base10_parse::<u32>()?.to_string(), number.span());
        Ok(plain.into_token_stream())
    })
}

/// A number that is not negative.
pub(super) fn number(meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
    let key = meta.path.to_token_stream();
    value(meta, &format!("{key} = 0.5"), |input| {
        let number = match input.parse()? {
            Lit::Float(number) => number.base10_parse::<f64>()?,
            #[allow(clippy::cast_precision_loss, reason = "what is so large may be off by one")]
            number => integer(&number)? as f64,
        };
        Ok(number.into_token_stream())
    })
}

/// `key = false`, the only value that some options have.
pub(super) fn off(meta: &ParseNestedMeta<'_>, example: &str) -> Result<()> {
    value(meta, example, |input| {
        let flag: LitBool = input.parse()?;
        if flag.value { Err(Error::new(flag.span, "")) } else { Ok(()) }
    })
}

/// One of a few texts, each with what it stands for.
pub(super) fn choice<'a>(
    meta: &ParseNestedMeta<'_>,
    kind: &str,
    choices: &[(&'a str, &'a str)],
) -> Result<(Ident, &'a str)> {
    let key = meta.path.to_token_stream();
    let text = text(meta, &format!("{key} = \"{}\"", choices[0].0))?;
    let typed = text.value();
    if let Some((name, stands_for)) = choices.iter().find(|(name, _)| *name == typed) {
        return Ok((Ident::new(stands_for, Span::call_site()), name));
    }
    let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
    let meant = closest(&typed, &names).map(|name| format!("did you mean `{name}`? "));
    let message = format!(
        "unknown {kind} `{typed}`; {}valid ones are: {}",
        meant.unwrap_or_default(),
        names.join(", ")
    );
    Err(Error::new(text.span(), message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_whole_number_and_a_unit() {
        let check = |text, expected| assert_eq!(parse_milliseconds(text), expected, "{text}");
        check("500ms", Some(500));
        check("2s", Some(2_000));
        check("1m", Some(60_000));
        check("1h", Some(3_600_000));
        check("0s", Some(0));
        for wrong in ["", "2", "s", "2 s", "1.5s", "-1s", "2d", "99999999999999999h"] {
            check(wrong, None);
        }
    }
}
