/**
 * A plain text <-> an element that it is written in. Knows no model and no history.
 *
 * The text lies in blocks of a few thousand characters, each an element with one text node, so that
 * a change lays out one block and not the whole text. Colours are CSS highlights of ranges in the
 * blocks that can be seen: they put nothing into the document. What a person does is taken from
 * `beforeinput` and told, except while an input method composes: then the browser writes, and what
 * it wrote is read back.
 *
 * @typedef {{element: HTMLElement, node: Text, painted: [Highlight, StaticRange][]}} Block
 * @typedef {{edit: (at: number, cut: number, text: string) => void, undo: () => void,
 *   redo: () => void, paint: (start: number, end: number) => Iterable<{start: number, end: number, name: string}>
 * }} Owner
 */

import { difference } from "./tree.js";

const LONGEST = 2500, LONG = 1000; // characters of a block
const MARGIN = "100%"; // of the height, around what is seen, that is painted too

/** Where to end a block: after a line, else after a sentence, else after a word. */
function endOf(/** @type {string} */ text, /** @type {number} */ start) {
  if (text.length - start <= LONG) return text.length;
  const break_ = text.indexOf("\n", start + LONG);
  if (break_ >= 0 && break_ - start < LONGEST) return break_ + 1;
  if (text.length - start <= LONGEST) return text.length;
  const part = text.slice(start + LONG, start + LONGEST);
  for (const ending of [/[.!?。！？]["”’)]? ?/g, /\s/g, /[\s\S](?![\udc00-\udfff])/g]) {
    const last = [...part.matchAll(ending)].at(-1);
    if (last) return start + LONG + last.index + last[0].length;
  }
  return start + LONGEST;
}

export class Editor {
  /** @type {Block[]} */
  blocks = [];
  text = "";
  composing = false;
  /** @type {Map<string, Highlight>} */
  #highlights = new Map();
  #seen = new Set();
  #dirty = new Set();
  #frame = 0;
  #reading = false;
  #selection = { start: 0, end: 0 };

  /** @param {HTMLElement} root @param {HTMLElement} scroller @param {Owner} owner */
  constructor(root, scroller, owner) {
    this.root = root;
    this.scroller = scroller;
    this.owner = owner;
    this.end = document.createElement("br"); // makes an empty last line visible
    this.#build("");
    this.watch = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) this.#seen.add(target);
        else this.#seen.delete(target);
        this.#dirty.add(target);
      }
      this.#later();
    }, { root: scroller, rootMargin: MARGIN });
    this.watch.observe(this.blocks[0].element);
    root.addEventListener("beforeinput", (event) => this.#before(event));
    root.addEventListener("input", () => this.#readBack());
    root.addEventListener("compositionstart", () => { this.composing = true; });
    root.addEventListener("compositionend", () => {
      this.composing = false;
      this.#readBack();
      this.#mend();
    });
    root.addEventListener("blur", () => this.#read());
    root.addEventListener("focus", () => this.select(this.#selection.start, this.#selection.end));
    root.addEventListener("paste", (event) => {
      event.preventDefault();
      this.#put(event.clipboardData?.getData("text/plain") ?? "");
    });
    root.addEventListener("copy", (event) => this.#copy(event));
    root.addEventListener("cut", (event) => {
      this.#copy(event);
      this.#put("");
    });
  }

  // What the person does.

  #copy(/** @type {ClipboardEvent} */ event) {
    const { start, end } = this.selection;
    if (start === end) return;
    event.preventDefault();
    event.clipboardData?.setData("text/plain", this.text.slice(start, end));
  }

  /** In the place of the selection. */
  #put(/** @type {string} */ text) {
    const { start, end } = this.selection;
    this.#edit(start, end, text.replace(/\r\n?/g, "\n"));
  }

  #edit(/** @type {number} */ start, /** @type {number} */ end, /** @type {string} */ text) {
    if (start === end && !text) return;
    this.owner.edit(start, end - start, text);
    this.select(start + text.length);
    this.reveal(start + text.length);
  }

  #before(/** @type {InputEvent} */ event) {
    const kind = event.inputType;
    if (event.isComposing || kind === "insertCompositionText" || !event.cancelable) return;
    event.preventDefault();
    if (kind === "historyUndo") return this.owner.undo();
    if (kind === "historyRedo") return this.owner.redo();
    const [range] = event.getTargetRanges();
    const target = range ? {
      start: this.#offset(range.startContainer, range.startOffset),
      end: this.#offset(range.endContainer, range.endOffset),
    } : this.selection;
    if (kind.startsWith("delete")) return this.#delete(kind, target);
    const { start, end } = target;
    const text = /insert(LineBreak|Paragraph)/.test(kind) ? "\n" :
      event.data ?? event.dataTransfer?.getData("text/plain");
    if (text != null) this.#edit(start, end, text.replace(/\r\n?/g, "\n"));
  }

  /** Where the browser names no stretch, as between two blocks, the selection is extended. */
  #delete(/** @type {string} */ kind, /** @type {{start: number, end: number}} */ target) {
    const way = /Backward/.test(kind) ? "backward" : "forward";
    const unit = /Word/.test(kind) ? "word" : /SoftLine/.test(kind) ? "lineboundary" :
      /HardLine|EntireLine/.test(kind) ? "paragraphboundary" : "character";
    for (let n = 0; n < 2 && target.start === target.end; n++) {
      document.getSelection()?.modify("extend", way, unit);
      target = this.selection;
    }
    this.#edit(target.start, target.end, "");
  }

  /** What the browser wrote by itself. */
  #readBack() {
    const text = this.root.textContent ?? "";
    const edit = difference(this.text, text);
    if (!edit.cut && !edit.text) return;
    const caret = this.selection;
    this.text = text;
    this.#reading = true;
    this.owner.edit(edit.at, edit.cut, edit.text);
    this.#reading = false;
    this.#selection = caret;
    this.root.classList.toggle("empty", !text);
    if (!this.composing) this.#mend();
  }

  /** Puts the blocks in order again if the browser did more than change their texts. */
  #mend() {
    const { start, end } = this.selection;
    const held = this.blocks.map(({ node }) => node.data).join("");
    const inOrder = held === this.text && this.root.children.length === this.blocks.length &&
      this.blocks.every(({ element, node }, n) => this.root.children[n] === element &&
        element.firstChild === node && element.childNodes.length === (n + 1 < this.blocks.length ? 1 : 2));
    if (!inOrder) this.#build(this.text);
    for (const { element } of this.blocks) this.#dirty.add(element);
    this.#later();
    if (!inOrder) this.select(start, end);
  }

  // The blocks.

  /** @returns {Block} */
  #block(/** @type {string} */ text) {
    const element = document.createElement("div"), node = document.createTextNode(text);
    element.append(node);
    this.watch?.observe(element);
    return { element, node, painted: [] };
  }

  #cutUp(/** @type {string} */ text) {
    const made = [];
    for (let at = 0; at < text.length;) {
      const end = endOf(text, at);
      made.push(this.#block(text.slice(at, end)));
      at = end;
    }
    return made;
  }

  #build(/** @type {string} */ text) {
    for (const block of this.blocks) this.#forget(block);
    this.blocks = this.#cutUp(text);
    if (!this.blocks.length) this.blocks = [this.#block("")];
    this.root.replaceChildren(...this.blocks.map(({ element }) => element));
    this.text = text;
    this.#finish();
  }

  #finish() {
    const last = this.blocks[this.blocks.length - 1].element;
    if (this.end.parentNode !== last) last.append(this.end);
    this.root.classList.toggle("empty", !this.text);
  }

  #forget(/** @type {Block} */ block) {
    this.watch?.unobserve(block.element);
    this.#seen.delete(block.element);
    this.#dirty.delete(block.element);
    this.#wash(block);
  }

  /** The block that a place is in, and where in it. At an edge, the one that begins there. */
  #find(/** @type {number} */ place) {
    let start = 0;
    for (let n = 0; ; n++) {
      const { length } = this.blocks[n].node;
      if (place < start + length || n === this.blocks.length - 1) return { n, offset: Math.min(place - start, length), start };
      start += length;
    }
  }

  /**
   * The blocks that an edit changes. What is put where two lines meet belongs to the second; a block
   * that loses the break at its end is joined to the next.
   */
  #touched(/** @type {number} */ at, /** @type {number} */ cut, /** @type {string} */ text) {
    const first = this.#find(cut || this.text[at - 1] === "\n" ? at : Math.max(0, at - 1));
    let last = this.#find(Math.max(first.start, at + cut - 1));
    if (!cut) last = first;
    const end = last.start + this.blocks[last.n].node.length;
    const joined = at + cut === end && !(text || this.text.slice(0, at)).endsWith("\n");
    if (cut && joined && last.n + 1 < this.blocks.length) last = this.#find(end);
    return { first, last };
  }

  /** Replaces a stretch of the text. The selection stays with what it was in. */
  replace(/** @type {number} */ at, /** @type {number} */ cut, /** @type {string} */ text) {
    if (this.#reading) return; // the browser wrote it
    const { start, end } = this.selection;
    const { first, last } = this.#touched(at, cut, text);
    this.text = this.text.slice(0, at) + text + this.text.slice(at + cut);
    const block = this.blocks[first.n], from = at - first.start;
    const length = block.node.length - cut + text.length;
    const inPlace = first.n === last.n && (length > 0 || this.blocks.length === 1) &&
      (length <= LONG || (length <= LONGEST && !text.includes("\n")));
    if (inPlace) {
      block.node.replaceData(from, cut, text);
      this.#dirty.add(block.element);
    } else {
      const old = this.blocks.slice(first.n, last.n + 1);
      const whole = old.map(({ node }) => node.data).join("");
      const made = this.#cutUp(whole.slice(0, from) + text + whole.slice(from + cut));
      if (!made.length && old.length === this.blocks.length) made.push(this.#block(""));
      old[0].element.before(...made.map(({ element }) => element));
      if (old.some(({ element }) => this.#seen.has(element)))
        for (const { element } of made) this.#dirty.add(element) && this.#seen.add(element);
      for (const one of old) {
        this.#forget(one);
        one.element.remove();
      }
      this.blocks.splice(first.n, old.length, ...made);
    }
    this.#finish();
    const moved = (/** @type {number} */ place) => place <= at ? place :
      place >= at + cut ? place + text.length - cut : at;
    if (inPlace) this.#selection = { start: moved(start), end: moved(end) }; // the browser does the same
    else this.select(moved(start), moved(end));
    this.#later();
  }

  // Places.

  #offset(/** @type {Node} */ container, /** @type {number} */ offset) {
    if (container === this.root) {
      let count = 0;
      for (const child of [...this.root.childNodes].slice(0, offset)) count += child.textContent?.length ?? 0;
      return count;
    }
    let start = 0;
    for (const { element, node } of this.blocks) {
      if (node === container) return start + offset;
      if (element === container) return start + (offset ? node.length : 0);
      start += node.length;
    }
    const range = document.createRange(); // in what an input method made
    range.setStart(this.root, 0);
    range.setEnd(container, offset);
    return range.toString().length;
  }

  /** Of the text, also while another element has the focus. */
  get selection() {
    return document.activeElement === this.root ? this.#read() : this.#selection;
  }

  #read() {
    const found = document.getSelection();
    if (!found?.rangeCount || !this.root.contains(found.anchorNode)) return this.#selection;
    const range = found.getRangeAt(0);
    this.#selection = {
      start: this.#offset(range.startContainer, range.startOffset),
      end: this.#offset(range.endContainer, range.endOffset),
    };
    return this.#selection;
  }

  select(/** @type {number} */ start, end = start) {
    this.#selection = { start, end };
    const selection = document.getSelection();
    if (document.activeElement !== this.root || !selection) return;
    const [a, b] = [this.#find(start), this.#find(end)];
    selection.setBaseAndExtent(this.blocks[a.n].node, a.offset, this.blocks[b.n].node, b.offset);
  }

  focus() {
    const { start, end } = this.#selection;
    this.root.focus({ preventScroll: true });
    this.select(start, end);
  }

  #range(/** @type {number} */ start, /** @type {number} */ end) {
    const [a, b] = [this.#find(start), this.#find(end - 1)];
    const range = document.createRange();
    range.setStart(this.blocks[a.n].node, a.offset);
    range.setEnd(this.blocks[b.n].node, b.offset + 1);
    return range;
  }

  /** Where on the screen a place is. @returns {DOMRect} */
  rectangle(/** @type {number} */ place) {
    const { n, offset } = this.#find(place), { node, element } = this.blocks[n];
    const range = document.createRange();
    range.setStart(node, offset);
    const own = range.getClientRects();
    if (own.length && node.length) return own[own.length - 1];
    const box = (n === this.blocks.length - 1 ? this.end : element).getBoundingClientRect();
    return new DOMRect(box.left, box.top, 0, box.height);
  }

  /** The place under a point of the screen, or null. @returns {number|null} */
  placeAt(/** @type {number} */ x, /** @type {number} */ y) {
    const found = document.caretPositionFromPoint?.(x, y) ?? oldCaretAt(x, y);
    if (!found || !this.root.contains(found.offsetNode)) return null;
    const place = this.#offset(found.offsetNode, found.offset);
    for (const start of [place, place - 1]) {
      if (start < 0 || start >= this.text.length) continue;
      for (const box of this.#range(start, start + 1).getClientRects())
        if (x >= box.left && x <= box.right && y >= box.top && y <= box.bottom) return start;
    }
    return null;
  }

  /** Scrolls until a place can be seen. */
  reveal(/** @type {number} */ place) {
    const box = this.rectangle(place), frame = this.scroller.getBoundingClientRect();
    const room = box.height * 1.5;
    if (box.bottom > frame.bottom - room) this.scroller.scrollTop += box.bottom - frame.bottom + room;
    else if (box.top < frame.top) this.scroller.scrollTop += box.top - frame.top - room;
  }

  /** Whether a place can be seen. */
  shows(/** @type {number} */ place) {
    const box = this.rectangle(place), frame = this.scroller.getBoundingClientRect();
    return box.bottom > frame.top && box.top < frame.bottom;
  }

  // Colours.

  #later() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paintDirty();
    });
  }

  /** Paints all anew that is seen. */
  repaint() {
    for (const { element } of this.blocks) this.#dirty.add(element);
    this.#later();
  }

  #paintDirty() {
    let start = 0;
    for (const block of this.blocks) {
      const end = start + block.node.length;
      if (this.#dirty.has(block.element)) {
        this.#wash(block);
        if (this.#seen.has(block.element)) this.#paint(block, start, end);
      }
      start = end;
    }
    this.#dirty.clear();
  }

  #wash(/** @type {Block} */ block) {
    for (const [highlight, range] of block.painted) highlight.delete(range);
    block.painted = [];
  }

  #paint(/** @type {Block} */ block, /** @type {number} */ start, /** @type {number} */ end) {
    for (const { start: from, end: to, name } of this.owner.paint(start, end)) {
      const range = new StaticRange({
        startContainer: block.node, startOffset: Math.max(from, start) - start,
        endContainer: block.node, endOffset: Math.min(to, end) - start,
      });
      const highlight = this.#highlight(name);
      highlight?.add(range);
      if (highlight) block.painted.push([highlight, range]);
    }
  }

  #highlight(/** @type {string} */ name) {
    if (!("highlights" in CSS)) return null;
    let found = this.#highlights.get(name);
    if (!found) {
      this.#highlights.set(name, (found = new Highlight()));
      CSS.highlights.set(name, found);
    }
    return found;
  }

  /** Marks one stretch, or none. */
  mark(/** @type {{start: number, end: number}|null} */ stretch) {
    const highlight = this.#highlight("here");
    if (!highlight) return;
    highlight.clear();
    highlight.priority = 1;
    if (stretch && stretch.end <= this.text.length && stretch.end > stretch.start) {
      const { startContainer, startOffset, endContainer, endOffset } = this.#range(stretch.start, stretch.end);
      highlight.add(new StaticRange({ startContainer, startOffset, endContainer, endOffset }));
    }
  }
}

/** For browsers without caretPositionFromPoint. */
function oldCaretAt(/** @type {number} */ x, /** @type {number} */ y) {
  const range = document.caretRangeFromPoint?.(x, y);
  return range ? { offsetNode: range.startContainer, offset: range.startOffset } : null;
}
