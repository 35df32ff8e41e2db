//! Who may connect, and what comes of it when one may not.

use std::ffi::OsString;

use moleculer_core::Error;
use moleculer_transporter_nats::{NatsTransporter, NatsTransporterBuilder, TlsConfig};

use crate::support::{Server, Setup, certificate};

/// A pair made for these tests.
const SEED: &str = "SUAGG4OLTTHFYNOZJBDQHIPABOLUDJFPZZRC55757A4GVCWLNNLU3KJVJA";
const PUBLIC: &str = "UA2GUGSOLKZA2OBFWGZLNBR2Y4MVKTSWUUE2JK4XG6LREDSD2Q2B2BY5";
const STRANGER: &str = "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY";

/// Two nodes find each other with these options.
async fn accepted(
    server: &Server,
    options: impl Fn(NatsTransporterBuilder) -> NatsTransporterBuilder,
) {
    let setup = Setup::new(&server.url());
    let builder = || options(NatsTransporter::builder().url(server.url()));
    let a = setup.node_with("a", builder(), |builder| builder).await.unwrap();
    let b = setup.node_with("b", builder(), |builder| builder).await.unwrap();
    assert_eq!(b.echo("a", "x").await.unwrap(), "x");
    a.stop().await;
    b.stop().await;
}

/// A node does not start, and does not try for ever.
async fn refused(server: &Server, builder: NatsTransporterBuilder) -> Error {
    let setup = Setup::new(&server.url());
    match setup.node_with("a", builder, |builder| builder).await {
        Ok(_) => panic!("the node has started"),
        Err(error) => {
            assert!(!error.retryable());
            assert!(!error.message().contains("wrong"), "no secret in {error}");
            error
        }
    }
}

pub(crate) async fn user_and_password() {
    let server = Server::start(["--user", "ada", "--pass", "s:cret@"]);
    accepted(&server, |builder| builder.user_and_pass("ada", "s:cret@")).await;
    let url = format!("nats://ada:s%3Acret%40@127.0.0.1:{}", server.port());
    let setup = Setup::new(&url);
    setup.node("a").await.stop().await;

    let anonymous = NatsTransporter::builder().url(server.url());
    for builder in [anonymous.clone(), anonymous.user_and_pass("ada", "wrong")] {
        let error = refused(&server, builder).await;
        assert!(error.message().contains("authorization violation"), "{error}");
        assert!(error.message().contains("check user and pass, token or nkey"), "{error}");
    }
}

pub(crate) async fn token() {
    let server = Server::start(["--auth", "t0ken"]);
    accepted(&server, |builder| builder.token("t0ken")).await;
    let setup = Setup::new(&format!("nats://t0ken@127.0.0.1:{}", server.port()));
    setup.node("a").await.stop().await;
    refused(&server, NatsTransporter::builder().url(server.url()).token("wrong")).await;
}

pub(crate) async fn nkey() {
    let server =
        Server::configured(&format!("authorization {{ users = [ {{ nkey: {PUBLIC} }} ] }}\n"));
    accepted(&server, |builder| builder.nkey(SEED)).await;
    refused(&server, NatsTransporter::builder().url(server.url()).nkey(STRANGER)).await;
    let error =
        refused(&server, NatsTransporter::builder().url(server.url()).nkey("nonsense")).await;
    assert!(error.message().contains("nkey must be the seed of a user"), "{error}");
}

fn files(names: &[(&str, &str)]) -> Vec<OsString> {
    let path = |name: &str| certificate(name).into_os_string();
    let files = names.iter().flat_map(|(flag, name)| [OsString::from(*flag), path(name)]);
    [OsString::from("--tls")].into_iter().chain(files).collect()
}

const SERVER_FILES: [(&str, &str); 2] =
    [("--tlscert", "server.pem"), ("--tlskey", "server-key.pem")];

fn trusting() -> TlsConfig {
    let mut tls = TlsConfig::default();
    tls.ca_file = Some(certificate("ca.pem"));
    tls
}

pub(crate) async fn tls() {
    let server = Server::start(files(&SERVER_FILES));
    accepted(&server, |builder| builder.tls(trusting())).await;

    // The system does not know this authority.
    let error = refused(&server, NatsTransporter::builder().url(server.url())).await;
    assert!(error.message().contains("check the certificates that tls names"), "{error}");
    let mut absent = TlsConfig::default();
    absent.ca_file = Some("no-such-file.pem".into());
    let error = refused(&server, NatsTransporter::builder().url(server.url()).tls(absent)).await;
    assert!(error.message().contains("check the files that tls names"), "{error}");
}

pub(crate) async fn tls_with_a_certificate_of_the_node() {
    let mut names = SERVER_FILES.to_vec();
    names.extend([("--tlscacert", "ca.pem")]);
    let mut arguments = files(&names);
    arguments.push("--tlsverify".into());
    let server = Server::start(arguments);
    accepted(&server, |builder| {
        let mut tls = trusting();
        tls.cert_file = Some(certificate("client.pem"));
        tls.key_file = Some(certificate("client-key.pem"));
        builder.tls(tls)
    })
    .await;
}
