//! What stands in the parentheses of the attributes.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{
    Attribute, Error, Ident, Lit, LitStr, Meta, Path, Result, Token,
    ext::IdentExt,
    meta::ParseNestedMeta,
    parenthesized,
    parse::{ParseStream, Parser},
    parse_quote,
    punctuated::Punctuated,
};

/// The options of `#[service]`.
#[derive(Default)]
pub(crate) struct ServiceOptions {
    pub(crate) name: Option<LitStr>,
    version: Option<TokenStream>,
    dependencies: Vec<LitStr>,
    root: Option<Path>,
}

impl ServiceOptions {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut options = Self::default();
        let valid = ["name", "version", "dependencies", "crate"];
        read_options(tokens, &valid, |key, meta| {
            match key {
                "name" => options.name = Some(text(meta, "name = \"posts\"")?),
                "version" => options.version = Some(version(meta)?),
                "dependencies" => options.dependencies = dependencies(meta)?,
                _ => {
                    let example = "crate = moleculer_core";
                    options.root = Some(value(meta, example, Path::parse_mod_style)?);
                }
            }
            Ok(())
        })?;
        Ok(options)
    }

    /// The crate in which the generated code finds what it names.
    pub(crate) fn root(&self) -> Path {
        let root = self.root.clone();
        root.unwrap_or_else(|| parse_quote!(::moleculer))
    }

    /// The builder's methods that these options stand for.
    pub(crate) fn builder_calls(&self) -> TokenStream {
        let version = self.version.iter();
        let names = &self.dependencies;
        let dependencies = (!names.is_empty()).then(|| quote!(.dependencies([#(#names),*])));
        quote!(#(.version(#version))* #dependencies)
    }
}

/// The options of `#[action]`.
#[derive(Default)]
pub(crate) struct ActionOptions {
    name: Option<LitStr>,
    timeout: Option<u64>,
    visibility: Option<Ident>,
    detached: bool,
    extra: Vec<(String, TokenStream)>,
}

impl ActionOptions {
    pub(crate) fn parse(attribute: &Attribute) -> Result<Self> {
        let mut options = Self::default();
        read_options(arguments(attribute)?, &ACTION_OPTIONS, |key, meta| {
            match key {
                "name" => options.name = Some(text(meta, "name = \"get\"")?),
                "timeout" => options.timeout = Some(milliseconds(meta)?),
                "visibility" => options.visibility = Some(visibility(meta)?),
                "detached" => options.detached = flag(meta)?,
                _ => options.extra = extra(meta)?,
            }
            Ok(())
        })?;
        Ok(options)
    }

    /// The action's name, for a method of the given name.
    pub(crate) fn name_for(&self, method: &Ident) -> LitStr {
        let default = || LitStr::new(&method.unraw().to_string(), method.span());
        self.name.clone().unwrap_or_else(default)
    }

    /// The builder's methods that these options stand for. A description in
    /// `extra` wins over the documentation.
    pub(crate) fn builder_calls(&self, root: &Path, documentation: Option<&str>) -> TokenStream {
        let description = documentation.iter();
        let timeout = self.timeout.iter();
        let visibility = self.visibility.iter();
        let detached = self.detached.then(|| quote!(.detached()));
        let extra = self.extra.iter();
        let extra = extra.map(|(key, value)| quote!(.extra(#key, #value)));
        quote! {
            #(.timeout(::std::time::Duration::from_millis(#timeout)))*
            #(.visibility(#root::Visibility::#visibility))*
            #detached
            #(.extra("description", #description))*
            #(#extra)*
        }
    }
}

const ACTION_OPTIONS: [&str; 5] = ["name", "timeout", "visibility", "detached", "extra"];

/// The name and the options of `#[event]`.
pub(crate) struct EventOptions {
    name: LitStr,
    group: Option<LitStr>,
}

impl EventOptions {
    pub(crate) fn parse(attribute: &Attribute) -> Result<Self> {
        let (name, rest) = (|input: ParseStream<'_>| {
            let name: Option<LitStr> = input.parse().ok();
            if name.is_some() && !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
            Ok((name, input.parse()?))
        })
        .parse2(arguments(attribute)?)?;
        let Some(name) = name else {
            return Err(Error::new_spanned(
                &attribute.meta,
                "the event's name comes first, as in `#[event(\"user.created\")]`",
            ));
        };
        let name = not_empty(name)?;
        let mut group = None;
        read_options(rest, &["group"], |_, meta| {
            group = Some(text(meta, "group = \"mail\"")?);
            Ok(())
        })?;
        Ok(Self { name, group })
    }

    /// The name and the builder's methods that these options stand for.
    pub(crate) fn builder_calls(&self) -> (&LitStr, TokenStream) {
        let group = self.group.iter();
        (&self.name, quote!(#(.group(#group))*))
    }
}

/// The tokens in an attribute's parentheses.
pub(crate) fn arguments(attribute: &Attribute) -> Result<TokenStream> {
    match &attribute.meta {
        Meta::Path(_) => Ok(TokenStream::new()),
        meta => Ok(meta.require_list()?.tokens.clone()),
    }
}

/// Reads options of the forms `key`, `key = value` and `key(..)`, each at most
/// once; `read` gets those with a valid key.
pub(crate) fn read_options(
    tokens: TokenStream,
    valid: &[&str],
    mut read: impl FnMut(&str, &ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    let valid_options = || format!("valid options are: {}", valid.join(", "));
    if let Ok((literal, _)) = first_literal.parse2(tokens.clone()) {
        let message = format!("expected an option; {}", valid_options());
        return Err(Error::new_spanned(literal, message));
    }
    let mut seen = HashSet::new();
    let each = |meta: ParseNestedMeta<'_>| {
        let key = meta.path.to_token_stream().to_string();
        let fault = if !valid.contains(&key.as_str()) {
            format!("unknown option `{key}`; {}", valid_options())
        } else if !seen.insert(key.clone()) {
            format!("`{key}` is given twice")
        } else {
            return read(&key, &meta);
        };
        Err(Error::new_spanned(&meta.path, fault))
    };
    syn::meta::parser(each).parse2(tokens)
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

pub(crate) fn text(meta: &ParseNestedMeta<'_>, example: &str) -> Result<LitStr> {
    value(meta, example, |input| input.parse()).and_then(not_empty)
}

fn not_empty(text: LitStr) -> Result<LitStr> {
    if text.value().is_empty() {
        return Err(Error::new(text.span(), "a name cannot be empty"));
    }
    Ok(text)
}

pub(crate) fn flag(meta: &ParseNestedMeta<'_>) -> Result<bool> {
    if meta.input.is_empty() || meta.input.peek(Token![,]) {
        return Ok(true);
    }
    let key = meta.path.to_token_stream();
    let message = format!("`{key}` takes no value; leave it out or write `{key}`");
    Err(Error::new_spanned(&meta.path, message))
}

fn version(meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
    value(meta, "version = 2` or `version = \"beta\"", |input| match input.parse()? {
        Lit::Str(text) => Ok(text.into_token_stream()),
        number => integer(&number).map(ToTokens::into_token_stream),
    })
}

fn dependencies(meta: &ParseNestedMeta<'_>) -> Result<Vec<LitStr>> {
    let example = || {
        let message =
            "expected full names of services, as in `dependencies(\"users\", \"v2.mail\")`";
        Error::new_spanned(&meta.path, message)
    };
    let content;
    if !meta.input.peek(syn::token::Paren) {
        return Err(example());
    }
    parenthesized!(content in meta.input);
    let names = Punctuated::<LitStr, Token![,]>::parse_terminated(&content);
    let names = names.map_err(|_| example())?;
    names.into_iter().map(not_empty).collect()
}

fn visibility(meta: &ParseNestedMeta<'_>) -> Result<Ident> {
    let text = text(meta, "visibility = \"public\"")?;
    let variant = match text.value().as_str() {
        "published" => "Published",
        "public" => "Public",
        "protected" => "Protected",
        "private" => "Private",
        other => {
            let message = format!(
                "unknown visibility `{other}`; valid ones are: published, public, protected, private"
            );
            return Err(Error::new(text.span(), message));
        }
    };
    Ok(Ident::new(variant, text.span()))
}

fn milliseconds(meta: &ParseNestedMeta<'_>) -> Result<u64> {
    let text = text(meta, "timeout = \"2s\"")?;
    parse_milliseconds(&text.value()).ok_or_else(|| {
        let message = format!(
            "`{}` is no duration; write a whole number with a unit: `500ms`, `2s`, `1m`, `1h`",
            text.value()
        );
        Error::new(text.span(), message)
    })
}

fn parse_milliseconds(text: &str) -> Option<u64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// The members in `extra(..)`, with literals that become values.
fn extra(meta: &ParseNestedMeta<'_>) -> Result<Vec<(String, TokenStream)>> {
    if !meta.input.peek(syn::token::Paren) {
        let message = "expected members, as in `extra(rest = \"GET /:id\")`";
        return Err(Error::new_spanned(&meta.path, message));
    }
    let mut members: Vec<(String, TokenStream)> = Vec::new();
    meta.parse_nested_meta(|member| {
        let Some(key) = member.path.get_ident() else {
            return Err(Error::new_spanned(&member.path, "expected one word"));
        };
        let key = key.unraw().to_string();
        let fault = if members.iter().any(|(other, _)| *other == key) {
            format!("`{key}` is given twice")
        } else if key == "rawName" || ACTION_OPTIONS.contains(&key.as_str()) {
            format!("`{key}` cannot be in `extra`; the framework sets it from the action's options")
        } else {
            let example = format!("{key} = \"text\"`, `{key} = 5` or `{key} = true");
            members.push((key, value(&member, &example, literal)?));
            return Ok(());
        };
        Err(Error::new_spanned(&member.path, fault))
    })?;
    Ok(members)
}

fn literal(input: ParseStream<'_>) -> Result<TokenStream> {
    let minus: Option<Token![-]> = input.parse()?;
    let literal = match input.parse()? {
        Lit::Float(number) => {
            let number: f64 = number.base10_parse()?;
            number.into_token_stream()
        }
        Lit::Str(text) if minus.is_none() => return Ok(text.into_token_stream()),
        Lit::Bool(flag) if minus.is_none() => return Ok(flag.into_token_stream()),
        number => integer(&number)?.into_token_stream(),
    };
    Ok(quote!(#minus #literal))
}

fn integer(literal: &Lit) -> Result<i64> {
    match literal {
        Lit::Int(number) => number.base10_parse(),
        other => Err(Error::new_spanned(other, "expected a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_whole_number_and_a_unit() {
        let check = |text, expected| assert_eq!(parse_milliseconds(text), expected, "{text}");
        check("500ms", Some(500));
        check("2s", Some(2_000));
        check("1m", Some(60_000));
        check("1h", Some(3_600_000));
        check("0s", Some(0));
        for wrong in ["", "2", "s", "2 s", "1.5s", "-1s", "2d", "99999999999999999h"] {
            check(wrong, None);
        }
    }

    #[test]
    fn faults_say_what_to_write() {
        let check = |tokens: TokenStream, expected: &str| {
            let attribute: Attribute = parse_quote!(#[action(#tokens)]);
            let error = ActionOptions::parse(&attribute).err().unwrap().to_string();
            assert!(error.contains(expected), "{tokens}: {error}");
        };
        check(quote!("get"), "expected an option; valid options are: name,");
        check(quote!(cache = true), "unknown option `cache`; valid options are: name, timeout,");
        check(quote!(name = "a", name = "b"), "`name` is given twice");
        check(quote!(name = ""), "a name cannot be empty");
        check(quote!(timeout), "as in `timeout = \"2s\"`");
        check(quote!(timeout =), "as in `timeout = \"2s\"`");
        check(quote!(timeout = 2000), "as in `timeout = \"2s\"`");
        check(quote!(timeout = "2"), "`2` is no duration");
        check(quote!(visibility = "secret"), "valid ones are: published, public,");
        check(quote!(detached = true), "`detached` takes no value");
        check(quote!(extra), "as in `extra(rest = \"GET /:id\")`");
        check(quote!(extra(rest = [1])), "as in `rest = \"text\"`");
        check(quote!(extra(rest = -"a")), "as in `rest = \"text\"`");
        check(quote!(extra(rest = 1, rest = 2)), "`rest` is given twice");
        check(quote!(extra(timeout = 5)), "`timeout` cannot be in `extra`");
        check(quote!(extra(n = 99999999999999999999)), "as in `n = \"text\"`");
    }
}
