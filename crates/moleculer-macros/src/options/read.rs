//! Reading lists of options.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    Attribute, Error, Ident, Lit, LitStr, Meta, Result, Token,
    ext::IdentExt,
    meta::ParseNestedMeta,
    parenthesized,
    parse::{ParseStream, Parser},
    punctuated::Punctuated,
    spanned::Spanned,
    token::Paren,
};

use super::suggest::closest;

/// The tokens in an attribute's parentheses.
pub(crate) fn arguments(attribute: &Attribute) -> Result<TokenStream> {
    match &attribute.meta {
        Meta::Path(_) => Ok(TokenStream::new()),
        Meta::List(list) => Ok(list.tokens.clone()),
        Meta::NameValue(pair) => {
            let name = attribute.path().to_token_stream();
            let message = format!("expected options in parentheses, as in `#[{name}(..)]`");
            Err(Error::new(pair.eq_token.span(), message))
        }
    }
}

/// Reads options of the forms `key`, `key = value` and `key(..)`, each at most
/// once; `read` gets those with a valid key.
pub(crate) fn read_options(
    tokens: TokenStream,
    valid: &[&str],
    mut read: impl FnMut(&str, &ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    if let Ok((literal, _)) = first_literal.parse2(tokens.clone()) {
        let message = format!("expected an option; {}", valid_options(valid));
        return Err(Error::new_spanned(literal, message));
    }
    let mut seen = HashSet::new();
    let each = |meta: ParseNestedMeta<'_>| {
        let key = meta.path.to_token_stream().to_string();
        let fault = if !valid.contains(&key.as_str()) {
            unknown_option(&key, valid)
        } else if !seen.insert(key.clone()) {
            format!("`{key}` is given twice")
        } else {
            return read(&key, &meta);
        };
        Err(Error::new_spanned(&meta.path, fault))
    };
    syn::meta::parser(each).parse2(tokens)
}

pub(super) fn unknown_option(key: &str, valid: &[&str]) -> String {
    let meant = closest(key, valid).map(|name| format!("did you mean `{name}`? "));
    format!("unknown option `{key}`; {}{}", meant.unwrap_or_default(), valid_options(valid))
}

fn valid_options(valid: &[&str]) -> String {
    format!("valid options are: {}", valid.join(", "))
}

fn first_literal(input: ParseStream<'_>) -> Result<(Lit, TokenStream)> {
    Ok((input.parse()?, input.parse()?))
}

/// Reads what follows `key =`. A fault is told with an example.
pub(crate) fn value<T>(
    meta: &ParseNestedMeta<'_>,
    example: &str,
    read: impl FnOnce(ParseStream<'_>) -> Result<T>,
) -> Result<T> {
    let message = format!("expected a value, as in `{example}`");
    if !meta.input.peek(Token![=]) {
        return Err(Error::new_spanned(&meta.path, message));
    }
    let input = meta.value()?;
    if input.is_empty() {
        return Err(Error::new_spanned(&meta.path, message));
    }
    let span = input.span();
    read(input).map_err(|_| Error::new(span, message))
}

/// A non-empty text after `key =`.
pub(crate) fn text(meta: &ParseNestedMeta<'_>, example: &str) -> Result<LitStr> {
    value(meta, example, |input| input.parse()).and_then(not_empty)
}

pub(super) fn not_empty(text: LitStr) -> Result<LitStr> {
    if text.value().is_empty() {
        return Err(Error::new(text.span(), "a name cannot be empty"));
    }
    Ok(text)
}

/// The tokens in `key(..)`, none if nothing follows the key.
pub(super) fn in_parentheses(meta: &ParseNestedMeta<'_>) -> Result<Option<TokenStream>> {
    if !meta.input.peek(Paren) {
        return Ok(None);
    }
    let content;
    parenthesized!(content in meta.input);
    content.parse().map(Some)
}

/// Whether nothing follows the key.
pub(super) fn stands_alone(meta: &ParseNestedMeta<'_>) -> bool {
    meta.input.is_empty() || meta.input.peek(Token![,])
}

/// An option that has no value; true if it is there.
pub(crate) fn flag(meta: &ParseNestedMeta<'_>) -> Result<bool> {
    if stands_alone(meta) {
        return Ok(true);
    }
    let key = meta.path.to_token_stream();
    let message = format!("`{key}` takes no value; leave it out or write `{key}`");
    Err(Error::new_spanned(&meta.path, message))
}

/// A list of things in parentheses, at least one.
pub(super) fn list<T>(
    meta: &ParseNestedMeta<'_>,
    example: &str,
    each: fn(ParseStream<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let fault = || Error::new_spanned(&meta.path, format!("expected a list, as in `{example}`"));
    let tokens = in_parentheses(meta)?.ok_or_else(fault)?;
    let parse =
        |input: ParseStream<'_>| Punctuated::<T, Token![,]>::parse_terminated_with(input, each);
    let items = parse.parse2(tokens).map_err(|_| fault())?;
    if items.is_empty() { Err(fault()) } else { Ok(items.into_iter().collect()) }
}

/// A list of non-empty texts.
pub(crate) fn texts(meta: &ParseNestedMeta<'_>, example: &str) -> Result<Vec<LitStr>> {
    list(meta, example, |input| input.parse::<LitStr>())?.into_iter().map(not_empty).collect()
}

/// One word, which may be a keyword.
pub(super) fn word(input: ParseStream<'_>) -> Result<Ident> {
    input.call(Ident::parse_any)
}

pub(super) fn integer(literal: &Lit) -> Result<i64> {
    match literal {
        Lit::Int(number) => number.base10_parse(),
        other => Err(Error::new(other.span(), "expected a number")),
    }
}
