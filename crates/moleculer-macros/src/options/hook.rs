//! The names in `#[before(..)]`, `#[after(..)]` and `#[on_error(..)]`.

use syn::{
    Attribute, Error, LitStr, Result, Token,
    parse::{ParseStream, Parser},
    punctuated::Punctuated,
};

use super::{
    read::{arguments, not_empty},
    suggest::closest,
};

/// For which actions a hook runs; none for all.
pub(crate) struct HookOptions(Vec<LitStr>);

impl HookOptions {
    pub(crate) fn parse(attribute: &Attribute) -> Result<Self> {
        let parse =
            |input: ParseStream<'_>| Punctuated::<LitStr, Token![,]>::parse_terminated(input);
        let names = parse.parse2(arguments(attribute)?).map_err(|error| {
            let message = "expected names of actions, as in `(\"get\", \"list\")`, or none for all";
            Error::new(error.span(), message)
        })?;
        names.into_iter().map(not_empty).collect::<Result<_>>().map(Self)
    }

    /// As the builder takes them.
    pub(crate) fn pattern(&self) -> String {
        if self.0.is_empty() {
            return String::from("*");
        }
        self.0.iter().map(LitStr::value).collect::<Vec<_>>().join("|")
    }

    /// The names must be actions of the block, which is where all come from.
    pub(crate) fn check(&self, actions: &[String]) -> Result<()> {
        let actions: Vec<_> = actions.iter().map(String::as_str).collect();
        for name in &self.0 {
            let typed = name.value();
            let pattern = typed.contains(['*', '?', '|']);
            if pattern || actions.contains(&&*typed) {
                continue;
            }
            let meant = closest(&typed, &actions).map(|name| format!("did you mean `{name}`? "));
            let message = format!(
                "there is no action `{typed}`; {}the actions are: {}",
                meant.unwrap_or_default(),
                actions.join(", ")
            );
            return Err(Error::new(name.span(), message));
        }
        Ok(())
    }
}
