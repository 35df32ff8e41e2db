//! The rule `number`.

use moleculer_protocol::Value;

use super::Compiled;
use crate::{
    js,
    rule::Kind,
    run::{At, Run, Slot},
    schema::{Bound, Options},
};

#[derive(Debug)]
struct Number {
    convert: bool,
    min: Option<Bound>,
    max: Option<Bound>,
    equal: Option<Bound>,
    not_equal: Option<Bound>,
    integer: bool,
    positive: bool,
    negative: bool,
}

pub(super) fn compile(options: &Options<'_>) -> Compiled {
    Ok(Box::new(Number {
        convert: options.is_on("convert")?,
        min: options.number("min")?,
        max: options.number("max")?,
        equal: options.number("equal")?,
        not_equal: options.number("notEqual")?,
        integer: options.is_on("integer")?,
        positive: options.is_on("positive")?,
        negative: options.is_on("negative")?,
    }))
}

impl Kind for Number {
    fn check(&self, slot: &mut Slot<'_>, at: &At<'_>, run: &mut Run<'_>) {
        let given = slot.get();
        let number = match given.as_f64() {
            None if self.convert => js::to_number(given),
            number => number.unwrap_or(f64::NAN),
        };
        let converted = given.as_f64().is_none();
        if !number.is_finite() {
            run.fail(at, "number", None, Some(given.clone()));
            return;
        }
        self.check_bounds(number, given, at, run);
        self.check_flags(number, given, at, run);
        if converted {
            run.replace(slot, js::number(number));
        }
    }

    fn sanitizes(&self) -> bool {
        self.convert
    }
}

impl Number {
    fn check_bounds(&self, number: f64, given: &Value, at: &At<'_>, run: &mut Run<'_>) {
        let mut check = |bound: &Option<Bound>, kind, is_wrong: fn(f64, f64) -> bool| {
            if let Some(bound) = bound
                && is_wrong(number, bound.value)
            {
                run.fail(at, kind, Some(bound.shown.clone()), Some(given.clone()));
            }
        };
        check(&self.min, "numberMin", |number, bound| number < bound);
        check(&self.max, "numberMax", |number, bound| number > bound);
        check(&self.equal, "numberEqual", |number, bound| number != bound);
        check(&self.not_equal, "numberNotEqual", |number, bound| number == bound);
    }

    fn check_flags(&self, number: f64, given: &Value, at: &At<'_>, run: &mut Run<'_>) {
        for (is_wrong, kind) in [
            (self.integer && number.fract() != 0.0, "numberInteger"),
            (self.positive && number <= 0.0, "numberPositive"),
            (self.negative && number >= 0.0, "numberNegative"),
        ] {
            if is_wrong {
                run.fail(at, kind, None, Some(given.clone()));
            }
        }
    }
}
