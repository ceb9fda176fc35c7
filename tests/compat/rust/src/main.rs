//! The main rules through TigerBeetle's Rust client, 0.17.x.
//! Usage: compat ADDRESS

use std::future::Future;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tb::CreateAccountStatus as A;
use tb::CreateTransferStatus as T;
use tb::TransferFlags as F;
use tigerbeetle as tb;

const LEDGER: u32 = 700;
const BATCH_MAX: usize = 8189;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait<R>(future: impl Future<Output = R>) -> R {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}

fn account() -> tb::Account {
    tb::Account { id: tb::id(), ledger: LEDGER, code: 10, ..Default::default() }
}

fn transfer(debit: u128, credit: u128, amount: u128) -> tb::Transfer {
    tb::Transfer {
        id: tb::id(),
        debit_account_id: debit,
        credit_account_id: credit,
        amount,
        ledger: LEDGER,
        code: 20,
        ..Default::default()
    }
}

fn settle(pending: u128, amount: u128, flags: F) -> tb::Transfer {
    tb::Transfer { id: tb::id(), pending_id: pending, amount, flags, ..Default::default() }
}

fn accounts_are(c: &tb::Client, events: &[tb::Account], expected: &[A]) -> Vec<u64> {
    let results = wait(c.create_accounts(events)).unwrap();
    let statuses: Vec<A> = results.iter().map(|r| r.status).collect();
    assert_eq!(statuses, expected);
    results.iter().map(|r| r.timestamp).collect()
}

fn transfers_are(c: &tb::Client, events: &[tb::Transfer], expected: &[T]) -> Vec<u64> {
    let results = wait(c.create_transfers(events)).unwrap();
    let statuses: Vec<T> = results.iter().map(|r| r.status).collect();
    assert_eq!(statuses, expected);
    results.iter().map(|r| r.timestamp).collect()
}

fn pair(c: &tb::Client, flags: tb::AccountFlags, data: u128) -> (u128, u128) {
    let make = || tb::Account { flags, user_data_128: data, ..account() };
    let events = [make(), make()];
    accounts_are(c, &events, &[A::Created, A::Created]);
    (events[0].id, events[1].id)
}

fn balances(c: &tb::Client, id: u128) -> (u128, u128, u128, u128) {
    let rows = wait(c.lookup_accounts(&[id])).unwrap();
    assert_eq!(rows.len(), 1);
    let a = &rows[0];
    (a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted)
}

fn ids(rows: &[tb::Transfer]) -> Vec<u128> {
    rows.iter().map(|row| row.id).collect()
}

fn accounts_by_rule(c: &tb::Client) {
    let one = tb::Account { user_data_64: 5, ..account() };
    let times = accounts_are(
        c,
        &[
            one,
            tb::Account { id: 0, ..account() },
            tb::Account { ledger: 0, ..account() },
            one,
            tb::Account { id: one.id, ..account() },
        ],
        &[A::Created, A::IdMustNotBeZero, A::LedgerMustNotBeZero, A::Exists,
            A::ExistsWithDifferentUserData64],
    );
    let start = times[0];
    assert_eq!(times, [start, start + 1, start + 2, start, start + 4]);
    let rows = wait(c.lookup_accounts(&[tb::id(), one.id])).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].id, rows[0].timestamp, rows[0].user_data_64), (one.id, start, 5));
}

fn holds(c: &tb::Client) {
    let (one, two) = pair(c, tb::AccountFlags::empty(), 0);
    let hold = |amount, timeout| tb::Transfer { flags: F::Pending, timeout, ..transfer(one, two, amount) };
    let events = [hold(10, 0), hold(20, 0), hold(40, 1)];
    transfers_are(c, &events, &[T::Created; 3]);
    transfers_are(
        c,
        &[
            settle(events[0].id, 4, F::PostPendingTransfer),
            settle(events[1].id, 0, F::VoidPendingTransfer),
            settle(events[0].id, u128::MAX, F::PostPendingTransfer),
        ],
        &[T::Created, T::Created, T::PendingTransferAlreadyPosted],
    );
    for _ in 0..400 {
        if balances(c, one).0 == 0 {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(balances(c, one), (0, 4, 0, 0));
    transfers_are(c, &[settle(events[2].id, 1, F::PostPendingTransfer)], &[T::PendingTransferExpired]);
}

fn chains(c: &tb::Client) {
    let (one, two) = pair(c, tb::AccountFlags::empty(), 0);
    let linked = || tb::Transfer { flags: F::Linked, ..transfer(one, two, 1) };
    let chain = [linked(), transfer(one, two, 2)];
    transfers_are(c, &chain, &[T::Created, T::Created]);
    transfers_are(c, &chain, &[T::Exists, T::LinkedEventFailed]);
    transfers_are(
        c,
        &[linked(), transfer(one, one, 1), linked()],
        &[T::LinkedEventFailed, T::AccountsMustBeDifferent, T::LinkedEventChainOpen],
    );
    assert_eq!(balances(c, one), (0, 3, 0, 0));
}

fn queries(c: &tb::Client) {
    let tag = tb::id();
    let (one, two) = pair(c, tb::AccountFlags::History, tag);
    let events: Vec<tb::Transfer> = (1..=10).map(|i| transfer(one, two, i)).collect();
    transfers_are(c, &events, &[T::Created; 10]);
    let both = tb::AccountFilterFlags(3);
    let filter = tb::AccountFilter { account_id: one, limit: 8189, flags: both, ..Default::default() };
    let rows = wait(c.get_account_transfers(filter)).unwrap();
    assert_eq!(ids(&rows), ids(&events));
    let rows = wait(c.get_account_balances(filter)).unwrap();
    assert_eq!(rows.iter().map(|r| r.debits_posted).collect::<Vec<_>>(), [1, 3, 6, 10, 15, 21, 28, 36, 45, 55]);
    let query = tb::QueryFilter {
        user_data_128: tag,
        limit: 8,
        flags: tb::QueryFilterFlags::Reversed,
        ..Default::default()
    };
    let rows = wait(c.query_accounts(query)).unwrap();
    assert_eq!(rows.iter().map(|r| r.id).collect::<Vec<_>>(), [two, one]);
    assert!(wait(c.query_transfers(query)).unwrap().is_empty());
    let nothing = tb::QueryFilter { limit: 0, ..query };
    assert!(wait(c.query_accounts(nothing)).unwrap().is_empty());
}

fn full_batches(c: &tb::Client) {
    let (one, two) = pair(c, tb::AccountFlags::empty(), 0);
    let events: Vec<tb::Transfer> = (0..BATCH_MAX).map(|_| transfer(one, two, 1)).collect();
    transfers_are(c, &events, &[T::Created; BATCH_MAX]);
    let rows = wait(c.lookup_transfers(&ids(&events))).unwrap();
    assert_eq!(ids(&rows), ids(&events));
    let more: Vec<tb::Transfer> = (0..=BATCH_MAX).map(|_| transfer(one, two, 1)).collect();
    assert!(matches!(wait(c.create_transfers(&more)), Err(tb::Error::TooMuchData)));
    assert_eq!(balances(c, one).1, BATCH_MAX as u128);
}

fn flight(c: &tb::Client) {
    let (one, two) = pair(c, tb::AccountFlags::empty(), 0);
    for _ in 0..10 {
        let batches: Vec<Vec<tb::Transfer>> = (1..=32)
            .map(|n| (0..n).map(|_| transfer(one, two, 1)).chain([transfer(one, one, 1)]).collect())
            .collect();
        let calls: Vec<_> = batches.iter().map(|batch| c.create_transfers(batch)).collect();
        for (call, batch) in calls.into_iter().zip(&batches) {
            let results = wait(call).unwrap();
            assert_eq!(results.len(), batch.len());
            let (last, others) = results.split_last().unwrap();
            assert!(others.iter().all(|r| r.status == T::Created));
            assert_eq!(last.status, T::AccountsMustBeDifferent);
        }
    }
    assert_eq!(balances(c, one), (0, 10 * 33 * 16, 0, 0));
}

fn main() {
    let address = std::env::args().nth(1).expect("usage: compat ADDRESS");
    let client = tb::Client::new(0, &address).expect("a client");
    let tests: [(&str, fn(&tb::Client)); 6] = [
        ("accounts are created once and refused by rule", accounts_by_rule),
        ("holds are posted, voided and expire", holds),
        ("chains pass or fail together", chains),
        ("queries answer", queries),
        ("full batches pass and greater ones do not", full_batches),
        ("calls in flight are answered each with its own", flight),
    ];
    let mut failed = 0;
    for (name, test) in tests {
        if catch_unwind(AssertUnwindSafe(|| test(&client))).is_ok() {
            println!("ok      rust: {name}");
        } else {
            println!("FAILED  rust: {name}");
            failed += 1;
        }
    }
    println!("rust: {} passed, {failed} failed", tests.len() - failed);
    std::process::exit(i32::from(failed != 0));
}
