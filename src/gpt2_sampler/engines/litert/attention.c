/* Attention with a cache, for tokens of any rows at any positions.

   Each token's key and value are written to its row's cache, then each token's query looks at its
   own row's slots from 0 to its own. Nothing is allocated, nothing is checked; attention.py does
   both and has the same in NumPy, to which a test holds this.

   The cache of a layer is [B, H, S / CHUNK] chunks of CHUNK slots, for B rows of H heads, K numbers
   a vector, S slots. A chunk is read from its beginning to its end and holds
     keys    [CHUNK / LANES, K, LANES]  so that LANES scores are summed side by side
     values  [CHUNK, KP]                KP is K rounded up to LANES; what is beyond K stays 0
   in float, or in int8, followed by [CHUNK] scales of keys and as many of values, which the numbers
   are to be multiplied by. Where attention_vnni.h runs, the numbers have an order of its own.

   The work on vectors is in attention_kernel.h, compiled once for each kind of processor; which
   version runs is decided when the program runs. */

#include <stdint.h>
#include <stddef.h>
#include <string.h>

#include "../../threads.h"

#define LANES 16
#define CHUNK 64     /* slots scored at a time */
#define QUERIES 8    /* tokens of one row that share the reading of its cache */
#define HEAD_MAX 512 /* numbers in a vector at most: the scratch below is on the stack */
#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    const float *qkv; /* [N, 3, H, K]; the query is scaled already */
    float *out;       /* [N, H, K] */
    char *cache;
    const int32_t *rows, *positions;  /* [N], tokens of one row in ascending order */
    const int32_t *groups;            /* [G + 1]: where each run of at most QUERIES tokens of one
                                         row at consecutive positions begins, and N */
    int32_t n_groups, heads, head_size, chunks, int8; /* chunks of a row's head */
} Call;

typedef struct {
    void *keys, *values;
    float *key_scales, *value_scales; /* in int8 */
} Chunk;

INLINE int wide_of(int head_size) { return (head_size + LANES - 1) / LANES * LANES; }

/* A cache's chunk, by its number in the layer. Its parts begin at multiples of 64 bytes. */
INLINE Chunk chunk_at(const Call *c, size_t number, int size, int int8) {
    size_t numbers = (size_t)CHUNK * (int8 ? 1 : sizeof(float)), wide = wide_of(size);
    size_t scales = int8 ? CHUNK * sizeof(float) : 0;
    char *keys = c->cache + number * (numbers * (size + wide) + 2 * scales);
    char *values = keys + numbers * size, *after = values + numbers * wide;
    return (Chunk){keys, values, (float *)after, (float *)(after + scales)};
}

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)

#define VERSION plain
#define TARGET
#define WIDTH 4
#define WIDEN(bytes) {(bytes)[0], (bytes)[1], (bytes)[2], (bytes)[3]}
#include "attention_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define VERSION avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 8
#define WIDEN(bytes) _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadu_si64(bytes)))
#include "attention_kernel.h"

#define VERSION avx512
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define WIDTH 16
#define WIDEN(bytes) _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)(bytes))))
#include "attention_kernel.h"

#include "attention_vnni.h"
#endif

typedef void (*Part)(const Call *, int item);

static const struct Kernel {
    const char *name;
    Part store, attend;
} kernels[] = {
    {"plain", store_plain, attend_plain},
#if defined(__x86_64__)
    {"avx2", store_avx2, attend_avx2},
    {"avx512", store_avx512, attend_avx512},
    {"avx512vnni", store_vnni, attend_vnni},
#endif
};

/* How many of the versions this processor can run; the last of them is the fastest. */
EXPORTED int attention_versions(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 1;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return 2;
    return __builtin_cpu_supports("avx512vnni") ? 4 : 3;
#else
    return 1;
#endif
}

EXPORTED const char *attention_name(int version) { return kernels[version].name; }

typedef struct {
    const Call *call;
    Part part;
} Job;

static void do_part(const void *job, int item, int worker) {
    (void)worker;
    ((const Job *)job)->part(((const Job *)job)->call, item);
}

/* Writes the keys and values of N tokens and attends. An item of the work is a head of a group.
   version is below attention_versions(). */
EXPORTED void attention(const Call *call, int version, int threads) {
    int items = call->n_groups * call->heads;
    Job store = {call, kernels[version].store}, attend = {call, kernels[version].attend};
    each(do_part, &store, items, threads);
    each(do_part, &attend, items, threads);
}
