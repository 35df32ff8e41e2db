//! A method that the broker calls, and the builder call that adds it.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, GenericParam, Ident, ImplItemFn, Lit, LitStr, Path,
    Result, ReturnType, Signature, Type, spanned::Spanned,
};

use crate::{
    options::{ActionOptions, EventOptions},
    service::is_cfg,
};

/// A method with a signature that a handler can have.
pub(crate) struct Method {
    pub(crate) name: Ident,
    /// The conditions under which it is compiled.
    pub(crate) cfg: Vec<Attribute>,
    /// Types of the arguments after `&self`.
    args: Vec<Type>,
    /// First paragraph of the documentation.
    documentation: Option<String>,
}

impl Method {
    pub(crate) fn new(item: &ImplItemFn) -> Result<Self> {
        check_signature(&item.sig)?;
        let args = item.sig.inputs.iter().filter_map(|arg| match arg {
            FnArg::Receiver(_) => None,
            FnArg::Typed(arg) => Some(owned(&arg.ty)),
        });
        Ok(Self {
            name: item.sig.ident.clone(),
            cfg: item.attrs.iter().filter(|a| is_cfg(a)).cloned().collect(),
            args: args.collect::<Result<_>>()?,
            documentation: first_paragraph(&item.attrs),
        })
    }

    /// Adds the action to `service`.
    pub(crate) fn action(
        &self,
        name: &LitStr,
        options: &ActionOptions,
        root: &Path,
    ) -> TokenStream {
        let handler = self.handler(root);
        let calls = options.builder_calls(root, self.documentation.as_deref());
        self.step(&quote!(action(#root::Action::from_fn(#name, #handler) #calls)))
    }

    /// Adds the event listener to `service`.
    pub(crate) fn event(&self, options: &EventOptions, root: &Path) -> TokenStream {
        let handler = self.handler(root);
        let (name, calls) = options.builder_calls();
        self.step(&quote!(event(#root::Event::from_fn(#name, #handler) #calls)))
    }

    /// Adds the lifecycle handler to `service`; `moment` is the builder's method.
    pub(crate) fn lifecycle(&self, moment: &Ident, root: &Path) -> Result<TokenStream> {
        if let Some(further) = self.args.get(1) {
            let message = format!(
                "a `#[{moment}]` handler takes `&self` and, if it needs it, the `ServiceBroker`"
            );
            return Err(Error::new_spanned(further, message));
        }
        let broker = Ident::new("broker", Span::mixed_site());
        let typed = self.args.first().map(|arg| {
            // Another type is an error there.
            quote_spanned!(hygienic(arg.span())=> let broker: #arg = service.broker().clone();)
        });
        let args = typed.is_some().then_some(&broker);
        let run = self.run(args);
        let handler = quote_spanned! {hygienic(self.name.span())=>
            |service: #root::ServiceHandle, this: ::std::sync::Arc<Self>| {
                #typed
                #run
            }
        };
        Ok(self.step(&quote!(#moment(#handler))))
    }

    fn step(&self, builder_call: &TokenStream) -> TokenStream {
        let cfg = &self.cfg;
        quote_spanned! {Span::mixed_site()=>
            #(#cfg)*
            let service = service.#builder_call;
        }
    }

    /// Takes the arguments from the context, then starts the method: as the
    /// handlers that core makes of plain functions.
    fn handler(&self, root: &Path) -> TokenStream {
        let names: Vec<_> = (0..self.args.len())
            .map(|n| format_ident!("arg{n}", span = Span::mixed_site()))
            .collect();
        let takes = names.iter().zip(&self.args).map(|(name, arg)| {
            quote_spanned! {hygienic(arg.span())=>
                let #name = <#arg as #root::FromContext<::std::sync::Arc<Self>>>::from_context(&ctx, this)?;
            }
        });
        let run = self.run(&names);
        // What is wrong with the result or the future is told at the method's name.
        let place = hygienic(self.name.span());
        let run_handler = located(&quote!(#root::__private::run_handler), place);
        let start = quote_spanned! {place=>
            #run_handler(move || {
                #(#takes)*
                let this = ::std::clone::Clone::clone(this);
                ::std::result::Result::Ok(#run)
            })
        };
        quote_spanned! {Span::mixed_site()=>
            |ctx: #root::Context, this: &::std::sync::Arc<Self>| { #start }
        }
    }

    /// The method's future.
    fn run<'a>(&self, args: impl IntoIterator<Item = &'a Ident>) -> TokenStream {
        let name = &self.name;
        let args = args.into_iter();
        quote_spanned!(hygienic(name.span())=> async move { Self::#name(&this #(, #args)*).await })
    }
}

/// A place in the user's code, with names that cannot meet the user's.
pub(crate) fn hygienic(place: Span) -> Span {
    Span::mixed_site().located_at(place)
}

/// Code that errors show at a place in the user's code.
fn located(code: &TokenStream, place: Span) -> TokenStream {
    let tokens = code.clone().into_iter().map(|mut token| {
        token.set_span(token.span().located_at(place));
        token
    });
    tokens.collect()
}

fn check_signature(signature: &Signature) -> Result<()> {
    if signature.asyncness.is_none() {
        let message = "a handler is an `async fn`; add `async`";
        return Err(Error::new(signature.fn_token.span, message));
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
    if matches!(signature.output, ReturnType::Default) {
        let message = "a handler returns `Result<T, E>`, for example `Result<()>`";
        return Err(Error::new(signature.ident.span(), message));
    }
    Ok(())
}

fn owned(arg: &Type) -> Result<Type> {
    match arg {
        Type::Reference(reference) => {
            let message = format!(
                "a handler owns its arguments; take `{}` without `&`",
                reference.elem.to_token_stream()
            );
            Err(Error::new_spanned(arg, message))
        }
        Type::ImplTrait(_) => {
            let message = "a handler has no type parameters; the broker could not choose the types";
            Err(Error::new_spanned(arg, message))
        }
        _ => Ok(arg.clone()),
    }
}

/// The first paragraph of a documentation, on one line.
fn first_paragraph(attributes: &[Attribute]) -> Option<String> {
    let lines = attributes.iter().filter_map(|attribute| {
        let meta = attribute.meta.require_name_value().ok()?;
        match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if meta.path.is_ident("doc") => {
                Some(text.value())
            }
            _ => None,
        }
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let lines = text.lines().map(str::trim);
    let paragraph = lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    let paragraph = paragraph.collect::<Vec<_>>().join(" ");
    (!paragraph.is_empty()).then_some(paragraph)
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn the_description_is_the_first_paragraph() {
        let check = |item: ImplItemFn, expected| {
            assert_eq!(first_paragraph(&item.attrs).as_deref(), expected);
        };
        check(
            parse_quote!(
                fn f() {}
            ),
            None,
        );
        check(
            parse_quote! {
                /// Returns one post
                ///   by its key.
                #[must_use]
                ///
                /// # Errors
                fn f() {}
            },
            Some("Returns one post by its key."),
        );
        check(
            parse_quote! {
                #[doc = "\n  Two\n  lines\n\n  Rest"]
                #[doc(hidden)]
                fn f() {}
            },
            Some("Two lines"),
        );
    }
}
