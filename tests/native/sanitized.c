/* Feeds one input to the native reader, as a coverage-guided fuzzer and as a program: cc ... sanitized.c && ./a.out FILE...
 *
 * The first byte chooses the blocks. Each block has a page that cannot be touched behind it and bytes that must not be read
 * before it, so that no read beyond it stays unseen. In blocks and as a whole an input has to give the same. The input also
 * serves as the texts and as the events that the other functions are asked for. */
#include <assert.h>
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/shoplake/engines/native/plain.c"

/* What the fuzzer's coverage is of: the code under test, not its judge. */
#ifdef __clang__
#define JUDGE __attribute__((no_sanitize("coverage"))) static
#else
#define JUDGE static
#endif
enum { SOME = 8 }; /* of the earlier texts each one is compared with */

static const uint16_t REQUIRED[TYPES] = {0x3f, 0xff, 0x3f, 0xff, 0x10f};

/* Memory that ends where a page begins that cannot be touched. It is used again and again: making it takes long. */
typedef struct {
    uint8_t *start;
    int64_t size;
} Area;

/* A copy of some bytes at the very end of an area. The sanitizer watches over what lies before it. */
JUDGE uint8_t *guarded(Area *area, Bytes data, int64_t size) {
    int64_t page = sysconf(_SC_PAGESIZE);
    if (!area->start || area->size < size) { /* NULL has no place before it, not even at a distance of 0 */
        if (area->start) ASAN_UNPOISON_MEMORY_REGION(area->start, (size_t)area->size);
        if (area->start) munmap(area->start, (size_t)(area->size + page));
        area->size = (size / page + 16) * page;
        area->start = mmap(NULL, (size_t)(area->size + page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert(area->start != MAP_FAILED && !mprotect(area->start + area->size, (size_t)page, PROT_NONE));
    }
    uint8_t *block = area->start + area->size - size;
    ASAN_UNPOISON_MEMORY_REGION(block, (size_t)size);
    ASAN_POISON_MEMORY_REGION(block - page, (size_t)page);
    memcpy(block, data, (size_t)size);
    return block;
}

JUDGE Reader *read_all(Bytes bytes, int64_t size, int64_t step, int64_t longest, uint64_t seed) {
    Reader *reader = shoplake_open(4102444800000000, longest, seed, REQUIRED);
    assert(reader);
    static Area area;
    for (int64_t at = 0; at < size; at += step) {
        int64_t count = size - at < step ? size - at : step;
        uint8_t *block = guarded(&area, bytes + at, count);
        assert(!shoplake_feed(reader, block, count));
        ASAN_POISON_MEMORY_REGION(block, (size_t)count); /* it is free for others now */
    }
    assert(!shoplake_finish(reader));
    return reader;
}

/* The input as the texts of an Arrow array, of 1 to 20 bytes each. */
typedef struct {
    uint8_t *data; /* nothing may be read beyond its end */
    int32_t *offsets, count;
    int64_t size;
} Texts;

JUDGE void *numbers(int64_t count, size_t width) {
    void *found = malloc((size_t)(count + 1) * width);
    assert(found);
    return found;
}

JUDGE Texts texts_of(Bytes data, int64_t size) {
    static Area area;
    Texts texts = {guarded(&area, data, size), numbers(size + 1, sizeof(int32_t)), 0, size};
    texts.offsets[0] = 0;
    for (int64_t at = 0; at < size; texts.count++) {
        at += data[at] % 21 < size - at ? data[at] % 21 + !(data[at] % 21) : size - at;
        texts.offsets[texts.count + 1] = (int32_t)at;
    }
    return texts;
}

JUDGE int64_t length_of(Texts texts, int32_t i) { return texts.offsets[i + 1] - texts.offsets[i]; }

JUDGE int order_of(Texts texts, int32_t i, int32_t j) {
    int64_t mine = length_of(texts, i), other = length_of(texts, j);
    int order = memcmp(texts.data + texts.offsets[i], texts.data + texts.offsets[j], (size_t)(mine < other ? mine : other));
    return order ? order : (mine > other) - (mine < other);
}

JUDGE void check_ranks(Texts texts) {
    int32_t *ranks = numbers(texts.count, sizeof *ranks), *firsts = numbers(texts.count, sizeof *firsts);
    uint64_t *hashes = numbers(texts.count, sizeof *hashes);
    shoplake_hashes(texts.data, texts.offsets, texts.count, 64, 7, hashes);
    int64_t different = shoplake_rank(texts.data, texts.offsets, texts.count, 0, ranks, firsts);
    assert(different >= (texts.count > 0) && different <= texts.count);
    for (int32_t i = 0; i < texts.count; i++) {
        for (int32_t j = 0; j < i && j < SOME; j++) {
            int order = order_of(texts, i, j);
            assert(order < 0 ? ranks[i] < ranks[j] : order > 0 ? ranks[i] > ranks[j] : ranks[i] == ranks[j]);
            assert(order || hashes[i] == hashes[j]);
        }
        assert(ranks[firsts[ranks[i]]] == ranks[i]);
    }
    /* The same behind bytes that all share. */
    int64_t shared = texts.size % 11, size = 0;
    uint8_t *longer = numbers(texts.size + shared * texts.count, 1);
    int32_t *offsets = numbers(texts.count, sizeof *offsets), *others = numbers(texts.count, sizeof *others);
    for (int32_t i = 0; i < texts.count; i++) {
        offsets[i] = (int32_t)size;
        memset(longer + size, 'p', (size_t)shared);
        memcpy(longer + size + shared, texts.data + texts.offsets[i], (size_t)length_of(texts, i));
        size += shared + length_of(texts, i);
    }
    offsets[texts.count] = (int32_t)size;
    static Area area;
    assert(shoplake_rank(guarded(&area, longer, size), offsets, texts.count, shared, others, firsts) == different);
    assert(!memcmp(ranks, others, (size_t)texts.count * sizeof *ranks));
    void *all[] = {ranks, firsts, hashes, longer, offsets, others};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* Codes beside those of the lines that were taken: each stands for its text, and equal texts have the same. */
JUDGE void check_codes(Reader *reader, Texts texts) {
    int32_t *codes = numbers(texts.count, sizeof *codes);
    assert(!shoplake_intern(reader, SEARCH, texts.data, texts.offsets, texts.count, codes));
    const void *offsets, *data;
    int64_t known = shoplake_view(reader, 10 + SEARCH, &offsets) / 4 - 1;
    shoplake_view(reader, 20 + SEARCH, &data);
    for (int32_t i = 0; i < texts.count; i++) {
        assert(codes[i] >= 0 && codes[i] < known);
        const int32_t *ends = (const int32_t *)offsets + codes[i];
        assert(ends[1] - ends[0] == length_of(texts, i));
        assert(!memcmp((Bytes)data + ends[0], texts.data + texts.offsets[i], (size_t)length_of(texts, i)));
        for (int32_t j = 0; j < i && j < SOME; j++) assert((codes[i] == codes[j]) == !order_of(texts, i, j));
    }
    free(codes);
}

/* Three bytes an event: its group, its kind and time, its user. */
JUDGE void check_figures(Bytes data, int64_t size) {
    enum { GROUPS = 37 };
    int64_t count = size / 3, first[2][GROUPS], last[2][GROUPS], *times = numbers(count, sizeof *times);
    int32_t counts[2][GROUPS * KINDS] = {0}, user[2][GROUPS];
    int32_t *groups = numbers(count, sizeof *groups), *users = numbers(count, sizeof *users);
    int8_t *kinds = numbers(count, 1);
    for (int i = 0; i < 2 * GROUPS; i++) {
        first[i / GROUPS][i % GROUPS] = INT64_MAX;
        last[i / GROUPS][i % GROUPS] = INT64_MIN;
        user[i / GROUPS][i % GROUPS] = INT32_MAX;
    }
    for (int64_t i = 0; i < count; i++) {
        int32_t group = groups[i] = data[3 * i] % GROUPS;
        kinds[i] = (int8_t)(data[3 * i + 1] % KINDS);
        times[i] = data[3 * i + 1] * (int64_t)data[3 * i + 1] << 40;
        users[i] = data[3 * i + 2] - 1;
        counts[0][group * KINDS + kinds[i]]++;
        if (times[i] < first[0][group]) first[0][group] = times[i];
        if (times[i] > last[0][group]) last[0][group] = times[i];
        if (users[i] < user[0][group]) user[0][group] = users[i];
    }
    shoplake_add_up(count, groups, kinds, times, users, counts[1], first[1], last[1], user[1]);
    assert(!memcmp(counts[0], counts[1], sizeof counts[0]) && !memcmp(user[0], user[1], sizeof user[0]));
    assert(!memcmp(first[0], first[1], sizeof first[0]) && !memcmp(last[0], last[1], sizeof last[0]));
    shoplake_add_up(count, groups, kinds, NULL, NULL, counts[1], NULL, NULL, NULL);
    for (int i = 0; i < GROUPS * KINDS; i++) assert(counts[1][i] == 2 * counts[0][i]);
    free(times);
    free(groups);
    free(users);
    free(kinds);
}

JUDGE int by_value(const void *one, const void *other) {
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

/* The bytes of the input as keys: the first half as those of a set, the others as those that are looked for. */
JUDGE void find_keys(Bytes data, int64_t size) {
    int64_t stored = size / 2, wanted = size - stored;
    uint64_t *keys = malloc((size_t)(size + 1) * sizeof *keys);
    int64_t *places = malloc((size_t)(wanted + 1) * sizeof *places);
    assert(keys && places);
    for (int64_t i = 0; i < size; i++) keys[i] = data[i];
    qsort(keys, (size_t)stored, sizeof *keys, by_value);
    qsort(keys + stored, (size_t)wanted, sizeof *keys, by_value);
    static Area areas[2];
    uint64_t *set = (uint64_t *)guarded(areas, (Bytes)keys, stored * 8);
    uint64_t *others = (uint64_t *)guarded(areas + 1, (Bytes)(keys + stored), wanted * 8);
    shoplake_find(set, stored, others, wanted, places);
    for (int64_t i = 0; i < wanted && i < 200; i++) {
        int64_t first = 0;
        while (first < stored && keys[first] != keys[stored + i]) first++;
        assert(places[i] == (first < stored ? first : -1));
    }
    free(keys);
    free(places);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    if (length < 2) return 0;
    int64_t size = (int64_t)length - 1, step = data[0] < 64 ? 1 + data[0] : data[0] < 128 ? 64 * data[0] : 262144;
    int64_t longest = data[0] & 1 ? 512 : 1 << 24;
    Reader *reader = read_all(data + 1, size, step, longest, 7), *whole = read_all(data + 1, size, size, longest, 11);
    for (int what = 0; what < 38; what++) {
        if (what == 9 || what == 19 || what == 29) continue;
        const void *found = NULL, *same = NULL;
        int64_t count = shoplake_view(reader, what, &found);
        assert(count == shoplake_view(whole, what, &same));
        assert(!count || !memcmp(found, same, (size_t)count)); /* wherever blocks end, whatever the seed */
    }
    Texts texts = texts_of(data + 1, size);
    check_ranks(texts);
    check_codes(reader, texts);
    check_figures(data + 1, size);
    free(texts.offsets);
    find_keys(data + 1, size);
    shoplake_trim(reader);
    shoplake_free(reader);
    shoplake_free(whole);
    return 0;
}

#ifndef FUZZER
int main(int count, char **names) {
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(names[i], "rb");
        assert(file);
        fseek(file, 0, SEEK_END);
        long size = ftell(file);
        rewind(file);
        uint8_t *data = malloc((size_t)size + 1);
        assert(data && fread(data, 1, (size_t)size, file) == (size_t)size);
        fclose(file);
        LLVMFuzzerTestOneInput(data, (size_t)size);
        free(data);
    }
    return 0;
}
#endif
