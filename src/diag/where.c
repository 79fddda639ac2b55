/*
 * where.c - which function an address of code belongs to, static functions too.
 *
 * Role    Read the symbol tables of the program and of the libraries it has loaded, when a report needs them.
 * Near    dump.c; line.c for source lines. Layer 2.
 * Locks   The loader's own, inside dl_iterate_phdr. One thread at a time: the reporter (report.c, Z1).
 * Limits  64 modules, 1,024 remembered addresses; 64-bit ELF of this machine. Inlined functions are not told apart.
 * Failure A file that is gone, stripped or damaged gives no name: the module and the offset remain.
 */
#include "diag.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WHERE_MODULES = 64, WHERE_CACHE = 1024, WHERE_PATH = 512 };

/* A loaded file, with its symbols once they were asked for. */
struct where_module {
    uintptr_t base;                  /* what the loader added to the file's addresses */
    const char *path;
    const char *data;                /* the file, mapped; NULL when it cannot be read */
    size_t bytes;
    const ElfW(Sym) *sym;
    size_t sym_n;
    const char *str;
    size_t str_bytes;
};

struct where_find {
    uintptr_t pc;
    uintptr_t base;
    const char *path;
    bool found;
};

struct where_entry {
    uintptr_t pc;
    bool lines;                      /* the source line was looked for too */
    struct weft__where where;
};

static struct where_module where_modules[WHERE_MODULES];
static unsigned where_modules_n;
static struct where_entry where_cache[WHERE_CACHE];
static char where_exe[WHERE_PATH];

static int where_match(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct where_find *f = arg;

    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uintptr_t lo = info->dlpi_addr + ph->p_vaddr;
        if (ph->p_type == PT_LOAD && f->pc >= lo && f->pc - lo < ph->p_memsz) {
            f->base = info->dlpi_addr;
            f->path = info->dlpi_name;
            f->found = true;
            return 1;
        }
    }
    return 0;
}

static const char *where_exe_path(void)
{
    if (!where_exe[0]) {
        ssize_t n = readlink("/proc/self/exe", where_exe, sizeof where_exe - 1);
        if (n <= 0)
            return "/proc/self/exe";
        where_exe[n] = '\0';
    }
    return where_exe;
}

bool weft__where_module(uintptr_t pc, const char **ret_path, uintptr_t *ret_base)
{
    struct where_find f = {.pc = pc};

    dl_iterate_phdr(where_match, &f);
    if (!f.found)
        return false;
    *ret_path = f.path && f.path[0] ? f.path : where_exe_path();
    *ret_base = f.base;
    return true;
}

bool weft__where_libc(uintptr_t pc)
{
    const char *path, *slash;
    uintptr_t base;

    if (!weft__where_module(pc, &path, &base))
        return false;
    slash = strrchr(path, '/');
    slash = slash ? slash + 1 : path;
    return strncmp(slash, "libc.", 5) == 0 || strncmp(slash, "libc-", 5) == 0 || strncmp(slash, "ld-", 3) == 0;
}

/* [off, off + n * size) lies inside the file. */
static bool where_inside(const struct where_module *m, uint64_t off, uint64_t n, uint64_t size)
{
    return off <= m->bytes && (size == 0 || n <= (m->bytes - off) / size);
}

static bool where_symbols_of(struct where_module *m, const ElfW(Shdr) *sh, unsigned n, uint32_t type)
{
    for (unsigned i = 0; i < n; i++) {
        if (sh[i].sh_type != type || sh[i].sh_link >= n || sh[i].sh_entsize != sizeof(ElfW(Sym)))
            continue;
        const ElfW(Shdr) *str = &sh[sh[i].sh_link];
        if (!where_inside(m, sh[i].sh_offset, sh[i].sh_size, 1) || !where_inside(m, str->sh_offset, str->sh_size, 1) ||
            str->sh_size == 0 || m->data[str->sh_offset + str->sh_size - 1] != '\0')
            continue;
        m->sym = (const void *)(m->data + sh[i].sh_offset);
        m->sym_n = sh[i].sh_size / sizeof(ElfW(Sym));
        m->str = m->data + str->sh_offset;
        m->str_bytes = str->sh_size;
        return true;
    }
    return false;
}

static void where_read(struct where_module *m)
{
    int fd = open(m->path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_size > (off_t)sizeof(ElfW(Ehdr))) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p != MAP_FAILED) {
            m->data = p;
            m->bytes = (size_t)st.st_size;
        }
    }
    close(fd);
    if (!m->data)
        return;
    const ElfW(Ehdr) *eh = (const void *)m->data;
    if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
        eh->e_shentsize != sizeof(ElfW(Shdr)) || !where_inside(m, eh->e_shoff, eh->e_shnum, sizeof(ElfW(Shdr))))
        return;
    const ElfW(Shdr) *sh = (const void *)(m->data + eh->e_shoff);
    if (!where_symbols_of(m, sh, eh->e_shnum, SHT_SYMTAB))
        where_symbols_of(m, sh, eh->e_shnum, SHT_DYNSYM);
}

static struct where_module *where_module_of(uintptr_t pc)
{
    const char *path;
    uintptr_t base;

    if (!weft__where_module(pc, &path, &base))
        return NULL;
    for (unsigned i = 0; i < where_modules_n; i++)
        if (where_modules[i].base == base && strcmp(where_modules[i].path, path) == 0)
            return &where_modules[i];
    if (where_modules_n == WHERE_MODULES)
        return NULL;
    struct where_module *m = &where_modules[where_modules_n++];
    m->base = base;
    m->path = path;
    where_read(m);
    return m;
}

/* The function that holds the file address, or NULL. A sized symbol wins; of several the innermost. */
static const ElfW(Sym) *where_symbol(const struct where_module *m, uintptr_t at)
{
    const ElfW(Sym) *best = NULL;

    for (size_t i = 0; i < m->sym_n; i++) {
        const ElfW(Sym) *s = &m->sym[i];
        unsigned type = ELF64_ST_TYPE(s->st_info);
        if ((type != STT_FUNC && type != STT_GNU_IFUNC) || s->st_shndx == SHN_UNDEF || s->st_name >= m->str_bytes)
            continue;
        if (at < s->st_value || at - s->st_value >= s->st_size)
            continue;
        if (!best || s->st_value > best->st_value)
            best = s;
    }
    return best;
}

void weft__where(uintptr_t pc, bool lines, struct weft__where *ret_where)
{
    struct where_entry *e = &where_cache[(pc ^ pc >> 10) % WHERE_CACHE];

    if (e->pc != pc || (lines && !e->lines)) {
        struct weft__where w = {0};
        struct where_module *m = where_module_of(pc);
        if (m) {
            const ElfW(Sym) *s = where_symbol(m, pc - m->base);
            w.module = m->path;
            w.module_offset = pc - m->base;
            if (s) {
                w.name = m->str + s->st_name;
                w.offset = pc - m->base - s->st_value;
            }
            if (lines && !weft__line_find(pc, &w.file, &w.line))
                w.file = NULL;
        }
        e->pc = pc;
        e->lines = lines;
        e->where = w;
    }
    *ret_where = e->where;
}
