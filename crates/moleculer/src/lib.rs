#![doc = include_str!("../README.md")]

#[doc(inline)]
pub use moleculer_core::*;
#[cfg(feature = "macros")]
pub use moleculer_macros::{ActionError, service};

/// Transporters, one module for each that is compiled in.
pub mod transporter {
    #[cfg(feature = "transporter-nats")]
    pub use moleculer_transporter_nats as nats;
    #[cfg(feature = "transporter-tcp")]
    pub use moleculer_transporter_tcp as tcp;
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

/// What nearly every program needs.
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

/// The plug-ins that are compiled in; add your own to it.
pub fn plugins() -> Plugins {
    let plugins = Plugins::core();
    #[cfg(feature = "transporter-nats")]
    let plugins = plugins.transporter(moleculer_transporter_nats::PLUGIN);
    #[cfg(not(feature = "transporter-nats"))]
    let plugins = plugins.missing("NATS", "transporter-nats");
    #[cfg(feature = "transporter-tcp")]
    let plugins = plugins.transporter(moleculer_transporter_tcp::PLUGIN);
    #[cfg(not(feature = "transporter-tcp"))]
    let plugins = plugins.missing("TCP", "transporter-tcp");
    #[cfg(feature = "serializer-json-ext")]
    let plugins = plugins.serializer(SerializerPlugin {
        name: "JSONExt",
        build: |options| {
            no_options(
                "JSONExt",
                &options,
                moleculer_serializer_json_ext::JsonExtSerializer::default,
            )
        },
    });
    #[cfg(not(feature = "serializer-json-ext"))]
    let plugins = plugins.missing("JSONExt", "serializer-json-ext");
    #[cfg(feature = "serializer-msgpack")]
    let plugins = plugins.serializer(SerializerPlugin {
        name: "MsgPack",
        build: |options| {
            no_options("MsgPack", &options, moleculer_serializer_msgpack::MsgPackSerializer::new)
        },
    });
    #[cfg(feature = "serializer-msgpack")]
    let plugins = plugins.serializer(SerializerPlugin {
        name: "Notepack",
        build: |options| {
            no_options(
                "Notepack",
                &options,
                moleculer_serializer_msgpack::MsgPackSerializer::notepack,
            )
        },
    });
    #[cfg(not(feature = "serializer-msgpack"))]
    let plugins =
        plugins.missing("MsgPack", "serializer-msgpack").missing("Notepack", "serializer-msgpack");
    #[cfg(feature = "serializer-cbor")]
    let plugins = plugins.serializer(SerializerPlugin {
        name: "CBOR",
        build: |options| {
            let config = Value::from(options)
                .into_type()
                .map_err(|error| Error::options(format!("CBOR: {error}")))?;
            let serializer = moleculer_serializer_cbor::CborSerializer::with_config(config);
            Ok(std::sync::Arc::new(serializer))
        },
    });
    #[cfg(not(feature = "serializer-cbor"))]
    let plugins = plugins.missing("CBOR", "serializer-cbor");
    #[cfg(feature = "serializer-avro")]
    let plugins = plugins.serializer(SerializerPlugin {
        name: "Avro",
        build: |options| {
            no_options("Avro", &options, moleculer_serializer_avro::AvroSerializer::default)
        },
    });
    #[cfg(not(feature = "serializer-avro"))]
    let plugins = plugins.missing("Avro", "serializer-avro");
    #[cfg(feature = "serializer-protobuf")]
    let plugins = plugins.serializer(SerializerPlugin {
        name: "ProtoBuf",
        build: |options| {
            no_options(
                "ProtoBuf",
                &options,
                moleculer_serializer_protobuf::ProtoBufSerializer::default,
            )
        },
    });
    #[cfg(not(feature = "serializer-protobuf"))]
    let plugins = plugins.missing("ProtoBuf", "serializer-protobuf");
    #[cfg(feature = "serializer-thrift")]
    let plugins = plugins.serializer(SerializerPlugin {
        name: "Thrift",
        build: |options| {
            no_options("Thrift", &options, moleculer_serializer_thrift::ThriftSerializer::default)
        },
    });
    #[cfg(not(feature = "serializer-thrift"))]
    let plugins = plugins.missing("Thrift", "serializer-thrift");
    plugins
}

/// For serializers without options.
#[cfg(any(
    feature = "serializer-json-ext",
    feature = "serializer-msgpack",
    feature = "serializer-avro",
    feature = "serializer-protobuf",
    feature = "serializer-thrift"
))]
fn no_options<S: protocol::Serializer>(
    name: &str,
    options: &Object,
    make: impl FnOnce() -> S,
) -> Result<std::sync::Arc<dyn protocol::Serializer>> {
    match options.keys().next() {
        None => Ok(std::sync::Arc::new(make())),
        Some(key) => Err(Error::options(format!("{name} has no options, but got `{key}`"))),
    }
}

/// Compiles the code of the workspace's README.
#[cfg(all(doctest, feature = "macros", feature = "transporter-tcp"))]
#[doc = include_str!("../../../README.md")]
struct WorkspaceReadme;
