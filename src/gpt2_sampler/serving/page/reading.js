/**
 * A text -> the probability of each of its tokens, however long it is.
 *
 * A text longer than the model's window is read in windows, each beginning half a window after the
 * one before, as gpt2-score does. @import {Token} from "./tree.js"
 */

import { complete, tokenize } from "./api.js";

/** @returns {Promise<{tokens: Token[], ends: number[]}>} ends are places in the text */
export async function readText(/** @type {string} */ model, /** @type {number} */ window_,
  /** @type {string} */ text, /** @type {(share: number) => void} */ progress, /** @type {AbortSignal} */ signal) {
  const ids = await tokenize(model, text, signal);
  const step = Math.max(1, Math.floor(window_ / 2));
  /** @type {Token[]} */
  const tokens = [];
  /** @type {number[]} */
  const ends = [];
  for (let start = 0; tokens.length < ids.length; start += step) {
    const prompt = ids.slice(start, start + window_);
    const [read] = await complete({ model, prompt, echo: true, max_tokens: 0, logprobs: 10, return_token_ids: true }, signal);
    const known = tokens.length - start, offset = (ends.at(-1) ?? 0) - (known ? read.ends[known - 1] : 0);
    if (read.tokens.length <= known) break;
    tokens.push(...read.tokens.slice(known));
    ends.push(...read.ends.slice(known).map((/** @type {number} */ end) => end + offset));
    progress(tokens.length / ids.length);
  }
  return { tokens, ends };
}
