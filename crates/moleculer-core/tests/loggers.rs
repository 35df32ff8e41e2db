//! The middlewares that log calls and packets.

mod support;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use moleculer_core::{
    Action, BrokerBuilder, BrokerOptions, Error, InProcessNetwork, Params, Result, Service, Value,
};
use serde_json::{Value as Json, json};

use self::support::{local, node};

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn catch() -> (Self, tracing::subscriber::DefaultGuard) {
        let lines = Self::default();
        let here = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .without_time()
            .with_writer(move || here.clone())
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    /// Those of the loggers, without the module.
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no panic"));
        let text = String::from_utf8(bytes).expect("text");
        let lines = text.lines().filter_map(|line| {
            let (head, rest) = line.split_once(" moleculer_core::middleware::logger::")?;
            Some(format!("{} {}", head.trim(), rest.split_once(": ")?.1))
        });
        lines.collect()
    }
}

/// A folder of one test, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("moleculer-{test}-{}", std::process::id()));
        Self(path)
    }

    /// Names without their times, and contents, by name.
    fn files(&self, node: &str) -> Vec<(String, Json)> {
        let entries = fs::read_dir(self.0.join(node)).expect("a folder");
        let mut files: Vec<_> =
            entries.map(|entry| read(&entry.expect("an entry").path())).collect();
        files.sort_by(|a, b| a.0.cmp(&b.0));
        files
    }
}

fn read(path: &Path) -> (String, Json) {
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    let (time, rest) = name.split_once('-').expect("a time");
    assert!(time.parse::<u64>().is_ok(), "{name}");
    (rest.to_owned(), serde_json::from_slice(&fs::read(path).expect("readable")).expect("JSON"))
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn with(builder: BrokerBuilder, middleware: &Json) -> BrokerBuilder {
    let options = json!({"middlewares": [middleware]});
    builder.options(BrokerOptions::from_value(options).expect("options"))
}

fn shop() -> Service {
    async fn buy(Params(params): Params<Value>) -> Result<Value> {
        match params.as_object().and_then(|params| params.get("fail")) {
            Some(_) => Err(Error::client(400, "NO", "no").with_data(5)),
            None => Ok(params),
        }
    }
    Service::builder("shop").action(Action::new("buy", buy)).build()
}

#[tokio::test]
async fn calls_are_logged() {
    let (lines, _guard) = Lines::catch();
    let broker = with(local(), &json!("ActionLogger")).service(shop());
    let broker = broker.start().await.expect("starts");
    lines.take();
    broker.call::<Value>("shop.buy", json!({"a": 1})).await.expect("succeeds");
    broker.call::<Value>("shop.buy", json!({"fail": 1})).await.expect_err("fails");
    broker.call::<Value>("no.such", ()).await.expect_err("fails");
    let logged = lines.take();
    let expected = [
        "INFO Calling 'shop.buy'",
        "INFO Response of 'shop.buy'",
        "INFO Calling 'shop.buy'",
        "INFO Error of 'shop.buy'",
        "INFO Calling 'no.such'",
        "INFO Error of 'no.such'",
    ];
    assert_eq!(logged.len(), expected.len(), "{logged:#?}");
    for (line, expected) in logged.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
    assert!(!logged.concat().contains(r#"{"a"#), "params are not logged by default");
    broker.stop().await.expect("stops");
}

#[tokio::test]
async fn params_and_results_are_logged_without_secrets_and_into_files() {
    let (lines, _guard) = Lines::catch();
    let folder = Folder::new("calls");
    let options = json!({"type": "Debugging.ActionLogger", "options": {
        "logLevel": "debug", "logParams": true, "logResponse": true, "logMeta": true,
        "folder": folder.0.clone(), "whitelist": ["shop.*"],
    }});
    let broker = with(local(), &options).service(shop()).start().await.expect("starts");
    lines.take();
    let params = json!({"item": "x", "password": "y"});
    broker.call::<Value>("shop.buy", params).meta([("user", 7)]).await.expect("succeeds");
    broker.call::<Value>("$node.list", ()).await.expect("succeeds, and is not listed");
    let logged = lines.take();
    assert_eq!(logged.len(), 3, "{logged:#?}");
    for (line, parts) in logged.iter().zip([
        ["DEBUG Calling 'shop.buy' with params", r#"{\"item\":\"x\",\"password\":\"***\"}"#],
        ["DEBUG Meta of 'shop.buy'", r#"{\"user\":7}"#],
        ["DEBUG Response of 'shop.buy'", r#"{\"item\":\"x\",\"password\":\"***\"}"#],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    let error = broker.call::<Value>("shop.buy", json!({"fail": 1})).await.expect_err("fails");
    assert_eq!(error.code(), 400);
    broker.stop().await.expect("stops, and everything is written");
    let masked = json!({"item": "x", "password": "***"});
    let files = folder.files("local");
    let file = |name: &str| files.iter().find(|(other, _)| other == name).map(|(_, json)| json);
    assert_eq!(file("call-shop.buy-response.json"), Some(&masked));
    assert!(file("call-shop.buy-meta.json").is_some());
    let error = json!({"name": "MoleculerClientError", "message": "no", "code": 400, "type": "NO", "data": 5});
    assert_eq!(file("call-shop.buy-error.json"), Some(&error));
    assert!(files.iter().all(|(name, _)| name.starts_with("call-shop.buy-")), "{files:?}");
}

#[tokio::test]
async fn packets_are_logged() {
    let (lines, _guard) = Lines::catch();
    let (network, folder) = (InProcessNetwork::default(), Folder::new("packets"));
    let options = json!({"type": "Debugging.TransitLogger", "options": {
        "logPacketData": true, "folder": folder.0.clone(), "packetFilter": ["HEARTBEAT", "INFO"],
    }});
    let far = node(&network, "far").service(shop()).start().await.expect("starts");
    let near = with(node(&network, "near"), &options).start().await.expect("starts");
    near.wait_for_services(["shop"], Duration::from_secs(5)).await.expect("found");
    near.call::<Value>("shop.buy", json!({"token": "x", "n": 1})).await.expect("succeeds");
    let logged = lines.take();
    for expected in [
        "INFO => Send DISCOVER packet to '<all nodes>'",
        "INFO => Send REQ packet to 'far'",
        "INFO <= Receive RES packet from 'far'",
    ] {
        assert_eq!(logged.iter().filter(|line| *line == expected).count(), 1, "{logged:#?}");
    }
    assert!(!logged.iter().any(|line| line.contains(" INFO packet")), "{logged:#?}");
    let data = logged.iter().find(|line| line.contains("=> send-REQ-to-far")).expect("the data");
    assert!(data.contains(r#"\"params\":{\"n\":1,\"token\":\"***\"}"#), "{data}");
    near.stop().await.expect("stops, and everything is written");
    far.stop().await.expect("stops");
    let files = folder.files("near");
    let (_, request) =
        files.iter().find(|(name, _)| name == "send-REQ-to-far.json").expect("the request");
    assert_eq!((&request["sender"], &request["params"]["token"]), (&json!("near"), &json!("***")));
    assert!(files.iter().any(|(name, _)| name == "receive-RES-from-far.json"), "{files:?}");
    assert!(files.iter().any(|(name, _)| name == "send-DISCONNECT-to-all.json"), "{files:?}");
}
