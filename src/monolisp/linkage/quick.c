/* In the build runtime, saving a core does not go through the whole heap twice more to check it, which takes a sixth
   of the time of a build. SBCL's own check serves those who work on its collector; here every executable is started
   before it gets its name. Finished executables have SBCL's function.
   Source of the interface: SBCL src/runtime/gc-private.h and save.c, 2.6.4. */

int verify_heap(void *stack_pointer, int flags)
{
    (void)stack_pointer, (void)flags;
    return 0;
}
