/* The hashes and the order of the texts of an Arrow array: what engines/texts.py says in NumPy, without its temporary arrays. */
#pragma once

#include "memory.h"

typedef struct {
    uint64_t word;
    int32_t entry;
    int32_t repeated; /* equal to the one before it */
} Item;

typedef struct {
    Bytes data;
    const int32_t *offsets;
    int64_t begin; /* bytes that all texts share */
    Item *items, *spare;
} Sorting;

/* The eight bytes at a place of a text, the first one as the highest, zeros behind its end. */
static inline uint64_t word_at(Bytes text, int64_t size, int64_t place) {
    uint8_t bytes[8] = {0};
    int64_t left = size - place;
    if (LIKELY(left >= 8)) return __builtin_bswap64(load(text + place));
    if (left > 0) memcpy(bytes, text + place, (size_t)left);
    return __builtin_bswap64(load(bytes));
}

/* MurmurHash3's finalizer. */
static inline uint64_t murmur(uint64_t key) {
    key = (key ^ key >> 33) * 0xff51afd7ed558ccdULL;
    key = (key ^ key >> 33) * 0xc4ceb9fe1a85ec53ULL;
    return key ^ key >> 33;
}

static inline uint64_t hash_of(Bytes text, int64_t size, int64_t most, uint64_t seed) {
    uint64_t hash = murmur((uint64_t)size ^ seed);
    int64_t end = size < most ? size : most;
    for (int64_t place = 0; place < end; place += 8) hash = murmur(hash ^ word_at(text, size, place));
    return hash;
}

static inline int64_t size_of(const Sorting *sorting, int32_t entry) {
    return sorting->offsets[entry + 1] - sorting->offsets[entry];
}

static void insertion_sort(Item *items, int64_t count) {
    for (int64_t i = 1; i < count; i++) {
        Item item = items[i];
        int64_t place = i;
        for (; place > 0 && items[place - 1].word > item.word; place--) items[place] = items[place - 1];
        items[place] = item;
    }
}

/* Sorts by `word`, a byte at a time from the lowest one; bytes that are the same everywhere are passed over. Stable. */
static void sort_words(Item *items, Item *spare, int64_t count) {
    if (count < 64) {
        insertion_sort(items, count);
        return;
    }
    uint64_t differing = 0;
    for (int64_t i = 1; i < count; i++) differing |= items[i].word ^ items[0].word;
    Item *from = items, *to = spare;
    for (int shift = 0; shift < 64; shift += 8) {
        if (!(differing >> shift & 0xff)) continue;
        int64_t places[256] = {0};
        for (int64_t i = 0; i < count; i++) places[from[i].word >> shift & 0xff]++;
        for (int64_t byte = 0, place = 0; byte < 256; byte++) {
            int64_t many = places[byte];
            places[byte] = place;
            place += many;
        }
        for (int64_t i = 0; i < count; i++) to[places[from[i].word >> shift & 0xff]++] = from[i];
        Item *other = from;
        from = to;
        to = other;
    }
    if (from != items) memcpy(items, from, (size_t)count * sizeof *items);
}

/* Sorts some items by their texts, which have their first `depth` words in common. */
static void sort_texts(const Sorting *sorting, int64_t first, int64_t count, int depth) {
    Item *items = sorting->items + first;
    int64_t done = sorting->begin + 8 * (int64_t)depth;
    int over = 1;
    for (int64_t i = 0; i < count && over; i++) over = size_of(sorting, items[i].entry) <= done;
    for (int64_t i = 0; i < count; i++) {
        int64_t size = size_of(sorting, items[i].entry);
        /* Texts that differ only in zeros at their end have the same words; the shorter one comes first. */
        items[i].word = over ? (uint64_t)size : word_at(sorting->data + sorting->offsets[items[i].entry], size, done);
    }
    sort_words(items, sorting->spare, count);
    for (int64_t start = 0, end; start < count; start = end) {
        for (end = start + 1; end < count && items[end].word == items[start].word; end++) items[end].repeated = over;
        if (end - start > 1 && !over) sort_texts(sorting, first + start, end - start, depth + 1);
    }
}
