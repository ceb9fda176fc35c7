"""A reader of Giro's data directory, written from docs/log-format.md alone.

    python3 log.py DIR

walks the log, checks every checksum and the chain, judges how the log ends, folds the records into
balances, and prints the head and every account. Exit status 0: clean or torn, 1: anything else.
"""
import os
import struct
import sys

from protocol import (ACCOUNT_FIELDS, ADJUST, CLOSING_DEBIT, FACT, KEEP_OPEN, LIMITS_FIELDS,
                      PENDING, POST, RETURN, TRANSFER_FIELDS, U128_MAX, VOID, decode)
from xxh3 import xxh3_128

META = struct.Struct("<8sII16sIIQ")
HEADER = struct.Struct("<4sHH16sIIQQQIIQIHH")
CLOSING_CREDIT, CLOSED = 2 * CLOSING_DEBIT, 32
RECORD_BYTES = 128
TRANSFER, ACCOUNT, BURNT, SYSTEM = range(4)
EXPIRY, DIGEST, SNAPSHOT, PAYMENT, LIMITS = 1, 2, 3, 4, 5  # codes of system records
PAYMENT_FIELDS = (("id", 16), ("amount", 16), ("taken", 16), ("left", 16), ("parent", 4),
                  ("debit_row", 4), ("credit_row", 4), ("marks", 2), ("depth", 1), ("kind", 1))
LIMITS_ROW_FIELDS = (("floor", 16), ("balance_max", 16), ("transfer_max", 16), ("timestamp", 8),
                     ("account_row", 4), ("over_capture", 3), ("flags", 1))
OVER_CAPTURE_MAX = 100000
MARKED, HOLD, POSTED = range(3)  # kinds of rows of payments; of the first: its transfer is to come
DEPTH_MAX = 6
SECOND_NS = 10 ** 9
START = 2
TORN_BYTES_MAX = 4 << 20


class LogError(Exception):
    pass


def number(data, at):
    return int.from_bytes(data[at:at + 16], "little")


def meta_read(path):
    with open(os.path.join(path, "giro.meta"), "rb") as file:
        data = file.read()
    if len(data) != 512 or number(data, 496) != xxh3_128(data[:496]):
        raise LogError("giro.meta is damaged")
    magic, version, shards, directory_id, segment_bytes, sector_bytes, _ = META.unpack_from(data)
    if magic != b"GIROMETA" or version != 1 or shards != 1:
        raise LogError("giro.meta: unknown magic, version or number of shards")
    return directory_id, segment_bytes, sector_bytes


class Block:
    def __init__(self, data, at):
        (self.magic, self.version, self.shard, self.directory_id, self.segment, self.offset,
         self.lsn, self.lsn_durable, self.ordinal, self.record_count, self.block_bytes,
         self.written_at, self.epoch, self.kind, _) = HEADER.unpack_from(data, at)
        self.previous, self.body_checksum, self.header_checksum = (
            number(data, at + offset) for offset in (80, 96, 112))


class Log:
    """verdict: clean, torn, damaged or newer, once walk() has come to the end."""

    def __init__(self, path):
        self.directory_id, self.segment_bytes, self.sector_bytes = meta_read(path)
        folder = os.path.join(path, "shard-0")
        names = sorted(name for name in os.listdir(folder)
                       if len(name) == 14 and name.endswith(".log") and name[:10].isdigit())
        if names != ["%010d.log" % i for i in range(len(names))] or not names:
            raise LogError("segments are missing")
        self.paths = [os.path.join(folder, name) for name in names]
        self.loaded = (None, b"")
        self.segment, self.offset, self.lsn, self.ordinal, self.head = 0, 0, 1, 0, 0
        self.epochs, self.verdict = 0, None

    def bytes(self, segment):
        if self.loaded[0] != segment:
            with open(self.paths[segment], "rb") as file:
                data = file.read()
            self.loaded = (segment, data.ljust(self.segment_bytes, b"\0"))
        return self.loaded[1]

    def judge(self, segment, offset):
        """(verdict of section 3, block)"""
        data = self.bytes(segment)
        if data[offset:offset + 4] != b"GBLK":
            return ("damaged" if any(data[offset:offset + 128]) else "empty"), None
        block = Block(data, offset)
        if block.header_checksum != xxh3_128(data[offset:offset + 112]):
            return "damaged", None
        if block.version not in (1, 2):
            return "newer", block
        if (block.directory_id, block.shard, block.segment, block.offset) != (
                self.directory_id, 0, segment, offset):
            return "misplaced", block
        size = RECORD_BYTES * (1 + block.record_count)
        size = (size + self.sector_bytes - 1) // self.sector_bytes * self.sector_bytes
        if (block.lsn == 0 or block.lsn_durable >= block.lsn or block.kind > 3 or
                block.block_bytes != size or offset + size > self.segment_bytes):
            return "damaged", None
        return "sound", block

    def continues(self, block):
        return (block.lsn, block.ordinal, block.previous) == (self.lsn, self.ordinal, self.head)

    def body_holds(self, block):
        data = self.bytes(block.segment)
        body = data[block.offset + 128:block.offset + block.block_bytes]
        return block.body_checksum == xxh3_128(body)

    def proof_at(self, segment, offset):
        if (segment, offset) == (self.segment, self.offset):
            return False
        found, block = self.judge(segment, offset)
        return (found in ("sound", "misplaced", "newer") and
                block.directory_id == self.directory_id)

    def rest(self):
        """(a proof behind P, extent of what is not zero from P on, a file that is short)"""
        proof, short, begin, end = False, False, None, None
        for segment in range(self.segment, len(self.paths)):
            first = self.offset if segment == self.segment else 0
            data = self.bytes(segment)
            short = short or os.path.getsize(self.paths[segment]) < self.segment_bytes
            used = len(data.rstrip(b"\0"))
            if used > first:
                end = segment * self.segment_bytes + used
                if begin is None:
                    begin = end - len(data[first:used].lstrip(b"\0"))
            proof = proof or any(self.proof_at(segment, at) for at in
                                 range(first, max(used, first), self.sector_bytes))
        return proof, 0 if end is None else end - begin, short

    def end(self, found):
        proof, extent, short = self.rest()
        if found == "newer":
            self.verdict = "newer"
        elif found in ("misplaced", "contradicts") or proof or extent > TORN_BYTES_MAX:
            self.verdict = "damaged"
        else:
            self.verdict = "torn" if extent > 0 or short else "clean"

    def walk(self):
        """Yields (block, address of its first record, its records)."""
        while True:
            found, block = "empty", None
            if self.offset < self.segment_bytes:
                found, block = self.judge(self.segment, self.offset)
            if found in ("empty", "damaged", "newer") and self.segment + 1 < len(self.paths):
                next_found, next_block = self.judge(self.segment + 1, 0)
                if next_found == "sound" and self.continues(next_block):
                    self.segment, self.offset = self.segment + 1, 0
                    found, block = next_found, next_block
            if found == "sound" and not self.continues(block):
                found = "contradicts"
            if found != "sound":
                return self.end(found)
            if not self.body_holds(block):
                return self.end("body")
            data = self.bytes(self.segment)
            records = [data[at:at + RECORD_BYTES] for at in
                       range(self.offset + 128, self.offset + 128 * (1 + block.record_count), 128)]
            address = (self.segment * self.segment_bytes + self.offset) // RECORD_BYTES + 1
            self.offset += block.block_bytes
            self.lsn += 1
            self.ordinal += block.record_count
            self.head = block.header_checksum
            self.epochs += block.kind == START
            yield block, address, records


def expect(true, what):
    if not true:
        raise LogError("a record that contradicts the state: " + what)


class Payments:
    """Rows of payments: section 8."""

    def __init__(self):
        self.rows, self.number = [], {}

    def copy(self):
        other = Payments()
        other.rows, other.number = [dict(row) for row in self.rows], dict(self.number)
        return other

    def of(self, id):
        """The row of a transfer, None: it has none."""
        return self.rows[self.number[id]] if id in self.number else None

    def add(self, id, **fields):
        expect(id not in self.number, "a second row of payments for transfer %d" % id)
        self.number[id] = len(self.rows)
        self.rows.append({**{name: 0 for name, _ in PAYMENT_FIELDS}, "id": id, **fields})
        return self.rows[-1]

    def put(self, id, **fields):
        """A transfer gets its row: the one that its marks made, or a new one."""
        row = self.of(id)
        if row is not None and row["kind"] == MARKED:
            row.update(fields)
        else:
            self.add(id, **fields)

    def take(self, parent, first, amount):
        """Changes what is taken at every second level, from level 0 or from level 1 on."""
        level = 0
        while parent != 0:
            row = self.rows[parent - 1]
            if level % 2 == first:
                row["taken"] = min(max(row["taken"] + amount, 0), U128_MAX)
            level, parent = level + 1, row["parent"]

    def reserve(self, parent, amount):
        self.take(parent, 0, amount)

    def settle(self, parent, amount):
        self.take(parent, 1, -amount)

    def release(self, parent, amount):
        self.take(parent, 0, -amount)


class Books:
    """Replay: section 8. The amount of a hold is what is left of it."""

    def __init__(self):
        self.accounts, self.row_of, self.holds, self.deadlines = {}, {}, {}, {}
        self.payments, self.announced = Payments(), None  # id of the transfer that must come now
        self.limits, self.limits_of = [], {}  # rows, and which one is an account's
        self.counts, self.expired = [0, 0, 0, 0], 0

    def move(self, transfer, state, amount):
        self.accounts[transfer["debit_account_id"]]["debits_" + state] += amount
        self.accounts[transfer["credit_account_id"]]["credits_" + state] += amount

    def close(self, hold, closed):
        for flag, name in ((CLOSING_DEBIT, "debit_account_id"),
                           (CLOSING_CREDIT, "credit_account_id")):
            if hold["flags"] & flag:
                account = self.accounts[hold[name]]
                account["flags"] = account["flags"] & ~CLOSED | (CLOSED if closed else 0)

    def hold_of(self, transfer):
        """The open hold that a transfer or an expiry names."""
        hold = self.holds.get(transfer["pending_id"])
        expect(hold is not None, "hold %d is not open" % transfer["pending_id"])
        expect(all(transfer[name] == hold[name] for name in
                   ("debit_account_id", "credit_account_id")), "other accounts than the hold's")
        return hold

    def end(self, hold):
        del self.holds[hold["id"]], self.deadlines[hold["id"]]

    def account_rows(self, transfer):
        return {"debit_row": self.row_of[transfer["debit_account_id"]],
                "credit_row": self.row_of[transfer["credit_account_id"]]}

    def parent(self, hold):
        row = self.payments.of(hold["id"])
        return 0 if row is None else row["parent"]

    def amended(self, hold):
        """The row of a hold that is about to be amended."""
        left = hold["amount"]
        return self.payments.of(hold["id"]) or self.payments.add(
            hold["id"], amount=left, left=left, kind=HOLD, **self.account_rows(hold))

    def apply(self, record):
        kind = record[119] >> 6
        self.counts[kind] += 1
        fields = decode(ACCOUNT_FIELDS if kind == ACCOUNT else TRANSFER_FIELDS, record)
        fields["flags"] &= 0x3FFF
        if self.announced is not None:
            expect(kind == TRANSFER and fields["id"] == self.announced, "a payment record in front")
            self.announced = None
        if kind == ACCOUNT:
            expect(fields["id"] not in self.accounts, "a second account %d" % fields["id"])
            self.row_of[fields["id"]] = len(self.accounts)
            self.accounts[fields["id"]] = fields
        elif kind == TRANSFER:
            self.transfer(fields)
        elif kind == SYSTEM and fields["code"] == EXPIRY:
            self.expiry(fields)
        elif kind == SYSTEM and fields["code"] == PAYMENT:
            self.payment(fields)
        elif kind == SYSTEM and fields["code"] == LIMITS:
            self.set_limits(decode(LIMITS_FIELDS, record))
        elif kind == SYSTEM and fields["code"] not in (DIGEST, SNAPSHOT):
            raise LogError("unknown system record")

    def block_ends(self):
        expect(self.announced is None, "a payment record is the last one of its block")

    def transfer(self, transfer):
        flags = transfer["flags"]
        expect(all(transfer[name] in self.accounts for name in
                   ("debit_account_id", "credit_account_id")), "an unknown account")
        ways = flags & (PENDING | POST | VOID)
        expect(ways in (0, PENDING, POST, VOID), "more than one of pending, post and void")
        expect(not flags & ADJUST or ways == PENDING, "adjust without pending")
        expect(not flags & KEEP_OPEN or ways & (POST | VOID), "keep_open without post or void")
        expect(not flags & RETURN or not (ways & (POST | VOID) or flags & ADJUST), "return, with")
        expect(not (flags & FACT and ways & VOID), "fact, with void")
        expect(flags & FACT or self.payments.of(transfer["id"]) is None, "marks of what is no fact")
        if flags & ADJUST:
            self.adjust(transfer)
        elif flags & POST:
            self.post(transfer)
        elif flags & VOID:
            self.void(transfer)
        else:
            self.plain(transfer)

    def plain(self, transfer):
        flags, amount, pends = transfer["flags"], transfer["amount"], transfer["flags"] & PENDING
        self.move(transfer, "pending" if pends else "posted", amount)
        if pends:
            self.holds[transfer["id"]], seconds = transfer, transfer["timeout"]
            self.deadlines[transfer["id"]] = seconds and transfer["timestamp"] + seconds * SECOND_NS
            self.close(transfer, True)
        row = dict(amount=amount, left=amount if pends else 0, kind=HOLD if pends else POSTED,
                   **self.account_rows(transfer))
        if flags & RETURN:
            origin = self.payments.of(transfer["pending_id"])
            expect(origin is not None and origin["kind"] == POSTED and origin["depth"] < DEPTH_MAX,
                   "what is returned")
            parent = self.payments.number[origin["id"]] + 1
            self.payments.reserve(parent, amount)
            if not pends:
                self.payments.settle(parent, amount)
            self.payments.put(transfer["id"], parent=parent, depth=origin["depth"] + 1, **row)
        elif self.payments.of(transfer["id"]) is not None:
            self.payments.put(transfer["id"], **row)

    def adjust(self, transfer):
        hold, amount = self.hold_of(transfer), transfer["amount"]
        row = self.amended(hold)
        row["amount"] = min(row["amount"] + amount, U128_MAX)
        row["left"] += amount
        self.payments.reserve(row["parent"], amount)
        hold["amount"] += amount
        self.move(hold, "pending", amount)
        if transfer["timeout"] != 0 and self.deadlines[hold["id"]] != 0:
            self.deadlines[hold["id"]] = max(
                self.deadlines[hold["id"]],
                transfer["timestamp"] + transfer["timeout"] * SECOND_NS)

    def may_over_capture(self, hold):
        row = self.limits_of.get(hold["credit_account_id"])
        return (row is not None and self.limits[row]["over_capture"] > 0 and
                self.parent(hold) == 0)

    def post(self, transfer):
        hold, amount = self.hold_of(transfer), transfer["amount"]
        keeps = transfer["flags"] & KEEP_OPEN
        left = hold["amount"]
        expect(amount <= left or transfer["flags"] & FACT or self.may_over_capture(hold),
               "a post of more than is left")
        row = self.amended(hold) if keeps else self.payments.of(hold["id"])
        if row is not None:
            row["taken"] = min(row["taken"] + amount, U128_MAX)
            row["left"] -= min(amount, left) if keeps else 0
        parent = self.parent(hold)
        self.payments.settle(parent, amount)
        self.payments.reserve(parent, max(amount - left, 0))
        if not keeps:
            self.payments.release(parent, max(left - amount, 0))
        if parent != 0 or self.payments.of(transfer["id"]) is not None:
            self.payments.put(transfer["id"], amount=amount, parent=parent, kind=POSTED,
                              depth=row["depth"] if parent != 0 else 0, **self.account_rows(hold))
        self.move(hold, "posted", amount)
        self.move(hold, "pending", -min(amount, left) if keeps else -left)
        if keeps:
            hold["amount"] -= min(amount, left)
        else:
            self.end(hold)

    def void(self, transfer):
        hold, amount = self.hold_of(transfer), transfer["amount"]
        keeps = transfer["flags"] & KEEP_OPEN
        expect(amount <= hold["amount"] if keeps else amount == hold["amount"], "amount of a void")
        if keeps:
            self.amended(hold)["left"] -= amount
        self.payments.release(self.parent(hold), amount)
        self.move(hold, "pending", -amount)
        if keeps:
            hold["amount"] -= amount
        else:
            self.close(hold, False)
            self.end(hold)

    def expiry(self, expiry):
        hold = self.hold_of(expiry)
        expect(expiry["amount"] == hold["amount"], "amount of an expiry")
        self.expired += 1
        self.payments.release(self.parent(hold), hold["amount"])
        self.move(hold, "pending", -hold["amount"])
        self.close(hold, False)
        self.end(hold)

    def payment(self, record):
        """What is to be known about the transfer behind it."""
        self.announced, marks = record["user_data_128"], record["user_data_32"]
        expect(self.announced != 0 and marks < 1 << 16 and (marks or record["pending_id"]),
               "a payment record")
        if record["pending_id"] != 0:
            expect(all(record[name] in self.accounts for name in
                       ("debit_account_id", "credit_account_id")), "an unknown account")
            self.payments.add(record["pending_id"], amount=record["amount"], kind=POSTED,
                              **self.account_rows(record))
        if marks != 0:
            self.payments.add(self.announced, marks=marks, kind=MARKED)

    def set_limits(self, limits):
        id = limits["account_id"]
        expect(id in self.accounts, "limits of an unknown account")
        expect(limits["over_capture"] <= OVER_CAPTURE_MAX, "over_capture")
        expect(limits["flags"] & 0x3FFF < 8, "flags of limits")
        row = {name: limits[name] for name in ("floor", "balance_max", "transfer_max", "timestamp",
                                               "over_capture")}
        row.update(account_row=self.row_of[id], flags=limits["flags"] & 0x3FFF)
        if id not in self.limits_of:
            self.limits_of[id] = len(self.limits)
            self.limits.append(row)
        self.limits[self.limits_of[id]] = row


def read(path):
    """(log, books) of a directory, read to its end."""
    log, books = Log(path), Books()
    for _, _, records in log.walk():
        for record in records:
            books.apply(record)
        books.block_ends()
    return log, books


def main(path):
    log, books = read(path)
    print("blocks     %d, %d starts" % (log.lsn - 1, log.epochs))
    print("records    %d accounts, %d transfers, %d burnt ids, %d expiries; %d holds open" %
          (books.counts[ACCOUNT], books.counts[TRANSFER], books.counts[BURNT],
           books.expired, len(books.holds)))
    print("payments   %d rows" % len(books.payments.rows))
    print("limits     %d rows" % len(books.limits))
    print("head       %032x" % log.head)
    print("end        %s, segment %d, offset %d" % (log.verdict, log.segment, log.offset))
    for account in books.accounts.values():
        print("account %d ledger %d flags %d: debits %d + %d pending, credits %d + %d pending" % (
            account["id"], account["ledger"], account["flags"], account["debits_posted"],
            account["debits_pending"], account["credits_posted"], account["credits_pending"]))
    return 0 if log.verdict in ("clean", "torn") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
