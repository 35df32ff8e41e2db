//! What serde's attributes say of a member, as far as a schema has to know.

use proc_macro2::TokenStream;
use syn::{Ident, LitStr, Token, ext::IdentExt, meta::ParseNestedMeta};

use crate::args::{NamedArg, is_option};

/// A member of params on the wire.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) may_be_absent: bool,
    /// Whether it is written as its type says.
    pub(crate) as_its_type: bool,
    pub(crate) skipped: bool,
    /// Whether an attribute says how it is written, or when not.
    pub(crate) written_as_told: bool,
    /// Whether its own members stand in its place.
    pub(crate) flattened: bool,
}

impl Member {
    pub(crate) fn of(arg: &NamedArg, rename_all: Option<&LitStr>) -> Self {
        let case = rename_all.map(LitStr::value);
        let mut member = Self {
            name: in_case(&arg.name, case.as_deref()),
            may_be_absent: is_option(&arg.ty),
            as_its_type: true,
            skipped: false,
            written_as_told: false,
            flattened: false,
        };
        for attr in arg.attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
            // What is wrong with it, serde tells.
            attr.parse_nested_meta(|meta| member.take(&meta)).unwrap_or_default();
        }
        member
    }

    /// Whether its type has to be one that serde can read.
    pub(crate) const fn is_read_as_its_type(&self) -> bool {
        self.as_its_type && !self.skipped
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let key = meta.path.get_ident().map(Ident::to_string).unwrap_or_default();
        self.written_as_told |= key.starts_with("skip")
            || ["with", "serialize_with", "deserialize_with", "flatten"].contains(&&*key);
        match key.as_str() {
            "rename" if meta.input.peek(Token![=]) => {
                self.name = meta.value()?.parse::<LitStr>()?.value();
                return Ok(());
            }
            "rename" => {
                return meta.parse_nested_meta(|side| {
                    let name = side.value()?.parse::<LitStr>()?.value();
                    if side.path.is_ident("deserialize") {
                        self.name = name;
                    }
                    Ok(())
                });
            }
            "default" => self.may_be_absent = true,
            "skip" | "skip_deserializing" => self.skipped = true,
            "flatten" => self.flattened = true,
            "with" | "deserialize_with" => self.as_its_type = false,
            _ => {}
        }
        if meta.input.peek(Token![=]) {
            meta.value()?.parse::<LitStr>()?;
        } else if meta.input.peek(syn::token::Paren) {
            let content;
            syn::parenthesized!(content in meta.input);
            content.parse::<TokenStream>()?;
        }
        Ok(())
    }
}

/// As serde renames fields.
fn in_case(name: &Ident, case: Option<&str>) -> String {
    let name = name.unraw().to_string();
    let pascal = || {
        let words = name.split('_').map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        });
        words.collect::<String>()
    };
    match case {
        Some("PascalCase") => pascal(),
        Some("camelCase") => {
            let pascal = pascal();
            let mut letters = pascal.chars();
            let first = letters.next().map(|letter| letter.to_ascii_lowercase());
            first.into_iter().chain(letters).collect()
        }
        Some("kebab-case") => name.replace('_', "-"),
        Some("SCREAMING_SNAKE_CASE") => name.to_ascii_uppercase(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use syn::{Attribute, parse_quote};

    use super::*;

    #[test]
    fn names_are_written_as_serde_writes_them() {
        let check = |case, expected| {
            assert_eq!(in_case(&parse_quote!(sort_by), case), expected);
        };
        check(None, "sort_by");
        check(Some("camelCase"), "sortBy");
        check(Some("PascalCase"), "SortBy");
        check(Some("kebab-case"), "sort-by");
        check(Some("SCREAMING_SNAKE_CASE"), "SORT_BY");
    }

    #[test]
    fn attributes_of_serde_are_understood() {
        let member = |attrs: Vec<Attribute>| {
            let arg = NamedArg { name: parse_quote!(r#type), ty: parse_quote!(u64), attrs };
            Member::of(&arg, None)
        };
        let plain = member(Vec::new());
        assert_eq!((plain.name.as_str(), plain.may_be_absent), ("type", false));
        let renamed = member(vec![parse_quote!(#[serde(default = "ten", rename = "kind")])]);
        assert_eq!((renamed.name.as_str(), renamed.may_be_absent), ("kind", true));
        let sides = member(vec![
            parse_quote!(#[serde(rename(serialize = "a", deserialize = "b"), with = "x")]),
        ]);
        assert_eq!((sides.name.as_str(), sides.as_its_type), ("b", false));
        assert!(member(vec![parse_quote!(#[serde(bound(serialize = "T: X"), flatten)])]).flattened);
        assert!(member(vec![parse_quote!(#[serde(skip)])]).skipped);
        let told = |attr: Attribute| member(vec![attr]).written_as_told;
        assert!(told(parse_quote!(#[serde(skip_serializing_if = "is_none")])));
        assert!(told(parse_quote!(#[serde(default, serialize_with = "x")])));
        assert!(!told(parse_quote!(#[serde(rename = "withSkipped")])));
        assert!(!told(parse_quote!(#[doc = "skipped with what is flatten"])));
    }
}
