/**
 * The settings <-> sliders and fields, kept in this browser.
 *
 * @import {Settings} from "./settings.js"
 */

import { make } from "./elements.js";
import { clean, cleanSeed, newSeed, NUMBERS, settingsOf } from "./settings.js";
import { words } from "./words.js";

const KEPT = "gpt2-sampler settings";
const FIRST = ["temperature", "top_k", "top_p", "length"]; // the others are seldom wanted

export class Form {
  /** @type {Map<string, HTMLInputElement>} */
  #fields = new Map();

  /** @param {HTMLFormElement} form @param {() => void} changed */
  constructor(form, changed) {
    this.changed = changed;
    const more = make("details");
    more.append(make("summary", { textContent: words.more }));
    for (const name of Object.keys(NUMBERS)) (FIRST.includes(name) ? form : more).append(this.#slider(name));
    more.append(this.#field("stop", words.stopText, { maxLength: 200 }));
    const seed = this.#field("seed", words.seed, { inputMode: "numeric" });
    const dice = make("button", { type: "button", textContent: "⚄", ariaLabel: words.newSeed, title: words.newSeed });
    dice.addEventListener("click", () => { this.seed = newSeed(); });
    seed.append(dice);
    form.append(seed, more);
    form.addEventListener("submit", (event) => event.preventDefault());
    let kept = {};
    try {
      kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
    } catch { /* Then the defaults hold. */ }
    this.settings = settingsOf(kept);
    this.seed = kept?.seed === undefined ? newSeed() : cleanSeed(kept.seed);
  }

  #slider(/** @type {string} */ name) {
    const [, lowest, highest, step, top] = NUMBERS[name];
    const row = make("div", { className: "setting" });
    const label = make("label", { htmlFor: `set-${name}`, textContent: words.names[name], title: words.about_[name] });
    const range = make("input", { type: "range", min: lowest, max: top, step, id: `slide-${name}`, tabIndex: -1 });
    range.setAttribute("aria-hidden", "true"); // the field beside it says and does the same
    const field = make("input", { type: "number", min: lowest, max: highest, step, id: `set-${name}` });
    range.addEventListener("input", () => {
      field.value = range.value;
      this.#tell();
    });
    field.addEventListener("input", () => {
      range.value = field.value;
      this.#tell();
    });
    field.addEventListener("change", () => { field.value = String(clean(name, field.value)); });
    row.append(label, range, field, make("small", { textContent: words.about_[name] }));
    this.#fields.set(name, field);
    return row;
  }

  #field(/** @type {string} */ name, /** @type {string} */ text, /** @type {any} */ given) {
    const row = make("div", { className: "setting plain" });
    const field = make("input", { type: "text", id: `set-${name}`, ...given });
    field.addEventListener("input", () => this.#tell());
    row.append(make("label", { htmlFor: field.id, textContent: text }), field);
    this.#fields.set(name, field);
    return row;
  }

  #tell() {
    try {
      localStorage.setItem(KEPT, JSON.stringify({ ...this.settings, seed: this.seed }));
    } catch { /* They hold for this tab. */ }
    this.changed();
  }

  #value(/** @type {string} */ name) {
    return this.#fields.get(name)?.value ?? "";
  }

  /** @returns {Settings} */
  get settings() {
    const found = Object.fromEntries(Object.keys(NUMBERS).map((name) => [name, this.#value(name)]));
    const stop = this.#value("stop").replace(/\\([nt\\])/g, (_, one) => ({ n: "\n", t: "\t" })[one] ?? one);
    return settingsOf({ ...found, stop });
  }

  set settings(settings) {
    for (const [name, field] of this.#fields) {
      if (name === "seed") continue;
      field.value = String(settings[name]);
      const range = /** @type {HTMLInputElement|null} */ (field.parentElement?.querySelector("[type=range]"));
      if (range) range.value = field.value;
      else field.value = settings.stop.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\t", "\\t");
    }
    this.#tell();
  }

  get seed() {
    return cleanSeed(this.#value("seed"));
  }

  set seed(seed) {
    /** @type {HTMLInputElement} */ (this.#fields.get("seed")).value = String(seed);
    this.#tell();
  }
}
