//! YAML, with the place of every value.

use moleculer_core::{Object, Value};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput};

use super::text::{Path, Problem, Text, insert};

pub(super) fn parse(text: &mut Text<'_>) -> Result<Value, Problem> {
    let mut reader = Reader { parser: Parser::new_from_str(text.text), text };
    let mut value = None;
    loop {
        let (event, offset) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(value.unwrap_or_default()),
            Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
            Event::DocumentStart(_) if value.is_some() => {
                return Err(Problem::at(offset, "a configuration is one document"));
            }
            Event::DocumentStart(_) => {
                let first = reader.next()?;
                value = Some(reader.value(first, &Path::Root)?);
            }
            _ => return Err(Problem::at(offset, "this is no YAML document")),
        }
    }
}

struct Reader<'r, 'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'r mut Text<'a>,
}

impl<'a> Reader<'_, 'a> {
    /// The next event and the byte where its line begins.
    fn next(&mut self) -> Result<(Event<'a>, usize), Problem> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.offset(&span.start))),
            Some(Err(error)) => Err(self.wrong(&error)),
            None => Ok((Event::StreamEnd, self.text.text.len())),
        }
    }

    fn wrong(&self, error: &ScanError) -> Problem {
        let offset = self.offset(error.marker());
        Problem::at(offset, format!("this is no YAML: {}", error.info()))
    }

    fn offset(&self, marker: &Marker) -> usize {
        self.text.line_start(marker.line())
    }

    fn value(
        &mut self,
        (event, offset): (Event<'a>, usize),
        path: &Path<'_>,
    ) -> Result<Value, Problem> {
        path.check_depth(offset)?;
        match event {
            Event::Scalar(text, ScalarStyle::Plain, _, None) => Ok(plain(&text)),
            Event::Scalar(text, _, _, None) => Ok(text.as_ref().into()),
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                Err(Problem::at(offset, format!("{path}: tags are not supported")))
            }
            Event::SequenceStart(_, None) => self.list(path),
            Event::MappingStart(_, None) => self.object(path).map(Value::from),
            Event::Alias(_) => {
                Err(Problem::at(offset, format!("{path}: aliases are not supported; repeat it")))
            }
            _ => Err(Problem::at(offset, format!("{path}: expected a value"))),
        }
    }

    fn list(&mut self, path: &Path<'_>) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, offset) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Value::Array(items));
            }
            let path = Path::Item(path, items.len());
            self.text.stands_at(&path, offset);
            items.push(self.value((event, offset), &path)?);
        }
    }

    fn object(&mut self, path: &Path<'_>) -> Result<Object, Problem> {
        let mut object = Object::new();
        loop {
            let (event, offset) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(object),
                Event::Scalar(key, ..) => key,
                _ => return Err(Problem::at(offset, format!("{path}: a key must be text"))),
            };
            let path = Path::Key(path, &key);
            self.text.stands_at(&path, offset);
            let next = self.next()?;
            let value = self.value(next, &path)?;
            insert(&mut object, &path, &key, value, offset)?;
        }
    }
}

/// What a text without quotes stands for, by the core schema of YAML 1.2.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return true.into(),
        "false" | "False" | "FALSE" => return false.into(),
        ".nan" | ".NaN" | ".NAN" => return f64::NAN.into(),
        _ => {}
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF") {
        return f64::INFINITY.copysign(if text == unsigned { 1.0 } else { -1.0 }).into();
    }
    let whole = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(digits), _) => i64::from_str_radix(digits, 16).ok(),
        (_, Some(digits)) => i64::from_str_radix(digits, 8).ok(),
        _ => text.parse().ok(),
    };
    if let Some(whole) = whole {
        return whole.into();
    }
    let is_number =
        text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E'));
    match text.parse::<f64>() {
        Ok(number) if is_number => number.into(),
        _ => text.into(),
    }
}
