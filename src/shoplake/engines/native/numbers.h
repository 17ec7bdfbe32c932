/* White space, numbers of JSON, quantities and prices. */
#pragma once

#include "reader.h"

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
