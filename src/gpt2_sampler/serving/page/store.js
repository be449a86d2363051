/**
 * Texts with all their versions <-> this browser. Knows no page and trusts nothing that it reads.
 *
 * Each version is a row of its own with an id of its own, so two tabs never overwrite each other.
 * What is not in the database when the tab closes is left in localStorage, which is written at once.
 *
 * @import {Tree} from "./tree.js"
 */

import { plain, restored } from "./tree.js";

const NAME = "gpt2-sampler", LEFT = "gpt2-sampler left over ", SOON = 300; // milliseconds

/** @returns {Promise<any>} */
const done = (/** @type {IDBRequest|IDBTransaction} */ request) => new Promise((resolve, reject) => {
  const good = () => resolve(/** @type {any} */ (request).result);
  request.addEventListener("success", good);
  request.addEventListener("complete", good);
  for (const name of ["error", "abort", "blocked"]) request.addEventListener(name, () => reject(request.error));
});

const rowsOf = (/** @type {string} */ text) => IDBKeyRange.bound([text], [text, []]);

export class Store {
  /** @type {IDBDatabase|null} */
  #database = null;
  #timer = 0;
  #turn = Promise.resolve();
  /** @type {Set<any>} rows on their way into the database */
  #underway = new Set();

  /** @param {(whole: boolean) => void} told whether all is kept */
  constructor(told) {
    this.told = told;
  }

  /** Raises if this browser keeps nothing. */
  async open() {
    const request = indexedDB.open(NAME, 1);
    request.addEventListener("upgradeneeded", () => {
      request.result.createObjectStore("texts", { keyPath: "id" });
      request.result.createObjectStore("versions", { keyPath: ["in", "id"] });
    });
    this.#database = await done(request);
    for (const name of Object.keys(localStorage).filter((one) => one.startsWith(LEFT))) {
      const { text, versions } = JSON.parse(localStorage.getItem(name) ?? "{}");
      await this.#write(text, versions).catch(() => {}); // it is no text
      localStorage.removeItem(name);
    }
  }

  async #write(/** @type {any} */ text, /** @type {any[]} */ versions) {
    if (!this.#database) throw new Error("no database");
    const transaction = this.#database.transaction(["texts", "versions"], "readwrite");
    transaction.objectStore("texts").put(text);
    for (const version of versions) transaction.objectStore("versions").put({ in: text.id, ...version });
    await done(transaction);
  }

  /** All texts, the last first: {id, title, current, time}. */
  async list() {
    if (!this.#database) return [];
    const texts = await done(this.#database.transaction("texts").objectStore("texts").getAll());
    return texts.filter((/** @type {any} */ { id }) => typeof id === "string")
      .sort((/** @type {any} */ a, /** @type {any} */ b) => b.time - a.time);
  }

  /** @returns {Promise<Tree>} */
  async load(/** @type {{id: string, current: string}} */ { id, current }) {
    const versions = this.#database &&
      await done(this.#database.transaction("versions").objectStore("versions").getAll(rowsOf(id)));
    return restored(versions ?? [], current);
  }

  async remove(/** @type {string} */ id) {
    if (!this.#database) return;
    const transaction = this.#database.transaction(["texts", "versions"], "readwrite");
    transaction.objectStore("texts").delete(id);
    transaction.objectStore("versions").delete(rowsOf(id));
    await done(transaction);
  }

  /** Keeps what is new of a text, soon. */
  keep(/** @type {string} */ id, /** @type {Tree} */ tree) {
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.flush(id, tree);
    }, SOON);
  }

  /** Keeps it now. */
  flush(/** @type {string} */ id, /** @type {Tree} */ tree) {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (!tree.unsaved.size && tree.current === tree.root) return this.#turn;
    const versions = [...tree.unsaved];
    tree.unsaved.clear();
    const row = rowOf(id, tree), rows = versions.map((version) => structuredClone(plain(version)));
    for (const one of rows) this.#underway.add(one);
    this.#turn = this.#turn.then(() => this.#write(row, rows)).then(
      () => {
        for (const one of rows) this.#underway.delete(one);
        this.told(true);
      },
      () => {
        for (const version of versions) tree.unsaved.add(version);
        this.told(false);
      });
    return this.#turn;
  }

  /** The tab closes: nothing that takes time will be done. */
  leave(/** @type {string} */ id, /** @type {Tree} */ tree) {
    const versions = [...this.#underway, ...[...tree.unsaved].map(plain)];
    if (!versions.length || !this.#database) return;
    try {
      localStorage.setItem(LEFT + id, JSON.stringify({ text: rowOf(id, tree), versions }));
    } catch { /* The database still has all but the last moment. */ }
    this.flush(id, tree);
  }
}

function rowOf(/** @type {string} */ id, /** @type {Tree} */ tree) {
  return { id, title: tree.text.trimStart().slice(0, 80), current: tree.current.id, time: Date.now() };
}
