/* Thread-local variables through a function call, as clang's -femulated-tls compiles them. Libraries are compiled so
   because a build runtime takes them in while it runs, when the thread area is laid out already.
   Source of the interface: LLVM compiler-rt, lib/builtins/emutls.c. */

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct control {
    size_t size;
    size_t align;
    uintptr_t index; /* from 1; 0: not used yet */
    const void *value; /* what a new thread's copy begins with; NULL: zeros */
};

struct thread {
    size_t count;
    void *copies[];
};

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uintptr_t last;

static void release(void *data)
{
    struct thread *thread = data;
    for (size_t i = 0; i < thread->count; i++)
        free(thread->copies[i]);
    free(thread);
}

static void prepare(void)
{
    if (pthread_key_create(&key, release) != 0)
        abort();
}

static uintptr_t index_of(struct control *control)
{
    uintptr_t index = __atomic_load_n(&control->index, __ATOMIC_ACQUIRE);
    if (index == 0) {
        pthread_once(&once, prepare);
        pthread_mutex_lock(&lock);
        index = control->index;
        if (index == 0)
            __atomic_store_n(&control->index, index = ++last, __ATOMIC_RELEASE);
        pthread_mutex_unlock(&lock);
    }
    return index;
}

static struct thread *grown(struct thread *thread, size_t count)
{
    size_t before = thread != NULL ? thread->count : 0;
    thread = realloc(thread, sizeof *thread + count * sizeof *thread->copies);
    if (thread == NULL)
        abort();
    memset(thread->copies + before, 0, (count - before) * sizeof *thread->copies);
    thread->count = count;
    pthread_setspecific(key, thread);
    return thread;
}

static void *new_copy(const struct control *control)
{
    void *copy = NULL;
    size_t align = control->align < sizeof(void *) ? sizeof(void *) : control->align;
    if (posix_memalign(&copy, align, control->size) != 0)
        abort();
    if (control->value != NULL)
        memcpy(copy, control->value, control->size);
    else
        memset(copy, 0, control->size);
    return copy;
}

void *__emutls_get_address(struct control *control)
{
    uintptr_t index = index_of(control);
    struct thread *thread = pthread_getspecific(key);
    if (thread == NULL || thread->count < index)
        thread = grown(thread, index + 15);
    void **copy = &thread->copies[index - 1];
    if (*copy == NULL)
        *copy = new_copy(control);
    return *copy;
}
