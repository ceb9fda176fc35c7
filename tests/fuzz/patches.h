/* Inputs that change a sound file here and there: a list of patches.
 *
 *   patch   | page, 2 | offset in the page, 2 | how, 1 | value, 8
 *
 * how: its two lowest bits tell how many bytes are written, 1, 2, 4 or 8; with bit 2 the value is
 * added to what is there, and with bits 3 and 4 together the page is not sealed again. */
#ifndef TESTS_FUZZ_PATCHES_H
#define TESTS_FUZZ_PATCHES_H

#include "tests/fuzz/fuzz.h"

enum { PATCH_BYTES = 13, PATCHES_MAX = 32, PATCH_PAGE_BYTES = 4096 };

struct patch {
    uint32_t page;
    uint32_t offset; /* the bytes lie inside the page */
    uint32_t bytes;
    bool adds;
    bool unsealed;
    uint64_t value;
};

/* Takes the next patch of a file of so many pages. offset_min: what is in front of it in a page stays
 * as it is. */
static inline struct patch patch_take(struct input *input, uint32_t pages, uint32_t offset_min)
{
    struct patch patch = {.page = (uint32_t)input_number(input, 2) % pages};
    uint32_t offset = (uint32_t)input_number(input, 2);
    uint8_t how = (uint8_t)input_number(input, 1);
    patch.bytes = 1u << (how & 3);
    patch.offset = offset_min + offset % (PATCH_PAGE_BYTES - offset_min - patch.bytes + 1);
    patch.adds = (how & 4) != 0;
    patch.unsealed = (how & 24) == 24;
    patch.value = input_number(input, 8);
    return patch;
}

static inline void patch_apply(const struct patch *patch, char *page)
{
    uint64_t value = 0;
    __builtin_memcpy(&value, page + patch->offset, patch->bytes);
    value = patch->adds ? value + patch->value : patch->value;
    __builtin_memcpy(page + patch->offset, &value, patch->bytes);
}

#endif
