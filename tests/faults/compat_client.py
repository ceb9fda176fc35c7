"""A client of the port for TigerBeetle's clients, which sends and checks bytes: compat_wire_test.py
and compat_crash_test.py. It shares nothing with the server but the layout of messages, which
net/compat_frame.h tells as well."""
import functools
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
FORMAT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../format")
sys.path.insert(0, FORMAT)
import protocol as native  # noqa: E402

HEADER_BYTES, MESSAGE_BYTES_MAX = 256, 1 << 20
BODY_BYTES_MAX = MESSAGE_BYTES_MAX - HEADER_BYTES
PING, PONG, REQUEST, REPLY, EVICTION = 3, 4, 5, 8, 18
REGISTER = 2
NO_SESSION, RELEASE_TOO_LOW, INVALID_OPERATION, INVALID_BODY, INVALID_BODY_SIZE = 1, 2, 4, 5, 6
SESSION_TOO_LOW, SESSION_RELEASE_MISMATCH = 7, 8
RELEASE = 17 << 8 | 9  # 0.17.9
CREATED = 0xFFFFFFFF
U128_MAX = (1 << 128) - 1

CREATE_ACCOUNTS, CREATE_TRANSFERS, LOOKUP_ACCOUNTS, LOOKUP_TRANSFERS = 146, 147, 140, 141
GET_ACCOUNT_TRANSFERS, GET_ACCOUNT_BALANCES, QUERY_ACCOUNTS, QUERY_TRANSFERS = 142, 143, 144, 145
GET_CHANGE_EVENTS, SPARSE_ACCOUNTS, SPARSE_TRANSFERS = 137, 138, 139
OLD_FIRST = 129
# operation -> (bytes of an event, bytes of a result)
SIZES = {129: (128, 8), 130: (128, 8), 131: (16, 128), 132: (16, 128), 133: (128, 128),
         134: (128, 128), 135: (64, 128), 136: (64, 128), 137: (64, 384), 138: (128, 8),
         139: (128, 8), 140: (16, 128), 141: (16, 128), 142: (128, 128), 143: (128, 128),
         144: (64, 128), 145: (64, 128), 146: (128, 16), 147: (128, 16)}


# ---- Checksums ----------------------------------------------------------------------------------

def tables():
    """What a byte of a block becomes in an AES round, by its place, without the key."""
    def times(a, b):
        product = 0
        while b:
            product ^= a if b & 1 else 0
            a, b = a << 1 ^ (0x11B if a & 0x80 else 0), b >> 1
        return product

    power, inverse = [1], {0: 0}
    while len(power) < 255:
        power.append(times(power[-1], 3))
    for i, value in enumerate(power):
        inverse[value] = power[-i % 255]
    found = [[] for _ in range(16)]
    for byte in range(256):
        value = 0x63
        for shift in range(5):
            value ^= (inverse[byte] << shift | inverse[byte] >> (8 - shift)) & 0xFF
        for place in range(16):
            column, row = (place // 4 - place % 4) % 4, place % 4
            mixed = bytes(times(value, {0: 2, 3: 3}.get((j - row) % 4, 1)) for j in range(4))
            found[place].append(int.from_bytes(mixed, "little") << 32 * column)
    return found


T = tables()


def aes_round(block, key, T=T):
    """Blocks are numbers, little-endian."""
    a = block.to_bytes(16, "little")
    return (T[0][a[0]] ^ T[1][a[1]] ^ T[2][a[2]] ^ T[3][a[3]] ^ T[4][a[4]] ^ T[5][a[5]] ^
            T[6][a[6]] ^ T[7][a[7]] ^ T[8][a[8]] ^ T[9][a[9]] ^ T[10][a[10]] ^ T[11][a[11]] ^
            T[12][a[12]] ^ T[13][a[13]] ^ T[14][a[14]] ^ T[15][a[15]] ^ key)


def update(s, d0, d1):
    s = [aes_round(s[i - 1], s[i]) for i in range(8)]
    s[0] ^= d0
    s[4] ^= d1
    return s


def initial():
    c0, c1 = (int.from_bytes(bytes.fromhex(text), "little") for text in (
        "000101020305080d1522375990e97962", "db3d18556dc22ff12011314273b528dd"))
    s = [0, c1, c0, c1, 0, c0, c1, c0]
    for _ in range(10):
        s = update(s, 0, 0)
    return s


INITIAL = initial()


def checksum(data):
    s, size = INITIAL, len(data)
    data = bytes(data) + bytes(-size % 32)
    for at in range(0, len(data), 32):
        s = update(s, int.from_bytes(data[at:at + 16], "little"),
                   int.from_bytes(data[at + 16:at + 32], "little"))
    end = 8 * size ^ s[2]
    for _ in range(7):
        s = update(s, end, end)
    return (s[0] ^ s[1] ^ s[2] ^ s[3] ^ s[4] ^ s[5] ^ s[6]).to_bytes(16, "little")


EMPTY = checksum(b"")
body_checksum = functools.lru_cache(maxsize=4)(checksum)


def self_test():
    """Against the vectors that the slow definition makes."""
    assert EMPTY.hex() == "83cc600dc4e3e7e62d4055826174f149"
    with open(os.path.join(FORMAT, "../compat/aegis_vectors.h"), encoding="ascii") as file:
        vectors = re.findall(r'\{(\d+), "([0-9a-f]{32})"\}', file.read())
    assert len(vectors) > 100
    for length, expected in vectors:
        if int(length) <= 4096:
            data = bytes((i * 131 + (i >> 8)) & 0xFF for i in range(int(length)))
            assert checksum(data).hex() == expected, length


# ---- Messages -----------------------------------------------------------------------------------

def put(header, at, value, size):
    header[at:at + size] = value.to_bytes(size, "little")


def field(header, at, size):
    return int.from_bytes(header[at:at + size], "little")


def seal(header, body):
    """A message of a header whose size is set or not, its checksums computed."""
    if field(header, 96, 4) == 0:
        put(header, 96, HEADER_BYTES + len(body), 4)
    header[32:48] = body_checksum(body)
    header[:16] = checksum(header[16:])
    return bytes(header) + body


def request(client, session, number, operation, body=b"", cluster=0, release=RELEASE, size=0,
            latency=0, parent=0):
    header = bytearray(HEADER_BYTES)
    for at, value, width in ((80, cluster, 16), (96, size, 4), (108, release, 4),
                             (114, REQUEST, 1), (128, parent, 16), (160, client, 16),
                             (176, session, 8), (192, number, 4), (196, operation, 1),
                             (200, latency, 4)):
        put(header, at, value, width)
    return seal(header, body)


def register(client, body=bytes(256), **fields):
    return request(client, 0, 0, REGISTER, body, **fields)


def ping(client, ticks, session=0, cluster=0, release=RELEASE, command=PING):
    header = bytearray(HEADER_BYTES)
    for at, value, width in ((80, cluster, 16), (108, release, 4), (114, command, 1),
                             (128, client, 16), (144, ticks, 8), (152, session, 8)):
        put(header, at, value, width)
    return seal(header, b"")


def pong(ticks, cluster=0, release=RELEASE):
    header = bytearray(HEADER_BYTES)
    for at, value, width in ((80, cluster, 16), (108, release, 4), (114, PONG, 1),
                             (128, ticks, 8)):
        put(header, at, value, width)
    return seal(header, b"")


def eviction(client, reason, cluster=0, release=RELEASE):
    header = bytearray(HEADER_BYTES)
    for at, value, width in ((80, cluster, 16), (108, release, 4), (114, EVICTION, 1),
                             (128, client, 16), (255, reason, 1)):
        put(header, at, value, width)
    return seal(header, b"")


class Reply:
    """A reply to a request: everything about it that the request decides is checked here."""

    def __init__(self, message, asked):
        self.message, self.body = message, message[HEADER_BYTES:]
        self.commit, self.timestamp = field(message, 216, 8), field(message, 224, 8)
        assert message[114] == REPLY, message[:HEADER_BYTES].hex()
        assert self.commit != 0 and self.timestamp != 0
        header = bytearray(HEADER_BYTES)
        header[80:96], header[108:112] = asked[80:96], asked[108:112]
        header[114] = REPLY
        header[128:144], header[192:208] = asked[:16], asked[160:176]
        put(header, 208, self.commit, 8)
        put(header, 216, self.commit, 8)
        put(header, 224, self.timestamp, 8)
        header[232:237] = asked[192:197]
        put(header, 96, len(message), 4)
        assert message[48:HEADER_BYTES] == header[48:], message[:HEADER_BYTES].hex()
        assert message[16:32] == bytes(16)


def trailer(counts, size):
    """Of batches of so many elements."""
    used = 2 * len(counts) + 2
    return (b"\xff" * (-used % size) + b"".join(struct.pack("<H", n) for n in reversed(counts)) +
            struct.pack("<H", len(counts)))


def batched(operation, *batches):
    """A body; each batch is a list of elements."""
    body = b"".join(element for batch in batches for element in batch)
    if operation < SPARSE_ACCOUNTS:
        assert len(batches) == 1
        return body
    return body + trailer([len(batch) for batch in batches], SIZES[operation][0])


def results(operation, count, body):
    """What a reply's body has for each of count batches: a list of elements of bytes."""
    size = SIZES[operation][1]
    counts = [len(body) // size]
    if operation >= SPARSE_ACCOUNTS:
        assert len(body) % size == 0 and field(body, len(body) - 2, 2) == count, body[-64:].hex()
        counts = [field(body, len(body) - 4 - 2 * i, 2) for i in range(count)]
        end = trailer(counts, size)
        assert body[len(body) - len(end):] == end, body[-64:].hex()
        body = body[:len(body) - len(end)]
    assert len(body) == size * sum(counts)
    elements = [body[at:at + size] for at in range(0, len(body), size)]
    found = []
    for n in counts:
        found.append(elements[:n])
        elements = elements[n:]
    return found


def id_bytes(id):
    return id.to_bytes(16, "little")


def account(id, **fields):
    return native.account(**{"id": id, "ledger": 1, "code": 1, **fields})


def transfer(id, debit, credit, amount, **fields):
    return native.transfer(**{"id": id, "debit_account_id": debit, "credit_account_id": credit,
                              "amount": amount, "ledger": 1, "code": 1, **fields})


# ---- Connections --------------------------------------------------------------------------------

class Wire:
    """A connection."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, *messages):
        self.socket.sendall(b"".join(messages))
        return messages[-1]

    def take(self, size):
        parts = []
        while size > 0:
            part = self.socket.recv(min(size, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def receive(self, checked=True):
        """The next message, its checksums checked (checked: that of the body too)."""
        header = self.take(HEADER_BYTES)
        assert header[:16] == checksum(header[16:]), header.hex()
        size = field(header, 96, 4)
        assert HEADER_BYTES <= size <= MESSAGE_BYTES_MAX
        body = self.take(size - HEADER_BYTES)
        assert not checked or header[32:48] == checksum(body), header.hex()
        return header + body

    def reply(self, asked, checked=True):
        return Reply(self.receive(checked), asked)

    def call(self, asked, checked=True):
        return self.reply(self.send(asked), checked)

    def ignores(self, *messages, cluster=0):
        """The server answers none of these: what comes next is the answer to what comes next."""
        ticks = time.monotonic_ns()
        self.send(*messages, ping(1, ticks, cluster=cluster))
        got = self.receive()
        assert got == pong(ticks, cluster=cluster), got.hex()

    def evicts(self, message, reason):
        self.send(message)
        got = self.receive()
        expected = eviction(field(message, 160, 16), reason, field(message, 80, 16),
                            field(message, 108, 4))
        assert got == expected, (reason, got.hex())

    def is_closed(self):
        """Waits until the server closes the connection; it has said nothing."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def is_open(self):
        return not select.select([self.socket], [], [], 0)[0]

    def close(self):
        self.socket.close()


class Session:
    """A client's session, on any connection."""

    def __init__(self, wire, client, **fields):
        self.wire, self.client, self.fields, self.number = wire, client, fields, 0
        self.asked = register(client, **fields)
        self.answered = wire.call(self.asked)
        self.session = self.answered.commit

    def ask(self, operation, *batches, number=None, **fields):
        """The next request, or one with another number; it is not sent."""
        if number is None:
            self.number += 1
            number = self.number
        return request(self.client, self.session, number, operation,
                       batched(operation, *batches), **{**self.fields, **fields})

    def call(self, operation, *batches, **fields):
        """Results of each batch of a request that is answered."""
        self.asked = self.ask(operation, *batches, **fields)
        self.answered = self.wire.call(self.asked)
        return results(operation, len(batches), self.answered.body)

    def created(self, operation, *batches):
        """[(status, timestamp)] of every event of all batches."""
        found = self.call(operation, *batches)
        assert [len(batch) for batch in found] == [len(batch) for batch in batches]
        found = [struct.unpack("<QII", result) for batch in found for result in batch]
        assert all(reserved == 0 for _, _, reserved in found)
        return [(status, timestamp) for timestamp, status, _ in found]

    def first(self, count):
        """Time of the first of the last request's so many events, which take one tick each."""
        return self.answered.timestamp - count + 1

    def statuses(self, operation, *batches, given=None, same=None):
        """The status of every event. given: timestamps that are not the events' own, by index;
        same: events whose timestamp is that of another one of the request."""
        found = self.created(operation, *batches)
        first = self.first(len(found))
        expected = {i: first + i for i in range(len(found))}
        expected.update({i: first + j for i, j in (same or {}).items()})
        expected.update(given or {})
        for i, (status, timestamp) in enumerate(found):
            assert timestamp == expected[i], (i, status, timestamp - first)
        return [status for status, _ in found]

    def accounts(self, *events, **fields):
        return self.statuses(CREATE_ACCOUNTS, events, **fields)

    def transfers(self, *events, **fields):
        return self.statuses(CREATE_TRANSFERS, events, **fields)

    def lookup(self, operation, *ids):
        fields = (native.ACCOUNT_FIELDS if operation in (LOOKUP_ACCOUNTS, OLD_FIRST + 2) else
                  native.TRANSFER_FIELDS)
        return [native.decode(fields, found)
                for found in self.call(operation, [id_bytes(id) for id in ids])[0]]

    def balances(self, *ids):
        """(debits pending, debits posted, credits pending, credits posted) of each."""
        found = self.lookup(LOOKUP_ACCOUNTS, *ids)
        assert [row["id"] for row in found] == list(ids)
        return [tuple(row[name] for name, _ in native.BALANCES_FIELDS) for row in found]


# ---- Servers ------------------------------------------------------------------------------------

class Server:
    """giro serve of a data directory of its own, with both ports."""
    running = []

    def __init__(self, giro, data, *options, segment_bytes="4m"):
        self.giro, self.data, self.options = giro, data, options
        self.run("format", "--data", data, "--segment-bytes", segment_bytes)
        self.start()

    def run(self, *arguments):
        done = subprocess.run([self.giro, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True, timeout=300,
                              check=False)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self, *options):
        self.log = tempfile.TemporaryFile("a+b")  # a pipe that nobody reads would stop the server
        self.process = subprocess.Popen(
            [self.giro, "serve", "--data", self.data, "--listen", "127.0.0.1:0",
             "--compat-listen", "127.0.0.1:0", "--accounts-max", "64k", "--transfers-max", "1m",
             *self.options, *options], stderr=self.log)
        self.running.append(self.process)
        while True:
            text = self.text()
            found = re.search(r"listening on (\S+) for TigerBeetle's clients\n"
                              r"(?:.*\n)*?.*listening on (\S+)\n", text)
            if found:
                self.address, self.native_address = found.groups()
                return
            assert self.process.poll() is None, "the server did not start:\n" + text
            time.sleep(0.01)

    def text(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode()

    def connect(self):
        return Wire(self.address)

    def connect_native(self):
        connection = native.Connection(self.native_address)
        connection.hello()
        return connection

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        status = self.process.wait(timeout=300)
        self.running.remove(self.process)
        assert status == (0 if how == signal.SIGTERM else -how), (status, self.text())

    def restart(self, how, *options):
        self.end(how)
        self.start(*options)


def main(work):
    """Runs work(GIRO, folder), which gives a line to say, in a folder that goes away."""
    self_test()
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="compat-", dir=(sys.argv + ["."])[2]) as folder:
            said = work(os.path.abspath(sys.argv[1]), os.path.abspath(folder))
    finally:
        for process in Server.running:
            process.kill()
    print("%s (%.1f s)" % (said, time.monotonic() - started))
