/* In the build runtime: before a core is written, what lies between objects becomes zero. SBCL's collector leaves there
   what it found, and that depends on where objects were before, so on the lengths of paths.

   os_unlink_runtime does nothing in SBCL's runtime on Linux; it is the last thing that is called before a core is
   written. Source: SBCL src/runtime/save.c (gc_and_save), gencgc.c (walk_generation), lispobj.h, 2.4.6 to 2.6.7. */

#include <stdint.h>
#include <string.h>
#include "filler.h" /* SBCL's: FILLER_WIDETAG, the lowest octet of the first word of such a space */

/* SBCL's: how many words an object has, by the lowest octet of its first word; a cons has none. */
extern intptr_t (*sizetab[256])(uintptr_t *object);
extern uintptr_t walk_generation(
    uintptr_t (*visit)(uintptr_t *begin, uintptr_t *end, void *rest), signed char generation, void *rest);

enum { EVERY_GENERATION = -1, CONS_WORDS = 2 };

static uintptr_t clear_between(uintptr_t *begin, uintptr_t *end, void *rest)
{
    (void)rest;
    for (uintptr_t *at = begin; at < end;) {
        uint8_t tag = (uint8_t)*at;
        intptr_t words = sizetab[tag] != NULL ? sizetab[tag](at) : CONS_WORDS;
        if (tag == FILLER_WIDETAG)
            memset(at + 1, 0, (size_t)(words - 1) * sizeof *at);
        at += words;
    }
    return 0;
}

void os_unlink_runtime(void)
{
    walk_generation(clear_between, EVERY_GENERATION, NULL);
}
