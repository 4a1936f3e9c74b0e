/* In a build runtime, SBCL saves a core through this. It first tells which names were looked up as names: an executable
   must be able to answer for them.

   In the SBCL that `monolisp sbcl` starts, :executable t makes it save a plain core beside the wanted file, and when it
   exits the clerk takes the place of this process: it makes the executable of the core, and its exit code is the exit
   code. Source of the interface: SBCL src/runtime/save.c, 2.6.4. */

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "clerk.h"

extern void gc_and_save(char *file, int format, bool purify, int options, bool compressed, int level, int application);
enum { CORE, EXECUTABLE };

/* Every name that was looked up, as "name\0name\0…". Most were for the linkage table, where they need no name. */
static char *names;
static size_t names_length, names_room;
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;

void monolisp_keep_name(const char *name)
{
    size_t size = strlen(name) + 1;
    pthread_mutex_lock(&names_lock);
    if (names_length + size > names_room) {
        char *longer = realloc(names, names_room + size + 65536);
        if (longer != NULL)
            names = longer, names_room += size + 65536;
    }
    if (names_length + size <= names_room) {
        memcpy(names + names_length, name, size);
        names_length += size;
    }
    pthread_mutex_unlock(&names_lock);
}

static void each_name(void (*told)(const char *what, const char *name), const char *what)
{
    for (size_t at = 0; at < names_length; at += strlen(names + at) + 1)
        told(what, names + at);
}

static char core[PATH_MAX], executable[PATH_MAX];

/* Beside the executable, so that it is on the same file system; the name tells who was at it. */
static int choose_core(const char *file)
{
    const char *slash = strrchr(file, '/');
    int folder = slash != NULL ? slash + 1 - file : 0;
    int length = snprintf(core, sizeof core, "%.*s.%s.%d.dump", folder, file, file + folder, (int)getpid());
    return snprintf(executable, sizeof executable, "%s", file) < PATH_MAX && length < PATH_MAX;
}

static void hand_over(void)
{
    sigset_t none;
    if (core[0] == '\0')
        return;
    fflush(NULL);
    int journal = monolisp_journal();
    if (journal >= 0)
        dup2(journal, 0);
    for (int signal = 1; signal < NSIG; signal++)
        if (signal != SIGHUP && signal != SIGINT) /* a shell's nohup holds */
            sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execl(monolisp_clerk(), monolisp_clerk(), "finish", core, executable, (char *)NULL);
    fprintf(stderr, "error: %s was not finished: %s cannot be started: %s\n", executable, monolisp_clerk(),
            strerror(errno));
    unlink(core);
    _exit(70);
}

static void report(const char *what, const char *name)
{
    const char *wish = getenv("MONOLISP_RECORD_FD");
    if (wish != NULL)
        dprintf(atoi(wish), "%s%s%c", what, name, 0);
}

void monolisp_gc_and_save(
    char *file, int format, bool purify, int options, bool compressed, int level, int application)
{
    if (monolisp_clerk() == NULL || format != EXECUTABLE) {
        if (getenv("MONOLISP_RECORD_FD") != NULL)
            each_name(report, "S");
        gc_and_save(file, format, purify, options, compressed, level, application);
        return;
    }
    if (!choose_core(file)) {
        fprintf(stderr, "%s: the name is too long\n", file);
        return;
    }
    each_name(monolisp_note, "export");
    atexit(hand_over);
    gc_and_save(core, CORE, purify, options, compressed, level, application);
    /* It did not get as far as writing, and Lisp goes on. */
    unlink(core);
    core[0] = '\0';
}
