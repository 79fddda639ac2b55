/*
 * line.c - source lines of addresses, by elfutils' libdw when the machine has it.
 *
 * Role    Load libdw.so.1 at the first report that wants lines; without it dumps show module and offset.
 * Near    where.c. Layer 2. The few prototypes are elfutils' public ones (elfutils/libdwfl.h), declared here so that
 *         the library neither needs its headers nor links to it.
 * Limits  Debug information inside the files only: separate files might be fetched over the network. The innermost
 *         inlined line is shown under the name of the function it was inlined into. Reporter only (report.c, D1).
 * Failure Anything missing: no line.
 */
#include "diag.h"

#include <dlfcn.h>
#include <unistd.h>

#include "../sys/sys.h"

struct line_callbacks { /* Dwfl_Callbacks */
    void *find_elf;
    int (*find_debuginfo)(void);
    void *section_address;
    char **debuginfo_path;
};

static struct {
    bool tried;
    void *dwfl;
    void *(*begin)(const struct line_callbacks *);
    int (*proc_report)(void *dwfl, pid_t pid);
    int (*report_end)(void *dwfl, void *removed, void *arg);
    void *(*addrmodule)(void *dwfl, uint64_t addr);
    void *(*getsrc)(void *module, uint64_t addr);
    const char *(*lineinfo)(void *line, uint64_t *addr, int *line_no, int *col, uint64_t *mtime, uint64_t *len);
} line_dw;

static int line_no_debuginfo(void)
{
    return -1;
}

static bool line_load(void)
{
    static struct line_callbacks cb = {.find_debuginfo = line_no_debuginfo};
    void *lib = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);

    if (!lib)
        return false;
    *(void **)&line_dw.begin = dlsym(lib, "dwfl_begin");
    *(void **)&line_dw.proc_report = dlsym(lib, "dwfl_linux_proc_report");
    *(void **)&line_dw.report_end = dlsym(lib, "dwfl_report_end");
    *(void **)&line_dw.addrmodule = dlsym(lib, "dwfl_addrmodule");
    *(void **)&line_dw.getsrc = dlsym(lib, "dwfl_module_getsrc");
    *(void **)&line_dw.lineinfo = dlsym(lib, "dwfl_lineinfo");
    cb.find_elf = dlsym(lib, "dwfl_linux_proc_find_elf");
    if (!line_dw.begin || !line_dw.proc_report || !line_dw.report_end || !line_dw.addrmodule || !line_dw.getsrc ||
        !line_dw.lineinfo || !cb.find_elf)
        return false;
    line_dw.dwfl = line_dw.begin(&cb);
    return line_dw.dwfl && line_dw.proc_report(line_dw.dwfl, weft__sys_pid()) == 0 &&
           line_dw.report_end(line_dw.dwfl, NULL, NULL) == 0;
}

bool weft__line_find(uintptr_t pc, const char **ret_file, int *ret_line)
{
    static bool loaded;

    if (!line_dw.tried) {
        line_dw.tried = true;
        loaded = line_load();
    }
    if (!loaded)
        return false;
    void *module = line_dw.addrmodule(line_dw.dwfl, pc);
    void *line = module ? line_dw.getsrc(module, pc) : NULL;
    int no = 0;
    const char *file = line ? line_dw.lineinfo(line, NULL, &no, NULL, NULL, NULL) : NULL;
    if (!file)
        return false;
    *ret_file = file;
    *ret_line = no;
    return true;
}
