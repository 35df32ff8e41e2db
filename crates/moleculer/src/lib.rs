#![doc = include_str!("../README.md")]

pub mod config;
#[cfg(feature = "logging")]
pub mod logging;
mod registered;

#[doc(inline)]
pub use moleculer_core::*;
#[cfg(feature = "macros")]
pub use moleculer_macros::{ActionError, service};
/// Testing services without a network, and plug-ins by the rules of their
/// traits.
#[cfg(feature = "testing")]
pub use moleculer_testkit as testing;

pub use self::registered::plugins;

/// Cachers: what they all have in common, and one module for each that is
/// compiled in.
pub mod cacher {
    #[cfg(feature = "cacher-memory")]
    pub use moleculer_cacher_memory as memory;
    #[cfg(feature = "cacher-redis")]
    pub use moleculer_cacher_redis as redis;
    pub use moleculer_core::cacher::*;
}

/// Transporters, one module for each that is compiled in.
pub mod transporter {
    #[cfg(feature = "transporter-nats")]
    pub use moleculer_transporter_nats as nats;
    #[cfg(feature = "transporter-tcp")]
    pub use moleculer_transporter_tcp as tcp;
}

/// Middlewares, one module for each that is compiled in.
pub mod middleware {
    #[cfg(feature = "middleware-compression")]
    pub use moleculer_middleware_compression as compression;
    #[cfg(feature = "middleware-encryption")]
    pub use moleculer_middleware_encryption as encryption;
}

/// Serializers, one module for each that is compiled in.
pub mod serializer {
    #[cfg(feature = "serializer-avro")]
    pub use moleculer_serializer_avro as avro;
    #[cfg(feature = "serializer-cbor")]
    pub use moleculer_serializer_cbor as cbor;
    #[cfg(feature = "serializer-json-ext")]
    pub use moleculer_serializer_json_ext as json_ext;
    #[cfg(feature = "serializer-msgpack")]
    pub use moleculer_serializer_msgpack as msgpack;
    #[cfg(feature = "serializer-protobuf")]
    pub use moleculer_serializer_protobuf as protobuf;
    #[cfg(feature = "serializer-thrift")]
    pub use moleculer_serializer_thrift as thrift;
}

/// Validators, one module for each that is compiled in.
pub mod validator {
    #[cfg(feature = "validator-fastest")]
    pub use moleculer_validator_fastest as fastest;
    #[cfg(feature = "validator-jsonschema")]
    pub use moleculer_validator_jsonschema as jsonschema;
}

/// What nearly every program needs.
///
/// Fewer than twenty names, so that a glob import stays harmless.
pub mod prelude {
    #[cfg(feature = "macros")]
    pub use moleculer_macros::{ActionError, service};

    pub use crate::{
        Action, BuildBroker, Context, Error, Event, Meta, Params, Result, Service, ServiceBroker,
        State, Value,
    };
}

/// Gives [`ServiceBroker`] its `builder()`, which knows the plug-ins that are
/// compiled in.
pub trait BuildBroker {
    /// Begins a broker.
    ///
    /// ```
    /// use moleculer::prelude::*;
    ///
    /// let error = ServiceBroker::builder().transporter("kafka://localhost").build().unwrap_err();
    /// assert!(error.message().starts_with("Invalid transporter type 'kafka'."));
    /// ```
    fn builder() -> BrokerBuilder;
}

impl BuildBroker for ServiceBroker {
    fn builder() -> BrokerBuilder {
        BrokerBuilder::new(plugins())
    }
}

/// Compiles the code of the workspace's README.
#[cfg(all(doctest, feature = "macros", feature = "transporter-tcp"))]
#[doc = include_str!("../../../README.md")]
struct WorkspaceReadme;

/// Compiles the code of the guide, and of the list of options.
#[cfg(all(
    doctest,
    feature = "config",
    feature = "garde",
    feature = "logging",
    feature = "macros",
    feature = "testing",
    feature = "transporter-nats",
    feature = "transporter-tcp"
))]
mod guide {
    macro_rules! chapters {
        ($($name:ident = $file:literal;)*) => {$(
            #[doc = include_str!(concat!("../../../docs/", $file))]
            struct $name;
        )*};
    }

    chapters! {
        Services = "guide/services.md";
        Calls = "guide/calls.md";
        Events = "guide/events.md";
        Clusters = "guide/clusters.md";
        Configuration = "guide/configuration.md";
        Testing = "guide/testing.md";
        FromJavascript = "guide/from-javascript.md";
        Options = "configuration.md";
    }
}
