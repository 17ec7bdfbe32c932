/* Times, exact to the microsecond. */
#pragma once

#include "memory.h"
#include "numbers.h"

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
