/* Figures of groups of events: what engines/aggregates.py adds up in NumPy, one pass over the events for all of them. */
#pragma once

#include "reader.h"

enum { KINDS = TYPES + 1 }; /* the last one is of whatever else there may be */

typedef struct {
    int32_t *counts; /* KINDS of each group */
    int64_t *first, *last;
    int32_t *user;
} Figures;

/* Groups are many and come in no order, so what an event needs is asked for some events before. */
static inline void ask_for(const Figures *figures, int32_t group, int spans) {
    __builtin_prefetch(figures->counts + (int64_t)KINDS * group, 1);
    if (!spans) return;
    __builtin_prefetch(figures->first + group, 1);
    __builtin_prefetch(figures->last + group, 1);
    __builtin_prefetch(figures->user + group, 1);
}

static inline void add_span(const Figures *figures, int32_t group, int64_t time, int32_t user) {
    if (time < figures->first[group]) figures->first[group] = time;
    if (time > figures->last[group]) figures->last[group] = time;
    if (user < figures->user[group]) figures->user[group] = user;
}
