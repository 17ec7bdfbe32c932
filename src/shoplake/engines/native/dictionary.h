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

/* Texts of up to 16 bytes are equal if keys and sizes are. Reads up to 7 bytes behind the text. */
static inline Key key_of(Bytes at, int64_t size, uint64_t seed) {
    if (size <= 8) return (Key){first_bytes(load(at), size), 0};
    if (LIKELY(size <= 16)) return (Key){load(at), first_bytes(load(at + 8), size - 8)};
    Key key = {seed ^ (uint64_t)size, load(at + size - 8)};
    for (; size > 8; at += 8, size -= 8) key.first = mix(key.first ^ load(at), 0x9e3779b97f4a7c15ULL);
    return key; /* the bytes that are left over are among the last eight */
}

static inline uint64_t place_of(const Dictionary *dictionary, Key key, uint64_t seed) {
    uint64_t first = mix(key.first ^ seed, 0xbf58476d1ce4e5b9ULL);
    return mix(first ^ key.rest, 0x94d049bb133111ebULL) & dictionary->mask;
}

static int more_slots(Dictionary *dictionary, uint64_t seed) {
    Dictionary before = *dictionary;
    uint64_t size = before.slots ? 2 * (before.mask + 1) : 1024;
    Slot *slots = malloc(size * sizeof(Slot));
    if (!slots) return 0;
    memset(slots, 0xff, size * sizeof(Slot));
    dictionary->slots = slots;
    dictionary->mask = size - 1;
    for (uint64_t old = 0; before.slots && old <= before.mask; old++) {
        Slot slot = before.slots[old];
        if (slot.code < 0) continue;
        uint64_t place = place_of(dictionary, slot.key, seed);
        while (slots[place].code >= 0) place = (place + 1) & (size - 1);
        slots[place] = slot;
    }
    free(before.slots);
    return 1;
}

/* The code of a text, a new one if it is new; NO_MEMORY. */
static inline int32_t intern(Dictionary *dictionary, Text text, Key key, uint64_t seed) {
    uint64_t place = place_of(dictionary, key, seed);
    for (;; place = (place + 1) & dictionary->mask) {
        Slot *slot = dictionary->slots + place;
        if (slot->code < 0) break;
        if (slot->key.first != key.first || slot->key.rest != key.rest || slot->size != text.size) continue;
        if (LIKELY(text.size <= 16)) return slot->code;
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

/* Users and sessions are so many that each lookup waits for memory: for the slot, and of long ids for the text. So they are
 * looked up some rows later, and what they need is asked for in the meantime. Each text must stay where it is until then. */
static inline void expect(Reader *reader, int64_t row, int which, Text text) {
    Waiting *waiting = reader->waiting[row % AHEAD] + which;
    *waiting = (Waiting){text, {0, 0}};
    if (!text.at) return;
    const Dictionary *dictionary = reader->dictionaries + USER + which;
    waiting->key = key_of(text.at, text.size, reader->seed);
    reader->waiting_bytes += text.size;
    const Slot *slot = dictionary->slots + place_of(dictionary, waiting->key, reader->seed);
    __builtin_prefetch(slot);
    __builtin_prefetch((const char *)(slot + 1) - 1); /* some lie in two lines of the cache */
}

/* The slot has come: asks for the text that it names. */
static inline void expect_texts(const Reader *reader, int64_t row) {
    for (int which = 0; which < 2; which++) {
        const Waiting *waiting = reader->waiting[row % AHEAD] + which;
        if (LIKELY(waiting->text.size <= 16)) continue;
        const Dictionary *dictionary = reader->dictionaries + USER + which;
        const Slot *slot = dictionary->slots + place_of(dictionary, waiting->key, reader->seed);
        if (slot->code < 0 || slot->key.first != waiting->key.first) continue;
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
