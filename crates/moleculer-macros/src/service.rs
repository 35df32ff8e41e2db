//! The attribute on the `impl` block.

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{
    Attribute, Error, ImplItem, Item, ItemImpl, Path, Result, Type, ext::IdentExt, parse_quote,
    spanned::Spanned,
};

use crate::{
    method::{Method, hygienic},
    options::{ActionOptions, EventOptions, ServiceOptions},
};

/// The block without our attributes, the implementation of `IntoService`, and
/// all errors at once.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut block = match impl_block(item.clone()) {
        Ok(block) => block,
        Err(error) => return [item, error.into_compile_error()].into_iter().collect(),
    };
    let mut errors = Vec::new();
    let options = ServiceOptions::parse(options);
    let root =
        options.as_ref().map_or_else(|_| ServiceOptions::default().root(), ServiceOptions::root);
    let steps = builder_steps(&mut block, &root, &mut errors);
    let glue = options.and_then(|options| into_service(&options, &root, &block, &steps));
    let glue = glue.unwrap_or_else(|error| {
        errors.push(error);
        TokenStream::new()
    });
    let errors = errors.into_iter().map(Error::into_compile_error);
    let parts = [block.into_token_stream(), glue];
    parts.into_iter().chain(errors).collect()
}

fn impl_block(item: TokenStream) -> Result<ItemImpl> {
    let item: Item = syn::parse2(item)?;
    let Item::Impl(block) = item else {
        return Err(Error::new(
            keyword(&item),
            "`#[service]` belongs on the `impl` block with the handlers, as in `impl Posts { .. }`",
        ));
    };
    match &block.trait_ {
        None => Ok(block),
        Some((_, path, _)) => Err(Error::new_spanned(
            path,
            "`#[service]` belongs on an `impl` block of the type itself, not of a trait",
        )),
    }
}

/// The word that says what the item is, past its attributes.
fn keyword(item: &Item) -> Span {
    match item {
        Item::Struct(item) => item.struct_token.span,
        Item::Enum(item) => item.enum_token.span,
        Item::Trait(item) => item.trait_token.span,
        Item::Mod(item) => item.mod_token.span,
        item => item.span(),
    }
}

/// One builder call for each handler attribute; the attributes are taken out.
fn builder_steps(block: &mut ItemImpl, root: &Path, errors: &mut Vec<Error>) -> Vec<TokenStream> {
    let mut steps = Vec::new();
    let mut actions = HashSet::new();
    for item in &mut block.items {
        let ImplItem::Fn(item) = item else { continue };
        let attributes: Vec<_> = item.attrs.extract_if(.., |attr| is_ours(attr)).collect();
        if attributes.is_empty() {
            continue;
        }
        match Method::new(item) {
            Ok(method) => {
                for attribute in &attributes {
                    match step(&method, attribute, root, &mut actions) {
                        Ok(step) => steps.push(step),
                        Err(error) => errors.push(error),
                    }
                }
            }
            Err(error) => errors.push(error),
        }
        item.attrs.push(parse_quote! {
            #[allow(clippy::unused_async, reason = "a handler is async whether it waits or not")]
        });
    }
    steps
}

fn is_ours(attribute: &Attribute) -> bool {
    let names = ["action", "event", "started", "stopped"];
    names.iter().any(|name| attribute.path().is_ident(name))
}

fn step(
    method: &Method,
    attribute: &Attribute,
    root: &Path,
    actions: &mut HashSet<String>,
) -> Result<TokenStream> {
    if attribute.path().is_ident("action") {
        let options = ActionOptions::parse(attribute)?;
        let name = options.name_for(&method.name);
        // Two methods of which one is compiled may share a name.
        if method.cfg.is_empty() && !actions.insert(name.value()) {
            return Err(Error::new(
                name.span(),
                format!("the action `{}` is declared twice", name.value()),
            ));
        }
        Ok(method.action(&name, &options, root))
    } else if attribute.path().is_ident("event") {
        Ok(method.event(&EventOptions::parse(attribute)?, root))
    } else {
        let started_or_stopped = attribute.meta.require_path_only()?.require_ident()?;
        method.lifecycle(started_or_stopped, root)
    }
}

fn into_service(
    options: &ServiceOptions,
    root: &Path,
    block: &ItemImpl,
    steps: &[TokenStream],
) -> Result<TokenStream> {
    let name = match &options.name {
        Some(name) => name.value(),
        None => lower_camel(&type_name(&block.self_ty)?),
    };
    let calls = options.builder_calls();
    let (self_type, where_clause) = (&block.self_ty, &block.generics.where_clause);
    let (generics, _, _) = block.generics.split_for_impl();
    // That it cannot be shared between threads is told at the type.
    let place = hygienic(self_type.span());
    let state = quote_spanned!(place=> ::std::sync::Arc::new(self));
    Ok(quote_spanned! {Span::mixed_site()=>
        const _: () = {
            #[automatically_derived]
            impl #generics #root::IntoService for #self_type #where_clause {
                fn into_service(self) -> #root::Service {
                    let service = #root::Service::builder(#name)
                        #calls
                        .with_state(#state);
                    #(#steps)*
                    service.build()
                }
            }
        };
    })
}

pub(crate) fn is_cfg(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
}

fn type_name(self_type: &Type) -> Result<String> {
    let last = match self_type {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    };
    last.map(|segment| segment.ident.unraw().to_string())
        .ok_or_else(|| Error::new_spanned(self_type, "a service is a struct or an enum"))
}

/// `UserAccounts` becomes `userAccounts`, `HTTPGateway` becomes `httpGateway`.
fn lower_camel(name: &str) -> String {
    let capitals = name.chars().take_while(|c| c.is_uppercase()).count();
    let starts_word = name.chars().nth(capitals).is_some_and(char::is_lowercase);
    let lowered = if capitals > 1 && starts_word { capitals - 1 } else { capitals };
    let (head, tail) = (name.chars().take(lowered), name.chars().skip(lowered));
    head.flat_map(char::to_lowercase).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn names_of_types_become_names_of_services() {
        let check = |name, expected| assert_eq!(lower_camel(name), expected);
        check("Posts", "posts");
        check("UserAccounts", "userAccounts");
        check("HTTPGateway", "httpGateway");
        check("DB2", "db2");
        check("V2Posts", "v2Posts");
        check("posts", "posts");
    }

    #[test]
    fn items_are_looked_up_in_the_facade_unless_told_otherwise() {
        let block =
            quote! { impl Posts { #[action] async fn get(&self) -> Result<()> { Ok(()) } } };
        let expanded = expand(TokenStream::new(), block.clone()).to_string();
        assert!(expanded.contains("for Posts"), "{expanded}");
        assert!(expanded.contains(":: moleculer :: Service :: builder"), "{expanded}");
        assert!(expanded.contains(":: moleculer :: __private"), "{expanded}");

        let expanded = expand(quote!(crate = ::elsewhere), block).to_string();
        assert!(expanded.contains(":: elsewhere :: Service :: builder"), "{expanded}");
        assert!(!expanded.contains("moleculer"), "{expanded}");
    }

    #[test]
    fn the_block_stays_when_something_is_wrong() {
        let block =
            quote! { impl Posts { #[action(x)] async fn get(&self) -> Result<()> { Ok(()) } } };
        let expanded = expand(TokenStream::new(), block).to_string();
        assert!(expanded.contains("async fn get"), "{expanded}");
        assert!(expanded.contains("IntoService for Posts"), "{expanded}");
        assert!(expanded.contains("compile_error"), "{expanded}");
        assert!(!expanded.contains("# [action"), "{expanded}");
    }
}
