/* dlopen, dlsym, dlclose and dlerror for a program that has no loader.

   They answer from two tables that the linker fills: the names of the libraries that are inside, and a sorted table
   of the names that may be looked up. In a build runtime the second holds everything, and what is in neither table is
   asked for at the desk (desk.c); in a finished executable the second holds only what the program looks up by name. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "tables.h"

/* Only a build runtime has these: see desk.c. */
extern int monolisp_desk_open(const char *name, char *message, size_t size) __attribute__((weak));
extern void *monolisp_desk_symbol(const char *name) __attribute__((weak));

/* Only in a build runtime: see dump.c. */
extern void monolisp_keep_name(const char *name) __attribute__((weak));

static _Thread_local char message[512];
static _Thread_local int failed;

static const struct monolisp_symbol *look_up(const char *name)
{
    size_t low = 0, high = monolisp_symbol_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, monolisp_symbols[middle].name);
        if (order == 0)
            return &monolisp_symbols[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* A handle is any address that is not null: every library shares one space of names. */
void *dlopen(const char *file, int mode)
{
    (void)mode;
    if (file == NULL)
        return (void *)monolisp_libraries;
    for (size_t i = 0; i < monolisp_library_count; i++)
        if (strcmp(file, monolisp_libraries[i]) == 0)
            return (void *)&monolisp_libraries[i];
    snprintf(message, sizeof message, "%s is not inside this static executable, and it cannot load libraries", file);
    if (monolisp_desk_open != NULL && monolisp_desk_open(file, message, sizeof message))
        return (void *)monolisp_libraries;
    failed = 1;
    return NULL;
}

void *dlsym(void *restrict handle, const char *restrict name)
{
    (void)handle;
    const struct monolisp_symbol *symbol = look_up(name);
    void *address = symbol != NULL ? symbol->address : monolisp_desk_symbol != NULL ? monolisp_desk_symbol(name) : NULL;
    if (address != NULL) {
        if (monolisp_keep_name != NULL)
            monolisp_keep_name(name);
        return address;
    }
    snprintf(message, sizeof message, "%s is not in this static executable", name);
    failed = 1;
    return NULL;
}

#if UINTPTR_MAX == UINT32_MAX
/* What musl's header calls dlsym where time_t was once shorter. */
void *__dlsym_time64(void *restrict handle, const char *restrict name) __attribute__((alias("dlsym")));
#endif

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}

char *dlerror(void)
{
    if (!failed)
        return NULL;
    failed = 0;
    return message;
}
