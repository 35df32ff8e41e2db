//! `#[derive(ActionError)]`: an enum that travels as an error.

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Fields, Ident, LitInt, LitStr, Path, Result, Type,
    Variant, ext::IdentExt, meta::ParseNestedMeta, parse_quote, punctuated::Punctuated,
    spanned::Spanned, token::Comma,
};

use crate::{
    options::{arguments, flag, read_options, text, value},
    span::hygienic,
};

const ATTRIBUTE: &str = "action_error";

pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let derived = syn::parse2(item).and_then(ErrorEnum::parse);
    derived.map_or_else(Error::into_compile_error, |item| item.expand())
}

/// The enum and what its attributes say.
struct ErrorEnum {
    name: Ident,
    root: Path,
    raised: Vec<Raised>,
    other: Other,
}

/// The variant for all that is none of the others.
struct Other {
    variant: Ident,
    /// Where the type of its field stands.
    field: Span,
}

impl Other {
    /// The variable `error`, which the compiler shows at the field if that
    /// is no error.
    fn held(&self) -> Ident {
        Ident::new("error", hygienic(self.field))
    }
}

/// A variant with a type of its own on the wire.
struct Raised {
    variant: Ident,
    code: i64,
    r#type: LitStr,
    retryable: bool,
    message: Option<LitStr>,
    content: Content,
}

/// What a variant carries as `data`.
enum Content {
    Nothing,
    Value(Type),
    Members(Vec<Member>),
}

struct Member {
    field: Ident,
    key: LitStr,
    ty: Type,
}

impl ErrorEnum {
    fn parse(input: DeriveInput) -> Result<Self> {
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

    fn expand(&self) -> TokenStream {
        let (raises, restores) = (self.raises(), self.restores());
        let described = self.described().then(|| self.standard_error());
        quote! {
            const _: () = {
                #raises
                #restores
                #described
            };
        }
    }

    /// Whether the messages are here, and not in an implementation of `Display`.
    fn described(&self) -> bool {
        self.raised.iter().all(|raised| raised.message.is_some())
    }

    fn raises(&self) -> TokenStream {
        let Self { name, root, raised, other } = self;
        let arms = raised.iter().map(|raised| raised.raise(name, root));
        let (variant, held) = (&other.variant, other.held());
        quote_spanned! {Span::mixed_site()=>
            #[automatically_derived]
            impl ::core::convert::From<#name> for #root::Error {
                fn from(error: #name) -> Self {
                    match error {
                        #(#arms)*
                        #name::#variant(#held) => #held,
                    }
                }
            }
        }
    }

    fn restores(&self) -> TokenStream {
        let Self { name, root, raised, other } = self;
        let arms = raised.iter().map(Raised::restore);
        let (variant, held) = (&other.variant, other.held());
        quote_spanned! {Span::mixed_site()=>
            #[automatically_derived]
            impl ::core::convert::From<#root::Error> for #name {
                fn from(error: #root::Error) -> Self {
                    let data = #root::__private::ErrorData::of(&error);
                    let restored = match error.r#type() {
                        #(#arms)*
                        _ => ::core::option::Option::None,
                    };
                    match restored {
                        ::core::option::Option::Some(restored) => restored,
                        ::core::option::Option::None => Self::#variant(#held),
                    }
                }
            }
        }
    }

    fn standard_error(&self) -> TokenStream {
        let Self { name, other, raised, .. } = self;
        let arms = raised.iter().map(Raised::display);
        let (variant, held) = (&other.variant, other.held());
        quote_spanned! {Span::mixed_site()=>
            #[automatically_derived]
            impl ::core::fmt::Display for #name {
                fn fmt(&self, out: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    match self {
                        #(#arms)*
                        Self::#variant(#held) => ::core::fmt::Display::fmt(#held, out),
                    }
                }
            }

            #[automatically_derived]
            impl ::core::error::Error for #name {
                fn source(&self) -> ::core::option::Option<&(dyn ::core::error::Error + 'static)> {
                    match self {
                        Self::#variant(#held) => ::core::error::Error::source(#held),
                        #[allow(unreachable_patterns)]
                        _ => ::core::option::Option::None,
                    }
                }
            }
        }
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

impl Raised {
    /// The arm that makes an error of the variant.
    fn raise(&self, name: &Ident, root: &Path) -> TokenStream {
        let Self { variant, code, r#type, retryable, content, .. } = self;
        let raised = quote_spanned! {Span::mixed_site()=>
            #root::__private::RaisedError::new(#code, #r#type, #retryable, error)
        };
        let (pattern, calls) = match content {
            Content::Nothing => (quote!({ .. }), quote!()),
            Content::Value(_) => {
                let field = binding(0);
                (quote!((ref #field)), quote!(.content(#field)))
            }
            Content::Members(members) => {
                let bound = members.iter().enumerate().map(|(n, member)| {
                    let (field, bound) = (&member.field, binding(n));
                    quote!(#field: ref #bound)
                });
                let calls = members.iter().enumerate().map(|(n, member)| {
                    let (key, bound) = (&member.key, binding(n));
                    quote_spanned!(hygienic(member.ty.span())=> .member(#key, #bound))
                });
                (quote!({ #(#bound),* }), quote!(#(#calls)*))
            }
        };
        quote_spanned! {Span::mixed_site()=>
            ref error @ #name::#variant #pattern => #raised #calls.into_error(),
        }
    }

    /// The arm that reads the variant from an error's data.
    fn restore(&self) -> TokenStream {
        let Self { variant, r#type, content, .. } = self;
        let read = |ty: &Type, call: TokenStream| quote_spanned!(hygienic(ty.span())=> data.#call?);
        let content = match content {
            Content::Nothing => quote!({}),
            Content::Value(ty) => {
                let value = read(ty, quote!(content::<#ty>()));
                quote!({ 0: #value })
            }
            Content::Members(members) => {
                let members = members.iter().map(|Member { field, key, ty }| {
                    let value = read(ty, quote!(member::<#ty>(#key)));
                    quote!(#field: #value)
                });
                quote!({ #(#members),* })
            }
        };
        quote_spanned! {Span::mixed_site()=>
            ::core::option::Option::Some(#r#type) => {
                (|| ::core::option::Option::Some(Self::#variant #content))()
            }
        }
    }

    fn display(&self) -> TokenStream {
        let Self { variant, message, content, .. } = self;
        let pattern = match content {
            Content::Nothing => quote!({ .. }),
            Content::Value(_) => {
                let field = binding(0);
                quote!((#field))
            }
            Content::Members(members) => {
                let fields = members.iter().map(|member| &member.field);
                quote!({ #(#fields),* })
            }
        };
        let positional = match (content, message) {
            (Content::Value(_), Some(message)) if is_positional(&message.value()) => {
                let field = binding(0);
                Some(quote!(, #field))
            }
            _ => None,
        };
        quote_spanned! {Span::mixed_site()=>
            #[allow(unused_variables)]
            Self::#variant #pattern => ::core::write!(out, #message #positional),
        }
    }
}

fn binding(n: usize) -> Ident {
    format_ident!("field{n}", span = Span::mixed_site())
}

/// Whether a format string speaks of `{0}` or `{}`.
fn is_positional(message: &str) -> bool {
    let plain = message.replace("{{", "");
    ["{}", "{:", "{0}", "{0:"].iter().any(|argument| plain.contains(argument))
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

#[cfg(test)]
mod tests {
    use super::is_positional;

    #[test]
    fn only_arguments_of_a_message_are_passed_to_it() {
        for message in ["{}", "got {0}", "{:?}", "{0:>5}", "{{ {0}"] {
            assert!(is_positional(message), "{message}");
        }
        for message in ["none", "{{}}", "{{0}}", "{name}"] {
            assert!(!is_positional(message), "{message}");
        }
    }
}
