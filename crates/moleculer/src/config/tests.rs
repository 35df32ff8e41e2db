use std::{fs, path::PathBuf};

use serde_json::json;

use super::*;
use crate::{BuildBroker, LogLevel, ServiceBroker, Severity};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("config-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the folder can be made");
        Self(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("the file can be written");
        path
    }

    /// What is wrong with this file, without the folder's name.
    fn mistake(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.write(name, content);
        let made = read(Some(&path), &Variables::new())
            .and_then(|options| ServiceBroker::builder().options(options).build());
        let error = made.expect_err("there is a mistake");
        error.message().replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind when the system is slow to let go; the next run has another name.
        drop(fs::remove_dir_all(&self.0));
    }
}

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
}

/// The options of these variables alone.
fn from_environment(pairs: &[(&str, &str)]) -> Result<BrokerOptions> {
    read(None, &variables(pairs))
}

const JSON: &str = r#"{
    "namespace": "dev",
    "nodeID": "node-1",
    "requestTimeout": "5s",
    "retryPolicy": { "enabled": true, "delay": 50 },
    "transit": { "maxQueueSize": 1000 },
    "logLevel": { "TRANS*": "warn", "**": "debug" },
    "metadata": { "region": "eu", "weights": [1, 2.5] }
}"#;

#[cfg(feature = "config")]
const TOML: &str = r#"
namespace = "dev"
nodeID = "node-1"
requestTimeout = "5s"
retryPolicy = { enabled = true, delay = 50 }

[transit]
maxQueueSize = 1_000

[logLevel]
"TRANS*" = "warn"
"**" = "debug"

[metadata]
region = "eu"
weights = [1, 2.5]
"#;

#[cfg(feature = "config")]
const YAML: &str = r#"
# A node.
namespace: dev
nodeID: "node-1"
requestTimeout: 5s
retryPolicy: { enabled: true, delay: 50 }
transit:
  maxQueueSize: 0x3e8
logLevel:
  TRANS*: warn
  "**": debug
metadata:
  region: eu
  weights:
    - 1
    - 2.5
"#;

#[test]
fn all_formats_say_the_same() {
    let folder = Folder::new("formats");
    let read_as = |name: &str, content: &str| {
        read(Some(&folder.write(name, content)), &Variables::new()).expect("it is valid")
    };
    let options = read_as("a.json", JSON);
    assert_eq!(options.namespace, "dev");
    assert_eq!(options.node_id.as_deref(), Some("node-1"));
    assert_eq!(options.request_timeout.as_secs(), 5);
    assert_eq!(options.retry_policy.delay.map(|time| time.as_millis()), Some(50));
    assert_eq!(options.transit.max_queue_size, 1000);
    assert_eq!(
        options.metadata,
        *Value::from(json!({"region": "eu", "weights": [1, 2.5]})).as_object().expect("an object")
    );
    let levels = [("TRANS*".into(), Severity::Warn), ("**".into(), Severity::Debug)];
    assert_eq!(options.log_level, Some(LogLevel::ByModule(levels.into())));
    #[cfg(feature = "config")]
    {
        assert_eq!(read_as("a.toml", TOML), options);
        assert_eq!(read_as("a.yaml", YAML), options);
        assert_eq!(read_as("a.yml", YAML), options);
    }
}

#[test]
fn mistakes_in_json_name_file_line_and_key() {
    let folder = Folder::new("json");
    let check = |content: &str, expected: &str| {
        assert_eq!(folder.mistake("node.json", content), expected);
    };
    check(
        "{\n  \"requestTimeout\": \"abc\"\n}",
        "node.json:2: requestTimeout: \"abc\" is no duration; write a number or a text such as \"500ms\", \"5s\" or \"2m\"",
    );
    check(
        "{\n  \"transit\": {\n    \"maxQueuSize\": 1\n  }\n}",
        "node.json:3: unknown key `transit.maxQueuSize`; did you mean `maxQueueSize`?",
    );
    let mistake = folder.mistake("node.json", "{\"a\\u0062\": 1,\n\"strategy\": \"Random\"}");
    let expected = "node.json:1: unknown key `ab`; known are namespace, nodeID, transporter, ";
    assert!(mistake.starts_with(expected), "{mistake}");
    check(
        "{\n\n\"strategy\": \"Random\"}",
        "node.json:3: unknown key `strategy`; it belongs to `registry`",
    );
    check(
        "{\"transit\": {\n\"maxQueueSize\": 1,\n\"maxQueueSize\": 2}}",
        "node.json:3: the key `transit.maxQueueSize` is given twice",
    );
    check("", "node.json:1: the file is empty; JSON has at least `{}`");
    check("[1]", "node.json: expected keys and values, found a list");
    check("\"dev\"", "node.json: expected keys and values, found a single value");
    check("{\n\"namespace\": dev}", "node.json:2: this is no JSON: expected value (column 14)");
    check(
        "{\"metrics\": {\n\"enabled\": true}}",
        "node.json:2: metrics.enabled: this is not supported yet; remove it",
    );
    let deep = format!("{{\"metadata\": {}{}}}", "[".repeat(100), "]".repeat(100));
    check(&deep, "node.json:1: more than 64 levels");
}

#[test]
fn plug_ins_are_named_with_their_place() {
    let folder = Folder::new("plug-ins");
    let check = |content: &str, expected: &str| {
        let mistake = folder.mistake("node.json", content);
        assert!(mistake.starts_with(expected), "{mistake}");
    };
    check(
        "{\n\"serializer\": \"YAML\"}",
        "node.json:2: Invalid serializer type 'YAML'. (known are JSON",
    );
    check(
        "{\n\"transporter\": \"mqtt://localhost\"}",
        "node.json:2: Invalid transporter type 'mqtt'. (not supported yet)",
    );
    check(
        "{\"registry\": {\n\"strategy\": \"Best\"}}",
        "node.json:2: Invalid strategy type 'Best'.",
    );
    #[cfg(feature = "transporter-tcp")]
    check(
        "{\"transporter\": {\"type\": \"TCP\",\n\"options\": {\n\"gossipPeriot\": 2}}}",
        "node.json:3: TCP transporter: unknown key `gossipPeriot`; did you mean `gossipPeriod`?",
    );
    #[cfg(not(feature = "serializer-cbor"))]
    check(
        "{\"serializer\": \"cbor\"}",
        "node.json:1: Invalid serializer type 'cbor'. (enable the feature `serializer-cbor`",
    );
}

#[cfg(feature = "config")]
#[test]
fn mistakes_in_toml_name_file_line_and_key() {
    let folder = Folder::new("toml");
    let check = |content: &str, expected: &str| {
        let mistake = folder.mistake("node.toml", content);
        assert!(mistake.starts_with(expected), "{mistake}");
    };
    check("\nrequestTimeout = \"abc\"", "node.toml:2: requestTimeout: \"abc\" is no duration");
    check(
        "[transit]\n\nmaxQueuSize = 1",
        "node.toml:3: unknown key `transit.maxQueuSize`; did you mean `maxQueueSize`?",
    );
    check("strategy = 'Random'", "node.toml:1: unknown key `strategy`; it belongs to `registry`");
    check("namespace = 'a'\nnamespace = 'b'", "node.toml:2: this is no TOML: duplicate key");
    check("namespace = dev", "node.toml:1: this is no TOML: ");
    check("[tracking]\nenabled = 1979-05-27", "node.toml:2: tracking.enabled: ");
    check("maxCallLevel = 99999999999999999999", "node.toml:1: maxCallLevel: this number is too");
    check("middlewares = [\n'A',\n]", "node.toml:2: Invalid middleware type 'A'.");
    assert!(read(Some(&folder.write("empty.toml", "# nothing")), &Variables::new()).is_ok());
}

#[cfg(feature = "config")]
#[test]
fn mistakes_in_yaml_name_file_line_and_key() {
    let folder = Folder::new("yaml");
    let check = |content: &str, expected: &str| {
        let mistake = folder.mistake("node.yaml", content);
        assert!(mistake.starts_with(expected), "{mistake}");
    };
    check("a:\nrequestTimeout: abc", "node.yaml:1: unknown key `a`");
    check("\nrequestTimeout: abc", "node.yaml:2: requestTimeout: \"abc\" is no duration");
    check(
        "transit:\n  maxQueuSize: 1",
        "node.yaml:2: unknown key `transit.maxQueuSize`; did you mean `maxQueueSize`?",
    );
    check("strategy: Random", "node.yaml:1: unknown key `strategy`; it belongs to `registry`");
    check(
        "transit:\n  maxQueueSize: 1\n  maxQueueSize: 1",
        "node.yaml:3: the key `transit.maxQueueSize` is given twice",
    );
    check("- a\n- b", "node.yaml: expected keys and values, found a list");
    check("dev", "node.yaml: expected keys and values, found a single value");
    check(
        "tracking:\n  enabled: yes",
        "node.yaml:2: tracking.enabled: invalid type: string \"yes\"",
    );
    check("metadata: &a\n  b: *a", "node.yaml:2: metadata.b: aliases are not supported");
    check("metadata: !!binary aGk=", "node.yaml:1: metadata: tags are not supported");
    check("? [a]\n: b", "node.yaml:1: : a key must be text");
    check("namespace: 'a", "node.yaml:");
    check("a: 1\n---\nb: 1", "node.yaml:2: a configuration is one document");
    check(&format!("metadata: {}", "[".repeat(2000)), "node.yaml:1: ");
    for nothing in ["", "# nothing\n", "---\n"] {
        let empty = folder.write("empty.yaml", nothing);
        let options = read(Some(&empty), &Variables::new()).expect("nothing is valid");
        assert_eq!(options, BrokerOptions::default());
    }
}

#[cfg(feature = "config")]
#[test]
fn yaml_scalars_follow_the_core_schema() {
    let folder = Folder::new("scalars");
    let text = "metadata: {a: ~, b: True, c: -12, d: 0o17, e: 1e3, f: -.inf, g: '5', h: 1_000, i: no, j: +1.5}";
    let path = folder.write("node.yaml", text);
    let options = read(Some(&path), &Variables::new()).expect("it is valid");
    let get = |key| options.metadata.get(key).cloned().unwrap_or_default();
    assert_eq!(get("a"), Value::Null);
    assert_eq!(get("b"), true.into());
    assert_eq!(get("c"), Value::from(-12));
    assert_eq!(get("d"), 15.into());
    assert_eq!(get("e"), 1000.0.into());
    assert_eq!(get("f"), f64::NEG_INFINITY.into());
    assert_eq!(get("g"), "5".into());
    assert_eq!(get("h"), "1_000".into());
    assert_eq!(get("i"), "no".into());
    assert_eq!(get("j"), 1.5.into());
}

#[test]
fn files_that_are_none() {
    let folder = Folder::new("none");
    let mistake = |name: &str, content: &[u8]| folder.mistake(name, content);
    assert_eq!(
        mistake("a.json", b"{\"a\xff\": 1}"),
        "a.json: this is no text: byte 4 is not UTF-8"
    );
    assert_eq!(
        mistake("b.json", &vec![b' '; 1024 * 1024 + 1]),
        "b.json: more than 1 MiB is no configuration"
    );
    assert_eq!(
        mistake("c.js", b""),
        "c.js: this is a program; write its options as .toml, .yaml or .json"
    );
    assert_eq!(
        mistake("d.ini", b""),
        "d.ini: not supported file extension; known are .toml, .yaml, .yml and .json"
    );
    #[cfg(not(feature = "config"))]
    assert_eq!(
        mistake("e.toml", b""),
        "e.toml: to read this format, enable the feature `config` of the crate `moleculer`"
    );
    let missing = read(Some(&folder.0.join("f.json")), &Variables::new()).expect_err("no file");
    assert!(missing.message().ends_with("f.json: config file not found"), "{missing}");
    let folder_itself = folder.0.join("g.json");
    fs::create_dir(&folder_itself).expect("it can be made");
    assert!(read(Some(&folder_itself), &Variables::new()).is_err());
}

#[test]
fn the_environment_goes_before_the_file() {
    let folder = Folder::new("environment");
    let path = folder.write("node.json", JSON);
    let variables = variables(&[
        ("NAMESPACE", "prod"),
        ("TRANSIT_MAXQUEUESIZE", "99"),
        ("RETRYPOLICY_DELAY", "2s"),
        ("METADATA_REGION", "us"),
        ("TRANSPORTER", "tcp://10.0.0.1:4000/a"),
        ("NODEID", "17"),
        ("LOGLEVEL", ""),
        ("MOL_REGISTRY__PREFER_LOCAL", "False"),
        ("MOL_METADATA__REGION", "ap"),
        ("MOL_METADATA__NEW__KEY_NAME", "0x1F"),
        ("MOL_NODE_ID", "18"),
        ("MOLECULER_CONFIG", "elsewhere.json"),
        ("PATH", "/bin"),
    ]);
    let options = read(Some(&path), &variables).expect("they are valid");
    assert_eq!(options.namespace, "prod");
    assert_eq!(options.transit.max_queue_size, 99);
    assert_eq!(options.retry_policy.delay.map(|time| time.as_secs()), Some(2));
    assert_eq!(options.transporter, Some("tcp://10.0.0.1:4000/a".into()));
    assert_eq!(options.node_id.as_deref(), Some("18"));
    assert!(options.log_level.is_some(), "an empty variable is none");
    assert!(!options.registry.prefer_local);
    assert_eq!(options.request_timeout.as_secs(), 5, "what is only in the file stays");
    let metadata = Value::from(options.metadata);
    assert_eq!(metadata.pointer("region"), Some(&"ap".into()));
    assert_eq!(metadata.pointer("new.keyName"), Some(&31.into()));
}

/// The example of the reference's documentation, as far as it is supported.
#[test]
fn the_runners_rules() {
    let options = from_environment(&[
        ("LOGLEVEL", "debug"),
        ("NAMESPACE", "dev"),
        ("MOL_RETRY_POLICY__ENABLED", "true"),
        ("MOL_LOG_LEVEL", "warn"),
        ("DISABLEBALANCER", "false"),
        ("TRACING_ENABLED", "false"),
        ("VALIDATOR", "true"),
        ("HEARTBEATINTERVAL", "1e1"),
        ("MAXCALLLEVEL", "00012"),
        ("CIRCUITBREAKER_THRESHOLD", "0.3"),
        ("BULKHEAD_CONCURRENCY", "3"),
    ]);
    let options = options.expect("they are valid");
    assert_eq!(options.log_level, Some(LogLevel::All(Severity::Warn)));
    assert_eq!(options.retry_policy.enabled, Some(true));
    assert_eq!(options.heartbeat_interval.as_secs(), 10);
    assert_eq!(options.max_call_level, 12);
    assert_eq!(options.circuit_breaker.threshold, Some(0.3));
    assert_eq!(options.bulkhead.concurrency, Some(3));
}

#[test]
fn mistakes_in_the_environment_name_the_variable() {
    let check = |name: &str, value: &str, expected: &str| {
        let error = from_environment(&[(name, value)]).expect_err("there is a mistake");
        let expected = format!("the environment variable {name}: {expected}");
        assert!(error.message().starts_with(&expected), "{error}");
    };
    check("REQUESTTIMEOUT", "soon", "requestTimeout: \"soon\" is no duration");
    check("MAXCALLLEVEL", "two", "maxCallLevel: invalid type: string \"two\", expected a whole");
    check("MAXCALLLEVEL", "-1", "maxCallLevel: invalid value: integer `-1`");
    check(
        "TRACKING_ENABLED",
        "yes",
        "tracking.enabled: invalid type: string \"yes\", expected a bo",
    );
    check("CIRCUITBREAKER_WINDOWTIME", "long", "circuitBreaker.windowTime: \"long\" is no dur");
    check("TRANSIT", "x", "transit: invalid type: string \"x\", expected an object");
    check("LOGLEVEL", "loud", "logLevel: \"loud\" is no log level");
    check("TRACING_ENABLED", "true", "tracing.enabled: this is not supported yet");
    check("MOL_METRICS__ENABLED", "true", "metrics.enabled: this is not supported yet");
    check("MOL_REQUEST_TIMEOT", "5", "unknown key `requestTimeot`; did you mean `requestTimeout`?");
    check("MOL_TRANSIT__STRATEGY", "x", "unknown key `transit.strategy`; it belongs to `registry`");

    let twice = [("TRANSPORTER", "TCP"), ("MOL_TRANSPORTER__OPTIONS__PORT", "5")];
    let error = from_environment(&twice).expect_err("a name has no members");
    assert_eq!(
        error.message(),
        "the environment variable MOL_TRANSPORTER__OPTIONS__PORT: `transporter` is set already, and it is no object"
    );

    let options = from_environment(&[("SERIALIZER", "YAML")]).expect("it parses");
    let broker = ServiceBroker::builder().options(options).build();
    let error = broker.expect_err("there is no such serializer");
    assert!(
        error.message().starts_with("the environment variable SERIALIZER: Invalid serializer type"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_named() {
    use std::os::unix::ffi::OsStringExt;

    let value = std::ffi::OsString::from_vec(vec![0xff]);
    let variables = Variables::from([("NAMESPACE".to_owned(), value)]);
    let error = read(None, &variables).expect_err("it is no text");
    assert_eq!(error.message(), "the environment variable NAMESPACE: its value is not UTF-8");
}

/// What `tests` of the reference use as a whole options object.
#[test]
fn a_javascript_users_options_object() {
    let options = json!({
        "namespace": "", "nodeID": null, "logger": {"type": "Console", "options": {}},
        "logLevel": "info", "transporter": null, "errorRegenerator": null, "requestTimeout": 0,
        "retryPolicy": {"enabled": false, "retries": 5, "delay": 100, "maxDelay": 1000, "factor": 2},
        "contextParamsCloning": false, "maxCallLevel": 0, "heartbeatInterval": 10,
        "heartbeatTimeout": 30, "tracking": {"enabled": false, "shutdownTimeout": 5000},
        "disableBalancer": false,
        "registry": {"strategy": "RoundRobin", "preferLocal": true, "stopDelay": 100,
                     "discoverer": "Local"},
        "circuitBreaker": {"enabled": false, "threshold": 0.5, "windowTime": 60,
                           "minRequestCount": 20, "halfOpenTime": 10000},
        "bulkhead": {"enabled": false, "concurrency": 10, "maxQueueSize": 100},
        "transit": {"maxQueueSize": 50000, "maxChunkSize": 262144, "disableReconnect": false,
                    "disableVersionCheck": false, "serviceChangedDebounceTime": 1000},
        "uidGenerator": null, "errorHandler": null, "cacher": null, "serializer": "JSON",
        "validator": true, "metrics": {"enabled": false}, "tracing": {"enabled": false},
        "internalServices": true, "internalMiddlewares": true, "dependencyInterval": 1000,
        "dependencyTimeout": 0, "hotReload": false, "middlewares": null, "replOptions": null,
        "metadata": {}, "skipProcessEventRegistration": false, "maxSafeObjectSize": null,
        "created": null, "started": null, "stopped": null
    });
    let folder = Folder::new("javascript");
    let path = folder.write("node.json", options.to_string());
    let options = read(Some(&path), &Variables::new()).expect("it is valid");
    ServiceBroker::builder().options(options).build().expect("it is supported");
}
