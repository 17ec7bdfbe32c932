/* Dictionaries: each text once, with a code. */
#pragma once

#include "memory.h"

static inline uint64_t mix(uint64_t a, uint64_t b) {
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t first_bytes(uint64_t word, int64_t count) { /* 0 to 8 */
    return count >= 8 ? word : word & ((1ULL << (8 * count)) - 1);
}

/* Reads up to 7 bytes behind the text. */
static inline uint64_t key_of(Bytes at, int64_t size, uint64_t seed) {
    if (LIKELY(size <= 8)) return first_bytes(load(at), size);
    uint64_t hash = seed ^ (uint64_t)size;
    for (; size > 8; at += 8, size -= 8) hash = mix(hash ^ load(at), 0x9e3779b97f4a7c15ULL);
    return mix(hash ^ first_bytes(load(at), size), 0xbf58476d1ce4e5b9ULL);
}

static int more_slots(Dictionary *dictionary, uint64_t seed) {
    uint64_t size = dictionary->slots ? 2 * (dictionary->mask + 1) : 1024;
    Slot *slots = malloc(size * sizeof(Slot));
    if (!slots) return 0;
    memset(slots, 0xff, size * sizeof(Slot));
    for (uint64_t old = 0; dictionary->slots && old <= dictionary->mask; old++) {
        Slot slot = dictionary->slots[old];
        if (slot.code < 0) continue;
        uint64_t place = mix(slot.key ^ seed, 0x94d049bb133111ebULL) & (size - 1);
        while (slots[place].code >= 0) place = (place + 1) & (size - 1);
        slots[place] = slot;
    }
    free(dictionary->slots);
    dictionary->slots = slots;
    dictionary->mask = size - 1;
    return 1;
}

static inline uint64_t place_of(const Dictionary *dictionary, uint64_t key, uint64_t seed) {
    return mix(key ^ seed, 0x94d049bb133111ebULL) & dictionary->mask;
}

/* The code of a text, a new one if it is new; NO_MEMORY. */
static inline int32_t intern(Dictionary *dictionary, Text text, uint64_t key, uint64_t seed) {
    uint64_t place = place_of(dictionary, key, seed);
    for (;; place = (place + 1) & dictionary->mask) {
        Slot *slot = dictionary->slots + place;
        if (slot->code < 0) break;
        if (slot->key != key || slot->size != text.size) continue;
        if (LIKELY(text.size <= 8)) return slot->code;
        int32_t start = ((int32_t *)dictionary->offsets.data)[slot->code];
        if (!memcmp(dictionary->data.data + start, text.at, (size_t)text.size)) return slot->code;
    }
    if (!append(&dictionary->data, text.at, text.size)) return NO_MEMORY;
    int32_t end = (int32_t)dictionary->data.length, code = dictionary->count;
    if (!append(&dictionary->offsets, &end, sizeof end)) return NO_MEMORY;
    dictionary->slots[place] = (Slot){key, (uint32_t)text.size, code};
    dictionary->count++;
    if (2 * (uint64_t)dictionary->count > dictionary->mask && !more_slots(dictionary, seed)) return NO_MEMORY;
    return code;
}

static inline int fits(const Dictionary *dictionary, int64_t size) {
    return dictionary->data.length + size <= INT32_MAX && dictionary->count < INT32_MAX - 1 - AHEAD;
}

/* Users and sessions are so many that each lookup waits for memory: once for the slot, once for the text. So they are looked
 * up some rows later, and what they need is asked for in the meantime. Each text must stay where it is until then. */
static inline void expect(Reader *reader, int64_t row, int which, Text text) {
    Waiting *waiting = reader->waiting[row % AHEAD] + which;
    *waiting = (Waiting){text, 0};
    if (!text.at) return;
    const Dictionary *dictionary = reader->dictionaries + USER + which;
    waiting->key = key_of(text.at, text.size, reader->seed);
    reader->waiting_bytes += text.size;
    __builtin_prefetch(dictionary->slots + place_of(dictionary, waiting->key, reader->seed));
}

/* The slot has come: asks for the text that it names. */
static inline void expect_texts(const Reader *reader, int64_t row) {
    for (int which = 0; which < 2; which++) {
        const Waiting *waiting = reader->waiting[row % AHEAD] + which;
        const Dictionary *dictionary = reader->dictionaries + USER + which;
        const Slot *slot = dictionary->slots + place_of(dictionary, waiting->key, reader->seed);
        if (waiting->text.size <= 8 || slot->code < 0 || slot->key != waiting->key) continue;
        const char *text = dictionary->data.data + ((const int32_t *)dictionary->offsets.data)[slot->code];
        __builtin_prefetch(text);
        __builtin_prefetch(text + waiting->text.size - 1);
    }
}

/* Gives the ids of the rows before `end` their codes. */
static inline int look_up(Reader *reader, int64_t end) {
    for (; reader->known < end; reader->known++) {
        for (int which = 0; which < 2; which++) {
            const Waiting *waiting = reader->waiting[reader->known % AHEAD] + which;
            int32_t code = -1;
            if (waiting->text.at) {
                code = intern(reader->dictionaries + USER + which, waiting->text, waiting->key, reader->seed);
                if (code < 0) return NO_MEMORY;
                reader->waiting_bytes -= waiting->text.size;
            }
            ((int32_t *)reader->columns[USER + which].data)[reader->known] = code;
        }
    }
    return 0;
}
