/* Lines: a plain one becomes a row, every other one is left as it is. */
#pragma once

#include "times.h"
#include "unknown_keys.h"

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
    static const int TEXTS[] = {PRODUCT, CATEGORY, SEARCH, USER, SESSION};
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
        if (!fits(reader->dictionaries + TEXTS[i], reader->waiting_bytes + line->texts[TEXTS[i]].size)) return LEFT;
    if (reader->unknowns) {
        if (reader->extra.length + 2 * line_size + PADDING > INT32_MAX || !fits(&reader->keys, line_size)) return LEFT;
        if (commit_unknown(reader, line_size) < 0) return NO_MEMORY;
    }
    int64_t row = reader->rows;
    ((int64_t *)reader->columns[TIMESTAMP].data)[row] = line->time;
    ((int8_t *)reader->columns[TYPE].data)[row] = (int8_t)line->type;
    ((int32_t *)reader->columns[QUANTITY].data)[row] = line->quantity;
    ((int64_t *)reader->columns[PRICE].data)[row] = line->cents;
    for (int i = 0; i < 3; i++) {
        int field = TEXTS[i];
        int32_t code = -1;
        if (line->present >> field & 1) {
            Text text = line->texts[field];
            code = intern(reader->dictionaries + field, text, key_of(text.at, text.size, reader->seed), reader->seed);
            if (code < 0) return NO_MEMORY;
        }
        ((int32_t *)reader->columns[field].data)[row] = code;
    }
    for (int which = 0; which < 2; which++) expect(reader, row, which, line->texts[USER + which]);
    reader->rows++;
    if (reader->scratch.length) return look_up(reader, reader->rows) ? NO_MEMORY : TAKEN; /* the next line overwrites it */
    if (reader->rows - reader->known < AHEAD) return TAKEN;
    expect_texts(reader, reader->rows - AHEAD / 2);
    return look_up(reader, reader->rows - AHEAD + 1) ? NO_MEMORY : TAKEN;
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
        reader->carry_blank = !kept || blank(kept, kept + reader->carry.length);
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
        if (look_up(reader, reader->rows)) fate = NO_MEMORY;
    } else fate = NO_MEMORY;
    reader->carry.length = reader->carry_size = 0;
    return fate;
}
