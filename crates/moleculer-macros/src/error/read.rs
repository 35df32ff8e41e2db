//! Reading the enum and its attributes.

use std::collections::HashSet;

use quote::ToTokens;
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Fields, Ident, LitInt, LitStr, Path, Result,
    Variant, ext::IdentExt, meta::ParseNestedMeta, parse_quote, punctuated::Punctuated,
    spanned::Spanned, token::Comma,
};

use super::{Content, ErrorEnum, Member, Other, Raised};
use crate::options::{arguments, flag, read_options, text, value};

const ATTRIBUTE: &str = "action_error";

impl ErrorEnum {
    pub(super) fn parse(input: DeriveInput) -> Result<Self> {
        if let Some(param) = input.generics.params.first() {
            let message = "an error that travels has no parameters; its variants own their fields";
            return Err(Error::new_spanned(param, message));
        }
        let Data::Enum(item) = input.data else {
            let message = "`ActionError` is for enums: one variant for each error of the action";
            return Err(Error::new(input.ident.span(), message));
        };
        let mut root = None;
        each_option(&input.attrs, &["crate"], |_, meta| {
            let example = "crate = moleculer_core";
            root = Some(value(meta, example, Path::parse_mod_style)?);
            Ok(())
        })?;
        let (raised, other) = read_variants(&input.ident, item.variants)?;
        check_messages(&raised)?;
        check_types(&raised)?;
        let root = root.unwrap_or_else(|| parse_quote!(::moleculer));
        Ok(Self { name: input.ident, root, raised, other })
    }
}

fn read_variants(
    name: &Ident,
    variants: Punctuated<Variant, Comma>,
) -> Result<(Vec<Raised>, Other)> {
    let (mut raised, mut other, mut faults) = (Vec::new(), None, Vec::new());
    for variant in variants {
        match Kind::parse(variant) {
            Ok(Kind::Raised(variant)) => raised.push(*variant),
            Ok(Kind::Other(second)) if other.is_some() => {
                let message = "`other` is given twice: one variant takes all other errors";
                faults.push(Error::new(second.variant.span(), message));
            }
            Ok(Kind::Other(first)) => other = Some(first),
            Err(fault) => faults.push(fault),
        }
    }
    if let Some(fault) = combine(faults) {
        return Err(fault);
    }
    let Some(other) = other else {
        let message = "a call can fail with more than these errors (a timeout, for example); \
             add a variant for the others: `#[action_error(other)] Other(moleculer::Error)`";
        return Err(Error::new(name.span(), message));
    };
    Ok((raised, other))
}

/// With a message each, or none: then `Display` comes from elsewhere.
fn check_messages(raised: &[Raised]) -> Result<()> {
    if !raised.iter().any(|raised| raised.message.is_some()) {
        return Ok(());
    }
    let missing = raised.iter().filter(|raised| raised.message.is_none()).map(|raised| {
        let message = "this variant needs a `message` as the others have one; \
             or give none, and implement `Display` and `std::error::Error`, for example with `thiserror`";
        Error::new(raised.variant.span(), message)
    });
    combine(missing).map_or(Ok(()), Err)
}

/// The type tells the variants apart.
fn check_types(raised: &[Raised]) -> Result<()> {
    let mut seen = HashSet::new();
    let twice = raised.iter().filter(|raised| !seen.insert(raised.r#type.value()));
    let faults = twice.map(|raised| {
        let r#type = raised.r#type.value();
        let message =
            format!("two variants have the type `{type}`, by which callers tell them apart");
        Error::new(raised.r#type.span(), message)
    });
    combine(faults).map_or(Ok(()), Err)
}

fn combine(faults: impl IntoIterator<Item = Error>) -> Option<Error> {
    faults.into_iter().reduce(|mut all, fault| {
        all.combine(fault);
        all
    })
}

/// What the attribute of a variant makes of it.
enum Kind {
    Raised(Box<Raised>),
    Other(Other),
}

impl Kind {
    fn parse(variant: Variant) -> Result<Self> {
        let (mut code, mut r#type, mut message) = (None, None, None);
        let (mut retryable, mut other) = (false, false);
        let valid = ["code", "type", "retryable", "message", "other"];
        each_option(&variant.attrs, &valid, |key, meta| {
            match key {
                "code" => code = Some(status(meta)?),
                "type" => r#type = Some(text(meta, "type = \"POST_NOT_FOUND\"")?),
                "retryable" => retryable = flag(meta)?,
                "message" => message = Some(text(meta, "message = \"post {id} not found\"")?),
                _ => other = flag(meta)?,
            }
            Ok(())
        })?;
        if other {
            let alone = code.is_none() && r#type.is_none() && message.is_none() && !retryable;
            return read_other(variant, alone).map(Self::Other);
        }
        let (Some(code), Some(r#type)) = (code, r#type) else {
            let message = "say how this error travels: \
                `#[action_error(code = 404, type = \"POST_NOT_FOUND\")]`, \
                or `#[action_error(other)]` for all errors that no variant names";
            return Err(Error::new(variant.ident.span(), message));
        };
        let content = Content::parse(variant.fields)?;
        let variant = variant.ident;
        let raised = Raised { variant, code, r#type, retryable, message, content };
        Ok(Self::Raised(Box::new(raised)))
    }
}

fn read_other(variant: Variant, alone: bool) -> Result<Other> {
    if !alone {
        let message =
            "`other` stands alone: the error keeps the code, type and message that it has";
        return Err(Error::new(variant.ident.span(), message));
    }
    match &variant.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            Ok(Other { field: fields.span(), variant: variant.ident })
        }
        _ => {
            let name = &variant.ident;
            let message = format!("this variant holds the error: `{name}(moleculer::Error)`");
            Err(Error::new(name.span(), message))
        }
    }
}

impl Content {
    fn parse(fields: Fields) -> Result<Self> {
        match fields {
            Fields::Unit => Ok(Self::Nothing),
            Fields::Named(fields) => {
                let members = fields.named.into_iter().map(Member::parse);
                let members = members.collect::<Result<Vec<_>>>()?;
                check_keys(&members)?;
                Ok(Self::Members(members))
            }
            Fields::Unnamed(fields) => match fields.unnamed.iter().collect::<Vec<_>>()[..] {
                [] => Ok(Self::Nothing),
                [field] => {
                    each_option(&field.attrs, &[], |_, _| Ok(()))?;
                    Ok(Self::Value(field.ty.clone()))
                }
                [_, second, ..] => {
                    let message = "name the fields, as they travel as members of `data`";
                    Err(Error::new_spanned(second, message))
                }
            },
        }
    }
}

impl Member {
    fn parse(field: Field) -> Result<Self> {
        let mut key = None;
        each_option(&field.attrs, &["rename"], |_, meta| {
            key = Some(text(meta, "rename = \"postId\"")?);
            Ok(())
        })?;
        let Some(name) = field.ident else {
            return Err(Error::new_spanned(field.ty, "the field has no name"));
        };
        let key = key.unwrap_or_else(|| LitStr::new(&name.unraw().to_string(), name.span()));
        Ok(Self { field: name, key, ty: field.ty })
    }
}

fn check_keys(members: &[Member]) -> Result<()> {
    let mut seen = HashSet::new();
    match members.iter().find(|member| !seen.insert(member.key.value())) {
        None => Ok(()),
        Some(member) => {
            let message = format!("two fields travel as `{}`", member.key.value());
            Err(Error::new(member.key.span(), message))
        }
    }
}

/// A code as of HTTP: gateways answer with it.
fn status(meta: &ParseNestedMeta<'_>) -> Result<i64> {
    let literal: LitInt = value(meta, "code = 404", |input| input.parse())?;
    let code = literal.base10_parse().ok().filter(|code| (400..600).contains(code));
    code.ok_or_else(|| Error::new(literal.span(), "an error's code is a number from 400 to 599"))
}

/// Reads the options in all attributes of this derive.
fn each_option(
    attributes: &[Attribute],
    valid: &[&str],
    mut read: impl FnMut(&str, &ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    let ours = attributes.iter().filter(|attribute| attribute.path().is_ident(ATTRIBUTE));
    let mut seen = false;
    for attribute in ours {
        let fault = if std::mem::replace(&mut seen, true) {
            format!("`{ATTRIBUTE}` is given twice; put all options into one")
        } else if valid.is_empty() {
            "this field has no options: it is the `data` of the error as it is".to_owned()
        } else {
            read_options(arguments(attribute)?, valid, &mut read)?;
            continue;
        };
        return Err(Error::new_spanned(attribute.to_token_stream(), fault));
    }
    Ok(())
}
