/* In an executable that SBCL dumped, whose toplevel function is the user's: when it is only tried, it ends once its core
   is mapped. What `monolisp build` makes goes further, into Lisp (lisp/program.lisp). */

#include <stdlib.h>
#include <unistd.h>

void monolisp_probe(void)
{
    if (getenv("MONOLISP_PROBE") != NULL)
        _exit(0);
}
