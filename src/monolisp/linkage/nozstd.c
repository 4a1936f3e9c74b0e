/* For executables whose core is not compressed: zstd would be half a megabyte that nobody calls. A program that saves a
   compressed core itself is told. Source of the interface: zstd.h, 1.5; SBCL's save.c and coreparse.c use these. */

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

static size_t refuse(void)
{
    fputs("this executable can neither save nor load compressed cores: only one whose own core is compressed can\n", stderr);
    exit(1);
}

/* Asked for before anything else. */
size_t ZSTD_CStreamOutSize(void) { return refuse(); }
size_t ZSTD_DStreamInSize(void) { return refuse(); }

void *ZSTD_createCStream(void) { return NULL; }
size_t ZSTD_initCStream(void) { return refuse(); }
size_t ZSTD_compressStream(void) { return refuse(); }
size_t ZSTD_endStream(void) { return refuse(); }
size_t ZSTD_freeCStream(void) { return refuse(); }
void *ZSTD_createDStream(void) { return NULL; }
size_t ZSTD_initDStream(void) { return refuse(); }
size_t ZSTD_decompressStream(void) { return refuse(); }
size_t ZSTD_freeDStream(void) { return refuse(); }
size_t ZSTD_compressBound(void) { return refuse(); }
size_t ZSTD_compress(void) { return refuse(); }
size_t ZSTD_decompress(void) { return refuse(); }
unsigned ZSTD_isError(void) { return 1; }
const char *ZSTD_getErrorName(void) { return "no compression"; }
