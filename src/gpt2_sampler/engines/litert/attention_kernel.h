/* What attention.c compiles for each kind of processor: VERSION names it, TARGET selects it, WIDTH
   is how many floats its vectors hold.
   No include guard: it is included more than once on purpose. */

#define FN(name) JOIN(name, VERSION)
#define Vec FN(Vec)
#define Ints FN(Ints)
#define Words FN(Words)
#define LooseVec FN(LooseVec)
#define STRIPS (CHUNK / WIDTH)

typedef float Vec __attribute__((vector_size(4 * WIDTH)));
typedef int32_t Ints __attribute__((vector_size(4 * WIDTH)));
typedef uint32_t Words __attribute__((vector_size(4 * WIDTH)));
typedef float LooseVec __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

#define LOAD(numbers) (*(const LooseVec *)(numbers))

TARGET INLINE Vec FN(larger)(Vec a, Vec b) {
    Ints takes_a = a > b;
    return (Vec)((takes_a & (Ints)a) | (~takes_a & (Ints)b));
}

TARGET INLINE float FN(largest)(Vec x) {
    float top = x[0];
    for (int lane = 1; lane < WIDTH; lane++) top = x[lane] > top ? x[lane] : top;
    return top;
}

TARGET INLINE float FN(sum)(Vec x) {
    float sum = 0;
    for (int lane = 0; lane < WIDTH; lane++) sum += x[lane];
    return sum;
}

/* exp(x) for x <= 0, within 2 units in the last place; below -87 it is exp(-87), about 1e-38.
   2^n times a polynomial in what is left (Cody and Waite 1980, "Software Manual for the Elementary
   Functions", chapter 6); the coefficients are the Taylor series', enough for |r| <= ln(2) / 2. */
TARGET INLINE Vec FN(exponential)(Vec x) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it leaves a whole number in the low bits */
    x = FN(larger)(x, (Vec){0} - 87.0f);
    Vec shifted = x * 1.44269504f + magic;
    Vec n = shifted - magic;
    Vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    Vec p = r * (1.0f / 5040) + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return (Vec)((Words)p + ((Words)shifted << 23));
}

/* Writes one head's keys and values of a group's tokens to their slots. */
TARGET static void FN(store)(const Call *c, int item) {
    int size = c->head_size, wide = wide_of(size);
    int head = item % c->heads, group = item / c->heads;
    for (int n = c->groups[group]; n < c->groups[group + 1]; n++) {
        const float *key = c->qkv + ((size_t)(3 * n + 1) * c->heads + head) * size;
        const float *value = key + (size_t)c->heads * size;
        size_t row_head = (size_t)c->rows[n] * c->heads + head;
        int slot = c->positions[n] % CHUNK, chunk = c->positions[n] / CHUNK;
        Chunk to = chunk_at(c, row_head * c->chunks + chunk, size, 0);
        size_t key_at = (size_t)slot / LANES * LANES * size + slot % LANES, value_at = slot * wide;
        float *keys = (float *)to.keys + key_at;
        for (int i = 0; i < size; i++) keys[(size_t)i * LANES] = key[i];
        memcpy((float *)to.values + value_at, value, sizeof(float) * size);
    }
}

/* Where a strip of WIDTH slots of a chunk begins within its keys. */
#define STRIP(s) ((size_t)(s) * WIDTH / LANES * LANES * size + (size_t)(s) * WIDTH % LANES)

/* query [K] -> its scores for the slots of a chunk. Four sums at a time: one would wait for
   itself. */
TARGET INLINE void FN(score_one)(const float *query, const float *keys, int size, float *scores) {
    for (int s = 0; s < STRIPS; s += 4) {
        Vec s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
        for (int i = 0; i < size; i++) {
            size_t from = (size_t)i * LANES;
            s0 += query[i] * LOAD(keys + from + STRIP(s));
            s1 += query[i] * LOAD(keys + from + STRIP(s + 1));
            s2 += query[i] * LOAD(keys + from + STRIP(s + 2));
            s3 += query[i] * LOAD(keys + from + STRIP(s + 3));
        }
        Vec *to = (Vec *)scores + s;
        to[0] = s0, to[1] = s1, to[2] = s2, to[3] = s3;
    }
}

/* The same for QUERIES queries [QUERIES, K] -> scores [QUERIES, CHUNK]. */
TARGET INLINE void FN(score_many)(
    const float *queries, const float *keys, int size, float *scores
) {
    for (int s = 0; s < STRIPS; s++) {
        Vec s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, s4 = {0}, s5 = {0}, s6 = {0}, s7 = {0};
        for (int i = 0; i < size; i++) {
            Vec key = LOAD(keys + (size_t)i * LANES + STRIP(s));
            const float *q = queries + i * QUERIES;
            s0 += q[0] * key, s1 += q[1] * key, s2 += q[2] * key, s3 += q[3] * key;
            s4 += q[4] * key, s5 += q[5] * key, s6 += q[6] * key, s7 += q[7] * key;
        }
        Vec *to = (Vec *)scores + s;
        to[0] = s0, to[STRIPS] = s1, to[2 * STRIPS] = s2, to[3 * STRIPS] = s3;
        to[4 * STRIPS] = s4, to[5 * STRIPS] = s5, to[6 * STRIPS] = s6, to[7 * STRIPS] = s7;
    }
}

/* sums [4 WIDTH] += weights [slots] times as many values, `wide` apart. */
TARGET INLINE void FN(add_one)(
    const float *weights, const float *values, size_t at, int slots, int wide, float *sums
) {
    Vec *own = (Vec *)sums, s0 = own[0], s1 = own[1], s2 = own[2], s3 = own[3];
    for (int slot = 0; slot < slots; slot++, at += wide) {
        float weight = weights[slot];
        s0 += weight * LOAD(values + at);
        s1 += weight * LOAD(values + at + WIDTH);
        s2 += weight * LOAD(values + at + 2 * WIDTH);
        s3 += weight * LOAD(values + at + 3 * WIDTH);
    }
    own[0] = s0, own[1] = s1, own[2] = s2, own[3] = s3;
}

/* sums [QUERIES, wide] += weights [QUERIES, CHUNK] times values, WIDTH numbers of each. */
TARGET INLINE void FN(add_many)(
    const float *weights, const float *values, size_t at, int slots, int wide, float *sums
) {
#define SUM(q) (*(Vec *)(sums + (q) * wide))
    Vec s0 = SUM(0), s1 = SUM(1), s2 = SUM(2), s3 = SUM(3);
    Vec s4 = SUM(4), s5 = SUM(5), s6 = SUM(6), s7 = SUM(7);
    for (int slot = 0; slot < slots; slot++, at += wide) {
        Vec value = LOAD(values + at);
        const float *w = weights + slot;
        s0 += w[0] * value, s1 += w[CHUNK] * value;
        s2 += w[2 * CHUNK] * value, s3 += w[3 * CHUNK] * value;
        s4 += w[4 * CHUNK] * value, s5 += w[5 * CHUNK] * value;
        s6 += w[6 * CHUNK] * value, s7 += w[7 * CHUNK] * value;
    }
    SUM(0) = s0, SUM(1) = s1, SUM(2) = s2, SUM(3) = s3;
    SUM(4) = s4, SUM(5) = s5, SUM(6) = s6, SUM(7) = s7;
#undef SUM
}

/* sums [WIDTH] += weights [slots] times values: for what is left of a head of an odd size. */
TARGET INLINE void FN(add_rest)(
    const float *weights, const float *values, size_t at, int slots, int wide, float *sums
) {
    Vec sum = *(Vec *)sums;
    for (int slot = 0; slot < slots; slot++, at += wide)
        sum += weights[slot] * LOAD(values + at);
    *(Vec *)sums = sum;
}

/* A chunk's scores [CHUNK] of one query -> the weights of its values. Those beyond `visible` count
   nothing. top and total are the largest score so far and the lanes' sums of weights; where the
   chunk has a larger score, they and the sums of values [wide] are scaled down to it (Milakov and
   Gimelshein 2018, "Online normalizer calculation for softmax"). */
TARGET INLINE void FN(weigh)(
    float *scores, int visible, float *top, Vec *total, float *sums, int wide
) {
    Vec *own = (Vec *)scores;
    for (int slot = visible; slot < CHUNK; slot++) scores[slot] = -1e30f;
    Vec high = own[0];
    for (int s = 1; s < STRIPS; s++) high = FN(larger)(high, own[s]);
    float largest = FN(largest)(high);
    if (largest > *top) {
        float by = FN(exponential)((Vec){0} + (*top - largest))[0];
        *top = largest;
        *total *= by;
        for (int i = 0; i < wide; i += WIDTH) *(Vec *)(sums + i) *= by;
    }
    for (int s = 0; s < STRIPS; s++) *total += own[s] = FN(exponential)(own[s] - *top);
}

/* The attention of `n` queries of one head, at positions first, first + 1, ... -> out, each [K],
   `stride` apart. count is 1, with query [K], or QUERIES, with queries [K, QUERIES]. */
TARGET INLINE void FN(attend_to_row)(
    const Call *c, size_t row_head, const float *queries, int first, int n, float *out,
    size_t stride, int size, const int count
) {
    int wide = wide_of(size);
    float sums[QUERIES * HEAD_MAX] __attribute__((aligned(64)));
    float scores[QUERIES * CHUNK] __attribute__((aligned(64)));
    float tops[QUERIES];
    Vec totals[QUERIES];
    memset(sums, 0, sizeof(float) * count * wide);
    for (int q = 0; q < count; q++) tops[q] = -1e30f, totals[q] = (Vec){0};
    int end = first + n;
    for (int start = 0; start < end; start += CHUNK) {
        size_t number = row_head * c->chunks + start / CHUNK;
        Chunk chunk = chunk_at(c, number, size, 0);
        if (count == 1) FN(score_one)(queries, chunk.keys, size, scores);
        else FN(score_many)(queries, chunk.keys, size, scores);
        for (int q = 0; q < count; q++) {
            int visible = first + q + 1 - start;
            FN(weigh)(
                scores + q * CHUNK, visible < 0 ? 0 : visible, tops + q, totals + q,
                sums + q * wide, wide
            );
        }
        int slots = end - start < CHUNK ? end - start : CHUNK, i = 0;
        if (count == 1) {
            for (; i + 4 * WIDTH <= wide; i += 4 * WIDTH)
                FN(add_one)(scores, chunk.values, i, slots, wide, sums + i);
            for (; i < wide; i += WIDTH)
                FN(add_rest)(scores, chunk.values, i, slots, wide, sums + i);
        } else {
            for (; i < wide; i += WIDTH)
                FN(add_many)(scores, chunk.values, i, slots, wide, sums + i);
        }
    }
    for (int q = 0; q < n; q++) {
        float total = FN(sum)(totals[q]);
        for (int i = 0; i < size; i++) out[q * stride + i] = sums[q * wide + i] / total;
    }
}

/* One head of a group of tokens. A head of 64, the commonest, has code of its own. */
TARGET static void FN(attend)(const Call *c, int item) {
    int size = c->head_size, head = item % c->heads, group = item / c->heads;
    int from = c->groups[group], n = c->groups[group + 1] - from;
    size_t row_head = (size_t)c->rows[from] * c->heads + head, stride = (size_t)c->heads * size;
    const float *query = c->qkv + 3 * from * stride + (size_t)head * size;
    float *out = c->out + from * stride + (size_t)head * size;
    int first = c->positions[from];
    if (n == 1) {
        if (size == 64) FN(attend_to_row)(c, row_head, query, first, 1, out, stride, 64, 1);
        else FN(attend_to_row)(c, row_head, query, first, 1, out, stride, size, 1);
        return;
    }
    float turned[HEAD_MAX * QUERIES]; /* [K, QUERIES]; a group that is not full repeats its last */
    for (int q = 0; q < QUERIES; q++)
        for (int i = 0; i < size; i++)
            turned[i * QUERIES + q] = query[(q < n ? q : n - 1) * 3 * stride + i];
    if (size == 64) FN(attend_to_row)(c, row_head, turned, first, n, out, stride, 64, QUERIES);
    else FN(attend_to_row)(c, row_head, turned, first, n, out, stride, size, QUERIES);
}

#undef LOAD
#undef STRIPS
#undef STRIP
