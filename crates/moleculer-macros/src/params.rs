//! The struct of an action's or event's named arguments.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, Ident, LitStr, Path, Result, ext::IdentExt, spanned::Spanned};

use crate::{
    args::{Arg, NamedArg, is_option},
    block::Surroundings,
    method::Method,
    names::Names,
    serde_names::Member,
    span::hygienic,
};

/// A struct for the params of a method that names them.
pub(crate) struct ParamsStruct {
    pub(crate) name: Ident,
    pub(crate) tokens: TokenStream,
}

impl ParamsStruct {
    /// None if no argument is named.
    pub(crate) fn new(
        method: &Method,
        used_by: &str,
        rename_all: Option<&LitStr>,
        around: &Surroundings<'_>,
    ) -> Result<Option<Self>> {
        let Surroundings { names, root, visibility, .. } = around;
        let args: Vec<_> = method.args.iter().filter_map(Arg::named).collect();
        if args.is_empty() {
            return match rename_all {
                None => Ok(None),
                Some(rename) => {
                    let message = "`rename_all` is for named arguments; this method has none";
                    Err(Error::new(rename.span(), message))
                }
            };
        }
        let method_name = upper_camel(&method.name.unraw().to_string());
        let name =
            format_ident!("{}{method_name}Params", names.type_name, span = method.name.span());
        let fields = args.iter().map(|arg| field(arg, names));
        let fields = fields.collect::<Result<Vec<_>>>()?;
        let by_type = args.iter().filter(|arg| Member::of(arg, None).is_read_as_its_type());
        let known = by_type.map(|arg| {
            let ty = names.outside(&arg.ty, "")?;
            Ok(quote_spanned! {hygienic(arg.ty.span())=>
                const _: fn() = #root::__private::named_argument::<#ty>;
            })
        });
        let known = known.collect::<Result<TokenStream>>()?;
        let serde = serde_path(root);
        let rename_all = rename_all.map(|case| quote!(#[serde(rename_all = #case)])).into_iter();
        let doc = format!(" Params of {used_by}.");
        let cfg = &method.cfg;
        // What is wrong with all of it is told at the method.
        let place = Span::call_site().located_at(method.name.span());
        let tokens = quote_spanned! {place=>
            // Before the derives, which have more to say about the same.
            #(#cfg)*
            const _: () = { #known };

            #(#cfg)*
            #[doc = #doc]
            #[derive(
                ::std::clone::Clone, ::std::fmt::Debug,
                #root::__private::serde::Serialize, #root::__private::serde::Deserialize,
            )]
            #[serde(crate = #serde)]
            #(#rename_all)*
            #[allow(
                dead_code, missing_docs, private_interfaces, unreachable_pub, unnameable_types,
                non_snake_case,
                reason = "what is wrong with it is told at the method"
            )]
            #visibility struct #name { #(#fields),* }
        };
        Ok(Some(Self { name, tokens }))
    }
}

fn field(arg: &NamedArg, names: &Names) -> Result<TokenStream> {
    let NamedArg { name, ty, attrs } = arg;
    let ty = names.outside(ty, "take `Params<T>` with a type of your own")?;
    // Absent for the callee, as for validators, which take null for a value.
    let skip = (is_option(&arg.ty) && !Member::of(arg, None).written_as_told)
        .then(|| quote!(#[serde(skip_serializing_if = "::std::option::Option::is_none")]));
    Ok(quote!(#(#attrs)* #skip pub #name: #ty))
}

/// Where serde is found, as its attribute wants it.
fn serde_path(root: &Path) -> LitStr {
    let segments = root.segments.iter().map(|segment| segment.ident.to_string());
    let path = segments.collect::<Vec<_>>().join("::");
    let colons = if root.leading_colon.is_some() { "::" } else { "" };
    LitStr::new(&format!("{colons}{path}::__private::serde"), Span::call_site())
}

/// `get_by_id` becomes `GetById`.
fn upper_camel(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        first.chain(letters).collect::<String>()
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_methods_become_parts_of_types() {
        let check = |name, expected| assert_eq!(upper_camel(name), expected);
        check("get", "Get");
        check("get_by_id", "GetById");
        check("getById", "GetById");
        check("_x", "X");
    }
}
