#!/usr/bin/env bash
# What the simulated program refers to outside of itself: every call must come to the simulator
# (meson.build, calls.c), or be known here to have no effect that a simulation must see.
#
#   calls.sh PROGRAM.o
set -u -o pipefail

# Pure, or about the process's own memory.
pure='XXH[A-Za-z0-9_]*|_GLOBAL_OFFSET_TABLE_|mem(cmp|cpy|move|set)|str[a-z]+|qsort|v?snprintf|fwrite|fprintf|stderr|
__(errno_location|ctype_b_loc|assert_fail|stack_chk_fail|sprintf_chk|fprintf_chk|v?snprintf_chk|memcpy_chk)'
# About open files and the folder in memory, which are as they are.
files='__fxstat|fstat(64|at64|fs)|faccessat|fdopendir|closedir|readdir64|rewinddir|lseek|fcntl(64)?|mkdir(at)?|msync|
posix_fadvise64'
# Of LMDB, for other processes and threads, which it does not have here; of the machine.
others='pthread_(self|sigmask|[gs]etspecific|key_create|key_delete|mutex_consistent|mutexattr_[a-z]+)|
sig(addset|emptyset|wait)|getpid|sysconf|uname|getrlimit64'
# Of wal/io.c, io_uring.c, io_posix.c and net/listener.c, in whose place the simulator stands.
replaced='io_uring_[a-z_]+|epoll_[a-z0-9]+|eventfd|clock_gettime|p(read|write)v64v2|accept4|bind|listen|socket|setsockopt|
get(addrinfo|nameinfo|peername|sockname)|freeaddrinfo|gai_strerror'
# Of compilers.
built='__cpu_(model|indicator_init)|__(asan|ubsan|tsan|gcov|sanitizer)_.*|__tls_get_addr|__u?(div|mod|divmod)ti[34]'

known=$(printf '%s|' "$pure" "$files" "$others" "$replaced" "$built" | tr -d '\n')
unknown=$(nm -u "$1" | awk '{print $2}' | grep -v '^__wrap_' | grep -vxE "${known%|}")
[ -z "$unknown" ] && exit 0
echo "the simulator does not know these calls of the program; add them to tests/sim/meson.build:"
echo "$unknown"
exit 1
