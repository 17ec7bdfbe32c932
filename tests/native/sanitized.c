/* Feeds one input to the native reader, as a coverage-guided fuzzer and as a program: cc ... sanitized.c && ./a.out FILE...
 *
 * The first byte chooses the blocks. Each block is a piece of memory of exactly its size, with a page that cannot be touched
 * behind it, so that no read beyond it stays unseen. In blocks and as a whole an input has to give the same. */
#include <assert.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/shoplake/engines/native/plain.c"

static const uint16_t REQUIRED[TYPES] = {0x3f, 0xff, 0x3f, 0xff, 0x10f};

static uint8_t *guarded(Bytes data, int64_t size) {
    int64_t page = sysconf(_SC_PAGESIZE), pages = (size + page - 1) / page * page;
    uint8_t *start = mmap(NULL, (size_t)(pages + 2 * page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(start != MAP_FAILED);
    mprotect(start, (size_t)page, PROT_NONE);
    mprotect(start + page + pages, (size_t)page, PROT_NONE);
    uint8_t *block = start + page + pages - size;
    memcpy(block, data, (size_t)size);
    return block;
}

static void release(uint8_t *block, int64_t size) {
    int64_t page = sysconf(_SC_PAGESIZE), pages = (size + page - 1) / page * page;
    munmap(block + size - pages - page, (size_t)(pages + 2 * page));
}

static Reader *read_all(Bytes bytes, int64_t size, int64_t step, int64_t longest) {
    Reader *reader = shoplake_open(4102444800000000, longest, 7, REQUIRED);
    assert(reader);
    for (int64_t at = 0; at < size; at += step) {
        int64_t count = size - at < step ? size - at : step;
        uint8_t *block = guarded(bytes + at, count);
        assert(!shoplake_feed(reader, block, count));
        release(block, count);
    }
    assert(!shoplake_finish(reader));
    return reader;
}

/* The input as the texts of an Arrow array, nothing of which may be read beyond its end. */
static void rank_texts(Bytes data, int64_t size) {
    int32_t *offsets = malloc((size_t)(size + 2) * sizeof *offsets), count = 0;
    int32_t *ranks = malloc((size_t)(size + 1) * sizeof *ranks), *firsts = malloc((size_t)(size + 1) * sizeof *firsts);
    uint64_t *hashes = malloc((size_t)(size + 1) * sizeof *hashes);
    assert(offsets && ranks && firsts && hashes);
    offsets[0] = 0;
    for (int64_t at = 0; at < size; count++) {
        at += data[at] % 21 < size - at ? data[at] % 21 + !(data[at] % 21) : size - at;
        offsets[count + 1] = (int32_t)at;
    }
    uint8_t *texts = guarded(data, size);
    shoplake_hashes(texts, offsets, count, 64, 7, hashes);
    int64_t different = shoplake_rank(texts, offsets, count, 0, ranks, firsts);
    assert(different >= (count > 0) && different <= count);
    for (int32_t i = 0; i < count; i++) {
        for (int32_t j = 0; j < i && j < 50; j++) {
            int32_t mine = offsets[i + 1] - offsets[i], other = offsets[j + 1] - offsets[j];
            int order = memcmp(texts + offsets[i], texts + offsets[j], (size_t)(mine < other ? mine : other));
            if (!order) order = (mine > other) - (mine < other);
            assert(order < 0 ? ranks[i] < ranks[j] : order > 0 ? ranks[i] > ranks[j] : ranks[i] == ranks[j]);
            assert(order || hashes[i] == hashes[j]);
        }
        assert(ranks[firsts[ranks[i]]] == ranks[i]);
    }
    release(texts, size);
    free(offsets);
    free(ranks);
    free(firsts);
    free(hashes);
}

static int by_value(const void *one, const void *other) {
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

/* The bytes of the input as keys: the first half as those of a set, the others as those that are looked for. */
static void find_keys(Bytes data, int64_t size) {
    int64_t stored = size / 2, wanted = size - stored;
    uint64_t *keys = malloc((size_t)(size + 1) * sizeof *keys);
    int64_t *places = malloc((size_t)(wanted + 1) * sizeof *places);
    assert(keys && places);
    for (int64_t i = 0; i < size; i++) keys[i] = data[i];
    qsort(keys, (size_t)stored, sizeof *keys, by_value);
    qsort(keys + stored, (size_t)wanted, sizeof *keys, by_value);
    uint64_t *set = (uint64_t *)guarded((Bytes)keys, stored * 8), *others = (uint64_t *)guarded((Bytes)(keys + stored), wanted * 8);
    shoplake_find(set, stored, others, wanted, places);
    for (int64_t i = 0; i < wanted && i < 200; i++) {
        int64_t first = 0;
        while (first < stored && keys[first] != keys[stored + i]) first++;
        assert(places[i] == (first < stored ? first : -1));
    }
    release((uint8_t *)set, stored * 8);
    release((uint8_t *)others, wanted * 8);
    free(keys);
    free(places);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    if (length < 2) return 0;
    int64_t size = (int64_t)length - 1, step = data[0] < 64 ? 1 + data[0] : data[0] < 128 ? 64 * data[0] : 262144;
    int64_t longest = data[0] & 1 ? 512 : 1 << 24;
    Reader *reader = read_all(data + 1, size, step, longest), *whole = read_all(data + 1, size, size, longest);
    for (int what = 0; what < 38; what++) {
        if (what == 9 || what == 19 || what == 29) continue;
        const void *found = NULL, *same = NULL;
        int64_t count = shoplake_view(reader, what, &found);
        assert(count == shoplake_view(whole, what, &same));
        assert(!count || !memcmp(found, same, (size_t)count)); /* wherever blocks end */
    }
    rank_texts(data + 1, size);
    find_keys(data + 1, size);
    int32_t offsets[3] = {0, 3, 3}, codes[2];
    assert(!shoplake_intern(reader, USER, (Bytes)"abc", offsets, 2, codes));
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
