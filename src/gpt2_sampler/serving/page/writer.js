/**
 * A request -> its text, written into the tree as it comes, frame by frame.
 *
 * Typing goes on meanwhile: what comes waits while a person types or composes, and the place where
 * it goes moves with the text around it.
 *
 * @import {Tree, Version, Token, Edit, Origin} from "./tree.js"
 */

import { stream } from "./api.js";
import { wire } from "./settings.js";

const TYPING = 300; // milliseconds since the last key

export class Writer {
  /** @type {AbortController|null} */
  #stopper = null;
  #lastTyped = 0;
  #flush = () => {};
  #own = false;
  #place = 0;
  /** @type {Version|null} */
  #version = null;

  /**
   * @param {Tree} tree
   * @param {{busy: () => boolean, wrote: (text: string, place: number) => void}} page busy: an
   *   input method composes; wrote is told of each text and of the place where it ends
   */
  constructor(tree, page) {
    this.tree = tree;
    this.page = page;
  }

  get writing() {
    return this.#stopper !== null;
  }

  /** What has come is written; nothing more will be. */
  stop() {
    if (!this.#stopper) return;
    this.#flush();
    this.#stopper.abort();
    this.#stopper = null;
  }

  /** Something else changed the text. */
  changed(/** @type {Edit} */ { at, cut, text }) {
    if (this.#own || !this.writing) return;
    this.#lastTyped = performance.now();
    if (at + cut < this.#place || (cut && at + cut === this.#place)) this.#place += text.length - cut;
    else if (at < this.#place) this.#place = at;
  }

  /**
   * Replaces a stretch of the current text with kept text and what the model writes after it.
   * @param {{at: number, cut: number, text: string, tokens: Token[], ends: number[], from?: Version}} start
   *   from: the version that it is a stretch of, if that is not the current one
   * @param {Origin} origin
   * @param {any} prompt as the API takes it
   * @param {any} more of the request
   * @returns {Promise<{finish: string|null, tokens: number, seconds: number}>} finish is null if it
   *   was stopped; raises ServerError
   */
  async write(start, origin, prompt, more = {}) {
    const stopper = (this.#stopper = new AbortController());
    const { at, cut, text, tokens, ends, from } = start;
    this.#version = null;
    this.#place = at + text.length;
    this.#lastTyped = 0;
    const begin = (/** @type {string} */ added, /** @type {Token[]} */ new_, /** @type {number[]} */ newEnds) => {
      const offset = text.length;
      return this.tree.edit(at, cut, text + added, "model",
        { origin, tokens: [...tokens, ...new_], ends: [...ends, ...newEnds.map((end) => end + offset)] }, from);
    };
    if (text) this.#change(() => { this.#version = begin("", [], []); });
    const held = { text: "", /** @type {Token[]} */ tokens: [], /** @type {number[]} */ ends: [] };
    const put = () => {
      if (!held.text && !held.tokens.length) return;
      const { text: added, tokens: new_, ends: newEnds } = held;
      Object.assign(held, { text: "", tokens: [], ends: [] });
      this.#change(() => {
        const mine = this.#version;
        if (!mine) this.#version = !this.#lastTyped ? begin(added, new_, newEnds)
          : this.tree.edit(this.#place, 0, added, "model", { origin, tokens: new_, ends: newEnds });
        else if (mine === this.tree.current && !mine.children.length) this.tree.extend(added, new_, newEnds);
        else this.#version = this.tree.edit(this.#place, 0, added, "model", { tokens: new_, ends: newEnds });
        this.#place += added.length;
      });
      this.page.wrote(added, this.#place);
    };
    this.#flush = put;
    const waits = () => this.page.busy() || performance.now() - this.#lastTyped < TYPING;
    const began = performance.now();
    let count = 0, finish = null, frame = 0;
    const tick = () => {
      frame = 0;
      if (!waits()) put();
      else frame = later(tick);
    };
    try {
      const { model, settings, seed, sample } = origin;
      const request = { model, prompt, max_tokens: settings.length, seed, first: sample, n: 1,
        logprobs: 10, return_token_ids: true, ...wire(/** @type {any} */ (settings)), ...more };
      for await (const part of stream(request, stopper.signal)) {
        if (stopper.signal.aborted) break;
        const offset = held.text.length;
        held.text += part.text;
        held.tokens.push(...part.tokens);
        held.ends.push(...part.ends.map((/** @type {number} */ end) => end + offset));
        count += part.tokens.length;
        finish = part.finish ?? finish;
        frame ||= later(tick);
      }
      while (this.writing && waits()) await new Promise((done) => setTimeout(done, TYPING));
    } catch (error) {
      if (!stopper.signal.aborted) throw error;
      finish = null;
    } finally {
      cancelAnimationFrame(frame);
      if (this.#stopper === stopper) {
        put();
        this.#stopper = null;
      } else finish = null;
    }
    return { finish, tokens: count, seconds: (performance.now() - began) / 1000 };
  }

  #change(/** @type {() => void} */ change) {
    this.#own = true;
    change();
    this.#own = false;
  }
}

/** With the next frame or, where nothing is painted, soon. */
function later(/** @type {() => void} */ work) {
  if (!document.hidden) return requestAnimationFrame(work);
  setTimeout(work, 200);
  return -1;
}
