/* malloc and its kin from mimalloc, in the place of libc's: every function that hands memory out or takes it back. */
#include <mimalloc.h>

void *malloc(size_t size) { return mi_malloc(size); }
void *calloc(size_t count, size_t size) { return mi_calloc(count, size); }
void *realloc(void *memory, size_t size) { return mi_realloc(memory, size); }
void free(void *memory) { mi_free(memory); }
void *aligned_alloc(size_t alignment, size_t size) { return mi_aligned_alloc(alignment, size); }
void *memalign(size_t alignment, size_t size) { return mi_memalign(alignment, size); }
int posix_memalign(void **memory, size_t alignment, size_t size) { return mi_posix_memalign(memory, alignment, size); }
void *valloc(size_t size) { return mi_valloc(size); }
size_t malloc_usable_size(void *memory) { return mi_usable_size(memory); }
