//! The name and the options of `#[event]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Attribute, Error, LitStr, Path, Result, Token, meta::ParseNestedMeta, parse::ParseStream,
    parse::Parser,
};

use super::{
    action::{extra, extra_calls, rename_all, rules, strategy, tracing},
    policies::bulkhead,
    read::{arguments, not_empty, read_options, text},
    values::duration,
};

const VALID: [&str; 9] = [
    "group",
    "strategy",
    "debounce",
    "throttle",
    "bulkhead",
    "params",
    "tracing",
    "rename_all",
    "extra",
];

/// What an event listener's attribute says.
pub(crate) struct EventOptions {
    pub(crate) name: LitStr,
    /// The builder's methods that the options stand for.
    pub(crate) calls: TokenStream,
    /// How the members of named arguments are written.
    pub(crate) rename_all: Option<LitStr>,
}

impl EventOptions {
    pub(crate) fn parse(attribute: &Attribute, root: &Path) -> Result<Self> {
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
        Self::read(name, rest, &VALID, root)
    }

    /// Options for an event that a mixin listens to.
    pub(super) fn inherited(name: LitStr, tokens: TokenStream, root: &Path) -> Result<Self> {
        let valid: Vec<_> = VALID.into_iter().filter(|key| *key != "rename_all").collect();
        Self::read(not_empty(name)?, tokens, &valid, root)
    }

    fn read(name: LitStr, tokens: TokenStream, valid: &[&str], root: &Path) -> Result<Self> {
        let mut options = Self { name, calls: TokenStream::new(), rename_all: None };
        read_options(tokens, valid, |key, meta| options.take(key, meta, root))?;
        Ok(options)
    }

    fn take(&mut self, key: &str, meta: &ParseNestedMeta<'_>, root: &Path) -> Result<()> {
        let call = match key {
            "rename_all" => {
                self.rename_all = Some(rename_all(meta)?);
                return Ok(());
            }
            "group" => {
                let group = text(meta, "group = \"mail\"")?;
                quote!(.group(#group))
            }
            "strategy" => strategy(meta)?,
            "debounce" => {
                let quiet = duration(meta)?;
                quote!(.debounce(#quiet))
            }
            "throttle" => {
                let pause = duration(meta)?;
                quote!(.throttle(#pause))
            }
            "bulkhead" => {
                let policy = bulkhead(meta, root)?;
                quote!(.bulkhead(#policy))
            }
            "params" => rules(meta, root)?,
            "tracing" => tracing(meta, root)?,
            _ => extra_calls(&extra(meta, &VALID)?, root),
        };
        self.calls.extend(call);
        Ok(())
    }
}
