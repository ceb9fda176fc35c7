/* AEGIS-128L as a checksum: the one that TigerBeetle's messages carry.
 *
 * Key and nonce are zero, the data is absorbed as associated data, there is no message, and the
 * tag of 128 bits is the checksum. It protects against damage, not against people. */
#ifndef NET_AEGIS_H
#define NET_AEGIS_H

#include "engine/record.h"

#include <stdbool.h>
#include <stddef.h>

/* Checksum of size_bytes of data, at any alignment: the 16 bytes of the tag, little-endian. */
giro_u128 aegis_checksum(const void *data, size_t size_bytes);

/* The same in plain C, several times slower: for processors without AES instructions, and for
 * tests to compare with. */
giro_u128 aegis_checksum_portable(const void *data, size_t size_bytes);

/* Whether aegis_checksum() uses AES instructions on this machine. */
bool aegis_has_instructions(void);

#endif
