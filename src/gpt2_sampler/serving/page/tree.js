/**
 * Edits -> every version that a text ever had, and the way back to each of them. Knows no page.
 *
 * A version is its parent with one stretch of text replaced. Nothing is ever taken out of the tree,
 * so whatever was replaced is kept. The text of the current version is kept as pieces, each of them
 * a part of what some version added; so each character knows who wrote it, and its token.
 *
 * @typedef {{text: string, id: number|null, logprob: number, filtered: number|null, rank: number,
 *   top: {id: number, text: string, logprob: number, filtered: number|null}[]}} Token
 *   How a token was chosen; log-probabilities in nats, filtered: after the settings, null: cut.
 * @typedef {{prompt: string|null, seed: number, sample: number, model: string,
 *   settings: Object<string, any>, kept?: number}} Origin
 *   What makes a model's text again; kept: characters that the version begins with before it.
 * @typedef {{id: string, parent: Version|null, at: number, cut: number, text: string,
 *   by: "person"|"model", time: number, tokens: Token[], ends: number[], origin: Origin|null,
 *   children: Version[], latest: Version|null, taken: Piece[]}} Version
 *   at and cut count characters of the parent's text; ends are the tokens' ends in this text;
 *   latest is the child that was visited last; taken is what the edit replaced.
 * @typedef {{version: Version, from: number, to: number}} Piece
 * @typedef {{at: number, cut: number, text: string}} Edit
 */

const PAUSE = 3000; // milliseconds, after which typing begins a new version

/** @returns {string} an id that no other tab gives */
export const newId = () => crypto.getRandomValues(new Uint32Array(3)).join("-");

/** The shortest edit that makes one text of another. @returns {Edit} */
export function difference(/** @type {string} */ before, /** @type {string} */ after) {
  const shorter = Math.min(before.length, after.length);
  let at = 0;
  while (at < shorter && before.charCodeAt(at) === after.charCodeAt(at)) at++;
  let same = 0;
  while (same < shorter - at &&
    before.charCodeAt(before.length - 1 - same) === after.charCodeAt(after.length - 1 - same)) same++;
  return { at, cut: before.length - at - same, text: after.slice(at, after.length - same) };
}

/** The index of the first of the numbers, which ascend, that is above the limit. */
export function firstAbove(/** @type {number[]} */ numbers, /** @type {number} */ limit) {
  let low = 0, high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] > limit) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The index of the piece that begins at a place; one that only covers it is split. */
function split(/** @type {Piece[]} */ pieces, /** @type {number} */ at) {
  let start = 0;
  for (let n = 0; n < pieces.length; n++) {
    const { version, from, to } = pieces[n];
    if (at === start) return n;
    if (at < start + to - from) {
      const middle = from + at - start;
      pieces.splice(n, 1, { version, from, to: middle }, { version, from: middle, to });
      return n + 1;
    }
    start += to - from;
  }
  return pieces.length;
}

/** Replaces a stretch and returns what was there. */
function replace(/** @type {Piece[]} */ pieces, /** @type {number} */ at, /** @type {number} */ cut,
  /** @type {Piece[]} */ added) {
  const first = split(pieces, at), last = split(pieces, at + cut);
  const removed = pieces.splice(first, last - first, ...added.filter(({ from, to }) => to > from));
  for (const n of [first + added.length, first]) { // neighbours that belong together are joined
    const [before, after] = [pieces[n - 1], pieces[n]];
    if (before && after && before.version === after.version && before.to === after.from)
      pieces.splice(n - 1, 2, { ...before, to: after.to });
  }
  return removed;
}

const textOf = (/** @type {Piece[]} */ pieces) =>
  pieces.map(({ version, from, to }) => version.text.slice(from, to)).join("");

export class Tree {
  /** @param {(edit: Edit) => void} changed is told each change of the current text */
  constructor(changed = () => {}) {
    this.changed = changed;
    /** @type {Map<string, Version>} */
    this.versions = new Map();
    /** @type {Set<Version>} that are not stored yet */
    this.unsaved = new Set();
    /** @type {Version[]} */
    this.past = [];
    /** @type {Version[]} */
    this.future = [];
    /** @type {Piece[]} */
    this.pieces = [];
    this.text = "";
    this.root = this.#make({ id: "root", parent: null, at: 0, cut: 0, text: "", by: "person" });
    this.current = this.root;
  }

  /** @returns {Version} */
  #make(/** @type {any} */ given) {
    const version = {
      time: Date.now(), tokens: [], ends: [], origin: null, children: [], latest: null, taken: [],
      ...given,
    };
    this.versions.set(version.id, version);
    version.parent?.children.push(version);
    return version;
  }

  /** Makes a version of an edit of the current one, or of another, and goes there. */
  edit(/** @type {number} */ at, /** @type {number} */ cut, /** @type {string} */ text,
    /** @type {"person"|"model"} */ by, /** @type {Partial<Version>} */ more = {}, from = this.current) {
    const before = this.text, direct = from === this.current;
    this.#remember();
    this.#walk(from);
    const version = this.#make({ id: newId(), parent: from, at, cut, text, by, ...more });
    this.#forward(version);
    this.unsaved.add(version);
    this.changed(direct ? { at, cut, text } : difference(before, this.text));
    return version;
  }

  /** What a person types: a word, or a run of deleting, becomes one version. */
  type(/** @type {number} */ at, /** @type {number} */ cut, /** @type {string} */ text) {
    const now = this.current, end = now.at + now.text.length;
    const open = now.by === "person" && now !== this.root && !now.children.length &&
      Date.now() - now.time < PAUSE;
    const newWord = /\s$/.test(now.text) && /^\S/.test(text);
    if (open && !cut && at === end && now.text && text.length === 1 && !newWord) {
      this.extend(text);
    } else if (open && !text && !now.text && cut === 1 && at + cut === now.at) {
      now.taken.unshift(...replace(this.pieces, at, cut, []));
      this.text = this.text.slice(0, at) + this.text.slice(at + cut);
      Object.assign(now, { at, cut: now.cut + cut, time: Date.now() });
      this.unsaved.add(now);
      this.changed({ at, cut, text });
    } else this.edit(at, cut, text, "person");
  }

  /** Adds to the end of the current version, which has no children. */
  extend(/** @type {string} */ text, /** @type {Token[]} */ tokens = [], /** @type {number[]} */ ends = []) {
    const version = this.current, from = version.text.length, at = version.at + from;
    version.text += text;
    version.tokens.push(...tokens);
    version.ends.push(...ends.map((end) => end + from));
    version.time = Date.now();
    replace(this.pieces, at, 0, [{ version, from, to: version.text.length }]);
    this.text = this.text.slice(0, at) + text + this.text.slice(at);
    this.unsaved.add(version);
    this.changed({ at, cut: 0, text });
  }

  #remember() {
    this.past.push(this.current);
    this.future = [];
  }

  #forward(/** @type {Version} */ version) {
    const { at, cut, text } = version;
    version.taken = replace(this.pieces, at, cut, [{ version, from: 0, to: text.length }]);
    this.text = this.text.slice(0, at) + text + this.text.slice(at + cut);
    if (version.parent) version.parent.latest = version;
    this.current = version;
  }

  #back() {
    const { at, text, taken, parent } = this.current;
    const inner = taken.map((piece) => ({ ...piece }));
    replace(this.pieces, at, text.length, inner);
    this.text = this.text.slice(0, at) + textOf(inner) + this.text.slice(at + text.length);
    this.current = /** @type {Version} */ (parent);
  }

  #walk(/** @type {Version} */ target) {
    const way = wayTo(target), known = new Set(way);
    while (!known.has(this.current)) this.#back();
    for (const one of way.slice(way.indexOf(this.current) + 1)) this.#forward(one);
  }

  #move(/** @type {Version} */ target) {
    const before = this.text;
    this.#walk(target);
    this.changed(difference(before, this.text));
  }

  go(/** @type {Version} */ target) {
    if (target === this.current) return;
    this.#remember();
    this.#move(target);
  }

  /** @returns {boolean} whether there was something to undo */
  undo() {
    const target = this.past.pop() ?? this.current.parent;
    if (!target) return false;
    this.future.push(this.current);
    this.#move(target);
    return true;
  }

  redo() {
    const target = this.future.pop() ?? this.current.latest ?? this.current.children.at(-1);
    if (!target) return false;
    this.past.push(this.current);
    this.#move(target);
    return true;
  }

  get canUndo() {
    return this.past.length > 0 || this.current.parent !== null;
  }

  get canRedo() {
    return this.future.length > 0 || this.current.children.length > 0;
  }

  /** Which of how many versions beside each other this is. */
  among() {
    const branch = this.branch(), all = branch.parent?.children ?? [branch];
    return { place: all.indexOf(branch), count: all.length };
  }

  /** The last version on the way here that has others beside it, or else the current one. */
  branch() {
    let one = /** @type {Version|null} */ (this.current);
    while (one?.parent && one.parent.children.length < 2) one = one.parent;
    return one?.parent ? one : this.current;
  }

  /** Goes to the version beside that one, and on to where it was left. */
  sibling(/** @type {number} */ step) {
    const branch = this.branch(), all = branch.parent?.children ?? [branch];
    const target = all[all.indexOf(branch) + step];
    if (!target) return false;
    this.go(leaf(target));
    return true;
  }

  /** The last text of a model on the way to a version. @returns {Version|null} */
  written(/** @type {Version|null} */ from = this.current) {
    while (from && !from.origin) from = from.parent;
    return from;
  }

  /**
   * Where another text begins that has the current one's first characters, up to a place: the
   * version to go to, and the edit from there, whose text is what is kept of the old one.
   */
  fork(/** @type {number} */ place) {
    let one = this.current;
    while (one.parent && one.at >= place) one = one.parent;
    const kept = place - one.at;
    if (one.parent && kept <= one.text.length) {
      const count = firstAbove(one.ends, kept);
      return { from: one.parent, at: one.at, cut: one.cut, text: one.text.slice(0, kept),
        tokens: one.tokens.slice(0, count), ends: one.ends.slice(0, count) };
    }
    let end = 0;
    for (const { from, to } of this.pieces) if ((end += to - from) > place) break;
    return { from: this.current, at: place, cut: Math.max(0, end - place), text: "", tokens: [], ends: [] };
  }

  /** The pieces and tokens of the current text that touch a stretch. */
  *parts(/** @type {number} */ start, /** @type {number} */ end) {
    let at = 0;
    for (const { version, from, to } of this.pieces) {
      const offset = at - from; // of the version's text in the whole
      at += to - from;
      if (at <= start) continue;
      if (offset + from >= end) return;
      yield { start: offset + from, end: at, by: version.by, token: null };
      for (let n = firstAbove(version.ends, Math.max(from, start - offset)); n < version.ends.length; n++) {
        const first = n ? version.ends[n - 1] : 0, last = version.ends[n];
        if (first >= Math.min(to, end - offset)) break;
        if (first >= from && last <= to && last > first)
          yield { start: offset + first, end: offset + last, by: version.by, token: version.tokens[n] };
      }
    }
  }

  /** The token that a place lies in. */
  tokenAt(/** @type {number} */ place) {
    for (const part of this.parts(place, place + 1))
      if (part.token && part.start <= place && place < part.end) return part;
    return null;
  }

  /** The text of any version, without going there. */
  textAt(/** @type {Version} */ target) {
    return wayTo(target).reduce(
      (text, { at, cut, text: added }) => text.slice(0, at) + added + text.slice(at + cut), "");
  }
}

/** From the first version to this one. */
export function wayTo(/** @type {Version} */ target) {
  const way = [];
  for (let one = /** @type {Version|null} */ (target); one; one = one.parent) way.push(one);
  return way.reverse();
}

/** Where a branch was left. */
export function leaf(/** @type {Version} */ version) {
  while (version.latest ?? version.children.length) version = version.latest ?? version.children.at(-1);
  return version;
}

/** A version as it is stored and exported. */
export function plain(/** @type {Version} */ { id, parent, at, cut, text, by, time, tokens, ends, origin }) {
  return { id, parent: parent?.id ?? null, at, cut, text, by, time, tokens, ends, origin };
}

const whole = (/** @type {any} */ number) => Number.isSafeInteger(number) && number >= 0;
const isNumber = (/** @type {any} */ value) => typeof value === "number";
const isChoice = (/** @type {any} */ { text, logprob, filtered, id }) => typeof text === "string" &&
  isNumber(logprob) && (filtered === null || isNumber(filtered)) && (id === null || whole(id));
const isToken = (/** @type {any} */ token) => token && isChoice(token) && whole(token.rank) &&
  Array.isArray(token.top) && token.top.every((/** @type {any} */ one) => one && isChoice(one));
const isOrigin = (/** @type {any} */ one) => one && typeof one.model === "string" && whole(one.seed) &&
  whole(one.sample) && whole(one.kept ?? 0) && (one.prompt === null || typeof one.prompt === "string") &&
  one.settings && typeof one.settings === "object";

/**
 * A tree of stored versions, whoever stored them: what does not fit is left out, with all that
 * follows it. @returns {Tree}
 */
export function restored(/** @type {any[]} */ stored, /** @type {string} */ current) {
  const tree = new Tree();
  const waiting = new Map();
  for (const one of stored)
    if (one && typeof one.id === "string" && one.id !== "root")
      waiting.set(one.parent, [...waiting.get(one.parent) ?? [], one]);
  const lengths = new Map([[tree.root, 0]]), ready = [tree.root];
  for (let parent; (parent = ready.pop());) {
    const length = lengths.get(parent) ?? 0;
    for (const one of (waiting.get(parent.id) ?? []).sort((a, b) => a.time - b.time)) {
      const { id, at, cut, text, time } = one;
      if (typeof text !== "string" || !whole(at) || !whole(cut) || at + cut > length) continue;
      if (tree.versions.has(id)) continue;
      const good = Array.isArray(one.tokens) && one.tokens.every(isToken) && Array.isArray(one.ends) &&
        one.ends.length === one.tokens.length && one.ends.every(
          (/** @type {any} */ end, /** @type {number} */ n) =>
            whole(end) && end <= text.length && end >= (one.ends[n - 1] ?? 0));
      const version = /** @type {Version} */ ({
        id, parent, at, cut, text, by: one.by === "model" ? "model" : "person",
        time: isNumber(time) ? time : 0, tokens: good ? one.tokens : [], ends: good ? one.ends : [],
        origin: isOrigin(one.origin) ? one.origin : null, children: [], latest: null, taken: [],
      });
      tree.versions.set(id, version);
      parent.children.push(version);
      lengths.set(version, length - cut + text.length);
      ready.push(version);
    }
  }
  tree.go(tree.versions.get(current) ?? leaf(tree.root));
  tree.past = [];
  return tree;
}
