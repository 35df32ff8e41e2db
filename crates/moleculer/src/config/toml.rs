//! TOML, with the place of every value.

use moleculer_core::{Object, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::text::{Path, Problem, Text};

pub(super) fn parse(text: &mut Text<'_>) -> Result<Value, Problem> {
    let source = text.text;
    let table = DeTable::parse(source).map_err(|error| Problem {
        offset: error.span().map(|span| span.start),
        message: format!("this is no TOML: {}", error.message()),
    })?;
    object(text, table.get_ref(), &Path::Root).map(Value::from)
}

fn object(text: &mut Text<'_>, table: &DeTable<'_>, path: &Path<'_>) -> Result<Object, Problem> {
    let mut members: Vec<_> = table.iter().collect();
    members.sort_by_key(|(key, _)| key.span().start);
    let mut object = Object::with_capacity(members.len());
    for (key, member) in members {
        let path = Path::Key(path, key.get_ref());
        text.stands_at(&path, key.span().start);
        object.insert(key.get_ref().as_ref(), value(text, member, &path)?);
    }
    Ok(object)
}

fn value(
    text: &mut Text<'_>,
    value: &Spanned<DeValue<'_>>,
    path: &Path<'_>,
) -> Result<Value, Problem> {
    let offset = value.span().start;
    path.check_depth(offset)?;
    Ok(match value.get_ref() {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix())
            .map_err(|_| Problem::at(offset, format!("{path}: this number is too large")))?
            .into(),
        DeValue::Float(n) => n
            .as_str()
            .parse::<f64>()
            .map_err(|_| Problem::at(offset, format!("{path}: this is no number")))?
            .into(),
        DeValue::Array(items) => {
            let mut values = Vec::with_capacity(items.len());
            for (i, item) in items.iter().enumerate() {
                let path = Path::Item(path, i);
                text.stands_at(&path, item.span().start);
                values.push(self::value(text, item, &path)?);
            }
            Value::Array(values)
        }
        DeValue::Table(table) => object(text, table, path)?.into(),
    })
}
