//! The options of `#[action]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Attribute, Error, Expr, Ident, LitBool, LitStr, Path, Result, Token, ext::IdentExt,
    meta::ParseNestedMeta, token::Paren,
};

use super::{
    members::{Members, published},
    policies::{bulkhead, cache, circuit_breaker, retry},
    read::{arguments, flag, read_options, text, unknown_option, value},
    values::{choice, duration},
};

const VALID: [&str; 15] = [
    "name",
    "timeout",
    "visibility",
    "detached",
    "retry",
    "strategy",
    "cache",
    "bulkhead",
    "circuit_breaker",
    "fallback",
    "rest",
    "params",
    "tracing",
    "rename_all",
    "extra",
];

/// What an action's attribute says.
#[derive(Default)]
pub(crate) struct ActionOptions {
    name: Option<LitStr>,
    /// `published`, if none is given.
    visibility: Option<&'static str>,
    /// The builder's methods that the options stand for.
    calls: TokenStream,
    /// The method that answers when the action fails.
    pub(crate) fallback: Option<Ident>,
    /// How the members of named arguments are written.
    pub(crate) rename_all: Option<LitStr>,
    /// Whether a description is among the extra members.
    described: bool,
}

impl ActionOptions {
    pub(crate) fn parse(attribute: &Attribute, root: &Path) -> Result<Self> {
        Self::read(arguments(attribute)?, &VALID, root)
    }

    /// Options for an action that a mixin brings, which has name and handler.
    pub(super) fn inherited(tokens: TokenStream, root: &Path) -> Result<TokenStream> {
        let valid: Vec<_> = VALID
            .into_iter()
            .filter(|key| !["name", "fallback", "rename_all"].contains(key))
            .collect();
        Ok(Self::read(tokens, &valid, root)?.calls)
    }

    fn read(tokens: TokenStream, valid: &[&str], root: &Path) -> Result<Self> {
        let mut options = Self::default();
        read_options(tokens, valid, |key, meta| options.take(key, meta, root))?;
        Ok(options)
    }

    fn take(&mut self, key: &str, meta: &ParseNestedMeta<'_>, root: &Path) -> Result<()> {
        let call = match key {
            "name" => {
                self.name = Some(text(meta, "name = \"get\"")?);
                return Ok(());
            }
            "fallback" => {
                self.fallback =
                    Some(value(meta, "fallback = from_archive", |input| input.parse())?);
                return Ok(());
            }
            "rename_all" => {
                self.rename_all = Some(rename_all(meta)?);
                return Ok(());
            }
            "timeout" => {
                let timeout = duration(meta)?;
                quote!(.timeout(#timeout))
            }
            "visibility" => {
                let (variant, name) = choice(meta, "visibility", &VISIBILITIES)?;
                self.visibility = Some(name);
                quote!(.visibility(#root::Visibility::#variant))
            }
            "detached" => {
                flag(meta)?;
                quote!(.detached())
            }
            "retry" => {
                let policy = retry(meta, root)?;
                quote!(.retry(#policy))
            }
            "strategy" => strategy(meta)?,
            "cache" => {
                let cache = cache(meta, root)?;
                quote!(.cache(#cache))
            }
            "bulkhead" => {
                let policy = bulkhead(meta, root)?;
                quote!(.bulkhead(#policy))
            }
            "circuit_breaker" => {
                let policy = circuit_breaker(meta, root)?;
                quote!(.circuit_breaker(#policy))
            }
            "rest" => {
                let rest = published(meta, "rest = \"GET /:id\"", root)?;
                quote!(.extra("rest", #rest))
            }
            "params" => rules(meta, root)?,
            "tracing" => tracing(meta, root)?,
            _ => {
                let members = extra(meta, &VALID)?;
                self.described = members.keys().any(|key| key.value() == "description");
                extra_calls(&members, root)
            }
        };
        self.calls.extend(call);
        Ok(())
    }

    /// The action's name, for a method of the given name.
    pub(crate) fn name_for(&self, method: &Ident) -> LitStr {
        let default = || LitStr::new(&method.unraw().to_string(), method.span());
        self.name.clone().unwrap_or_else(default)
    }

    /// Whether nobody can call it by name.
    pub(crate) fn is_private(&self) -> bool {
        self.visibility == Some("private")
    }

    /// The builder's methods that these options stand for. A description in
    /// `extra` wins over the documentation.
    pub(crate) fn builder_calls(&self, documentation: Option<&str>) -> TokenStream {
        let description = documentation.filter(|_| !self.described).into_iter();
        let calls = &self.calls;
        quote!(#(.extra("description", #description))* #calls)
    }
}

const VISIBILITIES: [(&str, &str); 4] = [
    ("published", "Published"),
    ("public", "Public"),
    ("protected", "Protected"),
    ("private", "Private"),
];

/// A name, or a value that is a strategy.
pub(super) fn strategy(meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
    let strategy: Expr = value(meta, "strategy = \"CpuUsage\"", |input| input.parse())?;
    Ok(quote!(.strategy(#strategy)))
}

/// How the members of named arguments are written.
pub(super) fn rename_all(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    let case = text(meta, "rename_all = \"camelCase\"")?;
    if CASES.contains(&&*case.value()) {
        return Ok(case);
    }
    let message = format!("unknown case `{}`; valid ones are: {}", case.value(), CASES.join(", "));
    Err(Error::new(case.span(), message))
}

/// Those that make a difference to arguments.
const CASES: [&str; 4] = ["camelCase", "PascalCase", "kebab-case", "SCREAMING_SNAKE_CASE"];

/// Rules for the params.
pub(super) fn rules(meta: &ParseNestedMeta<'_>, root: &Path) -> Result<TokenStream> {
    let rules = published(meta, "params(id = \"number|positive\")", root)?;
    Ok(quote!(.params(#rules)))
}

/// `tracing`, `tracing = false` or `tracing(..)`.
pub(super) fn tracing(meta: &ParseNestedMeta<'_>, root: &Path) -> Result<TokenStream> {
    let example = "tracing(span_name = \"read\")";
    if meta.input.peek(Token![=]) {
        let on: LitBool = value(meta, "tracing = false", |input| input.parse())?;
        return Ok(quote!(.tracing(#on)));
    }
    if !meta.input.peek(Paren) {
        return Ok(quote!(.tracing(true)));
    }
    let members = Members::read(meta, example)?;
    let valid = ["tags", "span_name", "safety_tags"];
    if let Some(key) = members.keys().find(|key| !valid.contains(&&*key.value())) {
        return Err(Error::new(key.span(), unknown_option(&key.value(), &valid)));
    }
    let names = [("span_name", "spanName"), ("safety_tags", "safetyTags")];
    let members = members.rename(&names).object(root);
    Ok(quote!(.tracing(#members)))
}

/// Members that no option sets.
pub(super) fn extra(meta: &ParseNestedMeta<'_>, options: &[&str]) -> Result<Members> {
    let members = Members::read(meta, "extra(openapi = \"..\")")?;
    let of_framework = |key: &&LitStr| {
        let key = key.value();
        let snake = snake_case(&key);
        ["raw_name", "retry_policy", "handler"].contains(&&*snake) || options.contains(&&*snake)
    };
    if let Some(key) = members.keys().find(of_framework) {
        let name = key.value();
        let message =
            format!("`{name}` cannot be in `extra`; the framework sets it from the options");
        return Err(Error::new(key.span(), message));
    }
    Ok(members)
}

pub(super) fn extra_calls(members: &Members, root: &Path) -> TokenStream {
    let calls = members.values(root).map(|(key, value)| quote!(.extra(#key, #value)));
    calls.collect()
}

fn snake_case(key: &str) -> String {
    let letters = key.chars().flat_map(|c| {
        c.is_ascii_uppercase().then_some('_').into_iter().chain([c.to_ascii_lowercase()])
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn faults_say_what_to_write() {
        let check = |tokens: TokenStream, expected: &str| {
            let attribute: Attribute = parse_quote!(#[action(#tokens)]);
            let error = ActionOptions::parse(&attribute, &parse_quote!(root));
            let error = error.err().expect("it is wrong").to_string();
            assert!(error.contains(expected), "{tokens}: {error}");
        };
        check(quote!("get"), "expected an option; valid options are: name,");
        check(quote!(cahce = true), "unknown option `cahce`; did you mean `cache`? valid options");
        check(quote!(name = "a", name = "b"), "`name` is given twice");
        check(quote!(name = ""), "a name cannot be empty");
        check(quote!(timeout), "as in `timeout = \"2s\"`");
        check(quote!(timeout =), "as in `timeout = \"2s\"`");
        check(quote!(timeout = 2000), "as in `timeout = \"2s\"`");
        check(quote!(timeout = "2"), "`2` is no duration");
        check(quote!(visibility = "pubic"), "did you mean `public`? valid ones are: published,");
        check(quote!(detached = true), "`detached` takes no value");
        check(quote!(retry = 3), "as in `retry(retries = 3)`, `retry` or `retry = false`");
        check(quote!(retry(retires = 3)), "did you mean `retries`?");
        check(quote!(retry(retries = -1)), "as in `retries = 3`");
        check(quote!(retry(factor = "2")), "as in `factor = 0.5`");
        check(quote!(cache = true), "as in `cache(keys(\"id\"), ttl = \"30s\")`, `cache` or");
        check(quote!(cache(keys("id", 5))), "as in `keys(\"id\", \"#user.id\")`");
        check(quote!(cache(keys())), "as in `keys(\"id\", \"#user.id\")`");
        check(quote!(cache(lock = 5)), "as in `lock(stale_time = \"5s\")`");
        check(quote!(cache(enabled = 1)), "as in `enabled = is_cacheable`");
        check(quote!(fallback = "x"), "as in `fallback = from_archive`");
        check(quote!(tracing = 5), "as in `tracing = false`");
        check(quote!(tracing(spanName = "x")), "did you mean `span_name`?");
        check(quote!(params), "as in `params(id = \"number|positive\")`");
        check(quote!(extra), "expected members, as in `extra(");
        check(quote!(extra(a = { 1 })), "as in `a = \"text\"`");
        check(quote!(extra(a = -"a")), "as in `a = \"text\"`");
        check(quote!(extra(a)), "as in `a = \"text\"`");
        check(quote!(extra(a = 1, a = 2)), "`a` is given twice");
        check(quote!(extra(b(a = 1, a = 2))), "`a` is given twice");
        check(quote!(extra(timeout = 5)), "`timeout` cannot be in `extra`");
        check(quote!(extra(circuitBreaker = 5)), "`circuitBreaker` cannot be in `extra`");
        check(quote!(extra(n = 99999999999999999999)), "as in `n = \"text\"`");
    }
}
