/* The main of a program that `monolisp build` made: heap and stack sizes, and no options of SBCL's. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Generated: see linkage/table.py. */
extern const char monolisp_heap[];
extern const char monolisp_stack[];

/* SBCL's. */
extern int initialize_lisp(int argc, char *argv[], char *envp[]);

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
