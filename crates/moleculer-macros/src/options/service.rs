//! The options of `#[service]`.

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Error, Expr, Ident, Lit, LitBool, LitStr, Path, Result, Token, Visibility,
    meta::ParseNestedMeta,
    parenthesized,
    parse::{Parse, ParseStream, Parser},
    parse_quote,
    punctuated::Punctuated,
};

use super::{
    action::ActionOptions,
    event::EventOptions,
    members::Source,
    read::{in_parentheses, integer, list, read_options, text, texts, value, word},
};

const VALID: [&str; 11] = [
    "name",
    "version",
    "dependencies",
    "settings",
    "metadata",
    "mixins",
    "without",
    "actions",
    "events",
    "client",
    "crate",
];

/// What the attribute of the block says.
#[derive(Default)]
pub(crate) struct ServiceOptions {
    pub(crate) name: Option<LitStr>,
    version: Option<Version>,
    dependencies: Vec<LitStr>,
    settings: Option<Source>,
    metadata: Option<Source>,
    mixins: Vec<Expr>,
    without: Vec<LitStr>,
    actions: Vec<(LitStr, TokenStream)>,
    events: Vec<(LitStr, TokenStream)>,
    pub(crate) client: ClientChoice,
    root: Option<Path>,
    /// Whether they could not be read, so that nothing can be made of them.
    pub(crate) broken: bool,
}

struct Version {
    value: TokenStream,
    prefix: String,
}

/// Whether and how the client is defined.
#[derive(Default)]
pub(crate) struct ClientChoice {
    pub(crate) off: bool,
    pub(crate) visibility: Option<Visibility>,
    pub(crate) name: Option<Ident>,
}

impl ServiceOptions {
    /// Options that could not be read.
    pub(crate) fn broken() -> Self {
        Self { broken: true, ..Self::default() }
    }

    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut options = Self::default();
        read_options(tokens, &VALID, |key, meta| options.take(key, meta))?;
        Ok(options)
    }

    fn take(&mut self, key: &str, meta: &ParseNestedMeta<'_>) -> Result<()> {
        match key {
            "name" => self.name = Some(text(meta, "name = \"posts\"")?),
            "version" => self.version = Some(version(meta)?),
            "dependencies" => {
                self.dependencies = texts(meta, "dependencies(\"users\", \"v2.mail\")")?;
            }
            "settings" => self.settings = Some(Source::read(meta, "settings(rate = 0.25)")?),
            "metadata" => self.metadata = Some(Source::read(meta, "metadata(region = \"eu\")")?),
            "mixins" => self.mixins = list(meta, "mixins(countable(), Audit)", Expr::parse)?,
            "without" => self.without = texts(meta, "without(\"remove\", \"insert\")")?,
            "actions" => self.actions = inherited(meta, "actions(find(timeout = \"2s\"))")?,
            "events" => {
                self.events = inherited(meta, "events(\"users.removed\"(group = \"posts\"))")?;
            }
            "client" => self.client = client(meta)?,
            _ => {
                let example = "crate = moleculer_core";
                self.root = Some(value(meta, example, Path::parse_mod_style)?);
            }
        }
        Ok(())
    }

    /// The crate in which the generated code finds what it names.
    pub(crate) fn root(&self) -> Path {
        let root = self.root.clone();
        root.unwrap_or_else(|| parse_quote!(::moleculer))
    }

    /// Whether all actions are those of the block.
    pub(crate) fn has_mixins(&self) -> bool {
        !self.mixins.is_empty()
    }

    /// The full name of the service, and that of an action before its own name.
    pub(crate) fn full_name(&self, name: &str) -> (String, String) {
        let is_on = |key| match &self.settings {
            Some(Source::Members(members)) => members.is_on(key),
            _ => false,
        };
        let version = self.version.as_ref().filter(|_| !is_on("$noVersionPrefix"));
        let full = version.map_or_else(|| name.to_owned(), |v| format!("{}.{name}", v.prefix));
        let prefix = if is_on("$noServiceNamePrefix") { String::new() } else { format!("{full}.") };
        (full, prefix)
    }

    /// The builder's methods that these options stand for, before the state
    /// is there.
    pub(crate) fn builder_calls(&self, root: &Path) -> TokenStream {
        let version = self.version.iter().map(|version| &version.value);
        let names = &self.dependencies;
        let dependencies = (!names.is_empty()).then(|| quote!(.dependencies([#(#names),*])));
        let settings = self.settings.iter().map(|settings| settings.object(root));
        let metadata = self.metadata.iter().map(|metadata| metadata.object(root));
        let (mixins, without) = (&self.mixins, &self.without);
        quote! {
            #(.version(#version))*
            #dependencies
            #(.settings(#settings))*
            #(.metadata(#metadata))*
            #(.mixin(#mixins))*
            #(.without_action(#without))*
        }
    }

    /// The builder's methods for what is inherited with other options.
    pub(crate) fn inherited(&self, root: &Path) -> Result<TokenStream> {
        let mut calls = TokenStream::new();
        for (name, options) in &self.actions {
            let options = ActionOptions::inherited(options.clone(), root)?;
            calls.extend(quote!(.action(#root::Action::inherited(#name) #options)));
        }
        for (name, options) in &self.events {
            let options = EventOptions::inherited(name.clone(), options.clone(), root)?.calls;
            calls.extend(quote!(.event(#root::Event::inherited(#name) #options)));
        }
        Ok(calls)
    }

    /// For an `impl` block of a trait: what stands on the trait stays there.
    pub(crate) fn check_for_trait_impl(&self) -> Result<()> {
        let at = |place: &dyn ToTokens, option: &str| {
            let message = format!("`{option}` belongs to the `#[service]` of the trait");
            Err(Error::new_spanned(place, message))
        };
        match (&self.name, &self.version) {
            (Some(name), _) => at(name, "name"),
            (None, Some(version)) => at(&version.value, "version"),
            (None, None) => Ok(()),
        }
    }

    /// For a trait: what only an implementation can have.
    pub(crate) fn check_for_trait(&self) -> Result<()> {
        let (place, option): (&dyn ToTokens, _) = if let Some(first) = self.mixins.first() {
            (first, "mixins")
        } else if let Some(first) = self.dependencies.first() {
            (first, "dependencies")
        } else if let Some(first) = self.without.first() {
            (first, "without")
        } else if let Some((first, _)) = self.actions.first() {
            (first, "actions")
        } else if let Some((first, _)) = self.events.first() {
            (first, "events")
        } else {
            return Ok(());
        };
        let message = format!(
            "`{option}` belongs to the `#[service]` of the `impl` block; the trait says what callers see"
        );
        Err(Error::new_spanned(place, message))
    }
}

fn version(meta: &ParseNestedMeta<'_>) -> Result<Version> {
    value(meta, "version = 2` or `version = \"beta\"", |input| match input.parse()? {
        Lit::Str(text) => Ok(Version { prefix: text.value(), value: text.into_token_stream() }),
        literal => {
            let number = integer(&literal)?;
            let mut value = Literal::i64_suffixed(number);
            value.set_span(literal.span());
            Ok(Version { prefix: format!("v{number}"), value: value.into_token_stream() })
        }
    })
}

/// Names, each with options in parentheses.
fn inherited(meta: &ParseNestedMeta<'_>, example: &str) -> Result<Vec<(LitStr, TokenStream)>> {
    let fault = || {
        Error::new_spanned(&meta.path, format!("expected names with options, as in `{example}`"))
    };
    let all = |input: ParseStream<'_>| {
        Punctuated::<_, Token![,]>::parse_terminated_with(input, name_with_options)
    };
    let tokens = in_parentheses(meta)?.ok_or_else(fault)?;
    let items = all.parse2(tokens).map_err(|_| fault())?;
    Ok(items.into_iter().collect())
}

fn name_with_options(input: ParseStream<'_>) -> Result<(LitStr, TokenStream)> {
    let name = if input.peek(LitStr) {
        input.parse()?
    } else {
        let word = word(input)?;
        LitStr::new(&word.to_string(), word.span())
    };
    let content;
    parenthesized!(content in input);
    Ok((name, content.parse()?))
}

fn client(meta: &ParseNestedMeta<'_>) -> Result<ClientChoice> {
    let example = "client = false`, `client = pub(crate)` or `client = PostsCaller";
    value(meta, example, |input| {
        if input.peek(LitBool) {
            let on: LitBool = input.parse()?;
            return Ok(ClientChoice { off: !on.value, ..ClientChoice::default() });
        }
        let visibility = match input.parse()? {
            Visibility::Inherited => None,
            visibility => Some(visibility),
        };
        let name =
            if input.is_empty() || input.peek(Token![,]) { None } else { Some(input.parse()?) };
        Ok(ClientChoice { off: false, visibility, name })
    })
}
