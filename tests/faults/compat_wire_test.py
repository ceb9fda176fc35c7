"""What the port for TigerBeetle's clients answers, byte by byte.

    python3 compat_wire_test.py GIRO_BINARY [DIRECTORY]

DIRECTORY: where to make data directories; it must be on a file system with direct I/O. Default: the
current directory. Exit status 0: everything is answered as it must be.
"""
import itertools
import os
import random
import signal
import struct
import threading
import time

import compat_client as c
from compat_client import CREATED, account, id_bytes, native, request, transfer

LINKED, PENDING, POST, VOID, BALANCING_DEBIT, CLOSING_DEBIT, IMPORTED = 1, 2, 4, 8, 16, 64, 256
ACCOUNT_IMPORTED = 16
CLUSTER = 0x1122334455667788_99AABBCCDDEEFF00
CLIENTS = itertools.count(1 << 100 | 1)
IDS = itertools.count(1000)


def session_of(server, **fields):
    return c.Session(server.connect(), next(CLIENTS), **fields)


def accounts_of(session, *flags, **fields):
    """New accounts."""
    ids = [next(IDS) for _ in flags]
    assert set(session.accounts(*[account(id, flags=flag, **fields)
                                  for id, flag in zip(ids, flags)])) == {CREATED}
    return ids


def goes_on(session):
    """A session that others' faults do not concern."""
    a, b = accounts_of(session, 0, 0)
    assert session.transfers(transfer(next(IDS), a, b, 7)) == [CREATED]
    assert session.balances(a, b) == [(0, 7, 0, 0), (0, 0, 0, 7)]


# ---- Sessions -----------------------------------------------------------------------------------

def registers(server):
    session, other = session_of(server), session_of(server)
    assert session.answered.body == struct.pack("<I", c.BODY_BYTES_MAX) + bytes(60)
    assert other.session > session.session
    for wire in (session.wire, other.wire):
        assert wire.call(session.asked).message == session.answered.message
    session.wire.ignores(c.register(session.client, latency=1))  # another message
    goes_on(session)
    session.wire.ignores(c.register(session.client),
                         session.ask(c.CREATE_ACCOUNTS, [], number=0),
                         request(0, session.session, 9, c.CREATE_ACCOUNTS), c.register(0))
    goes_on(session)


def repeats(server):
    """A request that comes again is answered again and not executed again."""
    session, other = session_of(server), session_of(server)
    a, b = accounts_of(session, 0, 0)
    asked = []
    for amount in (1, 10, 100):
        ids = [next(IDS) for _ in range(4)]
        assert session.transfers(
            transfer(ids[0], a, b, amount), transfer(ids[1], a, a, amount),
            transfer(ids[0], a, b, amount), transfer(ids[2], a, 99, amount),
            transfer(ids[3], b, a, amount), same={2: 0}) == [CREATED, 12, 46, 22, CREATED]
        asked.append(session.asked)
        for wire in (session.wire, other.wire, session.wire):
            assert wire.call(session.asked).message == session.answered.message
        session.wire.send(session.asked, session.asked)  # before the answer is read
        for _ in range(2):
            assert session.wire.receive() == session.answered.message
        found = other.balances(a, b)
        total = {1: 1, 10: 11, 100: 111}[amount]
        assert found == [(0, total, 0, total)] * 2, found
    more = transfer(next(IDS), a, b, 1)
    number = session.number
    session.wire.ignores(asked[0], asked[1],
                         session.ask(c.CREATE_TRANSFERS, [more], number=number),
                         session.ask(c.CREATE_TRANSFERS, [more], number=number - 1),
                         request(session.client, session.session, number, c.CREATE_TRANSFERS,
                                 session.asked[c.HEADER_BYTES:], latency=1))
    assert session.wire.call(asked[2]).message == session.answered.message
    session.number = number + 1000  # a gap
    assert session.transfers(more) == [CREATED]
    assert session.balances(a, b) == [(0, 112, 0, 111), (0, 111, 0, 112)]
    for operation in (c.SPARSE_TRANSFERS, 130):  # with and without something to tell
        for events in ([transfer(next(IDS), a, b, 0)], [transfer(next(IDS), a, a, 0), more]):
            session.call(operation, events)
            assert other.wire.call(session.asked).message == session.answered.message
    assert session.accounts(account(a), account(next(IDS)), account(0),
                            given={0: session.lookup(c.LOOKUP_ACCOUNTS, a)[0]["timestamp"]}) == [
                                21, CREATED, 6]
    assert other.wire.call(session.asked).message == session.answered.message
    # Reads are executed again.
    ask = session.ask(c.LOOKUP_ACCOUNTS, [id_bytes(a), id_bytes(b)])
    assert session.wire.call(ask).body == other.wire.call(ask).body


def shares(server):
    """Two sessions on one connection, whose requests do not wait for each other."""
    wire = server.connect()
    one, two = c.Session(wire, next(CLIENTS)), c.Session(wire, next(CLIENTS))
    a, b = accounts_of(one, 0, 0)
    asked = []
    for i in range(20):
        asked.append((one, two)[i % 2].ask(c.CREATE_TRANSFERS, [transfer(next(IDS), a, b, 1)]))
    wire.send(*asked)
    for ask in asked:
        assert wire.reply(ask).body[8:16] == struct.pack("<II", CREATED, 0)
    assert two.balances(a, b) == [(0, 20, 0, 0), (0, 0, 0, 20)]


def pings(server):
    wire = server.connect()
    for ticks, release in ((0, c.RELEASE), (1, 16 << 8 | 4), ((1 << 64) - 1, 1 << 16)):
        wire.send(c.ping(next(CLIENTS), ticks, session=ticks, release=release))
        assert wire.receive() == c.pong(ticks, release=release)
    # Among requests, in their order.
    session = c.Session(wire, next(CLIENTS))
    client = next(CLIENTS)
    messages = [c.register(client), c.ping(client, 5)]
    for i in range(10):
        messages += [session.ask(c.CREATE_ACCOUNTS, [account(next(IDS))]), c.ping(client, i)]
    wire.send(*messages)
    for message in messages:
        if message[114] == c.PING:
            assert wire.receive() == c.pong(c.field(message, 144, 8))
        else:
            wire.reply(message)
    wire.ignores(*[c.ping(client, 1, command=command) for command in (0, 1, 2, 4, 6, 8, 18, 255)])


def floods(server):
    """Much is asked before any answer is read."""
    writer, reader = session_of(server), session_of(server)
    a, b = accounts_of(writer, 8, 0)
    wire = server.connect()
    query = native.account_filter(account_id=a, limit=100000, flags=native.DEBITS)
    events = struct.pack("<QQI44x", 1, 0, 100000)
    asked = []
    for i in range(8):
        asked += [
            writer.ask(c.CREATE_TRANSFERS, [transfer(next(IDS), a, b, 1) for _ in range(20)]),
            reader.ask(c.GET_ACCOUNT_TRANSFERS, [query]),
            reader.ask(c.LOOKUP_ACCOUNTS, [id_bytes(a)] * 8189),
            c.ping(1, i), reader.ask(c.GET_ACCOUNT_BALANCES, [query], [query]),
            reader.ask(c.GET_CHANGE_EVENTS, [events]),
            request(next(CLIENTS), 1, 1, c.LOOKUP_ACCOUNTS)]
    sender = threading.Thread(target=wire.send, args=asked)
    sender.start()
    for i, ask in enumerate(asked):
        kind = i % 7
        if kind in (3, 6):
            assert wire.receive()[114] == (c.PONG if kind == 3 else c.EVICTION)
            continue
        reply = wire.reply(ask, checked=False)
        if kind == 1:  # it sees what was created before it
            found = c.results(c.GET_ACCOUNT_TRANSFERS, 1, reply.body)
            assert len(found[0]) == 20 * (i // 7 + 1)
    sender.join()
    assert writer.balances(a, b) == [(0, 160, 0, 0), (0, 0, 0, 160)]


def replaces(server):
    """Three sessions at most: the one that changed something the longest ago goes first."""
    fields = {"cluster": CLUSTER}

    def gone(session):
        session.wire.evicts(request(session.client, session.session, session.number + 1,
                                    c.CREATE_ACCOUNTS, c.batched(c.CREATE_ACCOUNTS, []), **fields),
                            c.NO_SESSION)
        if session.number > 0:
            session.wire.evicts(session.asked, c.NO_SESSION)

    one, two, three = (session_of(server, **fields) for _ in range(3))
    goes_on(one)
    four = session_of(server, **fields)
    gone(two)
    for session in (three, one, four):
        goes_on(session)
    five = session_of(server, **fields)
    gone(three)
    two = c.Session(two.wire, two.client, **fields)  # as a new one
    gone(one)
    assert two.session > five.session
    for session in (four, five, two):
        goes_on(session)
    server.restart(signal.SIGKILL)
    for session in (one, two, three, four, five):
        session.wire = server.connect()
    gone(one)
    gone(three)
    for session in (five, two, four):
        goes_on(session)
    one = c.Session(one.wire, one.client, **fields)
    gone(five)
    goes_on(two)


# ---- What ends sessions and connections --------------------------------------------------------

def evictions(server):
    session, old = session_of(server), session_of(server, release=16 << 8 | 16)
    wire, client, number = session.wire, session.client, session.session
    good = c.batched(c.CREATE_ACCOUNTS, [])
    wire.evicts(request(next(CLIENTS), number, 1, c.CREATE_ACCOUNTS, good), c.NO_SESSION)
    wire.evicts(request(next(CLIENTS), 0, 1, 255), c.NO_SESSION)
    wire.evicts(request(client, number - 1, 1, c.CREATE_ACCOUNTS, good), c.SESSION_TOO_LOW)
    wire.evicts(request(client, 0, 1, c.CREATE_ACCOUNTS, good), c.SESSION_TOO_LOW)
    wire.ignores(request(client, number + 1, 1, c.CREATE_ACCOUNTS, good))
    for release in (0, 15 << 8 | 255, 16 << 8 | 3):
        wire.evicts(c.register(next(CLIENTS), release=release), c.RELEASE_TOO_LOW)
    for release in (16 << 8 | 4, 17 << 8, 18 << 8, 1 << 16):
        c.Session(wire, next(CLIENTS), release=release)
    for release in (c.RELEASE - 1, c.RELEASE + 1, 0):
        wire.evicts(request(client, number, 1, c.CREATE_ACCOUNTS, good, release=release),
                    c.SESSION_RELEASE_MISMATCH)
    old.wire.evicts(request(old.client, old.session, 1, 129), c.SESSION_RELEASE_MISMATCH)
    for operation in (0, 1, 3, 4, 21, 128, 148, 255):
        for body in (b"", good, bytes(64)):
            wire.evicts(request(client, number, 1, operation, body), c.INVALID_OPERATION)
    for body in (b"", bytes(255), bytes(257), bytes(512)):
        wire.evicts(c.register(next(CLIENTS), body), c.INVALID_BODY_SIZE)
    for at in (0, 3, 4, 255):
        body = bytes(at) + b"\x01" + bytes(255 - at)
        wire.evicts(c.register(next(CLIENTS), body), c.INVALID_BODY)
    goes_on(session)
    goes_on(old)


def bodies(server):
    """Bodies that are no events, or whose trailer is wrong."""
    session = session_of(server)
    bad = []
    for operation, (size, _) in c.SIZES.items():
        event = bytes(size)
        if operation < c.SPARSE_ACCOUNTS:
            bad += [(operation, bytes(n)) for n in (1, size - 1, size + 1)]
            if operation >= 133:  # one filter
                bad += [(operation, b""), (operation, event * 2)]
            continue
        end = c.trailer([1], size)
        bad += [(operation, body) for body in (
            b"", b"\x01", bytes(2), bytes(size - 1), event, event * 2, end, end[1:],
            event + end[:-1], event + event + end, event + c.trailer([0], size),
            event + c.trailer([2], size), event + c.trailer([1, 1], size),
            event + c.trailer([65535], size), event + end[:-2] + b"\0\0",
            event + end[:-2] + b"\xff\xff", event + end[:-2] + struct.pack("<H", 3 + size),
            event + b"\xff" * size + end, event + b"\xfe" + end[1:],
            event + end[:-5] + b"\0" + end[-4:])]
        if operation in range(c.GET_ACCOUNT_TRANSFERS, c.QUERY_TRANSFERS + 1):
            bad += [(operation, c.batched(operation, *batches)) for batches in (
                ([],), ([event] * 2,), ([event], []), ([event], [event] * 2), ([], [event] * 2))]
    # More than a reply has room for.
    bad += [(c.LOOKUP_ACCOUNTS, c.batched(c.LOOKUP_ACCOUNTS, [bytes(16)] * 8190)),
            (c.LOOKUP_TRANSFERS, c.batched(c.LOOKUP_TRANSFERS, [bytes(16)] * 20000)),
            (131, bytes(16 * 8191)), (132, bytes(16 * 8191))]
    for operation, body in bad:
        session.wire.evicts(request(session.client, session.session, 1, operation, body),
                            c.INVALID_BODY_SIZE)
    goes_on(session)


def closes(server):
    """What is no message closes the connection that it came on."""
    session = session_of(server)
    good, random_bytes = c.register(next(CLIENTS)), random.Random(1).randbytes

    def changed(message, at, sealed=False):
        message = bytearray(message)
        message[at] ^= 0x10
        if sealed:
            message[:16] = c.checksum(message[16:c.HEADER_BYTES])
        return bytes(message)

    bad = [changed(good, at) for at in (0, 15, 16, 31, 32, 80, 97, 100, 104, 108, 114, 128, 160,
                                        196, 255, 256, 300, 511)]
    bad += [changed(good, 32, True), changed(good, 47, True)]
    bad += [c.register(1, cluster=cluster) for cluster in (1, 1 << 127)]
    bad += [c.ping(1, 1, cluster=1), random_bytes(256), random_bytes(5000), bytes(256)]
    bad += [request(1, 0, 0, c.REGISTER, size=size)
            for size in (1, 128, 255, c.MESSAGE_BYTES_MAX + 1, 0x7FFFFFFF, 0xFFFFFFFF)]
    bad += [c.ping(1, 1)[:96] + struct.pack("<I", 0) + c.ping(1, 1)[100:]]
    wires = []
    for message in bad:
        wires.append(server.connect())
        wires[-1].send(message)
    for i, wire in enumerate(wires):
        assert wire.is_closed(), i
        wire.close()
    goes_on(session)
    # What was asked before it is done; what comes behind it is not.
    other = session_of(server)
    event = account(next(IDS))
    ask = other.ask(c.CREATE_ACCOUNTS, [event])
    other.wire.send(ask, changed(good, 20), other.ask(c.CREATE_ACCOUNTS, [account(next(IDS))]))
    try:
        assert other.wire.receive()[114] == c.REPLY
        assert other.wire.is_closed()
    except (EOFError, ConnectionResetError):
        pass  # the end may be faster than the reply
    assert results_of(session.wire.call(ask)) == [CREATED]
    # Silence in the midst of a message; none before one.
    half = [random_bytes(100), good[:100], good[:256], good[:400],
            request(1, 1, 1, 146, bytes(128 * 2000))[:100000]]
    wires = [server.connect() for _ in half]
    idle = server.connect()
    for wire, message in zip(wires, half):
        wire.send(message)
    for i, wire in enumerate(wires):
        assert wire.is_closed(), i
        wire.close()
    assert idle.is_open()
    idle.ignores()
    goes_on(session)


def results_of(reply):
    """Statuses of a reply with one batch."""
    return [struct.unpack("<QII", result)[1]
            for result in c.results(c.CREATE_ACCOUNTS, 1, reply.body)[0]]


# ---- Encodings ----------------------------------------------------------------------------------

def sparse(*failed):
    return [struct.pack("<II", index, code) for index, code in failed]


def old_operations(server):
    """Without batches: what failed, or the records that were found, and nothing else."""
    session = session_of(server, release=16 << 8 | 16)
    a, b, x = (next(IDS) for _ in range(3))
    assert session.call(129, []) == session.call(130, []) == [[]]
    assert session.call(131, []) == session.call(132, []) == [[]]
    assert session.call(129, [account(a, flags=8), account(a, flags=8), account(b),
                              account(next(IDS), ledger=0)]) == [sparse((1, 21), (3, 13))]
    assert session.call(130, [transfer(x, a, b, 5), transfer(x + 1, a, b, 1, flags=LINKED),
                              transfer(x + 2, a, a, 1), transfer(x + 3, a, b, 6)]) == [
                                  sparse((1, 1), (2, 12))]
    next(IDS), next(IDS), next(IDS)
    assert session.call(130, [transfer(next(IDS), a, b, 1)]) == [[]]
    assert session.answered.body == b""
    rows = session.lookup(131, b, 99, a, 0, b)
    assert [row["id"] for row in rows] == [b, a, b] and rows[1]["debits_posted"] == 12
    assert [(row["id"], row["amount"]) for row in session.lookup(132, x + 3, x + 2, x)] == [
        (x + 3, 6), (x, 5)]
    by_account = native.account_filter(account_id=a, limit=2, flags=native.DEBITS)
    found = [native.decode(native.TRANSFER_FIELDS, row) for row in session.call(133, [by_account])[0]]
    assert [row["id"] for row in found] == [x, x + 3]
    found = [native.decode(native.ACCOUNT_BALANCE_FIELDS, row)
             for row in session.call(134, [by_account])[0]]
    assert [row["debits_posted"] for row in found] == [5, 11]
    for operation, count in ((135, 3), (136, 2)):
        query = native.query_filter(code=1, limit=count)
        assert len(session.call(operation, [query])[0]) == count
    for operation in (133, 134, 135, 136):  # a filter that asks for nothing
        assert session.call(operation, [bytes(c.SIZES[operation][0])]) == [[]]
    assert session.call(131, [id_bytes(a)] * 8190) == [[session.call(131, [id_bytes(a)])[0][0]] *
                                                       8190]
    assert session.call(131, [bytes(16)] * 8190) == [[]]


def batches(server):
    session, old = session_of(server), session_of(server, release=16 << 8 | 50)
    a, b = accounts_of(session, 0, 0)

    def t(**fields):
        return transfer(next(IDS), a, b, 1, **fields)

    bad = transfer(next(IDS), a, a, 1)
    for operation in (c.CREATE_ACCOUNTS, c.CREATE_TRANSFERS, c.SPARSE_ACCOUNTS,
                      c.SPARSE_TRANSFERS, c.LOOKUP_ACCOUNTS, c.LOOKUP_TRANSFERS):
        for count in (1, 2, 7, 62, 63, 64, 500):
            assert session.call(operation, *[[]] * count) == [[]] * count
            trailer = c.trailer([0] * count, c.SIZES[operation][1])
            assert session.answered.body == trailer
    assert session.call(c.CREATE_TRANSFERS, *[[]] * 65534) == [[]] * 65534

    assert session.statuses(c.CREATE_TRANSFERS, [t(), bad], [], [t(), t(), bad], [t()]) == [
        CREATED, 12, CREATED, CREATED, 12, CREATED]
    assert old.call(c.SPARSE_TRANSFERS, [t(), bad], [], [t(), t(), bad], [t()], [bad]) == [
        sparse((1, 12)), [], sparse((2, 12)), [], sparse((0, 12))]
    assert old.call(c.SPARSE_ACCOUNTS, [account(a)], [account(0), account(next(IDS))]) == [
        sparse((0, 21)), sparse((0, 6))]
    found = old.call(c.SPARSE_TRANSFERS, *[[bad if i % 3 == 0 else t()] for i in range(600)])
    assert found == [sparse((0, 12)) if i % 3 == 0 else [] for i in range(600)]
    found = session.statuses(c.CREATE_TRANSFERS, *[[bad if i % 3 == 0 else t()] for i in range(600)])
    assert found == [12 if i % 3 == 0 else CREATED for i in range(600)]

    # Chains end with their batch.
    x = t()
    assert session.statuses(c.CREATE_TRANSFERS, [t(flags=LINKED), t()], [t(flags=LINKED)], [t()],
                            [t(flags=LINKED), t(flags=LINKED)], [x], [],
                            [t(flags=LINKED), bad[:118] + b"\1" + bad[119:], t(flags=LINKED)],
                            [t(), t(flags=LINKED), bad, t()], [x], same={14: 6}) == [
                                CREATED, CREATED, 2, CREATED, 1, 2, CREATED, 1, 12, 2,
                                CREATED, 1, 12, CREATED, 46]
    assert session.statuses(c.CREATE_ACCOUNTS, [account(next(IDS), flags=LINKED)],
                            [account(next(IDS))]) == [2, CREATED]
    assert old.call(c.SPARSE_TRANSFERS, [t(flags=LINKED), t(flags=LINKED)], [t()],
                    [t(), t(flags=LINKED)]) == [sparse((0, 1), (1, 2)), [], sparse((1, 2))]

    # Lookups, whatever is missing.
    found = session.call(c.LOOKUP_ACCOUNTS, [id_bytes(id) for id in (b, 99, a)], [],
                         [id_bytes(id) for id in (0, c.U128_MAX)], [id_bytes(a)] * 2)
    assert [[c.field(row, 0, 16) for row in batch] for batch in found] == [[b, a], [], [], [a, a]]
    assert found[3][0] == found[0][1]
    found = session.call(c.LOOKUP_TRANSFERS, [x[:16], id_bytes(99)], [bytes(16)], [x[:16]])
    assert [[row[:112] for row in batch] for batch in found] == [[x[:112]], [], [x[:112]]]
    found = session.call(c.LOOKUP_ACCOUNTS, *[[id_bytes((a, 99)[i % 2])] for i in range(3000)])
    assert [len(batch) for batch in found] == [1, 0] * 1500


def greatest(server):
    """As much as a message holds."""
    session = session_of(server)
    a, b = accounts_of(session, 0, 0)
    first = 1 << 64
    events = [transfer(first + i, a, (b, 99)[i % 1000 == 999], 1 + i) for i in range(8189)]
    found = session.transfers(*events)
    assert len(session.asked) == c.MESSAGE_BYTES_MAX
    assert found == [(CREATED, 22)[i % 1000 == 999] for i in range(8189)]
    assert session.wire.call(session.asked).message == session.answered.message
    found = session.call(c.LOOKUP_TRANSFERS, [id_bytes(first)] * 8189)
    assert len(session.answered.message) == c.MESSAGE_BYTES_MAX and len(set(found[0])) == 1
    total = sum(1 + i for i in range(8189) if i % 1000 != 999)
    assert session.balances(a, b) == [(0, total, 0, 0), (0, 0, 0, total)]
    query = native.account_filter(account_id=a, limit=0xFFFFFFFF, flags=native.DEBITS)
    found = session.call(c.GET_ACCOUNT_TRANSFERS, [query])
    assert [c.field(row, 0, 16) - first for row in found[0]] == [
        i for i in range(8189) if i % 1000 != 999]


def imports(server):
    """Every batch is imported or not, as its first event is."""
    session = session_of(server)

    def imported(timestamp, id=None, flags=0, **fields):
        return account(id or next(IDS), flags=ACCOUNT_IMPORTED | flags, timestamp=timestamp,
                       **fields)

    session.accounts(account(next(IDS)))
    past = session.answered.timestamp
    a, b, x = (next(IDS) for _ in range(3))
    later = past + 3600 * 10 ** 9
    assert session.statuses(
        c.CREATE_ACCOUNTS, [account(next(IDS), code=0)],
        [imported(past + 1, a), imported(past + 2, b)],
        [imported(past + 3), account(next(IDS))], [account(next(IDS), code=0), imported(past + 4)],
        [imported(past + 3), imported(later), imported(0), imported(1 << 63), imported(past + 4, b)],
        [imported(past + 5, flags=LINKED), imported(past + 6, code=0)],
        [imported(past + 7, x, LINKED), imported(past + 7, x, LINKED), imported(past + 8)],
        given={1: past + 1, 2: past + 2, 3: past + 3, 11: past + 2, 12: past + 5, 14: past + 7,
               15: past + 7, 16: past + 8}) == [
                   14, CREATED, CREATED, CREATED, 22, 14, 23, 26, 25, 24, 24, 21, 1, 14, 1, 21, 1]
    assert [row["timestamp"] for row in session.lookup(c.LOOKUP_ACCOUNTS, a, b, x)] == [
        past + 1, past + 2]
    assert session.wire.call(session.asked).message
    session.transfers(transfer(next(IDS), a, b, 1))
    past = session.answered.timestamp

    def moved(timestamp, id=None, debit=a, credit=b, flags=0, **fields):
        return transfer(id or next(IDS), debit, credit, 1, flags=IMPORTED | flags,
                        timestamp=timestamp, **fields)

    x, y, z = (next(IDS) for _ in range(3))
    assert session.transfers(transfer(next(IDS), a, b, 1), moved(past + 1)) == [CREATED, 57]
    past = session.first(2)  # of the last transfer
    session.accounts(account(y))
    assert session.statuses(
        c.CREATE_TRANSFERS, [moved(past + 1, x), moved(past + 2, flags=PENDING)],
        [moved(past + 3), transfer(next(IDS), a, b, 1)], [moved(past), moved(later), moved(0)],
        [moved(past + 4, debit=y), moved(past + 4, credit=y),
         moved(past + 4, flags=PENDING, timeout=1)],
        [moved(past + 9, x)], [moved(past + 5, flags=LINKED), moved(past + 6, debit=b)],
        [moved(past + 7, z, flags=LINKED), moved(past + 7, z)],
        given={0: past + 1, 1: past + 2, 2: past + 3, 10: past + 1, 11: past + 5,
               13: past + 7}) == [
                   CREATED, CREATED, CREATED, 56, 60, 59, 58, 61, 62, 63, 46, 1, 12, 1, 36]
    again = session.wire.call(session.asked)
    assert again.message == session.answered.message


def queries(server):
    session, old = session_of(server), session_of(server, release=16 << 8 | 50)
    tag = 1 << 120 | next(IDS)
    a, b = accounts_of(session, 8, 0, user_data_128=tag)
    ids = [next(IDS) for _ in range(15)]
    assert set(session.transfers(*[
        transfer(id, *((a, b) if i < 10 else (b, a)), i + 1, user_data_128=tag, user_data_64=i % 3,
                 code=1 + i % 2) for i, id in enumerate(ids)])) == {CREATED}
    at = [session.first(15) + i for i in range(15)]
    both = native.DEBITS | native.CREDITS

    def filters(**fields):
        return native.account_filter(**{"account_id": a, "limit": 100, "flags": both, **fields})

    def query(**fields):
        return native.query_filter(**{"user_data_128": tag, "limit": 100, **fields})

    wrong = [{"limit": 0}, {"flags": 1 << 31}, {"timestamp_min": (1 << 64) - 1},
             {"timestamp_max": (1 << 64) - 1}, {"timestamp_min": 1 << 63},
             {"timestamp_min": 5, "timestamp_max": 4}, {"reserved": 1}]
    asked = [({}, ids), ({"flags": native.DEBITS}, ids[:10]), ({"flags": native.CREDITS}, ids[10:]),
             ({"flags": both | native.REVERSED, "limit": 3}, ids[:-4:-1]), ({"limit": 4}, ids[:4]),
             ({"account_id": 99}, []), ({"account_id": 0}, []), ({"account_id": c.U128_MAX}, []),
             ({"flags": 0}, []), ({"flags": native.REVERSED}, []), ({"flags": both | 8}, []),
             ({"timestamp_min": at[3], "timestamp_max": at[7]}, ids[3:8]),
             ({"timestamp_max": at[0]}, ids[:1]), ({"timestamp_min": at[14]}, ids[14:]),
             ({"user_data_64": 2}, ids[2::3]), ({"code": 2}, ids[1::2]), ({"code": 3}, []),
             ({"user_data_64": 2, "code": 2}, ids[5::6]), ({"user_data_128": tag + 1}, [])]
    asked += [(fields, []) for fields in wrong]

    def found(session, operation, fields, filters):
        return [[native.decode(fields, row) for row in batch]
                for batch in session.call(operation, *[[one] for one in filters])]

    for reader in (session, old):
        rows = found(reader, c.GET_ACCOUNT_TRANSFERS, native.TRANSFER_FIELDS,
                     [filters(**fields) for fields, _ in asked])
        assert [[row["id"] for row in batch] for batch in rows] == [ids for _, ids in asked]
        assert [(row["amount"], row["timestamp"]) for row in rows[0]] == [
            (i + 1, at[i]) for i in range(15)]
        rows = found(reader, c.GET_ACCOUNT_BALANCES, native.ACCOUNT_BALANCE_FIELDS,
                     [filters(**fields) for fields, _ in asked] + [filters(account_id=b)])
        assert [[row["timestamp"] for row in batch] for batch in rows] == [
            [at[ids.index(id)] for id in ids_of] for _, ids_of in asked] + [[]]
        assert [(row["debits_posted"], row["credits_posted"]) for row in rows[0]] == [
            (sum(range(1, min(i, 9) + 2)), sum(range(11, i + 2))) for i in range(15)]
    asked = [({}, [a, b]), ({"limit": 1}, [a]), ({"flags": 1}, [b, a]),
             ({"flags": 1, "limit": 1}, [b]), ({"ledger": 2}, []), ({"ledger": 1, "code": 1}, [a, b]),
             ({"flags": 2}, []), *[(fields, []) for fields in wrong]]
    rows = found(session, c.QUERY_ACCOUNTS, native.ACCOUNT_FIELDS,
                 [query(**fields) for fields, _ in asked])
    assert [[row["id"] for row in batch] for batch in rows] == [ids for _, ids in asked]
    asked = [({}, ids), ({"limit": 7}, ids[:7]), ({"flags": 1, "limit": 2}, ids[:-3:-1]),
             ({"code": 2, "user_data_64": 1}, ids[1::6]),
             ({"timestamp_min": at[2], "timestamp_max": at[2]}, ids[2:3]), ({"ledger": 7}, []),
             *[(fields, []) for fields in wrong]]
    rows = found(session, c.QUERY_TRANSFERS, native.TRANSFER_FIELDS,
                 [query(**fields) for fields, _ in asked * 10])
    assert [[row["id"] for row in batch] for batch in rows] == [ids for _, ids in asked * 10]


def changes(server):
    """What became of transfers, with what both accounts had then."""
    session = session_of(server)
    a, b = accounts_of(session, 8, 0, user_data_128=1, user_data_64=2, user_data_32=3, code=4)
    made = session.first(2)
    hold, rest = next(IDS), {"ledger": 0, "code": 0}
    ids = [hold, *(next(IDS) for _ in range(5))]
    events = [transfer(ids[0], a, b, 100, flags=PENDING, timeout=1, user_data_128=5),
              transfer(ids[1], a, b, 10, flags=PENDING, user_data_64=6),
              transfer(ids[2], a, b, 1, flags=PENDING),
              transfer(ids[3], 0, 0, 4, flags=POST, pending_id=ids[1], **rest),
              transfer(ids[4], b, a, 1000, user_data_32=7),
              transfer(ids[5], 0, 0, 0, flags=VOID, pending_id=ids[2], **rest)]
    assert session.transfers(*events) == [CREATED] * 6
    first = session.first(6)
    rows = session.lookup(c.LOOKUP_TRANSFERS, *ids)
    rows.append(rows[0])

    def filters(limit=100, timestamp_min=first, timestamp_max=0, zeros=bytes(44)):
        return struct.pack("<QQI", timestamp_min, timestamp_max, limit) + zeros

    def read(**fields):
        return session.call(c.GET_CHANGE_EVENTS, [filters(**fields)])[0]

    while len(read()) < 7:  # until the hold expires
        time.sleep(0.05)
    kinds, balances = (1, 1, 1, 2, 0, 3, 4), [
        (100, 0, 0), (110, 0, 0), (111, 0, 0), (101, 4, 0), (101, 4, 1000), (100, 4, 1000),
        (0, 4, 1000)]
    found = read()
    expired = c.field(found[6], 352, 8)
    assert expired >= first + 10 ** 9
    for i, (row, kind, (pending, posted, back)) in enumerate(zip(rows, kinds, balances)):
        expected = b"".join(row[name].to_bytes(size, "little") for name, size in (
            ("id", 16), ("amount", 16), ("pending_id", 16), ("user_data_128", 16),
            ("user_data_64", 8), ("user_data_32", 4), ("timeout", 4), ("code", 2), ("flags", 2),
            ("ledger", 4))) + struct.pack("<B39x", kind)
        of_a, of_b = (id_bytes(id) + b"".join(id_bytes(n) for n in numbers) + id_bytes(1) +
                      struct.pack("<QIHH", 2, 3, 4, flags) for id, flags, numbers in (
                          (a, 8, (pending, posted, 0, back)), (b, 0, (0, back, pending, posted))))
        times = struct.pack("<QQQQ", expired if i == 6 else row["timestamp"],
                            row["timestamp"], *((made + 1, made) if i == 4 else (made, made + 1)))
        assert found[i] == expected + (of_b + of_a if i == 4 else of_a + of_b) + times, i
    assert read(limit=3) == found[:3]
    assert read(timestamp_min=first + 3, limit=2) == found[3:5]
    assert read(timestamp_min=first + 1, timestamp_max=first + 4) == found[1:5]
    assert read(timestamp_max=first) == found[:1] and read(timestamp_min=expired) == found[6:]
    assert read(limit=0) == read(timestamp_min=1 << 63) == read(timestamp_max=(1 << 64) - 1) == []
    assert read(timestamp_max=first - 1) == read(zeros=bytes(43) + b"\1") == []


# ---- What the baseline answers ------------------------------------------------------------------

def reserved(server):
    """Flags that only the native protocol has are reserved here."""
    session = session_of(server)
    a, b = accounts_of(session, 0, 0)
    assert session.accounts(*[account(next(IDS), flags=1 << bit) for bit in range(6, 16)]) == [5] * 10
    assert session.transfers(*[transfer(next(IDS), a, b, 1, flags=1 << bit)
                               for bit in range(9, 16)]) == [4] * 7
    assert session.transfers(*[transfer(next(IDS), a, b, 1, flags=1 << bit | PENDING | POST | LINKED)
                               for bit in range(9, 16)], transfer(next(IDS), a, b, 1)) == [
                                   4, 1, 1, 1, 1, 1, 1, 1]
    assert session.transfers(transfer(0, 0, 0, 0, flags=512, timestamp=1)) == [3]
    assert session.balances(a, b) == [(0, 0, 0, 0)] * 2


def chains(server):
    """A chain that was committed and comes again; what a broken one had made."""
    session = session_of(server)
    a, b = accounts_of(session, 0, 0)
    chain = [transfer(next(IDS), a, b, 1, flags=flags) for flags in (LINKED, LINKED, 0)]
    assert session.transfers(*chain) == [CREATED] * 3
    made = session.first(3)
    assert session.transfers(*chain, given={0: made}) == [46, 1, 1]
    assert session.transfers(chain[2], given={0: made + 2}) == [46]
    fresh = transfer(next(IDS), a, b, 1, flags=LINKED)
    assert session.transfers(fresh, *chain, given={1: made}) == [1, 46, 1, 1]
    assert session.statuses(c.CREATE_TRANSFERS, chain, chain, given={0: made, 3: made}) == [
        46, 1, 1, 46, 1, 1]
    accounts = [account(next(IDS), flags=LINKED), account(next(IDS))]
    assert session.accounts(*accounts) == [CREATED] * 2
    made = session.first(2)
    assert session.accounts(*accounts, given={0: made}) == [21, 1]
    # What exists was made by the chain that it breaks.
    x, y = (transfer(next(IDS), a, b, 1, flags=LINKED) for _ in range(2))
    assert session.transfers(transfer(next(IDS), a, b, 1), y, x, x, chain[2],
                             same={3: 2}) == [CREATED, 1, 1, 46, 1]
    assert session.wire.call(session.asked).message == session.answered.message
    # ... even if something else has its id by now.
    v = next(IDS)
    assert session.transfers(transfer(v, a, b, 1, flags=LINKED), transfer(v, a, b, 1, flags=LINKED),
                             transfer(next(IDS), a, b, 1), transfer(v, a, b, 1),
                             same={1: 0}) == [1, 46, 1, CREATED]
    z = account(next(IDS), flags=LINKED)
    assert session.accounts(account(0), z, accounts[1], account(next(IDS)), z, z, accounts[1],
                            given={2: made + 1}, same={5: 4}) == [6, 1, 21, CREATED, 1, 21, 1]
    assert session.lookup(c.LOOKUP_TRANSFERS, c.field(x, 0, 16), c.field(y, 0, 16)) == []
    assert session.balances(a, b) == [(0, 5, 0, 0), (0, 0, 0, 5)]


def rules(server):
    """One event after the other, and its status; `exists` has the time of the first one."""
    session = session_of(server)
    a, b = accounts_of(session, 0, 0)
    guarded, other = accounts_of(session, 2, 4)
    hold, small, x, y, z = (next(IDS) for _ in range(5))
    v, w, u, closing = (next(IDS) for _ in range(4))
    rest = {"ledger": 0, "code": 0}
    table = [
        (transfer(hold, a, b, 100, flags=PENDING), CREATED),
        (transfer(small, a, b, 10, flags=PENDING, timeout=3600), CREATED),
        (transfer(x, 0, 0, 101, flags=POST, pending_id=hold, **rest), 31),
        (transfer(x, 0, 0, 60, flags=POST, pending_id=hold, **rest), CREATED),
        (transfer(x, 0, 0, 60, flags=POST, pending_id=hold, **rest), 46),
        (transfer(x, 0, 0, 61, flags=POST, pending_id=hold, **rest), 39),
        (transfer(y, 0, 0, 0, flags=VOID, pending_id=hold, **rest), 33),
        (transfer(y, 0, 0, 0, flags=VOID, pending_id=small, **rest), CREATED),
        (transfer(z, 0, 0, 1, flags=POST, pending_id=small, **rest), 34),
        (transfer(z, 0, 0, 1, flags=POST, pending_id=x, **rest), 26),
        (transfer(z, 0, 0, 1, flags=POST, pending_id=99, **rest), 25),
        (transfer(z, 0, 0, 1, flags=POST, pending_id=small, **rest), 68),
        (transfer(v, guarded, b, 5), 54),
        (transfer(v, guarded, b, 5), 68),
        (transfer(w, a, other, 5), 55),
        (transfer(w, a, b, 5), 68),
        (transfer(u, a, b, 1, timestamp=1), 3),
        (transfer(u, a, b, 1, timeout=1), 17),
        (transfer(u, a, b, 1, ledger=2), 24),
        (transfer(u, a, b, 1), CREATED),
        (transfer(u, a, b, 2), 39),
        (transfer(u, a, b, 1, code=2), 45),
        (transfer(u, b, a, 1), 37),
        (transfer(u, a, b, 1), 46),
        (transfer(closing, guarded, b, 0, flags=CLOSING_DEBIT | PENDING), CREATED),
        (transfer(next(IDS), guarded, b, 0), 65),
        (transfer(next(IDS), b, guarded, 0), 66),
        (transfer(next(IDS), 0, 0, 0, flags=VOID, pending_id=closing, **rest), CREATED),
        (transfer(next(IDS), b, guarded, 20), CREATED),
        (transfer(next(IDS), guarded, b, c.U128_MAX, flags=BALANCING_DEBIT), CREATED),
        (transfer(next(IDS), guarded, b, 1), 54),
    ]
    made = {3: 3, 4: 3, 23: 19}
    assert session.transfers(*[event for event, _ in table], same=made) == [
        status for _, status in table]
    assert session.balances(a, b, guarded) == [(0, 61, 0, 0), (0, 20, 0, 81), (0, 20, 0, 20)]


def limits(server):
    """What the native protocol's limits refuse is one of the baseline's statuses."""
    session, old = session_of(server), session_of(server, release=16 << 8 | 50)
    admin = server.connect_native()
    rows = [({"floor": 5}, 54), ({"transfer_max": 5}, 54), ({"balance_max": 5}, 54),
            ({"flags": native.BLOCK_DEBITS}, 65), ({"flags": native.BLOCK_CREDITS}, 65),
            ({"flags": native.FROZEN}, 65),
            ({"maximum_0": 1, "rule_0": native.rule(1, native.DAYS, native.CALENDAR, native.REJECT)},
             54),
            ({"maximum_0": 6,
              "rule_0": native.rule(1, native.HOURS, native.SLIDING, native.REJECT, native.AMOUNT)},
             54)]
    statuses = set()
    for row, expected in rows:
        credited = "balance_max" in row or row.get("flags") == native.BLOCK_CREDITS
        a, b = accounts_of(session, 2 if "floor" in row else 0, 0)
        if "floor" in row:
            assert session.transfers(transfer(next(IDS), b, a, 6)) == [CREATED]
        assert admin.set_limits(native.limits(account_id=b if credited else a, **row))[1] == {}
        before = session.balances(a, b)
        for operation in (c.CREATE_TRANSFERS, c.SPARSE_TRANSFERS):
            events = [transfer(next(IDS), a, b, 4) for _ in range(2)] + [
                transfer(next(IDS), a, b, 10), transfer(next(IDS), a, b, 10, flags=LINKED),
                transfer(next(IDS), a, b, 1)]
            if operation == c.SPARSE_TRANSFERS:
                found = dict(struct.unpack("<II", one) for one in old.call(operation, events)[0])
            else:
                found = dict(enumerate(session.transfers(*events)))
            again = session.created(c.CREATE_TRANSFERS, events)  # what was refused is known as such
            statuses.update(found.values(), [status for status, _ in again])
            assert found.get(2, CREATED) == expected, (row, found)
        if expected == 65:
            assert session.balances(a, b) == before
    assert statuses <= {CREATED, 1, 46, 54, 65, 68}, statuses
    # What is held is created, as a pending one.
    a, b = accounts_of(session, 0, 0)
    rule = native.rule(1, native.DAYS, native.CALENDAR, native.HOLD, native.AMOUNT)
    assert admin.set_limits(native.limits(account_id=a, maximum_0=5, rule_0=rule))[1] == {}
    assert session.transfers(transfer(next(IDS), a, b, 9)) == [CREATED]
    assert session.balances(a, b) == [(9, 0, 0, 0), (0, 0, 9, 0)]
    admin.close()


# ---- Servers that cannot do everything -------------------------------------------------------------

def full(server):
    """Room for four accounts and ten transfers: what does not fit is not executed at all."""
    session = session_of(server)
    a, b = accounts_of(session, 0, 0)
    many = [[account(next(IDS)) for _ in range(3)]]
    session.wire.evicts(session.ask(c.CREATE_ACCOUNTS, *many), c.INVALID_BODY_SIZE)
    assert session.accounts(account(next(IDS)), account(next(IDS))) == [CREATED] * 2
    session.wire.evicts(session.ask(c.CREATE_ACCOUNTS, [account(next(IDS))]), c.INVALID_BODY_SIZE)
    assert session.transfers(*[transfer(next(IDS), a, b, 1) for _ in range(10)]) == [CREATED] * 10
    session.wire.evicts(session.ask(c.CREATE_TRANSFERS, [transfer(next(IDS), a, b, 1)]),
                        c.INVALID_BODY_SIZE)
    assert session.balances(a, b) == [(0, 10, 0, 0), (0, 0, 0, 10)]
    for what in ("accounts_full", "transfers_full"):
        assert "a client is evicted: " + what in server.text(), server.text()


def alone(server):
    """Without a follower queries are not answered; everything else is."""
    session = session_of(server)
    goes_on(session)
    session.wire.ignores(session.ask(c.QUERY_TRANSFERS, [bytes(56) + struct.pack("<II", 10, 0)]))
    goes_on(session)


# ---- All of it ----------------------------------------------------------------------------------

CASES = (registers, repeats, shares, pings, floods, evictions, bodies, closes, old_operations, batches,
         greatest, imports, queries, changes, reserved, chains, rules, limits)


def work(giro, folder):
    server = c.Server(giro, os.path.join(folder, "one"), "--frame-timeout-ms", "1000")
    witness = session_of(server)
    for case in CASES:
        started = time.monotonic()
        case(server)
        goes_on(witness)
        print("%-16s %5.2f s" % (case.__name__, time.monotonic() - started), flush=True)
    server.end()
    server.run("verify", "--data", server.data)
    server = c.Server(giro, os.path.join(folder, "two"), "--compat-sessions-max", "3",
                      "--compat-cluster", str(CLUSTER), "--io", "posix")
    replaces(server)
    server.end()
    server = c.Server(giro, os.path.join(folder, "three"), "--accounts-max", "4", "--transfers-max",
                      "10")
    full(server)
    server.end()
    server = c.Server(giro, os.path.join(folder, "four"), "--follower", "0")
    alone(server)
    server.end()
    return "compat: %d cases" % (len(CASES) + 3)


if __name__ == "__main__":
    c.main(work)
