/* Attention over a cache in int8 with the instruction that multiplies bytes and adds the products
   four at a time (AVX-512 VNNI). Nothing is converted to floats but the sums, so the work is a
   fraction of what attention_kernel.h does, whose functions do the rest.

   The instruction multiplies unsigned bytes by signed ones. Keys are stored plus 128; what that adds
   to a score depends on the query alone. Weights are never negative. Queries and weights are
   rounded to 16 bits, the largest of a query and of a chunk's weights being the most that these can
   hold, and taken as two bytes. That changes a score by 1/256 of what rounding keys to int8 does.

   Within a chunk the cache's numbers lie in fours:
     keys    [K / 4, CHUNK, 4]    four numbers of one slot; K is a multiple of 4
     values  [CHUNK / 4, KP, 4]   one number of four slots */

#define VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")))
#define QUERY_MOST 32639  /* 127 * 256 + 127: the most that two signed bytes can be */
#define WEIGHT_MOST 65535 /* of two unsigned bytes */

typedef struct {
    int32_t high[HEAD_MAX / 4], low[HEAD_MAX / 4]; /* four bytes each */
    int32_t high_start, low_start;                 /* minus what the 128 add to a score */
    float scale;
} Query;

/* What was summed of high and of low bytes -> the sum. */
VNNI INLINE __m512 joined(__m512i high, __m512i low) {
    return _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(high, 8), low));
}

VNNI INLINE void split_query(const float *query, int size, Query *to) {
    float top = 1e-30f;
    for (int i = 0; i < size; i++) {
        float positive = query[i] < 0 ? -query[i] : query[i];
        top = positive > top ? positive : top;
    }
    float by = QUERY_MOST / top;
    int8_t *high = (int8_t *)to->high, *low = (int8_t *)to->low;
    int32_t high_sum = 0, low_sum = 0;
    for (int i = 0; i < size; i++) {
        int32_t whole = (int32_t)__builtin_rintf(query[i] * by);
        low[i] = (int8_t)whole;
        high[i] = (int8_t)((whole - low[i]) / 256);
        low_sum += low[i], high_sum += high[i];
    }
    to->high_start = -128 * high_sum, to->low_start = -128 * low_sum;
    to->scale = top / QUERY_MOST;
}

/* A query's scores [CHUNK], still without the scales of the keys. */
VNNI INLINE void score_vnni(const Query *query, const int8_t *keys, int size, float *scores) {
    __m512i high[4], low[4];
    for (int s = 0; s < 4; s++) {
        high[s] = _mm512_set1_epi32(query->high_start);
        low[s] = _mm512_set1_epi32(query->low_start);
    }
    for (int four = 0; four < size / 4; four++, keys += 4 * CHUNK) {
        __m512i query_high = _mm512_set1_epi32(query->high[four]);
        __m512i query_low = _mm512_set1_epi32(query->low[four]);
        for (int s = 0; s < 4; s++) {
            __m512i some = _mm512_loadu_si512(keys + 64 * s);
            high[s] = _mm512_dpbusd_epi32(high[s], some, query_high);
            low[s] = _mm512_dpbusd_epi32(low[s], some, query_low);
        }
    }
    for (int s = 0; s < 4; s++) {
        __m512 whole = joined(high[s], low[s]);
        _mm512_storeu_ps(scores + LANES * s, whole * query->scale);
    }
}

/* sums [LANES * count] += weights, as bytes, times values, times scale. */
VNNI INLINE void add_vnni(
    const int32_t *weights_high, const int32_t *weights_low, const int8_t *values, int fours,
    int wide, float scale, float *sums, const int count
) {
    __m512i high[4], low[4];
    for (int i = 0; i < count; i++) high[i] = low[i] = _mm512_setzero_si512();
    for (int four = 0; four < fours; four++, values += (size_t)4 * wide) {
        __m512i weight_high = _mm512_set1_epi32(weights_high[four]);
        __m512i weight_low = _mm512_set1_epi32(weights_low[four]);
        for (int i = 0; i < count; i++) {
            __m512i some = _mm512_loadu_si512(values + 64 * i);
            high[i] = _mm512_dpbusd_epi32(high[i], weight_high, some);
            low[i] = _mm512_dpbusd_epi32(low[i], weight_low, some);
        }
    }
    for (int i = 0; i < count; i++) {
        __m512 whole = joined(high[i], low[i]);
        float *to = sums + LANES * i;
        _mm512_storeu_ps(to, _mm512_loadu_ps(to) + whole * scale);
    }
}

/* sums [wide] += weights [CHUNK] times values; fours is how many fours of slots are in use. */
VNNI INLINE void add_all_vnni(
    const float *weights, const int8_t *values, int fours, int wide, float *sums
) {
    int32_t high[CHUNK / 4], low[CHUNK / 4];
    __m512 some[4], tops;
    for (int s = 0; s < 4; s++) some[s] = _mm512_loadu_ps(weights + LANES * s);
    tops = _mm512_max_ps(_mm512_max_ps(some[0], some[1]), _mm512_max_ps(some[2], some[3]));
    float top = _mm512_reduce_max_ps(tops);
    if (!(top > 1e-30f)) return; /* too little to change a sum, and 1 / top might overflow */
    for (int s = 0; s < 4; s++) {
        __m512i whole = _mm512_cvtps_epi32(some[s] * (WEIGHT_MOST / top));
        __m128i high_bytes = _mm512_cvtepi32_epi8(_mm512_srli_epi32(whole, 8));
        _mm_storeu_si128((__m128i *)high + s, high_bytes);
        _mm_storeu_si128((__m128i *)low + s, _mm512_cvtepi32_epi8(whole));
    }
    float scale = top / WEIGHT_MOST;
    int i = 0;
    for (; i + 4 * LANES <= wide; i += 4 * LANES)
        add_vnni(high, low, values + 4 * i, fours, wide, scale, sums + i, 4);
    for (; i < wide; i += LANES)
        add_vnni(high, low, values + 4 * i, fours, wide, scale, sums + i, 1);
}

VNNI INLINE void attend_to_row_vnni(const Call *c, int item, const int size) {
    int head = item % c->heads, group = item / c->heads;
    int from = c->groups[group], n = c->groups[group + 1] - from, first = c->positions[from];
    int wide = wide_of(size);
    size_t row_head = (size_t)c->rows[from] * c->heads + head, stride = (size_t)c->heads * size;
    Query queries[QUERIES];
    float sums[QUERIES * HEAD_MAX] __attribute__((aligned(64)));
    float scores[CHUNK] __attribute__((aligned(64)));
    float tops[QUERIES];
    Vec_avx512 totals[QUERIES];
    memset(sums, 0, sizeof(float) * n * wide);
    for (int q = 0; q < n; q++) {
        split_query(c->qkv + 3 * (from + q) * stride + (size_t)head * size, size, queries + q);
        tops[q] = -1e30f, totals[q] = (Vec_avx512){};
    }
    int end = first + n;
    for (int start = 0; start < end; start += CHUNK) {
        size_t number = row_head * c->chunks + start / CHUNK;
        Chunk chunk = chunk_at(c, number, size, 1);
        if (start + CHUNK < end) fetch_avx512(chunk_at(c, number + 1, size, 1));
        for (int q = 0; q < n; q++) {
            int visible = first + q + 1 - start;
            if (visible <= 0) continue;
            score_vnni(queries + q, chunk.keys, size, scores);
            weigh_avx512(
                scores, visible, chunk.key_scales, chunk.value_scales, 1, tops + q,
                totals + q, sums + q * wide, wide
            );
            int fours = visible < CHUNK ? (visible + 3) / 4 : CHUNK / 4;
            add_all_vnni(scores, chunk.values, fours, wide, sums + q * wide);
        }
    }
    for (int q = 0; q < n; q++) {
        float *out = c->out + (from + q) * stride + (size_t)head * size;
        float total = 0;
        for (int lane = 0; lane < LANES; lane++) total += totals[q][lane];
        for (int i = 0; i < size; i++) out[i] = sums[q * wide + i] / total;
    }
}

static int takes_fours(const Call *c) { return c->int8 && c->head_size % 4 == 0; }

VNNI static void attend_vnni(const Call *c, int item) {
    if (!takes_fours(c)) attend_avx512(c, item);
    else if (c->head_size == 64) attend_to_row_vnni(c, item, 64);
    else attend_to_row_vnni(c, item, c->head_size);
}

VNNI static void store_vnni(const Call *c, int item) {
    if (!takes_fours(c)) {
        store_avx512(c, item);
        return;
    }
    int size = c->head_size, wide = wide_of(size);
    int head = item % c->heads, group = item / c->heads;
    int8_t numbers[HEAD_MAX];
    for (int n = c->groups[group]; n < c->groups[group + 1]; n++) {
        const float *key = c->qkv + ((size_t)(3 * n + 1) * c->heads + head) * size;
        const float *value = key + (size_t)c->heads * size;
        size_t row_head = (size_t)c->rows[n] * c->heads + head;
        int slot = c->positions[n] % CHUNK, number = c->positions[n] / CHUNK;
        Chunk to = chunk_at(c, row_head * c->chunks + number, size, 1);
        int8_t *keys = (int8_t *)to.keys + 4 * slot;
        int8_t *values = (int8_t *)to.values + slot / 4 * 4 * wide + slot % 4;
        to.key_scales[slot] = quantise_avx512(key, size, numbers, 1);
        for (int i = 0; i < size; i++) keys[i / 4 * 4 * CHUNK + i % 4] = numbers[i] ^ -128;
        to.value_scales[slot] = quantise_avx512(value, size, values, 4);
    }
}
