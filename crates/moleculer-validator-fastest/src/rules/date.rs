//! The rule `date`.

use moleculer_protocol::Value;

use super::Compiled;
use crate::{
    date::to_date,
    rule::Kind,
    run::{At, Run, Slot},
    schema::Options,
};

#[derive(Debug)]
struct DateKind {
    convert: bool,
}

pub(super) fn compile(options: &Options<'_>) -> Compiled {
    Ok(Box::new(DateKind { convert: options.is_on("convert")? }))
}

impl Kind for DateKind {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let given = slot.get();
        match given {
            Value::Date(date) if !date.0.is_nan() => return,
            Value::Date(_) => {}
            _ if self.convert => {
                let date = to_date(given);
                if !date.0.is_nan() {
                    return run.replace(slot, Value::Date(date));
                }
            }
            _ => {}
        }
        run.fail(at, "date", None, Some(given.clone()));
    }

    fn sanitizes(&self) -> bool {
        self.convert
    }
}
