/* glibc's strerror_r returns the message; POSIX's, which is musl's, returns a number. For C that expects glibc's. */

#ifndef MONOLISP_GNU_STRERROR_R
#define MONOLISP_GNU_STRERROR_R

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <string.h>

static inline char *monolisp_gnu_strerror_r(int error, char *buffer, size_t size)
{
    strerror_r(error, buffer, size);
    return buffer;
}

#define strerror_r monolisp_gnu_strerror_r

#endif
