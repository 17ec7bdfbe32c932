/* Texts of JSON: plain ASCII eight bytes at a time, UTF-8 and escapes with care. */
#pragma once

#include "memory.h"

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
