/* What clerk.c offers to desk.c and dump.c. */

#ifndef MONOLISP_CLERK_H
#define MONOLISP_CLERK_H

#include <sys/types.h>

/* The command to start, or NULL where there is none. */
const char *monolisp_clerk(void);
/* Add a line to the journal. */
void monolisp_note(const char *what, const char *name);
void monolisp_forget_last(void);
int monolisp_journal(void);
/* Have the last line of the journal answered: the descriptor to read from, or -1. */
int monolisp_start_clerk(pid_t *child);
void monolisp_end_clerk(pid_t child);

#endif
