/* In a build runtime, a library that is not inside is asked for at the desk: monolisp, at the other end of a socket.

   It supplies the library as an image: a static ELF file that was linked for a fixed address, against the very
   functions and variables of this process. So an image is only mapped, never relocated, and C code in it shares libc
   with Lisp. A question is one line; so is the answer: "+" and the path of an image (none when there is nothing to
   map), or "-" and the reason. Without the variable MONOLISP_DESK a clerk is asked, where there is one (clerk.c).
   Source: System V gABI, chapters 4 and 5. */

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "clerk.h"
#include "tables.h"

struct image {
    struct image *next;
    struct monolisp_symbol *symbols; /* sorted by strcmp */
    size_t count;
    char path[];
};

static struct image *images; /* in the order in which they were mapped; only ever grows */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* --- asking ----------------------------------------------------------------------------------------------------- */

/* The desk of a build is not for an SBCL with a clerk, which may run somewhere below that build. */
static int connected(void)
{
    const char *path = monolisp_clerk() == NULL ? getenv("MONOLISP_DESK") : NULL;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || strlen(path) >= sizeof address.sun_path)
        return -1;
    strcpy(address.sun_path, path);
    int desk = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (desk >= 0 && connect(desk, (struct sockaddr *)&address, sizeof address) != 0) {
        close(desk);
        return -1;
    }
    return desk;
}

/* One line, without its end. */
static int read_line(int file, char *line, size_t size)
{
    size_t length = 0;
    while (length + 1 < size) {
        ssize_t got = read(file, line + length, size - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += got;
        if (line[length - 1] == '\n')
            break;
    }
    if (length == 0 || line[length - 1] != '\n')
        return -1;
    line[length - 1] = '\0';
    return 0;
}

/* One line out, one line back. A question with a line break or a tab in it has no answer. */
enum { ANSWERED, FAILED = -1, NOBODY = -2 };
static int ask(const char *what, const char *name, char *answer, size_t size)
{
    pid_t clerk = 0;
    if (strpbrk(name, "\n\t") != NULL)
        return NOBODY;
    int desk = connected();
    if (desk >= 0) {
        dprintf(desk, "%s\t%s\n", what, name);
    } else if (monolisp_clerk() != NULL) {
        monolisp_note(what, name);
        desk = monolisp_start_clerk(&clerk);
        if (desk < 0)
            return FAILED;
    } else {
        return NOBODY;
    }
    int answered = read_line(desk, answer, size);
    close(desk);
    if (clerk != 0)
        monolisp_end_clerk(clerk);
    return answered;
}

/* --- mapping ---------------------------------------------------------------------------------------------------- */

static int map_segment(int file, const Elf64_Phdr *segment)
{
    uintptr_t page = sysconf(_SC_PAGESIZE);
    uintptr_t begin = segment->p_vaddr & -page, shift = segment->p_vaddr - begin;
    uintptr_t filled = segment->p_vaddr + segment->p_filesz, end = segment->p_vaddr + segment->p_memsz;
    uintptr_t mapped = (filled + page - 1) & -page;
    int protection = (segment->p_flags & PF_R ? PROT_READ : 0) | (segment->p_flags & PF_W ? PROT_WRITE : 0)
        | (segment->p_flags & PF_X ? PROT_EXEC : 0);
    int flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE;
    if (filled > segment->p_vaddr) {
        if (mmap((void *)begin, mapped - begin, protection, flags, file, segment->p_offset - shift) != (void *)begin)
            return -1;
        if (end > filled && segment->p_flags & PF_W)
            memset((void *)filled, 0, (end < mapped ? end : mapped) - filled);
    } else {
        mapped = begin;
    }
    if (end > mapped
        && mmap((void *)mapped, end - mapped, protection, flags | MAP_ANONYMOUS, -1, 0) != (void *)mapped)
        return -1;
    return 0;
}

static int by_name(const void *one, const void *other)
{
    return strcmp(((const struct monolisp_symbol *)one)->name, ((const struct monolisp_symbol *)other)->name);
}

/* What other objects could refer to before the link, which makes hidden names local: curl's whole interface is hidden in
   its static library. Those that begin with an underscore are a library's own, as in names.py. */
static int is_offered(const Elf64_Sym *symbol, const char *name)
{
    int bind = ELF64_ST_BIND(symbol->st_info), type = ELF64_ST_TYPE(symbol->st_info);
    int hidden = ELF64_ST_VISIBILITY(symbol->st_other) == STV_HIDDEN && name[0] != '_';
    return (bind == STB_GLOBAL || bind == STB_WEAK || hidden) && symbol->st_shndx != SHN_UNDEF
        && symbol->st_shndx != SHN_ABS && (type == STT_FUNC || type == STT_OBJECT || type == STT_NOTYPE);
}

static void take_symbols(struct image *image, const char *content, const Elf64_Shdr *sections, const Elf64_Shdr *table)
{
    const Elf64_Sym *symbols = (const Elf64_Sym *)(content + table->sh_offset);
    const char *names = content + sections[table->sh_link].sh_offset;
    size_t count = table->sh_size / sizeof *symbols;
    image->symbols = malloc((count + 1) * sizeof *image->symbols);
    for (size_t i = 0; image->symbols != NULL && i < count; i++)
        if (is_offered(&symbols[i], names + symbols[i].st_name))
            image->symbols[image->count++] =
                (struct monolisp_symbol){names + symbols[i].st_name, (void *)symbols[i].st_value};
    qsort(image->symbols, image->count, sizeof *image->symbols, by_name);
}

static void run_constructors(const Elf64_Shdr *section)
{
    void (**functions)(void) = (void (**)(void))section->sh_addr;
    for (size_t i = 0; i < section->sh_size / sizeof *functions; i++)
        functions[i]();
}

/* The whole file stays mapped as well: the names of its symbols are read where they are. */
static const char *map_image(struct image *image)
{
    int file = open(image->path, O_RDONLY | O_CLOEXEC);
    struct stat facts;
    if (file < 0 || fstat(file, &facts) != 0)
        return "its image cannot be opened";
    const char *content = mmap(NULL, facts.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (content == MAP_FAILED)
        return "its image cannot be read";
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)content;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(content + header->e_phoff);
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(content + header->e_shoff);
    for (int i = 0; i < header->e_phnum; i++)
        if (segments[i].p_type == PT_LOAD && segments[i].p_memsz > 0 && map_segment(file, &segments[i]) != 0)
            return "its place in memory is taken (a library that changed since it was loaded needs a new SBCL)";
    close(file);
    for (int i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_type == SHT_SYMTAB)
            take_symbols(image, content, sections, &sections[i]);
    for (int i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_type == SHT_INIT_ARRAY)
            run_constructors(&sections[i]);
    return NULL;
}

/* Map what is not mapped yet. Returns NULL, or what went wrong. */
static const char *take_in(const char *path)
{
    struct image **end = &images;
    for (; *end != NULL; end = &(*end)->next)
        if (strcmp((*end)->path, path) == 0)
            return NULL;
    struct image *image = calloc(1, sizeof *image + strlen(path) + 1);
    if (image == NULL)
        return "out of memory";
    strcpy(image->path, path);
    const char *fault = map_image(image);
    if (fault == NULL)
        *end = image;
    return fault;
}

/* --- what dl.c calls -------------------------------------------------------------------------------------------- */

/* Is the library `name` to be had, and is it in place now? Otherwise `message` says why not. An answer may name
   several images, one after the other, separated by tabs. */
int monolisp_desk_open(const char *name, char *message, size_t size)
{
    static char answer[65536];
    int found = 0;
    pthread_mutex_lock(&lock);
    int asked = ask("library", name, answer, sizeof answer);
    if (asked == 0) {
        const char *fault = answer[0] == '+' ? NULL : answer + 1;
        for (char *rest = answer + 1, *path; fault == NULL && (path = strsep(&rest, "\t")) != NULL;)
            fault = *path != '\0' ? take_in(path) : NULL;
        found = fault == NULL;
        if (!found)
            snprintf(message, size, "%s: %s", name, fault);
    }
    if (!found && asked != NOBODY && monolisp_clerk() != NULL)
        monolisp_forget_last();
    pthread_mutex_unlock(&lock);
    return found;
}

void *monolisp_desk_symbol(const char *name)
{
    struct monolisp_symbol wanted = {name, NULL};
    for (struct image *image = images; image != NULL; image = image->next) {
        const struct monolisp_symbol *found =
            bsearch(&wanted, image->symbols, image->count, sizeof wanted, by_name);
        if (found != NULL)
            return found->address;
    }
    return NULL;
}

/* Images are linked with this address for names that nothing defines. */
void monolisp_missing(void)
{
    fputs("a C library called a function that none of the libraries linked so far defines\n", stderr);
    abort();
}
