//! Who may connect, and what comes of it when one may not.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use moleculer_core::Error;
use moleculer_transporter_nats::{NatsTransporter, NatsTransporterBuilder, TlsConfig};

use crate::support::{Operator, Server, Setup, certificate, eventually, logged};

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
        assert!(error.message().contains("check user and pass, token, nkey"), "{error}");
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

/// A file that goes with the test.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("nats-{}-{number}.creds", std::process::id()));
        let file = Self(path);
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).expect("a temporary file");
    }
}

impl Drop for File {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

pub(crate) async fn credentials() {
    let operator = Operator::new();
    let server = Server::configured(&operator.configuration());
    let user = operator.user(None);
    let file = File::new(&user.file());
    accepted(&server, |builder| builder.user_creds(&file.0)).await;
    accepted(&server, |builder| builder.user_jwt(&user.jwt, &user.seed)).await;

    let builder = || NatsTransporter::builder().url(server.url());
    let another = Operator::new().user(None);
    for stranger in [
        builder(),
        builder().nkey(&user.seed),
        builder().user_jwt(&another.jwt, &another.seed),
        builder().user_jwt(&user.jwt, &another.seed),
    ] {
        let error = refused(&server, stranger).await;
        assert!(error.message().contains("authorization violation"), "{error}");
    }
    let nonsense = File::new("nonsense");
    for (file, problem) in
        [(Path::new("no-such.creds"), "No such file"), (&nonsense.0, "cannot parse")]
    {
        let error = refused(&server, builder().user_creds(file)).await;
        assert!(error.message().contains(problem), "{error}");
        assert!(error.message().contains("must hold the JWT and the seed of a user"), "{error}");
    }
}

/// The server ends the connection when they expire; the next one uses the new.
pub(crate) async fn credentials_that_are_renewed() {
    let operator = Operator::new();
    let server = Server::configured(&operator.configuration());
    let file = File::new(&operator.user(Some(Duration::from_secs(3))).file());
    let setup = Setup::new(&server.url());
    let builder = setup.transporter().user_creds(&file.0);
    let a = setup.node_with("a", builder, |builder| builder).await.unwrap();
    a.hears("transporter.disconnected").await;
    let refused = |line: &String| line.contains("NATS is not there again yet");
    eventually("the old ones are refused", || logged().iter().any(refused)).await;
    file.write(&operator.user(None).file());
    a.hears("transporter.connected wasReconnect").await;
    a.stop().await;
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
