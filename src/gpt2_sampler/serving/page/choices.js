/**
 * A token, or the place where one will come, -> the table of what can stand there, before and after
 * the settings. Knows no server.
 *
 * @import {Token} from "./tree.js"
 * @import {Settings} from "./settings.js"
 */

import { filtered } from "./distribution.js";
import { fillChoices, percent, visible } from "./paint.js";
import { words } from "./words.js";

const SHOWN = 10;
const share = (/** @type {number|null} */ logprob) => (logprob === null ? null : Math.exp(logprob));

export class Choices {
  /**
   * @param {HTMLElement} box
   * @param {(choice: Token["top"][0], place: {start: number, end: number}|null) => void} choose place: of
   *   the token in whose place it comes, null at the cursor
   */
  constructor(box, choose) {
    this.table = /** @type {HTMLTableElement} */ (box.querySelector("table"));
    this.told = /** @type {HTMLElement} */ (box.querySelector("p"));
    this.rest = /** @type {HTMLElement} */ (box.querySelector(".rest"));
    this.choose = choose;
  }

  clear() {
    this.told.textContent = words.noChoices;
    this.table.replaceChildren();
    this.rest.textContent = "";
  }

  /** Of a token that is there. */
  showToken(/** @type {{start: number, end: number, by: string, token: Token}} */ place) {
    const { token, by } = place;
    const isIt = (/** @type {any} */ one) => (token.id === null ? one.text === token.text : one.id === token.id);
    const top = token.top.slice(0, SHOWN);
    const all = top.some(isIt) ? top : [...top, token];
    this.told.textContent = words.tokenAt(visible(token.text), percent(Math.exp(token.logprob)),
      token.rank.toLocaleString("en"), by === "model" ? words.byModel : words.byYou);
    this.rest.textContent = "";
    // What a person wrote was not drawn, so no settings changed it.
    const drawn = by === "model";
    fillChoices(this.table, words.heads.slice(0, drawn ? 3 : 2), all.map((one) => ({
      text: one.text,
      shares: [share(one.logprob), ...(drawn ? [share(one.filtered)] : [])],
      here: isIt(one),
      choose: () => this.choose(one, place),
    })));
  }

  /**
   * Of the place where the next token comes. exact: whether the server computed `filtered` with
   * just these settings; otherwise they are worked out here.
   */
  showNext(/** @type {Token["top"]} */ top, /** @type {Settings} */ settings, /** @type {boolean} */ exact) {
    const found = filtered(top.map(({ logprob }) => logprob), settings);
    const after = exact ? top.map((one) => share(one.filtered)) : found.shares;
    this.told.textContent = words.nextToken;
    const shown = top.slice(0, SHOWN);
    fillChoices(this.table, words.heads, shown.map((one, n) => ({
      text: one.text,
      shares: [share(one.logprob), after[n]],
      here: false,
      choose: () => this.choose(one, null),
    })));
    const others = 1 - after.slice(0, SHOWN).reduce((sum, one) => (sum ?? 0) + (one ?? 0), 0);
    this.rest.textContent = words.rest(percent(Math.max(0, others < 1e-6 ? 0 : others)));
  }

  /** @returns {HTMLElement|null} */
  get first() {
    return this.table.querySelector(".here button") ?? this.table.querySelector("button");
  }
}
