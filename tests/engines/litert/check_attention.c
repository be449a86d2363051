/* Every version of attention.c that this processor can run, beside the formula: heads of all sizes,
   in float and in int8, a group of tokens across the end of a chunk and then one token at a time, in
   a cache that earlier texts left full of NaN. For test_attention_elsewhere.py, which runs it where
   Python does not. Prints the versions. */

#include <math.h>
#include <stdio.h>

#include "attention.c"

enum { FIRST = 62, GROUP = 3, TOKENS = 4, CHUNKS = 2 };

static float qkv[3 * TOKENS * HEAD_MAX];
static float out[TOKENS * HEAD_MAX], expected[TOKENS * HEAD_MAX];
static char cache[CHUNKS * CHUNK * 8 * HEAD_MAX] __attribute__((aligned(64)));

static float next_random(void) { /* -1 to 1 */
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / (1 << 23) - 1;
}

/* A vector as the cache holds it. */
static void round_vector(const float *x, int size, int int8, float *to) {
    float top = 1e-30f;
    for (int i = 0; i < size; i++) top = fmaxf(top, fabsf(x[i]));
    for (int i = 0; i < size; i++) to[i] = int8 ? rintf(x[i] * (127 / top)) * (top / 127) : x[i];
}

/* qkv [TOKENS, 3, size] -> expected [TOKENS, size]; the slots before FIRST are all 0. */
static void attend_slowly(int size, int int8) {
    static float keys[TOKENS][HEAD_MAX], values[TOKENS][HEAD_MAX];
    for (int n = 0; n < TOKENS; n++) {
        const float *query = qkv + 3 * n * size;
        double total = FIRST, sums[HEAD_MAX] = {0};
        round_vector(query + size, size, int8, keys[n]);
        round_vector(query + 2 * size, size, int8, values[n]);
        for (int other = 0; other <= n; other++) {
            double score = 0;
            for (int i = 0; i < size; i++) score += query[i] * keys[other][i];
            double weight = exp(score);
            total += weight;
            for (int i = 0; i < size; i++) sums[i] += weight * values[other][i];
        }
        for (int i = 0; i < size; i++) expected[n * size + i] = sums[i] / total;
    }
}

static void attend_fast(int size, int int8, int version) {
    int32_t rows[TOKENS] = {0}, positions[TOKENS], groups[] = {0, GROUP};
    size_t slot = int8 ? 4 * fours_of(size) + wide_of(size) + 8 : 4 * (size + wide_of(size));
    memset(cache, 0xff, CHUNKS * CHUNK * slot);
    memset(cache, 0, CHUNK * slot);
    for (int n = 0; n < TOKENS; n++) positions[n] = FIRST + n;
    for (int n = 0; n < TOKENS; n += groups[1]) {
        groups[1] = n ? 1 : GROUP;
        Call call = {
            qkv + 3 * n * size, out + n * size, cache, rows, positions + n, groups, 1, 1, size,
            CHUNKS, int8,
        };
        attention(&call, version, 1);
    }
}

/* Whether a version gives what was expected. */
static int check(int size, int int8, int version) {
    attend_fast(size, int8, version);
    for (int i = 0; i < TOKENS * size; i++)
        if (!(fabsf(out[i] - expected[i]) < (int8 ? 1e-4f : 2e-6f))) {
            printf("%s, %d numbers, int8 %d: ", attention_name(version), size, int8);
            printf("%g where %g is right\n", out[i], expected[i]);
            return 0;
        }
    return 1;
}

int main(void) {
    for (int size = 1; size <= HEAD_MAX; size++) {
        for (int i = 0; i < TOKENS * 3 * size; i++)
            qkv[i] = next_random() * (i / size % 3 ? 1 : 4 / sqrtf(size));
        for (int int8 = size > 80 && size % 16; int8 < 2; int8++) { /* floats know few sizes */
            attend_slowly(size, int8);
            for (int version = 0; version < attention_versions(); version++)
                if (!check(size, int8, version)) return 1;
        }
    }
    for (int version = 0; version < attention_versions(); version++)
        printf("%s\n", attention_name(version));
    return 0;
}
