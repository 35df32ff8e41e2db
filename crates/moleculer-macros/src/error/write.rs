//! The implementations that are derived.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Ident, Path, Type, spanned::Spanned};

use super::{Content, ErrorEnum, Member, Other, Raised};
use crate::span::hygienic;

impl ErrorEnum {
    pub(super) fn expand(&self) -> TokenStream {
        let (raises, restores) = (self.raises(), self.restores());
        let described = self.described().then(|| self.standard_error());
        quote! {
            const _: () = {
                #raises
                #restores
                #described
            };
        }
    }

    /// Whether the messages are here, and not in an implementation of `Display`.
    fn described(&self) -> bool {
        self.raised.iter().all(|raised| raised.message.is_some())
    }

    fn raises(&self) -> TokenStream {
        let Self { name, root, raised, other } = self;
        let arms = raised.iter().map(|raised| raised.raise(name, root));
        let (variant, held) = (&other.variant, other.held());
        quote_spanned! {Span::mixed_site()=>
            #[automatically_derived]
            impl ::core::convert::From<#name> for #root::Error {
                fn from(error: #name) -> Self {
                    match error {
                        #(#arms)*
                        #name::#variant(#held) => #held,
                    }
                }
            }
        }
    }

    fn restores(&self) -> TokenStream {
        let Self { name, root, raised, other } = self;
        let arms = raised.iter().map(Raised::restore);
        let (variant, held) = (&other.variant, other.held());
        quote_spanned! {Span::mixed_site()=>
            #[automatically_derived]
            impl ::core::convert::From<#root::Error> for #name {
                fn from(error: #root::Error) -> Self {
                    let data = #root::__private::ErrorData::of(&error);
                    let restored = match error.r#type() {
                        #(#arms)*
                        _ => ::core::option::Option::None,
                    };
                    match restored {
                        ::core::option::Option::Some(restored) => restored,
                        ::core::option::Option::None => Self::#variant(#held),
                    }
                }
            }
        }
    }

    fn standard_error(&self) -> TokenStream {
        let Self { name, other, raised, .. } = self;
        let arms = raised.iter().map(Raised::display);
        let (variant, held) = (&other.variant, other.held());
        let without_source =
            (!raised.is_empty()).then(|| quote!(_ => ::core::option::Option::None,));
        quote_spanned! {Span::mixed_site()=>
            #[automatically_derived]
            impl ::core::fmt::Display for #name {
                fn fmt(&self, out: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    match self {
                        #(#arms)*
                        Self::#variant(#held) => ::core::fmt::Display::fmt(#held, out),
                    }
                }
            }

            #[automatically_derived]
            impl ::core::error::Error for #name {
                fn source(&self) -> ::core::option::Option<&(dyn ::core::error::Error + 'static)> {
                    match self {
                        Self::#variant(#held) => ::core::error::Error::source(#held),
                        #without_source
                    }
                }
            }
        }
    }
}

impl Other {
    /// The variable `error`, which the compiler shows at the field if that
    /// is no error.
    fn held(&self) -> Ident {
        Ident::new("error", hygienic(self.field))
    }
}

impl Raised {
    /// The arm that makes an error of the variant.
    fn raise(&self, name: &Ident, root: &Path) -> TokenStream {
        let Self { variant, code, r#type, retryable, content, .. } = self;
        let raised = quote_spanned! {Span::mixed_site()=>
            #root::__private::RaisedError::new(#code, #r#type, #retryable, error)
        };
        let (pattern, calls) = match content {
            Content::Nothing => (quote!({ .. }), quote!()),
            Content::Value(_) => {
                let field = binding(0);
                (quote!((ref #field)), quote!(.content(#field)))
            }
            Content::Members(members) => {
                let bound = members.iter().enumerate().map(|(n, member)| {
                    let (field, bound) = (&member.field, binding(n));
                    quote!(#field: ref #bound)
                });
                let calls = members.iter().enumerate().map(|(n, member)| {
                    let (key, bound) = (&member.key, binding(n));
                    quote_spanned!(hygienic(member.ty.span())=> .member(#key, #bound))
                });
                (quote!({ #(#bound),* }), quote!(#(#calls)*))
            }
        };
        quote_spanned! {Span::mixed_site()=>
            ref error @ #name::#variant #pattern => #raised #calls.into_error(),
        }
    }

    /// The arm that reads the variant from an error's data.
    fn restore(&self) -> TokenStream {
        let Self { variant, r#type, content, .. } = self;
        let read = |ty: &Type, call: TokenStream| quote_spanned!(hygienic(ty.span())=> data.#call?);
        let content = match content {
            Content::Nothing => quote!({}),
            Content::Value(ty) => {
                let value = read(ty, quote!(content::<#ty>()));
                quote!({ 0: #value })
            }
            Content::Members(members) => {
                let members = members.iter().map(|Member { field, key, ty }| {
                    let value = read(ty, quote!(member::<#ty>(#key)));
                    quote!(#field: #value)
                });
                quote!({ #(#members),* })
            }
        };
        quote_spanned! {Span::mixed_site()=>
            ::core::option::Option::Some(#r#type) => {
                (|| ::core::option::Option::Some(Self::#variant #content))()
            }
        }
    }

    fn display(&self) -> TokenStream {
        let Self { variant, message, content, .. } = self;
        let pattern = match content {
            Content::Nothing => quote!({ .. }),
            Content::Value(_) => {
                let field = binding(0);
                quote!((#field))
            }
            Content::Members(members) => {
                let fields = members.iter().map(|member| &member.field);
                quote!({ #(#fields),* })
            }
        };
        let positional = match (content, message) {
            (Content::Value(_), Some(message)) if is_positional(&message.value()) => {
                let field = binding(0);
                Some(quote!(, #field))
            }
            _ => None,
        };
        quote_spanned! {Span::mixed_site()=>
            #[allow(unused_variables, reason = "a message need not speak of all members")]
            Self::#variant #pattern => ::core::write!(out, #message #positional),
        }
    }
}

fn binding(n: usize) -> Ident {
    format_ident!("field{n}", span = Span::mixed_site())
}

/// Whether a format string speaks of `{0}` or `{}`.
fn is_positional(message: &str) -> bool {
    let plain = message.replace("{{", "");
    ["{}", "{:", "{0}", "{0:"].iter().any(|argument| plain.contains(argument))
}

#[cfg(test)]
mod tests {
    use super::is_positional;

    #[test]
    fn only_arguments_of_a_message_are_passed_to_it() {
        for message in ["{}", "got {0}", "{:?}", "{0:>5}", "{{ {0}"] {
            assert!(is_positional(message), "{message}");
        }
        for message in ["none", "{{}}", "{{0}}", "{name}"] {
            assert!(!is_positional(message), "{message}");
        }
    }
}
