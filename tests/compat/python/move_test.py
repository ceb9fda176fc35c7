#!/usr/bin/env python3
"""docs/compatibility/move.py between two servers.

Usage: move_test.py GIRO FOLDER MOVE
"""
import os
import random
import subprocess
import sys
import time

import tigerbeetle as tb
from check import equal, run, test, true, until
from tigerbeetle import Account, AccountFlags, Transfer, TransferFlags
from tigerbeetle import CreateTransferStatus as T

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from server import Server  # pylint: disable=wrong-import-position

giro, folder, move_path = sys.argv[1:]
MAX = 2**128 - 1
HOLD = TransferFlags.PENDING
ACCOUNTS = 60


def client(server):
    return tb.ClientSync(cluster_id=0, replica_addresses=server.address)


def server_new(name):
    return Server(giro, os.path.join(folder, name))


def move(step, first, second, status=0):
    result = subprocess.run(
        [sys.executable, move_path, step, first, second], text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    equal(result.returncode, status, f"{step}: {result.stdout}")
    return result.stdout


def accounts_make(c, seed):
    """Accounts of all kinds, in a chain and alone, some of them never open."""
    flags = [0, AccountFlags.HISTORY, AccountFlags.LINKED, AccountFlags.DEBITS_MUST_NOT_EXCEED_CREDITS,
             AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS, 0, AccountFlags.CLOSED]
    events = [
        Account(id=seed * 1000 + i, ledger=1 + i % 2, code=1 + i % 5, flags=flags[i % 7],
                user_data_128=i * 2**100, user_data_64=i, user_data_32=7)
        for i in range(1, ACCOUNTS + 1)]
    events[-1].flags = 0
    equal({r.status.name for r in c.create_accounts(events)}, {"CREATED"})
    return [event.id for event in events]


def transfers_make(c, rng, ids, rounds):
    """A random history, in which refusals are part of the game."""
    holds = []
    for _ in range(rounds):
        events = []
        for _ in range(rng.randint(1, 400)):
            ledger = rng.randint(0, 1)
            debit, credit = rng.sample([i for i in ids if i % 2 == ledger], 2)
            event = Transfer(
                id=tb.id(), debit_account_id=debit, credit_account_id=credit,
                amount=rng.randint(0, 1000), ledger=1 + ledger, code=1 + rng.randint(0, 3),
                user_data_64=rng.randint(0, 9))
            kind = rng.random()
            if kind < 0.3:
                event.flags = HOLD
                event.timeout = rng.choice([0, 0, 1, 2, 3600])
                if rng.random() < 0.02:
                    event.flags |= rng.choice(
                        [TransferFlags.CLOSING_DEBIT, TransferFlags.CLOSING_CREDIT])
                holds.append(event.id)
            elif kind < 0.5 and holds:
                full = rng.random() < 0.7
                event = Transfer(
                    id=tb.id(), pending_id=rng.choice(holds),
                    amount=MAX if full else rng.randint(0, 300),
                    flags=TransferFlags.POST_PENDING_TRANSFER)
                if rng.random() < 0.4:
                    event.flags, event.amount = TransferFlags.VOID_PENDING_TRANSFER, 0
            elif kind < 0.6:
                event.flags = TransferFlags.BALANCING_DEBIT
                event.amount = MAX
            if rng.random() < 0.1:
                event.flags |= TransferFlags.LINKED
            events.append(event)
        events[-1].flags &= ~TransferFlags.LINKED
        c.create_transfers(events)
        time.sleep(rng.choice([0, 0, 0.1]))


def counted(c):
    """How many transfers there are."""
    return sum(len(rows) for rows in pages(c.query_transfers))


def pages(query):
    at = 0
    while rows := query(tb.QueryFilter(
            user_data_128=0, user_data_64=0, user_data_32=0, ledger=0, code=0, timestamp_min=at,
            timestamp_max=0, limit=8189, flags=tb.QueryFilterFlags.NONE)):
        yield rows
        at = rows[-1].timestamp + 1


@test
def a_ledger_is_the_same_on_the_other_server():
    for seed in (1, 2):
        rng = random.Random(seed)
        file = os.path.join(folder, f"moved{seed}")
        with server_new(f"from{seed}") as one, server_new(f"to{seed}") as two:
            with client(one) as c:
                ids = accounts_make(c, seed)
                transfers_make(c, rng, ids, 20)
                time.sleep(3.5)  # the short holds expire
                transfers_make(c, rng, ids, 4)
                sent = counted(c)
            true(sent > 1000, f"{sent} transfers are enough")
            move("read", one.address, file)
            move("compare", file, two.address, status=1)
            print("        " + move("write", file, two.address).strip())
            print("        " + move("compare", file, two.address).strip().replace("\n", "\n        "))
            with client(two) as c:
                true(counted(c) >= sent, "the voids of what expired come on top")
            # Again: nothing is left to do.
            true(move("write", file, two.address).startswith("0 accounts and 0 transfers"), "twice")
            move("compare", file, two.address)
            if seed != 1:
                continue
            # The first server compares with the file but for the flag that says imported.
            true("has flags" in move("compare", file, one.address, status=1), "flags differ")
            # A cent more is found.
            with client(two) as c:
                events = [Transfer(id=tb.id(), debit_account_id=ids[i], credit_account_id=ids[i + 2],
                                   amount=1, ledger=1 + ids[i] % 2, code=1) for i in range(40)]
                true(T.CREATED in {r.status for r in c.create_transfers(events)}, "some are open")
            true("differences" in move("compare", file, two.address, status=1), "it is found")


@test
def holds_that_were_open_can_be_posted_or_expire():
    file = os.path.join(folder, "open")
    with server_new("open-from") as one, server_new("open-to") as two:
        with client(one) as c:
            equal({r.status.name for r in c.create_accounts(
                [Account(id=i, ledger=1, code=1) for i in (1, 2)])}, {"CREATED"})
            holds = [
                Transfer(id=i, debit_account_id=1, credit_account_id=2, amount=i, ledger=1, code=1,
                         flags=HOLD, timeout=t) for i, t in ((10, 0), (20, 3600), (40, 7), (80, 1))]
            equal({r.status.name for r in c.create_transfers(holds)}, {"CREATED"})
            until(lambda: c.lookup_accounts([1])[0].debits_pending == 70, "the last hold expires")
        move("read", one.address, file)
        move("write", file, two.address)
        move("compare", file, two.address)
        with client(two) as c:
            rows = c.lookup_transfers([10, 20, 40, 80])
            imported = TransferFlags.IMPORTED | HOLD
            equal([row.flags for row in rows], [imported, HOLD, HOLD, imported])
            true(3590 < rows[1].timeout <= 3600, "the rest of an hour is left")
            posts = [Transfer(id=100 + i, pending_id=i, amount=MAX,
                              flags=TransferFlags.POST_PENDING_TRANSFER) for i in (10, 20, 80)]
            equal([r.status for r in c.create_transfers(posts)],
                  [T.CREATED, T.CREATED, T.PENDING_TRANSFER_ALREADY_VOIDED])
            until(lambda: c.lookup_accounts([1])[0].debits_pending == 0, "the third hold expires")
            equal(c.lookup_accounts([1])[0].debits_posted, 30)


@test
def what_was_interrupted_goes_on():
    file = os.path.join(folder, "interrupted")
    with server_new("interrupted-from") as one, server_new("interrupted-to") as two:
        with client(one) as c:
            ids = accounts_make(c, 3)
            for _ in range(8):
                events = [
                    Transfer(id=tb.id(), debit_account_id=ids[0], credit_account_id=ids[14], amount=i,
                             ledger=1 + ids[0] % 2, code=1, flags=TransferFlags.LINKED if i % 3 else 0)
                    for i in range(8189)]
                events[-1].flags = 0
                equal({r.status for r in c.create_transfers(events)}, {T.CREATED})
        move("read", one.address, file)
        for seconds in (1.2, 1.5, 2.0):
            writer = subprocess.Popen(
                [sys.executable, move_path, "write", file, two.address], stdout=subprocess.DEVNULL)
            time.sleep(seconds)
            writer.kill()
            writer.wait()
        time.sleep(0.5)
        print("        " + move("write", file, two.address).strip())
        move("compare", file, two.address)


@test
def a_ledger_that_changes_or_is_not_empty_is_refused():
    file = os.path.join(folder, "changed")
    with server_new("changed-from") as one, server_new("changed-to") as two:
        with client(one) as c:
            accounts_make(c, 4)
        with client(two) as c:
            accounts_make(c, 5)
        move("read", one.address, file)
        true("must be empty" in move("write", file, two.address, status=1), "it is refused")
        with open(file, encoding="utf-8") as text:
            lines = text.readlines()
        with open(file, "w", encoding="utf-8") as text:
            text.writelines(lines[:-1])
        true("not complete" in move("compare", file, two.address, status=1), "it is refused")


run("move", seconds=300)
