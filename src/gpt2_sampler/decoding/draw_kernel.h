/* What draw.c does with all V logits of a row, compiled for each kind of processor: VERSION names
   it, TARGET selects it, WIDTH is how many doubles its vectors hold.
   No include guard: it is included more than once on purpose. */

#define FN(name) JOIN(name, VERSION)
#define Vec FN(Vec)
#define Longs FN(Longs)
#define Words FN(Words)
#define Few FN(Few)
#define Singles FN(Singles)
#define Ints FN(Ints)
#define LANES (2 * WIDTH)

typedef double Vec __attribute__((vector_size(8 * WIDTH)));
typedef int64_t Longs __attribute__((vector_size(8 * WIDTH)));
typedef uint64_t Words __attribute__((vector_size(8 * WIDTH)));
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
    return (Vec)((Words)p + ((Words)shifted << 52));
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

/* buckets [BUCKETS] = the sums of exp of n logits, each in the bucket that bucket_of gives. What is
   added up is exp of the distance from the middle of the bucket, at most 1 / 64: a few terms of the
   Taylor series are enough. Logits are taken SOME at a time, for buckets take one after another. */
TARGET static void FN(fill_buckets)(
    const float *logits, int n, double best, double by, double *buckets
) {
    double masses[SOME] __attribute__((aligned(64)));
    int64_t places[SOME] __attribute__((aligned(64)));
    const Vec lowest = (Vec){0} - (BUCKETS - 1) / PER_UNIT;
    memset(buckets, 0, BUCKETS * sizeof(*buckets));
    int i = 0;
    for (; i + SOME <= n; i += SOME) {
        for (int j = 0; j < SOME; j += WIDTH) {
            Vec x = FN(relative)(logits + i + j, best, by);
            Longs takes = x > lowest;
            x = (Vec)((takes & (Longs)x) | (~takes & (Longs)lowest));
            Vec shifted = x * -PER_UNIT + MAGIC, r = x + (shifted - MAGIC) * (1 / PER_UNIT);
            Vec square = r * r, high = square * (1.0 / 720) + (r * (1.0 / 120) + 1.0 / 24);
            Vec low = square * (r * (1.0 / 6) + 0.5) + (r + 1.0);
            *(Vec *)(masses + j) = square * square * high + low;
            *(Longs *)(places + j) = (Longs)shifted & 0xffff;
        }
        for (int j = 0; j < SOME; j++) buckets[places[j]] += masses[j];
    }
    for (; i < n; i++) {
        double x = relative(logits[i], best, by);
        int own = bucket_of(x);
        buckets[own] += exp(x > lowest[0] ? x + own / PER_UNIT : 0);
    }
    for (int own = 0; own < BUCKETS; own += WIDTH) {
        Vec x = {0};
        for (int lane = 0; lane < WIDTH; lane++) x[lane] = (own + lane) / -PER_UNIT;
        x = FN(exponential)(x);
        for (int lane = 0; lane < WIDTH; lane++) buckets[own + lane] *= x[lane];
    }
}

/* Items of those of n logits that lie from low to high -> how many. */
TARGET static int FN(gather_all)(const float *logits, int n, float low, float high, Item *items) {
    int i = 0, found = 0;
    for (; i + LANES <= n; i += LANES) {
        Singles some = *(const Singles *)(logits + i);
        Ints within = (some >= low) & (some <= high);
        Longs any = (Longs)within; /* half as many lanes to look at */
        int64_t one = 0;
        for (int lane = 0; lane < WIDTH; lane++) one |= any[lane];
        if (!one) continue;
        for (int j = i; j < i + LANES; j++) {
            items[found].x = logits[j], items[found].token = j;
            found += (logits[j] >= low) & (logits[j] <= high);
        }
    }
    for (; i < n; i++)
        if (logits[i] >= low && logits[i] <= high) items[found++] = (Item){.x = logits[i], .token = i};
    return found;
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
#undef Words
#undef Few
#undef Singles
#undef Ints
#undef LANES
#undef VERSION
#undef TARGET
#undef WIDTH
