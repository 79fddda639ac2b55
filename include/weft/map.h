/*
 * weft/map.h - a map that goroutines may use at one time: Go's sync.Map, of void * values.
 *
 * weft_map is the caller's storage, zeroed is empty and ready; weft_map_free gives its memory back.
 *
 * Keys. The key argument k of each call may be an integer or enum, a pointer, or a string: char * and const char * are
 * strings, compared by content and copied; other pointers and integers are compared as 64-bit numbers. Numbers and strings
 * never equal each other. k is evaluated once. A floating number, a struct or an __int128 is a
 * compile error.
 *
 * Values are the caller's: the map keeps the pointer. NULL is a value like others.
 *
 * A load, and a store or swap of a key that is there, take no lock; but where a shard is growing, and in all other calls, one
 * may park for a moment, on a shard that another goroutine is changing. What was done before a store happens
 * before what follows a load that sees it.
 * Source  Go sync.Map.
 */
#ifndef WEFT_MAP_H
#define WEFT_MAP_H
#include <weft/sync.h>

#pragma GCC system_header

/* A key: a number in u when s is NULL, else the string s. */
typedef struct weft_map_key {
    uint64_t u;
    const char *s;
} weft_map_key;

struct weft__map_table;
typedef struct weft_map {
    struct weft__map_table *_Atomic weft__table;
} weft_map;

/* 1: an integer, char, enum, bool or pointer; the others would lose something on the way to a number */
#define WEFT__MAP_KEY_FITS(k) \
    (__builtin_classify_type(k) >= 1 && __builtin_classify_type(k) <= 5 && \
     _Generic((k), __int128: 0, unsigned __int128: 0, default: 1))
#define WEFT__MAP_KEY(k)                                                                        \
    weft__map_key(_Generic((k), char *: 1, const char *: 1, default: 0) +                       \
                      0 * sizeof(struct {                                                       \
                          _Static_assert(WEFT__MAP_KEY_FITS(k), "weft_map: a key is an integer, a pointer or a string"); \
                          int weft__i;                                                          \
                      }),                                                                       \
                  (uint64_t)(uintptr_t)(k))
static inline __attribute__((unused)) weft_map_key weft__map_key(int is_string, uint64_t bits)
{
    return is_string ? (weft_map_key){0, (const char *)(uintptr_t)bits} : (weft_map_key){bits, NULL};
}

/** weft_map_load(&m, k, &out) - true and *out: the value for k; false and NULL: there is none. out may be NULL. Go Map.Load. */
#define weft_map_load(m, k, ret_out) weft__map_load(m, WEFT__MAP_KEY(k), ret_out)
WEFT_API WEFT_PARKS bool weft__map_load(weft_map *m, weft_map_key k, void **ret_out);

/** weft_map_store(&m, k, v) - set the value for k. Go Map.Store. */
#define weft_map_store(m, k, v) weft__map_store(m, WEFT__MAP_KEY(k), v)
WEFT_API WEFT_PARKS void weft__map_store(weft_map *m, weft_map_key k, const void *v);

/** weft_map_load_or_store(&m, k, v, &out) - true: *out is the value there was; false: it is v, stored now. */
#define weft_map_load_or_store(m, k, v, ret_out) weft__map_load_or_store(m, WEFT__MAP_KEY(k), v, ret_out)
WEFT_API WEFT_PARKS bool weft__map_load_or_store(weft_map *m, weft_map_key k, const void *v, void **ret_out);

/** weft_map_load_and_delete(&m, k, &out) - take k out; true and *out: the value it had; else false and NULL. Go Map.LoadAndDelete. */
#define weft_map_load_and_delete(m, k, ret_out) weft__map_load_and_delete(m, WEFT__MAP_KEY(k), ret_out)
WEFT_API WEFT_PARKS bool weft__map_load_and_delete(weft_map *m, weft_map_key k, void **ret_out);

/** weft_map_delete(&m, k) - take k out, if it is there. Go Map.Delete. */
#define weft_map_delete(m, k) ((void)weft__map_load_and_delete(m, WEFT__MAP_KEY(k), NULL))

/** weft_map_swap(&m, k, v, &out) - set the value for k; true and *out: the one before; false and NULL: there was none. */
#define weft_map_swap(m, k, v, ret_out) weft__map_swap(m, WEFT__MAP_KEY(k), v, ret_out)
WEFT_API WEFT_PARKS bool weft__map_swap(weft_map *m, weft_map_key k, const void *v, void **ret_out);

/** weft_map_compare_and_swap(&m, k, old, new) - set it to new if k is there with old. Returns whether it did. */
#define weft_map_compare_and_swap(m, k, old_v, new_v) weft__map_compare_and_swap(m, WEFT__MAP_KEY(k), old_v, new_v)
WEFT_API WEFT_PARKS bool weft__map_compare_and_swap(weft_map *m, weft_map_key k, const void *old_v, const void *new_v);

/** weft_map_compare_and_delete(&m, k, old) - take k out if it is there with old. Returns whether it did. */
#define weft_map_compare_and_delete(m, k, old_v) weft__map_compare_and_delete(m, WEFT__MAP_KEY(k), old_v)
WEFT_API WEFT_PARKS bool weft__map_compare_and_delete(weft_map *m, weft_map_key k, const void *old_v);

/** weft_map_clear - take all keys out. Go Map.Clear. */
WEFT_API WEFT_PARKS void weft_map_clear(weft_map *m);

/**
 * weft_map_range - fn(key, value, arg) for each key, until it returns false.
 *
 * Parks     for a moment, as all calls here; fn may park as well.
 *
 * No key is visited twice. fn may use the map. Keys that are stored or taken out meanwhile may be visited or not. A string
 * key stays good until fn returns. Source: Go Map.Range.
 */
WEFT_API WEFT_PARKS void weft_map_range(weft_map *m, bool (*fn)(weft_map_key k, void *v, void *arg), void *arg);

/** weft_map_free - give all memory back; nobody else may be using the map. It is empty and ready again. */
WEFT_API WEFT_PARKS void weft_map_free(weft_map *m);

#endif
