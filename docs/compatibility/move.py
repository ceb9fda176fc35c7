#!/usr/bin/env python3
"""Moves a ledger from one server to another with TigerBeetle's Python client.

    move.py read ADDRESS FILE       reads all accounts and transfers into FILE
    move.py write FILE ADDRESS      creates them, as imported events, on an empty server
    move.py compare FILE ADDRESS    compares every account, every balance and every transfer

Nothing may write to the first server from "read" on. "write" can be interrupted and run again.
Each step may run with another version of the client: "read" with one that the first server takes.
docs/compatibility.md says what changes on the way.
"""
import argparse
import dataclasses
import heapq
import json
import sys
import time

import tigerbeetle as tb
from tigerbeetle import Account, AccountFilter, AccountFilterFlags, AccountFlags
from tigerbeetle import QueryFilter, QueryFilterFlags, Transfer, TransferFlags

PAGE = 8189
NS = 10**9
SETTLED_SECONDS = 60  # a hold is seen as expired a little after its time
RELEASED_SECONDS_MAX = 10
POST_OR_VOID = TransferFlags.POST_PENDING_TRANSFER | TransferFlags.VOID_PENDING_TRANSFER


class Failure(Exception):
    """What stops the program, in words for its user."""


def event_of(kind, line, **changes):
    """An account or transfer of what was read, with changes."""
    return kind(**({field.name: line[field.name] for field in dataclasses.fields(kind)} | changes))


def fields_of(row):
    return {field.name: int(getattr(row, field.name)) for field in dataclasses.fields(row)}


# Reading


def pages(query, at=0):
    """All that a query finds, in order of time, a page at a time."""
    while True:
        rows = query(QueryFilter(
            user_data_128=0, user_data_64=0, user_data_32=0, ledger=0, code=0, timestamp_min=at,
            timestamp_max=0, limit=PAGE, flags=QueryFilterFlags.NONE))
        if not rows:
            return
        yield rows
        at = rows[-1].timestamp + 1


def was_created_closed(client, account):
    """A closed account that has a transfer was closed by one; the others were never open."""
    either = AccountFilterFlags.DEBITS | AccountFilterFlags.CREDITS
    return not client.get_account_transfers(AccountFilter(
        account_id=account.id, user_data_128=0, user_data_64=0, user_data_32=0, code=0,
        timestamp_min=0, timestamp_max=0, limit=1, flags=either))


def read(client, path):
    count = {"account": 0, "transfer": 0}
    last = {"account": 0, "transfer": 0}
    with open(path, "w", encoding="utf-8") as file:

        def put(kind, row, **more):
            file.write(json.dumps({"kind": kind} | fields_of(row) | more) + "\n")
            count[kind] += 1
            last[kind] = row.timestamp

        for rows in pages(client.query_accounts):
            for row in rows:
                closed = bool(row.flags & AccountFlags.CLOSED)
                put("account", row, created_closed=closed and was_created_closed(client, row))
        for rows in pages(client.query_transfers):
            for row in rows:
                put("transfer", row)
        for kind, query in ("account", client.query_accounts), ("transfer", client.query_transfers):
            if next(pages(query, last[kind] + 1), []):
                raise Failure("the ledger has changed while it was read: stop what writes to it")
        file.write(json.dumps({"kind": "end", "read_at": time.time_ns()}) + "\n")
    print(f"{count['account']} accounts and {count['transfer']} transfers are in {path}")


# What the file says


class Book:
    """The file, line by line, and what the accounts must be after it."""

    def __init__(self, path):
        self.path = path
        self.accounts = {}  # id: fields
        self.balances = {}  # id: debits pending and posted, credits pending and posted
        self.closings = {}  # id: transfers that keep the account closed
        self.holds = {}  # id of a transfer that is pending: its fields
        self.expired_last = 0  # when the last hold expired
        self.read_at = 0
        for line in self.lines():
            if line["kind"] == "account":
                self.accounts[line["id"]] = line
                self.balances[line["id"]] = [0, 0, 0, 0]
                self.closings[line["id"]] = set()
            elif line["kind"] == "transfer":
                self.apply(line)
            else:
                self.read_at = line["read_at"]
        if not self.read_at:
            raise Failure(f"{path} is not complete: read again")
        self.check_balances()
        self.expire(self.read_at)

    def lines(self):
        with open(self.path, encoding="utf-8") as file:
            yield from map(json.loads, file)

    def transfers(self):
        return (line for line in self.lines() if line["kind"] == "transfer")

    def apply(self, transfer):
        debit, credit = transfer["debit_account_id"], transfer["credit_account_id"]
        flags = transfer["flags"]
        if flags & TransferFlags.PENDING:
            self.holds[transfer["id"]] = transfer
            self.balances[debit][0] += transfer["amount"]
            self.balances[credit][2] += transfer["amount"]
            if flags & TransferFlags.CLOSING_DEBIT:
                self.closings[debit].add(transfer["id"])
            if flags & TransferFlags.CLOSING_CREDIT:
                self.closings[credit].add(transfer["id"])
            return
        if flags & POST_OR_VOID:
            self.release(self.holds.pop(transfer["pending_id"]))
        if not flags & TransferFlags.VOID_PENDING_TRANSFER:
            self.balances[debit][1] += transfer["amount"]
            self.balances[credit][3] += transfer["amount"]

    def release(self, hold):
        debit, credit = hold["debit_account_id"], hold["credit_account_id"]
        self.balances[debit][0] -= hold["amount"]
        self.balances[credit][2] -= hold["amount"]
        self.closings[debit].discard(hold["id"])
        self.closings[credit].discard(hold["id"])

    def expire(self, until):
        """Releases the holds whose time is over."""
        for hold in [h for h in self.holds.values() if h["timeout"] and expiry(h) <= until]:
            self.release(self.holds.pop(hold["id"]))
            self.expired_last = max(self.expired_last, expiry(hold))

    def check_balances(self):
        """The balances that were read are those that the transfers add up to, unless a hold was
        about to expire."""
        self.expire(self.read_at - SETTLED_SECONDS * NS)
        unsettled = set()
        for hold in self.holds.values():
            if hold["timeout"] and expiry(hold) <= self.read_at + SETTLED_SECONDS * NS:
                unsettled |= {hold["debit_account_id"], hold["credit_account_id"]}
        for id_, account in self.accounts.items():
            if id_ not in unsettled and balances_of(account) != self.balances[id_]:
                raise Failure(
                    f"account {id_} had the balances {balances_of(account)}, but its transfers add "
                    f"up to {self.balances[id_]}: it was written to while it was read")


def expiry(hold):
    return hold["timestamp"] + hold["timeout"] * NS


def balances_of(fields):
    return [fields["debits_pending"], fields["debits_posted"], fields["credits_pending"],
            fields["credits_posted"]]


# Writing


def last_imported(query, imported):
    """The time of the last imported event. Nothing else may be there, but holds from an earlier
    run, which come last of all."""
    last = 0
    for rows in pages(query):
        for row in rows:
            if row.flags & imported:
                last = row.timestamp
            elif not (isinstance(row, Transfer) and row.flags & TransferFlags.PENDING):
                raise Failure("the server has accounts or transfers of its own: it must be empty")
    return last


def send(create, events):
    """Creates a batch in which nothing may fail."""
    for index, result in enumerate(create(events)):
        if hasattr(result, "status"):
            event, status = events[index], result.status
        else:  # clients before 0.17 tell of failures only
            event, status = events[result.index], result.result
        if status.name != "CREATED":
            raise Failure(f"{event} is answered {status.name}")


class Batches:
    """Gathers events and sends them in full batches that do not end within a chain."""

    def __init__(self, create, linked, after):
        self.create, self.linked, self.after = create, linked, after
        self.events, self.sent = [], 0

    def add(self, event):
        if event.timestamp <= self.after:
            return  # there from an earlier run
        self.events.append(event)
        if len(self.events) == PAGE:
            end = next((i for i in range(PAGE, 0, -1) if not self.events[i - 1].flags & self.linked), 0)
            self.flush(end or PAGE)

    def flush(self, count=None):
        batch = self.events[:count]
        if batch:
            batch[-1].flags &= ~self.linked  # a chain of which the rest does not follow
            send(self.create, batch)
            self.events = self.events[len(batch):]
            self.sent += len(batch)


def write_accounts(client, book):
    batches = Batches(client.create_accounts, AccountFlags.LINKED,
                      last_imported(client.query_accounts, AccountFlags.IMPORTED))
    for account in book.accounts.values():
        flags = account["flags"] & ~AccountFlags.CLOSED | AccountFlags.IMPORTED
        if account["created_closed"]:
            flags |= AccountFlags.CLOSED
        batches.add(event_of(Account, account, debits_pending=0, debits_posted=0, credits_pending=0,
                             credits_posted=0, flags=flags))
    batches.flush()
    return batches.sent


class Expiries:
    """Holds with a timeout that are not resolved yet. Imported ones cannot have a timeout: those
    whose time is over by then are voided at the time they expired."""

    def __init__(self, account_times):
        self.account_times = account_times
        self.queue = []
        self.unresolved = set()
        self.last = 0  # time of the last transfer

    def voids(self, until):
        """Events for the holds that expired before a time."""
        while self.queue and self.queue[0][0] < until:
            at, id_, hold = heapq.heappop(self.queue)
            if id_ not in self.unresolved:
                continue
            at = max(at, self.last + 1)
            while at in self.account_times:
                at += 1
            if at >= until:
                heapq.heappush(self.queue, (until + 1, id_, hold))
                return
            self.last = at
            yield Transfer(
                id=void_id(id_), amount=hold["amount"], pending_id=id_, timestamp=at,
                flags=TransferFlags.VOID_PENDING_TRANSFER | TransferFlags.IMPORTED)

    def passed(self, transfer):
        self.last = transfer["timestamp"]
        if transfer["flags"] & TransferFlags.PENDING and transfer["timeout"]:
            heapq.heappush(self.queue, (expiry(transfer), transfer["id"], transfer))
            self.unresolved.add(transfer["id"])
        elif transfer["flags"] & POST_OR_VOID:
            self.unresolved.discard(transfer["pending_id"])


def void_id(id_):
    """The id of the transfer that voids an expired hold: the same in every run."""
    return id_ ^ (0x6D6F7665 << 96)  # "move"


def made_anew(book):
    """Holds that are not imported but made anew after everything else, in their order: those that
    are open and will expire, and those that keep an account closed on which such a one lies."""
    expiring = [hold for hold in book.holds.values() if hold["timeout"]]
    ids = {hold["id"] for hold in expiring}
    for hold in expiring:
        for account in hold["debit_account_id"], hold["credit_account_id"]:
            ids |= book.closings[account]
    return [hold for id_, hold in book.holds.items() if id_ in ids]


def write_transfers(client, book):
    batches = Batches(client.create_transfers, TransferFlags.LINKED,
                      last_imported(client.query_transfers, TransferFlags.IMPORTED))
    expiries = Expiries({account["timestamp"] for account in book.accounts.values()})
    later = {hold["id"] for hold in made_anew(book)}
    for transfer in book.transfers():
        for event in expiries.voids(transfer["timestamp"]):
            batches.add(event)
        expiries.passed(transfer)
        if transfer["id"] not in later:
            batches.add(event_of(Transfer, transfer, timeout=0,
                                 flags=transfer["flags"] | TransferFlags.IMPORTED))
    for event in expiries.voids(book.read_at):
        batches.add(event)
    batches.flush()
    return batches.sent


def write_open_holds(client, book):
    """Those that expire get the time that they have left."""
    holds = made_anew(book)
    sent = 0
    for begin in range(0, len(holds), PAGE):
        page = holds[begin : begin + PAGE]
        there = {row.id for row in client.lookup_transfers([hold["id"] for hold in page])}
        events = []
        for hold in page:
            if hold["id"] not in there:
                left = -(-(expiry(hold) - time.time_ns()) // NS)
                left = max(1, left) if hold["timeout"] else 0
                events.append(event_of(
                    Transfer, hold, timestamp=0, timeout=left,
                    flags=hold["flags"] & ~TransferFlags.LINKED & ~TransferFlags.IMPORTED))
        if events:
            send(client.create_transfers, events)
            sent += len(events)
    return sent


def write(client, path):
    book = Book(path)
    accounts = write_accounts(client, book)
    transfers = write_transfers(client, book)
    holds = write_open_holds(client, book)
    print(f"{accounts} accounts and {transfers} transfers are imported, {holds} open holds made anew")


# Comparing


def account_differences(client, book):
    """Every account with its balances as they must be now."""
    book.expire(time.time_ns())
    ids = list(book.accounts)
    for begin in range(0, len(ids), PAGE):
        rows = {row.id: row for row in client.lookup_accounts(ids[begin : begin + PAGE])}
        for id_ in ids[begin : begin + PAGE]:
            if id_ not in rows:
                yield f"account {id_} is missing"
                continue
            expected = fields_of(event_of(Account, book.accounts[id_]))
            names = "debits_pending", "debits_posted", "credits_pending", "credits_posted"
            expected |= dict(zip(names, book.balances[id_]))
            closed = bool(book.closings[id_]) or book.accounts[id_]["created_closed"]
            expected["flags"] = (expected["flags"] & ~AccountFlags.CLOSED | AccountFlags.IMPORTED
                                 | closed * AccountFlags.CLOSED)
            found = fields_of(rows[id_])
            for fields in expected, found:
                fields["flags"] &= ~AccountFlags.LINKED
            yield from differences(f"account {id_}", expected, found)


def transfer_differences(client, book):
    page = []

    def check():
        rows = {row.id: row for row in client.lookup_transfers([t["id"] for t in page])}
        for transfer in page:
            name = f"transfer {transfer['id']}"
            if transfer["id"] not in rows:
                yield f"{name} is missing"
                continue
            expected = fields_of(event_of(Transfer, transfer))
            found = fields_of(rows[transfer["id"]])
            expected["timeout"] = found["timeout"] = 0
            if not found["flags"] & TransferFlags.IMPORTED:  # an open hold
                expected["timestamp"] = found["timestamp"]
            for fields in expected, found:
                fields["flags"] &= ~(TransferFlags.IMPORTED | TransferFlags.LINKED)
            yield from differences(name, expected, found)

    for transfer in book.transfers():
        page.append(transfer)
        if len(page) == PAGE:
            yield from check()
            page.clear()
    if page:
        yield from check()


def differences(name, expected, found):
    for field, value in expected.items():
        if found[field] != value:
            yield f"{name} has {field} {found[field]} instead of {value}"


def compare(client, path):
    book = Book(path)
    end = time.monotonic() + RELEASED_SECONDS_MAX
    while found := list(account_differences(client, book)):
        if book.expired_last <= book.read_at or time.monotonic() > end:
            break
        time.sleep(1)  # holds that have expired since are released in a moment
    found += transfer_differences(client, book)
    for line in found[:20]:
        print(line)
    if found:
        raise Failure(f"{len(found)} differences")
    totals = {}
    for id_, account in book.accounts.items():
        line = totals.setdefault(account["ledger"], [0, 0, 0, 0, 0])
        line[0] += 1
        for i, amount in enumerate(book.balances[id_]):
            line[i + 1] += amount
    for ledger, line in sorted(totals.items()):
        print(f"ledger {ledger}: {line[0]} accounts, {line[2]} debits and {line[4]} credits posted, "
              f"{line[1]} and {line[3]} pending")
    print("every account, every balance and every transfer is the same")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["read", "write", "compare"])
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--cluster", type=int, default=0, help="cluster number of the server")
    options = parser.parse_args()
    if options.step == "read":
        address, path = options.first, options.second
    else:
        path, address = options.first, options.second
    try:
        with tb.ClientSync(cluster_id=options.cluster, replica_addresses=address) as client:
            {"read": read, "write": write, "compare": compare}[options.step](client, path)
    except Failure as failure:
        sys.exit(f"move.py: {failure}")


if __name__ == "__main__":
    main()
