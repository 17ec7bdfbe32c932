/* Buffers that grow, and words of eight bytes from any place. */
#pragma once

#include "reader.h"

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
