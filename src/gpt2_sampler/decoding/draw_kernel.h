/* What draw.c does with all V logits of a row, compiled for each kind of processor: VERSION names
   it, TARGET selects it, WIDTH is how many doubles its vectors hold.
   No include guard: it is included more than once on purpose. */

#define FN(name) JOIN(name, VERSION)
#define Vec FN(Vec)
#define Longs FN(Longs)
#define Few FN(Few)
#define Singles FN(Singles)
#define Ints FN(Ints)
#define LANES (2 * WIDTH)

typedef double Vec __attribute__((vector_size(8 * WIDTH)));
typedef int64_t Longs __attribute__((vector_size(8 * WIDTH)));
typedef float Few __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
typedef float Singles __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));

/* tops [n] = the larger of each pair of logits and tops -> whether one of the logits is +inf or
   NaN. */
TARGET static int FN(raise_tops)(const float *logits, int n, float *tops) {
    Ints bad = {0};
    int i = 0, others = 0;
    for (; i + LANES <= n; i += LANES) {
        Singles some = *(const Singles *)(logits + i), top = *(Singles *)(tops + i);
        Ints takes = some > top;
        bad |= ~(some < (Singles){0} + INFINITY);
        *(Singles *)(tops + i) = (Singles)((takes & (Ints)some) | (~takes & (Ints)top));
    }
    for (; i < n; i++) {
        others |= !(logits[i] < INFINITY);
        tops[i] = logits[i] > tops[i] ? logits[i] : tops[i];
    }
    for (int lane = 0; lane < LANES; lane++) others |= bad[lane];
    return others != 0;
}

/* exp(x) for x from -LOWEST to 0, within 1e-14 of it, and 1 for 0. 2^n times a polynomial in what
   is left (Cody and Waite 1980, "Software Manual for the Elementary Functions", chapter 6); the
   coefficients are the Taylor series', enough for |r| <= ln(2) / 2. */
TARGET INLINE Vec FN(exponential)(Vec x) {
    Vec shifted = x * 1.4426950408889634 + MAGIC;
    Vec n = shifted - MAGIC;
    Vec r = x - n * 0.693145751953125 - n * 1.42860682030941723212e-6;
    Vec p = r * (1.0 / 39916800) + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    return (Vec)((Longs)p + ((Longs)shifted << 52));
}

/* What `relative` gives, for WIDTH logits. */
TARGET INLINE Vec FN(relative)(const float *logits, double best, double by) {
    Vec x = (__builtin_convertvector(*(const Few *)logits, Vec) - best) * by;
    Longs takes = x > (Vec){0} - LOWEST;
    return (Vec)((takes & (Longs)x) | (~takes & (Longs)((Vec){0} - LOWEST)));
}

/* The sum of exp over n logits. */
TARGET static double FN(add_up)(const float *logits, int n, double best, double by) {
    Vec sums = {0};
    double sum = 0;
    int i = 0;
    for (; i + WIDTH <= n; i += WIDTH)
        sums += FN(exponential)(FN(relative)(logits + i, best, by));
    for (; i < n; i++) sum += exp(relative(logits[i], best, by));
    for (int lane = 0; lane < WIDTH; lane++) sum += sums[lane];
    return sum;
}

/* buckets [BUCKETS] += exp of n logits, each in the bucket that bucket_of gives. */
TARGET static void FN(fill_buckets)(
    const float *logits, int n, double best, double by, double *buckets
) {
    int i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        Vec x = FN(relative)(logits + i, best, by), mass = FN(exponential)(x);
        Vec number = x * -PER_UNIT;
        Longs beyond = number > (Vec){0} + (BUCKETS - 1);
        number = (Vec)((~beyond & (Longs)number) | (beyond & (Longs)((Vec){0} + (BUCKETS - 1))));
        Longs bucket = (Longs)(number + MAGIC) & 0xffff;
        for (int lane = 0; lane < WIDTH; lane++) buckets[bucket[lane]] += mass[lane];
    }
    for (; i < n; i++) {
        double x = relative(logits[i], best, by);
        buckets[bucket_of(x)] += exp(x);
    }
}

/* How many of n logits are above one. */
TARGET static int64_t FN(count_above)(const float *logits, int n, float one) {
    Ints counts = {0};
    int64_t count = 0;
    int i = 0;
    for (; i + LANES <= n; i += LANES) counts -= *(const Singles *)(logits + i) > one;
    for (; i < n; i++) count += logits[i] > one;
    for (int lane = 0; lane < LANES; lane++) count += counts[lane];
    return count;
}

#undef FN
#undef Vec
#undef Longs
#undef Few
#undef Singles
#undef Ints
#undef LANES
#undef VERSION
#undef TARGET
#undef WIDTH
