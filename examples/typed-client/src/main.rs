//! Calls that the compiler checks, between two nodes: names, params, results
//! and errors.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use moleculer::{InProcessNetwork, prelude::*};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Account {
    owner: String,
    cents: i64,
}

/// What can go wrong with an account, on whichever node it is.
#[derive(Debug, ActionError)]
enum AccountError {
    #[action_error(code = 404, type = "NO_ACCOUNT", message = "there is no account {number}")]
    Missing { number: u64 },
    #[action_error(code = 409, type = "TOO_POOR", message = "{missing} cents are missing")]
    TooPoor { missing: i64 },
    #[action_error(other)]
    Other(Error),
}

/// What callers need to know of accounts. It could be in a crate of its own:
/// who links it does not link the service.
#[service(name = "accounts", version = 1)]
trait AccountsApi {
    /// Opens an account, and returns its number.
    #[action]
    async fn open(&self, owner: String) -> Result<u64>;

    /// Moves money.
    #[action(timeout = "2s")]
    async fn transfer(&self, from: u64, to: u64, cents: i64) -> Result<(), AccountError>;

    #[action]
    async fn get(&self, number: u64) -> Result<Account, AccountError>;
}

#[derive(Default)]
struct Accounts(Mutex<BTreeMap<u64, Account>>);

#[service]
impl AccountsApi for Accounts {
    async fn open(&self, owner: String) -> Result<u64> {
        let mut accounts = self.lock();
        let number = accounts.len() as u64 + 1;
        accounts.insert(number, Account { owner, cents: 1000 });
        Ok(number)
    }

    async fn transfer(&self, from: u64, to: u64, cents: i64) -> Result<(), AccountError> {
        let mut accounts = self.lock();
        let find = |number| accounts.get(&number).ok_or(AccountError::Missing { number });
        let (left, full) = (find(from)?.cents - cents, find(to)?.cents + cents);
        if left < 0 {
            return Err(AccountError::TooPoor { missing: -left });
        }
        for (number, cents) in [(from, left), (to, full)] {
            accounts.entry(number).and_modify(|account| account.cents = cents);
        }
        Ok(())
    }

    async fn get(&self, number: u64) -> Result<Account, AccountError> {
        self.lock().get(&number).cloned().ok_or(AccountError::Missing { number })
    }
}

impl Accounts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let network = InProcessNetwork::default();
    let node = |name| ServiceBroker::builder().node_id(name).transporter(network.transporter());
    let bank = node("bank").service(Accounts::default()).start().await?;
    let shop = node("shop").start().await?;
    shop.wait_for_services(["v1.accounts"], Duration::from_secs(5)).await?;

    let accounts = AccountsApiClient::new(&shop);
    let ada = accounts.open("Ada".to_owned()).await?;
    let grace = accounts.open("Grace".to_owned()).timeout(Duration::from_secs(1)).await?;

    for cents in [300, 5000] {
        match accounts.transfer(ada, grace, cents).await {
            Ok(()) => println!("transfer {cents} cents"),
            Err(AccountError::TooPoor { missing }) => println!("too poor by {missing} cents"),
            Err(error) => return Err(error.into()),
        }
    }
    let account = accounts.get(grace).await.map_err(Error::from)?;
    println!("account  {} has {} cents", account.owner, account.cents);
    if let Err(error) = accounts.get(99).await {
        println!("missing  {error}");
    }

    shop.stop().await?;
    bank.stop().await
}
