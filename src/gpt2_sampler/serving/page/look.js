/**
 * A token -> the name of its colour in the text, the rules of those names, and their legend.
 *
 * @import {Token} from "./tree.js"
 */

import { CLASSES, depth, rankClass } from "./paint.js";
import { words } from "./words.js";

const DEPTHS = [0, 1, 2, 3, 4, 5, 6], SHARES = [0.1, 0.01, 0.001];
const LINES = ["none", "underline dotted 1px", "underline solid 1px", "underline double 1px"];

/** The model's tokens have a ground, a person's a line under them. */
export function paintName(/** @type {string} */ kind, /** @type {string} */ by, /** @type {Token} */ { rank, logprob }) {
  const share = Math.exp(logprob);
  const one = kind === "rank" ? rankClass(rank) : SHARES.filter((limit) => share < limit).length;
  return by === "model" ? `model${one}${depth(share)}` : `person${one}`;
}

/** @returns {CSSStyleSheet} */
export function paintSheet() {
  const sheet = new CSSStyleSheet(), rules = [];
  for (let one = 0; one < CLASSES; one++) {
    for (const n of DEPTHS)
      rules.push(`::highlight(model${one}${n}) { background-color: var(--paint${one}${n}); text-decoration: ${LINES[one]}; }`);
    const line = one ? LINES[one].replace("1px", "2px") : "underline solid 2px";
    rules.push(`::highlight(person${one}) { text-decoration: ${line} var(--solid${one}); }`);
  }
  sheet.replaceSync(rules.join("\n"));
  return sheet;
}

/** What the colours mean, in words and in samples. */
export function legend(/** @type {HTMLElement} */ list, /** @type {string} */ kind) {
  const names = kind === "author" ? [words.you, words.theModel] : kind === "rank" ? words.ranks : words.shares;
  list.replaceChildren(...names.map((/** @type {string} */ name, /** @type {number} */ n) => {
    const item = document.createElement("li");
    item.textContent = name;
    item.className = kind === "author" ? ["", "model"][n] : `class${n}`;
    return item;
  }));
}
