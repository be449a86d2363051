/**
 * The likeliest next tokens -> the probability with which each is drawn under some settings.
 *
 * The same filters in the same order as the sampler's: top_k, temperature, top_p, min_p. Of the
 * tokens that the server did not name only their probability together is known. Where they count,
 * they are taken to fall off as a power of their rank, which GPT-2's do nearly; so what comes out
 * is exact wherever they are cut or the temperature is 1, and close to it elsewhere.
 *
 * @typedef {{temperature: number, top_k: number, top_p: number, min_p: number}} Filters
 */

const VOCABULARY = 50257; // GPT-2's; the tail of a larger one hardly weighs

/**
 * @param {number[]} logprobs of the likeliest tokens, the likeliest first
 * @param {Filters} filters
 * @returns {{shares: (number|null)[], rest: number}} null: cut; rest: of all tokens not named
 */
export function filtered(logprobs, { temperature, top_k, top_p, min_p = 0 }) {
  if (!logprobs.length) return { shares: [], rest: 0 };
  if (temperature === 0) return { shares: logprobs.map((_, n) => (n ? null : 1)), rest: 0 };
  const kept = top_k ? ties(logprobs, top_k) : Infinity;
  const named = logprobs.slice(0, kept);
  const weight = (/** @type {number} */ logprob) => Math.exp((logprob - logprobs[0]) / temperature);
  const tail = kept > logprobs.length ? tailOf(logprobs, Math.min(kept, VOCABULARY)) : [];
  const weights = [...named.map(weight), ...tail.map(({ logprob, count }) => count * weight(logprob))];
  const singles = [...named.map(weight), ...tail.map(({ logprob }) => weight(logprob))];
  const goal = top_p * sum(weights);
  let mass = 0;
  const inside = weights.map((one, n) => {
    const kept = (mass < goal || top_p >= 1) && singles[n] >= min_p; // the likeliest one's weight is 1
    mass += one;
    return kept ? one : 0;
  });
  const total = sum(inside);
  const shares = logprobs.map((_, n) => (n < named.length && inside[n] ? inside[n] / total : null));
  return { shares, rest: sum(inside.slice(named.length)) / total };
}

const sum = (/** @type {number[]} */ numbers) => numbers.reduce((a, b) => a + b, 0);

/** top_k keeps what is equal to its last one too. */
function ties(/** @type {number[]} */ logprobs, /** @type {number} */ k) {
  while (k < logprobs.length && logprobs[k] === logprobs[k - 1]) k++;
  return k;
}

/** The tokens beyond the named ones up to a rank, in steps that grow: {logprob, count}. */
function tailOf(/** @type {number[]} */ logprobs, /** @type {number} */ last) {
  const n = logprobs.length, rest = 1 - sum(logprobs.map(Math.exp));
  if (rest <= 1e-9 || n < 4) return [];
  const middle = Math.floor(n / 2);
  const slope = Math.max(0.5, (logprobs[middle] - logprobs[n - 1]) / Math.log(n / (middle + 1)));
  const steps = [];
  for (let from = n + 1; from <= VOCABULARY;) {
    const to = Math.min(VOCABULARY, Math.max(from, Math.floor(from * 1.3)));
    steps.push({ from, count: to - from + 1, logprob: -slope * Math.log((from + to) / 2) });
    from = to + 1;
  }
  const shift = Math.log(rest / sum(steps.map(({ logprob, count }) => count * Math.exp(logprob))));
  return steps.filter(({ from }) => from <= last).map(({ from, logprob, count }) =>
    ({ logprob: Math.min(logprobs[n - 1], logprob + shift), count: Math.min(count, last - from + 1) }));
}
