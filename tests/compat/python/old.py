#!/usr/bin/env python3
"""The main rules through TigerBeetle's Python client, 0.16.x: results name failed events only.

Usage: old.py ADDRESS
"""
import concurrent.futures
import importlib.metadata
import sys

import tigerbeetle as tb
from check import equal, run, test, until
from tigerbeetle import (
    Account,
    AccountFilter,
    AccountFilterFlags,
    AccountFlags,
    QueryFilter,
    QueryFilterFlags,
    Transfer,
    TransferFlags,
)
from tigerbeetle import CreateAccountResult as A
from tigerbeetle import CreateTransferResult as T

MAX = 2**128 - 1
address = sys.argv[1]
version = importlib.metadata.version("tigerbeetle")
# Requests had no trailer before 0.16.35.
BATCH_MAX = 8190 if int(version.split(".")[2]) < 35 else 8189


def account(**fields):
    return Account(**({"id": tb.id(), "ledger": 700, "code": 10} | fields))


def transfer(debit=0, credit=0, amount=1, **fields):
    defaults = {"id": tb.id(), "ledger": 700, "code": 20}
    return Transfer(
        **(defaults | {"debit_account_id": debit, "credit_account_id": credit, "amount": amount} | fields)
    )


def failures(results):
    return [(result.index, result.result) for result in results]


def created(c, *events):
    make = c.create_accounts if isinstance(events[0], Account) else c.create_transfers
    equal(failures(make(list(events))), [])
    return [event.id for event in events]


def pair(c, **fields):
    return created(c, account(**fields), account(**fields))


def balances(c, account_id):
    (row,) = c.lookup_accounts([account_id])
    return (row.debits_pending, row.debits_posted, row.credits_pending, row.credits_posted)


def account_filter(account_id, **fields):
    defaults = {
        "account_id": account_id, "user_data_128": 0, "user_data_64": 0, "user_data_32": 0,
        "code": 0, "timestamp_min": 0, "timestamp_max": 0, "limit": BATCH_MAX,
        "flags": AccountFilterFlags.DEBITS | AccountFilterFlags.CREDITS,
    }
    return AccountFilter(**(defaults | fields))


def query_filter(**fields):
    defaults = {
        "user_data_128": 0, "user_data_64": 0, "user_data_32": 0, "ledger": 0, "code": 0,
        "timestamp_min": 0, "timestamp_max": 0, "limit": BATCH_MAX, "flags": QueryFilterFlags.NONE,
    }
    return QueryFilter(**(defaults | fields))


@test
def only_failed_events_are_answered(c):
    one, two = account(user_data_64=5), account()
    equal(failures(c.create_accounts([one, account(id=0), two, one, account(code=0)])),
          [(1, A.ID_MUST_NOT_BE_ZERO), (3, A.EXISTS), (4, A.CODE_MUST_NOT_BE_ZERO)])
    equal(failures(c.create_accounts([account(id=one.id), account(flags=1 << 15)])),
          [(0, A.EXISTS_WITH_DIFFERENT_USER_DATA_64), (1, A.RESERVED_FLAG)])
    equal([row.id for row in c.lookup_accounts([two.id, tb.id(), one.id])], [two.id, one.id])
    event = transfer(one.id, two.id, 5)
    equal(failures(c.create_transfers(
        [event, event, transfer(one.id, one.id), transfer(one.id, two.id, 6)])),
        [(1, T.EXISTS), (2, T.ACCOUNTS_MUST_BE_DIFFERENT)])
    equal(balances(c, one.id), (0, 11, 0, 0))
    (row,) = c.lookup_transfers([event.id])
    event.timestamp = row.timestamp
    equal(row, event)


@test
def transient_failures_burn_ids(c):
    one, two = pair(c, flags=AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
    event = transfer(one, two, 5)
    equal(failures(c.create_transfers([event])), [(0, T.EXCEEDS_CREDITS)])
    equal(failures(c.create_transfers([event])), [(0, T.ID_ALREADY_FAILED)])


@test
def holds_are_posted_voided_and_expire(c):
    one, two = pair(c)
    hold = TransferFlags.PENDING
    first, second, third = created(
        c, transfer(one, two, 10, flags=hold), transfer(one, two, 20, flags=hold),
        transfer(one, two, 40, flags=hold, timeout=1))
    post = TransferFlags.POST_PENDING_TRANSFER
    void = TransferFlags.VOID_PENDING_TRANSFER
    created(c, transfer(amount=4, pending_id=first, flags=post, ledger=0, code=0),
            transfer(amount=0, pending_id=second, flags=void, ledger=0, code=0))
    until(lambda: balances(c, one) == (0, 4, 0, 0), "the third hold expires")
    late = [transfer(amount=MAX, pending_id=p, flags=post) for p in (first, second, third)]
    equal(failures(c.create_transfers(late)),
          [(0, T.PENDING_TRANSFER_ALREADY_POSTED), (1, T.PENDING_TRANSFER_ALREADY_VOIDED),
           (2, T.PENDING_TRANSFER_EXPIRED)])


@test
def chains_pass_or_fail_together(c):
    one, two = pair(c)
    linked = TransferFlags.LINKED
    chain = [transfer(one, two, 1, flags=linked), transfer(one, two, 2)]
    created(c, *chain)
    equal(failures(c.create_transfers(chain)), [(0, T.EXISTS), (1, T.LINKED_EVENT_FAILED)])
    equal(failures(c.create_transfers(
        [transfer(one, two), transfer(one, two, flags=linked), transfer(one, one),
         transfer(one, two, flags=linked)])),
        [(1, T.LINKED_EVENT_FAILED), (2, T.ACCOUNTS_MUST_BE_DIFFERENT),
         (3, T.LINKED_EVENT_CHAIN_OPEN)])
    equal(balances(c, one), (0, 4, 0, 0))


@test
def queries_answer(c):
    tag = tb.id()
    one, two = pair(c, flags=AccountFlags.HISTORY, user_data_128=tag)
    sent = created(c, *[transfer(one, two, 1 + i, user_data_128=tag) for i in range(10)])
    reverse = AccountFilterFlags.DEBITS | AccountFilterFlags.REVERSED
    ids = lambda rows: [row.id for row in rows]
    equal(ids(c.get_account_transfers(account_filter(one))), sent)
    equal(ids(c.get_account_transfers(account_filter(one, flags=reverse, limit=3))), sent[:-4:-1])
    equal([row.debits_posted for row in c.get_account_balances(account_filter(one))],
          [1, 3, 6, 10, 15, 21, 28, 36, 45, 55])
    equal(ids(c.query_accounts(query_filter(user_data_128=tag))), [one, two])
    equal(ids(c.query_transfers(query_filter(user_data_128=tag, limit=4))), sent[:4])
    equal(c.query_transfers(query_filter(user_data_128=tag, limit=0)), [])
    equal(c.get_account_transfers(account_filter(one, flags=AccountFilterFlags.NONE)), [])
    # These clients do not bound the limit: the server does.
    equal(ids(c.query_transfers(query_filter(user_data_128=tag, limit=2**32 - 1))), sent)
    equal(ids(c.get_account_transfers(account_filter(one, limit=2**32 - 1))), sent)


@test
def full_batches_pass(c):
    one, two = pair(c)
    events = [transfer(one, two, 1 + i % 2) for i in range(BATCH_MAX)]
    equal(c.create_transfers(events), [])
    ids = [event.id for event in events]
    equal([row.id for row in c.lookup_transfers(ids)], ids)
    equal([row.id for row in c.get_account_transfers(account_filter(one, limit=2**32 - 1))], ids)
    equal(failures(c.create_transfers(events)), [(i, T.EXISTS) for i in range(BATCH_MAX)])


@test
def calls_in_flight_are_answered_each_with_its_own(c):
    one, two = pair(c)

    def call(number):
        for _ in range(10):
            good = [transfer(one, two) for _ in range(number)]
            equal(failures(c.create_transfers(good + [transfer(one, one)])),
                  [(number, T.ACCOUNTS_MUST_BE_DIFFERENT)])
            equal(len(c.lookup_transfers([event.id for event in good])), number)

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        for future in [pool.submit(call, number) for number in range(32)]:
            future.result()
    equal(balances(c, one)[1], 10 * sum(range(32)))


with tb.ClientSync(cluster_id=0, replica_addresses=address) as client_:
    run(f"python {version}", client_)
