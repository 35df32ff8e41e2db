//! The types of rules.

mod array;
mod basic;
mod currency;
mod date;
mod equal;
mod multi;
mod number;
mod object;
mod record;
mod string;
mod text;
mod tuple;

use crate::{
    RuleError,
    compile::Compiler,
    custom::{CustomCall, CustomKind},
    rule::Kind,
    schema::Options,
};

type Compiled = Result<Box<dyn Kind>, RuleError>;

/// Compiles a rule by the name of its type.
pub(crate) fn compile(options: &Options<'_>, compiler: &mut Compiler<'_>) -> Compiled {
    let name = options.text("type")?.unwrap_or("undefined");
    match name {
        "any" => Ok(Box::new(basic::Any)),
        "array" => array::compile(options, compiler),
        "boolean" => basic::boolean(options),
        "currency" => currency::compile(options),
        "custom" => custom(options, compiler),
        "date" => date::compile(options),
        "email" => text::email(options),
        "enum" => basic::one_of(options),
        "equal" => equal::compile(options),
        "forbidden" => basic::forbidden(options),
        "luhn" => Ok(Box::new(text::Luhn)),
        "mac" => Ok(Box::new(text::Mac)),
        "multi" => multi::compile(options, compiler),
        "number" => number::compile(options),
        "object" => object::compile(options, compiler),
        "record" => record::compile(options, compiler),
        "string" => string::compile(options),
        "tuple" => tuple::compile(options, compiler),
        "url" => text::url(options),
        "uuid" => text::uuid(options),
        "class" | "function" => Err(options.error("this type exists in JavaScript only")),
        "objectID" => {
            Err(options.error("this type needs a class of JavaScript; use `string|hex|length:24`"))
        }
        name => named(name, options, compiler),
    }
}

/// A check written in Rust as a type of rule.
fn named(name: &str, options: &Options<'_>, compiler: &Compiler<'_>) -> Compiled {
    let customs = &compiler.settings.customs;
    if !customs.contains_key(name) {
        let hint = if options.get("type").is_none() {
            " An object with members of its own needs `$$type: \"object\"`."
        } else {
            ""
        };
        let message = format!("Invalid '{name}' type in validator schema.{hint}");
        return Err(RuleError::new(options.field(), message));
    }
    let call = CustomCall::new(options, name, options.all().clone(), customs)?;
    Ok(Box::new(CustomKind(vec![call])))
}

fn custom(options: &Options<'_>, compiler: &Compiler<'_>) -> Compiled {
    let calls = CustomCall::compile_all(options, "check", &compiler.settings.customs)?;
    Ok(Box::new(CustomKind(calls)))
}
