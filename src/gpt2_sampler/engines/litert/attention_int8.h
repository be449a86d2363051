/* Attention over a cache in int8, compiled after attention_kernel.h for the same VERSION. Nothing is
   converted to floats but sums, so the work is a fraction of what floats take.

   Scores and sums of values are both a vector of numbers times a matrix of bytes, in fours:
     keys    [K4 / 4, CHUNK, 4]   four numbers of one slot; K4 is K rounded up to fours
     values  [CHUNK / 4, KP, 4]   one number of four slots
   The vector (a query, or the weights of a chunk) is rounded to 16 bits, its largest number being
   MOST. That changes a score by 1/256 of what rounding keys to int8 does.

   Two kinds of instruction do it; each takes four numbers of the vector as two times 32 bits:
   - DOT(sums, bytes, numbers) adds four products of bytes: VNNI, SDOT. The numbers are split into
     high and low bytes, and so are the sums.
   - MULTIPLY(sums, bytes, numbers) multiplies 16 bits by 16 and adds the products in pairs: first
     the first and third byte of each four, then the others. ADDED(sums) is the sum of all.
   Stored are bytes plus BIAS, for most instructions take them without a sign; what that adds to a
   sum depends on the vector alone. Sums may go round beyond 32 bits, and come back: |key| <= 127,
   so without the bias 127 * MOST * HEAD_MAX is below 2^31. */

#define MOST 32639 /* 127 * 256 + 127: what two signed bytes can be */
#define Numbers FN(Numbers)
#define Sums FN(Sums)
#define Halves FN(Halves)
#define Few FN(Few)
#ifndef BIAS
#define BIAS 128
#endif
#define AT_ONCE (WIDTH == 4 ? 4 : 64 / WIDTH) /* strips of a matrix, as registers allow */

typedef uint16_t Halves __attribute__((vector_size(4 * WIDTH)));
typedef struct {
    int32_t parts[2 * HEAD_MAX / 4] __attribute__((aligned(64))); /* a four's: FIRST and SECOND */
    int32_t start; /* minus what BIAS adds to a sum */
    float scale;
} Numbers;
typedef struct {
    Words one, other;
} Sums;

#ifdef DOT
typedef int8_t Few __attribute__((vector_size(WIDTH), may_alias));
#define FIRST(four) ((four))
#define SECOND(four) ((four) + HEAD_MAX / 4)
#define PLACE(number) ((number) % 4)
#define ADDED(sums) (((sums).one << 8) + (sums).other)

TARGET INLINE void FN(put)(Words whole, int at, Numbers *to) {
    Ints low = (Ints)(whole << 24) >> 24, high = (Ints)(whole - (Words)low) >> 8;
    *(Few *)((int8_t *)to->parts + at) = __builtin_convertvector(high, Few);
    *(Few *)((int8_t *)to->parts + HEAD_MAX + at) = __builtin_convertvector(low, Few);
}

TARGET INLINE void FN(add)(Sums *sums, Words bytes, int32_t first, int32_t second) {
    sums->one = DOT(sums->one, bytes, (Words){0} + (uint32_t)first);
    sums->other = DOT(sums->other, bytes, (Words){0} + (uint32_t)second);
}
#else
typedef int16_t Few __attribute__((vector_size(2 * WIDTH), may_alias));
#define FIRST(four) (2 * (four))
#define SECOND(four) (2 * (four) + 1)
#define PLACE(number) ((number) % 4 / 2 + (number) % 2 * 2)

TARGET INLINE void FN(put)(Words whole, int at, Numbers *to) {
    *(Few *)((int16_t *)to->parts + at) = __builtin_convertvector((Ints)whole, Few);
}

TARGET INLINE void FN(add)(Sums *sums, Words bytes, int32_t first, int32_t second) {
    Words even = bytes & 0x00ff00ff, odd = (Words)((Halves)bytes >> 8);
    MULTIPLY(sums, even, (Words){0} + (uint32_t)first);
    MULTIPLY(sums, odd, (Words){0} + (uint32_t)second);
}
#endif

/* n floats, a multiple of WIDTH, rounded to 16 bits. */
TARGET INLINE void FN(round)(const float *x, int n, Numbers *to) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it leaves a whole number in the low bits */
    Vec tops = (Vec){0} + 1e-30f;
    for (int i = 0; i < n; i += WIDTH) {
        Vec some = *(const LooseVec *)(x + i);
        tops = FN(larger)(tops, FN(larger)(some, -some));
    }
    float top = FN(largest)(tops);
    Vec by = (Vec){0} + MOST / top;
    Words sums = {0}, zero = (Words)((Vec){0} + magic);
    for (int i = 0; i < n; i += WIDTH) {
        Words whole = (Words)(*(const LooseVec *)(x + i) * by + magic) - zero;
        sums += whole;
        FN(put)(whole, i, to);
    }
    uint32_t sum = 0;
    for (int lane = 0; lane < WIDTH; lane++) sum += sums[lane];
    to->start = (int32_t)(sum * -BIAS);
    to->scale = top / MOST;
}

/* out [count * WIDTH] += numbers times so many columns of a matrix [fours, columns, 4]. What lies
   `ahead` bytes beyond will be read soon: the processor's own prefetching ends with each page, and
   asking for a whole chunk at once would have to wait. */
TARGET INLINE void FN(add_strips)(
    const Numbers *numbers, int fours, const char *matrix, int columns, size_t ahead, float *out,
    const int count
) {
    Sums sums[AT_ONCE];
    for (int s = 0; s < count; s++) sums[s] = (Sums){{0}, {0}};
    for (int four = 0; four < fours; four++, matrix += (size_t)4 * columns) {
        int32_t first = numbers->parts[FIRST(four)], second = numbers->parts[SECOND(four)];
        for (int line = 0; line < 4 * WIDTH * count; line += 64)
            __builtin_prefetch(matrix + ahead + line, 0, 2);
        for (int s = 0; s < count; s++)
            FN(add)(sums + s, (Words)((const LooseVec *)matrix)[s], first, second);
    }
    for (int s = 0; s < count; s++) {
        Ints whole = (Ints)(ADDED(sums[s]) + (uint32_t)numbers->start);
        ((LooseVec *)out)[s] += __builtin_convertvector(whole, Vec) * numbers->scale;
    }
}

/* out [columns] += numbers times a matrix; columns is a multiple of LANES. */
TARGET INLINE void FN(add_product)(
    const Numbers *numbers, int fours, const char *matrix, int columns, size_t ahead, float *out
) {
    int i = 0;
    for (; i + AT_ONCE * WIDTH <= columns; i += AT_ONCE * WIDTH)
        FN(add_strips)(numbers, fours, matrix + 4 * i, columns, ahead, out + i, AT_ONCE);
    for (; i < columns; i += LANES)
        FN(add_strips)(numbers, fours, matrix + 4 * i, columns, ahead, out + i, LANES / WIDTH);
}

TARGET INLINE void FN(attend_in_bytes)(const Call *c, int item, const int size) {
    int head = item % c->heads, group = item / c->heads;
    int from = c->groups[group], n = c->groups[group + 1] - from, first = c->positions[from];
    int wide = wide_of(size);
    size_t row_head = (size_t)c->rows[from] * c->heads + head, stride = (size_t)c->heads * size;
    Numbers queries[QUERIES], weights;
    float sums[QUERIES * HEAD_MAX] __attribute__((aligned(64)));
    float scores[CHUNK] __attribute__((aligned(64)));
    float tops[QUERIES];
    Vec totals[QUERIES];
    memset(sums, 0, sizeof(float) * n * wide);
    for (int q = 0; q < n; q++) {
        float query[HEAD_MAX] __attribute__((aligned(64)));
        memset(query + wide - LANES, 0, sizeof(float) * LANES);
        memcpy(query, c->qkv + 3 * (from + q) * stride + (size_t)head * size, sizeof(float) * size);
        FN(round)(query, wide, queries + q);
        tops[q] = -1e30f, totals[q] = (Vec){0};
    }
    int end = first + n;
    for (int start = 0; start < end; start += CHUNK) {
        size_t number = row_head * c->chunks + start / CHUNK;
        Chunk chunk = chunk_at(c, number, size, 1);
        size_t whole = (char *)chunk_at(c, number + 1, size, 1).keys - (char *)chunk.keys;
        size_t ahead = start + CHUNK < end ? whole : 0;
        for (int q = 0; q < n; q++) {
            int visible = first + q + 1 - start;
            if (visible <= 0) continue;
            visible = visible < CHUNK ? visible : CHUNK;
            memset(scores, 0, sizeof(scores));
            FN(add_product)(queries + q, fours_of(size), chunk.keys, CHUNK, ahead, scores);
            for (int slot = 0; slot < CHUNK; slot++) scores[slot] *= chunk.key_scales[slot];
            FN(weigh)(scores, visible, tops + q, totals + q, sums + q * wide, wide);
            for (int slot = 0; slot < CHUNK; slot++)
                scores[slot] *= slot < visible ? chunk.value_scales[slot] : 0;
            FN(round)(scores, CHUNK, &weights);
            FN(add_product)(&weights, fours_of(visible), chunk.values, wide, ahead, sums + q * wide);
        }
    }
    for (int q = 0; q < n; q++) {
        float *out = c->out + (from + q) * stride + (size_t)head * size;
        for (int i = 0; i < size; i++) out[i] = sums[q * wide + i] / FN(sum)(totals[q]);
    }
}

TARGET static void FN(attend_int8)(const Call *c, int item) {
    if (c->head_size == 64) FN(attend_in_bytes)(c, item, 64);
    else FN(attend_in_bytes)(c, item, c->head_size);
}

/* K numbers -> bytes, and their scale: the largest becomes 127; what is no number, 0. */
TARGET INLINE float FN(quantise)(const float *x, int size, int8_t *to) {
    Vec tops = (Vec){0} + 1e-30f;
    int i = 0;
    for (; i + WIDTH <= size; i += WIDTH) {
        Vec some = *(const LooseVec *)(x + i);
        tops = FN(larger)(tops, FN(larger)(some, -some));
    }
    float top = FN(largest)(tops);
    for (; i < size; i++) {
        top = x[i] > top ? x[i] : top;
        top = -x[i] > top ? -x[i] : top;
    }
    float by = 127 / top;
    for (i = 0; i < size; i++) {
        float whole = __builtin_rintf(x[i] * by);
        to[i] = whole == whole ? (int8_t)whole : 0;
    }
    return top / 127;
}

/* Writes one head's keys and values of a group's tokens to their slots. */
TARGET static void FN(store_int8)(const Call *c, int item) {
    int size = c->head_size, wide = wide_of(size);
    int head = item % c->heads, group = item / c->heads;
    int8_t numbers[HEAD_MAX];
    for (int n = c->groups[group]; n < c->groups[group + 1]; n++) {
        const float *key = c->qkv + ((size_t)(3 * n + 1) * c->heads + head) * size;
        const float *value = key + (size_t)c->heads * size;
        size_t row_head = (size_t)c->rows[n] * c->heads + head;
        int slot = c->positions[n] % CHUNK, number = c->positions[n] / CHUNK;
        Chunk to = chunk_at(c, row_head * c->chunks + number, size, 1);
        char *keys = (char *)to.keys + 4 * slot;
        char *values = (char *)to.values + slot / 4 * 4 * wide + PLACE(slot);
        to.key_scales[slot] = FN(quantise)(key, size, numbers);
        for (int i = 0; i < size; i++) keys[i / 4 * 4 * CHUNK + PLACE(i)] = (char)(numbers[i] + BIAS);
        to.value_scales[slot] = FN(quantise)(value, size, numbers);
        for (int i = 0; i < size; i++) values[4 * i] = (char)(numbers[i] + BIAS);
    }
}

#undef Numbers
#undef Sums
#undef Halves
#undef Few
#undef MOST
#undef BIAS
#undef AT_ONCE
#undef FIRST
#undef SECOND
#undef PLACE
#undef DOT
#undef MULTIPLY
#undef ADDED

#undef FN
#undef Vec
#undef Ints
#undef Words
#undef LooseVec
#undef VERSION
#undef TARGET
#undef WIDTH
