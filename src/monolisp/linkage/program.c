/* What every finished executable has: its own path, the linkage table. Its main is start.c's, or SBCL's own.

   SBCL's runtime object brings `initialize_lisp`; some of its functions are made weak when the toolchain is built
   (see toolchain/runtime.py) and replaced here. Source of the interfaces: SBCL src/runtime/runtime.c, os-common.c and
   coreparse.c, 2.6.4. */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* Generated: see linkage/table.py. */
extern uintptr_t alien_linkage_values[];
extern const uint8_t monolisp_linkage_kinds[];
extern const size_t monolisp_linkage_count;
extern const int monolisp_prelinked; /* 0: SBCL looks its names up, one by one, when the program starts */
/* probe.c's, where it is. */
extern void monolisp_probe(void) __attribute__((weak));
enum { DEFINED, UNDEFINED_FUNCTION, UNDEFINED_DATA };

/* SBCL's. */
extern char *get_asm_routine_by_name(const char *name, int *index);
extern uintptr_t undefined_alien_address;

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

#ifdef __riscv
/* SBCL's own looks into /proc/cpuinfo for an emulator whose memory and signals it must not trust. It crashes where there
   is no /proc, and prints that file where it finds one: this one stays silent, and trusts what says that it is real. */
extern int riscv_user_emulation, mmap_does_not_zero, sigaction_does_not_mask;
extern bool allocate_hardwired_spaces(bool hard_failp);

int os_preinit(char *argv[], char *envp[])
{
    char line[100];
    int real = 0;
    FILE *file = fopen("/proc/cpuinfo", "r");
    for (int i = 0; file != NULL && i < 2 && fgets(line, sizeof line, file) != NULL; i++)
        real |= strstr(line, "hart") != NULL;
    if (file != NULL)
        fclose(file);
    if (!real)
        riscv_user_emulation = mmap_does_not_zero = sigaction_does_not_mask = 1;
    (void)argv, (void)envp;
    return allocate_hardwired_spaces(false);
}
#endif

/* Where calls of what nothing defines lead: to SBCL's own routine. */
#if defined __x86_64__ || defined __aarch64__
static uintptr_t undefined_function(void)
{
    uintptr_t routine = (uintptr_t)get_asm_routine_by_name("UNDEFINED-ALIEN-TRAMP", NULL);
#ifdef __aarch64__
    /* Its first instruction overwrites the return address of whoever called, so that a program which handles the error
       would not find its way back. */
    const uint32_t save_link = 0xF90007BE; /* str lr, [cfp, #8] */
    if (*(const uint32_t *)routine == save_link)
        routine += sizeof save_link;
#endif
    return routine;
}
#else
extern void undefined_alien_function(void); /* in the runtime's assembler file */
static uintptr_t undefined_function(void)
{
    return (uintptr_t)undefined_alien_function;
}
#endif

/* Called once the core is mapped. The linker has filled the table; what nothing defines gets SBCL's own routine that
   raises an undefined-alien error. */
uintptr_t *get_alien_linkage_table_initializer(void)
{
    if (monolisp_probe != NULL)
        monolisp_probe();
    if (!monolisp_prelinked)
        return NULL;
    uintptr_t trap = undefined_function();
    for (size_t i = 0; i < monolisp_linkage_count; i++) {
        if (monolisp_linkage_kinds[i] == UNDEFINED_FUNCTION)
            alien_linkage_values[i] = trap;
        else if (monolisp_linkage_kinds[i] == UNDEFINED_DATA)
            alien_linkage_values[i] = undefined_alien_address;
    }
    return alien_linkage_values;
}
