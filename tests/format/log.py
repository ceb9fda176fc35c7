"""A reader of Giro's data directory, written from docs/log-format.md alone.

    python3 log.py DIR

walks the log, checks every checksum and the chain, judges how the log ends, folds the records into
balances, and prints the head and every account. Exit status 0: clean or torn, 1: anything else.
"""
import os
import struct
import sys

from protocol import ACCOUNT_FIELDS, CLOSING_DEBIT, PENDING, POST, TRANSFER_FIELDS, VOID, decode
from xxh3 import xxh3_128

META = struct.Struct("<8sII16sIIQ")
HEADER = struct.Struct("<4sHH16sIIQQQIIQIHH")
CLOSING_CREDIT, CLOSED = 2 * CLOSING_DEBIT, 32
RECORD_BYTES = 128
TRANSFER, ACCOUNT, BURNT, SYSTEM = range(4)
EXPIRY, DIGEST, SNAPSHOT, PAYMENT = 1, 2, 3, 4  # codes of system records
KEEP_OPEN, ADJUST = 1 << 10, 1 << 11
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
        if block.version != 1:
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


class Books:
    """Replay: section 8."""

    def __init__(self):
        self.accounts, self.holds = {}, {}
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

    def change(self, transfer, amount):
        """Changes what is left of the hold that a transfer names."""
        self.holds[transfer["pending_id"]]["amount"] += amount
        self.move(transfer, "pending", amount)

    def release(self, pending_id):
        hold = self.holds.pop(pending_id)
        self.move(hold, "pending", -hold["amount"])
        return hold

    def apply(self, record):
        kind = record[119] >> 6
        self.counts[kind] += 1
        if kind == ACCOUNT:
            account = decode(ACCOUNT_FIELDS, record)
            account["flags"] &= 0x3FFF
            self.accounts[account["id"]] = account
            return
        transfer = decode(TRANSFER_FIELDS, record)
        transfer["flags"] &= 0x3FFF
        if kind == BURNT:
            return
        if kind == SYSTEM:
            if transfer["code"] in (DIGEST, SNAPSHOT, PAYMENT):
                return
            if transfer["code"] != EXPIRY:
                raise LogError("unknown system record")
            self.expired += 1
            self.close(self.release(transfer["pending_id"]), False)
        elif transfer["flags"] & ADJUST:
            self.change(transfer, transfer["amount"])
        elif transfer["flags"] & KEEP_OPEN:
            left = self.holds[transfer["pending_id"]]["amount"]
            self.change(transfer, -min(left, transfer["amount"]))
            if transfer["flags"] & POST:
                self.move(transfer, "posted", transfer["amount"])
        elif transfer["flags"] & PENDING:
            self.move(transfer, "pending", transfer["amount"])
            self.holds[transfer["id"]] = transfer
            self.close(transfer, True)
        elif transfer["flags"] & POST:
            self.move(self.release(transfer["pending_id"]), "posted", transfer["amount"])
        elif transfer["flags"] & VOID:
            self.close(self.release(transfer["pending_id"]), False)
        else:
            self.move(transfer, "posted", transfer["amount"])


def read(path):
    """(log, books) of a directory, read to its end."""
    log, books = Log(path), Books()
    for _, _, records in log.walk():
        for record in records:
            books.apply(record)
    return log, books


def main(path):
    log, books = read(path)
    print("blocks     %d, %d starts" % (log.lsn - 1, log.epochs))
    print("records    %d accounts, %d transfers, %d burnt ids, %d expiries; %d holds open" %
          (books.counts[ACCOUNT], books.counts[TRANSFER], books.counts[BURNT],
           books.expired, len(books.holds)))
    print("head       %032x" % log.head)
    print("end        %s, segment %d, offset %d" % (log.verdict, log.segment, log.offset))
    for account in books.accounts.values():
        print("account %d ledger %d flags %d: debits %d + %d pending, credits %d + %d pending" % (
            account["id"], account["ledger"], account["flags"], account["debits_posted"],
            account["debits_pending"], account["credits_posted"], account["credits_pending"]))
    return 0 if log.verdict in ("clean", "torn") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
