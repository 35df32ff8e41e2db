//! Types whose schema is known, and types of which none is: one way for both.

use std::marker::PhantomData;
#[cfg(feature = "schemas")]
use std::sync::Arc;

#[cfg(feature = "schemas")]
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};

use super::ActionSchemas;
#[cfg(feature = "schemas")]
use super::{ParamsSchema, rules};
#[cfg(feature = "schemas")]
use crate::{Params, SharedParams};

/// Finds the schema of a type that has one, where generic code could not ask.
///
/// An inherent function is found before that of a trait, if its bounds hold:
/// `Typed::<Params<T>>::schema()` is the schema of `T` if it implements
/// `JsonSchema`, and [`NoSchema`]'s otherwise. `T` must be a concrete type
/// there. For handlers' arguments and results, and [`Plain`] for members of
/// params that the macro makes.
#[derive(Debug)]
pub struct Typed<T: ?Sized>(PhantomData<T>);

/// A type as it is.
#[derive(Debug)]
pub struct Plain<T: ?Sized>(PhantomData<T>);

/// The schema of a whole message, if there is one.
#[derive(Debug, Default)]
pub struct KnownSchema {
    #[cfg(feature = "schemas")]
    schema: Option<Schema>,
}

/// The schema of a member, if there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct KnownMember {
    #[cfg(feature = "schemas")]
    make: Option<fn(&mut SchemaGenerator) -> Schema>,
}

/// For types of which no schema is known.
pub trait NoSchema {
    /// None.
    fn schema() -> KnownSchema {
        KnownSchema::default()
    }

    /// None.
    fn member() -> KnownMember {
        KnownMember::default()
    }
}

impl<T: ?Sized> NoSchema for Typed<T> {}

#[cfg(feature = "schemas")]
impl<T: JsonSchema> Typed<Params<T>> {
    /// Of the params.
    pub fn schema() -> KnownSchema {
        KnownSchema::of_params::<T>()
    }
}

#[cfg(feature = "schemas")]
impl<T: JsonSchema> Typed<SharedParams<T>> {
    /// Of the params.
    pub fn schema() -> KnownSchema {
        KnownSchema::of_params::<T>()
    }
}

#[cfg(all(feature = "garde", feature = "schemas"))]
impl<T: JsonSchema> Typed<crate::Valid<T>> {
    /// Of the params.
    pub fn schema() -> KnownSchema {
        KnownSchema::of_params::<T>()
    }
}

#[cfg(feature = "schemas")]
impl<T: JsonSchema, E> Typed<Result<T, E>> {
    /// Of the result.
    pub fn schema() -> KnownSchema {
        KnownSchema::of_result::<T>()
    }
}

#[cfg(feature = "schemas")]
impl<T: JsonSchema> Typed<Plain<T>> {
    /// Of a member.
    pub fn member() -> KnownMember {
        KnownMember { make: Some(|generator| generator.subschema_for::<T>()) }
    }
}

#[cfg(not(feature = "schemas"))]
impl KnownSchema {
    /// Of params with these members: name, schema, whether it may be absent.
    pub fn object<const N: usize>(_: [(&str, KnownMember, bool); N]) -> Self {
        Self::default()
    }
}

#[cfg(feature = "schemas")]
impl KnownSchema {
    /// Of params with these members: name, schema, whether it may be absent.
    pub fn object<const N: usize>(members: [(&str, KnownMember, bool); N]) -> Self {
        let mut generator = SchemaSettings::default().for_deserialize().into_generator();
        let mut properties = serde_json::Map::new();
        let mut required = Vec::new();
        for (name, member, optional) in members {
            let schema = member.make.map_or_else(Schema::default, |make| make(&mut generator));
            properties.insert(name.to_owned(), schema.into());
            if !optional {
                required.push(name);
            }
        }
        let mut schema = schemars::json_schema!({ "type": "object", "properties": properties });
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        let definitions = generator.take_definitions(true);
        if !definitions.is_empty() {
            schema.insert("$defs".to_owned(), definitions.into());
        }
        Self { schema: Some(schema) }
    }

    pub(crate) fn of_params<T: JsonSchema>() -> Self {
        Self::of::<T>(SchemaSettings::default().for_deserialize())
    }

    pub(crate) fn of_result<T: JsonSchema>() -> Self {
        Self::of::<T>(SchemaSettings::default().for_serialize())
    }

    fn of<T: JsonSchema>(settings: SchemaSettings) -> Self {
        let settings = settings.with(|settings| settings.meta_schema = None);
        Self { schema: Some(settings.into_generator().into_root_schema_for::<T>()) }
    }

    /// The schema, unless it is so large that it would burden every node.
    fn published(self) -> Option<Schema> {
        let schema = self.schema?;
        let size = serde_json::to_vec(&schema).map_or(usize::MAX, |text| text.len());
        if size > LARGEST {
            tracing::warn!(size, largest = LARGEST, "A schema is too large to be published");
        }
        (size <= LARGEST).then_some(schema)
    }
}

/// Every node keeps the schemas of all others.
#[cfg(feature = "schemas")]
const LARGEST: usize = 32 * 1024;

impl ActionSchemas {
    /// Notes what is known of the params.
    #[cfg(feature = "schemas")]
    pub(crate) fn set_params(&mut self, params: KnownSchema) {
        if let Some(schema) = params.published() {
            let rules = rules::of(schema.as_value());
            let schema = serde_json::Value::from(schema).into();
            self.params = Some(Arc::new(ParamsSchema { schema, rules }));
        }
    }

    /// Notes what is known of the result.
    #[cfg(feature = "schemas")]
    pub(crate) fn set_result(&mut self, result: KnownSchema) {
        if let Some(schema) = result.published() {
            self.result = Some(Arc::new(serde_json::Value::from(schema).into()));
        }
    }

    #[cfg(not(feature = "schemas"))]
    pub(crate) fn set_params(&mut self, _: KnownSchema) {}

    #[cfg(not(feature = "schemas"))]
    pub(crate) fn set_result(&mut self, _: KnownSchema) {}
}
