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

/* Every name that was looked up, once each, in order; `places` finds them by a hash. Most were for the linkage table,
   where they need no name. */
static char **names;
static size_t names_count, *places, places_count;
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;

static size_t *place_of(const char *name)
{
    size_t hash = 14695981039346656037u;
    for (const char *at = name; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 1099511628211u;
    for (size_t i = hash;; i++) {
        size_t *place = &places[i & (places_count - 1)];
        if (*place == 0 || strcmp(names[*place - 1], name) == 0)
            return place;
    }
}

/* Room for another name; a place is one more than an index, 0 is none. */
static int make_room(void)
{
    if (2 * (names_count + 1) < places_count)
        return 1;
    size_t count = places_count != 0 ? 2 * places_count : 4096;
    size_t *larger = calloc(count, sizeof *larger);
    char **longer = realloc(names, count / 2 * sizeof *names);
    if (longer != NULL)
        names = longer;
    if (larger == NULL || longer == NULL) {
        free(larger);
        return 0;
    }
    free(places);
    places = larger, places_count = count;
    for (size_t i = 0; i < names_count; i++)
        *place_of(names[i]) = i + 1;
    return 1;
}

void monolisp_keep_name(const char *name)
{
    pthread_mutex_lock(&names_lock);
    if (make_room()) {
        size_t *place = place_of(name);
        char *copy = *place == 0 ? strdup(name) : NULL;
        if (copy != NULL) {
            names[names_count++] = copy;
            *place = names_count;
        }
    }
    pthread_mutex_unlock(&names_lock);
}

/* For face/face.lisp: a plain core takes the names along. */
const char *monolisp_kept_name(size_t index)
{
    return index < names_count ? names[index] : NULL;
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

/* In one go: there are a thousand of them. */
static void report(int file)
{
    size_t size = 0;
    for (size_t i = 0; i < names_count; i++)
        size += strlen(names[i]) + 2;
    char *lines = malloc(size + 1), *end = lines;
    for (size_t i = 0; lines != NULL && i < names_count; i++)
        end += sprintf(end, "S%s", names[i]) + 1;
    for (char *at = lines; at < end;) {
        ssize_t count = write(file, at, end - at);
        if (count < 0 && errno != EINTR)
            break;
        at += count > 0 ? count : 0;
    }
    free(lines);
}

/* A build saves its core by a name that is the same everywhere, so that the core holds nothing of the place. Where the
   core is to be is in the environment. */
static char *place_of_core(char *file)
{
    char *place = getenv("MONOLISP_CORE");
    return strcmp(file, "monolisp.core") == 0 && place != NULL ? place : file;
}

void monolisp_gc_and_save(
    char *file, int format, bool purify, int options, bool compressed, int level, int application)
{
    if (monolisp_clerk() == NULL || format != EXECUTABLE) {
        const char *wish = getenv("MONOLISP_RECORD_FD");
        if (wish != NULL && monolisp_clerk() == NULL)
            report(atoi(wish));
        gc_and_save(place_of_core(file), format, purify, options, compressed, level, application);
        return;
    }
    if (!choose_core(file)) {
        fprintf(stderr, "%s: the name is too long\n", file);
        return;
    }
    for (size_t i = 0; i < names_count; i++)
        monolisp_note("export", names[i]);
    atexit(hand_over);
    gc_and_save(core, CORE, purify, options, compressed, level, application);
    /* It did not get as far as writing, and Lisp goes on. */
    unlink(core);
    core[0] = '\0';
}
