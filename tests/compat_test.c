/* What the compatible port is made of, piece by piece. */
#include "net/aegis.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { AEGIS_BYTES_MAX = 1 << 20 };

/* Made by an implementation of its own, see tests/compat/aegis_vectors.py. */
static const struct aegis_vector {
    size_t size_bytes;
    const char *checksum;
} aegis_vectors[] = {
#include "compat/aegis_vectors.h"
};

static unsigned char aegis_pattern_at(size_t i)
{
    return (unsigned char)(i * 131 + (i >> 8));
}

static void aegis_expect(giro_u128 checksum, const char *expected, size_t size_bytes,
                         const char *path)
{
    unsigned char bytes[sizeof checksum];
    char text[2 * sizeof checksum + 1];
    memcpy(bytes, &checksum, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    cr_assert_str_eq(text, expected, "%zu bytes, %s", size_bytes, path);
}

static uint64_t random_state = 1;

static uint64_t random_next(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

Test(aegis, answers_the_published_vectors)
{
    static const unsigned char zeros[16];
    aegis_expect(aegis_checksum("", 0), "83cc600dc4e3e7e62d4055826174f149", 0, "default");
    aegis_expect(aegis_checksum_portable("", 0), "83cc600dc4e3e7e62d4055826174f149", 0, "portable");
    aegis_expect(aegis_checksum(zeros, 16), "f72ad48dd05dd1656133101cd4be3a26", 16, "default");
    aegis_expect(aegis_checksum_portable(zeros, 16), "f72ad48dd05dd1656133101cd4be3a26", 16,
                 "portable");
}

Test(aegis, answers_the_vectors_of_another_implementation)
{
    unsigned char *data = malloc(AEGIS_BYTES_MAX);
    cr_assert(data != NULL);
    for (size_t i = 0; i < AEGIS_BYTES_MAX; i++)
        data[i] = aegis_pattern_at(i);
    for (size_t i = 0; i < sizeof aegis_vectors / sizeof aegis_vectors[0]; i++) {
        const struct aegis_vector *vector = &aegis_vectors[i];
        cr_assert(vector->size_bytes <= AEGIS_BYTES_MAX);
        aegis_expect(aegis_checksum(data, vector->size_bytes), vector->checksum, vector->size_bytes,
                     "default");
        aegis_expect(aegis_checksum_portable(data, vector->size_bytes), vector->checksum,
                     vector->size_bytes, "portable");
    }
    free(data);
}

Test(aegis, is_the_same_at_every_alignment)
{
    unsigned char room[64 + 300];
    unsigned char data[300];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)random_next();
    for (size_t size_bytes = 0; size_bytes <= sizeof data; size_bytes += 23) {
        giro_u128 expected = aegis_checksum(data, size_bytes);
        for (size_t start = 0; start < 64; start++) {
            memcpy(room + start, data, size_bytes);
            cr_assert(aegis_checksum(room + start, size_bytes) == expected);
            cr_assert(aegis_checksum_portable(room + start, size_bytes) == expected);
        }
    }
}

Test(aegis, is_the_same_with_instructions_and_without)
{
    enum { BYTES = 5000, ROUNDS = 3000 };
    unsigned char *data = malloc(BYTES);
    cr_assert(data != NULL);
    for (size_t i = 0; i < BYTES; i++)
        data[i] = (unsigned char)random_next();
    for (int i = 0; i < ROUNDS; i++) {
        size_t start = random_next() % 100;
        size_t size_bytes = random_next() % (BYTES - start + 1);
        data[random_next() % BYTES] ^= (unsigned char)(1 + random_next() % 255);
        cr_assert(aegis_checksum(data + start, size_bytes) ==
                  aegis_checksum_portable(data + start, size_bytes));
    }
    free(data);
}

Test(aegis, changes_with_every_bit_and_with_the_length)
{
    enum { BYTES = 70 };
    unsigned char data[BYTES + 1] = {0};
    giro_u128 before = aegis_checksum(data, BYTES);
    for (size_t bit = 0; bit < BYTES * 8; bit++) {
        data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        cr_assert(aegis_checksum(data, BYTES) != before, "bit %zu", bit);
        data[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    cr_assert(aegis_checksum(data, BYTES) == before);
    cr_assert(aegis_checksum(data, BYTES + 1) != before);
    cr_assert(aegis_checksum(data, BYTES - 1) != before);
}

/* The page after the data, and the page before it, may not be touched. */
Test(aegis, reads_nothing_but_the_data)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *pages =
        mmap(NULL, 3 * page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(pages != MAP_FAILED);
    unsigned char *page = pages + page_bytes;
    cr_assert(mprotect(page, page_bytes, PROT_READ | PROT_WRITE) == 0);
    for (size_t i = 0; i < page_bytes; i++)
        page[i] = aegis_pattern_at(i);
    unsigned char copy[200];
    for (size_t size_bytes = 0; size_bytes <= sizeof copy; size_bytes++) {
        memcpy(copy, page, size_bytes);
        giro_u128 expected = aegis_checksum_portable(copy, size_bytes);
        cr_assert(aegis_checksum(page, size_bytes) == expected);

        const unsigned char *last = page + page_bytes - size_bytes;
        memcpy(copy, last, size_bytes);
        expected = aegis_checksum_portable(copy, size_bytes);
        cr_assert(aegis_checksum(last, size_bytes) == expected);
        cr_assert(aegis_checksum_portable(last, size_bytes) == expected);
    }
    cr_assert(munmap(pages, 3 * page_bytes) == 0);
}
