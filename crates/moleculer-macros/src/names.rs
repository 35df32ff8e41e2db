//! The block's type and its generics, as items beside the block see them.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Error, GenericParam, Generics, Ident, Result, Type, ext::IdentExt};

/// What items that stand beside a block have to know of it.
pub(crate) struct Names {
    /// The type's or trait's own name.
    pub(crate) type_name: String,
    generics: Vec<String>,
    /// What `Self` stands for; nothing in a trait.
    self_type: Option<TokenStream>,
}

impl Names {
    pub(crate) fn new(type_name: &Ident, generics: &Generics, self_type: Option<&Type>) -> Self {
        let generics = generics.params.iter().map(|param| match param {
            GenericParam::Type(param) => param.ident.to_string(),
            GenericParam::Const(param) => param.ident.to_string(),
            GenericParam::Lifetime(param) => param.lifetime.to_string(),
        });
        Self {
            type_name: type_name.unraw().to_string(),
            generics: generics.collect(),
            self_type: self_type.map(ToTokens::to_token_stream),
        }
    }

    pub(crate) fn has_generics(&self) -> bool {
        !self.generics.is_empty()
    }

    /// A type as it is written beside the block. `instead` says what to do when
    /// it depends on the block's parameters.
    pub(crate) fn outside(&self, ty: &Type, instead: &str) -> Result<TokenStream> {
        self.replaced(ty.to_token_stream(), instead)
    }

    fn replaced(&self, tokens: TokenStream, instead: &str) -> Result<TokenStream> {
        let mut replaced = TokenStream::new();
        let mut lifetime = false;
        for token in tokens {
            let after_quote = std::mem::take(&mut lifetime);
            let token = match token {
                TokenTree::Punct(punct) => {
                    lifetime = punct.as_char() == '\'';
                    TokenTree::Punct(punct)
                }
                TokenTree::Group(group) => {
                    let inner = self.replaced(group.stream(), instead)?;
                    let mut outer = proc_macro2::Group::new(group.delimiter(), inner);
                    outer.set_span(group.span());
                    TokenTree::Group(outer)
                }
                TokenTree::Ident(ident) => {
                    let name = if after_quote { format!("'{ident}") } else { ident.to_string() };
                    match &self.self_type {
                        Some(ty) if name == "Self" && !self.has_generics() => {
                            replaced.extend(ty.clone());
                            continue;
                        }
                        _ if name == "Self" || self.generics.contains(&name) => {
                            let message = format!(
                                "`{name}` is not known beside the block, where callers look; {instead}"
                            );
                            return Err(Error::new(ident.span(), message));
                        }
                        _ => TokenTree::Ident(ident),
                    }
                }
                literal @ TokenTree::Literal(_) => literal,
            };
            replaced.extend([token]);
        }
        Ok(replaced)
    }
}

/// `UserAccounts` becomes `userAccounts`, `HTTPGateway` becomes `httpGateway`.
pub(crate) fn lower_camel(name: &str) -> String {
    let capitals = name.chars().take_while(|c| c.is_uppercase()).count();
    let starts_word = name.chars().nth(capitals).is_some_and(char::is_lowercase);
    let lowered = if capitals > 1 && starts_word { capitals - 1 } else { capitals };
    let (head, tail) = (name.chars().take(lowered), name.chars().skip(lowered));
    head.flat_map(char::to_lowercase).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

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
    fn types_are_written_as_they_are_known_outside() {
        let name: Ident = parse_quote!(Posts);
        let plain = Names::new(&name, &parse_quote!(), Some(&parse_quote!(a::Posts)));
        let written = plain.outside(&parse_quote!(Vec<[Self; Self::N]>), "").expect("known");
        assert_eq!(written.to_string(), "Vec < [a :: Posts ; a :: Posts :: N] >");

        let generic = Names::new(&name, &parse_quote!(<'a, R>), Some(&parse_quote!(Posts<'a, R>)));
        let check = |ty: Type, expected: &str| {
            let error = generic.outside(&ty, "do that").expect_err("not known").to_string();
            assert!(error.contains(expected) && error.ends_with("do that"), "{error}");
        };
        check(parse_quote!(Vec<R>), "`R` is not known");
        check(parse_quote!(Self), "`Self` is not known");
        check(parse_quote!(Cow<'a, str>), "`'a` is not known");
        assert!(generic.outside(&parse_quote!(Vec<a::Row>), "").is_ok());
    }
}
