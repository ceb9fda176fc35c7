"""A client written from docs/protocol.md alone.

    python3 protocol.py HOST:PORT [--hex]

runs the worked example of that document against a server with an empty ledger and checks every
reply; --hex prints each frame as the document shows it.
"""
import functools
import socket
import struct
import sys

from xxh3 import xxh3_64, xxh3_128

MAGIC, VERSION, REPLY = 0x4F524947, 1, 1 << 15
HEADER = struct.Struct("<QIBBHIIQ")
HELLO, PING, STATS, CREATE_ACCOUNTS, CREATE_TRANSFERS, LOOKUP_ACCOUNTS, LOOKUP_TRANSFERS = (
    1, 2, 3, 16, 17, 18, 19)
GET_ACCOUNT_TRANSFERS, GET_ACCOUNT_BALANCES, QUERY_ACCOUNTS, QUERY_TRANSFERS, READ_CHANGES = (
    20, 21, 22, 23, 24)
SET_LIMITS, GET_LIMITS, GET_VELOCITY = 27, 28, 29
LEASE, GET_LEASES, SNAPSHOT, CREATE_SCHEDULES, CANCEL_SCHEDULES, GET_SCHEDULES = range(30, 36)
CUT_OFF, GET_SETTLEMENTS = 36, 37
FENCED = 1  # a flag of a frame
U128_MAX = (1 << 128) - 1

LINKED, PENDING, POST, VOID, BALANCING_DEBIT, BALANCING_CREDIT, CLOSING_DEBIT = (
    1, 2, 4, 8, 16, 32, 64)
IMPORTED, RETURN, KEEP_OPEN, ADJUST, FACT, NO_LIMIT = 256, 512, 1024, 2048, 4096, 8192
OVER_CAP, NEGATIVE, BLOCKED, OVER_TRANSFER, OVER_BALANCE, OVER_VELOCITY, HELD = (
    1, 2, 4, 8, 16, 32, 64)  # marks
DEBITS_MUST_NOT_EXCEED_CREDITS, CREDITS_MUST_NOT_EXCEED_DEBITS, HISTORY = 2, 4, 8
SETTLES = 64
DEBITS, CREDITS, REVERSED = 1, 2, 4  # of an account filter
QUERY_REVERSED = 1
BLOCK_DEBITS, BLOCK_CREDITS, FROZEN = 1, 2, 4  # of limits
SLOTS = range(4)  # of velocity limits
SECONDS, MINUTES, HOURS, DAYS, MONTHS = range(5)
CALENDAR, SLIDING, RATE = 1, 2, 3
OFF, MARK, HOLD, REJECT = range(4)
COUNT, AMOUNT, OF_CREDITS = 0, 1, 2
ACCOUNT_CREATED, TRANSFER_CREATED, PENDING_POSTED, PENDING_VOIDED, PENDING_EXPIRED = 1, 2, 3, 4, 5
LIMITS_SET = 6
LEASE_CHANGED, SCHEDULE_CREATED, SCHEDULE_CANCELLED, SCHEDULE_FIRED = 7, 8, 9, 10
CUT_OFF_DONE = 11
ACQUIRE, RENEW, RELEASE = 1, 2, 3
BY_SECONDS, BY_MONTHS, BY_YEARS = 1, 2, 3  # rules of schedules
ACTIVE, OVER, CANCELLED = 1, 2, 3

ACCOUNT_FIELDS = (("id", 16), ("debits_pending", 16), ("debits_posted", 16),
                  ("credits_pending", 16), ("credits_posted", 16), ("user_data_128", 16),
                  ("user_data_64", 8), ("user_data_32", 4), ("reserved", 4), ("ledger", 4),
                  ("code", 2), ("flags", 2), ("timestamp", 8))
TRANSFER_FIELDS = (("id", 16), ("debit_account_id", 16), ("credit_account_id", 16), ("amount", 16),
                   ("pending_id", 16), ("user_data_128", 16), ("user_data_64", 8),
                   ("user_data_32", 4), ("timeout", 4), ("ledger", 4), ("code", 2), ("flags", 2),
                   ("timestamp", 8))
LIMITS_FIELDS = (("account_id", 16), ("floor", 16), ("balance_max", 16), ("transfer_max", 16),
                 *(("maximum_%d" % s, 8) for s in SLOTS), *(("rule_%d" % s, 4) for s in SLOTS),
                 ("over_capture", 4), ("reserved", 2), ("flags", 2), ("timestamp", 8))
LEASE_FIELDS = (("key", 16), ("owner", 16), ("token", 8), ("deadline", 8), ("timeout_ms", 4),
                ("row", 4), ("action", 2), ("reserved", 58), ("result", 2), ("flags", 2),
                ("timestamp", 8))
# The first half of a schedule; the second one is a transfer.
SCHEDULE_FIELDS = (("id", 16), ("first", 8), ("end", 8), ("occurrences", 4), ("interval", 4),
                   *(("retry_%d" % i, 4) for i in range(4)), ("rule", 1), ("day", 1),
                   ("retries", 1), ("reserved", 5), ("next", 8), ("made", 8), ("last_id", 16),
                   ("occurrence", 4), ("attempt", 4), ("last_result", 4), ("transfer_code", 2),
                   ("transfer_flags", 2), ("reserved_1", 4), ("state", 2), ("flags", 2),
                   ("timestamp", 8))
FIRING_FIELDS = (("schedule_id", 16), ("transfer_id", 16), ("due", 8), ("next", 8),
                 ("occurrence", 4), ("occurrence_next", 4), ("attempt", 4), ("attempt_next", 4),
                 ("result", 4), ("row", 4), ("reserved", 44), ("code", 2), ("flags", 2),
                 ("timestamp", 8))
CUT_OFF_FIELDS = (("epoch", 8), ("reserved", 104), ("ledger", 4), ("reserved_1", 2), ("flags", 2),
                  ("timestamp", 8))
SETTLEMENT_FIELDS = (("account_id", 16), ("debits", 16), ("credits", 16), ("debits_before", 16),
                     ("credits_before", 16), ("count", 8), ("count_before", 8), ("epoch", 8),
                     ("begin", 8), ("ledger", 4), ("reserved", 12))
VELOCITY_USED_FIELDS = (("account_id", 16), *(("used_%d" % s, 8) for s in SLOTS),
                        *(("maximum_%d" % s, 8) for s in SLOTS), *(("end_%d" % s, 8) for s in SLOTS),
                        ("reserved", 8), ("timestamp", 8))
ACCOUNT_FILTER_FIELDS = (("account_id", 16), ("user_data_128", 16), ("user_data_64", 8),
                         ("user_data_32", 4), ("code", 2), ("reserved", 58),
                         ("timestamp_min", 8), ("timestamp_max", 8), ("limit", 4), ("flags", 4))
QUERY_FILTER_FIELDS = (("user_data_128", 16), ("user_data_64", 8), ("user_data_32", 4),
                       ("ledger", 4), ("code", 2), ("reserved", 6), ("timestamp_min", 8),
                       ("timestamp_max", 8), ("limit", 4), ("flags", 4))
CHANGE_FILTER_FIELDS = (("ordinal", 8), ("limit", 4), ("wait_ms", 4), ("reserved", 16))
BALANCES_FIELDS = (("debits_pending", 16), ("debits_posted", 16), ("credits_pending", 16),
                   ("credits_posted", 16))
ACCOUNT_BALANCE_FIELDS = BALANCES_FIELDS + (("timestamp", 8), ("reserved", 56))


def encode(fields, values):
    unknown = set(values) - {name for name, _ in fields}
    assert not unknown, unknown
    return b"".join(values.get(name, 0).to_bytes(size, "little") for name, size in fields)


@functools.lru_cache(maxsize=None)
def layout(fields):
    """(layout of the whole, names, names of the fields that are not one machine word)"""
    words = {2: "H", 4: "I", 8: "Q"}
    return (struct.Struct("<" + "".join(words.get(size, "%ds" % size) for _, size in fields)),
            [name for name, _ in fields], [name for name, size in fields if size not in words])


def decode(fields, data):
    whole, names, wide = layout(fields)
    values = dict(zip(names, whole.unpack_from(data)))
    for name in wide:
        values[name] = int.from_bytes(values[name], "little")
    return values


def account(**values):
    return encode(ACCOUNT_FIELDS, values)


def transfer(**values):
    return encode(TRANSFER_FIELDS, values)


def limits(**values):
    return encode(LIMITS_FIELDS, values)


def lease(key, owner, action, **values):
    return encode(LEASE_FIELDS, dict(key=key, owner=owner, action=action, **values))


def schedule(made, /, **values):
    """made: the transfer, as transfer() gives it."""
    return encode(SCHEDULE_FIELDS, values) + made


def fence(key, token, reserved=0):
    return encode((("key", 16), ("token", 8), ("reserved", 8)),
                  {"key": key, "token": token, "reserved": reserved})


def attempt_id(schedule_id, occurrence, attempt=0):
    """Id of the transfer of an attempt."""
    return xxh3_128(schedule_id.to_bytes(16, "little") + struct.pack("<IIQ", occurrence, attempt, 0))


def cut_off(ledger, epoch, **values):
    return encode(CUT_OFF_FIELDS, dict(ledger=ledger, epoch=epoch, **values))


def rule(period, unit, window, verdict=OFF, flags=COUNT):
    """What a slot of velocity limits counts."""
    return period | unit << 16 | window << 24 | verdict << 28 | flags << 30


def account_filter(**values):
    return encode(ACCOUNT_FILTER_FIELDS, values)


def query_filter(**values):
    return encode(QUERY_FILTER_FIELDS, values)


def change_filter(**values):
    return encode(CHANGE_FILTER_FIELDS, values)


def change(data):
    ordinal, kind, marks = struct.unpack_from("<QII", data)
    fields = {ACCOUNT_CREATED: ACCOUNT_FIELDS, CUT_OFF_DONE: CUT_OFF_FIELDS,
              LEASE_CHANGED: LEASE_FIELDS, SCHEDULE_CREATED: SCHEDULE_FIELDS,
              SCHEDULE_CANCELLED: FIRING_FIELDS, SCHEDULE_FIRED: FIRING_FIELDS,
              LIMITS_SET: LIMITS_FIELDS}.get(kind, TRANSFER_FIELDS)
    return {"ordinal": ordinal, "kind": kind, "marks": marks,
            "record": decode(fields, data[16:144]),
            "debit": decode(BALANCES_FIELDS, data[144:208]),
            "credit": decode(BALANCES_FIELDS, data[208:272])}


def frame(operation, request_id, body=b"", flags=0, status=0, version=VERSION):
    rest = HEADER.pack(0, MAGIC, version, operation, flags, len(body), status, request_id)[8:] + body
    return struct.pack("<Q", xxh3_64(rest)) + rest


def hex_print(title, data):
    print(title)
    for at in range(0, len(data), 16):
        print("  %04x  %s" % (at, data[at:at + 16].hex(" ")))


class Connection:
    def __init__(self, address, trace=False):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout=30)
        self.trace = trace
        self.request_id = 0

    def close(self):
        self.socket.close()

    def receive(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def send(self, operation, body=b"", **fields):
        self.request_id += 1
        data = frame(operation, self.request_id, body, **fields)
        if self.trace:
            hex_print("-> request", data)
        self.socket.sendall(data)
        return self.request_id

    def reply(self):
        """(operation, status, request_id, body) of the next reply, checked."""
        head = self.receive(HEADER.size)
        checksum, magic, version, operation, flags, size, status, request_id = HEADER.unpack(head)
        assert (magic, version, flags) == (MAGIC, VERSION, REPLY), head.hex()
        data = head + self.receive(size)
        assert checksum == xxh3_64(data[8:])
        assert status == 0 or size == 0
        if self.trace:
            hex_print("<- reply", data)
        return operation, status, request_id, data[HEADER.size:]

    def call(self, operation, body=b""):
        """Body of the reply to a request that succeeds."""
        expected = self.send(operation, body)
        got, status, request_id, reply = self.reply()
        assert (got, status, request_id) == (operation, 0, expected), (got, status, request_id)
        return reply

    def hello(self, client=b"protocol.py"):
        body = struct.pack("<HHI32s24s", VERSION, VERSION, 0, client, b"")
        reply = self.call(HELLO, body)
        assert len(reply) == 64
        names = ("version", "shard_count", "events_max", "frame_bytes_max", "reserved", "time_ns")
        return dict(zip(names, struct.unpack_from("<HHIIIQ", reply)))

    def created(self, reply):
        """(timestamp_first, {index: code} of the events that were not created)"""
        first, count, reserved = struct.unpack_from("<QII", reply)
        assert reserved == 0 and len(reply) == 16 + 8 * count
        results = [struct.unpack_from("<II", reply, 16 + 8 * i) for i in range(count)]
        assert results == sorted(results)
        return first, dict(results)

    def create(self, operation, records):
        return self.created(self.call(operation, b"".join(records)))

    def create_fenced(self, fence, *records):
        """Transfers under a fence, likewise."""
        expected = self.send(CREATE_TRANSFERS, fence + b"".join(records), flags=FENCED)
        got, status, request_id, reply = self.reply()
        assert (got, status, request_id) == (CREATE_TRANSFERS, 0, expected), (got, status)
        return self.created(reply)

    def lease(self, *events):
        """The lease of each event."""
        leases = self.records(LEASE, LEASE_FIELDS, b"".join(events))
        assert len(leases) == len(events)
        return leases

    def create_schedules(self, *schedules):
        return self.create(CREATE_SCHEDULES, schedules)

    def cancel_schedules(self, *ids):
        return self.create(CANCEL_SCHEDULES, [id.to_bytes(16, "little") for id in ids])

    def create_accounts(self, *records):
        return self.create(CREATE_ACCOUNTS, records)

    def create_transfers(self, *records):
        return self.create(CREATE_TRANSFERS, records)

    def set_limits(self, *records):
        return self.create(SET_LIMITS, records)

    def lookup(self, operation, fields, ids):
        reply = self.call(operation, b"".join(id.to_bytes(16, "little") for id in ids))
        assert len(reply) % 128 == 0
        return [decode(fields, reply[at:at + 128]) for at in range(0, len(reply), 128)]

    def lookup_accounts(self, *ids):
        return self.lookup(LOOKUP_ACCOUNTS, ACCOUNT_FIELDS, ids)

    def lookup_transfers(self, *ids):
        return self.lookup(LOOKUP_TRANSFERS, TRANSFER_FIELDS, ids)

    def get_limits(self, *ids):
        return self.lookup(GET_LIMITS, LIMITS_FIELDS, ids)

    def cut_off(self, *events):
        return self.create(CUT_OFF, events)

    def get_settlements(self, *ids):
        return self.lookup(GET_SETTLEMENTS, SETTLEMENT_FIELDS, ids)

    def get_velocity(self, *ids):
        return self.lookup(GET_VELOCITY, VELOCITY_USED_FIELDS, ids)

    def get_leases(self, *keys):
        return self.lookup(GET_LEASES, LEASE_FIELDS, keys)

    def get_schedules(self, *ids):
        """Pairs of a schedule's first half and its transfer."""
        reply = self.call(GET_SCHEDULES, b"".join(id.to_bytes(16, "little") for id in ids))
        assert len(reply) % 256 == 0
        return [(decode(SCHEDULE_FIELDS, reply[at:at + 128]),
                 decode(TRANSFER_FIELDS, reply[at + 128:at + 256]))
                for at in range(0, len(reply), 256)]

    def stats(self):
        return struct.unpack("<32Q", self.call(STATS))

    def records(self, operation, fields, filter):
        reply = self.call(operation, filter)
        assert len(reply) % 128 == 0
        return [decode(fields, reply[at:at + 128]) for at in range(0, len(reply), 128)]

    def get_account_transfers(self, **filter):
        return self.records(GET_ACCOUNT_TRANSFERS, TRANSFER_FIELDS, account_filter(**filter))

    def get_account_balances(self, **filter):
        return self.records(GET_ACCOUNT_BALANCES, ACCOUNT_BALANCE_FIELDS, account_filter(**filter))

    def query_accounts(self, **filter):
        return self.records(QUERY_ACCOUNTS, ACCOUNT_FIELDS, query_filter(**filter))

    def query_transfers(self, **filter):
        return self.records(QUERY_TRANSFERS, TRANSFER_FIELDS, query_filter(**filter))

    def read_changes(self, **filter):
        """(ordinal_next, ordinal_end, changes)"""
        reply = self.call(READ_CHANGES, change_filter(**filter))
        following, end, count = struct.unpack_from("<QQI", reply)
        assert len(reply) == 32 + 272 * count and count <= filter["limit"]
        changes = [change(reply[at:at + 272]) for at in range(32, len(reply), 272)]
        ordinals = [filter.get("ordinal", 0) - 1] + [c["ordinal"] for c in changes] + [following]
        assert all(a < b for a, b in zip(ordinals, ordinals[1:])) and following <= end, ordinals
        return following, end, changes

    def snapshot(self):
        """(lsn, bytes, segment)"""
        return struct.unpack_from("<QQI", self.call(SNAPSHOT))

    def status(self, operation, body=b""):
        """Status of the reply to any request."""
        expected = self.send(operation, body)
        got, status, request_id, _ = self.reply()
        assert (got, request_id) == (operation, expected)
        return status


ACCOUNTS = (account(id=1, ledger=978, code=1),
            account(id=2, ledger=978, code=2, flags=DEBITS_MUST_NOT_EXCEED_CREDITS))
DEPOSIT = transfer(id=100, debit_account_id=1, credit_account_id=2, amount=2500, ledger=978, code=7)
TOO_MUCH = transfer(id=101, debit_account_id=2, credit_account_id=1, amount=9999, ledger=978,
                    code=8)
FILTER_NO_HISTORY = 30
EXISTS_ACCOUNT, EXISTS_TRANSFER, EXCEEDS_CREDITS, ID_ALREADY_FAILED = 21, 46, 54, 68


def example(connection):
    """The worked example of docs/protocol.md, on an empty ledger."""
    welcome = connection.hello()
    assert welcome["version"] == 1 and welcome["shard_count"] == 1
    assert welcome["events_max"] == 8190 and welcome["frame_bytes_max"] == 1048352
    accounts_at, results = connection.create_accounts(*ACCOUNTS)
    assert results == {}
    deposit_at, results = connection.create_transfers(DEPOSIT)
    assert results == {}
    _, results = connection.create_transfers(TOO_MUCH)
    assert results == {0: EXCEEDS_CREDITS}
    first, second = connection.lookup_accounts(1, 2)
    assert (first["debits_posted"], first["timestamp"]) == (2500, accounts_at)
    assert (second["credits_posted"], second["timestamp"]) == (2500, accounts_at + 1)
    assert second["flags"] == DEBITS_MUST_NOT_EXCEED_CREDITS
    assert accounts_at + 1 < deposit_at


def example_reads(connection):
    """The second session of the worked example: what the first one left."""
    connection.hello()
    found, = connection.get_account_transfers(account_id=2, limit=10, flags=DEBITS | CREDITS)
    assert (found["id"], found["amount"], found["code"]) == (100, 2500, 7)
    assert connection.status(GET_ACCOUNT_BALANCES, account_filter(
        account_id=2, limit=10, flags=CREDITS)) == FILTER_NO_HISTORY
    found, = connection.query_accounts(ledger=978, limit=1, flags=QUERY_REVERSED)
    assert (found["id"], found["credits_posted"]) == (2, 2500)
    following, end, changes = connection.read_changes(limit=10, wait_ms=1000)
    assert [(c["kind"], c["record"]["id"]) for c in changes] == [
        (ACCOUNT_CREATED, 1), (ACCOUNT_CREATED, 2), (TRANSFER_CREATED, 100)]
    assert changes[2]["debit"]["debits_posted"] == changes[2]["credit"]["credits_posted"] == 2500
    assert following == end > changes[2]["ordinal"] + 1  # transfer 101 left an ordinal, no change


def example_again(connection):
    """The same requests once more, as after a broken connection."""
    connection.hello()
    assert connection.create_accounts(*ACCOUNTS)[1] == {0: EXISTS_ACCOUNT, 1: EXISTS_ACCOUNT}
    assert connection.create_transfers(DEPOSIT)[1] == {0: EXISTS_TRANSFER}
    assert connection.create_transfers(TOO_MUCH)[1] == {0: ID_ALREADY_FAILED}
    assert connection.lookup_transfers(100, 101, 102)[0]["amount"] == 2500


if __name__ == "__main__":
    peer = Connection(sys.argv[1], trace="--hex" in sys.argv[2:])
    example(peer)
    peer.close()
    peer = Connection(sys.argv[1], trace="--hex" in sys.argv[2:])
    example_reads(peer)
    peer.close()
    print("the worked example holds")
