//! The plug-ins that are compiled in: [`plugins`].

use moleculer_core::Plugins;

macro_rules! plugins {
    ($($feature:literal: $family:ident $krate:ident::$plugin:ident, $($name:literal)+;)*) => {
        /// The plug-ins that are compiled in; add your own to it.
        ///
        /// ```
        /// use moleculer::{BrokerBuilder, plugins};
        ///
        /// let error = plugins().make_serializer(&"YAML".into()).unwrap_err();
        /// assert!(error.message().starts_with("Invalid serializer type 'YAML'."));
        /// ```
        pub fn plugins() -> Plugins {
            let mut plugins = Plugins::core().planned(PLANNED);
            $(
                #[cfg(feature = $feature)]
                {
                    plugins = plugins.$family($krate::$plugin);
                }
                #[cfg(not(feature = $feature))]
                {
                    plugins = plugins.missing($feature, &[$($name),+]);
                }
            )*
            plugins
        }
    };
}

// Feature, family, what the crate exports, names and URL schemes.
plugins! {
    "cacher-memory": cacher moleculer_cacher_memory::MEMORY, "Memory";
    "cacher-memory": cacher moleculer_cacher_memory::MEMORY_LRU, "MemoryLRU";
    "cacher-redis": cacher moleculer_cacher_redis::REDIS, "Redis" "redis" "rediss";
    "transporter-nats": transporter moleculer_transporter_nats::PLUGIN, "NATS";
    "transporter-tcp": transporter moleculer_transporter_tcp::PLUGIN, "TCP";
    "middleware-compression": middleware moleculer_middleware_compression::PLUGIN, "Transmit.Compression";
    "middleware-compression": middleware moleculer_middleware_compression::COMPRESSION, "Compression";
    "middleware-encryption": middleware moleculer_middleware_encryption::PLUGIN, "Transmit.Encryption";
    "middleware-encryption": middleware moleculer_middleware_encryption::ENCRYPTION, "Encryption";
    "serializer-avro": serializer moleculer_serializer_avro::PLUGIN, "Avro";
    "serializer-cbor": serializer moleculer_serializer_cbor::PLUGIN, "CBOR";
    "serializer-json-ext": serializer moleculer_serializer_json_ext::PLUGIN, "JSONExt";
    "serializer-msgpack": serializer moleculer_serializer_msgpack::PLUGIN, "MsgPack";
    "serializer-msgpack": serializer moleculer_serializer_msgpack::NOTEPACK_PLUGIN, "Notepack";
    "serializer-protobuf": serializer moleculer_serializer_protobuf::PLUGIN, "ProtoBuf";
    "serializer-thrift": serializer moleculer_serializer_thrift::PLUGIN, "Thrift";
    "validator-fastest": validator moleculer_validator_fastest::PLUGIN, "Fastest";
    "validator-jsonschema": validator moleculer_validator_jsonschema::PLUGIN, "JsonSchema";
}

/// Names and URL schemes of the reference's plug-ins that are still to come.
const PLANNED: &[&str] =
    &["AMQP", "AMQPS", "AMQP10", "amqp+ssl", "Kafka", "MQTT", "MQTTS", "Redis", "rediss", "STAN"];
