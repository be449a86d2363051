/**
 * A tree of versions -> a list that can be opened, read and jumped in. Versions without others
 * beside them are one row with what led to them. Knows no editor.
 *
 * @import {Tree, Version} from "./tree.js"
 */

import { words } from "./words.js";

const SHOWN = 90; // characters of a row

/** A run of versions without others beside them: its last one, and what they added. */
function run(/** @type {Version} */ first) {
  let last = first, text = first.text;
  while (last.children.length === 1) {
    last = last.children[0];
    if (text.length < SHOWN) text += last.text;
  }
  return { first, last, text };
}

export class Branches {
  /** @type {{last: Version, first: Version, level: number, element: HTMLElement}[]} */
  #rows = [];
  #at = 0;
  #closed = new Set();

  /**
   * @param {HTMLElement} list @param {HTMLElement} preview
   * @param {(version: Version) => void} jump
   */
  constructor(list, preview, jump) {
    this.list = list;
    this.preview = preview;
    this.jump = jump;
    list.addEventListener("keydown", (event) => this.#press(event));
    list.addEventListener("click", (event) => {
      const n = this.#rows.findIndex(({ element }) => element === /** @type {HTMLElement} */ (event.target).closest("li"));
      if (n >= 0) this.#select(n);
    });
    list.addEventListener("dblclick", () => this.jump(this.#rows[this.#at].last));
  }

  get selected() {
    return this.#rows[this.#at].last;
  }

  show(/** @type {Tree} */ tree) {
    this.tree = tree;
    this.#fill();
    const way = new Set();
    for (let one = /** @type {Version|null} */ (tree.current); one; one = one.parent) way.add(one);
    const n = this.#rows.findLastIndex(({ first, last }) => way.has(last) || way.has(first));
    this.#select(Math.max(0, n));
  }

  #fill() {
    this.#rows = [];
    const tree = /** @type {Tree} */ (this.tree);
    const waiting = tree.root.children.map((child) => ({ version: child, level: 1 })).reverse();
    if (!waiting.length) waiting.push({ version: tree.root, level: 1 });
    for (let one; (one = waiting.pop());) {
      const { first, last, text } = run(one.version), { level } = one;
      const element = document.createElement("li");
      element.role = "treeitem";
      element.id = `branch${this.#rows.length}`;
      element.ariaLevel = String(level);
      element.style.setProperty("--level", String(Math.min(level, 12)));
      element.dir = "auto";
      element.classList.add(first.by);
      const said = text.replace(/\s+/g, " ").trim().slice(0, SHOWN) || (first.cut ? `−${first.cut}` : words.untitled);
      element.textContent = said;
      element.ariaLabel = `${first.by === "model" ? words.byModel : words.byYou}: ${said}`;
      if (last.children.length) {
        const open = !this.#closed.has(last.id);
        element.ariaExpanded = String(open);
        if (open) for (const child of [...last.children].reverse()) waiting.push({ version: child, level: level + 1 });
      }
      this.#rows.push({ first, last, level, element });
    }
    this.list.replaceChildren(...this.#rows.map(({ element }) => element));
  }

  #select(/** @type {number} */ n) {
    this.#rows[this.#at]?.element.setAttribute("aria-selected", "false");
    this.#at = Math.max(0, Math.min(this.#rows.length - 1, n));
    const { element, first, last } = this.#rows[this.#at];
    element.setAttribute("aria-selected", "true");
    this.list.setAttribute("aria-activedescendant", element.id);
    element.scrollIntoView({ block: "nearest" });
    const text = /** @type {Tree} */ (this.tree).textAt(last);
    const added = document.createElement("mark");
    const end = Math.min(text.length, first.at + Math.max(first.text.length, text.length - first.at));
    added.textContent = text.slice(first.at, end);
    this.preview.replaceChildren(text.slice(0, first.at), added, text.slice(end));
    added.scrollIntoView({ block: "nearest" });
  }

  #press(/** @type {KeyboardEvent} */ event) {
    const row = this.#rows[this.#at], open = row.element.ariaExpanded;
    const step = /** @type {Record<string, number>} */ ({
      ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity })[event.key];
    if (step) this.#select(this.#at + step);
    else if (event.key === "ArrowRight" && open === "true") this.#select(this.#at + 1);
    else if (event.key === "ArrowRight" && open === "false") this.#turn(row, false);
    else if (event.key === "ArrowLeft" && open === "true") this.#turn(row, true);
    else if (event.key === "ArrowLeft") this.#select(this.#rows.findLastIndex(({ level }, n) => n < this.#at && level < row.level));
    else if (event.key === "Enter") this.jump(row.last);
    else return;
    event.preventDefault();
  }

  #turn(/** @type {{last: Version}} */ { last }, /** @type {boolean} */ close) {
    if (close) this.#closed.add(last.id);
    else this.#closed.delete(last.id);
    const at = this.#at;
    this.#fill();
    this.#select(at);
  }
}
