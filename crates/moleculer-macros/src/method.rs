//! A method that the broker calls, and the builder call that adds it.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Attribute, Error, GenericParam, Ident, LitStr, Path, Result, ReturnType, Signature, Type,
    spanned::Spanned,
};

use crate::{
    args::{Arg, take_args, take_types},
    client::has_impl_trait,
    docs::first_paragraph,
    options::{ActionOptions, EventOptions},
    serde_names::Member,
    span::{hygienic, located},
};

/// What a method is for; it decides what it looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Actions, events and hooks.
    Handler,
    /// `#[after]`, `#[on_error]` and fallbacks: the last argument is the result
    /// or the error.
    Hook,
    /// `#[started]` and `#[stopped]`.
    Lifecycle,
    /// `#[created]`: as those, but it waits for nothing.
    Created,
    /// `#[merged]`, which changes the declaration.
    Merged,
}

/// A method with a signature that a handler can have.
pub(crate) struct Method {
    pub(crate) name: Ident,
    /// The conditions under which it is compiled.
    pub(crate) cfg: Vec<Attribute>,
    /// The arguments after `&self`.
    pub(crate) args: Vec<Arg>,
    /// First paragraph of the documentation.
    documentation: Option<String>,
    /// What it returns, if that has a name.
    output: Option<Type>,
}

impl Method {
    /// Checks the signature, and takes our attributes out of it.
    pub(crate) fn new(attrs: &[Attribute], signature: &mut Signature, role: Role) -> Result<Self> {
        check_signature(signature, role)?;
        let args = match role {
            Role::Handler => take_args(signature)?,
            _ => take_types(signature)?.into_iter().map(Arg::Extracted).collect(),
        };
        Ok(Self {
            name: signature.ident.clone(),
            cfg: attrs.iter().filter(|attr| is_cfg(attr)).cloned().collect(),
            args,
            documentation: first_paragraph(attrs),
            output: match &signature.output {
                ReturnType::Type(_, ty) if !has_impl_trait(ty) => Some((**ty).clone()),
                _ => None,
            },
        })
    }

    /// Adds the action to `service`.
    pub(crate) fn action(
        &self,
        name: &LitStr,
        options: &ActionOptions,
        fallback: Option<&TokenStream>,
        params: Option<&Ident>,
        root: &Path,
    ) -> TokenStream {
        let handler = self.handler(params, root);
        let calls = options.builder_calls(self.documentation.as_deref());
        let schemas = self.schemas(options.rename_all.as_ref(), root);
        let fallback = fallback.into_iter();
        self.step(&quote! {
            action(#root::Action::from_fn(#name, #handler) #schemas #calls #(.fallback(#fallback))*)
        })
    }

    /// What the types tell of params and result.
    fn schemas(&self, rename_all: Option<&LitStr>, root: &Path) -> TokenStream {
        let private = quote!(#root::__private);
        let extracted = self.args.iter().filter_map(Arg::extracted);
        let extracted = extracted.map(|ty| quote!(#private::Typed::<#ty>::schema()));
        let named = self.args.iter().filter_map(Arg::named);
        let named: Vec<_> = named.map(|arg| (Member::of(arg, rename_all), &arg.ty)).collect();
        let known = !named.is_empty() && !named.iter().any(|(member, _)| member.flattened);
        let members = named.iter().filter(|(member, _)| !member.skipped).map(|(member, ty)| {
            let Member { name, may_be_absent, as_its_type, .. } = member;
            let schema = if *as_its_type {
                quote!(#private::Typed::<#private::Plain<#ty>>::member())
            } else {
                quote!(<#private::KnownMember as ::std::default::Default>::default())
            };
            quote!((#name, #schema, #may_be_absent))
        });
        let members = known.then(|| quote!(#private::KnownSchema::object([#(#members),*])));
        let params = extracted.chain(members);
        let result = match &self.output {
            Some(ty) => quote!(#private::Typed::<#ty>::schema()),
            None => quote!(<#private::KnownSchema as ::std::default::Default>::default()),
        };
        let with_trait = quote! {
            #[allow(unused_imports, reason = "for types without a schema")]
            use #private::NoSchema as _;
        };
        quote!(.known_schemas({ #with_trait [#(#params),*] }, { #with_trait #result }))
    }

    /// Adds the event listener to `service`.
    pub(crate) fn event(
        &self,
        options: &EventOptions,
        params: Option<&Ident>,
        root: &Path,
    ) -> TokenStream {
        let handler = self.handler(params, root);
        let EventOptions { name, calls, .. } = options;
        self.step(&quote!(event(#root::Event::from_fn(#name, #handler) #calls)))
    }

    /// Adds a hook before the actions that `names` fits.
    pub(crate) fn before(&self, names: &str, root: &Path) -> Result<TokenStream> {
        if let Some(arg) = self.args.iter().find(|arg| arg.named().is_some()) {
            let message = "a hook has no named arguments, since it may run for several actions; take `Params<T>`";
            return Err(Error::new_spanned(arg, message));
        }
        let handler = self.handler(None, root);
        Ok(self.step(&quote!(before(#names, #root::__private::before(#handler)))))
    }

    /// Adds a hook after the actions that `names` fits.
    pub(crate) fn after(&self, names: &str, root: &Path) -> Result<TokenStream> {
        let hook = self.after_hook(root)?;
        Ok(self.step(&quote!(after(#names, #hook))))
    }

    fn after_hook(&self, root: &Path) -> Result<TokenStream> {
        let (extracted, result) =
            self.last_argument("an after hook's last argument is the result of the action")?;
        let value = Ident::new("result", hygienic(result.span()));
        let take = quote_spanned! {hygienic(result.span())=>
            let #value = <#result as #root::FromBody>::from_body(#value)?;
        };
        let start = self.start(extracted, &take, Some(&value), root);
        Ok(quote_spanned! {Span::mixed_site()=>
            #root::__private::after(
                |ctx: #root::Context, result: #root::Body, this: &::std::sync::Arc<Self>| { #start }
            )
        })
    }

    /// Adds a hook for errors of the actions that `names` fits.
    pub(crate) fn on_error(&self, names: &str, root: &Path) -> Result<TokenStream> {
        let hook = self.error_hook(root)?;
        Ok(self.step(&quote!(on_error(#names, #hook))))
    }

    /// The method as something that gets an error.
    pub(crate) fn error_hook(&self, root: &Path) -> Result<TokenStream> {
        let (extracted, error) =
            self.last_argument("the last argument of what handles an error is the `Error`")?;
        let value = Ident::new("error", hygienic(error.span()));
        // Another type is an error there.
        let take = quote_spanned!(hygienic(error.span())=> let #value: #error = #value;);
        let start = self.start(extracted, &take, Some(&value), root);
        Ok(quote_spanned! {Span::mixed_site()=>
            #root::__private::on_error(
                |ctx: #root::Context, error: #root::Error, this: &::std::sync::Arc<Self>| { #start }
            )
        })
    }

    fn last_argument(&self, missing: &str) -> Result<(&[Arg], &Type)> {
        match self.args.split_last() {
            Some((Arg::Extracted(last), others)) => Ok((others, last)),
            _ => Err(Error::new(self.name.span(), missing)),
        }
    }

    /// Adds the lifecycle handler to `service`; `moment` is the builder's method.
    pub(crate) fn lifecycle(&self, moment: &str, root: &Path) -> TokenStream {
        let (names, takes) = self.lifecycle_args(root);
        let run = self.run(&names);
        let handler = quote_spanned! {hygienic(self.name.span())=>
            |service: #root::ServiceHandle, this: ::std::sync::Arc<Self>| {
                #takes
                #run
            }
        };
        let moment = Ident::new(moment, Span::mixed_site());
        self.step(&quote!(#moment(#handler)))
    }

    /// Adds the handler that runs when the broker takes the service.
    pub(crate) fn created(&self, root: &Path) -> TokenStream {
        let (names, takes) = self.lifecycle_args(root);
        let method = &self.name;
        let handler = quote_spanned! {hygienic(self.name.span())=>
            |service: &#root::ServiceHandle, this: &::std::sync::Arc<Self>| {
                #takes
                Self::#method(this #(, #names)*)
            }
        };
        self.step(&quote!(created(#handler)))
    }

    /// Adds the handler that sees the service after its mixins are merged.
    pub(crate) fn merged(&self, root: &Path) -> Result<TokenStream> {
        let [Arg::Extracted(service)] = &*self.args else {
            let message = "a `#[merged]` handler takes `&self` and `&mut Service`";
            return Err(Error::new(self.name.span(), message));
        };
        let method = &self.name;
        // Another type is an error there.
        let typed = quote_spanned!(hygienic(service.span())=> let service: #service = service;);
        let handler = quote_spanned! {hygienic(self.name.span())=>
            move |service: &mut #root::Service| {
                #typed
                Self::#method(&this, service);
            }
        };
        let this =
            quote_spanned!(Span::mixed_site()=> let this = ::std::clone::Clone::clone(&state););
        Ok(self.step(&quote!(merged({ #this #handler }))))
    }

    fn lifecycle_args(&self, root: &Path) -> (Vec<Ident>, TokenStream) {
        let names = self.arg_names();
        let args = self.args.iter().filter_map(Arg::extracted);
        let takes = names.iter().zip(args).map(|(name, arg)| {
            quote_spanned! {hygienic(arg.span())=>
                let #name = <#arg as #root::__private::LifecycleArg>::take(&service);
            }
        });
        let takes = takes.collect();
        (names, takes)
    }

    fn arg_names(&self) -> Vec<Ident> {
        let name = |n| format_ident!("arg{n}", span = Span::mixed_site());
        (0..self.args.len()).map(name).collect()
    }

    fn step(&self, builder_call: &TokenStream) -> TokenStream {
        let cfg = &self.cfg;
        quote_spanned! {Span::mixed_site()=>
            #(#cfg)*
            let service = service.#builder_call;
        }
    }

    /// Takes the arguments from the context, then starts the method: as the
    /// handlers that core makes of plain functions. `params` is the struct of
    /// the named arguments.
    fn handler(&self, params: Option<&Ident>, root: &Path) -> TokenStream {
        let extracted = self.args.iter().filter_map(Arg::extracted);
        let takes_params = extracted
            .map(|ty| quote!(<#ty as #root::FromContext<::std::sync::Arc<Self>>>::TAKES_PARAMS));
        let named = params.map(|_| quote!(true)).into_iter();
        let once = quote_spanned! {Span::mixed_site()=>
            const { #root::__private::assert_params_once(&[#(#named,)* #(#takes_params),*]) }
        };
        let take = params.map(|params| {
            quote_spanned! {Span::mixed_site()=>
                let #root::Params(params) = <#root::Params<#params> as #root::FromContext<
                    ::std::sync::Arc<Self>,
                >>::from_context(&ctx, this)?;
            }
        });
        let start = self.start(&self.args, &take.unwrap_or_default(), None, root);
        quote_spanned! {Span::mixed_site()=>
            |ctx: #root::Context, this: &::std::sync::Arc<Self>| { #once; #start }
        }
    }

    /// Takes `args`, does what `more` says, and runs the method with them and
    /// with `last`.
    fn start(
        &self,
        args: &[Arg],
        more: &TokenStream,
        last: Option<&Ident>,
        root: &Path,
    ) -> TokenStream {
        let names = self.arg_names();
        let takes = names.iter().zip(args).map(|(name, arg)| match arg {
            Arg::Extracted(ty) => quote_spanned! {hygienic(ty.span())=>
                let #name = <#ty as #root::FromContext<::std::sync::Arc<Self>>>::from_context(&ctx, this)?;
            },
            Arg::Named(arg) => {
                let member = &arg.name;
                quote_spanned!(Span::mixed_site()=> let #name = params.#member;)
            }
        });
        let run = self.run(names.iter().take(args.len()).chain(last));
        // What is wrong with the result or the future is told at the method's name.
        let place = hygienic(self.name.span());
        let run_handler = located(&quote!(#root::__private::run_handler), place);
        quote_spanned! {place=>
            #run_handler(move || {
                #more
                #(#takes)*
                let this = ::std::clone::Clone::clone(this);
                ::std::result::Result::Ok(#run)
            })
        }
    }

    /// The method's future.
    fn run<'a>(&self, args: impl IntoIterator<Item = &'a Ident>) -> TokenStream {
        let name = &self.name;
        let args = args.into_iter();
        quote_spanned!(hygienic(name.span())=> async move { Self::#name(&this #(, #args)*).await })
    }
}

pub(crate) fn is_cfg(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
}

fn check_signature(signature: &Signature, role: Role) -> Result<()> {
    match (role, &signature.asyncness) {
        (Role::Created | Role::Merged, Some(keyword)) => {
            let message =
                "this handler waits for nothing; leave `async` out, or make it `#[started]`";
            return Err(Error::new(keyword.span, message));
        }
        (Role::Created | Role::Merged, None) | (_, Some(_)) => {}
        (_, None) => {
            let message = "a handler is an `async fn`; add `async`";
            return Err(Error::new(signature.fn_token.span, message));
        }
    }
    let by_reference = signature
        .receiver()
        .is_some_and(|receiver| receiver.reference.is_some() && receiver.mutability.is_none());
    if !by_reference {
        let place = signature
            .receiver()
            .map_or_else(|| signature.ident.to_token_stream(), ToTokens::to_token_stream);
        let message = "a handler takes `&self`; many run at once, so what they change goes behind a lock or an atomic";
        return Err(Error::new_spanned(place, message));
    }
    let generic = |param: &&GenericParam| !matches!(param, GenericParam::Lifetime(_));
    if let Some(param) = signature.generics.params.iter().find(generic) {
        let message = "a handler has no type parameters; the broker could not choose the types";
        return Err(Error::new_spanned(param, message));
    }
    if role != Role::Merged && matches!(signature.output, ReturnType::Default) {
        let message = "a handler returns `Result<T, E>`, for example `Result<()>`";
        return Err(Error::new(signature.ident.span(), message));
    }
    Ok(())
}
