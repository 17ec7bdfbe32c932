/* Takes the plain lines of one source file into columns; every other line is left to the exact reader.
 *
 * A line is taken only if its bytes prove that it is strict JSON, that it meets every rule of the contract, and what its
 * values are. Nothing here rejects a line or gives a reason. What is left keeps its number, its bytes and its place among
 * the lines taken. So there is one way to be wrong, which is to take too much: tests/native fuzzes that.
 *
 * libc only, no Python. One Reader is used by one thread at a time; nothing is global.
 *
 * Blocks of the inflated file come in any size. A line is parsed where it lies if PADDING bytes may be read behind its
 * newline; otherwise it is copied to `carry` first. With the newline as a sentinel (no value contains one) no loop below
 * has to compare its pointer with the end of the line.
 *
 * reader.h has the data, memory.h and dictionary.h keep it; text.h, numbers.h and times.h read values, unknown_keys.h any JSON;
 * lines.h makes rows of them. texts.h hashes and sorts the texts of any Arrow array, figures.h adds
 * up groups of events. Here are the functions that the loader calls. All of it is compiled as one file. */
#include "figures.h"
#include "keys.h"
#include "lines.h"
#include "texts.h"

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
#ifndef SOURCE
#define SOURCE "unknown"
#endif

/* Frees all but the columns and their dictionaries, which Arrow goes on using. */
EXPORT void shoplake_trim(Reader *reader) {
    Buffer *buffers[] = {&reader->carry, &reader->scratch, &reader->values, &reader->left, &reader->left_lines,
                         &reader->extra, &reader->extra_rows, &reader->extra_ends, &reader->key_counts,
                         &reader->keys.offsets, &reader->keys.data};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        free(buffers[i]->data);
        *buffers[i] = (Buffer){0};
    }
    for (int field = 0; field <= FIELDS; field++) {
        Dictionary *dictionary = field < FIELDS ? reader->dictionaries + field : &reader->keys;
        free(dictionary->slots);
        dictionary->slots = NULL;
    }
}

EXPORT void shoplake_free(Reader *reader) {
    if (!reader) return;
    shoplake_trim(reader);
    for (int field = 0; field < FIELDS; field++) {
        free(reader->dictionaries[field].offsets.data);
        free(reader->dictionaries[field].data.data);
        free(reader->columns[field].data);
    }
    free(reader);
}

/* The fingerprint of the sources, which the build defines. What the code was written for, so that the loader can compare it with the contract. */
EXPORT const char *shoplake_source(void) { return SOURCE; }
EXPORT const char *shoplake_fields(void) { return FIELD_NAMES; }
EXPORT const char *shoplake_event_types(void) { return EVENT_TYPES; }

/* Starts a file. `required` has a set of fields for each event type; times are microseconds since 1970. NULL: no memory. */
EXPORT Reader *shoplake_open(int64_t latest, int64_t longest, uint64_t seed, const uint16_t *required) {
    Reader *reader = calloc(1, sizeof *reader);
    if (!reader) return NULL;
    reader->latest = latest;
    reader->longest = longest;
    reader->seed = seed;
    memcpy(reader->required, required, sizeof reader->required);
    for (int field = 0; field <= FIELDS; field++) {
        Dictionary *dictionary = field < FIELDS ? reader->dictionaries + field : &reader->keys;
        int32_t zero = 0;
        if (!more_slots(dictionary, seed) || !append(&dictionary->offsets, &zero, 4)) {
            shoplake_free(reader);
            return NULL;
        }
    }
    return reader;
}

/* Takes the next bytes of the file. 0; -1: no memory, and the reader can only be freed. */
EXPORT int shoplake_feed(Reader *reader, Bytes at, int64_t size) {
    Bytes end = at + size;
    while (at < end) {
        Bytes newline = memchr(at, '\n', (size_t)(end - at));
        int fate;
        if (newline && !reader->carry_size && end - newline >= PADDING) fate = one_line(reader, at, newline);
        else {
            fate = carry(reader, at, (newline ? newline : end) - at);
            if (fate != NO_MEMORY && newline) fate = carried_line(reader);
        }
        if (fate == NO_MEMORY) return NO_MEMORY;
        at = newline ? newline + 1 : end;
    }
    return look_up(reader, reader->rows); /* the block is free for others afterwards */
}

/* The file has ended. */
EXPORT int shoplake_finish(Reader *reader) {
    return reader->carry_size && carried_line(reader) == NO_MEMORY ? NO_MEMORY : 0;
}

/* Gives texts of an Arrow array the codes of a column's dictionary, new ones at its end. -1: no memory, or no room. */
EXPORT int shoplake_intern(Reader *reader, int field, Bytes data, const int32_t *offsets, int64_t count, int32_t *codes) {
    for (int64_t i = 0; i < count; i++) {
        int64_t size = offsets[i + 1] - offsets[i];
        reader->scratch.length = 0;
        if (!fits(reader->dictionaries + field, size) || !room(&reader->scratch, size + PADDING)) return NO_MEMORY;
        if (size) memcpy(reader->scratch.data, data + offsets[i], (size_t)size);
        Text text = {(Bytes)reader->scratch.data, size};
        Key key = key_of(text.at, size, reader->seed);
        codes[i] = intern(reader->dictionaries + field, text, key, reader->seed);
        if (codes[i] < 0) return NO_MEMORY;
    }
    return 0;
}

EXPORT int64_t shoplake_rows(const Reader *reader) { return reader->rows; }

/* Where results lie, and their bytes; valid until the next call that changes the reader. 0-8: the column of a field (codes
 * of 32 bits for texts with -1 for none, 0 for no quantity, cents or -1), 10-18 and 20-28: offsets and bytes of its
 * dictionary, 30: left lines (four numbers each), 31: their bytes, 32-34: counts, offsets and bytes of unknown keys,
 * 35-37: rows, ends and bytes of `extra`. */
EXPORT int64_t shoplake_view(const Reader *reader, int what, const void **data) {
    static const int WIDTHS[FIELDS] = {8, 4, 4, 1, 4, 4, 4, 8, 4};
    const Buffer *rest[] = {&reader->left_lines, &reader->left, &reader->key_counts, &reader->keys.offsets,
                            &reader->keys.data, &reader->extra_rows, &reader->extra_ends, &reader->extra};
    const Buffer *buffer;
    if (what >= 30) buffer = rest[what - 30];
    else if (what >= 20) buffer = &reader->dictionaries[what - 20].data;
    else if (what >= 10) buffer = &reader->dictionaries[what - 10].offsets;
    else {
        *data = reader->columns[what].data;
        return reader->rows * WIDTHS[what];
    }
    *data = buffer->data;
    return buffer->length;
}

/* A hash of each text of an Arrow array: of its length and of its first `most` bytes. */
EXPORT void shoplake_hashes(Bytes data, const int32_t *offsets, int64_t count, int64_t most, uint64_t seed, uint64_t *hashes) {
    for (int64_t i = 0; i < count; i++) hashes[i] = hash_of(data + offsets[i], offsets[i + 1] - offsets[i], most, seed);
}

/* Ranks the texts of an Arrow array, which have their first `begin` bytes in common, by their bytes. `ranks` gets the place
 * of each among the different ones, `firsts` for each of these where it is. How many they are; -1: no memory. */
EXPORT int64_t shoplake_rank(Bytes data, const int32_t *offsets, int64_t count, int64_t begin, int32_t *ranks, int32_t *firsts) {
    Item *items = malloc((size_t)(2 * count + 1) * sizeof *items);
    if (!items) return NO_MEMORY;
    for (int64_t i = 0; i < count; i++) items[i] = (Item){0, (int32_t)i, 0};
    Sorting sorting = {data, offsets, begin, items, items + count};
    sort_texts(&sorting, 0, count, 0);
    int32_t different = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!items[i].repeated) firsts[different++] = items[i].entry;
        ranks[items[i].entry] = different - 1;
    }
    free(items);
    return different;
}

/* Where in a sorted set the keys of another one are, each at its first place; -1: it is not there. Both are
 * gone through from their beginning to their end. */
EXPORT void shoplake_find(const uint64_t *stored, int64_t count, const uint64_t *wanted, int64_t wanted_count, int64_t *places) {
    int64_t place = 0;
    for (int64_t i = 0; i < wanted_count; i++) {
        place = first_not_less(stored, count, place, wanted[i]);
        places[i] = place < count && stored[place] == wanted[i] ? place : -1;
    }
}

/* Adds events to the figures of their groups: counts by type and, where there are times, the first and the last one and the
 * smallest user. */
EXPORT void shoplake_add_up(int64_t count, const int32_t *groups, const int8_t *kinds, const int64_t *times, const int32_t *users,
                            int32_t *counts, int64_t *first, int64_t *last, int32_t *user) {
    Figures figures = {counts, first, last, user};
    for (int64_t i = 0; i < count; i++) {
        if (LIKELY(i + AHEAD < count)) ask_for(&figures, groups[i + AHEAD], times != NULL);
        counts[(int64_t)KINDS * groups[i] + kinds[i]]++;
        if (times) add_span(&figures, groups[i], times[i], users[i]);
    }
}
