//! The attribute on a trait, which says what callers see, and on the `impl`
//! block of such a trait.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    Error, FnArg, ImplItem, ItemImpl, ItemTrait, Pat, PatIdent, ReturnType, Signature, TraitItem,
    parse_quote, parse_quote_spanned, spanned::Spanned,
};

use crate::{
    args::last_name,
    block::{Block, Function, Surroundings, is_ours},
    client::{client_name, client_struct},
    names::Names,
    options::ServiceOptions,
    service::{into_service, service_name},
    span::hygienic,
};

/// The trait with functions that declare the service, and the client.
pub(crate) fn of_trait(
    mut item: ItemTrait,
    options: &ServiceOptions,
    errors: &mut Vec<Error>,
) -> TokenStream {
    errors.extend(options.check_for_trait().err());
    let root = options.root();
    let names = Names::new(&item.ident, &item.generics, None);
    let name = service_name(options, &names);
    let (service, prefix) = options.full_name(&name);
    let visibility = options.client.visibility.clone();
    let around = Surroundings {
        names: &names,
        root: &root,
        service,
        prefix,
        visibility: visibility.unwrap_or_else(|| item.vis.clone()),
        open: true,
        client: !options.client.off,
    };
    let is_async: Vec<_> = item.items.iter().map(is_handler).collect();
    let read = Block::read(functions(&mut item.items), &around);
    errors.extend(read.errors);
    if options.broken {
        return item.into_token_stream();
    }
    if let Some(param) = item.generics.params.first() {
        let message = "the trait of a service has no parameters; callers could not choose them";
        errors.push(Error::new_spanned(param, message));
        return item.into_token_stream();
    }
    for (item, _) in item.items.iter_mut().zip(is_async).filter(|(_, handler)| *handler) {
        if let TraitItem::Fn(item) = item {
            with_send(&mut item.sig);
        }
    }
    let calls = options.builder_calls(&root);
    let steps = read.steps;
    item.items.push(parse_quote_spanned! {Span::mixed_site()=>
        #[doc(hidden)]
        fn put_the_service_attribute_on_this_trait(
            state: &::std::sync::Arc<Self>,
            change: fn(#root::ServiceBuilder<()>) -> #root::ServiceBuilder<()>,
        ) -> #root::ServiceBuilder<::std::sync::Arc<Self>>
        where
            Self: ::std::marker::Sized + ::std::marker::Send + ::std::marker::Sync + 'static,
        {
            let service = change(#root::Service::builder(#name) #calls);
            let service = service.with_state(::std::clone::Clone::clone(state));
            #(#steps)*
            service
        }
    });
    let params = read.params;
    let client = around.client.then(|| {
        let client = client_name(options.client.name.as_ref(), &item.ident);
        client_struct(&client, &read.client, &around)
    });
    quote!(#item #(#params)* #client)
}

fn is_handler(item: &TraitItem) -> bool {
    matches!(item, TraitItem::Fn(item) if item.attrs.iter().any(is_ours) && item.sig.asyncness.is_some())
}

fn functions(items: &mut [TraitItem]) -> Vec<Function<'_>> {
    let functions = items.iter_mut().filter_map(|item| match item {
        TraitItem::Fn(item) => Some(Function { attrs: &mut item.attrs, signature: &mut item.sig }),
        _ => None,
    });
    functions.collect()
}

/// The broker runs handlers on any thread, which `async fn` does not say.
/// Patterns of arguments belong to implementations.
fn with_send(signature: &mut Signature) {
    if signature.asyncness.take().is_none() {
        return;
    }
    if let ReturnType::Type(_, output) = &signature.output {
        let span = output.span();
        signature.output = parse_quote_spanned! {span=>
            -> impl ::std::future::Future<Output = #output> + ::std::marker::Send
        };
    }
    for (n, arg) in signature.inputs.iter_mut().enumerate() {
        let FnArg::Typed(arg) = arg else { continue };
        if !matches!(&*arg.pat, Pat::Ident(_) | Pat::Wild(_)) {
            let ident = quote::format_ident!("arg{n}", span = arg.pat.span());
            let pat =
                PatIdent { attrs: Vec::new(), by_ref: None, mutability: None, ident, subpat: None };
            *arg.pat = Pat::Ident(pat);
        }
    }
}

/// The implementation, and an own block for handlers that are not the trait's.
pub(crate) fn of_impl(
    mut block: ItemImpl,
    options: &ServiceOptions,
    errors: &mut Vec<Error>,
) -> TokenStream {
    errors.extend(options.check_for_trait_impl().err());
    let Some((_, path, _)) = block.trait_.clone() else {
        return block.into_token_stream();
    };
    let Some(type_name) = last_name(&block.self_ty).cloned() else {
        errors.push(Error::new_spanned(&block.self_ty, "a service is a struct or an enum"));
        return block.into_token_stream();
    };
    let root = options.root();
    let mut own = own_block(&mut block, errors);
    let names = Names::new(&type_name, &block.generics, Some(&block.self_ty));
    let around = Surroundings {
        names: &names,
        root: &root,
        service: String::new(),
        prefix: String::new(),
        visibility: parse_quote!(pub),
        open: true,
        client: false,
    };
    let functions = own.items.iter_mut().filter_map(|item| match item {
        ImplItem::Fn(item) => Some(Function { attrs: &mut item.attrs, signature: &mut item.sig }),
        _ => None,
    });
    let read = Block::read(functions.collect(), &around);
    errors.extend(read.errors);
    let inherited = options.inherited(&root).unwrap_or_else(|error| {
        errors.push(error);
        TokenStream::new()
    });
    let calls = options.builder_calls(&root);
    // Another trait is an error there, which names the function.
    let begin = quote_spanned! {hygienic(path.span())=>
        <Self as #path>::put_the_service_attribute_on_this_trait(&state, |service| service #calls)
    };
    let (steps, params) = (read.steps, read.params);
    let steps = quote_spanned! {Span::mixed_site()=>
        #(#steps)*
        let service = service #inherited;
    };
    if options.broken {
        return quote!(#block #own);
    }
    let glue = into_service(&block, &begin, &steps, &root);
    let own = (!own.items.is_empty()).then_some(own);
    quote!(#block #own #glue #(#params)*)
}

/// Takes the methods with our attributes out of the trait's implementation.
fn own_block(block: &mut ItemImpl, errors: &mut Vec<Error>) -> ItemImpl {
    let mut own = ItemImpl { trait_: None, items: Vec::new(), ..block.clone() };
    let items = std::mem::take(&mut block.items);
    for item in items {
        let ImplItem::Fn(method) = &item else {
            block.items.push(item);
            continue;
        };
        if let Some(action) = method.attrs.iter().find(|attr| attr.path().is_ident("action")) {
            let message = "actions are declared in the trait, so that its client has them";
            errors.push(Error::new_spanned(action, message));
        }
        if method.attrs.iter().any(is_ours) {
            own.items.push(item);
        } else {
            block.items.push(item);
        }
    }
    own
}
