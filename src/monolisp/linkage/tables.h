/* What is generated for each link: see linkage/table.py. */

#ifndef MONOLISP_TABLES_H
#define MONOLISP_TABLES_H

#include <stddef.h>

struct monolisp_symbol {
    const char *name;
    void *address;
};

extern const struct monolisp_symbol monolisp_symbols[]; /* sorted by strcmp */
extern const size_t monolisp_symbol_count;
extern const char *const monolisp_libraries[];
extern const size_t monolisp_library_count;

#endif
