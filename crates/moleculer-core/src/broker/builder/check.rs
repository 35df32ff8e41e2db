//! What is wrong with options, and what has no effect.

use moleculer_protocol::{NodeId, ProtocolVersion, Serializer};

use crate::{BrokerOptions, Error, Result, config::log_is_shown, transporter::DynTransporter};

/// Says once for each option that it changes nothing.
pub(super) fn warn_of_no_effect(options: &BrokerOptions) {
    for option in &options.origin.ignored {
        tracing::warn!(option, "this option has a meaning only in JavaScript");
    }
    if !log_is_shown() && (options.log_level.is_some() || !options.logger) {
        tracing::warn!(
            "`logger` and `logLevel` have no effect: the program has a subscriber of its own; \
             filter there, or use `moleculer::logging`"
        );
    }
}

/// Whether the medium can choose in the place of the broker.
pub(super) fn balances(transporter: Option<&dyn DynTransporter>) -> bool {
    let balanced = transporter.is_some_and(|transporter| transporter.capabilities().balanced);
    if !balanced {
        let transporter = transporter.map_or("none", DynTransporter::name);
        tracing::warn!(
            transporter,
            "`disableBalancer` has no effect: this transporter cannot balance, so the broker does"
        );
    }
    balanced
}

/// Some serializers carry one protocol alone.
pub(super) fn check_protocol(serializer: &dyn Serializer, wanted: ProtocolVersion) -> Result<()> {
    let carried = serializer.protocols();
    if carried.contains(&wanted) {
        return Ok(());
    }
    let name = serializer.name();
    let carried: Vec<_> = carried.iter().map(ToString::to_string).collect();
    Err(Error::options(format!(
        "the serializer {name} does not carry protocol {wanted}; set `protocol` to {}, or choose another serializer",
        carried.join(" or ")
    )))
}

pub(super) fn check_node_id(id: &NodeId) -> Result<()> {
    let wrong = id.is_empty() || id.chars().any(|c| c.is_control() || matches!(c, '|' | '/'));
    if wrong {
        return Err(Error::options(format!(
            "the node id {id:?} cannot be used: it must not be empty nor contain '|', '/' or control characters"
        )));
    }
    Ok(())
}
