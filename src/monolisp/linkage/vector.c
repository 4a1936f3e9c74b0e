/* With :sb-core-compression SBCL compresses what the debugger knows of each function, at zstd's highest level, whenever
   it compiles one. Cores may be compressed here; single functions are not, so that compiling takes no longer, and an
   executable whose core is not compressed needs no zstd at all.
   Source of the interface: SBCL src/runtime/var-io.c and src/compiler/debug-dump.lisp, 2.6.4. */

#include <stddef.h>
#include <stdint.h>

/* A vector: a tagged pointer to a header, the length as a fixnum, octets. It may be longer than what is used of it. */
int compress_vector(uintptr_t vector, size_t used)
{
    ((uintptr_t *)(vector & ~(uintptr_t)15))[1] = used << 1;
    return 0;
}
