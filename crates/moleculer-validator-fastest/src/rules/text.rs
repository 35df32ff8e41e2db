//! Texts of a well-known form: `email`, `luhn`, `mac`, `url`, `uuid`.

use std::{borrow::Cow, sync::LazyLock};

use moleculer_protocol::Value;
use regex::Regex;

use super::Compiled;
use crate::{
    js,
    regex::compile as compile_regex,
    rule::Kind,
    run::{At, Run, Slot},
    schema::{Bound, Options},
};

/// Patterns of the reference.
struct Patterns {
    email: Regex,
    precise_email: Regex,
    mac: Regex,
    url: Regex,
    uuid: Regex,
}

static PATTERNS: LazyLock<Result<Patterns, String>> = LazyLock::new(|| {
    Ok(Patterns {
        email: compile_regex(r"^\S+@\S+\.\S+$", "")?,
        precise_email: compile_regex(
            r#"^(([^<>()[\]\\.,;:\s@"]+(\.[^<>()[\]\\.,;:\s@"]+)*)|(".+"))@((\[[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\])|(([a-zA-Z\-0-9]+\.)+[a-zA-Z]{2,}))$"#,
            "",
        )?,
        mac: compile_regex(
            r"^((([a-f0-9][a-f0-9]+[-]){5}|([a-f0-9][a-f0-9]+[:]){5})([a-f0-9][a-f0-9])$)|(^([a-f0-9][a-f0-9][a-f0-9][a-f0-9]+[.]){2}([a-f0-9][a-f0-9][a-f0-9][a-f0-9]))$",
            "i",
        )?,
        url: compile_regex(r"^https?:\/\/\S+", "")?,
        uuid: compile_regex(
            "^([0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|[0]{8}-[0]{4}-[0]{4}-[0]{4}-[0]{12})$",
            "i",
        )?,
    })
});

fn fits(text: &str, pattern: impl FnOnce(&Patterns) -> &Regex) -> bool {
    PATTERNS.as_ref().is_ok_and(|patterns| pattern(patterns).is_match(text))
}

/// The text, or the error that it is none.
fn text_of<'a>(slot: &'a Slot<'_>, at: &At<'_>, run: &mut Run<'_>) -> Option<&'a str> {
    let value = slot.get();
    if value.as_str().is_none() {
        run.fail(at, "string", None, Some(value.clone()));
    }
    value.as_str()
}

#[derive(Debug)]
struct Email {
    precise: bool,
    empty: bool,
    normalize: bool,
    min: Option<Bound>,
    max: Option<Bound>,
}

pub(super) fn email(options: &Options<'_>) -> Compiled {
    Ok(Box::new(Email {
        precise: match options.text("mode")? {
            None | Some("basic" | "quick") => false,
            Some("precise") => true,
            Some(other) => return Err(options.wrong("mode", "basic or precise", &other.into())),
        },
        empty: options.is_on("empty")?,
        normalize: options.is_on("normalize")?,
        min: options.number("min")?,
        max: options.number("max")?,
    }))
}

impl Kind for Email {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let Some(given) = text_of(slot, at, run) else { return };
        if given.is_empty() {
            if !self.empty {
                run.fail(at, "emailEmpty", None, Some("".into()));
            }
            return;
        }
        let text = match self.normalize {
            true => Cow::Owned(js::trim(given).to_lowercase()),
            false => Cow::Borrowed(given),
        };
        self.check_text(&text, at, run);
        if *text != *given {
            let text = text.into_owned();
            run.replace(slot, text.into());
        }
    }

    fn sanitizes(&self) -> bool {
        self.normalize
    }
}

impl Email {
    fn check_text(&self, text: &str, at: &At<'_>, run: &mut Run<'_>) {
        let length = js::length(text);
        if let Some(min) = self.min.as_ref().filter(|min| (length as f64) < min.value) {
            run.fail(at, "emailMin", Some(min.shown.clone()), Some(length.into()));
        }
        if let Some(max) = self.max.as_ref().filter(|max| length as f64 > max.value) {
            run.fail(at, "emailMax", Some(max.shown.clone()), Some(length.into()));
        }
        if !fits(text, |all| if self.precise { &all.precise_email } else { &all.email }) {
            run.fail(at, "email", None, Some(text.into()));
        }
    }
}

#[derive(Debug)]
struct Url {
    empty: bool,
}

pub(super) fn url(options: &Options<'_>) -> Compiled {
    Ok(Box::new(Url { empty: options.is_on("empty")? }))
}

impl Kind for Url {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        match text_of(slot, at, run) {
            None => {}
            Some("") if self.empty => {}
            Some("") => run.fail(at, "urlEmpty", None, Some("".into())),
            Some(text) if fits(text, |all| &all.url) => {}
            Some(text) => run.fail(at, "url", None, Some(text.into())),
        }
    }
}

#[derive(Debug)]
pub(super) struct Mac;

impl Kind for Mac {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        if let Some(text) = text_of(slot, at, run)
            && !fits(text, |all| &all.mac)
        {
            run.fail(at, "mac", None, Some(text.into()));
        }
    }
}

/// The check digit of credit cards and device numbers.
#[derive(Debug)]
pub(super) struct Luhn;

impl Kind for Luhn {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let Some(text) = text_of(slot, at, run) else { return };
        let digits = text.bytes().rev().filter(u8::is_ascii_digit).map(|digit| digit - b'0');
        let sum: u64 = digits
            .enumerate()
            .map(|(place, digit)| match (place % 2, digit) {
                (0, digit) => u64::from(digit),
                (_, 9) => 9,
                (_, digit) => u64::from(digit * 2 % 9),
            })
            .sum();
        if sum == 0 || !sum.is_multiple_of(10) {
            run.fail(at, "luhn", None, Some(text.into()));
        }
    }
}

#[derive(Debug)]
struct Uuid {
    version: Option<Bound>,
}

pub(super) fn uuid(options: &Options<'_>) -> Compiled {
    let version = options.number("version")?.filter(|version| version.value < 9.0);
    Ok(Box::new(Uuid { version }))
}

impl Kind for Uuid {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let Some(text) = text_of(slot, at, run) else { return };
        let wrong = |run: &mut Run<'_>| run.fail(at, "uuid", None, Some(text.into()));
        if !fits(text, |all| &all.uuid) {
            return wrong(run);
        }
        // ASCII now, so bytes are characters.
        let version = text.as_bytes()[14] - b'0';
        if let Some(expected) = &self.version
            && expected.value != f64::from(version)
        {
            let actual = Value::from(version);
            return run.fail(at, "uuidVersion", Some(expected.shown.clone()), Some(actual));
        }
        let has_variant = matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b' | b'A' | b'B');
        if matches!(version, 3 | 4 | 5 | 7 | 8) && !has_variant {
            wrong(run);
        }
    }
}
