/* Logits -> the token that each row draws, what is told of tokens, and the distribution: what
   plain.py does in NumPy, to which a test holds this.

   The order of tokens, thresholds and the sums of logit and noise are computed as there, in the
   same float64 operations, so ids are the same; what may differ is the last bits of exp and log.
   They decide only which token is the last of top_p's set where its sum is within rounding of p.

   Nothing is allocated and nothing is checked: kernel.py does both. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../threads.h"

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif
#define INLINE static inline __attribute__((always_inline))
#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)

/* As in noise.py: tokens of a block lie APART from each other, MEMBERS of them in a group. */
#define APART_BITS 11
#define MEMBER_BITS 5
#define APART (1 << APART_BITS)
#define MEMBERS (1 << MEMBER_BITS)
#define GROUP (APART * MEMBERS)
#define LN_2 0.6931471805599453

#define LOWEST 700.0    /* nats below the likeliest token; what is less likely counts as much */
#define PER_UNIT 32.0   /* buckets in a nat. A power of two, so that products with it are exact */
#define BUCKETS 2048    /* the last is for all that counts less than rounding, exp(-64) and below */
#define SOME 64         /* logits at a time: 1 kB of what is computed of them */
#define MAGIC 6755399441055744.0 /* 1.5 * 2^52: adding it leaves a whole number in the low bits */

typedef struct {
    double temperature, top_p, least; /* least: the logarithm of min_p */
    double repetition, presence, frequency;
    int64_t top_k, ngram, n_bias;
    const int32_t *bias_tokens;
    const double *bias_values;
} Settings;

typedef struct {
    const Settings *settings;
    const int32_t *text;     /* the tokens of the row's history */
    int64_t length, n_drawn; /* how many they are, and were generated */
} Asked;

typedef struct {
    const float *logits;  /* [B, V] */
    const Asked *asked;   /* [B] */
    const uint64_t *keys; /* [B] */
    int64_t *ids;         /* [B]: tokens; -1 where logits are not numbers */
    char *scratch;        /* [threads, scratch_size] */
    int64_t scratch_size, n_vocab, version;
    double *logprobs;     /* [B, V], of a distribution */
    const int64_t *tops;  /* [B]: how many of the likeliest tokens are told */
    int64_t most;         /* N, the largest of them */
    double *own_logprobs; /* [B] */
    int64_t *ranks;       /* [B] */
    int64_t *top_ids;     /* [B, N] */
    double *top_logprobs; /* [B, N] */
    double *own_filtered; /* [B] */
    double *top_filtered; /* [B, N] */
} Call;

/* A token whose logit rules changed. */
typedef struct {
    double value;
    int32_t token, count; /* how often it was generated */
    char in_text, blocked;
} Change;

typedef struct {
    double x, mass;
    int32_t token;
} Item;

/* A row under way. */
typedef struct {
    const Settings *s;
    const float *logits; /* [V]; of changed tokens -inf */
    int n_vocab, n_blocks, n_changes, version;
    float *tops;     /* [D]: the largest logit of each block */
    Change *changes;
    int32_t *places; /* [n_places]: a hash table of tokens, places in changes plus 1 */
    int n_places;
    double *values;  /* [V + changes] */
    Item *items;     /* [V + changes] */
    double best;     /* the largest logit */
    /* What is kept: tokens with a logit of at least kth whose distance from the best one, divided
       by the temperature, is at least `least`, and above edge, or edge with a token up to last. */
    double kth, edge, least;
    int32_t last;
    uint64_t random; /* for pivots */
} Row;

/* A product that is rounded by itself: compilers would join it with a sum. */
static double rounded(double a, double b) {
    volatile double product = a * b;
    return product;
}

/* --- All logits of a row ------------------------------------------------------------------- */

/* A logit's distance from the best one, `by` being the inverse temperature. For masses only: the
   order of tokens needs a division. */
INLINE double relative(double logit, double best, double by) {
    double x = (logit - best) * by;
    return x > -LOWEST ? x : -LOWEST;
}

INLINE int bucket_of(double x) {
    double number = x * -PER_UNIT, rounds = (number < BUCKETS - 1 ? number : BUCKETS - 1) + MAGIC;
    int64_t as_bits;
    memcpy(&as_bits, &rounds, sizeof rounds);
    return (int)(as_bits & 0xffff);
}

#define VERSION plain
#define TARGET
#define WIDTH 2
#include "draw_kernel.h"

#if defined(__x86_64__)
#define VERSION avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 4
#include "draw_kernel.h"

#define VERSION avx512
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define WIDTH 8
#include "draw_kernel.h"
#endif

static const struct Kernel {
    int (*raise_tops)(const float *, int, float *);
    double (*add_up)(const float *, int, double, double);
    void (*fill_buckets)(const float *, int, double, double, double *);
    int64_t (*count_above)(const float *, int, float);
    int (*gather_all)(const float *, int, float, float, Item *);
} kernels[] = {
    {raise_tops_plain, add_up_plain, fill_buckets_plain, count_above_plain,
     gather_all_plain},
#if defined(__x86_64__)
    {raise_tops_avx2, add_up_avx2, fill_buckets_avx2, count_above_avx2,
     gather_all_avx2},
    {raise_tops_avx512, add_up_avx512, fill_buckets_avx512, count_above_avx512,
     gather_all_avx512},
#endif
};

/* How many of the versions this processor can run; the last of them is the fastest. */
EXPORTED int draw_versions(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 1;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return 2;
    return 3;
#else
    return 1;
#endif
}

/* A block's first token, and one that is beyond its last. */
INLINE int first_of(int block) { return (block >> APART_BITS) * GROUP + (block & (APART - 1)); }
INLINE int end_of(const Row *r, int block) {
    int end = ((block >> APART_BITS) + 1) * GROUP;
    return end < r->n_vocab ? end : r->n_vocab;
}

/* The largest logit of each block -> whether all are numbers or -inf. */
static int find_tops(Row *r) {
    int bad = 0;
    for (int block = 0; block < r->n_blocks; block++) r->tops[block] = -INFINITY;
    for (int token = 0; token < r->n_vocab; token += APART) {
        int n = r->n_vocab - token < APART ? r->n_vocab - token : APART;
        float *tops = r->tops + token / GROUP * APART;
        bad |= kernels[r->version].raise_tops(r->logits + token, n, tops);
    }
    return !bad;
}

/* --- Selection ----------------------------------------------------------------------------- */

static uint64_t next_random(Row *r) {
    r->random = r->random * 6364136223846793005u + 1442695040888963407u;
    return r->random >> 33;
}

/* The k-th largest of n values, which it puts into another order; k is 1 to n. */
static double select_largest(Row *r, double *values, int n, int k) {
    int from = 0, to = n;
    for (;;) {
        double pivot = values[from + next_random(r) % (uint64_t)(to - from)];
        int above = from, at = from, below = to; /* [from, above) are larger, [at, below) unknown */
        while (at < below) {
            double value = values[at];
            if (value > pivot) values[at++] = values[above], values[above++] = value;
            else if (value < pivot) values[at] = values[--below], values[below] = value;
            else at++;
        }
        if (k <= above) to = above;
        else if (k <= below) return pivot;
        else from = below;
    }
}

/* A lower bound for the k-th largest logit: that of the largest ones of many sets of tokens. */
static double bound_of(Row *r, int64_t k) {
    int n = r->n_blocks;
    if (k > n) return -INFINITY;
    for (int block = 0; block < n; block++) r->values[block] = r->tops[block];
    while (n / 2 >= 4 * k) {
        int half = (n + 1) / 2;
        for (int i = 0; i + half < n; i++)
            if (r->values[i + half] > r->values[i]) r->values[i] = r->values[i + half];
        n = half;
    }
    return select_largest(r, r->values, n, (int)k);
}

/* Items of the tokens whose logits lie from low to high -> how many. Only x and token are set. */
static int gather(const Row *r, double low, double high, Item *items) {
    int n = 0, blocks = 0;
    for (int block = 0; block < r->n_blocks; block++) blocks += r->tops[block] >= low;
    int many = blocks > r->n_blocks / MEMBERS; /* lines of a cache, each with tokens of 16 blocks */
    if (many) {
        float above = (float)low, below = (float)high;
        above = above < low ? nextafterf(above, INFINITY) : above;
        below = below > high ? nextafterf(below, -INFINITY) : below;
        n = kernels[r->version].gather_all(r->logits, r->n_vocab, above, below, items);
    }
    for (int block = 0; block < (many ? 0 : r->n_blocks); block++) {
        if (!(r->tops[block] >= low)) continue;
        int end = end_of(r, block);
        for (int token = first_of(block); token < end; token += APART) {
            double value = r->logits[token]; /* no branch: which way it goes cannot be foreseen */
            items[n].x = value, items[n].token = token;
            n += (value >= low) & (value <= high);
        }
    }
    for (const Change *c = r->changes; c < r->changes + r->n_changes; c++)
        if (c->value >= low && c->value <= high)
            items[n++] = (Item){.x = c->value, .token = c->token};
    return n;
}

/* --- Rules --------------------------------------------------------------------------------- */

/* The place of a token among the changes; it becomes one if it was none. */
static Change *change_of(Row *r, const float *before, int32_t token) {
    uint32_t place = (uint32_t)token * 2654435769u & (uint32_t)(r->n_places - 1);
    for (; r->places[place]; place = (place + 1) & (uint32_t)(r->n_places - 1)) {
        Change *change = r->changes + r->places[place] - 1;
        if (change->token == token) return change;
    }
    Change *change = r->changes + r->n_changes++;
    r->places[place] = r->n_changes;
    *change = (Change){before[token], token, 0, 0, 0};
    return change;
}

static void block_repeats(Row *r, const float *before, const int32_t *text, int64_t length) {
    int64_t n = r->s->ngram;
    if (n == 0 || n > length) return;
    const int32_t *last = text + length - n + 1;
    for (const int32_t *run = text; run + n <= text + length; run++)
        if (n == 1 || (run[0] == last[0] && memcmp(run, last, sizeof(*run) * (n - 1)) == 0))
            change_of(r, before, run[n - 1])->blocked = 1;
}

/* Applies the rules that add, multiply and block. The logits before are those of the model. */
static void find_changes(
    Row *r, const float *before, const int32_t *text, int64_t length, int64_t n_drawn
) {
    const Settings *s = r->s;
    for (int64_t i = 0; i < s->n_bias; i++)
        change_of(r, before, s->bias_tokens[i])->value += s->bias_values[i];
    if (s->repetition != 1)
        for (int64_t i = 0; i < length; i++) change_of(r, before, text[i])->in_text = 1;
    if (s->presence != 0 || s->frequency != 0)
        for (int64_t i = n_drawn < length ? length - n_drawn : 0; i < length; i++)
            change_of(r, before, text[i])->count++;
    block_repeats(r, before, text, length);
    for (Change *c = r->changes; c < r->changes + r->n_changes; c++) {
        if (c->in_text)
            c->value = c->value > 0 ? c->value / s->repetition : rounded(c->value, s->repetition);
        if (c->count) c->value -= s->presence + rounded(s->frequency, c->count);
    }
}

/* The largest logit of all; blocked tokens count only where nothing else is left. */
static void find_best(Row *r) {
    double best = -INFINITY;
    for (int block = 0; block < r->n_blocks; block++)
        if (r->tops[block] > best) best = r->tops[block];
    for (Change *c = r->changes; c < r->changes + r->n_changes; c++)
        if (!c->blocked && c->value > best) best = c->value;
    for (Change *c = r->changes; c < r->changes + r->n_changes; c++)
        if (c->blocked && r->s->ngram && best > -INFINITY) c->value = -INFINITY;
    r->best = best;
    if (best == -INFINITY)
        for (Change *c = r->changes; c < r->changes + r->n_changes; c++)
            if (c->value > r->best) r->best = c->value;
}

INLINE double scaled(const Row *r, double value) {
    double x = value - r->best;
    return r->s->temperature == 1 ? x : x / r->s->temperature;
}

INLINE double inverse_temperature(const Row *r) {
    return 1 / r->s->temperature; /* kernel.py gives none below 1e-300 */
}

/* The logit at x, and as much above or below it, by side, as rounding could matter. */
static double cut_of(const Row *r, double x, int side) {
    double distance = x * r->s->temperature, cut = r->best + distance;
    double slack = 1e-9 * (fabs(r->best) + fabs(distance)) + 1e-300;
    slack += 1e-320 * r->s->temperature; /* x may have been too small for a float64 */
    return isfinite(cut) && isfinite(slack) ? cut + side * slack : side * (double)INFINITY;
}

static void keep_top_k(Row *r) {
    int64_t k = r->s->top_k;
    if (k == 0 || k >= r->n_vocab) return;
    int n = gather(r, bound_of(r, k), INFINITY, r->items);
    for (int i = 0; i < n; i++) r->values[i] = r->items[i].x;
    r->kth = select_largest(r, r->values, n, (int)k);
}

/* Sets edge and last so that the sum of the masses of items above edge, and of as many of those at
   it, first ones first, reaches goal; sum is what is above all items. */
static void find_edge(Row *r, int n, double sum, double goal) {
    Item *items = r->items;
    int from = 0, to = n;
    while (from < to) {
        double pivot = items[from + next_random(r) % (uint64_t)(to - from)].x, larger = 0;
        int above = from, at = from, below = to;
        while (at < below) {
            Item item = items[at];
            if (item.x > pivot) {
                larger += item.mass;
                items[at++] = items[above], items[above++] = item;
            } else if (item.x < pivot) items[at] = items[--below], items[below] = item;
            else at++;
        }
        if (above > from && sum + larger >= goal) {
            to = above;
            continue;
        }
        sum += larger;
        for (int i = above; i < below; i++) {
            sum += items[i].mass;
            if (sum < goal) continue;
            for (int j = above; j < below; j++) r->values[j] = -items[j].token;
            r->edge = pivot;
            r->last = -(int32_t)select_largest(r, r->values + above, below - above, i - above + 1);
            return;
        }
        from = below;
    }
}

/* Logits of items -> their x and mass -> the sum of the masses. */
static double weigh(const Row *r, Item *items, int n) {
    double sum = 0;
    for (Item *item = items; item < items + n; item++) {
        item->x = scaled(r, item->x);
        sum += item->mass = exp(item->x);
    }
    return sum;
}

/* top_p of what top_k keeps. */
static void keep_top_p_of_few(Row *r) {
    int n = gather(r, r->kth, INFINITY, r->items);
    double total = weigh(r, r->items, n);
    find_edge(r, n, 0, r->s->top_p * total);
}

/* top_p of all tokens: only those in the bucket where the goal is reached are put in order. */
static void keep_top_p_of_all(Row *r, double *buckets) {
    double by = inverse_temperature(r), total = 0, sum = 0;
    kernels[r->version].fill_buckets(r->logits, r->n_vocab, r->best, by, buckets);
    for (int i = 0; i < r->n_changes; i++) {
        double x = relative(r->changes[i].value, r->best, by);
        buckets[bucket_of(x)] += exp(x);
    }
    for (int b = 0; b < BUCKETS; b++) total += buckets[b];
    double goal = r->s->top_p * total;
    int own = 0;
    while (own < BUCKETS - 1 && sum + buckets[own] < goal) sum += buckets[own++];
    double low = own < BUCKETS - 1 ? cut_of(r, -(own + 0.5) / PER_UNIT, -1) : -INFINITY;
    double high = own > 0 ? cut_of(r, -(own - 0.5) / PER_UNIT, 1) : INFINITY;
    int n = gather(r, low, high, r->items), n_own = 0;
    for (int i = 0; i < n; i++)
        if (bucket_of(relative(r->items[i].x, r->best, by)) == own)
            r->items[n_own++] = r->items[i];
    weigh(r, r->items, n_own);
    find_edge(r, n_own, sum, goal);
}

INLINE int keeps(const Row *r, double value, double x, int token) {
    return value >= r->kth && x >= r->least &&
           (x > r->edge || (x == r->edge && token <= r->last));
}

/* A logit below which nothing is kept. */
static double lowest_kept(const Row *r) {
    double cut = cut_of(r, r->edge > r->least ? r->edge : r->least, -1);
    return r->kth > cut ? r->kth : cut;
}

/* --- The draw ------------------------------------------------------------------------------ */

INLINE uint64_t bits(uint64_t key, uint64_t counter) {
    uint64_t x = counter * 0x9E3779B97F4A7C15u + key;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

INLINE uint64_t bits_of_block(uint64_t key, int block) {
    return bits(key, ((uint64_t)1 << 32) + (uint64_t)block);
}

INLINE double time_of(uint64_t random) {
    return -log(((double)(int64_t)(random >> 12) + 0.5) * 0x1p-52);
}

/* What no noise of a block is above. For a time -log(u) / MEMBERS is more than (1 - u) / MEMBERS,
   and a float64's bits, as a number, are a lower bound for its logarithm. */
INLINE double highest_noise(uint64_t random) {
    double rest = ((double)(int64_t)(~random >> 12) + 0.5) * 0x1p-52;
    int64_t as_bits;
    memcpy(&as_bits, &rest, sizeof rest);
    double log_2 = (double)as_bits * 0x1p-52 - 1023;
    return LN_2 * (MEMBER_BITS - log_2) + 1e-9;
}

typedef struct {
    double sum;
    int64_t token;
} Winner;

INLINE void offer(Winner *w, double sum, int token) {
    if (sum > w->sum || (sum == w->sum && token < w->token)) *w = (Winner){sum, token};
}

/* The noise of a token whose block's bits are known. */
INLINE double noise_of(uint64_t key, uint64_t random, int token) {
    double time = time_of(random) / MEMBERS;
    int member = token >> APART_BITS & (MEMBERS - 1);
    if ((int)(random & (MEMBERS - 1)) != member) time += time_of(bits(key, (uint64_t)token));
    return -log(time);
}

/* Offers the tokens of a block that are kept and not below cut. */
static void draw_from_block(const Row *r, uint64_t key, int block, double cut, Winner *w) {
    uint64_t random = bits_of_block(key, block);
    double highest = -log(time_of(random) / MEMBERS);
    if (!(r->tops[block] >= cut) || scaled(r, r->tops[block]) + highest < w->sum) return;
    int end = end_of(r, block);
    for (int token = first_of(block); token < end; token += APART) {
        double value = r->logits[token];
        if (!(value >= cut)) continue;
        double x = scaled(r, value);
        if (x + highest < w->sum || !keeps(r, value, x, token)) continue;
        offer(w, x + noise_of(key, random, token), token);
    }
}

/* Of the tokens that are kept, the one with the largest sum of logit and noise. */
static int64_t draw_token(const Row *r, uint64_t key) {
    Winner w = {-INFINITY, INT64_MAX};
    double cut = lowest_kept(r);
    for (int i = 0; i < r->n_changes; i++) {
        const Change *c = r->changes + i;
        if (!(c->value >= cut)) continue;
        double x = scaled(r, c->value);
        int block = c->token / GROUP * APART + (c->token & (APART - 1));
        uint64_t random = bits_of_block(key, block);
        if (!keeps(r, c->value, x, c->token) || x + highest_noise(random) < w.sum) continue;
        offer(&w, x + noise_of(key, random, c->token), c->token);
    }
    int first = 0; /* the most promising block; after it few others are worth looking at */
    for (int block = 0; block < r->n_blocks; block++) {
        r->values[block] = -INFINITY;
        if (!(r->tops[block] >= cut)) continue;
        double top = scaled(r, r->tops[block]);
        r->values[block] = top + highest_noise(bits_of_block(key, block));
        if (r->values[block] > r->values[first]) first = block;
    }
    if (r->n_blocks) draw_from_block(r, key, first, cut, &w);
    for (int block = 0; block < r->n_blocks; block++)
        if (r->values[block] >= w.sum && r->values[block] > -INFINITY && block != first)
            draw_from_block(r, key, block, cut, &w);
    return w.token;
}

/* The first of the likeliest tokens. */
static int64_t likeliest(const Row *r) {
    int n = gather(r, r->best, INFINITY, r->items), first = r->items[0].token;
    for (int i = 1; i < n; i++)
        if (r->items[i].token < first) first = r->items[i].token;
    return first;
}

/* --- A row from its beginning -------------------------------------------------------------- */

static char *taken(char **room, size_t size) {
    char *part = *room;
    *room += (size + 63) / 64 * 64;
    return part;
}

/* As many bytes as a row needs for scratch at most. */
EXPORTED int64_t draw_scratch(int64_t n_vocab, int64_t most_changes) {
    int64_t places = 4, blocks = (n_vocab / GROUP + 1) * APART;
    while (places < 2 * most_changes) places *= 2;
    int64_t all = n_vocab + blocks + most_changes; /* tokens, and sets of them */
    int64_t size = n_vocab * 4 + blocks * 4 + BUCKETS * 8 + most_changes * (int64_t)sizeof(Change) +
                   places * 4 + all * 8 + all * (int64_t)sizeof(Item) + 8 * 64;
    return (size + 63) / 64 * 64;
}

/* Makes a row ready, with the rules that are asked for applied -> whether its logits are numbers. */
static int begin_with(Row *r, const Call *c, int n, int worker, const Asked *asked) {
    char *room = c->scratch + worker * c->scratch_size;
    const Settings *s = asked->settings;
    const float *logits = c->logits + n * c->n_vocab;
    int groups = (int)(c->n_vocab / GROUP), rest = (int)(c->n_vocab % GROUP);
    *r = (Row){.s = s, .logits = logits, .n_vocab = (int)c->n_vocab, .version = (int)c->version};
    r->n_blocks = groups * APART + (rest < APART ? rest : APART);
    r->kth = r->edge = -INFINITY;
    r->least = s->least;
    r->last = INT32_MAX;
    int64_t most = asked->length + s->n_bias, all = c->n_vocab + r->n_blocks + most;
    float *copy = (float *)taken(&room, 4 * (size_t)c->n_vocab);
    r->tops = (float *)taken(&room, 4 * (size_t)r->n_blocks);
    double *buckets = (double *)taken(&room, BUCKETS * sizeof(double));
    r->values = (double *)taken(&room, 8 * (size_t)all);
    if (most > 0) {
        r->n_places = 4;
        while (r->n_places < 2 * most) r->n_places *= 2;
        r->places = (int32_t *)taken(&room, 4 * (size_t)r->n_places);
        r->changes = (Change *)taken(&room, sizeof(Change) * (size_t)most);
        memset(r->places, 0, 4 * (size_t)r->n_places);
        find_changes(r, logits, asked->text, asked->length, asked->n_drawn);
    }
    r->items = (Item *)taken(&room, sizeof(Item) * (size_t)all);
    int numbers = 1;
    if (r->n_changes) {
        memcpy(copy, logits, 4 * (size_t)c->n_vocab);
        r->logits = copy;
        for (int i = 0; i < r->n_changes; i++) {
            numbers &= logits[r->changes[i].token] < INFINITY;
            copy[r->changes[i].token] = -INFINITY;
        }
    }
    if (!find_tops(r) || !numbers) return 0;
    find_best(r);
    if (r->best == -INFINITY) return 0;
    if (s->temperature == 0) return 1;
    keep_top_k(r);
    if (s->top_p < 1 && r->kth > -INFINITY) keep_top_p_of_few(r);
    else if (s->top_p < 1) keep_top_p_of_all(r, buckets);
    return 1;
}

static int begin(Row *r, const Call *c, int n, int worker) {
    return begin_with(r, c, n, worker, c->asked + n);
}

static void choose_row(const void *call, int n, int worker) {
    const Call *c = call;
    Row r;
    if (!begin(&r, c, n, worker)) c->ids[n] = -1;
    else if (r.s->temperature == 0) c->ids[n] = likeliest(&r);
    else c->ids[n] = draw_token(&r, c->keys[n]);
}

/* The logarithm of the sum of the masses of what is kept. */
static double log_total(const Row *r) {
    double cut = lowest_kept(r), by = inverse_temperature(r), sum = 0;
    if (cut == -INFINITY) {
        sum = kernels[r->version].add_up(r->logits, r->n_vocab, r->best, by);
        for (int i = 0; i < r->n_changes; i++) sum += exp(scaled(r, r->changes[i].value));
        return log(sum);
    }
    int n = gather(r, cut, INFINITY, r->items);
    for (int i = 0; i < n; i++) {
        double value = r->items[i].x, x = scaled(r, value);
        if (keeps(r, value, x, r->items[i].token)) sum += exp(x);
    }
    return log(sum);
}

/* The log-probabilities with which a row's tokens are drawn. */
static void distribute_row(const void *call, int n, int worker) {
    const Call *c = call;
    double *to = c->logprobs + n * c->n_vocab;
    Row r;
    c->ids[n] = begin(&r, c, n, worker) ? 0 : -1;
    for (int64_t token = 0; token < c->n_vocab; token++) to[token] = -INFINITY;
    if (c->ids[n] < 0) return;
    if (r.s->temperature == 0) {
        to[likeliest(&r)] = 0;
        return;
    }
    double total = log_total(&r), cut = lowest_kept(&r);
    for (int token = 0; token < r.n_vocab; token++) {
        double value = r.logits[token];
        if (!(value >= cut)) continue;
        double x = scaled(&r, value);
        if (keeps(&r, value, x, token)) to[token] = x - total;
    }
    for (int i = 0; i < r.n_changes; i++) {
        double value = r.changes[i].value, x = scaled(&r, value);
        if (keeps(&r, value, x, r.changes[i].token)) to[r.changes[i].token] = x - total;
    }
}

static int by_rank(const void *one, const void *other) { /* the likeliest first, equals by token */
    const Item *a = one, *b = other;
    if (a->x != b->x) return a->x > b->x ? -1 : 1;
    return a->token < b->token ? -1 : a->token > b->token;
}

static int is_neutral(const Settings *s) {
    return s->temperature == 1 && s->top_p == 1 && s->least == -INFINITY && s->repetition == 1 &&
           !(s->presence || s->frequency || s->top_k || s->ngram || s->n_bias);
}

/* The log-probability with which a token is drawn; total is log_total's. */
static double filtered(const Row *r, double total, int64_t token) {
    double value = r->logits[token];
    for (const Change *c = r->changes; c < r->changes + r->n_changes; c++)
        if (c->token == token) value = c->value;
    double x = scaled(r, value);
    return keeps(r, value, x, (int)token) ? x - total : -INFINITY;
}

/* The same for a row's token and its likeliest ones. */
static void tell_filtered(const Call *c, int n, int worker) {
    Row r;
    if (is_neutral(c->asked[n].settings)) {
        c->own_filtered[n] = c->own_logprobs[n];
        memcpy(c->top_filtered + n * c->most, c->top_logprobs + n * c->most, 8 * (size_t)c->most);
        return;
    }
    if (!begin(&r, c, n, worker)) return; /* cannot be, as the same logits were numbers before */
    int greedy = r.s->temperature == 0;
    int64_t first = greedy ? likeliest(&r) : 0, *ids = c->top_ids + n * c->most;
    double total = greedy ? 0 : log_total(&r), *to = c->top_filtered + n * c->most;
    for (int64_t i = -1; i < c->tops[n]; i++) {
        int64_t token = i < 0 ? c->ids[n] : ids[i];
        double found = !greedy ? filtered(&r, total, token) : token == first ? 0 : -INFINITY;
        if (i < 0) c->own_filtered[n] = found;
        else to[i] = found;
    }
}

/* A token's log-probability and rank for the model, the likeliest tokens, and the log-probabilities
   with which all these are drawn. */
static void tell_row(const void *call, int n, int worker) {
    static const Settings neutral = {
        .temperature = 1, .top_p = 1, .least = -INFINITY, .repetition = 1
    };
    const Call *c = call;
    Row r;
    int64_t token = c->ids[n], top = c->tops[n];
    if (!begin_with(&r, c, n, worker, &(Asked){.settings = &neutral})) {
        c->ids[n] = -1;
        return;
    }
    float own = r.logits[token];
    double total = log_total(&r);
    int64_t rank = 1 + kernels[r.version].count_above(r.logits, r.n_vocab, own);
    for (int64_t before = 0; before < token; before++) rank += r.logits[before] == own;
    c->ranks[n] = rank;
    c->own_logprobs[n] = own - r.best - total;
    int found = top ? gather(&r, bound_of(&r, top), INFINITY, r.items) : 0;
    qsort(r.items, (size_t)found, sizeof(Item), by_rank);
    for (int64_t i = 0; i < top; i++) {
        c->top_ids[n * c->most + i] = r.items[i].token;
        c->top_logprobs[n * c->most + i] = r.items[i].x - r.best - total;
    }
    tell_filtered(c, n, worker);
}

/* Differs where kernel.py is of another version. */
EXPORTED int draw_layout(void) { return (int)sizeof(Call); }

/* Each returns whether all logits are numbers. */
static int all(Work work, const Call *c, int rows, int threads) {
    each(work, c, rows, threads);
    for (int n = 0; n < rows; n++)
        if (c->ids[n] < 0) return 0;
    return 1;
}
EXPORTED int draw_choose(const Call *c, int rows, int threads) {
    return all(choose_row, c, rows, threads);
}
EXPORTED int draw_distribute(const Call *c, int rows, int threads) {
    return all(distribute_row, c, rows, threads);
}
EXPORTED int draw_tell(const Call *c, int rows, int threads) {
    return all(tell_row, c, rows, threads);
}
