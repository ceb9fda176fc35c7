#!/usr/bin/env python3
"""Every rule of the ledger through TigerBeetle's Python client, 0.17.x.

Usage: features.py ADDRESS. Runs on a ledger with anything in it: ids are new.
"""
import asyncio
import concurrent.futures
import importlib.metadata
import sys
import threading
import time

import tigerbeetle as tb
from check import equal, run, test, true, until
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
from tigerbeetle import CreateAccountStatus as A
from tigerbeetle import CreateTransferStatus as T

MAX = 2**128 - 1
NS = 10**9
BATCH_MAX = 8189
LEDGER = 700
DEBITS_CREDITS = AccountFilterFlags.DEBITS | AccountFilterFlags.CREDITS

address = sys.argv[1]


def account(**fields):
    return Account(**({"id": tb.id(), "ledger": LEDGER, "code": 10} | fields))


def transfer(debit=0, credit=0, amount=1, **fields):
    defaults = {"id": tb.id(), "ledger": LEDGER, "code": 20}
    return Transfer(
        **(defaults | {"debit_account_id": debit, "credit_account_id": credit, "amount": amount} | fields)
    )


def post(pending, amount=MAX, **fields):
    fields = {"ledger": 0, "code": 0} | fields
    return transfer(
        amount=amount, pending_id=pending, flags=TransferFlags.POST_PENDING_TRANSFER, **fields
    )


def void(pending, amount=0, **fields):
    fields = {"ledger": 0, "code": 0} | fields
    return transfer(
        amount=amount, pending_id=pending, flags=TransferFlags.VOID_PENDING_TRANSFER, **fields
    )


def statuses(results):
    return [result.status for result in results]


def accounts_are(c, events, expected):
    results = c.create_accounts(events)
    equal(statuses(results), expected)
    return results


def transfers_are(c, events, expected):
    results = c.create_transfers(events)
    equal(statuses(results), expected)
    return results


def created(c, *events):
    """Creates accounts or transfers that must pass; returns their ids."""
    if isinstance(events[0], Account):
        accounts_are(c, list(events), [A.CREATED] * len(events))
    else:
        transfers_are(c, list(events), [T.CREATED] * len(events))
    return [event.id for event in events]


def pair(c, **fields):
    return created(c, account(**fields), account(**fields))


def balances(c, account_id):
    """debits pending and posted, credits pending and posted"""
    (row,) = c.lookup_accounts([account_id])
    return (row.debits_pending, row.debits_posted, row.credits_pending, row.credits_posted)


def funded(c, amount, **fields):
    """An account with so much posted to its credit, and the one that paid it."""
    other, one = created(c, account(), account(**fields))
    created(c, transfer(other, one, amount))
    return one, other


def account_filter(account_id, **fields):
    defaults = {
        "account_id": account_id, "user_data_128": 0, "user_data_64": 0, "user_data_32": 0,
        "code": 0, "timestamp_min": 0, "timestamp_max": 0, "limit": BATCH_MAX,
        "flags": DEBITS_CREDITS,
    }
    return AccountFilter(**(defaults | fields))


def query_filter(**fields):
    defaults = {
        "user_data_128": 0, "user_data_64": 0, "user_data_32": 0, "ledger": 0, "code": 0,
        "timestamp_min": 0, "timestamp_max": 0, "limit": BATCH_MAX, "flags": QueryFilterFlags.NONE,
    }
    return QueryFilter(**(defaults | fields))


def ids(rows):
    return [row.id for row in rows]


# Accounts


@test
def accounts_are_stored_as_they_are_sent(c):
    one = account(user_data_128=2**127 + 1, user_data_64=2**63 + 2, user_data_32=2**31 + 3,
                  ledger=2**32 - 1, code=2**16 - 1, flags=AccountFlags.HISTORY)
    two = account(flags=AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS)
    results = accounts_are(c, [one, two], [A.CREATED] * 2)
    one.timestamp, two.timestamp = [result.timestamp for result in results]
    equal(c.lookup_accounts([one.id, two.id]), [one, two])


@test
def accounts_are_refused_by_the_first_rule_they_break(c):
    both = (AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS
            | AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS)
    rows = [({"flags": 1 << bit}, A.RESERVED_FLAG) for bit in range(6, 16)]
    rows += [
        ({"id": 0}, A.ID_MUST_NOT_BE_ZERO),
        ({"id": MAX}, A.ID_MUST_NOT_BE_INT_MAX),
        ({"flags": both}, A.FLAGS_ARE_MUTUALLY_EXCLUSIVE),
        ({"debits_pending": 1}, A.DEBITS_PENDING_MUST_BE_ZERO),
        ({"debits_posted": 1}, A.DEBITS_POSTED_MUST_BE_ZERO),
        ({"credits_pending": 1}, A.CREDITS_PENDING_MUST_BE_ZERO),
        ({"credits_posted": 1}, A.CREDITS_POSTED_MUST_BE_ZERO),
        ({"ledger": 0}, A.LEDGER_MUST_NOT_BE_ZERO),
        ({"code": 0}, A.CODE_MUST_NOT_BE_ZERO),
        ({"timestamp": 1}, A.TIMESTAMP_MUST_BE_ZERO),
        ({"timestamp": 1, "flags": 1 << 15}, A.TIMESTAMP_MUST_BE_ZERO),
        ({"flags": 1 << 15, "id": 0}, A.RESERVED_FLAG),
        ({"id": 0, "flags": both}, A.ID_MUST_NOT_BE_ZERO),
        ({"flags": both, "debits_pending": 1}, A.FLAGS_ARE_MUTUALLY_EXCLUSIVE),
        ({"debits_pending": 1, "debits_posted": 1}, A.DEBITS_PENDING_MUST_BE_ZERO),
        ({"credits_posted": 1, "ledger": 0}, A.CREDITS_POSTED_MUST_BE_ZERO),
        ({"ledger": 0, "code": 0}, A.LEDGER_MUST_NOT_BE_ZERO),
    ]
    events = [account(**fields) for fields, _ in rows]
    accounts_are(c, events, [status for _, status in rows])
    equal(c.lookup_accounts([event.id for event in events]), [])
    for fields, status in rows:  # each in a request of its own too
        accounts_are(c, [account(**fields)], [status])


@test
def accounts_exist_once(c):
    fields = {"id": tb.id(), "user_data_128": 1, "user_data_64": 2, "user_data_32": 3}
    created(c, account(**fields))
    rows = [
        ({"flags": AccountFlags.HISTORY}, A.EXISTS_WITH_DIFFERENT_FLAGS),
        ({"user_data_128": 9}, A.EXISTS_WITH_DIFFERENT_USER_DATA_128),
        ({"user_data_64": 9}, A.EXISTS_WITH_DIFFERENT_USER_DATA_64),
        ({"user_data_32": 9}, A.EXISTS_WITH_DIFFERENT_USER_DATA_32),
        ({"ledger": 9}, A.EXISTS_WITH_DIFFERENT_LEDGER),
        ({"code": 9}, A.EXISTS_WITH_DIFFERENT_CODE),
        ({}, A.EXISTS),
        # the first difference counts, and an existing id comes before what is wrong with it
        ({"user_data_128": 0, "user_data_64": 9}, A.EXISTS_WITH_DIFFERENT_USER_DATA_128),
        ({"user_data_32": 9, "ledger": 0}, A.EXISTS_WITH_DIFFERENT_USER_DATA_32),
        ({"ledger": 0, "code": 0}, A.EXISTS_WITH_DIFFERENT_LEDGER),
        ({"code": 0}, A.EXISTS_WITH_DIFFERENT_CODE),
        ({"flags": 6, "debits_posted": 1}, A.EXISTS_WITH_DIFFERENT_FLAGS),
        ({"debits_posted": 1}, A.EXISTS),
    ]
    accounts_are(c, [account(**(fields | other)) for other, _ in rows], [s for _, s in rows])
    one = account()
    accounts_are(c, [one, one], [A.CREATED, A.EXISTS])


@test
def lookups_leave_out_what_is_missing_and_keep_the_order(c):
    one, two, three = created(c, account(), account(), account())
    asked = [three, tb.id(), one, 0, MAX, two, one]
    equal(ids(c.lookup_accounts(asked)), [three, one, two, one])
    equal(c.lookup_accounts([tb.id()]), [])
    equal(c.lookup_transfers([one, two, three]), [])
    first, second = created(c, transfer(one, two), transfer(two, three))
    equal(ids(c.lookup_transfers([second, one, tb.id(), first, second])), [second, first, second])


@test
def nothing_asked_is_nothing_answered(c):
    equal(c.create_accounts([]), [])
    equal(c.create_transfers([]), [])
    equal(c.lookup_accounts([]), [])
    equal(c.lookup_transfers([]), [])


# Timestamps


@test
def results_carry_the_time_of_the_object_or_of_the_refusal(c):
    one, two, three = account(), account(), account()
    first = accounts_are(c, [one, account(id=0), two], [A.CREATED, A.ID_MUST_NOT_BE_ZERO, A.CREATED])
    start = first[0].timestamp
    equal([r.timestamp - start for r in first], [0, 1, 2])
    equal([r.timestamp for r in c.lookup_accounts([one.id, two.id])], [start, start + 2])
    again = accounts_are(
        c,
        [three, one, account(id=two.id, code=99), two, account()],
        [A.CREATED, A.EXISTS, A.EXISTS_WITH_DIFFERENT_CODE, A.EXISTS, A.CREATED],
    )
    start2 = again[0].timestamp
    true(start2 > start + 2, "time goes on")
    equal([r.timestamp for r in again], [start2, start, start2 + 2, start + 2, start2 + 4])

    t1 = transfer(one.id, two.id)
    results = transfers_are(
        c,
        [t1, t1, transfer(one.id, one.id), transfer(id=t1.id, debit=one.id, credit=two.id, amount=7),
         transfer(one.id, tb.id()), transfer(one.id, three.id)],
        [T.CREATED, T.EXISTS, T.ACCOUNTS_MUST_BE_DIFFERENT, T.EXISTS_WITH_DIFFERENT_AMOUNT,
         T.CREDIT_ACCOUNT_NOT_FOUND, T.CREATED],
    )
    at = results[0].timestamp
    true(at > start2 + 4, "transfers come later than the accounts")
    equal([r.timestamp - at for r in results], [0, 0, 2, 3, 4, 5])
    equal([row.timestamp for row in c.lookup_transfers([t1.id])], [at])


@test
def results_of_chains_carry_the_time_of_each_event(c):
    one, two = pair(c)
    linked = TransferFlags.LINKED
    in_chain = transfer(one, two, flags=linked)
    results = transfers_are(
        c,
        [transfer(one, two), in_chain, transfer(one, one, flags=linked), transfer(one, two),
         transfer(one, two, flags=linked)],
        [T.CREATED, T.LINKED_EVENT_FAILED, T.ACCOUNTS_MUST_BE_DIFFERENT, T.LINKED_EVENT_FAILED,
         T.LINKED_EVENT_CHAIN_OPEN],
    )
    at = results[0].timestamp
    equal([r.timestamp - at for r in results], [0, 1, 2, 3, 4])
    # A member that exists only in its own chain, which breaks because of it.
    same = transfer(one, two, flags=linked)
    results = transfers_are(
        c,
        [transfer(one, two), same, same, transfer(one, two)],
        [T.CREATED, T.LINKED_EVENT_FAILED, T.EXISTS, T.LINKED_EVENT_FAILED],
    )
    at = results[0].timestamp
    equal([r.timestamp - at for r in results], [0, 1, 1, 3])
    equal(c.lookup_transfers([same.id, in_chain.id]), [])


@test
def no_two_objects_have_the_same_time(c):
    one, two = pair(c)
    times = []
    for _ in range(20):
        times += [r.timestamp for r in c.create_transfers([transfer(one, two) for _ in range(10)])]
        times += [r.timestamp for r in c.create_accounts([account() for _ in range(3)])]
    equal(times, sorted(set(times)))
    true(abs(times[-1] - time.time_ns()) < 600 * NS, "the server's clock is that of the day")


# Transfers


@test
def transfers_are_stored_as_they_are_sent(c):
    one, two = pair(c, ledger=2**32 - 1)
    fields = {"user_data_128": MAX, "user_data_64": 2**64 - 1, "user_data_32": 2**32 - 1,
              "ledger": 2**32 - 1, "code": 2**16 - 1}
    plain = transfer(one, two, 2**100, **fields)
    hold = transfer(two, one, 2**90, flags=TransferFlags.PENDING, timeout=2**31, **fields)
    zero = transfer(one, two, 0, **fields)
    results = transfers_are(c, [plain, hold, zero], [T.CREATED] * 3)
    for event, result in zip([plain, hold, zero], results):
        event.timestamp = result.timestamp
    equal(c.lookup_transfers([plain.id, hold.id, zero.id]), [plain, hold, zero])
    equal(balances(c, one), (0, 2**100, 2**90, 0))
    equal(balances(c, two), (2**90, 0, 0, 2**100))


@test
def transfers_are_refused_by_the_first_rule_they_break(c):
    one, two = pair(c)
    (foreign,) = created(c, account(ledger=LEDGER + 1))
    hold = TransferFlags.PENDING
    rows = [({"flags": 1 << bit}, T.RESERVED_FLAG) for bit in range(9, 16)]
    rows += [
        ({"id": 0}, T.ID_MUST_NOT_BE_ZERO),
        ({"id": MAX}, T.ID_MUST_NOT_BE_INT_MAX),
        ({"timestamp": 1}, T.TIMESTAMP_MUST_BE_ZERO),
        ({"debit_account_id": 0}, T.DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO),
        ({"debit_account_id": MAX}, T.DEBIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX),
        ({"credit_account_id": 0}, T.CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO),
        ({"credit_account_id": MAX}, T.CREDIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX),
        ({"credit_account_id": one}, T.ACCOUNTS_MUST_BE_DIFFERENT),
        ({"pending_id": 5}, T.PENDING_ID_MUST_BE_ZERO),
        ({"timeout": 1}, T.TIMEOUT_RESERVED_FOR_PENDING_TRANSFER),
        ({"flags": TransferFlags.CLOSING_DEBIT}, T.CLOSING_TRANSFER_MUST_BE_PENDING),
        ({"flags": TransferFlags.CLOSING_CREDIT}, T.CLOSING_TRANSFER_MUST_BE_PENDING),
        ({"ledger": 0}, T.LEDGER_MUST_NOT_BE_ZERO),
        ({"code": 0}, T.CODE_MUST_NOT_BE_ZERO),
        ({"debit_account_id": tb.id()}, T.DEBIT_ACCOUNT_NOT_FOUND),
        ({"credit_account_id": tb.id()}, T.CREDIT_ACCOUNT_NOT_FOUND),
        ({"credit_account_id": foreign}, T.ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER),
        ({"ledger": 9}, T.TRANSFER_MUST_HAVE_THE_SAME_LEDGER_AS_ACCOUNTS),
        ({"flags": hold, "pending_id": 5}, T.PENDING_ID_MUST_BE_ZERO),
        # two things wrong: the one that comes first
        ({"timestamp": 1, "flags": 1 << 15}, T.TIMESTAMP_MUST_BE_ZERO),
        ({"flags": 1 << 15, "id": 0}, T.RESERVED_FLAG),
        ({"id": 0, "debit_account_id": 0}, T.ID_MUST_NOT_BE_ZERO),
        ({"debit_account_id": 0, "credit_account_id": 0}, T.DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO),
        ({"credit_account_id": one, "pending_id": 5}, T.ACCOUNTS_MUST_BE_DIFFERENT),
        ({"pending_id": 5, "timeout": 1}, T.PENDING_ID_MUST_BE_ZERO),
        ({"timeout": 1, "flags": TransferFlags.CLOSING_DEBIT},
         T.TIMEOUT_RESERVED_FOR_PENDING_TRANSFER),
        ({"ledger": 0, "code": 0}, T.LEDGER_MUST_NOT_BE_ZERO),
        ({"code": 0, "debit_account_id": tb.id()}, T.CODE_MUST_NOT_BE_ZERO),
        ({"debit_account_id": tb.id(), "credit_account_id": tb.id()}, T.DEBIT_ACCOUNT_NOT_FOUND),
        ({"credit_account_id": foreign, "ledger": 9}, T.ACCOUNTS_MUST_HAVE_THE_SAME_LEDGER),
    ]
    base = {"debit_account_id": one, "credit_account_id": two}
    events = [transfer(**(base | fields)) for fields, _ in rows]
    transfers_are(c, events, [status for _, status in rows])
    equal(c.lookup_transfers([event.id for event in events]), [])
    for fields, status in rows:
        transfers_are(c, [transfer(**(base | fields))], [status])
    equal(balances(c, one), (0, 0, 0, 0))


@test
def transfers_exist_once(c):
    one, two = pair(c)
    three, four = pair(c)
    hold = TransferFlags.PENDING
    fields = {"id": tb.id(), "debit_account_id": one, "credit_account_id": two, "amount": 5,
              "flags": hold, "timeout": 1000,
              "user_data_128": 1, "user_data_64": 2, "user_data_32": 3}
    created(c, transfer(**fields))
    rows = [
        ({"flags": 0}, T.EXISTS_WITH_DIFFERENT_FLAGS),
        ({"pending_id": 9}, T.EXISTS_WITH_DIFFERENT_PENDING_ID),
        ({"timeout": 999}, T.EXISTS_WITH_DIFFERENT_TIMEOUT),
        ({"debit_account_id": three}, T.EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID),
        ({"credit_account_id": four}, T.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID),
        ({"amount": 6}, T.EXISTS_WITH_DIFFERENT_AMOUNT),
        ({"user_data_128": 9}, T.EXISTS_WITH_DIFFERENT_USER_DATA_128),
        ({"user_data_64": 9}, T.EXISTS_WITH_DIFFERENT_USER_DATA_64),
        ({"user_data_32": 9}, T.EXISTS_WITH_DIFFERENT_USER_DATA_32),
        ({"ledger": 9}, T.EXISTS_WITH_DIFFERENT_LEDGER),
        ({"code": 9}, T.EXISTS_WITH_DIFFERENT_CODE),
        ({}, T.EXISTS),
        ({"flags": 0, "pending_id": 9}, T.EXISTS_WITH_DIFFERENT_FLAGS),
        ({"pending_id": 9, "timeout": 0}, T.EXISTS_WITH_DIFFERENT_PENDING_ID),
        ({"timeout": 0, "debit_account_id": 0}, T.EXISTS_WITH_DIFFERENT_TIMEOUT),
        ({"debit_account_id": 0, "credit_account_id": 0},
         T.EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID),
        ({"credit_account_id": one, "amount": 0}, T.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID),
        ({"amount": 0, "user_data_128": 0}, T.EXISTS_WITH_DIFFERENT_AMOUNT),
        ({"user_data_32": 0, "ledger": 0}, T.EXISTS_WITH_DIFFERENT_USER_DATA_32),
        ({"ledger": 0, "code": 0}, T.EXISTS_WITH_DIFFERENT_LEDGER),
    ]
    transfers_are(c, [transfer(**(fields | other)) for other, _ in rows], [s for _, s in rows])
    equal(balances(c, one), (5, 0, 0, 0))
    same = transfer(one, two, 7)
    transfers_are(c, [same, same, same], [T.CREATED, T.EXISTS, T.EXISTS])
    transfers_are(c, [same], [T.EXISTS])
    equal(balances(c, one), (5, 7, 0, 0))


@test
def limits_of_accounts_hold(c):
    one, other = funded(c, 10, flags=AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
    transfers_are(
        c,
        [transfer(one, other, 11), transfer(one, other, 4, flags=TransferFlags.PENDING),
         transfer(one, other, 7), transfer(one, other, 6), transfer(one, other, 1)],
        [T.EXCEEDS_CREDITS, T.CREATED, T.EXCEEDS_CREDITS, T.CREATED, T.EXCEEDS_CREDITS],
    )
    equal(balances(c, one), (4, 6, 0, 10))
    source, sink = created(
        c, account(), account(flags=AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS))
    transfers_are(c, [transfer(source, sink, 1)], [T.EXCEEDS_DEBITS])
    created(c, transfer(sink, source, 3))
    transfers_are(c, [transfer(source, sink, 3), transfer(source, sink, 1)],
                  [T.CREATED, T.EXCEEDS_DEBITS])
    equal(balances(c, sink), (0, 3, 0, 3))


@test
def sums_that_overflow_are_refused(c):
    hold = TransferFlags.PENDING
    one, two = pair(c)
    three, four = pair(c)
    created(c, transfer(one, two, MAX, flags=hold))
    transfers_are(
        c,
        [transfer(one, four, 1, flags=hold), transfer(three, two, 1, flags=hold),
         transfer(one, four, 1), transfer(three, two, 1), transfer(one, four, 0)],
        [T.OVERFLOWS_DEBITS_PENDING, T.OVERFLOWS_CREDITS_PENDING, T.OVERFLOWS_DEBITS,
         T.OVERFLOWS_CREDITS, T.CREATED],
    )
    five, six = pair(c)
    created(c, transfer(five, six, MAX))
    transfers_are(
        c,
        [transfer(five, four, 1), transfer(three, six, 1), transfer(five, four, 1, flags=hold),
         transfer(three, six, 1, flags=hold)],
        [T.OVERFLOWS_DEBITS_POSTED, T.OVERFLOWS_CREDITS_POSTED, T.OVERFLOWS_DEBITS_POSTED,
         T.OVERFLOWS_CREDITS_POSTED],
    )
    equal(balances(c, five), (0, MAX, 0, 0))
    # Not transient: the same ids may come again.
    again = transfer(five, four, 1)
    transfers_are(c, [again, again], [T.OVERFLOWS_DEBITS_POSTED] * 2)


@test
def ids_of_transient_failures_are_burnt(c):
    hold = TransferFlags.PENDING
    missing = tb.id()
    one, other = funded(c, 10, flags=AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
    source, sink = created(
        c, account(), account(flags=AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS))
    shut, open_ = created(c, account(flags=AccountFlags.CLOSED), account())
    rows = [
        (transfer(missing, open_), T.DEBIT_ACCOUNT_NOT_FOUND),
        (transfer(open_, missing), T.CREDIT_ACCOUNT_NOT_FOUND),
        (transfer(one, other, 11), T.EXCEEDS_CREDITS),
        (transfer(source, sink, 1), T.EXCEEDS_DEBITS),
        (transfer(shut, open_), T.DEBIT_ACCOUNT_ALREADY_CLOSED),
        (transfer(open_, shut), T.CREDIT_ACCOUNT_ALREADY_CLOSED),
        (post(missing), T.PENDING_TRANSFER_NOT_FOUND),
        (void(tb.id()), T.PENDING_TRANSFER_NOT_FOUND),
    ]
    transfers_are(c, [event for event, _ in rows], [status for _, status in rows])
    # The reasons go away, the ids stay burnt.
    created(c, account(id=missing))
    created(c, transfer(other, one, 100), transfer(sink, source, 100))
    created(c, transfer(one, other, 1, id=missing, flags=hold))
    transfers_are(c, [event for event, _ in rows], [T.ID_ALREADY_FAILED] * len(rows))
    # Whatever comes with the id; but what is checked before ids is told.
    burnt = rows[0][0].id
    transfers_are(
        c,
        [transfer(open_, other, id=burnt, code=0), transfer(open_, other, id=burnt, timestamp=1),
         transfer(open_, other, id=burnt, flags=1 << 14)],
        [T.ID_ALREADY_FAILED, T.TIMESTAMP_MUST_BE_ZERO, T.RESERVED_FLAG],
    )
    equal(c.lookup_transfers([event.id for event, _ in rows]), [])
    # A failure that is not transient burns nothing.
    event = transfer(open_, other, code=0)
    transfers_are(c, [event], [T.CODE_MUST_NOT_BE_ZERO])
    event.code = 1
    created(c, event)


@test
def a_chain_burns_the_id_of_the_event_that_broke_it_only(c):
    one, two = pair(c)
    linked = TransferFlags.LINKED
    chain = [transfer(one, two, flags=linked), transfer(one, tb.id(), flags=linked),
             transfer(one, two)]
    transfers_are(
        c, chain, [T.LINKED_EVENT_FAILED, T.CREDIT_ACCOUNT_NOT_FOUND, T.LINKED_EVENT_FAILED])
    for event in chain:
        event.flags = 0
    transfers_are(c, chain, [T.CREATED, T.ID_ALREADY_FAILED, T.CREATED])


# Two phases


@test
def holds_are_posted_in_full_and_in_part(c):
    one, two = pair(c)
    hold = TransferFlags.PENDING
    first, second, third, fourth = created(
        c, *[transfer(one, two, 100, flags=hold, user_data_128=7, user_data_64=8, user_data_32=9)
             for _ in range(4)])
    equal(balances(c, one), (400, 0, 0, 0))
    equal(balances(c, two), (0, 0, 400, 0))
    full, part, exact, nothing = post(first), post(second, 30), post(third, 100), post(fourth, 0)
    part.user_data_64 = 80
    results = transfers_are(c, [full, part, exact, nothing], [T.CREATED] * 4)
    equal(balances(c, one), (0, 230, 0, 0))
    equal(balances(c, two), (0, 0, 0, 230))
    rows = c.lookup_transfers([full.id, part.id, nothing.id])
    for row, result, amount, data, pending in [
        (rows[0], results[0], 100, 8, first), (rows[1], results[1], 30, 80, second),
        (rows[2], results[3], 0, 8, fourth),
    ]:
        equal(row, Transfer(
            id=row.id, debit_account_id=one, credit_account_id=two, amount=amount,
            pending_id=pending, user_data_128=7, user_data_64=data, user_data_32=9, timeout=0,
            ledger=LEDGER, code=20, flags=TransferFlags.POST_PENDING_TRANSFER,
            timestamp=result.timestamp))
    transfers_are(
        c, [post(first), void(first), post(second, 1), void(second)],
        [T.PENDING_TRANSFER_ALREADY_POSTED] * 4)


@test
def holds_are_voided(c):
    one, two = pair(c)
    first, second = created(c, *[transfer(one, two, 100, flags=TransferFlags.PENDING)] ,
                            transfer(one, two, 50, flags=TransferFlags.PENDING))
    transfers_are(
        c, [void(first, 99), void(first, 101), void(first), void(second, 50)],
        [T.PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT, T.EXCEEDS_PENDING_TRANSFER_AMOUNT, T.CREATED,
         T.CREATED])
    equal(balances(c, one), (0, 0, 0, 0))
    transfers_are(c, [post(first), void(second)], [T.PENDING_TRANSFER_ALREADY_VOIDED] * 2)


@test
def posts_and_voids_are_refused_by_the_first_rule_they_break(c):
    one, two = pair(c)
    three, four = pair(c)
    hold = TransferFlags.PENDING
    pending, plain = created(c, transfer(one, two, 100, flags=hold), transfer(one, two, 1))
    same = tb.id()
    base = TransferFlags.POST_PENDING_TRANSFER
    rows = [({"flags": base | other}, T.FLAGS_ARE_MUTUALLY_EXCLUSIVE) for other in (
        TransferFlags.VOID_PENDING_TRANSFER, hold, TransferFlags.BALANCING_DEBIT,
        TransferFlags.BALANCING_CREDIT, TransferFlags.CLOSING_DEBIT,
        TransferFlags.CLOSING_CREDIT)]
    rows += [
        ({"pending_id": 0}, T.PENDING_ID_MUST_NOT_BE_ZERO),
        ({"pending_id": MAX}, T.PENDING_ID_MUST_NOT_BE_INT_MAX),
        ({"id": same, "pending_id": same}, T.PENDING_ID_MUST_BE_DIFFERENT),
        ({"timeout": 1}, T.TIMEOUT_RESERVED_FOR_PENDING_TRANSFER),
        ({"pending_id": tb.id()}, T.PENDING_TRANSFER_NOT_FOUND),
        ({"pending_id": plain}, T.PENDING_TRANSFER_NOT_PENDING),
        ({"debit_account_id": three}, T.PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID),
        ({"credit_account_id": four}, T.PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT_ID),
        ({"ledger": 9}, T.PENDING_TRANSFER_HAS_DIFFERENT_LEDGER),
        ({"code": 9}, T.PENDING_TRANSFER_HAS_DIFFERENT_CODE),
        ({"amount": 101}, T.EXCEEDS_PENDING_TRANSFER_AMOUNT),
        ({"pending_id": 0, "timeout": 1}, T.PENDING_ID_MUST_NOT_BE_ZERO),
        ({"debit_account_id": three, "ledger": 9},
         T.PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT_ID),
        ({"code": 9, "amount": 101}, T.PENDING_TRANSFER_HAS_DIFFERENT_CODE),
    ]
    defaults = {"pending_id": pending, "amount": 100, "flags": base, "ledger": 0, "code": 0}
    transfers_are(c, [transfer(**(defaults | f)) for f, _ in rows], [s for _, s in rows])
    equal(balances(c, one), (100, 1, 0, 0))
    created(c, transfer(one, two, 100, pending_id=pending, flags=base))  # all fields given


@test
def posts_and_voids_exist_once(c):
    one, two = pair(c)
    three, four = pair(c)
    hold = TransferFlags.PENDING
    fields = {"user_data_128": 1, "user_data_64": 2, "user_data_32": 3}
    full, part, voided, other = created(
        c, *[transfer(one, two, 100, flags=hold, **fields) for _ in range(4)])
    p, q, v = post(full), post(part, 40, user_data_64=22), void(voided)
    created(c, p, q, v)

    def like(event, **changes):
        same = {name: getattr(event, name) for name in Transfer.__slots__}
        return Transfer(**(same | changes))

    rows = [
        (like(p), T.EXISTS), (like(p, amount=100), T.EXISTS),
        (like(p, amount=99), T.EXISTS_WITH_DIFFERENT_AMOUNT),
        (like(p, amount=101), T.EXISTS_WITH_DIFFERENT_AMOUNT),
        (like(p, user_data_128=1, debit_account_id=one, ledger=LEDGER, code=20), T.EXISTS),
        (like(p, user_data_128=9), T.EXISTS_WITH_DIFFERENT_USER_DATA_128),
        (like(p, user_data_32=9), T.EXISTS_WITH_DIFFERENT_USER_DATA_32),
        (like(p, debit_account_id=three), T.EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID),
        (like(p, credit_account_id=four), T.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID),
        (like(p, ledger=9), T.EXISTS_WITH_DIFFERENT_LEDGER),
        (like(p, code=9), T.EXISTS_WITH_DIFFERENT_CODE),
        (like(p, pending_id=other), T.EXISTS_WITH_DIFFERENT_PENDING_ID),
        (like(p, flags=TransferFlags.VOID_PENDING_TRANSFER), T.EXISTS_WITH_DIFFERENT_FLAGS),
        (like(p, timeout=1), T.EXISTS_WITH_DIFFERENT_TIMEOUT),
        (like(q), T.EXISTS), (like(q, amount=MAX), T.EXISTS_WITH_DIFFERENT_AMOUNT),
        (like(q, amount=100), T.EXISTS_WITH_DIFFERENT_AMOUNT),
        (like(q, user_data_64=0), T.EXISTS_WITH_DIFFERENT_USER_DATA_64),
        (like(v), T.EXISTS), (like(v, amount=100), T.EXISTS),
        (like(v, amount=50), T.EXISTS_WITH_DIFFERENT_AMOUNT),
    ]
    transfers_are(c, [event for event, _ in rows], [status for _, status in rows])
    equal(balances(c, one), (100, 140, 0, 0))


@test
def holds_expire(c):
    one, two = pair(c)
    hold = TransferFlags.PENDING
    short, long, forever = created(
        c, transfer(one, two, 10, flags=hold, timeout=1),
        transfer(one, two, 20, flags=hold, timeout=3600), transfer(one, two, 30, flags=hold))
    created(c, post(created(c, transfer(one, two, 5, flags=hold, timeout=1))[0], 4))
    equal(balances(c, one), (60, 4, 0, 0))
    until(lambda: balances(c, one) == (50, 4, 0, 0), "the hold's amount is released")
    transfers_are(c, [post(short), void(short)], [T.PENDING_TRANSFER_EXPIRED] * 2)
    created(c, post(long), void(forever))
    equal(balances(c, one), (0, 24, 0, 0))
    equal(balances(c, two), (0, 0, 0, 24))


@test
def a_hold_has_expired_as_soon_as_its_time_is_over(c):
    one, two = pair(c)
    holds = [transfer(one, two, 1, flags=TransferFlags.PENDING, timeout=1) for _ in range(60)]
    results = transfers_are(c, holds, [T.CREATED] * 60)
    seen = set()
    for hold, made in zip(holds, results):
        (answer,) = c.create_transfers([post(hold.id)])
        over = answer.timestamp >= made.timestamp + NS
        equal(answer.status, T.PENDING_TRANSFER_EXPIRED if over else T.CREATED)
        seen.add(answer.status)
        time.sleep(0.03)
    equal(len(seen), 2, "some are posted in time and some are not")


# Chains


@test
def chains_pass_or_fail_together(c):
    one, two = pair(c)
    linked = TransferFlags.LINKED
    chain = [transfer(one, two, 1, flags=linked), transfer(one, two, 2, flags=linked),
             transfer(one, two, 4)]
    created(c, *chain)
    equal(balances(c, one), (0, 7, 0, 0))
    equal([row.flags for row in c.lookup_transfers([event.id for event in chain])],
          [linked, linked, 0])
    bad = [transfer(one, two, 8, flags=linked), transfer(one, one, 16, flags=linked),
           transfer(one, two, 32)]
    transfers_are(
        c, [transfer(one, two, 64)] + bad + [transfer(one, two, 128)],
        [T.CREATED, T.LINKED_EVENT_FAILED, T.ACCOUNTS_MUST_BE_DIFFERENT, T.LINKED_EVENT_FAILED,
         T.CREATED])
    equal(balances(c, one), (0, 7 + 64 + 128, 0, 0))
    accounts = [account(flags=AccountFlags.LINKED), account(code=0)]
    accounts_are(c, accounts, [A.LINKED_EVENT_FAILED, A.CODE_MUST_NOT_BE_ZERO])
    equal(c.lookup_accounts(ids(accounts)), [])
    created(c, account(flags=AccountFlags.LINKED), account())


@test
def chains_see_their_own_effects_and_leave_none_behind(c):
    one, other = funded(c, 10, flags=AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS)
    linked = TransferFlags.LINKED
    created(c, transfer(other, one, 5, flags=linked), transfer(one, other, 15))
    transfers_are(
        c, [transfer(other, one, 5, flags=linked), transfer(one, other, 6)],
        [T.LINKED_EVENT_FAILED, T.EXCEEDS_CREDITS])
    transfers_are(c, [transfer(one, other, 1)], [T.EXCEEDS_CREDITS])
    equal(balances(c, one), (0, 15, 0, 15))
    # A hold that a broken chain had posted can be posted.
    (hold,) = created(c, transfer(other, one, 7, flags=TransferFlags.PENDING))
    settle = post(hold)
    settle.flags |= linked
    transfers_are(c, [settle, transfer(one, one)],
                  [T.LINKED_EVENT_FAILED, T.ACCOUNTS_MUST_BE_DIFFERENT])
    equal(balances(c, one), (0, 15, 7, 15))
    created(c, post(hold))


@test
def a_chain_must_end(c):
    one, two = pair(c)
    linked = TransferFlags.LINKED
    transfers_are(c, [transfer(one, two, flags=linked)], [T.LINKED_EVENT_CHAIN_OPEN])
    transfers_are(
        c, [transfer(one, two), transfer(one, two, flags=linked), transfer(one, two, flags=linked)],
        [T.CREATED, T.LINKED_EVENT_FAILED, T.LINKED_EVENT_CHAIN_OPEN])
    # Broken before, and open at the end.
    transfers_are(
        c, [transfer(one, one, flags=linked), transfer(one, two, flags=linked),
            transfer(one, two, flags=linked)],
        [T.ACCOUNTS_MUST_BE_DIFFERENT, T.LINKED_EVENT_FAILED, T.LINKED_EVENT_CHAIN_OPEN])
    accounts_are(c, [account(flags=AccountFlags.LINKED), account(flags=AccountFlags.LINKED)],
                 [A.LINKED_EVENT_FAILED, A.LINKED_EVENT_CHAIN_OPEN])
    equal(balances(c, one), (0, 1, 0, 0))


@test
def a_chain_that_is_sent_again_answers_exists_once(c):
    one, two = pair(c)
    linked = TransferFlags.LINKED
    chain = [transfer(one, two, 1, flags=linked), transfer(one, two, 2, flags=linked),
             transfer(one, two, 4)]
    first = c.create_transfers(chain)
    equal(statuses(first), [T.CREATED] * 3)
    again = transfers_are(
        c, chain, [T.EXISTS, T.LINKED_EVENT_FAILED, T.LINKED_EVENT_FAILED])
    equal(again[0].timestamp, first[0].timestamp)
    true(again[1].timestamp > first[2].timestamp, "a failed event has its own time")
    accounts = [account(flags=AccountFlags.LINKED), account()]
    created(c, *accounts)
    accounts_are(c, accounts, [A.EXISTS, A.LINKED_EVENT_FAILED])
    equal(balances(c, one), (0, 7, 0, 0))


# Balancing and closing


@test
def balancing_moves_what_there_is(c):
    one, other = funded(c, 100)
    hold = TransferFlags.PENDING
    debit, credit = TransferFlags.BALANCING_DEBIT, TransferFlags.BALANCING_CREDIT
    created(c, transfer(one, other, 30, flags=hold))
    events = [transfer(one, other, 50, flags=debit), transfer(one, other, MAX, flags=debit),
              transfer(one, other, MAX, flags=debit)]
    created(c, *events)
    equal([row.amount for row in c.lookup_transfers(ids(events))], [50, 20, 0])
    equal(balances(c, one), (30, 70, 0, 100))
    # The same from the other side: other's debits are 100, its credits 30 pending and 70 posted.
    event = transfer(one, other, MAX, flags=credit)
    created(c, event)
    equal([row.amount for row in c.lookup_transfers([event.id])], [0])
    sink, source = funded(c, 40)
    left = transfer(sink, source, MAX, flags=debit | credit)
    created(c, transfer(source, sink, 5), left)
    equal([row.amount for row in c.lookup_transfers([left.id])], [45])
    both = transfer(sink, source, MAX, flags=debit | hold)
    created(c, transfer(source, sink, 9), both)
    equal(balances(c, sink), (9, 45, 0, 54))
    created(c, post(both.id, 4))
    equal(balances(c, sink), (0, 49, 0, 54))


@test
def balancing_is_repeatable(c):
    one, other = funded(c, 100)
    event = transfer(one, other, 150, flags=TransferFlags.BALANCING_DEBIT)
    created(c, event)
    events = []
    for amount in (150, 100, 1000, MAX, 99, 0):
        events.append(transfer(one, other, amount, id=event.id, flags=event.flags))
    transfers_are(c, events, [T.EXISTS] * 4 + [T.EXISTS_WITH_DIFFERENT_AMOUNT] * 2)


@test
def closing_closes_and_a_void_opens_again(c):
    one, two = pair(c)
    hold = TransferFlags.PENDING
    before, closing = created(
        c, transfer(one, two, 3, flags=hold),
        transfer(one, two, 0, flags=hold | TransferFlags.CLOSING_DEBIT))
    equal([row.flags for row in c.lookup_accounts([one, two])], [AccountFlags.CLOSED, 0])
    transfers_are(
        c, [transfer(one, two), transfer(two, one), transfer(one, two, flags=hold), post(before),
            post(closing)],
        [T.DEBIT_ACCOUNT_ALREADY_CLOSED, T.CREDIT_ACCOUNT_ALREADY_CLOSED,
         T.DEBIT_ACCOUNT_ALREADY_CLOSED, T.DEBIT_ACCOUNT_ALREADY_CLOSED,
         T.DEBIT_ACCOUNT_ALREADY_CLOSED])
    created(c, void(before))
    equal(balances(c, one), (0, 0, 0, 0))
    accounts_are(c, [account(id=one), account(id=one, flags=AccountFlags.CLOSED)],
                 [A.EXISTS_WITH_DIFFERENT_FLAGS, A.EXISTS])
    created(c, void(closing))
    equal([row.flags for row in c.lookup_accounts([one, two])], [0, 0])
    created(c, transfer(one, two))
    both = hold | TransferFlags.CLOSING_DEBIT | TransferFlags.CLOSING_CREDIT
    (shut,) = created(c, transfer(one, two, 8, flags=both))
    equal([row.flags for row in c.lookup_accounts([one, two])], [AccountFlags.CLOSED] * 2)
    created(c, void(shut))
    (shut,) = created(c, transfer(one, two, 8, flags=both, timeout=1))
    until(lambda: c.lookup_accounts([one])[0].flags == 0, "the expiry opens the account")
    equal(c.lookup_accounts([two])[0].flags, 0)
    equal(balances(c, one), (0, 1, 0, 0))


# Imported events. Every timestamp of the past may be taken once only, so they begin after the last
# one that the server gave.


def time_last(c):
    (row,) = c.query_transfers(query_filter(limit=1, flags=QueryFilterFlags.REVERSED))
    (other,) = c.query_accounts(query_filter(limit=1, flags=QueryFilterFlags.REVERSED))
    return max(row.timestamp, other.timestamp)


@test
def events_are_imported_with_their_time(c):
    imported = AccountFlags.IMPORTED
    hold = TransferFlags.IMPORTED | TransferFlags.PENDING
    pair(c)
    at = time_last(c)
    time.sleep(0.01)
    one, two = (account(flags=imported, timestamp=at + i) for i in (1, 2))
    results = accounts_are(c, [one, two], [A.CREATED] * 2)
    equal([r.timestamp for r in results], [at + 1, at + 2])
    equal(c.lookup_accounts([one.id, two.id]), [one, two])
    results = accounts_are(
        c,
        [account(flags=imported, timestamp=at + 2), one, account(flags=imported),
         account(flags=imported, timestamp=2**63), account(flags=imported, timestamp=2**64 - 1),
         account(flags=imported, timestamp=2**62), account()],
        [A.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS, A.EXISTS,
         A.IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE, A.IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE,
         A.IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE, A.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE,
         A.IMPORTED_EVENT_EXPECTED])
    equal(results[1].timestamp, at + 1)
    refused = [r.timestamp for i, r in enumerate(results) if i != 1]
    equal([t - refused[0] for t in refused], [0, 2, 3, 4, 5, 6])
    true(refused[0] > at + 2, "a refused event has the time of the refusal")
    accounts_are(c, [account(), account(flags=imported, timestamp=at + 3)],
                 [A.CREATED, A.IMPORTED_EVENT_NOT_EXPECTED])

    time.sleep(0.01)
    at = time_last(c)
    time.sleep(0.01)
    flags = TransferFlags.IMPORTED
    plain = transfer(one.id, two.id, 5, flags=flags, timestamp=at + 1)
    held = transfer(one.id, two.id, 7, flags=hold, timestamp=at + 2)
    settle = post(held.id, 6, timestamp=at + 3)
    settle.flags |= flags
    results = transfers_are(c, [plain, held, settle], [T.CREATED] * 3)
    equal([r.timestamp for r in results], [at + 1, at + 2, at + 3])
    equal(c.lookup_transfers([plain.id, held.id]), [plain, held])
    equal(balances(c, one.id), (0, 11, 0, 0))
    (late,) = created(c, account())
    results = transfers_are(
        c,
        [transfer(one.id, two.id, flags=flags, timestamp=at + 3), plain,
         transfer(late, two.id, flags=flags, timestamp=at + 4),
         transfer(one.id, late, flags=flags, timestamp=at + 5),
         transfer(one.id, two.id, flags=hold, timestamp=at + 6, timeout=1),
         transfer(one.id, two.id, flags=flags), transfer(one.id, two.id, flags=flags, timestamp=2**63),
         transfer(one.id, two.id, flags=flags, timestamp=2**62), transfer(one.id, two.id)],
        [T.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_REGRESS, T.EXISTS,
         T.IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_DEBIT_ACCOUNT,
         T.IMPORTED_EVENT_TIMESTAMP_MUST_POSTDATE_CREDIT_ACCOUNT,
         T.IMPORTED_EVENT_TIMEOUT_MUST_BE_ZERO, T.IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE,
         T.IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE, T.IMPORTED_EVENT_TIMESTAMP_MUST_NOT_ADVANCE,
         T.IMPORTED_EVENT_EXPECTED])
    equal(results[1].timestamp, at + 1)
    transfers_are(c, [transfer(one.id, two.id), transfer(one.id, two.id, flags=flags, timestamp=at + 9)],
                  [T.CREATED, T.IMPORTED_EVENT_NOT_EXPECTED])


@test
def imported_chains_carry_the_times_that_they_came_with(c):
    one, two = pair(c)
    created(c, transfer(one, two))
    at = time_last(c)
    time.sleep(0.01)
    flags = TransferFlags.IMPORTED | TransferFlags.LINKED
    results = transfers_are(
        c, [transfer(one, two, flags=flags, timestamp=at + 1),
            transfer(one, one, flags=flags, timestamp=at + 2),
            transfer(one, two, flags=TransferFlags.IMPORTED, timestamp=at + 3)],
        [T.LINKED_EVENT_FAILED, T.ACCOUNTS_MUST_BE_DIFFERENT, T.LINKED_EVENT_FAILED])
    equal([results[0].timestamp, results[2].timestamp], [at + 1, at + 3])
    true(results[1].timestamp > at + 3, "the event that broke the chain has the time of the refusal")
    good = [transfer(one, two, flags=flags, timestamp=at + 1),
            transfer(one, two, flags=TransferFlags.IMPORTED, timestamp=at + 2)]
    created(c, *good)
    equal(c.lookup_transfers(ids(good)), good)


# Queries


def some_transfers(c):
    """An account with 24 transfers: their ids in order of time, and what is known of each."""
    one, two = pair(c, flags=AccountFlags.HISTORY)
    events = []
    for i in range(24):
        ends = (one, two) if i % 3 else (two, one)
        events.append(transfer(
            *ends, 10 + i, code=1 + i % 2, user_data_128=1 + i % 4, user_data_64=1 + i % 5,
            user_data_32=1 + i % 6, flags=TransferFlags.PENDING if i == 10 else 0))
    for begin in range(0, 24, 8):
        results = transfers_are(c, events[begin : begin + 8], [T.CREATED] * 8)
        for event, result in zip(events[begin : begin + 8], results):
            event.timestamp = result.timestamp
    return one, two, events


@test
def transfers_of_an_account_are_found(c):
    one, _, events = some_transfers(c)
    get = lambda **fields: c.get_account_transfers(account_filter(one, **fields))
    debits = [e for e in events if e.debit_account_id == one]
    credits_ = [e for e in events if e.credit_account_id == one]
    equal(get(), events)
    equal(get(flags=AccountFilterFlags.DEBITS), debits)
    equal(get(flags=AccountFilterFlags.CREDITS), credits_)
    reverse = DEBITS_CREDITS | AccountFilterFlags.REVERSED
    equal(get(flags=reverse), events[::-1])
    equal(get(limit=5), events[:5])
    equal(get(limit=5, flags=reverse), events[:-6:-1])
    equal(get(flags=AccountFilterFlags.CREDITS | AccountFilterFlags.REVERSED, limit=2),
          credits_[:-3:-1])
    low, high = events[4].timestamp, events[9].timestamp
    equal(get(timestamp_min=low), events[4:])
    equal(get(timestamp_max=high), events[:10])
    equal(get(timestamp_min=low, timestamp_max=high), events[4:10])
    equal(get(timestamp_min=low, timestamp_max=low), events[4:5])
    equal(get(timestamp_min=low, timestamp_max=high, flags=reverse, limit=2), events[9:7:-1])
    equal(get(timestamp_min=events[-1].timestamp + 1), [])
    equal(get(code=2), [e for e in events if e.code == 2])
    equal(get(user_data_128=3), [e for e in events if e.user_data_128 == 3])
    equal(get(user_data_64=3), [e for e in events if e.user_data_64 == 3])
    equal(get(user_data_32=3), [e for e in events if e.user_data_32 == 3])
    equal(get(user_data_32=3, code=1, flags=AccountFilterFlags.DEBITS),
          [e for e in debits if e.user_data_32 == 3 and e.code == 1])
    equal(get(code=77), [])
    equal(c.get_account_transfers(account_filter(tb.id())), [])
    # Page by page, as applications do it.
    rows, at = [], 0
    while page := get(limit=7, timestamp_min=at):
        rows += page
        at = page[-1].timestamp + 1
    equal(rows, events)


@test
def balances_of_an_account_are_remembered(c):
    one, two, events = some_transfers(c)
    created(c, post(events[10].id, 5))
    rows, expected = c.get_account_balances(account_filter(one)), []
    pending = debits = credits_ = 0
    for event in events:
        if event.flags == TransferFlags.PENDING:
            pending += event.amount
        elif event.debit_account_id == one:
            debits += event.amount
        else:
            credits_ += event.amount
        expected.append((event.timestamp, pending, debits, 0, credits_))
    true(events[10].debit_account_id == one, "the hold debits the account")
    last = c.get_account_transfers(account_filter(one))[-1].timestamp
    expected.append((last, 0, debits + 5, 0, credits_))
    tuples = lambda rows: [
        (r.timestamp, r.debits_pending, r.debits_posted, r.credits_pending, r.credits_posted)
        for r in rows]
    equal(tuples(rows), expected)
    reverse = DEBITS_CREDITS | AccountFilterFlags.REVERSED
    get = lambda **fields: tuples(c.get_account_balances(account_filter(one, **fields)))
    equal(get(flags=reverse, limit=3), expected[:-4:-1])
    equal(get(flags=AccountFilterFlags.CREDITS),
          [row for row, e in zip(expected, events) if e.credit_account_id == one])
    equal(get(timestamp_min=events[4].timestamp, timestamp_max=events[9].timestamp), expected[4:10])
    equal(get(user_data_64=2, limit=2),
          [row for row, e in zip(expected, events) if e.user_data_64 == 2][:2])
    equal(len(c.get_account_balances(account_filter(two))), 25)
    # Accounts without the flag have none.
    three, four = pair(c)
    created(c, transfer(three, four))
    equal(c.get_account_balances(account_filter(three)), [])
    equal(c.get_account_balances(account_filter(tb.id())), [])


@test
def a_history_ends_where_the_flag_does(c):
    one, two = created(c, account(flags=AccountFlags.HISTORY), account())
    (hold,) = created(c, transfer(one, two, 9, flags=TransferFlags.PENDING, timeout=1))
    until(lambda: balances(c, one) == (0, 0, 0, 0), "the hold expires")
    created(c, transfer(one, two, 2))
    rows = c.get_account_balances(account_filter(one))
    equal([(r.debits_pending, r.debits_posted) for r in rows], [(9, 0), (0, 2)])
    equal(ids(c.get_account_transfers(account_filter(one)))[0], hold)


@test
def transfers_are_queried(c):
    tag, tag64 = tb.id(), tb.id() & (2**64 - 1)
    ledger = 1 + tb.id() % (2**32 - 2)
    one, two = pair(c, ledger=ledger)
    three, four = pair(c)
    events = []
    for i in range(20):
        fields = {"code": 1 + i % 2, "user_data_128": tag if i % 4 else tag + 1,
                  "user_data_64": tag64, "user_data_32": 1 + i % 3}
        events.append(transfer(one, two, i, ledger=ledger, **fields) if i < 15
                      else transfer(three, four, i, **fields))
    results = transfers_are(c, events, [T.CREATED] * 20)
    for event, result in zip(events, results):
        event.timestamp = result.timestamp
    get = lambda **fields: c.query_transfers(query_filter(**fields))
    reverse = QueryFilterFlags.REVERSED
    equal(get(user_data_64=tag64), events)
    equal(get(user_data_64=tag64, flags=reverse), events[::-1])
    equal(get(user_data_128=tag), [e for e in events if e.user_data_128 == tag])
    equal(get(ledger=ledger), events[:15])
    equal(get(ledger=ledger, limit=4), events[:4])
    equal(get(ledger=ledger, limit=4, flags=reverse), events[14:10:-1])
    equal(get(user_data_64=tag64, user_data_32=2), [e for e in events if e.user_data_32 == 2])
    equal(get(user_data_64=tag64, user_data_32=2, code=1, ledger=ledger),
          [e for e in events[:15] if e.user_data_32 == 2 and e.code == 1])
    low, high = events[3].timestamp, events[11].timestamp
    equal(get(timestamp_min=low, timestamp_max=high), events[3:12])
    equal(get(user_data_64=tag64, timestamp_min=low), events[3:])
    equal(get(user_data_64=tag64, timestamp_max=high, flags=reverse), events[11::-1])
    equal(get(user_data_64=tag64, code=77), [])
    true(len(get(limit=1)) == 1 and len(get(limit=3)) == 3, "all transfers are asked for")


@test
def accounts_are_queried(c):
    tag, tag64 = tb.id(), tb.id() & (2**64 - 1)
    ledger = 1 + tb.id() % (2**32 - 2)
    events = [
        account(code=1 + i % 2, user_data_128=tag if i % 4 else tag + 1, user_data_64=tag64,
                user_data_32=1 + i % 3, ledger=ledger if i < 15 else LEDGER,
                flags=AccountFlags.HISTORY if i % 5 == 0 else 0)
        for i in range(20)]
    results = accounts_are(c, events, [A.CREATED] * 20)
    for event, result in zip(events, results):
        event.timestamp = result.timestamp
    get = lambda **fields: c.query_accounts(query_filter(**fields))
    reverse = QueryFilterFlags.REVERSED
    equal(get(user_data_64=tag64), events)
    equal(get(user_data_128=tag, flags=reverse), [e for e in events if e.user_data_128 == tag][::-1])
    equal(get(ledger=ledger), events[:15])
    equal(get(ledger=ledger, limit=4, flags=reverse), events[14:10:-1])
    equal(get(user_data_64=tag64, user_data_32=2, code=1),
          [e for e in events if e.user_data_32 == 2 and e.code == 1])
    low, high = events[3].timestamp, events[11].timestamp
    equal(get(timestamp_min=low, timestamp_max=high), events[3:12])
    equal(get(user_data_64=tag64, timestamp_min=low, timestamp_max=low), events[3:4])
    created(c, transfer(events[0].id, events[1].id, 9, ledger=ledger))
    rows = get(user_data_64=tag64, limit=2)
    equal([(r.debits_posted, r.credits_posted) for r in rows], [(9, 0), (0, 9)])


@test
def invalid_filters_find_nothing(c):
    one, two, _ = some_transfers(c)
    rows = [
        {"account_id": 0}, {"account_id": MAX}, {"limit": 0}, {"flags": AccountFilterFlags.NONE},
        {"flags": AccountFilterFlags.REVERSED}, {"timestamp_min": 2**64 - 1},
        {"timestamp_max": 2**64 - 1}, {"timestamp_min": 2**63}, {"timestamp_max": 2**63},
        {"timestamp_min": 10, "timestamp_max": 9}, {"flags": DEBITS_CREDITS | 1 << 3},
        {"flags": DEBITS_CREDITS | 1 << 31},
    ]
    for fields in rows:
        fields = {"account_id": one} | fields
        equal(c.get_account_transfers(account_filter(**fields)), [], repr(fields))
        equal(c.get_account_balances(account_filter(**fields)), [], repr(fields))
    rows = [
        {"limit": 0}, {"timestamp_min": 2**64 - 1}, {"timestamp_max": 2**64 - 1},
        {"timestamp_min": 2**63}, {"timestamp_max": 2**63}, {"timestamp_min": 10, "timestamp_max": 9},
        {"flags": 1 << 1}, {"flags": 1 << 31},
    ]
    for fields in rows:
        equal(c.query_accounts(query_filter(**fields)), [], repr(fields))
        equal(c.query_transfers(query_filter(**fields)), [], repr(fields))
    equal(len(c.get_account_transfers(account_filter(two))), 24)


# Size and concurrency


@test
def full_batches_pass_and_greater_ones_do_not(c):
    one, two = pair(c)
    accounts = [account() for _ in range(BATCH_MAX)]
    results = c.create_accounts(accounts)
    equal(set(statuses(results)), {A.CREATED})
    equal([r.timestamp - results[0].timestamp for r in results], list(range(BATCH_MAX)))
    equal(ids(c.lookup_accounts(ids(accounts))), ids(accounts))
    transfers = [transfer(one, two, 2, code=1 + i % 9) for i in range(BATCH_MAX)]
    results = c.create_transfers(transfers)
    equal(set(statuses(results)), {T.CREATED})
    for event, result in zip(transfers, results):
        event.timestamp = result.timestamp
    equal(c.lookup_transfers(ids(transfers)), transfers)
    equal(c.get_account_transfers(account_filter(one, limit=BATCH_MAX)), transfers)
    equal(c.query_transfers(query_filter(limit=BATCH_MAX, timestamp_min=transfers[0].timestamp)),
          transfers)
    equal(balances(c, one), (0, 2 * BATCH_MAX, 0, 0))
    again = c.create_transfers(transfers[:-1] + [transfer(one, two)])
    true(all(r.timestamp != 0 for r in again), "every result has a time")
    for call, argument in [
        (c.create_accounts, [account() for _ in range(BATCH_MAX + 1)]),
        (c.create_transfers, [transfer(one, two) for _ in range(BATCH_MAX + 1)]),
        (c.lookup_accounts, [tb.id() for _ in range(BATCH_MAX + 1)]),
        (c.get_account_transfers, account_filter(one, limit=BATCH_MAX + 1)),
        (c.query_accounts, query_filter(limit=2**32 - 1)),
    ]:
        try:
            call(argument)
            raise AssertionError("too much data is accepted")
        except tb.TooMuchDataError:
            pass


@test
def a_full_chain_is_one_thing(c):
    one, two = pair(c)
    chain = [transfer(one, two, flags=TransferFlags.LINKED) for _ in range(BATCH_MAX - 1)]
    bad = c.create_transfers(chain + [transfer(one, one)])
    equal(statuses(bad), [T.LINKED_EVENT_FAILED] * (BATCH_MAX - 1) + [T.ACCOUNTS_MUST_BE_DIFFERENT])
    equal(balances(c, one), (0, 0, 0, 0))
    good = c.create_transfers(chain + [transfer(one, two)])
    equal(set(statuses(good)), {T.CREATED})
    equal(balances(c, one), (0, BATCH_MAX, 0, 0))


@test
def calls_in_flight_are_answered_each_with_its_own(c):
    one, two = pair(c)
    at = threading.Barrier(32)

    def call(number):
        try:
            turns(number)
        except BaseException:
            at.abort()  # the others need not wait
            raise

    def turns(number):
        for turn in range(12):
            at.wait()
            kind = (number + turn) % 6
            if kind == 0:
                events = [transfer(one, two, 1) for _ in range(number + 1)]
                created(c, *events)
                equal(ids(c.lookup_transfers(ids(events))), ids(events))
            elif kind == 1:  # a chain that is open at the end of its call, next to other calls
                events = [transfer(one, two, 1, flags=TransferFlags.LINKED) for _ in range(3)]
                transfers_are(c, events,
                              [T.LINKED_EVENT_FAILED] * 2 + [T.LINKED_EVENT_CHAIN_OPEN])
            elif kind == 2:
                transfers_are(c, [transfer(one, one), transfer(id=0)],
                              [T.ACCOUNTS_MUST_BE_DIFFERENT, T.ID_MUST_NOT_BE_ZERO])
            elif kind == 3:
                equal(c.create_transfers([]), [])
                equal(c.lookup_transfers([tb.id()]), [])
            elif kind == 4:
                (event,) = created(c, account(user_data_64=number))
                equal(c.lookup_accounts([event])[0].user_data_64, number)
                equal(c.get_account_transfers(account_filter(event)), [])
            else:
                transfers_are(
                    c, [transfer(one, two, flags=TransferFlags.IMPORTED), transfer(one, two)],
                    [T.IMPORTED_EVENT_TIMESTAMP_OUT_OF_RANGE, T.IMPORTED_EVENT_EXPECTED])
                equal(len(c.query_accounts(query_filter(limit=3))), 3)

    before = balances(c, one)
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        for future in [pool.submit(call, number) for number in range(32)]:
            future.result()
    sent = sum(n + 1 for n in range(32) for turn in range(12) if (n + turn) % 6 == 0)
    equal(balances(c, one)[1] - before[1], sent)


@test
def the_asynchronous_client_works_too(_):
    async def main():
        async with tb.ClientAsync(cluster_id=0, replica_addresses=address) as c:
            one, two = account(), account()
            equal(statuses(await c.create_accounts([one, two])), [A.CREATED] * 2)
            calls = [c.create_transfers([transfer(one.id, two.id) for _ in range(5)])
                     for _ in range(32)]
            for results in await asyncio.gather(*calls):
                equal(statuses(results), [T.CREATED] * 5)
            (row,) = await c.lookup_accounts([one.id])
            equal(row.debits_posted, 160)

    asyncio.run(main())


@test
def clients_are_independent(c):
    one, two = pair(c)
    clients = [tb.ClientSync(cluster_id=0, replica_addresses=address) for _ in range(24)]

    def work(client):
        for _ in range(20):
            created(client, *[transfer(one, two) for _ in range(10)])

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        for future in [pool.submit(work, client) for client in clients]:
            future.result()
    for client in clients:
        client.close()
    equal(balances(c, one), (0, 24 * 200, 0, 0))
    created(c, transfer(one, two))


@test
def the_books_balance(c):
    """Debits are equal to credits in every ledger, over all that was done here."""
    sums, at = {}, 0
    while rows := c.query_accounts(query_filter(timestamp_min=at)):
        for row in rows:
            line = sums.setdefault(row.ledger, [0, 0])
            line[0] += row.debits_pending - row.credits_pending
            line[1] += row.debits_posted - row.credits_posted
        at = rows[-1].timestamp + 1
    equal({ledger for ledger, line in sums.items() if line != [0, 0]}, set())
    true(len(sums) > 1, "there is something to add up")


with tb.ClientSync(cluster_id=0, replica_addresses=address) as client_:
    run(f"python {importlib.metadata.version('tigerbeetle')}", client_)
