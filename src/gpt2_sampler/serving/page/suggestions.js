/**
 * Three short continuations in a list at the cursor: arrows choose, Tab or Enter takes one, the right
 * arrow takes its first word. Knows no server.
 *
 * @typedef {{text: string, tokens: import("./tree.js").Token[], ends: number[], sample?: number,
 *   rest?: boolean}} Suggestion  rest: of one of which a part was taken
 */

import { visible } from "./paint.js";

/** The first word of a text with the spaces before it; a character of a script without spaces. */
export function firstWord(/** @type {string} */ text) {
  const segments = new Intl.Segmenter(undefined, { granularity: "word" }).segment(text);
  for (const { index, segment, isWordLike } of segments) if (isWordLike) return text.slice(0, index + segment.length);
  return text;
}

export class Suggestions {
  /** @type {Suggestion[]} */
  #list = [];
  #at = 0;

  /**
   * @param {HTMLElement} box @param {HTMLElement} editor
   * @param {(suggestion: Suggestion, length: number) => void} take
   */
  constructor(box, editor, take) {
    this.box = box;
    this.editor = editor;
    this.take = take;
    box.addEventListener("pointerdown", (event) => {
      const option = /** @type {HTMLElement} */ (event.target).closest("[role=option]");
      if (!option) return;
      event.preventDefault(); // the cursor stays
      this.#at = [...box.children].indexOf(option);
      this.#take(Infinity);
    });
  }

  get open() {
    return !this.box.hidden;
  }

  show(/** @type {Suggestion[]} */ list, /** @type {DOMRect} */ { left, bottom, top }) {
    this.#list = list.filter(({ text }) => text);
    this.#at = 0;
    if (!this.#list.length) return this.close();
    this.box.hidden = false;
    this.#fill();
    const { width, height } = this.box.getBoundingClientRect();
    const below = bottom + 6 + height < innerHeight;
    const right = this.editor.getBoundingClientRect().right;
    this.box.style.left = `${Math.max(8, Math.min(left, right - width))}px`;
    this.box.style.top = `${below ? bottom + 6 : Math.max(8, top - height - 6)}px`;
  }

  #fill() {
    this.box.replaceChildren(...this.#list.map(({ text }, n) => {
      const option = document.createElement("li");
      option.role = "option";
      option.id = `suggestion${n}`;
      option.dir = "auto";
      option.textContent = visible(text.replace(/^ /, ""));
      option.ariaSelected = String(n === this.#at);
      return option;
    }));
    this.editor.setAttribute("aria-activedescendant", `suggestion${this.#at}`);
  }

  close() {
    this.box.hidden = true;
    this.#list = [];
    this.editor.removeAttribute("aria-activedescendant");
  }

  #take(/** @type {number} */ length) {
    const one = this.#list[this.#at];
    const taken = Math.min(length, one.text.length);
    this.close();
    this.take(one, taken);
  }

  /** Offers what is left of one of which a part was taken. */
  goOn({ text, tokens, ends }, /** @type {number} */ taken, /** @type {DOMRect} */ box) {
    const left = tokens.map((_, n) => n).filter((n) => (n ? ends[n - 1] : 0) >= taken);
    this.show([{ text: text.slice(taken), tokens: left.map((n) => tokens[n]), ends: left.map((n) => ends[n] - taken), rest: true }], box);
  }

  /** @returns {boolean} whether the key was meant for the list */
  press(/** @type {KeyboardEvent} */ event) {
    if (!this.open || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return false;
    const { key } = event, count = this.#list.length;
    if (key === "ArrowDown" || key === "ArrowUp") {
      this.#at = (this.#at + (key === "ArrowDown" ? 1 : count - 1)) % count;
      this.#fill();
    } else if (key === "Tab" || key === "Enter") this.#take(Infinity);
    else if (key === "ArrowRight") this.#take(firstWord(this.#list[this.#at].text).length);
    else if (key === "Escape") this.close();
    else return false;
    return true;
  }
}
