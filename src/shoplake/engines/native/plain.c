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
 * has to compare its pointer with the end of the line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words are loaded from memory as little-endian numbers"
#endif
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
#ifndef SOURCE
#define SOURCE "unknown"
#endif
#define LIKELY(x) __builtin_expect(!!(x), 1)

typedef const uint8_t *Bytes;

/* The contract's fields in its order. The loader compares these names, the event types and the rules with the contract. */
enum { TIMESTAMP, USER, SESSION, TYPE, PRODUCT, CATEGORY, QUANTITY, PRICE, SEARCH, FIELDS, START = FIELDS, UNKNOWN, END };
enum { TYPES = 5, PADDING = 64, KEEP = 4096, MOST_UNKNOWN = 256, MOST_NESTED_KEYS = 64, MOST_DEPTH = 16, LONGEST_GAP = 24 };
enum { LEFT = 0, TAKEN = 1, NO_MEMORY = -1 };

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

/* A text of up to 8 bytes is its own key, so most lookups touch nothing but the slot. */
typedef struct {
    uint64_t key;
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

typedef struct {
    int64_t latest, longest;
    uint64_t seed;
    uint16_t required[TYPES]; /* by event type: which fields have a value; the others have none */
    int64_t number, rows, capacity;
    Buffer columns[FIELDS];
    Dictionary dictionaries[FIELDS], keys;
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

/* ------------------------------------------------------------------------------------------------------------- memory */

static int room(Buffer *buffer, int64_t more) {
    if (LIKELY(buffer->capacity - buffer->length >= more)) return 1;
    int64_t capacity = buffer->capacity < 4096 ? 4096 : buffer->capacity;
    while (capacity - buffer->length < more) capacity += capacity / 2;
    char *data = realloc(buffer->data, (size_t)capacity);
    if (!data) return 0;
    buffer->data = data;
    buffer->capacity = capacity;
    return 1;
}

static int append(Buffer *buffer, const void *data, int64_t size) {
    if (!room(buffer, size)) return 0;
    if (size) memcpy(buffer->data + buffer->length, data, (size_t)size);
    buffer->length += size;
    return 1;
}

static inline uint64_t load(Bytes at) {
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

/* ------------------------------------------------------------------------------------------------------- dictionaries */

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
    return dictionary->data.length + size <= INT32_MAX && dictionary->count < INT32_MAX - 1;
}

/* -------------------------------------------------------------------------------------------------------------- texts */

#define EACH(byte) (0x0101010101010101ULL * (byte))

/* Marks, at its highest bit, the first byte of a word that ends a run of plain ASCII: a quote, a backslash, a control
 * character or a byte of UTF-8. Bytes behind the first may be marked for no reason: a borrow travels upwards only. */
static inline uint64_t special(uint64_t word) {
    uint64_t quote = word ^ EACH('"'), escape = word ^ EACH('\\');
    return ((((quote - EACH(1)) & ~quote) | ((escape - EACH(1)) & ~escape) | ((word - EACH(32)) & ~word)) & EACH(128)) |
           (word & EACH(128));
}

/* Length of the UTF-8 sequence at a byte of 0x80 or more; 0 if it is none (overlong, a surrogate, above U+10FFFF, cut). */
static int sequence(Bytes at) {
#define TAIL(n) ((at[n] & 0xc0) == 0x80)
    if (at[0] < 0xc2) return 0;
    if (at[0] < 0xe0) return TAIL(1) ? 2 : 0;
    if (at[0] < 0xf0) {
        if (!TAIL(1) || !TAIL(2)) return 0;
        if (at[0] == 0xe0 && at[1] < 0xa0) return 0;
        return at[0] == 0xed && at[1] > 0x9f ? 0 : 3;
    }
    if (at[0] > 0xf4 || !TAIL(1) || !TAIL(2) || !TAIL(3)) return 0;
    if (at[0] == 0xf0 && at[1] < 0x90) return 0;
    return at[0] == 0xf4 && at[1] > 0x8f ? 0 : 4;
#undef TAIL
}

/* Four hexadecimal digits; -1. */
static int32_t hex4(Bytes at) {
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t byte = at[i], letter = byte | 0x20;
        if (byte >= '0' && byte <= '9') value = value << 4 | (byte - '0');
        else if (letter >= 'a' && letter <= 'f') value = value << 4 | (letter - 'a' + 10);
        else return -1;
    }
    return value;
}

/* Decodes the escape at a backslash; its length in the line, 0 if it is none that is taken. U+0000 is left. */
static int escape(Bytes at, uint8_t *out, int *written) {
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    if (at[1] != 'u') {
        const char *found = at[1] ? strchr(FROM, at[1]) : NULL;
        if (!found) return 0;
        *out = (uint8_t)TO[found - FROM];
        *written = 1;
        return 2;
    }
    int length = 6;
    int32_t point = hex4(at + 2);
    if (point <= 0 || (point >= 0xdc00 && point <= 0xdfff)) return 0;
    if (point >= 0xd800 && point <= 0xdbff) { /* half a pair: the other half has to follow */
        int32_t low = at[6] == '\\' && at[7] == 'u' ? hex4(at + 8) : -1;
        if (low < 0xdc00 || low > 0xdfff) return 0;
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
        length = 12;
    }
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        *written = 1;
    } else if (point < 0x800) {
        out[0] = (uint8_t)(0xc0 | point >> 6);
        out[1] = (uint8_t)(0x80 | (point & 0x3f));
        *written = 2;
    } else if (point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | point >> 12);
        out[1] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (point & 0x3f));
        *written = 3;
    } else {
        out[0] = (uint8_t)(0xf0 | point >> 18);
        out[1] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
        out[2] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        out[3] = (uint8_t)(0x80 | (point & 0x3f));
        *written = 4;
    }
    return length;
}

/* The rest of a text from its first special byte on. A text with escapes is decoded into `scratch`, which is as long as the
 * line and so has room for all of its texts. */
static int text_with_care(Cursor *cursor, Bytes start, Bytes at, Text *text) {
    Buffer *scratch = &cursor->reader->scratch;
    uint8_t *first = NULL, *out = NULL;
    for (;;) {
        int length = 1;
        if (*at == '"') break;
        if (*at == '\\') {
            if (!first) {
                first = (uint8_t *)scratch->data + scratch->length;
                memcpy(first, start, (size_t)(at - start));
                out = first + (at - start);
            }
            int written;
            if (!(length = escape(at, out, &written))) return LEFT;
            out += written;
        } else {
            if (*at < 0x20 || (*at >= 0x80 && !(length = sequence(at)))) return LEFT;
            if (first) {
                memcpy(out, at, (size_t)length);
                out += length;
            }
        }
        at += length;
    }
    cursor->at = at + 1;
    if (first) scratch->length = (char *)out - scratch->data;
    *text = first ? (Text){first, out - first} : (Text){start, at - start};
    return TAKEN;
}

/* A text, decoded, from behind its first quote; the cursor is behind its last. */
static inline int text(Cursor *cursor, Text *text) {
    Bytes start = cursor->at, at = start;
    uint64_t found;
    while (!(found = special(load(at)))) at += 8;
    at += __builtin_ctzll(found) >> 3;
    if (!LIKELY(*at == '"')) return text_with_care(cursor, start, at, text);
    *text = (Text){start, at - start};
    cursor->at = at + 1;
    return TAKEN;
}

/* ------------------------------------------------------------------------------------------------------------ numbers */

static inline int is_digit(uint8_t byte) { return (uint8_t)(byte - '0') < 10; }

static inline Bytes white(Bytes at) {
    while (*at == ' ' || *at == '\t' || *at == '\r') at++;
    return at;
}

/* The end of a JSON number; NULL. */
static Bytes number(Bytes at) {
    if (*at == '-') at++;
    if (!is_digit(*at)) return NULL;
    if (*at == '0') at++;
    else while (is_digit(*at)) at++;
    if (*at == '.') {
        if (!is_digit(*++at)) return NULL;
        while (is_digit(*at)) at++;
    }
    if ((*at | 0x20) == 'e') {
        at++;
        if (*at == '+' || *at == '-') at++;
        if (!is_digit(*at)) return NULL;
        while (is_digit(*at)) at++;
    }
    return at;
}

/* A number without an exponent, or a text of the same form: a quantity. */
static inline int quantity(Cursor *cursor, int32_t *value) {
    Bytes at = cursor->at;
    int quoted = *at == '"';
    at += quoted;
    if (*at == '0') return LEFT;
    uint64_t whole = 0;
    Bytes first = at;
    for (; is_digit(*at); at++) {
        if (at - first == 10) return LEFT;
        whole = 10 * whole + (*at - '0');
    }
    if (at == first || whole > INT32_MAX || (quoted && *at++ != '"')) return LEFT;
    cursor->at = at;
    *value = (int32_t)whole;
    return TAKEN;
}

/* The same: a price in cents. Half a cent is rounded up, exactly: the third decimal decides. */
static inline int price(Cursor *cursor, int64_t *cents) {
    Bytes at = cursor->at;
    int quoted = *at == '"';
    at += quoted;
    Bytes first = at;
    int64_t whole = 0;
    for (; is_digit(*at); at++) {
        if (at - first == 10) return LEFT;
        whole = 10 * whole + (*at - '0');
    }
    if (at == first || (*first == '0' && at - first > 1)) return LEFT;
    whole *= 100;
    if (*at == '.') {
        if (!is_digit(*++at)) return LEFT;
        whole += 10 * (*at++ - '0');
        if (is_digit(*at)) {
            whole += *at++ - '0';
            if (is_digit(*at)) {
                whole += *at >= '5';
                for (first = at; is_digit(*at); at++)
                    if (at - first == 20) return LEFT;
            }
        }
    }
    if (whole > 999999999999 || (quoted && *at++ != '"')) return LEFT;
    cursor->at = at;
    *cents = whole;
    return TAKEN;
}

/* -------------------------------------------------------------------------------------------------------------- times */

static inline int two(Bytes at) { return is_digit(at[0]) && is_digit(at[1]) ? 10 * (at[0] - '0') + at[1] - '0' : -1; }

/* Microseconds at the start of the minute that `YYYY-MM-DDTHH:MM` names, -1 if there is none since 1970. */
static int64_t minute(Bytes at) {
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int century = two(at), year = two(at + 2), month = two(at + 5), day = two(at + 8), hour = two(at + 11);
    int minutes = two(at + 14);
    if (century < 0 || year < 0 || at[4] != '-' || at[7] != '-' || at[10] != 'T' || at[13] != ':') return -1;
    year += 100 * century;
    int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > DAYS[month - 1] + (month == 2 && leap)) return -1;
    if (hour < 0 || hour > 23 || minutes < 0 || minutes > 59) return -1;
    int64_t past = year - 1, days = 365 * (int64_t)(year - 1970) + past / 4 - past / 100 + past / 400 - 477 + day - 1;
    for (int i = 0; i < month - 1; i++) days += DAYS[i] + (i == 1 && leap);
    return ((days * 24 + hour) * 60 + minutes) * 60000000;
}

/* From behind the first quote: `YYYY-MM-DDTHH:MM[:SS[.f]][Z|+HH:MM|-HH:MM]`, f of 1 to 6 digits; without a zone it is UTC.
 * Times ascend in a file, so the minute is nearly always that of the line before. */
static inline int timestamp(Cursor *cursor, int64_t *time) {
    Reader *reader = cursor->reader;
    Bytes at = cursor->at;
    uint64_t words[2] = {load(at), load(at + 8)};
    if (words[0] != reader->minute_text[0] || words[1] != reader->minute_text[1]) {
        int64_t found = minute(at);
        if (found < 0) return LEFT;
        reader->minute = found;
        memcpy(reader->minute_text, words, sizeof words);
    }
    int64_t value = reader->minute;
    at += 16;
    if (*at == ':') {
        int seconds = two(at + 1);
        if (seconds < 0 || seconds > 59) return LEFT;
        at += 3;
        int64_t micro = 0;
        if (*at == '.') {
            int digits = 0;
            for (at++; is_digit(*at); at++, digits++) {
                if (digits == 6) return LEFT;
                micro = 10 * micro + (*at - '0');
            }
            if (!digits) return LEFT;
            for (; digits < 6; digits++) micro *= 10;
        }
        value += seconds * 1000000LL + micro;
    }
    if (*at == 'Z') at++;
    else if (*at == '+' || *at == '-') {
        int hours = two(at + 1), minutes = hours < 0 || at[3] != ':' ? -1 : two(at + 4);
        if (minutes < 0 || hours > 23 || minutes > 59) return LEFT;
        int64_t offset = (hours * 60LL + minutes) * 60000000;
        value += *at == '+' ? -offset : offset;
        at += 6;
    }
    if (*at != '"' || value < 0 || value > reader->latest) return LEFT;
    cursor->at = at + 1;
    *time = value;
    return TAKEN;
}

/* ------------------------------------------------------------------------------------------------------- unknown keys */

/* A text as JSON: a quote, a backslash and control characters escaped, and nothing else. Never longer than it was written. */
static void emit_text(Buffer *out, Text text) {
    static const char FROM[] = "\"\\\b\f\n\r\t", TO[] = "\"\\bfnrt", HEX[] = "0123456789abcdef";
    char *at = out->data + out->length;
    *at++ = '"';
    for (int64_t i = 0; i < text.size; i++) {
        uint8_t byte = text.at[i];
        const char *found = byte < 0x20 || byte == '"' || byte == '\\' ? strchr(FROM, byte) : NULL;
        if (found) {
            *at++ = '\\';
            *at++ = TO[found - FROM];
        } else if (byte < 0x20) {
            memcpy(at, "\\u00", 4);
            at[4] = HEX[byte >> 4];
            at[5] = HEX[byte & 15];
            at += 6;
        } else *at++ = (char)byte;
    }
    *at++ = '"';
    out->length = at - out->data;
}

static void emit(Buffer *out, const void *data, int64_t size) {
    memcpy(out->data + out->length, data, (size_t)size);
    out->length += size;
}

static int same_text(Text one, Text other) {
    return one.size == other.size && !memcmp(one.at, other.at, (size_t)one.size);
}

/* Any JSON value, written compactly to `values`, which has room for the line. */
static int value(Cursor *cursor, int depth) {
    Buffer *out = &cursor->reader->values;
    uint8_t opened = *cursor->at;
    Text found;
    if (opened == '"') {
        cursor->at++;
        if (!text(cursor, &found)) return LEFT;
        emit_text(out, found);
        return TAKEN;
    }
    if (opened != '{' && opened != '[') {
        static const char *const WORDS[] = {"null", "true", "false"};
        for (int i = 0; i < 3; i++) {
            int64_t size = (int64_t)strlen(WORDS[i]);
            if (memcmp(cursor->at, WORDS[i], (size_t)size)) continue;
            emit(out, cursor->at, size);
            cursor->at += size;
            return TAKEN;
        }
        Bytes end = number(cursor->at);
        if (!end) return LEFT;
        emit(out, cursor->at, end - cursor->at);
        cursor->at = end;
        return TAKEN;
    }
    if (depth == MOST_DEPTH) return LEFT;
    uint8_t closing = opened == '{' ? '}' : ']';
    Text keys[MOST_NESTED_KEYS];
    int count = 0;
    emit(out, &opened, 1);
    cursor->at = white(cursor->at + 1);
    for (int first = 1; *cursor->at != closing || !first; first = 0) {
        if (opened == '{') {
            if (count == MOST_NESTED_KEYS || *cursor->at++ != '"' || !text(cursor, &keys[count])) return LEFT;
            for (int i = 0; i < count; i++)
                if (same_text(keys[i], keys[count])) return LEFT;
            emit_text(out, keys[count++]);
            cursor->at = white(cursor->at);
            if (*cursor->at++ != ':') return LEFT;
            emit(out, ":", 1);
            cursor->at = white(cursor->at);
        }
        if (!value(cursor, depth + 1)) return LEFT;
        cursor->at = white(cursor->at);
        if (*cursor->at == closing) break;
        if (*cursor->at != ',') return LEFT;
        emit(out, ",", 1);
        cursor->at = white(cursor->at + 1);
    }
    emit(out, &closing, 1);
    cursor->at++;
    return TAKEN;
}

static int unknown_key(Cursor *cursor, Text key) {
    Reader *reader = cursor->reader;
    if (reader->unknowns == MOST_UNKNOWN) return LEFT;
    Unknown *list = reader->unknown;
    int place = reader->unknowns;
    for (; place; place--) { /* they are kept in the order of their names; one that stands there twice is left */
        Text before = list[place - 1].key;
        int64_t shorter = before.size < key.size ? before.size : key.size;
        int order = memcmp(before.at, key.at, (size_t)shorter);
        if (!order) order = (before.size > key.size) - (before.size < key.size);
        if (!order) return LEFT;
        if (order < 0) break;
    }
    int64_t start = reader->values.length;
    if (!value(cursor, 2)) return LEFT;
    int64_t end = reader->values.length;
    if (end - start == 4 && !memcmp(reader->values.data + start, "null", 4)) start = -1;
    memmove(list + place + 1, list + place, (size_t)(reader->unknowns - place) * sizeof *list);
    list[place] = (Unknown){key, start, end};
    reader->unknowns++;
    return TAKEN;
}

/* Counts the unknown keys of the row being taken, and keeps their values as one JSON object. */
static int commit_unknown(Reader *reader, int64_t line_size) {
    Buffer *extra = &reader->extra;
    if (!room(extra, 2 * line_size + PADDING)) return NO_MEMORY;
    int any = 0;
    for (int i = 0; i < reader->unknowns; i++) {
        Unknown *one = reader->unknown + i;
        int32_t code = intern(&reader->keys, one->key, key_of(one->key.at, one->key.size, reader->seed), reader->seed);
        if (code < 0) return NO_MEMORY;
        int64_t zero = 0;
        if (code * 8LL == reader->key_counts.length && !append(&reader->key_counts, &zero, 8)) return NO_MEMORY;
        ((int64_t *)reader->key_counts.data)[code]++;
        if (one->start < 0) continue;
        emit(extra, any ? ", " : "{", any ? 2 : 1);
        emit_text(extra, one->key);
        emit(extra, ": ", 2);
        emit(extra, reader->values.data + one->start, one->end - one->start);
        any = 1;
    }
    if (!any) return TAKEN;
    emit(extra, "}", 1);
    int64_t row = reader->rows, end = extra->length;
    return append(&reader->extra_rows, &row, 8) && append(&reader->extra_ends, &end, 8) ? TAKEN : NO_MEMORY;
}

/* -------------------------------------------------------------------------------------------------------------- lines */

static int field_named(Text name) {
    const char *at = FIELD_NAMES;
    for (int field = 0; field < FIELDS; field++) {
        const char *end = strchr(at, ' ');
        int64_t size = end ? end - at : (int64_t)strlen(at);
        if (size == name.size && !memcmp(at, name.at, (size_t)size)) return field;
        at += size + 1;
    }
    return UNKNOWN;
}

static inline int event_type(Text name) {
    switch (name.size) { /* no two are of the same length */
    case 9: return memcmp(name.at, "page_view", 9) ? -1 : 0;
    case 11: return memcmp(name.at, "add_to_cart", 11) ? -1 : 1;
    case 16: return memcmp(name.at, "remove_from_cart", 16) ? -1 : 2;
    case 8: return memcmp(name.at, "purchase", 8) ? -1 : 3;
    case 6: return memcmp(name.at, "search", 6) ? -1 : 4;
    default: return -1;
    }
}

/* From behind a value to the next: white space, a comma, a key, a colon. What it is after a known field is remembered, so
 * that the next line compares three words and is there. Any order of keys is learned this way, a field at a time.
 * Returns the field, UNKNOWN (its value is read), END, or LEFT as -1. */
static int gap(Cursor *cursor, int before) {
    Bytes start = cursor->at, at = white(start);
    if (before != START && *at == '}') {
        cursor->at = at + 1;
        return END;
    }
    if (*at++ != (before == START ? '{' : ',')) return -1;
    at = white(at);
    if (*at++ != '"') return -1;
    Text key;
    cursor->at = at;
    if (!text(cursor, &key)) return -1;
    at = white(cursor->at);
    if (*at++ != ':') return -1;
    cursor->at = at = white(at);
    int field = field_named(key);
    if (field == UNKNOWN) return unknown_key(cursor, key) ? UNKNOWN : -1;
    if (at - start <= LONGEST_GAP) {
        Gap *learned = cursor->reader->gaps + before;
        learned->size = (int)(at - start);
        learned->key = field;
        for (int i = 0; i < 3; i++) {
            learned->masks[i] = at - start <= 8 * i ? 0 : first_bytes(~0ULL, at - start - 8 * i);
            learned->words[i] = load(start + 8 * i) & learned->masks[i];
        }
    }
    return field;
}

static inline int next(Cursor *cursor, int before) {
    const Gap *learned = cursor->reader->gaps + before;
    Bytes at = cursor->at;
    uint64_t other = ((load(at) & learned->masks[0]) ^ learned->words[0]) |
                     ((load(at + 8) & learned->masks[1]) ^ learned->words[1]) |
                     ((load(at + 16) & learned->masks[2]) ^ learned->words[2]);
    /* Without the last test, white space behind the gap would be taken for the value. */
    if (LIKELY(!other && learned->size && at[learned->size] > ' ')) {
        cursor->at += learned->size;
        return learned->key;
    }
    return gap(cursor, before);
}

typedef struct {
    Text texts[FIELDS];
    int64_t time, cents;
    int32_t quantity;
    int type;
    unsigned present;
} Line;

/* A field that holds text: a text, or a number as it was written. Other values are left. */
static inline int text_value(Cursor *cursor, Text *found) {
    Bytes start = cursor->at;
    if (LIKELY(*start == '"')) {
        cursor->at++;
        return text(cursor, found);
    }
    Bytes end = number(start);
    if (!end) return LEFT;
    *found = (Text){start, end - start};
    cursor->at = end;
    return TAKEN;
}

static inline int field_value(Cursor *cursor, int field, Line *line) {
    Text name;
    switch (field) {
    case TIMESTAMP: return *cursor->at++ == '"' && timestamp(cursor, &line->time);
    case TYPE:
        if (*cursor->at++ != '"' || !text(cursor, &name)) return LEFT;
        line->type = event_type(name);
        return line->type >= 0;
    case QUANTITY: return quantity(cursor, &line->quantity);
    case PRICE: return price(cursor, &line->cents);
    default:
        return text_value(cursor, line->texts + field) && (field == SEARCH || line->texts[field].size > 0);
    }
}

static int commit(Reader *reader, Line *line, int64_t line_size) {
    static const int TEXTS[] = {USER, SESSION, PRODUCT, CATEGORY, SEARCH};
    if (reader->rows == reader->capacity) {
        static const int WIDTHS[FIELDS] = {8, 4, 4, 1, 4, 4, 4, 8, 4};
        int64_t capacity = reader->capacity ? 2 * reader->capacity : 4096;
        for (int field = 0; field < FIELDS; field++) {
            reader->columns[field].length = reader->rows * WIDTHS[field];
            if (!room(reader->columns + field, (capacity - reader->rows) * WIDTHS[field])) return NO_MEMORY;
        }
        reader->capacity = capacity;
    }
    for (int i = 0; i < 5; i++)
        if (!fits(reader->dictionaries + TEXTS[i], line->texts[TEXTS[i]].size)) return LEFT;
    if (reader->unknowns) {
        if (reader->extra.length + 2 * line_size + PADDING > INT32_MAX || !fits(&reader->keys, line_size)) return LEFT;
        if (commit_unknown(reader, line_size) < 0) return NO_MEMORY;
    }
    int64_t row = reader->rows;
    ((int64_t *)reader->columns[TIMESTAMP].data)[row] = line->time;
    ((int8_t *)reader->columns[TYPE].data)[row] = (int8_t)line->type;
    ((int32_t *)reader->columns[QUANTITY].data)[row] = line->quantity;
    ((int64_t *)reader->columns[PRICE].data)[row] = line->cents;
    for (int i = 0; i < 5; i++) {
        int field = TEXTS[i];
        int32_t code = -1;
        if (line->present >> field & 1) {
            Text text = line->texts[field];
            code = intern(reader->dictionaries + field, text, key_of(text.at, text.size, reader->seed), reader->seed);
            if (code < 0) return NO_MEMORY;
        }
        ((int32_t *)reader->columns[field].data)[row] = code;
    }
    reader->rows++;
    return TAKEN;
}

static int take(Reader *reader, Bytes start, Bytes end) {
    Cursor cursor = {reader, start};
    Line line;
    memset(line.texts, 0, sizeof line.texts);
    line.present = 0;
    line.quantity = 0;
    line.cents = -1;
    unsigned seen = 0;
    reader->scratch.length = reader->values.length = reader->unknowns = 0;
    for (int field = START;;) {
        field = next(&cursor, field);
        if (field == UNKNOWN) continue;
        if (field == END) break;
        if (field < 0 || seen >> field & 1) return LEFT;
        seen |= 1u << field;
        if (*cursor.at == 'n') {
            if (memcmp(cursor.at, "null", 4)) return LEFT;
            cursor.at += 4;
        } else {
            if (!field_value(&cursor, field, &line)) return LEFT;
            line.present |= 1u << field;
        }
    }
    if (cursor.at != end && white(cursor.at) != end) return LEFT;
    if (!(line.present >> TYPE & 1) || line.present != reader->required[line.type]) return LEFT;
    return commit(reader, &line, end - start);
}

static int blank(Bytes at, Bytes end) { /* as Python's bytes.strip() sees it */
    while (at < end && (*at == ' ' || (*at >= 9 && *at <= 13))) at++;
    return at == end;
}

static int leave(Reader *reader, Bytes start, int64_t kept, int64_t size) {
    if (!append(&reader->left, start, kept)) return NO_MEMORY;
    LeftLine line = {reader->number, reader->rows, reader->left.length, size};
    return append(&reader->left_lines, &line, sizeof line) ? LEFT : NO_MEMORY;
}

/* One line; PADDING bytes behind its end may be read, the first of which is a newline. */
static int one_line(Reader *reader, Bytes start, Bytes end) {
    reader->number++;
    int64_t size = end - start;
    if (*start != '{' && blank(start, end)) return LEFT;
    if (size > reader->longest) return leave(reader, start, size < KEEP ? size : KEEP, size);
    if (*start != '{') return leave(reader, start, size, size);
    if (size + PADDING > reader->scratch.capacity) {
        reader->scratch.length = reader->values.length = 0;
        if (!room(&reader->scratch, size + PADDING) || !room(&reader->values, size + PADDING)) return NO_MEMORY;
    }
    int fate = take(reader, start, end);
    return fate == LEFT ? leave(reader, start, size, size) : fate;
}

/* A line that goes on in the next block. Of one that is too long only the first bytes are kept. */
static int carry(Reader *reader, Bytes start, int64_t size) {
    int64_t before = reader->carry_size;
    reader->carry_size += size;
    if (reader->carry_size <= reader->longest) return append(&reader->carry, start, size) ? 0 : NO_MEMORY;
    if (before <= reader->longest) {
        Bytes kept = (Bytes)reader->carry.data;
        reader->carry_blank = blank(kept, kept + reader->carry.length);
        if (reader->carry.length > KEEP) reader->carry.length = KEEP;
    }
    if (reader->carry_blank) reader->carry_blank = blank(start, start + size);
    int64_t more = KEEP - reader->carry.length;
    if (more > size) more = size;
    return more > 0 && !append(&reader->carry, start, more) ? NO_MEMORY : 0;
}

static int carried_line(Reader *reader) {
    static const char NEWLINE[PADDING] = "\n";
    int64_t length = reader->carry.length, size = reader->carry_size;
    int fate = LEFT;
    if (size > reader->longest) {
        reader->number++;
        if (!reader->carry_blank) fate = leave(reader, (Bytes)reader->carry.data, length, size);
    } else if (append(&reader->carry, NEWLINE, PADDING)) {
        Bytes start = (Bytes)reader->carry.data;
        fate = one_line(reader, start, start + length);
    } else fate = NO_MEMORY;
    reader->carry.length = reader->carry_size = 0;
    return fate;
}

/* ---------------------------------------------------------------------------------------------------------- interface */

/* Frees all but the columns, their dictionaries and the bytes of `extra`, which Arrow goes on using. */
EXPORT void shoplake_trim(Reader *reader) {
    Buffer *buffers[] = {&reader->carry, &reader->scratch, &reader->values, &reader->left, &reader->left_lines,
                         &reader->extra_rows, &reader->extra_ends, &reader->key_counts, &reader->keys.offsets,
                         &reader->keys.data};
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
    free(reader->extra.data);
    for (int field = 0; field < FIELDS; field++) {
        free(reader->dictionaries[field].offsets.data);
        free(reader->dictionaries[field].data.data);
        free(reader->columns[field].data);
    }
    free(reader);
}

/* The fingerprint of this file, which the build defines. What the code was written for, so that the loader can compare it with the contract. */
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
    return 0;
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
        uint64_t key = key_of(text.at, size, reader->seed);
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
