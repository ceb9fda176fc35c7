"""XXH3-64 and XXH3-128 with the default secret, as Giro's formats use them.

A plain rendering of the published algorithm for what the formats hash: 16 bytes and more, and no
bytes at all; with a seed 16 bytes and more than 240. The `xxhash` module takes over where it is
installed, because it is a thousand times faster; `python3 xxh3.py` proves the rendering against the
vectors below in either case.
"""
import functools
import operator
import struct

try:
    import xxhash
except ImportError:
    xxhash = None

MASK = (1 << 64) - 1
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P64_4, P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
MX1 = 0x165667919E3779F9
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")
STRIPE, BLOCK_STRIPES = 64, 16  # a block uses 192 - 64 secret bytes, 8 a stripe


def u64(data, at):
    return int.from_bytes(data[at:at + 8], "little")


def fold(a, b):
    product = a * b
    return (product & MASK) ^ (product >> 64)


def avalanche(h):
    h ^= h >> 37
    h = h * MX1 & MASK
    return h ^ h >> 32


def mix16(data, at, secret):
    return fold(u64(data, at) ^ u64(SECRET, secret), u64(data, at + 8) ^ u64(SECRET, secret + 8))


# ---- 0 and 16 bytes ----------------------------------------------------------------------------

def swap(h):
    return int.from_bytes(h.to_bytes(8, "little"), "big")


def avalanche_of_old(h):
    """That of XXH64, which is left in the hash of nothing."""
    h = (h ^ h >> 33) * P64_2 & MASK
    h = (h ^ h >> 29) * P64_3 & MASK
    return h ^ h >> 32


def nothing128():
    low, high = (avalanche_of_old(u64(SECRET, at) ^ u64(SECRET, at + 8)) for at in (64, 80))
    return high << 64 | low


def sixteen64(data, seed):
    low = u64(data, 0) ^ (u64(SECRET, 24) ^ u64(SECRET, 32)) + seed & MASK
    high = u64(data, 8) ^ (u64(SECRET, 40) ^ u64(SECRET, 48)) - seed & MASK
    return avalanche(16 + swap(low) + high + fold(low, high) & MASK)


def sixteen128(data):
    low, high = u64(data, 0), u64(data, 8)
    product = (low ^ high ^ u64(SECRET, 32) ^ u64(SECRET, 40)) * P64_1
    high ^= u64(SECRET, 48) ^ u64(SECRET, 56)
    upper = (product >> 64) + high + (high & 0xFFFFFFFF) * (P32_2 - 1) & MASK
    lower = (product & MASK) + (15 << 54) & MASK ^ swap(upper)
    product = lower * P64_2
    return (avalanche((product >> 64) + upper * P64_2 & MASK) << 64 |
            avalanche(product & MASK))


# ---- 17 .. 240 bytes ---------------------------------------------------------------------------

def pairs_17_to_128(size):
    """(offset from the front, offset of the counterpart from the back, secret), outermost last."""
    return [(16 * i, size - 16 * (i + 1), 32 * i) for i in range((size - 1) // 32, -1, -1)]


def short64(data):
    size = len(data)
    acc = size * P64_1 & MASK
    if size <= 128:
        for front, back, secret in pairs_17_to_128(size):
            acc += mix16(data, front, secret) + mix16(data, back, secret + 16)
        return avalanche(acc & MASK)
    for i in range(8):
        acc += mix16(data, 16 * i, 16 * i)
    acc = avalanche(acc & MASK)
    for i in range(8, size // 16):
        acc += mix16(data, 16 * i, 16 * (i - 8) + 3)
    return avalanche(acc + mix16(data, size - 16, 136 - 17) & MASK)


def mix32(low, high, data, first, second, secret):
    low = low + mix16(data, first, secret) & MASK
    low ^= u64(data, second) + u64(data, second + 8) & MASK
    high = high + mix16(data, second, secret + 16) & MASK
    high ^= u64(data, first) + u64(data, first + 8) & MASK
    return low, high


def short128(data):
    size = len(data)
    low, high = size * P64_1 & MASK, 0
    if size <= 128:
        for front, back, secret in pairs_17_to_128(size):
            low, high = mix32(low, high, data, front, back, secret)
    else:
        for i in range(32, 160, 32):
            low, high = mix32(low, high, data, i - 32, i - 16, i - 32)
        low, high = avalanche(low), avalanche(high)
        for i in range(160, size + 1, 32):
            low, high = mix32(low, high, data, i - 32, i - 16, 3 + i - 160)
        low, high = mix32(low, high, data, size - 16, size - 32, 136 - 17 - 16)
    upper = low * P64_1 + high * P64_4 + size * P64_2 & MASK
    return (-avalanche(upper) & MASK) << 64 | avalanche(low + high & MASK)


# ---- more than 240 bytes -----------------------------------------------------------------------

@functools.lru_cache(maxsize=None)
def secret_of(seed):
    words = struct.unpack("<24Q", SECRET)
    return struct.pack("<24Q", *[word + (seed if i % 2 == 0 else -seed) & MASK
                                 for i, word in enumerate(words)])


@functools.lru_cache(maxsize=None)
def keys_of(secret):
    """For each of the eight lanes, the secret's words that the stripes of a block meet."""
    words = [struct.unpack_from("<8Q", secret, 8 * stripe) for stripe in range(BLOCK_STRIPES)]
    return list(zip(*words))


def accumulate(acc, words, keys):
    """Adds stripes, given as words. Sums are cut to 64 bits later: it makes no difference."""
    for i in range(8):
        acc[i] += sum(words[i ^ 1::8]) + sum(
            [(key & 0xFFFFFFFF) * (key >> 32) for key in map(operator.xor, words[i::8], keys[i])])


def long_accumulators(data, secret):
    acc = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]
    keys, scramble = keys_of(secret), struct.unpack_from("<8Q", secret, 128)
    stripes = (len(data) - 1) // STRIPE
    for first in range(0, stripes, BLOCK_STRIPES):
        count = min(BLOCK_STRIPES, stripes - first)
        accumulate(acc, struct.unpack_from("<%dQ" % (8 * count), data, first * STRIPE), keys)
        if count == BLOCK_STRIPES:
            acc = [((a & MASK) ^ (a & MASK) >> 47 ^ key) * P32_1 & MASK
                   for a, key in zip(acc, scramble)]
    accumulate(acc, struct.unpack_from("<8Q", data, len(data) - STRIPE),
               list(zip(struct.unpack_from("<8Q", secret, 192 - STRIPE - 7))))
    return [a & MASK for a in acc]


def merge(acc, secret, at, start):
    for i in range(0, 8, 2):
        start += fold(acc[i] ^ u64(secret, at + 8 * i), acc[i + 1] ^ u64(secret, at + 8 * i + 8))
    return avalanche(start & MASK)


def plain64(data, seed=0):
    if len(data) == 16:
        return sixteen64(data, seed)
    if len(data) <= 240:
        assert len(data) > 16 and seed == 0
        return short64(data)
    secret = secret_of(seed)
    return merge(long_accumulators(data, secret), secret, 11, len(data) * P64_1 & MASK)


def plain128(data):
    if len(data) in (0, 16):
        return sixteen128(data) if data else nothing128()
    assert len(data) > 16
    if len(data) <= 240:
        return short128(data)
    acc = long_accumulators(data, SECRET)
    low = merge(acc, SECRET, 11, len(data) * P64_1 & MASK)
    high = merge(acc, SECRET, 192 - STRIPE - 11, ~(len(data) * P64_2) & MASK)
    return high << 64 | low


def xxh3_64(data, seed=0):
    return xxhash.xxh3_64_intdigest(data, seed) if xxhash else plain64(data, seed)


def xxh3_128(data):
    """As one 128-bit number; in a file it lies little-endian."""
    return xxhash.xxh3_128_intdigest(data) if xxhash else plain128(data)


# (size, XXH3-64, XXH3-128) of the bytes (i * 131 + 7) mod 256
VECTORS = [
    (17, 0xb58bf5dc5022d071, 0x66fc23f6439dbd778d96ef110fcdebb4),
    (24, 0x08ce26a7964ba200, 0x6c3aa63b32bad6326c24876e15fe840b),
    (32, 0xe3712ed84c04a66e, 0x49a11ee743d6d342fd357cf6cb2dda18),
    (33, 0xa4dee99b093e1f73, 0x7228d9284a8116f6f8994653f4bfe6da),
    (64, 0x1291d2d4042330dd, 0xe0faf20e0e0fe0ddba7e015a54f14be1),
    (65, 0x97c6bf83217e5ec9, 0x9397df27b7a9871385326f4078a61329),
    (96, 0x81296929fc063365, 0xfb78ac185ef554438b8720f565dcf40c),
    (97, 0xf145a45b658ab9dd, 0x9cfc8c7d6e7815c8bb385623e598c6d4),
    (112, 0xc787b705cf40bb90, 0x85d5d30bb1b954e37df723eaab2987f6),
    (120, 0x1cb83bb6a8598177, 0x527c7610218b86a5dc0dd0d8166d8b69),
    (128, 0x10d17f72c0ccba41, 0xaec730751478556cff361dec1385710a),
    (129, 0x1648bdc3db49d1a2, 0x98cd36ccbb5579264545b3a09738e31a),
    (159, 0xfc0bddafe0d5ee0e, 0x092102a9631152daf6c2de5f35a4e9fa),
    (160, 0x655c8dc33b4b4c4a, 0x832af93acbf14d0b10963bc4f63e0de8),
    (240, 0xb6cfaf343fab81e6, 0x5293e17bf553903d3f2c53e72293711f),
    (241, 0x956cae592c67279e, 0xb53840fe3fedf161956cae592c67279e),
    (256, 0xb15e550733c5dfac, 0xd0d2829a226d0edbb15e550733c5dfac),
    (384, 0x5296e9c55e0b14df, 0xc4042e04609c223f5296e9c55e0b14df),
    (496, 0x1ca87eaed5c0402c, 0x8eed2ceda4af57c21ca87eaed5c0402c),
    (1024, 0x70bd377d9574f4bb, 0xf69630613f24324d70bd377d9574f4bb),
    (1025, 0x66c4487c41e127a7, 0x621af7b8277effa466c4487c41e127a7),
    (2048, 0x8b46caa67dab3a30, 0x56b77f207158a2ba8b46caa67dab3a30),
    (4113, 0xb2c833ecc44ee267, 0xafcaac6b25dd6450b2c833ecc44ee267),
]
# (size, seed, XXH3-64) of the same
SEEDED = [
    (16, 0x0, 0x86abf6baccea0858),
    (16, 0xfedcba9876543210, 0x37dcf75edd706253),
    (16, 0x21, 0xbf5fd83d4fa17d8c),
    (4088, 0xfedcba9876543210, 0x2a90a9aaefc06a10),
    (4096, 0xfedcba9876543210, 0x551d61ffcffc5c9f),
]
# (size, XXH3-128) of the same
SMALL = [
    (0, 0x99aa06d3014798d86001c324468d497f),
    (16, 0x7f9a218b0425449ae2ce54a7c19c730d),
]


def self_test():
    for size, low, wide in VECTORS:
        data = bytes((i * 131 + 7) & 255 for i in range(size))
        for f64, f128 in ((plain64, plain128), (xxh3_64, xxh3_128)):
            assert f64(data) == low, size
            assert f128(data) == wide, size
    for size, seed, low in SEEDED:
        data = bytes((i * 131 + 7) & 255 for i in range(size))
        assert plain64(data, seed) == xxh3_64(data, seed) == low, size
    for size, wide in SMALL:
        data = bytes((i * 131 + 7) & 255 for i in range(size))
        assert plain128(data) == xxh3_128(data) == wide, size


if __name__ == "__main__":
    self_test()
    print("xxh3: %d vectors match" % len(VECTORS + SEEDED + SMALL))
