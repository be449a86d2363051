/**
 * What a text is drawn with: names, limits and defaults, and values that are surely within them.
 *
 * @typedef {{temperature: number, top_k: number, top_p: number, min_p: number,
 *   repetition_penalty: number, presence_penalty: number, frequency_penalty: number,
 *   no_repeat_ngram: number, length: number, stop: string}} Settings
 *   length in tokens; stop: a text to end before, "" for none.
 */

/** name: [default, lowest, highest, step of its slider, highest of its slider] */
export const NUMBERS = {
  temperature: [1, 0, 100, 0.05, 2],
  top_k: [40, 0, 2 ** 31 - 1, 1, 100],
  top_p: [1, 0.01, 1, 0.01, 1],
  length: [120, 1, 100000, 1, 500],
  min_p: [0, 0, 1, 0.01, 0.5],
  repetition_penalty: [1, 0.01, 100, 0.05, 2],
  presence_penalty: [0, -2, 2, 0.1, 2],
  frequency_penalty: [0, -2, 2, 0.1, 2],
  no_repeat_ngram: [0, 0, 1000, 1, 10],
};
const NEUTRAL = { temperature: 1, top_k: 0, top_p: 1, min_p: 0, repetition_penalty: 1,
  presence_penalty: 0, frequency_penalty: 0, no_repeat_ngram: 0 };
export const TOP_SEED = 2 ** 32 - 1;

/** Any value -> a number of that name; whatever is none becomes the default. */
export function clean(/** @type {string} */ name, /** @type {any} */ value) {
  const [start, lowest, highest, step] = NUMBERS[name];
  const number = typeof value === "string" && value.trim() === "" ? NaN : Number(value);
  if (!Number.isFinite(number)) return start;
  const whole = Number.isInteger(step) ? Math.round(number) : number;
  return Math.min(highest, Math.max(lowest, whole));
}

/** Any object -> settings. @returns {Settings} */
export function settingsOf(/** @type {any} */ given) {
  const found = Object.fromEntries(Object.keys(NUMBERS).map((name) => [name, clean(name, given?.[name])]));
  return /** @type {any} */ ({ ...found, stop: typeof given?.stop === "string" ? given.stop : "" });
}

export function cleanSeed(/** @type {any} */ value) {
  const number = Math.round(Number(value));
  return Number.isFinite(number) ? Math.min(TOP_SEED, Math.max(0, number)) : 0;
}

export const newSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000;

/** Those that change how a token is drawn, without those that change nothing. */
export function changing(/** @type {Settings} */ settings) {
  return Object.entries(NEUTRAL).filter(([name, off]) => settings[name] !== off)
    .map(([name]) => [name, settings[name]]);
}

/** As the API takes them, without those that change nothing. */
export function wire(/** @type {Settings} */ settings) {
  return { ...Object.fromEntries(changing(settings)), ...(settings.stop ? { stop: [settings.stop] } : {}) };
}
