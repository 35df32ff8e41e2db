//! The typed client that stands beside a block.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Attribute, Error, GenericArgument, Generics, Ident, ImplItem, ItemImpl, LitStr, Path,
    PathArguments, Result, ReturnType, Type, Visibility, ext::IdentExt,
};

use crate::{
    args::{ParamsOf, params_of, stream_of},
    block::Surroundings,
    docs::is_doc,
    method::Method,
    span::hygienic,
};

/// One action as its callers see it.
pub(crate) struct ClientMethod {
    cfg: Vec<Attribute>,
    action: LitStr,
    tokens: TokenStream,
}

const INSTEAD: &str =
    "use types that do not depend on it, or define no client with `client = false`";

impl ClientMethod {
    pub(crate) fn new(
        method: &Method,
        action: &LitStr,
        attrs: &[Attribute],
        output: &ReturnType,
        params: Option<&Ident>,
        around: &Surroundings<'_>,
    ) -> Result<Self> {
        check_name(&method.name)?;
        let root = around.root;
        let (mut inputs, value, mut bounds) = arguments(method, params, around)?;
        let stream = stream_of(&method.args) == Some(false);
        let stream_arg = Ident::new("stream", Span::mixed_site());
        if stream {
            inputs.push(quote!(#stream_arg: impl ::std::convert::Into<#root::BodyStream>));
        }
        let with_stream = stream.then(|| quote!(.stream(#stream_arg)));
        let Outcome { generic, value: result, error } = outcome(output, around)?;
        let generics = generic.as_ref().map(|generic| {
            bounds.push(quote!(#generic: #root::FromBody));
            quote!(<#generic>)
        });
        let where_clause = (!bounds.is_empty()).then(|| quote!(where #(#bounds),*));
        let full = format!("{}{}", around.prefix, action.value());
        let name = &method.name;
        let docs = docs(attrs, &full);
        let cfg = &method.cfg;
        let tokens = quote_spanned! {hygienic(name.span())=>
            #(#cfg)*
            #(#docs)*
            pub fn #name #generics (&self #(, #inputs)*) -> #root::Call<'a, #result, #error>
            #where_clause
            {
                self.calls.call(#action, #full, #value) #with_stream
            }
        };
        Ok(Self { cfg: cfg.clone(), action: action.clone(), tokens })
    }
}

/// What every client has.
fn check_name(method: &Ident) -> Result<()> {
    if method != "new" && method != "named" {
        return Ok(());
    }
    let message = format!(
        "a client has a `{method}` already; give the method another name and the action this one, as in `#[action(name = \"{method}\")]`"
    );
    Err(Error::new(method.span(), message))
}

/// The documentation of the method, or the little that is known.
fn docs(attrs: &[Attribute], full: &str) -> Vec<TokenStream> {
    let docs: Vec<_> =
        attrs.iter().filter(|attr| is_doc(attr)).map(ToTokens::to_token_stream).collect();
    if docs.is_empty() {
        let doc = format!(" Calls `{full}`.");
        return vec![quote!(#[doc = #doc])];
    }
    docs
}

/// The arguments, the params that they make, and what has to hold for them.
fn arguments(
    method: &Method,
    params: Option<&Ident>,
    around: &Surroundings<'_>,
) -> Result<(Vec<TokenStream>, TokenStream, Vec<TokenStream>)> {
    match params_of(&method.args) {
        ParamsOf::Nothing => Ok((Vec::new(), quote!(()), Vec::new())),
        ParamsOf::Named(args) => {
            let types = args.iter().map(|arg| around.names.outside(&arg.ty, INSTEAD));
            let types = types.collect::<Result<Vec<_>>>()?;
            let names: Vec<_> = args.iter().map(|arg| &arg.name).collect();
            let inputs = names.iter().zip(types).map(|(name, ty)| quote!(#name: #ty)).collect();
            Ok((inputs, quote!(#params { #(#names),* }), Vec::new()))
        }
        ParamsOf::Whole(ty) => {
            let ty = around.names.outside(ty, INSTEAD)?;
            let root = around.root;
            // A service may have params that it can only read. With a lifetime
            // in the bound, that is told to those who call, not here.
            let bound = quote! {
                for<'params> #ty: #root::__private::serde::Serialize
                    + ::std::marker::Send + ::std::marker::Sync + 'static
            };
            let params = Ident::new("params", Span::mixed_site());
            Ok((vec![quote!(#params: #ty)], params.into_token_stream(), vec![bound]))
        }
    }
}

/// What a call gives.
struct Outcome {
    /// A parameter for a result that has no name.
    generic: Option<Ident>,
    value: TokenStream,
    error: TokenStream,
}

fn outcome(output: &ReturnType, around: &Surroundings<'_>) -> Result<Outcome> {
    let root = around.root;
    let ReturnType::Type(_, ty) = output else {
        return Ok(Outcome { generic: None, value: quote!(()), error: quote!(#root::Error) });
    };
    if let Some((value, error)) = result_arguments(ty) {
        let error = match error {
            Some(error) => around.names.outside(error, INSTEAD)?,
            None => quote!(#root::Error),
        };
        if has_impl_trait(value) {
            let generic = format_ident!("R", span = Span::mixed_site());
            return Ok(Outcome { value: quote!(#generic), generic: Some(generic), error });
        }
        let value = around.names.outside(value, INSTEAD)?;
        return Ok(Outcome { generic: None, value, error });
    }
    // Some alias: the compiler knows what it stands for.
    let ty = around.names.outside(ty, INSTEAD)?;
    let part = |part: TokenStream| quote!(<#ty as #root::__private::HandlerResult>::#part);
    Ok(Outcome { generic: None, value: part(quote!(Value)), error: part(quote!(Error)) })
}

/// `T` and `E` of `Result<T, E>`; with one argument it is an alias whose error
/// is taken for core's.
fn result_arguments(ty: &Type) -> Option<(&Type, Option<&Type>)> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    let mut types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    (last.ident == "Result").then(|| Some((types.next()?, types.next())))?
}

pub(crate) fn has_impl_trait(ty: &Type) -> bool {
    fn find(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => ident == "impl",
            TokenTree::Group(group) => find(group.stream()),
            _ => false,
        })
    }
    find(ty.to_token_stream())
}

/// The client's struct with its methods.
pub(crate) fn client_struct(
    name: &Ident,
    methods: &[ClientMethod],
    around: &Surroundings<'_>,
) -> TokenStream {
    let Surroundings { root, visibility, service, .. } = around;
    let doc = format!(
        " Calls the actions of the service `{service}`, on this node or another.\n\n With a context, calls are part of the one that it belongs to: they take over\n its request id, metadata and deadline."
    );
    let actions = methods.iter().map(|method| {
        let ClientMethod { cfg, action, .. } = method;
        quote!(#(#cfg)* #action)
    });
    let methods = methods.iter().map(|method| &method.tokens);
    quote_spanned! {Span::mixed_site()=>
        #[doc = #doc]
        #[derive(::std::clone::Clone, ::std::fmt::Debug)]
        #[allow(dead_code, unreachable_pub, unnameable_types, reason = "not everybody calls")]
        #visibility struct #name<'a> {
            calls: #root::__private::ClientCalls<'a>,
        }

        #[allow(
            dead_code, unreachable_pub, private_interfaces, private_bounds,
            clippy::too_many_arguments,
            reason = "as the handlers are, so are the calls"
        )]
        impl<'a> #name<'a> {
            /// A client that calls through a context or a broker.
            #[must_use]
            pub fn new(via: impl ::std::convert::Into<#root::Via<'a>>) -> Self {
                Self { calls: #root::__private::ClientCalls::new(via) }
            }

            /// Calls a service of another full name, such as `v3.posts`, that has
            /// the same actions.
            #[must_use]
            pub fn named(self, service: impl ::std::convert::AsRef<str>) -> Self {
                Self { calls: self.calls.named(service.as_ref(), &[#(#actions),*]) }
            }

            #(#methods)*
        }
    }
}

/// A method of the block that would stand where [`client_method`] does.
pub(crate) fn check_client_method(block: &ItemImpl, errors: &mut Vec<Error>) {
    let methods = block.items.iter().filter_map(|item| match item {
        ImplItem::Fn(method) => Some(&method.sig.ident),
        _ => None,
    });
    for method in methods.filter(|method| *method == "client" && block.generics.params.is_empty()) {
        let message = "`client` makes the client of this service; give the method another name, or define no client with `client = false`";
        errors.push(Error::new(method.span(), message));
    }
}

/// `Posts::client(..)`, where the type alone says which client it is.
pub(crate) fn client_method(
    self_type: &Type,
    generics: &Generics,
    client: &Ident,
    visibility: &Visibility,
    root: &Path,
) -> Option<TokenStream> {
    if !generics.params.is_empty() {
        return None;
    }
    Some(quote_spanned! {Span::mixed_site()=>
        #[allow(dead_code, unreachable_pub, private_interfaces, reason = "not everybody calls")]
        impl #self_type {
            /// A client of this service that calls through a context or a broker.
            #visibility fn client<'a>(via: impl ::std::convert::Into<#root::Via<'a>>) -> #client<'a> {
                #client::new(via)
            }
        }
    })
}

/// The client's name, as it is chosen or made of the type's.
pub(crate) fn client_name(chosen: Option<&Ident>, type_name: &Ident) -> Ident {
    let default = || format_ident!("{}Client", type_name.unraw(), span = type_name.span());
    chosen.cloned().unwrap_or_else(default)
}
