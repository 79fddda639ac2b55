/*
 * small_probe.c - a function whose check the linker must change: compiled with -fsplit-stack, it calls code without it.
 */
#include <weft/go.h>

uint64_t weft__small_probe(uint64_t n);
uint64_t weft__small_probe(uint64_t n)
{
    return weft_goid() + n;
}
