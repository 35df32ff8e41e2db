//! Options that are a policy of their own: `retry(..)`, `cache(..)`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Expr, Path, Result, meta::ParseNestedMeta, parse::ParseStream};

use super::{
    read::{in_parentheses, read_options, stands_alone, texts, value},
    values::{duration, number, off, whole},
};

/// `retry`, `retry(retries = 3, ..)` or `retry = false`.
pub(super) fn retry(meta: &ParseNestedMeta<'_>, root: &Path) -> Result<TokenStream> {
    let valid = ["retries", "delay", "max_delay", "factor", "budget", "check"];
    let policy = quote!(#root::RetryPolicy);
    switched(meta, &policy, "retry(retries = 3)", &valid, |key, meta| {
        Ok(match key {
            "retries" => call(quote!(retries), whole(meta)?),
            "delay" => call(quote!(delay), duration(meta)?),
            "max_delay" => call(quote!(max_delay), duration(meta)?),
            "factor" => call(quote!(factor), number(meta)?),
            "budget" => call(quote!(budget), number(meta)?),
            _ => call(quote!(check), function(meta, "check = is_transient")?),
        })
    })
}

/// `circuit_breaker(threshold = 0.5, ..)`.
pub(super) fn circuit_breaker(meta: &ParseNestedMeta<'_>, root: &Path) -> Result<TokenStream> {
    let valid = ["threshold", "min_request_count", "window_time", "half_open_time", "check"];
    let policy = quote!(#root::CircuitBreakerOptions);
    switched(meta, &policy, "circuit_breaker(threshold = 0.5)", &valid, |key, meta| {
        Ok(match key {
            "threshold" => call(quote!(threshold), number(meta)?),
            "min_request_count" => call(quote!(min_request_count), whole(meta)?),
            "window_time" => call(quote!(window_time), duration(meta)?),
            "half_open_time" => call(quote!(half_open_time), duration(meta)?),
            _ => call(quote!(check), function(meta, "check = is_outage")?),
        })
    })
}

/// `bulkhead(concurrency = 10, ..)`.
pub(super) fn bulkhead(meta: &ParseNestedMeta<'_>, root: &Path) -> Result<TokenStream> {
    let valid = ["concurrency", "max_queue_size"];
    let policy = quote!(#root::BulkheadOptions);
    switched(meta, &policy, "bulkhead(concurrency = 10)", &valid, |key, meta| {
        Ok(match key {
            "concurrency" => call(quote!(concurrency), whole(meta)?),
            _ => call(quote!(max_queue_size), whole(meta)?),
        })
    })
}

/// `cache(keys("id"), ttl = "30s", ..)`.
pub(super) fn cache(meta: &ParseNestedMeta<'_>, root: &Path) -> Result<TokenStream> {
    let valid = ["keys", "ttl", "lock", "enabled"];
    let policy = quote!(#root::Cache);
    let mut keys = None;
    let example = "cache(keys(\"id\"), ttl = \"30s\")";
    let calls = switch(meta, example, &valid, |key, meta| {
        Ok(match key {
            "keys" => {
                keys = Some(texts(meta, "keys(\"id\", \"#user.id\")")?);
                TokenStream::new()
            }
            "ttl" => call(quote!(ttl), duration(meta)?),
            "lock" => call(quote!(lock), cache_lock(meta, root)?),
            _ => call(quote!(enabled_if), function(meta, "enabled = is_cacheable")?),
        })
    })?;
    Ok(match (calls, keys) {
        (Some(calls), Some(keys)) => quote!(#policy::keys([#(#keys),*]) #calls),
        (Some(calls), None) => quote!(#policy::new() #calls),
        (None, _) => quote!(#policy::off()),
    })
}

fn cache_lock(meta: &ParseNestedMeta<'_>, root: &Path) -> Result<TokenStream> {
    let mut calls = TokenStream::new();
    if let Some(tokens) = in_parentheses(meta)? {
        read_options(tokens, &["ttl", "stale_time"], |key, meta| {
            calls.extend(match key {
                "ttl" => call(quote!(ttl), duration(meta)?),
                _ => call(quote!(stale_time), duration(meta)?),
            });
            Ok(())
        })?;
    } else if !stands_alone(meta) {
        let message = "expected `lock` or options, as in `lock(stale_time = \"5s\")`";
        return Err(Error::new_spanned(&meta.path, message));
    }
    Ok(quote!(#root::CacheLock::new() #calls))
}

/// The policy with its defaults, with options, or switched off.
fn switched(
    meta: &ParseNestedMeta<'_>,
    policy: &TokenStream,
    example: &str,
    valid: &[&str],
    each: impl FnMut(&str, &ParseNestedMeta<'_>) -> Result<TokenStream>,
) -> Result<TokenStream> {
    Ok(match switch(meta, example, valid, each)? {
        Some(calls) => quote!(#policy::new() #calls),
        None => quote!(#policy::off()),
    })
}

/// The calls that set the options; nothing if it is switched off.
fn switch(
    meta: &ParseNestedMeta<'_>,
    example: &str,
    valid: &[&str],
    mut each: impl FnMut(&str, &ParseNestedMeta<'_>) -> Result<TokenStream>,
) -> Result<Option<TokenStream>> {
    let mut calls = TokenStream::new();
    if stands_alone(meta) {
        return Ok(Some(calls));
    }
    let Some(tokens) = in_parentheses(meta)? else {
        let name = example.split('(').next().unwrap_or_default();
        off(meta, &format!("{example}`, `{name}` or `{name} = false"))?;
        return Ok(None);
    };
    read_options(tokens, valid, |key, meta| {
        calls.extend(each(key, meta)?);
        Ok(())
    })?;
    Ok(Some(calls))
}

/// A function or closure.
fn function(meta: &ParseNestedMeta<'_>, example: &str) -> Result<TokenStream> {
    let parse = |input: ParseStream<'_>| match input.parse()? {
        function @ (Expr::Path(_) | Expr::Closure(_)) => Ok(quote!(#function)),
        other => Err(Error::new_spanned(other, "")),
    };
    value(meta, example, parse)
}

#[allow(clippy::needless_pass_by_value, reason = "what is made where it is called")]
fn call(method: TokenStream, argument: TokenStream) -> TokenStream {
    quote!(.#method(#argument))
}
