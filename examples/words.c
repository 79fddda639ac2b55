/*
 * words.c - a map that goroutines share, a pool of buffers, and a value that is computed once.
 *
 * Build    cc words.c $(pkg-config --cflags --libs weft) -o words
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

static weft_map counts; /* word -> atomic_int */
static weft_once separators_once;
static const char *separators;

static void *new_buffer(void)
{
    return malloc(64);
}
static weft_pool buffers = {.make = new_buffer};

static const char *find_separators(void)
{
    puts("(computed once)");
    return " ,.";
}

static void count_one(const char *word)
{
    atomic_int *fresh = calloc(1, sizeof *fresh);
    void *n;
    if (weft_map_load_or_store(&counts, word, fresh, &n)) /* true: it was there */
        free(fresh);
    atomic_fetch_add((atomic_int *)n, 1);
}

static void count_words(const char *text)
{
    const char *sep = weft_once_value(&separators_once, &separators, find_separators);
    char *word = weft_pool_get(&buffers);

    for (size_t len; *(text += strspn(text, sep)); text += len) {
        len = strcspn(text, sep);
        snprintf(word, 64, "%.*s", (int)len, text);
        count_one(word); /* the map copies the key */
    }
    weft_pool_put(&buffers, word);
}

static bool give_back(weft_map_key key, void *n, void *total)
{
    (void)key;
    *(int *)total += atomic_load((atomic_int *)n);
    free(n);
    return true; /* go on */
}

int main(void)
{
    static const char *const lines[] = {"the warp, the weft", "the shuttle goes to and fro", "and the cloth grows."};
    weft_waitgroup wg = {0};
    void *the, *and;
    int total = 0;

    for (int i = 0; i < 3; i++)
        weft_waitgroup_go(&wg, count_words, lines[i]);
    weft_waitgroup_wait(&wg);
    if (weft_map_load(&counts, "the", &the) && weft_map_load(&counts, "and", &and))
        printf("the: %d, and: %d\n", *(atomic_int *)the, *(atomic_int *)and);
    weft_map_range(&counts, give_back, &total);
    printf("%d words in all\n", total);
    weft_map_free(&counts);
    weft_pool_clear(&buffers, free);
    return 0;
}
