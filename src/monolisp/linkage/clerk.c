/* In the SBCL that `monolisp sbcl` starts, no monolisp waits at a desk: a clerk is started when there is something to
   do, and ends with it. Its command is the file "clerk" in the directory above the runtime's own; where that is not
   there, as in a build, nobody is.

   A clerk is told everything that was asked before, so it needs no memory of its own: the journal, one line for each
   question, in order, on its standard input. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "clerk.h"

extern char **environ;
extern char *sbcl_runtime; /* SBCL's: its own path */

static char *journal; /* grows by whole lines */
static size_t journal_length;

const char *monolisp_clerk(void)
{
    static char path[PATH_MAX];
    if (path[0] == '\0' && sbcl_runtime != NULL && strlen(sbcl_runtime) + 16 < sizeof path) {
        strcpy(path, sbcl_runtime);
        for (int up = 0; up < 2; up++) {
            char *slash = strrchr(path, '/');
            if (slash != NULL)
                *slash = '\0';
        }
        strcat(path, "/clerk");
        if (access(path, X_OK) != 0)
            strcpy(path, "?");
    }
    return path[0] == '/' ? path : NULL;
}

/* A question, what it is about, and where it was asked: the journal outlives a change of directory. What has a line
   break or a tab in it is no name, and is not kept. */
void monolisp_note(const char *what, const char *name)
{
    char here[PATH_MAX];
    if (strpbrk(name, "\n\t") != NULL)
        return;
    if (getcwd(here, sizeof here) == NULL || strpbrk(here, "\n\t") != NULL)
        here[0] = '\0';
    char *longer = realloc(journal, journal_length + strlen(what) + strlen(name) + strlen(here) + 4);
    if (longer == NULL)
        return;
    journal = longer;
    journal_length += sprintf(journal + journal_length, "%s\t%s\t%s\n", what, name, here);
}

/* A question that got no library is as if it had not been asked. */
void monolisp_forget_last(void)
{
    if (journal_length > 0)
        journal_length--;
    while (journal_length > 0 && journal[journal_length - 1] != '\n')
        journal_length--;
}

/* A file in memory that holds the journal, to be read from its beginning. */
int monolisp_journal(void)
{
    int file = memfd_create("monolisp journal", 0);
    size_t written = 0;
    while (file >= 0 && written < journal_length) {
        ssize_t count = write(file, journal + written, journal_length - written);
        if (count < 0 && errno != EINTR)
            break;
        written += count > 0 ? count : 0;
    }
    if (file >= 0)
        lseek(file, 0, SEEK_SET);
    return file;
}

static pid_t start(const char *command, int input, int output)
{
    char *arguments[] = {(char *)command, "answer", NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t ways;
    sigset_t none, all;
    pid_t child;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, input, 0);
    posix_spawn_file_actions_adddup2(&files, output, 1);
    posix_spawnattr_init(&ways);
    posix_spawnattr_setflags(&ways, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&ways, &none);
    posix_spawnattr_setsigdefault(&ways, &all);
    int failed = posix_spawn(&child, command, &files, &ways, arguments, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&ways);
    return failed ? -1 : child;
}

int monolisp_start_clerk(pid_t *child)
{
    int ends[2];
    const char *command = monolisp_clerk();
    if (command == NULL || pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    int input = monolisp_journal();
    *child = start(command, input, ends[1]);
    close(input);
    close(ends[1]);
    if (*child >= 0)
        return ends[0];
    close(ends[0]);
    return -1;
}

void monolisp_end_clerk(pid_t child)
{
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}
