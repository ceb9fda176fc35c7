#include "engine/records.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>

static union record record_of(uint64_t number)
{
    return (union record){.transfer = {.id = number, .amount = (giro_u128)3 * number}};
}

static void expect_record(const union record *record, uint64_t number)
{
    union record expected = record_of(number);
    cr_assert(record != NULL, "record %lu is not there", number);
    cr_assert(memcmp(record, &expected, sizeof expected) == 0, "record %lu is another", number);
}

Test(record_cache, returns_what_was_put_and_nothing_else)
{
    static const uint64_t addresses[] = {1, 2, 3, 17, 1 << 20, RECORD_ADDRESS_MAX};
    struct record_cache cache;
    cr_assert(record_cache_init(&cache, 6) == 0);
    cr_assert(record_cache_get(&cache, 1) == NULL);
    for (uint32_t i = 0; i < 6; i++) {
        union record record = record_of(addresses[i]);
        record_cache_put(&cache, addresses[i], &record);
        cr_assert(cache.count == i + 1);
        for (uint32_t j = 0; j <= i; j++)
            expect_record(record_cache_get(&cache, addresses[j]), addresses[j]);
        for (uint32_t j = i + 1; j < 6; j++)
            cr_assert(record_cache_get(&cache, addresses[j]) == NULL);
    }
    cr_assert(record_cache_get(&cache, 4) == NULL);
    record_cache_free(&cache);
}

Test(record_cache, keeps_the_first_of_two_records_of_one_address)
{
    struct record_cache cache;
    union record first = record_of(5);
    union record second = record_of(6);
    cr_assert(record_cache_init(&cache, 2) == 0);
    record_cache_put(&cache, 9, &first);
    record_cache_put(&cache, 9, &second);
    cr_assert(cache.count == 1);
    expect_record(record_cache_get(&cache, 9), 5);
    record_cache_free(&cache);
}

Test(record_cache, is_empty_after_clearing_and_can_be_filled_again)
{
    struct record_cache cache;
    cr_assert(record_cache_init(&cache, 100) == 0);
    record_cache_clear(&cache);
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 1; i <= 100; i++) {
            union record record = record_of(1000 * round + i);
            record_cache_put(&cache, i, &record);
        }
        cr_assert(cache.count == 100);
        for (uint64_t i = 1; i <= 100; i++)
            expect_record(record_cache_get(&cache, i), 1000 * round + i);
        record_cache_clear(&cache);
        cr_assert(cache.count == 0);
        for (uint64_t i = 1; i <= 100; i++)
            cr_assert(record_cache_get(&cache, i) == NULL);
    }
    record_cache_free(&cache);
}

/* As many as it was made for, at addresses that stand far apart, close together, and strided. */
Test(record_cache, takes_as_many_as_it_was_made_for)
{
    static const uint64_t strides[] = {1, 8192, 1 << 16, (1ull << 32) / 100};
    enum { RECORDS = 200 };
    for (uint32_t s = 0; s < 4; s++) {
        struct record_cache cache;
        cr_assert(record_cache_init(&cache, RECORDS) == 0);
        for (uint64_t i = 1; i <= RECORDS; i++) {
            union record record = record_of(i);
            record_cache_put(&cache, i * strides[s], &record);
        }
        cr_assert(cache.count == RECORDS);
        for (uint64_t i = 1; i <= RECORDS; i++) {
            expect_record(record_cache_get(&cache, i * strides[s]), i);
            cr_assert(record_cache_get(&cache, (RECORDS + i) * strides[s]) == NULL);
        }
        record_cache_free(&cache);
    }
}

Test(record_cache, aborts_when_more_than_half_of_it_would_be_full, .signal = SIGABRT)
{
    struct record_cache cache;
    cr_assert(record_cache_init(&cache, 16) == 0);
    for (uint64_t i = 1; i <= cache.slots; i++) {
        union record record = record_of(i);
        record_cache_put(&cache, i, &record);
    }
}

Test(record_cache, aborts_on_the_address_that_means_none, .signal = SIGABRT)
{
    struct record_cache cache;
    union record record = record_of(1);
    cr_assert(record_cache_init(&cache, 16) == 0);
    record_cache_put(&cache, 0, &record);
}

Test(record_at, reads_the_window_above_low_and_the_cache_below)
{
    union record base[8];
    struct record_cache cache;
    struct record_window window = {.base = base, .records = 8, .low = 13};
    cr_assert(record_cache_init(&cache, 4) == 0);
    for (uint64_t address = 13; address < 21; address++)
        base[address % 8] = record_of(address);
    union record old = record_of(12);
    union record not_read = record_of(99);
    record_cache_put(&cache, 12, &old);
    record_cache_put(&cache, 14, &not_read);
    for (uint64_t address = 13; address < 21; address++)
        expect_record(record_at(&window, &cache, address), address);
    expect_record(record_at(&window, &cache, 12), 12);
    cr_assert(record_at(&window, &cache, 11) == NULL);
    cr_assert(record_at(&window, NULL, 12) == NULL);
    expect_record(record_at(&window, NULL, 13), 13);
    record_cache_free(&cache);
}

Test(record_kind, is_told_by_the_topmost_flags)
{
    static const enum record_kind kinds[] = {RECORD_TRANSFER, RECORD_ACCOUNT, RECORD_BURNT,
                                             RECORD_SYSTEM};
    for (uint32_t i = 0; i < 4; i++) {
        union record record = {0};
        record.transfer.flags = (uint16_t)(i << 14);
        cr_assert(record_kind(&record) == kinds[i]);
        record.transfer.flags |= RECORD_FLAGS_MASK;
        cr_assert(record_kind(&record) == kinds[i]);
    }
    cr_assert(offsetof(struct giro_account, flags) == offsetof(struct giro_transfer, flags));
}
