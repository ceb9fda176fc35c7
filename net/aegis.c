/* AEGIS-128L, associated data only.
 *
 * The state is eight AES blocks, S0..S7. One update with two blocks of data, d0 and d1, makes
 *
 *     S'[i] = round(S[i - 1], S[i])  for i = 1..7,  S'[0] = round(S[7], S[0])
 *     S'[0] ^= d0,  S'[4] ^= d1
 *
 * where round(block, key) is one AES round: substitute bytes, shift rows, mix columns, add key.
 * Data is absorbed in pieces of 32 bytes, the last one filled up with zeros. In the end
 * t = S[2] ^ (bits of data, 0) is absorbed seven times as both blocks, and the tag is S0^S1^..^S6.
 *
 * The key is known to everybody, so tables indexed by data give nothing away. */
#include "net/aegis.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    AEGIS_BLOCKS = 8,
    AEGIS_STEP_BYTES = 32,
    AEGIS_START_STEPS = 10,
    AEGIS_END_STEPS = 7,
};

struct aegis_block {
    uint32_t column[4];
};

struct aegis_state {
    struct aegis_block block[AEGIS_BLOCKS];
};

/* What follows is computed once, before main(). */
static uint32_t round_table[256];        /* column of the round for a byte of row 0 */
static struct aegis_state state_initial; /* after the ten steps with key and nonce, both zero */
static bool has_instructions;

static inline uint32_t rotate_left(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

static inline uint32_t round_column(const struct aegis_block *in, unsigned column)
{
    return round_table[in->column[column] & 0xff] ^
           rotate_left(round_table[in->column[(column + 1) % 4] >> 8 & 0xff], 8) ^
           rotate_left(round_table[in->column[(column + 2) % 4] >> 16 & 0xff], 16) ^
           rotate_left(round_table[in->column[(column + 3) % 4] >> 24], 24);
}

static inline struct aegis_block block_xor(struct aegis_block a, struct aegis_block b)
{
    for (unsigned i = 0; i < 4; i++)
        a.column[i] ^= b.column[i];
    return a;
}

static inline struct aegis_block block_round(const struct aegis_block *in, struct aegis_block key)
{
    for (unsigned i = 0; i < 4; i++)
        key.column[i] ^= round_column(in, i);
    return key;
}

static inline void state_update(struct aegis_state *state, struct aegis_block d0,
                                struct aegis_block d1)
{
    struct aegis_block last = state->block[AEGIS_BLOCKS - 1];
    for (unsigned i = AEGIS_BLOCKS - 1; i > 0; i--)
        state->block[i] = block_round(&state->block[i - 1], state->block[i]);
    state->block[0] = block_xor(block_round(&last, state->block[0]), d0);
    state->block[4] = block_xor(state->block[4], d1);
}

static void state_absorb(struct aegis_state *state, const unsigned char *data)
{
    struct aegis_block d[2];
    _Static_assert(sizeof d == AEGIS_STEP_BYTES, "two blocks a step");
    memcpy(d, data, sizeof d);
    state_update(state, d[0], d[1]);
}

giro_u128 aegis_checksum_portable(const void *data, size_t size_bytes)
{
    struct aegis_state state = state_initial;
    const unsigned char *at = data;
    size_t left = size_bytes;
    for (; left >= AEGIS_STEP_BYTES; at += AEGIS_STEP_BYTES, left -= AEGIS_STEP_BYTES)
        state_absorb(&state, at);
    if (left > 0) {
        unsigned char padded[AEGIS_STEP_BYTES] = {0};
        memcpy(padded, at, left);
        state_absorb(&state, padded);
    }

    uint64_t bits[2] = {(uint64_t)size_bytes * 8, 0};
    struct aegis_block end;
    memcpy(&end, bits, sizeof end);
    end = block_xor(end, state.block[2]);
    for (unsigned i = 0; i < AEGIS_END_STEPS; i++)
        state_update(&state, end, end);

    struct aegis_block tag = state.block[0];
    for (unsigned i = 1; i < AEGIS_BLOCKS - 1; i++)
        tag = block_xor(tag, state.block[i]);
    giro_u128 checksum;
    memcpy(&checksum, &tag, sizeof checksum);
    return checksum;
}

#if defined(__x86_64__)
#define AEGIS_TARGET __attribute__((target("aes,avx")))

/* The eight blocks stay in registers: the loops over them have constant bounds, and are unrolled. */
struct aegis_registers {
    __m128i block[AEGIS_BLOCKS];
};

AEGIS_TARGET static inline __attribute__((always_inline)) void
registers_update(struct aegis_registers *state, __m128i d0, __m128i d1)
{
    const __m128i *s = state->block;
    struct aegis_registers next = {{
        _mm_xor_si128(_mm_aesenc_si128(s[7], s[0]), d0),
        _mm_aesenc_si128(s[0], s[1]),
        _mm_aesenc_si128(s[1], s[2]),
        _mm_aesenc_si128(s[2], s[3]),
        _mm_xor_si128(_mm_aesenc_si128(s[3], s[4]), d1),
        _mm_aesenc_si128(s[4], s[5]),
        _mm_aesenc_si128(s[5], s[6]),
        _mm_aesenc_si128(s[6], s[7]),
    }};
    *state = next;
}

AEGIS_TARGET static inline __attribute__((always_inline)) void
registers_absorb(struct aegis_registers *state, const unsigned char *data)
{
    registers_update(state, _mm_loadu_si128((const void *)data),
                     _mm_loadu_si128((const void *)(data + AEGIS_STEP_BYTES / 2)));
}

AEGIS_TARGET static giro_u128 checksum_with_instructions(const void *data, size_t size_bytes)
{
    struct aegis_registers state;
    memcpy(&state, &state_initial, sizeof state);
    const unsigned char *at = data;
    size_t left = size_bytes;
    for (; left >= AEGIS_STEP_BYTES; at += AEGIS_STEP_BYTES, left -= AEGIS_STEP_BYTES)
        registers_absorb(&state, at);
    if (left > 0) {
        unsigned char padded[AEGIS_STEP_BYTES] = {0};
        memcpy(padded, at, left);
        registers_absorb(&state, padded);
    }

    __m128i bits = _mm_set_epi64x(0, (long long)size_bytes * 8);
    __m128i end = _mm_xor_si128(bits, state.block[2]);
    for (unsigned i = 0; i < AEGIS_END_STEPS; i++)
        registers_update(&state, end, end);

    __m128i tag = state.block[0];
    for (unsigned i = 1; i < AEGIS_BLOCKS - 1; i++)
        tag = _mm_xor_si128(tag, state.block[i]);
    giro_u128 checksum;
    memcpy(&checksum, &tag, sizeof checksum);
    return checksum;
}

static bool instructions_found(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("avx");
}
#else
static giro_u128 checksum_with_instructions(const void *data, size_t size_bytes)
{
    return aegis_checksum_portable(data, size_bytes);
}

static bool instructions_found(void)
{
    return false;
}
#endif

giro_u128 aegis_checksum(const void *data, size_t size_bytes)
{
    return has_instructions ? checksum_with_instructions(data, size_bytes)
                            : aegis_checksum_portable(data, size_bytes);
}

bool aegis_has_instructions(void)
{
    return has_instructions;
}

/* Twice a byte, in the field of AES. */
static uint32_t twice(uint32_t byte)
{
    return (byte << 1 ^ (byte >> 7) * 0x1b) & 0xff;
}

static uint32_t rotate_byte(uint32_t byte, unsigned bits)
{
    return (byte << bits | byte >> (8 - bits)) & 0xff;
}

static void round_table_set(uint32_t byte, uint32_t inverse)
{
    uint32_t s = 0x63 ^ inverse ^ rotate_byte(inverse, 1) ^ rotate_byte(inverse, 2) ^
                 rotate_byte(inverse, 3) ^ rotate_byte(inverse, 4);
    round_table[byte] = twice(s) | s << 8 | s << 16 | (twice(s) ^ s) << 24;
}

/* Walks through all bytes but 0 as powers of 3, and through their inverses as powers of 1/3. */
static void round_table_fill(void)
{
    uint32_t power = 1;
    uint32_t inverse = 1;
    do {
        round_table_set(power, inverse);
        power ^= twice(power);
        inverse ^= inverse << 1;
        inverse ^= inverse << 2;
        inverse ^= inverse << 4;
        inverse &= 0xff;
        if ((inverse & 0x80) != 0)
            inverse ^= 0x09;
    } while (power != 1);
    round_table_set(0, 0);
}

__attribute__((constructor)) static void aegis_start(void)
{
    static const unsigned char c0[16] = {0x00, 0x01, 0x01, 0x02, 0x03, 0x05, 0x08, 0x0d,
                                         0x15, 0x22, 0x37, 0x59, 0x90, 0xe9, 0x79, 0x62};
    static const unsigned char c1[16] = {0xdb, 0x3d, 0x18, 0x55, 0x6d, 0xc2, 0x2f, 0xf1,
                                         0x20, 0x11, 0x31, 0x42, 0x73, 0xb5, 0x28, 0xdd};
    static const struct aegis_block zero;

    round_table_fill();
    /* Key and nonce are zero: the blocks that hold one of them alone, or both, are the constants. */
    for (unsigned i = 1; i < AEGIS_BLOCKS; i++)
        memcpy(&state_initial.block[i], i == 2 || i == 5 || i == 7 ? c0 : c1, sizeof zero);
    state_initial.block[4] = zero;
    for (unsigned i = 0; i < AEGIS_START_STEPS; i++)
        state_update(&state_initial, zero, zero);
    has_instructions = instructions_found();
}
