//! A server that trusts an operator, and users of one of its accounts.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde_json::{Value, json};

/// Signs accounts, and here also the users of the only one.
pub(crate) struct Operator {
    own: KeyPair,
    account: KeyPair,
}

/// What a user has to show.
pub(crate) struct Credentials {
    pub(crate) jwt: String,
    pub(crate) seed: String,
}

impl Operator {
    pub(crate) fn new() -> Self {
        Self { own: KeyPair::new_operator(), account: KeyPair::new_account() }
    }

    /// The configuration of a server that trusts this operator.
    pub(crate) fn configuration(&self) -> String {
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
            "wildcards": true, "conn": -1, "leaf": -1,
        });
        let own = sign(&self.own, &self.own, json!({ "type": "operator" }), None);
        let account =
            sign(&self.own, &self.account, json!({ "type": "account", "limits": limits }), None);
        let id = self.account.public_key();
        format!("operator: {own}\nresolver: MEMORY\nresolver_preload: {{ {id}: {account} }}\n")
    }

    /// A user of the account.
    pub(crate) fn user(&self, expires: Option<Duration>) -> Credentials {
        let user = KeyPair::new_user();
        let rights = json!({ "type": "user", "subs": -1, "data": -1, "payload": -1 });
        let jwt = sign(&self.account, &user, rights, expires);
        Credentials { jwt, seed: user.seed().expect("it was made here") }
    }
}

impl Credentials {
    /// As in a `.creds` file.
    pub(crate) fn file(&self) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            self.jwt, self.seed
        )
    }
}

/// A JWT as NATS wants it, which lives that long, or for ever.
fn sign(issuer: &KeyPair, subject: &KeyPair, mut what: Value, lives: Option<Duration>) -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock that is right").as_secs();
    what["version"] = 2.into();
    let mut claims = json!({
        "jti": subject.public_key(), "iat": now, "iss": issuer.public_key(),
        "sub": subject.public_key(), "name": "test", "nats": what,
    });
    if let Some(lives) = lives {
        claims["exp"] = (now + lives.as_secs()).into();
    }
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed =
        format!("{}.{}", part(json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(claims));
    let signature = issuer.sign(signed.as_bytes()).expect("it has a seed");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
