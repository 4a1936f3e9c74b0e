/* The start of a finished executable: heap and stack sizes, its own path, the linkage table.

   SBCL's runtime object brings `initialize_lisp`; three of its functions are made weak when the toolchain is built
   (see toolchain/runtime.py) and replaced here. Source of the interfaces: SBCL src/runtime/runtime.c, os-common.c and
   coreparse.c, 2.6.4. */

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>
#include <unistd.h>

/* Generated: see linkage/table.py. */
extern const char monolisp_heap[];
extern const char monolisp_stack[];
extern uintptr_t alien_linkage_values[];
extern const uint8_t monolisp_linkage_kinds[];
extern const size_t monolisp_linkage_count;
enum { DEFINED, UNDEFINED_FUNCTION, UNDEFINED_DATA };

/* SBCL's. */
extern int initialize_lisp(int argc, char *argv[], char *envp[]);
extern char *get_asm_routine_by_name(const char *name, int *index);
extern uintptr_t undefined_alien_address;

/* A size that SBCL's option parser takes: digits, then nothing (megabytes) or a unit. */
static int is_size(const char *text)
{
    static const char *const units[] = {"", "KB", "KiB", "MB", "MiB", "GB", "GiB", "TB", "TiB"};
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 12 || strspn(text, "0") == digits)
        return 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcasecmp(text + digits, units[i]) == 0)
            return 1;
    return 0;
}

static char *size_from(const char *variable, const char *built_in)
{
    const char *wish = getenv(variable);
    if (wish == NULL || *wish == '\0')
        return (char *)built_in;
    if (!is_size(wish)) {
        fprintf(stderr, "%s=%s is not a size: write a number and KiB, MiB or GiB, such as 4GiB\n", variable, wish);
        exit(2);
    }
    return (char *)wish;
}

/* The runtime parses its own options first and stops at --end-runtime-options, so none of the program's are taken. */
int main(int argc, char *argv[], char *envp[])
{
    char *options[] = {
        "--noinform", "--disable-ldb",
        "--dynamic-space-size", size_from("MONOLISP_HEAP", monolisp_heap),
        "--control-stack-size", size_from("MONOLISP_STACK", monolisp_stack),
        "--end-runtime-options",
    };
    enum { OPTIONS = sizeof options / sizeof *options };
    static char *nobody[] = {"", NULL};
    if (argc == 0)
        argc = 1, argv = nobody;
    char **all = malloc((argc + OPTIONS + 1) * sizeof *all);
    if (all == NULL) {
        perror(argv[0]);
        return 1;
    }
    all[0] = argv[0];
    memcpy(all + 1, options, sizeof options);
    memcpy(all + 1 + OPTIONS, argv + 1, argc * sizeof *argv);
    return initialize_lisp(argc + OPTIONS, all, envp);
}

/* Where this file is: the core is in it. Without /proc the kernel's own record of the path that was executed serves,
   whatever argv[0] says. */
char *os_get_runtime_executable_path(void)
{
    char path[PATH_MAX + 1];
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
    if (length > 0) {
        path[length] = '\0';
        if (access(path, R_OK) == 0)
            return strdup(path);
    }
    const char *executed = (const char *)getauxval(AT_EXECFN);
    return executed != NULL ? realpath(executed, NULL) : NULL;
}

/* Called once the core is mapped. The linker has filled the table; what nothing defines gets SBCL's own routine that
   raises an undefined-alien error. */
uintptr_t *get_alien_linkage_table_initializer(void)
{
    uintptr_t trap = (uintptr_t)get_asm_routine_by_name("UNDEFINED-ALIEN-TRAMP", NULL);
    for (size_t i = 0; i < monolisp_linkage_count; i++) {
        if (monolisp_linkage_kinds[i] == UNDEFINED_FUNCTION)
            alien_linkage_values[i] = trap;
        else if (monolisp_linkage_kinds[i] == UNDEFINED_DATA)
            alien_linkage_values[i] = undefined_alien_address;
    }
    return alien_linkage_values;
}
