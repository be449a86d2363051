/** What the person wants written -> requests, and their texts in the tree. */

/** @import {Origin, Token, Version} from "./tree.js" */

import { complete, tokenize } from "./api.js";
import { desk } from "./desk.js";
import { get } from "./elements.js";
import { hide, speak, speakEnd, speakPart, tell } from "./messages.js";
import { probeSoon, refreshSoon } from "./seeing.js";
import { wire } from "./settings.js";
import { Suggestions } from "./suggestions.js";
import { firstAbove } from "./tree.js";
import { words } from "./words.js";
import { Writer } from "./writer.js";

const SUGGESTIONS = 3, SHORT = 12; // tokens of a suggestion
const END = /^<\|.*\|>$/; // the token that ends a text
const PART = /\ufffd|^bytes:|<[0-9A-F]{2}[ >]/; // a token that is a part of a character
const NOTHING = { text: "", tokens: [], ends: [] };

/** @type {Suggestions} */
export let suggestions;

export function beginWriting() {
  suggestions = new Suggestions(get("suggestions"), get("editor"), takeSuggestion);
}

export const newWriter = () => new Writer(desk.tree, { busy: () => desk.editor.composing, wrote });

/** A part of a text was written. The cursor goes along if it was where it came. */
function wrote(/** @type {string} */ text, /** @type {number} */ end) {
  const { editor } = desk, before = end - text.length, { selection } = editor;
  if (selection.start === before && selection.end === before) editor.select(end);
  if (editor.shows(before)) editor.reveal(end);
  speakPart(text);
}

/** Replaces a stretch by kept text and what the model writes after it; see Writer.write. */
export async function write(/** @type {any} */ start, /** @type {Origin} */ origin, /** @type {any} */ prompt = origin.prompt) {
  const { writer, tree } = desk;
  desk.asking?.abort();
  suggestions.close();
  hide();
  get("figures").textContent = "";
  speak(words.writes);
  const going = writer.write(start, origin, prompt, desk.limits);
  refreshSoon();
  try {
    const { finish, tokens, seconds } = await going;
    const said = finish === "stop" ? words.ended : finish ? words.done : words.stopped;
    speakEnd(said);
    get("figures").textContent = [finish === "length" ? "" : said, words.seedIs(origin.seed, origin.sample),
      words.figures(tokens, Math.round(tokens / Math.max(seconds, 0.001)))].filter(Boolean).join(" · ");
  } catch (error) {
    const retry = () => (tree.current.origin === origin ? again(origin.sample) : write(start, origin, prompt));
    tell(error, retry, () => {
      desk.onlyEnd = true;
      retry();
    });
  }
  if (writer === desk.writer) probeSoon();
}

export function continueHere() {
  if (desk.writer.writing) return stop();
  const { prompt, at, cut } = desk.before(desk.editor.selection.end);
  return write({ at, cut, ...NOTHING }, desk.origin(prompt));
}

export function stop() {
  desk.asking?.abort();
  if (!desk.writer.writing) return;
  desk.writer.stop();
  probeSoon();
}

/** Another text in the place of the last one: the next sample, or one of that number. */
export function again(/** @type {number|undefined} */ wanted = undefined) {
  stop();
  const last = desk.tree.written();
  if (!last?.origin || !last.parent) return continueHere();
  const { prompt, kept = 0 } = last.origin, { seed } = desk.form, count = firstAbove(last.ends, kept);
  const samples = last.parent.children.flatMap(({ origin: one }) =>
    (one && one.prompt === prompt && one.seed === seed ? [one.sample] : []));
  const start = { from: last.parent, at: last.at, cut: last.cut, text: last.text.slice(0, kept),
    tokens: last.tokens.slice(0, count), ends: last.ends.slice(0, count) };
  return write(start, { ...desk.origin(prompt, wanted ?? Math.max(-1, ...samples) + 1), kept });
}

/** A token that the person chose, in the place of one that is there or else at the cursor. */
export async function choose(/** @type {Token["top"][0]} */ choice, /** @type {{start: number}|null} */ place) {
  stop();
  const { tree, editor } = desk, here = desk.before(editor.selection.end);
  const fork = place ? tree.fork(place.start) : { from: tree.current, at: here.at, cut: here.cut, ...NOTHING };
  const prefix = tree.text.slice(0, place ? place.start : here.at), isPart = PART.test(choice.text);
  const added = isPart || END.test(choice.text) ? "" : choice.text, text = fork.text + added;
  const start = { ...fork, text, tokens: [...fork.tokens, asToken(choice, place)], ends: [...fork.ends, text.length] };
  get("editor").focus({ preventScroll: true });
  if (END.test(choice.text) || !get("go-on").checked) {
    tree.edit(start.at, start.cut, text, "model", { tokens: start.tokens, ends: start.ends }, start.from);
    editor.select(start.at + text.length);
    return probeSoon();
  }
  try {
    const prompt = isPart && choice.id !== null ? [...await tokenize(desk.model, prefix), choice.id] : prefix + added;
    const going = write(start, { ...desk.origin(prefix + added), kept: text.length }, prompt);
    editor.select(start.at + text.length);
    await going;
  } catch (error) {
    tell(error, () => choose(choice, place));
  }
}

/** @returns {Token} */
function asToken(/** @type {Token["top"][0]} */ choice, /** @type {{start: number}|null} */ place) {
  const old = place && desk.tokenAt(place.start)?.token, top = old?.top ?? desk.next?.top.slice(0, 10) ?? [];
  const rank = top.findIndex(({ id, text }) => (id === null ? text === choice.text : id === choice.id)) + 1;
  return { ...choice, top, rank: rank || (old?.rank ?? 0) };
}

/** Short continuations in a list at the cursor. */
export async function suggest() {
  if (desk.writer.writing) return;
  const signal = desk.ask(), { editor, form, model } = desk, { prompt } = desk.before(editor.selection.end);
  try {
    const list = await complete({ ...wire(form.settings), ...desk.limits, model, prompt, n: SUGGESTIONS,
      max_tokens: SHORT, seed: form.seed, logprobs: 10, return_token_ids: true }, signal);
    if (signal.aborted) return;
    suggestions.show(list.map((/** @type {any} */ one, /** @type {number} */ sample) => ({ ...one, sample })),
      editor.rectangle(editor.selection.end));
    speak(list.map((/** @type {any} */ { text }) => text.trim()).join(" / "));
  } catch (error) {
    const shorten = () => {
      desk.onlyEnd = true;
      suggest();
    };
    if (!signal.aborted) tell(error, suggest, shorten);
  }
}

/** The first characters of a suggestion; what is left of it is offered again. */
function takeSuggestion(/** @type {import("./suggestions.js").Suggestion} */ one, /** @type {number} */ taken) {
  const { editor, form, tree } = desk, here = desk.before(editor.selection.end);
  const { at, cut } = one.rest ? { at: editor.selection.end, cut: 0 } : here;
  const origin = one.rest ? null
    : { ...desk.origin(here.prompt, one.sample), settings: { ...form.settings, length: SHORT } };
  const count = firstAbove(one.ends, taken);
  tree.edit(at, cut, one.text.slice(0, taken), "model",
    { origin, tokens: one.tokens.slice(0, count), ends: one.ends.slice(0, count) });
  editor.select(at + taken);
  editor.reveal(at + taken);
  if (taken < one.text.length) suggestions.goOn(one, taken, editor.rectangle(at + taken));
}

// Back and forth.

/** @param {() => unknown} move of the tree */
export function travel(move) {
  stop();
  if (move() === false) return speak(words.nothingMore);
  const { tree, editor } = desk, end = Math.min(tree.text.length, tree.current.at + tree.current.text.length);
  editor.select(end); // where the change was
  editor.reveal(end);
  const { place, count } = tree.among();
  speak(`${place + 1}/${count} ${tree.branch().text.slice(0, 200)}`);
  probeSoon();
}

export const undo = () => travel(() => desk.tree.undo());
export const redo = () => travel(() => desk.tree.redo());
export const sibling = (/** @type {number} */ step) => travel(() => desk.tree.sibling(step));
export const goTo = (/** @type {Version} */ version) => travel(() => desk.tree.go(version));
