/* In the build runtime, Lisp's `open` and `sb_opendir` are these: every file read and every directory listed while a
   program is built is reported, so that the next build knows whether anything changed.

   A report is the letter F or D, the path, and a null byte, written to the file descriptor that the environment
   variable MONOLISP_RECORD_FD names. Without it nothing is reported. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "clerk.h"

extern DIR *sb_opendir(char *path); /* SBCL src/runtime/wrap.c */

static void report(char kind, const char *path)
{
    static int descriptor = -2; /* -2: not asked yet, -1: nobody listens */
    if (descriptor == -2) {
        const char *wish = getenv("MONOLISP_RECORD_FD");
        descriptor = wish != NULL && monolisp_clerk() == NULL ? atoi(wish) : -1;
    }
    size_t length = strlen(path);
    if (descriptor < 0 || length >= PATH_MAX)
        return;
    char line[PATH_MAX + 2];
    line[0] = kind;
    memcpy(line + 1, path, length + 1);
    if (write(descriptor, line, length + 2) < 0)
        descriptor = -1;
}

int monolisp_record_open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    int file = open(path, flags, mode);
    int error = errno;
    if (file >= 0 && (flags & O_ACCMODE) == O_RDONLY)
        report('F', path);
    errno = error;
    return file;
}

DIR *monolisp_record_opendir(char *path)
{
    DIR *directory = sb_opendir(path);
    int error = errno;
    if (directory != NULL)
        report('D', path);
    errno = error;
    return directory;
}
