//! The attribute on an `impl` block.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Error, ImplItem, ImplItemFn, Item, ItemImpl, Path, parse_quote, spanned::Spanned};

use crate::{
    api,
    args::last_name,
    block::{Block, Function, Surroundings},
    client::{check_client_method, client_method, client_name, client_struct},
    names::{Names, lower_camel},
    options::ServiceOptions,
    span::hygienic,
};

/// The item without our attributes, what the attributes stand for, and all
/// errors at once.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let parsed: Item = match syn::parse2(item.clone()) {
        Ok(parsed) => parsed,
        Err(error) => return [item, error.into_compile_error()].into_iter().collect(),
    };
    let mut errors = Vec::new();
    let options = ServiceOptions::parse(options).unwrap_or_else(|error| {
        errors.push(error);
        ServiceOptions::broken()
    });
    let expanded = match parsed {
        Item::Impl(block) if block.trait_.is_none() => of_type(block, &options, &mut errors),
        Item::Impl(block) => api::of_impl(block, &options, &mut errors),
        Item::Trait(item) => api::of_trait(item, &options, &mut errors),
        other => {
            errors.push(Error::new(
                keyword(&other),
                "`#[service]` belongs on the `impl` block with the handlers, as in `impl Posts { .. }`",
            ));
            item
        }
    };
    let errors = errors.into_iter().map(Error::into_compile_error);
    std::iter::once(expanded).chain(errors).collect()
}

/// The word that says what the item is, past its attributes.
fn keyword(item: &Item) -> Span {
    match item {
        Item::Struct(item) => item.struct_token.span,
        Item::Enum(item) => item.enum_token.span,
        Item::Mod(item) => item.mod_token.span,
        item => item.span(),
    }
}

fn of_type(mut block: ItemImpl, options: &ServiceOptions, errors: &mut Vec<Error>) -> TokenStream {
    let type_name = match last_name(&block.self_ty) {
        Some(name) => name.clone(),
        None => {
            errors.push(Error::new_spanned(&block.self_ty, "a service is a struct or an enum"));
            return block.into_token_stream();
        }
    };
    let root = options.root();
    let names = Names::new(&type_name, &block.generics, Some(&block.self_ty));
    let name = service_name(options, &names);
    let (service, prefix) = options.full_name(&name);
    let visibility = options.client.visibility.clone();
    let around = Surroundings {
        names: &names,
        root: &root,
        service,
        prefix,
        visibility: visibility.unwrap_or_else(|| parse_quote!(pub)),
        open: options.has_mixins(),
        client: !options.client.off,
    };
    let read = Block::read(functions(&mut block.items), &around);
    errors.extend(read.errors);
    if options.broken {
        return block.into_token_stream();
    }
    let inherited = options.inherited(&root).unwrap_or_else(|error| {
        errors.push(error);
        TokenStream::new()
    });
    let calls = options.builder_calls(&root);
    // That it cannot be shared between threads is told at the type.
    let place = hygienic(block.self_ty.span());
    let share = quote_spanned!(place=> ::std::clone::Clone::clone(&state));
    let begin = quote!(#root::Service::builder(#name) #calls.with_state(#share));
    let steps = read.steps;
    let steps = quote_spanned! {Span::mixed_site()=>
        #(#steps)*
        let service = service #inherited;
    };
    let glue = into_service(&block, &begin, &steps, &root);
    let params = read.params;
    if around.client {
        check_client_method(&block, errors);
    }
    let client = around.client.then(|| {
        let client = client_name(options.client.name.as_ref(), &type_name);
        let new =
            client_method(&block.self_ty, &block.generics, &client, &around.visibility, &root);
        let of_client = client_struct(&client, &read.client, &around);
        quote!(#of_client #new)
    });
    quote!(#block #glue #(#params)* #client)
}

/// The service's name, as it is given or made of the type's.
pub(crate) fn service_name(options: &ServiceOptions, names: &Names) -> String {
    let default = || lower_camel(&names.type_name);
    options.name.as_ref().map_or_else(default, syn::LitStr::value)
}

fn functions(items: &mut [ImplItem]) -> Vec<Function<'_>> {
    let functions = items.iter_mut().filter_map(|item| match item {
        ImplItem::Fn(ImplItemFn { attrs, sig, .. }) => Some(Function { attrs, signature: sig }),
        _ => None,
    });
    functions.collect()
}

/// The service is declared from an `Arc`, so that others may hold one, too.
/// `begin` is a builder with `state`, `steps` go on with `service`.
pub(crate) fn into_service(
    block: &ItemImpl,
    begin: &TokenStream,
    steps: &TokenStream,
    root: &Path,
) -> TokenStream {
    let (self_type, where_clause) = (&block.self_ty, &block.generics.where_clause);
    let (generics, _, _) = block.generics.split_for_impl();
    let cfg = block.attrs.iter().filter(|attr| crate::method::is_cfg(attr));
    let cfg: Vec<_> = cfg.collect();
    quote_spanned! {Span::mixed_site()=>
        #(#cfg)*
        const _: () = {
            #[automatically_derived]
            impl #generics #root::IntoService for #self_type #where_clause {
                fn into_service(self) -> #root::Service {
                    #root::IntoService::into_service(::std::sync::Arc::new(self))
                }
            }

            #[automatically_derived]
            impl #generics #root::__private::SharedService for #self_type #where_clause {
                fn shared_into_service(state: ::std::sync::Arc<Self>) -> #root::Service {
                    let service = #begin;
                    #steps
                    service.build()
                }
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_client_has_what_others_can_call() {
        let block = quote! { impl Posts {
            #[action] async fn get(&self) -> Result<()> { Ok(()) }
            #[action(visibility = "protected")] async fn find(&self) -> Result<()> { Ok(()) }
            #[action(visibility = "private")] async fn secret(&self) -> Result<()> { Ok(()) }
        } };
        let expanded = expand(TokenStream::new(), block).to_string();
        let (_, client) = expanded.split_once("struct PostsClient").unwrap();
        assert!(client.contains("fn get") && client.contains("fn find"), "{client}");
        assert!(!client.contains("secret"), "{client}");
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
