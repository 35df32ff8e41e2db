//! Objects in attributes: `extra(rest = "GET /:id", cost(base = 2))`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{
    Error, Expr, Lit, LitStr, Path, Result, Token, bracketed,
    ext::IdentExt,
    meta::ParseNestedMeta,
    parenthesized,
    parse::{ParseStream, Parser},
    punctuated::Punctuated,
    token::{Bracket, Paren},
};

use super::read::{in_parentheses, integer, word};

/// Members of an object, in order.
#[derive(Default)]
pub(super) struct Members(Vec<Member>);

struct Member {
    key: LitStr,
    value: Value,
}

enum Value {
    Literal(TokenStream),
    List(Vec<Self>),
    Object(Members),
}

impl Members {
    /// Reads the parentheses after an option's name.
    pub(super) fn read(meta: &ParseNestedMeta<'_>, example: &str) -> Result<Self> {
        let fault =
            || Error::new_spanned(&meta.path, format!("expected members, as in `{example}`"));
        let tokens = in_parentheses(meta)?.ok_or_else(fault)?;
        parse_members.parse2(tokens)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &LitStr> {
        self.0.iter().map(|member| &member.key)
    }

    /// Whether a member is there and `true`.
    pub(super) fn is_on(&self, key: &str) -> bool {
        let on =
            |value: &Value| matches!(value, Value::Literal(value) if value.to_string() == "true");
        self.0.iter().any(|member| member.key.value() == key && on(&member.value))
    }

    /// Each key with its value, which becomes a `Value`.
    pub(super) fn values<'a>(
        &'a self,
        root: &'a Path,
    ) -> impl Iterator<Item = (&'a LitStr, TokenStream)> {
        self.0.iter().map(|member| (&member.key, member.value.tokens(root)))
    }

    /// Gives members other names.
    pub(super) fn rename(mut self, names: &[(&str, &str)]) -> Self {
        for member in &mut self.0 {
            let typed = member.key.value();
            if let Some((_, name)) = names.iter().find(|(from, _)| *from == typed) {
                member.key = LitStr::new(name, member.key.span());
            }
        }
        self
    }

    /// An `Object` of them.
    pub(super) fn object(&self, root: &Path) -> TokenStream {
        if self.0.is_empty() {
            return quote!(#root::Object::new());
        }
        let (keys, values): (Vec<_>, Vec<_>) = self.values(root).unzip();
        quote!(#root::Object::from([#((#keys, #root::Value::from(#values))),*]))
    }
}

impl Value {
    fn tokens(&self, root: &Path) -> TokenStream {
        match self {
            Self::Literal(literal) => literal.clone(),
            Self::List(items) => {
                let items = items.iter().map(|item| item.tokens(root));
                quote!(::std::vec::Vec::<#root::Value>::from([#(#root::Value::from(#items)),*]))
            }
            Self::Object(members) => members.object(root),
        }
    }
}

/// A value after `=` or members in parentheses, for options that are published
/// as they are.
pub(super) fn published(
    meta: &ParseNestedMeta<'_>,
    example: &str,
    root: &Path,
) -> Result<TokenStream> {
    if meta.input.peek(Paren) {
        return Ok(Members::read(meta, example)?.object(root));
    }
    let value = super::read::value(meta, example, parse_value)?;
    Ok(value.tokens(root))
}

/// Members in parentheses, or an expression after `=`.
pub(super) enum Source {
    Members(Members),
    Expr(Expr),
}

impl Source {
    pub(super) fn read(meta: &ParseNestedMeta<'_>, example: &str) -> Result<Self> {
        if meta.input.peek(Token![=]) {
            return super::read::value(meta, example, |input| input.parse()).map(Self::Expr);
        }
        Members::read(meta, example).map(Self::Members)
    }

    pub(super) fn object(&self, root: &Path) -> TokenStream {
        match self {
            Self::Members(members) => members.object(root),
            Self::Expr(expr) => expr.to_token_stream(),
        }
    }
}

fn parse_members(input: ParseStream<'_>) -> Result<Members> {
    let members = Punctuated::<Member, Token![,]>::parse_terminated_with(input, parse_member)?;
    for (i, member) in members.iter().enumerate() {
        let key = member.key.value();
        if members.iter().take(i).any(|other| other.key.value() == key) {
            return Err(Error::new(member.key.span(), format!("`{key}` is given twice")));
        }
    }
    Ok(Members(members.into_iter().collect()))
}

fn parse_member(input: ParseStream<'_>) -> Result<Member> {
    let span = input.span();
    let key = if input.peek(LitStr) {
        input.parse()?
    } else {
        let word =
            word(input).map_err(|_| Error::new(span, "expected a name, or a text as one"))?;
        LitStr::new(&word.unraw().to_string(), word.span())
    };
    if input.peek(Paren) {
        let content;
        parenthesized!(content in input);
        return Ok(Member { key, value: Value::Object(parse_members(&content)?) });
    }
    let name = key.value();
    let fault = format!(
        "expected a value, as in `{name} = \"text\"`, `{name} = 5`, `{name} = true`, `{name} = [1, 2]` or `{name}(a = 1)`"
    );
    if !input.peek(Token![=]) {
        return Err(Error::new(key.span(), fault));
    }
    input.parse::<Token![=]>()?;
    let place = if input.is_empty() { key.span() } else { input.span() };
    let value = parse_value(input).map_err(|_| Error::new(place, fault))?;
    Ok(Member { key, value })
}

fn parse_value(input: ParseStream<'_>) -> Result<Value> {
    if input.peek(Bracket) {
        let content;
        bracketed!(content in input);
        let items = Punctuated::<Value, Token![,]>::parse_terminated_with(&content, parse_value)?;
        return Ok(Value::List(items.into_iter().collect()));
    }
    if input.peek(Paren) {
        let content;
        parenthesized!(content in input);
        return parse_members(&content).map(Value::Object);
    }
    literal(input).map(Value::Literal)
}

fn literal(input: ParseStream<'_>) -> Result<TokenStream> {
    let minus: Option<Token![-]> = input.parse()?;
    let literal = match input.parse()? {
        Lit::Float(number) => number.base10_parse::<f64>()?.into_token_stream(),
        Lit::Str(text) if minus.is_none() => return Ok(text.into_token_stream()),
        Lit::Bool(flag) if minus.is_none() => return Ok(flag.into_token_stream()),
        number => integer(&number)?.into_token_stream(),
    };
    Ok(quote!(#minus #literal))
}
