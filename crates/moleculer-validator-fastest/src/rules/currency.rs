//! The rule `currency`.

use regex::Regex;

use super::Compiled;
use crate::{
    RuleError,
    regex::{compile as compile_regex, parts_of},
    rule::Kind,
    run::{At, Run, Slot},
    schema::Options,
};

#[derive(Debug)]
struct Currency {
    regex: Regex,
    /// A digit must be there: the pattern alone takes empty text too.
    needs_digit: bool,
}

pub(super) fn compile(options: &Options<'_>) -> Compiled {
    let Some(custom) = options.get("customRegex") else {
        let regex = regex_of(options, &usual(options)?, "")?;
        return Ok(Box::new(Currency { regex, needs_digit: true }));
    };
    let parts = custom.as_str().and_then(|text| text.strip_prefix('/')?.rsplit_once('/'));
    let Some((source, flags)) = parts.or_else(|| parts_of(custom)) else {
        return Err(options.wrong("customRegex", "text such as \"/^[0-9]+$/\"", custom));
    };
    let regex = regex_of(options, source, flags)?;
    Ok(Box::new(Currency { regex, needs_digit: false }))
}

fn regex_of(options: &Options<'_>, source: &str, flags: &str) -> Result<Regex, RuleError> {
    compile_regex(source, flags).map_err(|error| options.error(error))
}

/// The pattern of the reference, without its lookahead for a digit.
fn usual(options: &Options<'_>) -> Result<String, RuleError> {
    let text = |key, default| match options.text(key) {
        Ok(None | Some("")) => Ok(default),
        Ok(Some(text)) => Ok(text),
        Err(error) => Err(error),
    };
    let thousands = text("thousandSeparator", ",")?;
    let decimals = text("decimalSeparator", ".")?;
    let mut symbol = text("currencySymbol", "")?.to_owned();
    if !symbol.is_empty() {
        let mark = if options.is_on("symbolOptional")? { "?" } else { "" };
        symbol = format!(r"\{symbol}{mark}");
    }
    Ok(format!(
        r"^(-?{symbol}|{symbol}-?)(([0-9]\d{{0,2}}({thousands}\d{{3}})*)|0)?(\{decimals}\d{{1,2}})?$"
    ))
}

impl Kind for Currency {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let fits = slot.get().as_str().is_some_and(|text| {
            self.regex.is_match(text)
                && (!self.needs_digit || text.bytes().any(|c| c.is_ascii_digit()))
        });
        if !fits {
            run.fail(at, "currency", None, Some(slot.get().clone()));
        }
    }
}
