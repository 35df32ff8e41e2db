use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::Plugins;

#[test]
fn units_are_those_of_the_reference() {
    let options = json!({
        "heartbeatInterval": 5, "heartbeatTimeout": "500ms", "requestTimeout": 1500,
        "retryPolicy": {"enabled": true, "delay": 5, "maxDelay": "2s"},
        "protocol": "4", "registry": {"stopDelay": 0}, "transit": {"disableVersionCheck": true}
    });
    let options = BrokerOptions::from_value(options).unwrap();
    assert_eq!(options.heartbeat_interval.as_secs(), 5);
    assert_eq!(options.heartbeat_timeout.as_millis(), 500);
    assert_eq!(options.request_timeout.as_millis(), 1500);
    let retry =
        RetryPolicy::new().delay(Duration::from_millis(5)).max_delay(Duration::from_secs(2));
    assert_eq!(options.retry_policy, retry);
    assert_eq!(options.protocol, ProtocolVersion::V4);
    assert!(options.registry.stop_delay.is_zero());
    assert!(options.transit.disable_version_check);
}

#[test]
fn mistakes_are_named() {
    let check = |options: serde_json::Value, expected: &str| {
        let error = BrokerOptions::from_value(options).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    };
    check(json!({"nodeId": "a"}), "did you mean `nodeID`?");
    check(json!({"transit": {"maxQueuSize": 1}}), "did you mean `maxQueueSize`?");
    check(json!({"zzz": 1}), "known are namespace");
    check(json!({"requestTimeout": "soon"}), "is no duration");
    check(json!({"requestTimeout": -1}), "is no duration");
    check(json!({"protocol": 3}), "must be 4 or 5");
    check(
        json!({"errorHandler": "x"}),
        "errorHandler: this is a function; set it with `BrokerBuilder::error_handler`",
    );
    check(json!([]), "expected an object");
}

#[test]
fn javascript_only_keys_are_taken() {
    BrokerOptions::from_value(json!({
        "hotReload": true, "dependencyInterval": 500, "metrics": false,
        "errorHandler": null, "retryPolicy": null, "contextParamsCloning": true,
        "created": null
    }))
    .unwrap();
}

#[test]
fn paths_lead_to_the_mistake() {
    let check = |options: serde_json::Value, expected: &str, key: &str| {
        let error = BrokerOptions::from_value(options).unwrap_err();
        assert_eq!(error.message(), format!("broker options: {expected}"));
        assert_eq!(error.data(), Some(&Object::from([("key", key)]).into()));
    };
    check(
        json!({"transit": {"maxQueuSize": 1}}),
        "unknown key `transit.maxQueuSize`; did you mean `maxQueueSize`?",
        "transit.maxQueuSize",
    );
    check(
        json!({"strategy": "Random"}),
        "unknown key `strategy`; it belongs to `registry`",
        "strategy",
    );
    check(
        json!({"transit": {"preferLocal": true}}),
        "unknown key `transit.preferLocal`; it belongs to `registry`",
        "transit.preferLocal",
    );
    check(
        json!({"registry": {"requestTimeout": 5}}),
        "unknown key `registry.requestTimeout`; it belongs to the top level",
        "registry.requestTimeout",
    );
    check(
        json!({"discoverer": "Redis"}),
        "unknown key `discoverer`; it belongs to `registry`",
        "discoverer",
    );
    check(
        json!({"retryPolicy": {"delay": "soon"}}),
        "retryPolicy.delay: \"soon\" is no duration; write a number or a text such as \"500ms\", \"5s\" or \"2m\"",
        "retryPolicy.delay",
    );
    check(
        json!({"transit": "x"}),
        "transit: invalid type: string \"x\", expected an object",
        "transit",
    );
    check(
        json!({"maxCallLevel": -1}),
        "maxCallLevel: invalid value: integer `-1`, expected a whole number from 0",
        "maxCallLevel",
    );
    check(
        json!({"tracking": {"enabled": "yes"}}),
        "tracking.enabled: invalid type: string \"yes\", expected a boolean",
        "tracking.enabled",
    );
    check(json!([1]), "expected an object, found [1]", "");
}

#[test]
fn what_a_javascript_user_writes_is_taken_where_it_holds() {
    for options in [
        json!({"logger": true}),
        json!({"logger": "Console"}),
        json!({"logger": [{"type": "Console", "options": {}}]}),
        json!({"logLevel": "INFO"}),
        json!({"logLevel": {"TRANS*": "warn", "GREETER": false, "**": "debug"}}),
        json!({"validator": true}),
        json!({"validator": "fastest"}),
        json!({"validator": {"type": "Fastest"}}),
        json!({"validator": false, "cacher": false, "disableBalancer": true}),
        json!({"registry": {"discoverer": "Local"}}),
        json!({"registry": {"discoverer": {"type": "Local", "options": {}}}}),
        json!({"metrics": {"enabled": false, "reporter": "Console"}, "tracing": {}}),
        json!({"circuitBreaker": false, "bulkhead": false, "retryPolicy": false,
               "tracking": false}),
        json!({"internalServices": false, "internalMiddlewares": true}),
        json!({"namespace": null, "nodeID": null, "transporter": null, "serializer": null,
               "requestTimeout": null, "maxCallLevel": null, "middlewares": null,
               "metadata": null, "registry": {"strategy": null, "strategyOptions": null},
               "transit": {"maxQueueSize": null}, "tracking": {"enabled": null},
               "logger": null, "logLevel": null, "cacher": null, "metrics": null}),
    ] {
        BrokerOptions::from_value(options).expect("it is taken");
    }
    let options = BrokerOptions::from_value(json!({"logger": false, "logLevel": {"A": false}}));
    let options = options.expect("valid");
    assert!(!options.logger);
    assert_eq!(options.log_level, Some(LogLevel::ByModule(vec![("A".into(), Severity::Off)])));

    for (options, expected) in [
        (json!({"logger": "Pino"}), "logger: \"Pino\" is not supported yet"),
        (json!({"logger": {"type": "Console", "options": {"colors": true}}}), "not supported yet"),
        (json!({"logLevel": "loud"}), "logLevel: \"loud\" is no log level; known are trace,"),
        (json!({"logLevel": {"A": 5}}), "logLevel: A: 5 is no log level"),
        (json!({"tracing": true}), "tracing: this is not supported yet"),
        (json!({"metrics": {"enabled": true}}), "metrics.enabled: this is not supported yet"),
    ] {
        let error = BrokerOptions::from_value(options).expect_err("it cannot be honoured");
        assert!(error.message().contains(expected), "{error}");
    }
}

/// Every key of a Moleculer JS broker's options is in exactly one class.
#[test]
fn every_key_of_the_reference_has_its_class() {
    let reference = [
        "namespace",
        "nodeID",
        "logger",
        "logLevel",
        "transporter",
        "errorRegenerator",
        "requestTimeout",
        "retryPolicy",
        "retryPolicy.enabled",
        "retryPolicy.retries",
        "retryPolicy.delay",
        "retryPolicy.maxDelay",
        "retryPolicy.factor",
        "contextParamsCloning",
        "maxCallLevel",
        "heartbeatInterval",
        "heartbeatTimeout",
        "tracking",
        "tracking.enabled",
        "tracking.shutdownTimeout",
        "disableBalancer",
        "registry",
        "registry.strategy",
        "registry.strategyOptions",
        "registry.preferLocal",
        "registry.stopDelay",
        "registry.discoverer",
        "circuitBreaker",
        "bulkhead",
        "transit",
        "transit.maxQueueSize",
        "transit.maxChunkSize",
        "transit.disableReconnect",
        "transit.disableVersionCheck",
        "transit.serviceChangedDebounceTime",
        "uidGenerator",
        "errorHandler",
        "serializer",
        "validator",
        "metrics",
        "tracing",
        "internalServices",
        "internalMiddlewares",
        "dependencyInterval",
        "dependencyTimeout",
        "hotReload",
        "middlewares",
        "replOptions",
        "replCommands",
        "replDelimiter",
        "metadata",
        "skipProcessEventRegistration",
        "maxSafeObjectSize",
        "created",
        "started",
        "stopped",
        "Promise",
        "ServiceFactory",
        "ContextFactory",
    ];
    let is_option = |path: &str| {
        let mut value = Value::Null;
        for key in path.rsplit('.') {
            value = Object::from([(key, value)]).into();
        }
        places::read::<BrokerOptions>(value)
            .map_or_else(|problem| problem.unknown_key().is_none(), |_| true)
    };
    for path in reference {
        let classes = [
            is_option(path),
            keys::ONLY_JAVASCRIPT.contains(&path),
            keys::ONLY_IN_CODE.iter().any(|(key, _)| *key == path),
            keys::NOT_SUPPORTED.contains(&path),
        ];
        let classes = classes.into_iter().filter(|class| *class).count();
        assert_eq!(classes, 1, "{path}");
    }
}

/// The defaults that policies leave open, as they are told to those who ask.
#[test]
fn all_keys_with_their_defaults_are_the_options() {
    let mut known = BrokerOptions::keys();
    for key in keys::NOT_SUPPORTED {
        known.remove(key);
    }
    for key in keys::ONLY_JAVASCRIPT {
        known.remove(key);
    }
    let read = BrokerOptions::from_value(known).expect("they are valid");
    let expected = BrokerOptions {
        retry_policy: read.retry_policy.clone(),
        circuit_breaker: read.circuit_breaker.clone(),
        bulkhead: read.bulkhead,
        ..BrokerOptions::default()
    };
    assert_eq!(read, expected);
}

#[test]
fn what_the_reference_has_besides_is_documented() {
    let source = include_str!("mod.rs");
    let documented: String = source.lines().filter(|line| line.starts_with("///")).collect();
    let in_code = keys::ONLY_IN_CODE.iter().map(|(key, _)| key);
    let unsupported = keys::NOT_SUPPORTED;
    for key in keys::ONLY_JAVASCRIPT.iter().chain(unsupported).chain(in_code) {
        assert!(documented.contains(&format!("`{key}`")), "{key}");
    }
}

#[test]
fn errors_of_plug_ins_name_their_place() {
    let mut places = Places::new();
    places.insert("serializer", "node.json:2");
    places.insert("serializer.options.x", "node.json:4");
    places.insert("registry.discoverer", "node.json:7");
    places.insert("registry.strategy", "the environment variable REGISTRY_STRATEGY");
    let check = |options: serde_json::Value, expected: &str| {
        let options = BrokerOptions::from_value_at(options, places.clone()).expect("they parse");
        let broker = crate::BrokerBuilder::new(Plugins::core()).options(options).build();
        let error = broker.expect_err("the plug-in refuses");
        assert!(error.message().starts_with(expected), "{error}");
    };
    check(json!({"serializer": "YAML"}), "node.json:2: Invalid serializer type 'YAML'.");
    let discoverer = |choice| json!({"registry": {"discoverer": choice}});
    check(discoverer(json!("Redis")), "node.json:7: Invalid discoverer type 'Redis'.");
    check(
        discoverer(json!({"type": "Local", "options": {"heartbeatIntervall": 5}})),
        "node.json:7: options of the discoverer Local: unknown key `heartbeatIntervall`; did you \
         mean `heartbeatInterval`?",
    );
    check(
        discoverer(json!({"type": "Local", "options": {"cleanOfflineNodesTimeout": "soon"}})),
        "node.json:7: options of the discoverer Local: cleanOfflineNodesTimeout: \"soon\" is no",
    );
    check(
        json!({"registry": {"strategy": "Best"}}),
        "the environment variable REGISTRY_STRATEGY: Invalid strategy type 'Best'.",
    );
}

fn duration() -> impl Strategy<Value = Duration> {
    (0..u64::from(u32::MAX) * 1000).prop_map(Duration::from_micros)
}

fn options() -> impl Strategy<Value = BrokerOptions> {
    let texts = ("\\PC*", proptest::option::of("[a-z0-9-]{1,20}"), any::<bool>(), any::<bool>());
    let times = (duration(), duration(), duration(), duration(), duration(), duration());
    let sizes = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>());
    let level = proptest::option::of(prop_oneof![
        Just(LogLevel::All(Severity::Fatal)),
        Just(LogLevel::All(Severity::Off)),
        "[A-Z*]{1,9}".prop_map(|name| LogLevel::ByModule(vec![(name, Severity::Debug)])),
    ]);
    (texts, times, sizes, level).prop_map(|(texts, times, sizes, log_level)| BrokerOptions {
        namespace: texts.0.clone(),
        node_id: texts.1,
        transporter: texts.2.then(|| "tcp://a:1/b".into()),
        protocol: if texts.3 { ProtocolVersion::V4 } else { ProtocolVersion::V5 },
        request_timeout: Millis(times.0),
        heartbeat_interval: Seconds(times.1),
        heartbeat_timeout: Seconds(times.2),
        dependency_timeout: Millis(times.3),
        retry_policy: RetryPolicy::new().retries(sizes.0).delay(times.4),
        tracking: TrackingOptions { enabled: texts.2, shutdown_timeout: Millis(times.5) },
        max_call_level: sizes.1,
        registry: RegistryOptions { prefer_local: texts.3, ..RegistryOptions::default() },
        transit: TransitOptions {
            max_queue_size: sizes.2 as usize,
            max_running_requests: sizes.3 as usize,
            disable_reconnect: texts.3,
            ..TransitOptions::default()
        },
        internal_services: texts.2,
        middlewares: vec!["A".into(), Object::from([("type", "B")]).into()],
        metadata: Object::from([("region", texts.0)]),
        logger: texts.3,
        log_level,
        ..BrokerOptions::default()
    })
}

proptest! {
    #[test]
    fn options_survive_a_round_trip(options in options()) {
        let json = serde_json::to_string(&options).expect("they are data");
        let read: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
        prop_assert_eq!(BrokerOptions::from_value(read).expect("they are valid"), options);
    }
}
