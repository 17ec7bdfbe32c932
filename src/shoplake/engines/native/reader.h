/* What the reader of one file knows: the contract's fields, the columns so far, and the line that is being read. */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words are loaded from memory as little-endian numbers"
#endif
#define LIKELY(x) __builtin_expect(!!(x), 1)

typedef const uint8_t *Bytes;

/* The contract's fields in its order. The loader compares these names, the event types and the rules with the contract. */
enum { TIMESTAMP, USER, SESSION, TYPE, PRODUCT, CATEGORY, QUANTITY, PRICE, SEARCH, FIELDS, START = FIELDS, UNKNOWN, END };
enum { TYPES = 5, PADDING = 64, KEEP = 4096, MOST_UNKNOWN = 256, MOST_NESTED_KEYS = 64, MOST_DEPTH = 16, LONGEST_GAP = 24 };
enum { LEFT = 0, TAKEN = 1, NO_MEMORY = -1 };
enum { AHEAD = 32 }; /* rows whose ids are not looked up yet, a power of two */

static const char FIELD_NAMES[] = "timestamp user_id session_id event_type product_id category quantity price search_query";
static const char EVENT_TYPES[] = "page_view add_to_cart remove_from_cart purchase search";

typedef struct {
    char *data;
    int64_t length, capacity;
} Buffer;

typedef struct {
    Bytes at;
    int64_t size;
} Text;

/* A text of up to 16 bytes is its own key, so most lookups touch nothing but the slot. */
typedef struct {
    uint64_t first, rest;
} Key;

typedef struct {
    Key key;
    uint32_t size;
    int32_t code; /* -1: empty */
} Slot;

typedef struct {
    Slot *slots;
    uint64_t mask;
    int32_t count;
    Buffer offsets, data; /* as Arrow has them: count + 1 offsets of 32 bits */
} Dictionary;

typedef struct {
    uint64_t words[3], masks[3];
    int size, key;
} Gap;

typedef struct {
    Text key;
    int64_t start, end; /* of its value, compact, in `values`; start is -1 for null */
} Unknown;

typedef struct {
    int64_t number, rank, end, size; /* rank: lines taken before it; end: of its bytes in `left`; size: in the file */
} LeftLine;

/* A user or session of a row that is not looked up yet; `at` is NULL where there is none. */
typedef struct {
    Text text;
    Key key;
} Waiting;

typedef struct {
    int64_t latest, longest;
    uint64_t seed;
    uint16_t required[TYPES]; /* by event type: which fields have a value; the others have none */
    int64_t number, rows, capacity;
    Buffer columns[FIELDS];
    Dictionary dictionaries[FIELDS], keys;
    Waiting waiting[AHEAD][2]; /* of the rows from `known` on, by row modulo AHEAD: user and session */
    int64_t known, waiting_bytes;
    Gap gaps[END]; /* what came between the value of a field and the next value, last time */
    uint64_t minute_text[2];
    int64_t minute;
    Buffer carry, scratch, values; /* the last two of one line only, and never moved while it is parsed */
    int64_t carry_size;            /* of the line being carried, also where only its first bytes are kept */
    int carry_blank;
    Buffer left, left_lines;
    Buffer extra, extra_rows, extra_ends, key_counts;
    Unknown unknown[MOST_UNKNOWN];
    int unknowns;
} Reader;

typedef struct {
    Reader *reader;
    Bytes at;
} Cursor;
