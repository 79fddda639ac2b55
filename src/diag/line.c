/*
 * line.c - source lines of addresses, by elfutils' libdw when the machine has it.
 *
 * Role    Load libdw.so.1 at the first report that wants lines; without it dumps show module and offset.
 * Near    where.c. Layer 2. The few prototypes are elfutils' public ones (elfutils/libdwfl.h), declared here so that
 *         the library neither needs its headers nor links to it.
 * Limits  Debug information inside the files only: separate files might be fetched over the network. The innermost
 *         inlined line is shown under the name of the function it was inlined into. Reporter only (report.c, Z1).
 * Failure Anything missing: no line.
 */
#include "diag.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "../sys/sys.h"

struct line_callbacks { /* Dwfl_Callbacks */
    void *find_elf;
    int (*find_debuginfo)(void);
    void *section_address;
    char **debuginfo_path;
};

static struct {
    void *dwfl;
    void *(*begin)(const struct line_callbacks *);
    int (*proc_report)(void *dwfl, pid_t pid);
    int (*report_end)(void *dwfl, void *removed, void *arg);
    void *(*addrmodule)(void *dwfl, uint64_t addr);
    void *(*getsrc)(void *module, uint64_t addr);
    const char *(*lineinfo)(void *line, uint64_t *addr, int *line_no, int *col, uint64_t *mtime, uint64_t *len);
    void *(*nextcu)(void *module, void *last, uint64_t *bias);
    int (*haspc)(void *die, uint64_t addr);
    void *(*getsrc_die)(void *die, uint64_t addr);
    const char *(*linesrc)(void *line, uint64_t *mtime, uint64_t *len);
    int (*lineno)(void *line, int *line_no);
} line_dw;

static int line_no_debuginfo(void)
{
    return -1;
}

static bool line_load(void)
{
    static struct line_callbacks cb = {.find_debuginfo = line_no_debuginfo};
    const struct {
        const char *name;
        void *to;
    } need[] = {{"dwfl_begin", &line_dw.begin},           {"dwfl_linux_proc_report", &line_dw.proc_report},
                {"dwfl_report_end", &line_dw.report_end}, {"dwfl_addrmodule", &line_dw.addrmodule},
                {"dwfl_module_getsrc", &line_dw.getsrc},  {"dwfl_lineinfo", &line_dw.lineinfo},
                {"dwfl_module_nextcu", &line_dw.nextcu},  {"dwarf_haspc", &line_dw.haspc},
                {"dwarf_getsrc_die", &line_dw.getsrc_die}, {"dwarf_linesrc", &line_dw.linesrc},
                {"dwarf_lineno", &line_dw.lineno},        {"dwfl_linux_proc_find_elf", &cb.find_elf}};
    void *lib = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);

    if (!lib)
        return false;
    for (size_t i = 0; i < sizeof need / sizeof need[0]; i++) {
        void *f = dlsym(lib, need[i].name);
        if (!f)
            return false;
        memcpy(need[i].to, &f, sizeof f);
    }
    line_dw.dwfl = line_dw.begin(&cb);
    return line_dw.dwfl && line_dw.proc_report(line_dw.dwfl, weft__sys_pid()) == 0 &&
           line_dw.report_end(line_dw.dwfl, NULL, NULL) == 0;
}

/* clang writes no table of address ranges: ask each unit. */
static bool line_search(void *module, uintptr_t pc, const char **ret_file, int *ret_line)
{
    uint64_t bias = 0;

    for (void *cu = NULL; (cu = line_dw.nextcu(module, cu, &bias));) {
        if (line_dw.haspc(cu, pc - bias) <= 0)
            continue;
        void *line = line_dw.getsrc_die(cu, pc - bias);
        const char *file = line ? line_dw.linesrc(line, NULL, NULL) : NULL;
        if (!file || line_dw.lineno(line, ret_line) != 0)
            return false;
        *ret_file = file;
        return true;
    }
    return false;
}

bool weft__line_find(uintptr_t pc, const char **ret_file, int *ret_line)
{
    static bool tried, loaded;

    if (!tried) {
        tried = true;
        loaded = line_load();
    }
    void *module = loaded ? line_dw.addrmodule(line_dw.dwfl, pc) : NULL;
    if (!module)
        return false;
    void *line = line_dw.getsrc(module, pc);
    int no = 0;
    const char *file = line ? line_dw.lineinfo(line, NULL, &no, NULL, NULL, NULL) : NULL;
    if (!file)
        return line_search(module, pc, ret_file, ret_line);
    *ret_file = file;
    *ret_line = no;
    return true;
}
