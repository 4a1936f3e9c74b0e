/* With :sb-core-compression SBCL compresses what the debugger knows of each function, at zstd's highest level, whenever
   it compiles one. Cores may be compressed here; single functions are not, so that compiling takes no longer, and an
   executable whose core is not compressed needs no zstd at all.
   Source of the interface: SBCL src/runtime/var-io.c and src/compiler/debug-dump.lisp, 2.6.4. */

#include <stddef.h>
#include <stdint.h>

/* How many bits of a fixnum are its tag. Source: SBCL src/compiler/ppc64/parms.lisp, generic/parms.lisp. */
#if defined __powerpc64__
enum { FIXNUM_TAG_BITS = 3 };
#elif UINTPTR_MAX > UINT32_MAX
enum { FIXNUM_TAG_BITS = 1 };
#else
enum { FIXNUM_TAG_BITS = 2 };
#endif
/* Objects begin at multiples of two words. */
enum { LOWTAGS = 2 * sizeof(uintptr_t) - 1 };

/* A vector: a tagged pointer to a header, the length as a fixnum, octets. It may be longer than what is used of it. */
int compress_vector(uintptr_t vector, size_t used)
{
    ((uintptr_t *)(vector & ~(uintptr_t)LOWTAGS))[1] = used << FIXNUM_TAG_BITS;
    return 0;
}
