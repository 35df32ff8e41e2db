//! The rule `string`.

use std::{borrow::Cow, sync::LazyLock};

use moleculer_protocol::Value;
use regex::Regex;

use super::Compiled;
use crate::{
    RuleError, js,
    regex::{compile as compile_regex, parts_of, show},
    rule::Kind,
    run::{At, Run, Slot},
    schema::{Bound, Options},
};

#[derive(Debug)]
struct Text {
    convert: bool,
    sanitizers: Vec<Sanitizer>,
    empty: Option<bool>,
    min: Option<Bound>,
    max: Option<Bound>,
    length: Option<Bound>,
    pattern: Option<Pattern>,
    contains: Option<String>,
    allowed: Option<Allowed>,
    forms: Vec<Form>,
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    shown: Value,
}

#[derive(Debug)]
struct Allowed {
    values: Vec<Value>,
    shown: Value,
}

/// What changes a text before it is checked.
#[derive(Debug)]
enum Sanitizer {
    Trim,
    TrimLeft,
    TrimRight,
    PadStart(usize, String),
    PadEnd(usize, String),
    Lowercase,
    Uppercase,
}

/// A kind of text that has a name.
#[derive(Clone, Copy, Debug)]
enum Form {
    Numeric,
    Alpha,
    Alphanum,
    Alphadash,
    Hex,
    SingleLine,
    Base64,
}

pub(super) fn compile(options: &Options<'_>) -> Compiled {
    Ok(Box::new(Text {
        convert: options.is_on("convert")?,
        sanitizers: sanitizers(options)?,
        empty: options.flag("empty")?,
        min: options.number("min")?,
        max: options.number("max")?,
        length: options.number("length")?,
        pattern: pattern(options)?,
        contains: options.get("contains").map(|text| js::to_text(text).into_owned()),
        allowed: options.list("enum")?.map(|values| Allowed {
            values: values.to_vec(),
            shown: js::join(values, ", ").into(),
        }),
        forms: forms(options)?,
    }))
}

/// In the order in which they act.
fn sanitizers(options: &Options<'_>) -> Result<Vec<Sanitizer>, RuleError> {
    let fill = options.get("padChar").map_or(Cow::Borrowed(" "), js::to_text);
    let mut all = Vec::new();
    let flags = |all: &mut Vec<_>, flags: [(&str, Sanitizer); 3]| {
        for (key, sanitizer) in flags {
            if options.is_on(key)? {
                all.push(sanitizer);
            }
        }
        Ok(())
    };
    let trims = [
        ("trim", Sanitizer::Trim),
        ("trimLeft", Sanitizer::TrimLeft),
        ("trimRight", Sanitizer::TrimRight),
    ];
    flags(&mut all, trims)?;
    if let Some(length) = options.number("padStart")? {
        all.push(Sanitizer::PadStart(length.value as usize, fill.clone().into_owned()));
    }
    if let Some(length) = options.number("padEnd")? {
        all.push(Sanitizer::PadEnd(length.value as usize, fill.into_owned()));
    }
    let cases = [
        ("lowercase", Sanitizer::Lowercase),
        ("uppercase", Sanitizer::Uppercase),
        ("localeLowercase", Sanitizer::Lowercase),
    ];
    flags(&mut all, cases)?;
    if options.is_on("localeUppercase")? {
        all.push(Sanitizer::Uppercase);
    }
    Ok(all)
}

fn pattern(options: &Options<'_>) -> Result<Option<Pattern>, RuleError> {
    let Some(option) = options.get("pattern") else { return Ok(None) };
    let (source, flags) = match (option.as_str(), parts_of(option)) {
        (Some(source), _) => (source, options.text("patternFlags")?.unwrap_or_default()),
        (None, Some(parts)) => parts,
        (None, None) => return Err(options.wrong("pattern", "a regular expression", option)),
    };
    let regex = compile_regex(source, flags)
        .map_err(|error| options.error(format!("the option `pattern`: {error}")))?;
    Ok(Some(Pattern { regex, shown: js::literal(&show(source, flags)).into() }))
}

fn forms(options: &Options<'_>) -> Result<Vec<Form>, RuleError> {
    let forms = [
        ("numeric", Form::Numeric),
        ("alpha", Form::Alpha),
        ("alphanum", Form::Alphanum),
        ("alphadash", Form::Alphadash),
        ("hex", Form::Hex),
        ("singleLine", Form::SingleLine),
        ("base64", Form::Base64),
    ];
    let mut asked = Vec::new();
    for (key, form) in forms {
        if options.is_on(key)? {
            asked.push(form);
        }
    }
    Ok(asked)
}

impl Kind for Text {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let value = slot.get();
        let given = match value {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            _ if self.convert => js::to_text(value),
            _ => return run.fail(at, "string", None, Some(value.clone())),
        };
        let text = self.sanitizers.iter().fold(Cow::Borrowed(&*given), sanitize);
        if !(self.empty == Some(true) && text.is_empty()) {
            self.check_length(&text, at, run);
            self.check_content(&text, &given, at, run);
        }
        if value.as_str() != Some(&text) {
            let text = text.into_owned();
            run.replace(slot, text.into());
        }
    }

    fn sanitizes(&self) -> bool {
        self.convert || !self.sanitizers.is_empty()
    }
}

impl Text {
    fn check_length(&self, text: &str, at: &At<'_>, run: &mut Run<'_>) {
        if self.empty == Some(false) && text.is_empty() {
            run.fail(at, "stringEmpty", None, Some("".into()));
        }
        if self.min.is_none() && self.max.is_none() && self.length.is_none() {
            return;
        }
        let length = js::length(text);
        let wrong = |bound: &Option<Bound>, is_wrong: fn(f64, f64) -> bool| {
            let bound = bound.as_ref()?;
            is_wrong(length as f64, bound.value).then(|| bound.shown.clone())
        };
        for (expected, kind) in [
            (wrong(&self.min, |length, min| length < min), "stringMin"),
            (wrong(&self.max, |length, max| length > max), "stringMax"),
            (wrong(&self.length, |length, exact| length != exact), "stringLength"),
        ] {
            if expected.is_some() {
                run.fail(at, kind, expected, Some(length.into()));
            }
        }
    }

    fn check_content(&self, text: &str, given: &str, at: &At<'_>, run: &mut Run<'_>) {
        let actual = || Some(given.into());
        if let Some(pattern) = self.pattern.as_ref().filter(|p| !p.regex.is_match(text)) {
            run.fail(at, "stringPattern", Some(pattern.shown.clone()), actual());
        }
        if let Some(part) = self.contains.as_ref().filter(|part| !text.contains(&***part)) {
            run.fail(at, "stringContains", Some(part.as_str().into()), actual());
        }
        if let Some(allowed) = &self.allowed
            && !allowed.values.iter().any(|value| value.as_str() == Some(text))
        {
            run.fail(at, "stringEnum", Some(allowed.shown.clone()), actual());
        }
        for form in self.forms.iter().filter(|form| !form.fits(text)) {
            let actual = if matches!(form, Form::SingleLine) { None } else { actual() };
            run.fail(at, form.error(), None, actual);
        }
    }
}

fn sanitize<'a>(text: Cow<'a, str>, sanitizer: &Sanitizer) -> Cow<'a, str> {
    let trimmed = |trim: fn(&str) -> &str| match &text {
        Cow::Borrowed(text) => Cow::Borrowed(trim(text)),
        Cow::Owned(text) => Cow::Owned(trim(text).to_owned()),
    };
    match sanitizer {
        Sanitizer::Trim => trimmed(js::trim),
        Sanitizer::TrimLeft => trimmed(|text| text.trim_start_matches(js::is_space)),
        Sanitizer::TrimRight => trimmed(|text| text.trim_end_matches(js::is_space)),
        Sanitizer::PadStart(length, fill) => match padding(&text, *length, fill) {
            Some(padding) => Cow::Owned(padding + &text),
            None => text,
        },
        Sanitizer::PadEnd(length, fill) => match padding(&text, *length, fill) {
            Some(padding) => Cow::Owned(text.into_owned() + &padding),
            None => text,
        },
        Sanitizer::Lowercase => Cow::Owned(text.to_lowercase()),
        Sanitizer::Uppercase => Cow::Owned(text.to_uppercase()),
    }
}

/// What `text` lacks of `length` UTF-16 units. A character of two units that
/// would be cut is left out.
fn padding(text: &str, length: usize, fill: &str) -> Option<String> {
    let missing = length.checked_sub(js::length(text)).filter(|missing| *missing > 0)?;
    if fill.is_empty() {
        return None;
    }
    let mut used = 0;
    let fits = |c: &char| {
        used += c.len_utf16();
        used <= missing
    };
    Some(fill.chars().cycle().take_while(fits).collect())
}

impl Form {
    const fn error(self) -> &'static str {
        match self {
            Self::Numeric => "stringNumeric",
            Self::Alpha => "stringAlpha",
            Self::Alphanum => "stringAlphanum",
            Self::Alphadash => "stringAlphadash",
            Self::Hex => "stringHex",
            Self::SingleLine => "stringSingleLine",
            Self::Base64 => "stringBase64",
        }
    }

    fn fits(self, text: &str) -> bool {
        let all = |fits: fn(u8) -> bool| !text.is_empty() && text.bytes().all(fits);
        match self {
            Self::Numeric => is_numeric(text),
            Self::Alpha => all(|c| c.is_ascii_alphabetic()),
            Self::Alphanum => all(|c| c.is_ascii_alphanumeric()),
            Self::Alphadash => all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-'),
            Self::Hex => text.len().is_multiple_of(2) && all(|c| c.is_ascii_hexdigit()),
            Self::SingleLine => !text.contains('\n'),
            Self::Base64 => BASE64.as_ref().is_ok_and(|regex| regex.is_match(text)),
        }
    }
}

fn is_numeric(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    digits(whole) && digits(fraction)
}

/// As in the reference, which also takes backslashes.
static BASE64: LazyLock<Result<Regex, String>> = LazyLock::new(|| {
    compile_regex(r"^(?:[A-Za-z0-9+\\/]{4})*(?:[A-Za-z0-9+\\/]{2}==|[A-Za-z0-9+/]{3}=)?$", "")
});
