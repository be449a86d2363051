/**
 * The text that is worked on, what is known of it, and what is asked with it: one for the page.
 *
 * @import {Editor} from "./editor.js"
 * @import {Form} from "./form.js"
 * @import {Origin, Token, Version} from "./tree.js"
 * @import {Writer} from "./writer.js"
 */

import { get } from "./elements.js";
import { firstAbove, newId, Tree } from "./tree.js";

export class Desk {
  id = newId();
  tree = new Tree();
  /** @type {Editor} */ editor;
  /** @type {Form} */ form;
  /** @type {Writer} */ writer;
  /** Tokens that the model reads. */
  window = Infinity;
  /** Whether a text that is longer goes on from its end. */
  onlyEnd = false;
  /** @type {{tokens: Token[], ends: number[]}} The text as the model reads it, up to the first change
   * since. */
  reading = { tokens: [], ends: [] };
  /** @type {{prompt: string|null, settings: string, top: Token["top"]}|null} What can come next. */
  next = null;
  /** @type {AbortController|null} Of a question that only holds for the text as it is. */
  asking = null;

  lay(/** @type {string} */ id, /** @type {Tree} */ tree) {
    this.id = id;
    this.tree = tree;
    this.onlyEnd = false;
    this.reading = { tokens: [], ends: [] };
    this.next = null;
  }

  /** What follows a place was read after other words. */
  forget(/** @type {number} */ place) {
    const { tokens, ends } = this.reading, valid = firstAbove(ends, place);
    if (valid < ends.length) this.reading = { tokens: tokens.slice(0, valid), ends: ends.slice(0, valid) };
    this.asking?.abort();
  }

  ask() {
    this.asking?.abort();
    this.asking = new AbortController();
    return this.asking.signal;
  }

  /** @returns {string} */
  get model() {
    return get("model").value;
  }

  /** @returns {Origin} */
  origin(/** @type {string|null} */ prompt, sample = 0) {
    return { prompt, seed: this.form.seed, sample, model: this.model, settings: this.form.settings };
  }

  get limits() {
    return this.onlyEnd ? { truncate_prompt_tokens: -1 } : {};
  }

  /**
   * What the model goes on from at a place, and the edit there. A space before it is left to the
   * model, whose words begin with their own.
   */
  before(/** @type {number} */ place) {
    const text = this.tree.text.slice(0, place), spaces = /\S $/.test(text) ? 1 : 0;
    return { prompt: text.slice(0, text.length - spaces) || null, at: place - spaces, cut: spaces };
  }

  /** The token at a place: of the model's or, as far as it was read, of the person's. */
  tokenAt(/** @type {number} */ place) {
    const own = this.tree.tokenAt(place);
    if (own) return own;
    const { tokens, ends } = this.reading, n = firstAbove(ends, place);
    if (!tokens[n]?.rank) return null;
    return { start: n ? ends[n - 1] : 0, end: ends[n], by: "person", token: tokens[n] };
  }

  /** The tokens that were read between two places of what the person wrote. */
  *read(/** @type {number} */ start, /** @type {number} */ end) {
    const { tokens, ends } = this.reading;
    for (let n = firstAbove(ends, start); n < ends.length; n++) {
      const first = n ? ends[n - 1] : 0;
      if (first >= end) return;
      if (tokens[n].rank) yield { start: Math.max(first, start), end: Math.min(ends[n], end), token: tokens[n] };
    }
  }
}

export const desk = new Desk();
