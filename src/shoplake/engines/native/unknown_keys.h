/* Keys that the contract does not know: any value, kept as compact JSON, and how often each key occurs. */
#pragma once

#include "dictionary.h"
#include "numbers.h"
#include "text.h"

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
