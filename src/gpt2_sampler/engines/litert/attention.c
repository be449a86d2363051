/* Attention with a cache, for tokens of any rows at any positions.

   Each token's key and value are written to its row's cache, then each token's query looks at its
   own row's slots from 0 to its own. Nothing is allocated, nothing is checked; attention.py does
   both and has the same in NumPy, to which a test holds this.

   The cache of a layer is [B, H, S / CHUNK] chunks of CHUNK slots, for B rows of H heads, K numbers
   a vector, S slots. A chunk is read from its beginning to its end and holds
     keys    [CHUNK / LANES, K, LANES]  so that LANES scores are summed side by side
     values  [CHUNK, KP]                KP is K rounded up to LANES; what is beyond K stays 0
   in float. In int8 the numbers lie as attention_int8.h says, followed by [CHUNK] scales of keys and
   as many of values, which the numbers are to be multiplied by.

   The work on vectors is in attention_kernel.h, for floats, and attention_int8.h, compiled once for
   each kind of processor; which version runs is decided when the program runs. */

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
    int32_t *groups;                  /* [G + 1]: where each run of at most QUERIES tokens of one
                                         row at consecutive positions begins, and N */
    int32_t n_groups, heads, head_size, chunks, int8; /* chunks of a row's head */
} Call;

typedef struct {
    void *keys, *values;
    float *key_scales, *value_scales; /* in int8 */
} Chunk;

INLINE int wide_of(int head_size) { return (head_size + LANES - 1) / LANES * LANES; }
INLINE int fours_of(int n) { return (n + 3) / 4; }

/* A cache's chunk, by its number in the layer. Its parts begin at multiples of 64 bytes. */
INLINE Chunk chunk_at(const Call *c, size_t number, int size, int int8) {
    size_t key = int8 ? 4 * fours_of(size) : 4 * size, value = wide_of(size) * (int8 ? 1 : 4);
    size_t scale = int8 ? sizeof(float) : 0; /* bytes of a slot, as the other two */
    char *keys = c->cache + number * CHUNK * (key + value + 2 * scale);
    char *values = keys + CHUNK * key, *after = values + CHUNK * value;
    return (Chunk){keys, values, (float *)after, (float *)(after + CHUNK * scale)};
}

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)

#if defined(__x86_64__)
#include <immintrin.h>

#define VERSION sse2
#define TARGET
#define WIDTH 4
#define MULTIPLY(sums, bytes, by) \
    sums->one += (Words)_mm_madd_epi16((__m128i)(bytes), (__m128i)(by))
#define ADDED(sums) ((sums).one)
#include "attention_kernel.h"
#include "attention_int8.h"

#define VERSION avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 8
#define MULTIPLY(sums, bytes, by) \
    sums->one += (Words)_mm256_madd_epi16((__m256i)(bytes), (__m256i)(by))
#define ADDED(sums) ((sums).one)
#include "attention_kernel.h"
#include "attention_int8.h"

#define VERSION avx512
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define WIDTH 16
#define MULTIPLY(sums, bytes, by) \
    sums->one += (Words)_mm512_madd_epi16((__m512i)(bytes), (__m512i)(by))
#define ADDED(sums) ((sums).one)
#include "attention_kernel.h"
#include "attention_int8.h"

#define VERSION avx512vnni
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")))
#define WIDTH 16
#define DOT(sum, bytes, by) \
    ((Words)_mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(bytes), (__m512i)(by)))
#include "attention_kernel.h"
#include "attention_int8.h"

static int runs_always(void) { return 1; }
static int runs_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static int runs_avx512(void) {
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
static int runs_vnni(void) { return runs_avx512() && __builtin_cpu_supports("avx512vnni"); }

#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>

#define VERSION neon
#define TARGET
#define WIDTH 4
#define MULTIPLY(sums, bytes, by) \
    sums->one = (Words)vmlal_s16( \
        (int32x4_t)sums->one, vget_low_s16((int16x8_t)(bytes)), vget_low_s16((int16x8_t)(by)) \
    ), \
    sums->other = (Words)vmlal_high_s16((int32x4_t)sums->other, (int16x8_t)(bytes), (int16x8_t)(by))
#define ADDED(sums) ((Words)vpaddq_u32((uint32x4_t)(sums).one, (uint32x4_t)(sums).other))
#include "attention_kernel.h"
#include "attention_int8.h"

#define VERSION sdot
#if defined(__clang__)
#define TARGET __attribute__((target("dotprod")))
#else
#define TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#define WIDTH 4
#define BIAS 0
#define DOT(sum, bytes, by) \
    ((Words)vdotq_s32((int32x4_t)(sum), (int8x16_t)(bytes), (int8x16_t)(by)))
#include "attention_kernel.h"
#include "attention_int8.h"

static int runs_always(void) { return 1; }
#if defined(__linux__)
#include <sys/auxv.h>
static int runs_sdot(void) { return (getauxval(AT_HWCAP) >> 20 & 1) != 0; } /* HWCAP_ASIMDDP */
#elif defined(__APPLE__)
static int runs_sdot(void) { return 1; }
#elif defined(_WIN32)
static int runs_sdot(void) { return IsProcessorFeaturePresent(43) != 0; } /* PF_ARM_V82_DP */
#else
static int runs_sdot(void) { return 0; }
#endif

#else
#define VERSION plain
#define TARGET
#define WIDTH 4
#define LEFT(pairs) ((Words)((Ints)((Words)(pairs) << 16) >> 16))
#define RIGHT(pairs) ((Words)((Ints)(pairs) >> 16))
#define MULTIPLY(sums, bytes, by) \
    sums->one += LEFT(bytes) * LEFT(by) + RIGHT(bytes) * RIGHT(by)
#define ADDED(sums) ((sums).one)
#include "attention_kernel.h"
#include "attention_int8.h"

static int runs_always(void) { return 1; }
#endif

typedef void (*Part)(const Call *, int item);

#define KERNEL(version, runs) \
    {#version, runs, {store_##version, store_int8_##version}, {attend_##version, attend_int8_##version}}

static const struct Kernel {
    const char *name;
    int (*runs)(void);
    Part store[2], attend[2]; /* in float, in int8 */
} kernels[] = {
#if defined(__x86_64__)
    KERNEL(sse2, runs_always),
    KERNEL(avx2, runs_avx2),
    KERNEL(avx512, runs_avx512),
    KERNEL(avx512vnni, runs_vnni),
#elif defined(__aarch64__) && defined(__ARM_NEON)
    KERNEL(neon, runs_always),
    KERNEL(sdot, runs_sdot),
#else
    KERNEL(plain, runs_always),
#endif
};

/* How many versions there are that this processor can run; each needs what those before it do, and
   the last is the fastest. */
EXPORTED int attention_versions(void) {
    int version = 0, all = sizeof(kernels) / sizeof(*kernels);
    while (version < all && kernels[version].runs()) version++;
    return version;
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

/* Finds the groups of N tokens; there is room for N + 1 -> how many cached vectors a layer looks at. */
EXPORTED int64_t attention_begin(Call *call, int n) {
    const int32_t *rows = call->rows, *positions = call->positions;
    int32_t *groups = call->groups;
    int64_t seen = 0;
    int n_groups = 0;
    for (int i = 0; i < n; i++) {
        if (i == 0 || rows[i] != rows[i - 1] || positions[i] != positions[i - 1] + 1 ||
            i - groups[n_groups - 1] == QUERIES)
            groups[n_groups++] = i;
        seen += positions[i] + 1;
    }
    groups[n_groups] = n;
    call->n_groups = n_groups;
    return seen * call->heads;
}

/* Writes the keys and values of N tokens and attends. An item of the work is a head of a group.
   version is below attention_versions(). */
EXPORTED void attention(const Call *call, int version, int threads) {
    int items = call->n_groups * call->heads;
    Job store = {call, kernels[version].store[call->int8]};
    Job attend = {call, kernels[version].attend[call->int8]};
    each(do_part, &store, items, threads);
    each(do_part, &attend, items, threads);
}
