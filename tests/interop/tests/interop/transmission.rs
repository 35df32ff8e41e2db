//! Packets that middlewares have changed: compressed, or encrypted.

use std::time::Duration;

use moleculer::{ErrorKind, ProtocolVersion, prelude::*};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

use crate::{
    asked_for_all,
    checks::{self, check},
    cluster::{self, JAVASCRIPT, RUST, Setup},
    life_cycle::Case,
    matrix::{self, Place},
    process::{Implementation, Process},
};

pub(crate) const ALL: &[(&str, Case)] = &[
    ("packets are compressed", |place| Box::pin(compressed(place))),
    ("packets are encrypted", |place| Box::pin(encrypted(place))),
    ("who has another key is kept out", |place| Box::pin(another_key(place))),
];

const PASSWORD: &str = "0123456789abcdef0123456789abcdef";
const IV: &str = "fedcba9876543210";

/// With JSON by each method, with the other serializers by one of them.
async fn compressed(place: Place) -> Result<()> {
    let methods = ["deflate", "deflateRaw", "gzip"];
    let (version, _, serializer) = place;
    let at = matrix::serializers(version).iter().position(|name| *name == serializer);
    let methods = match at.unwrap_or_default() {
        0 if asked_for_all() => &methods[..],
        0 if version == ProtocolVersion::V4 => &methods[..1],
        0 => &methods[2..],
        at => &methods[at % 3..][..1],
    };
    for method in methods {
        // Some packets become larger than that.
        let options = json!({ "method": method, "threshold": "200b" });
        understand(place, &json!([compression(&options)])).await?;
    }
    Ok(())
}

/// With JSON also without an iv, where the versions differ.
async fn encrypted(place: Place) -> Result<()> {
    let (version, _, serializer) = place;
    let with_iv = json!({ "password": PASSWORD, "iv": IV });
    // The order of the list counts: compressed, then encrypted.
    let both = [encryption(&with_iv), compression(&json!({ "threshold": 0 }))];
    understand(place, &json!(both)).await?;
    let without_iv = match version {
        ProtocolVersion::V4 => json!({ "password": "any length", "derivation": "openssl-md5" }),
        ProtocolVersion::V5 => json!({ "password": PASSWORD, "algorithm": "aes-256-ecb" }),
    };
    if serializer == "JSON" {
        understand(place, &json!([encryption(&without_iv)])).await?;
    }
    Ok(())
}

fn compression(options: &Json) -> Json {
    json!({ "type": "Transmit.Compression", "options": options })
}

fn encryption(options: &Json) -> Json {
    json!({ "type": "Transmit.Encryption", "options": options })
}

/// What has to work whatever becomes of the packets.
async fn understand(place: Place, middlewares: &Json) -> Result<()> {
    let options = json!({ "middlewares": middlewares });
    let setup = Setup::default()
        .options(RUST, &options)
        .options(JAVASCRIPT, &options)
        .driver("middlewares", middlewares.clone());
    let cluster = setup.start(place).await?;
    for (what, check) in checks::TRANSMITTED {
        check(&cluster).await.map_err(|error| {
            Error::internal(format!("{middlewares}: {what}: {}", error.message()))
        })?;
    }
    Ok(())
}

/// A JavaScript node with another key than the Rust nodes: these say what is
/// wrong and go on, and so does it.
async fn another_key(place: Place) -> Result<()> {
    let namespace = cluster::namespace();
    let (transporter, _server) = cluster::transporter(place.1).await?;
    let start = async |implementation, id, password| {
        let mut environment = cluster::environment(place, &namespace, &transporter, id);
        let options = json!({ "middlewares": encrypted_by(password) });
        environment.push(("MORE_OPTIONS", options.to_string()));
        // They would tell of every packet.
        environment.push(("LOGLEVEL", "off".to_owned()));
        Process::start(implementation, &environment).await
    };
    let options = [("middlewares", encrypted_by(PASSWORD))];
    let (mut rust, driver) = tokio::try_join!(
        start(Implementation::Rust, RUST, PASSWORD),
        cluster::driver(place, &namespace, &transporter, &options, Vec::new()),
    )?;
    driver.wait_for_services(["probe"], Duration::from_secs(20)).await?;
    let (told, mut javascript) = tokio::try_join!(
        is_told(&driver, "cannot be decrypted; use aes-256-cbc with the same password and iv"),
        start(Implementation::JavaScript, JAVASCRIPT, "abcdef0123456789abcdef0123456789"),
    )?;
    check("a packet of another key is told", &told.into(), &true.into())?;
    let call = driver.call::<Value>("probe.echo", 1).node(JAVASCRIPT).await;
    match call {
        Err(error) if *error.kind() == ErrorKind::ServiceNotFound => {}
        other => return Err(Error::internal(format!("a call with another key: {other:?}"))),
    }
    for n in 0..20 {
        let answer: Value = driver.call("probe.echo", n).timeout(Duration::from_secs(10)).await?;
        check("a call with the key", &answer.into(), &n.into())?;
    }
    for process in [&mut javascript, &mut rust] {
        check("exit code", &process.terminate().await?.code().into(), &0.into())?;
    }
    driver.stop().await
}

fn encrypted_by(password: &str) -> Json {
    json!([encryption(&json!({ "password": password, "iv": IV }))])
}

/// Waits until the broker tells of a packet that has such an error. Now and
/// then what another key makes of a packet looks well, and has another one.
async fn is_told(broker: &ServiceBroker, clear: &str) -> Result<bool> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let _listening = broker.on("$transit.error", move |_, data| {
        // Nobody may wait any more.
        tell.send(Json::from(data.to_value().unwrap_or_default())).ok();
    });
    let told = async {
        while let Some(problem) = told.recv().await {
            if problem["error"]["message"].as_str().is_some_and(|text| text.contains(clear)) {
                return true;
            }
        }
        false
    };
    Ok(tokio::time::timeout(Duration::from_secs(20), told).await.unwrap_or_default())
}
