/* Copies of whole files, durable, with their checksum, at a pace. */
#ifndef TOOLS_FILE_COPY_H
#define TOOLS_FILE_COPY_H

#include "engine/checksum.h"
#include "wal/error.h"

#include <stdint.h>

/* Spreads work over time. */
struct pace {
    uint64_t bytes_per_s; /* 0: unlimited */
    uint64_t due;         /* monotonic */
};

/* To be called with every piece that was read or written; waits when that was too fast. */
void pace_spend(struct pace *pace, uint64_t bytes);

/* What a file is. */
struct file_facts {
    uint64_t bytes;
    struct checksum sum;
};

enum { FILE_PIECE_BYTES = 1 << 20 };

/* Reads an open file to its end. path: for messages. Returns 0 or -errno. */
int file_facts_read(int fd, const char *path, struct pace *pace, struct file_facts *out_facts,
                    struct error *error);

/* Writes the file `name` of a folder: under a temporary name, synced, then renamed. The folder
 * itself is the caller's to sync. */
struct file_writer {
    int folder_fd;
    const char *folder; /* path, for messages */
    int fd;
    struct checksum_stream *stream;
    uint64_t bytes;
};

int file_writer_open(struct file_writer *writer, int folder_fd, const char *folder,
                     struct error *error);
int file_writer_put(struct file_writer *writer, const void *data, size_t size_bytes,
                    struct error *error);

/* Zeros up to a size, as a hole. They count as bytes. */
int file_writer_hole(struct file_writer *writer, uint64_t bytes, struct error *error);

/* Gives the file its name. Returns 0, or -errno with nothing left behind. */
int file_writer_finish(struct file_writer *writer, const char *name, struct file_facts *out_facts,
                       struct error *error);

/* Gives up; allowed at any time after file_writer_open(), and after file_writer_finish(). */
void file_writer_drop(struct file_writer *writer);

#endif
