/**
 * The page: its parts, put together. What is done, when, and what is said about it.
 *
 * @import {Edit, Origin, Token, Version} from "./tree.js"
 */

import { commandOf, fragmentOf, readFragment } from "./again.js";
import { complete, models, ServerError, setKey, tokenize } from "./api.js";
import { Branches } from "./branches.js";
import { Choices } from "./choices.js";
import { Editor } from "./editor.js";
import { Form } from "./form.js";
import { legend, paintName, paintSheet } from "./look.js";
import { readText } from "./reading.js";
import { settingsOf, wire } from "./settings.js";
import { Store } from "./store.js";
import { Suggestions } from "./suggestions.js";
import { firstAbove, newId, plain, restored, Tree } from "./tree.js";
import { translate, words } from "./words.js";
import { Writer } from "./writer.js";

const SUGGESTIONS = 3, SHORT = 12; // tokens of a suggestion
const CALM = 400; // milliseconds without a change, after which the next token is asked for
const NEXT = 50; // tokens of which the next one's distribution is known
const PER_TOKEN = 8; // characters, more than a token has on average

const get = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

translate(document);
document.adoptedStyleSheets = [paintSheet()];

// What there is.

let textId = newId();
let tree = new Tree(changed);
let writer = newWriter();
let window_ = Infinity; // tokens that the model reads
let onlyEnd = false; // whether the person wants a text that is too long to go on from its end
/** @type {{tokens: Token[], ends: number[]}} of the text as far as nothing in it was changed since */
let reading = { tokens: [], ends: [] };
/** @type {{prompt: string, settings: string, top: Token["top"]}|null} */
let next = null;
/** @type {AbortController|null} */
let asking = null;
let leaving = false; // whether Tab leaves the text
let pointed = false; // whether the pointer is on a token
let unspoken = ""; // what was written since the last whole sentence
let timer = 0, frame = 0;

const editor = new Editor(get("editor"), get("sheet"), {
  edit: (at, cut, text) => {
    hideMessage();
    tree.type(at, cut, text);
  },
  undo, redo, paint,
});
const form = new Form(get("form"), () => refreshSoon(true));
const choices = new Choices(get("choices"), choose);
const suggestions = new Suggestions(get("suggestions"), get("editor"), takeSuggestion);
const branches = new Branches(get("tree"), get("preview"), (version) => {
  get("branches").close();
  goTo(version);
});
const store = new Store((kept) => {
  if (!kept) show(words.unsaved, words.share, openShare);
});

function newWriter() {
  return new Writer(tree, { busy: () => editor.composing, wrote });
}

// The text changes.

function changed(/** @type {Edit} */ edit) {
  editor.replace(edit.at, edit.cut, edit.text);
  writer.changed(edit);
  suggestions.close();
  asking?.abort();
  const valid = firstAbove(reading.ends, edit.at);
  if (valid < reading.ends.length) reading = { tokens: reading.tokens.slice(0, valid), ends: reading.ends.slice(0, valid) };
  store.keep(textId, tree);
  refreshSoon();
}

function wrote(/** @type {string} */ text, /** @type {number} */ end) {
  const before = end - text.length, { selection } = editor;
  if (selection.start === before && selection.end === before) editor.select(end);
  if (editor.shows(before)) editor.reveal(end);
  unspoken += text;
  const sentences = unspoken.match(/^[\s\S]*[.!?。！？\n]["”’)]*(?=\s|$|[^\x00-\x7f])/);
  if (sentences) {
    speak(sentences[0].trim());
    unspoken = unspoken.slice(sentences[0].length);
  }
}

function speak(/** @type {string} */ text) {
  get("spoken").textContent = text;
}

function show(/** @type {string} */ text, label = "", /** @type {() => void} */ action = () => {}) {
  const [said, button] = get("message").children;
  said.textContent = text;
  button.hidden = !label;
  button.textContent = label;
  button.onclick = () => {
    hideMessage();
    action();
  };
  get("message").hidden = false;
}

function hideMessage() {
  get("message").hidden = true;
}

/** What went wrong, in one line, and what helps. */
function tell(/** @type {any} */ error, /** @type {() => void} */ retry) {
  if (error?.name === "AbortError") return;
  if (!(error instanceof ServerError)) throw error;
  const { kind, wait, message } = error;
  if (kind === "window") show(`${words.window} ${message}`, words.onlyEnd, () => { onlyEnd = true; retry(); });
  else if (kind === "busy") show(words.busy(wait), words.tryAgain, retry);
  else if (kind === "other") show(words.other(message), words.tryAgain, retry);
  else show(words[kind], kind === "gone" ? words.tryAgain : "", retry);
}

/** Shows what depends on the text, the cursor or the settings. */
function refreshSoon(settingsToo = false) {
  if (settingsToo) probeSoon();
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    refresh();
  });
}

function refresh() {
  get("continue").textContent = writer.writing ? words.stop : words.continue;
  get("continue").title = writer.writing ? "Esc" : "Ctrl+Enter";
  get("undo").disabled = !tree.past.length && !tree.current.parent;
  get("redo").disabled = !tree.future.length && !tree.current.children.length;
  const branch = tree.branch(), all = branch.parent?.children ?? [branch];
  get("place-among").textContent = `${all.indexOf(branch) + 1}/${all.length}`;
  get("previous").disabled = all[0] === branch;
  get("next").disabled = all.at(-1) === branch;
  if (!pointed && !writer.writing) showPlace();
}

// What the model writes.

const model = () => get("model").value;
const cutOff = () => (onlyEnd ? { truncate_prompt_tokens: -1 } : {});

/** What goes to the model from a place on. A space before it is left to the model, whose words begin
 * with their own. */
function before(/** @type {number} */ place) {
  const text = tree.text.slice(0, place), spaces = /\S $/.test(text) ? 1 : 0;
  return { prompt: text.slice(0, text.length - spaces) || null, at: place - spaces, cut: spaces };
}

/** @returns {Origin} */
const origin = (/** @type {string|null} */ prompt, sample = 0) =>
  ({ prompt, seed: form.seed, sample, model: model(), settings: form.settings });

async function write(/** @type {any} */ start, /** @type {Origin} */ from, /** @type {number[]|string|null} */ prompt = from.prompt) {
  asking?.abort();
  suggestions.close();
  hideMessage();
  unspoken = "";
  speak(words.writes);
  const mine = writer;
  const going = mine.write(start, from, prompt, cutOff());
  refreshSoon();
  try {
    const { finish, tokens, seconds } = await going;
    const said = finish === "stop" ? words.ended : finish ? words.done : words.stopped;
    speak(`${unspoken} ${said}`.trim());
    get("figures").textContent = [finish === "length" ? "" : said, words.seedIs(from.seed, from.sample),
      words.figures(tokens, Math.round(tokens / Math.max(seconds, 0.001)))].filter(Boolean).join(" · ");
  } catch (error) {
    tell(error, () => (tree.current.origin === from ? again(from.sample) : write(start, from, prompt)));
  }
  if (mine === writer) refreshSoon(true);
}

function continueHere() {
  if (writer.writing) return stop();
  const { prompt, at, cut } = before(editor.selection.end);
  write({ at, cut, text: "", tokens: [], ends: [] }, origin(prompt));
}

function stop() {
  asking?.abort();
  if (!writer.writing) return;
  writer.stop();
  refreshSoon(true);
}

/** Another text in the place of the last one: the next sample, or one of that number. */
function again(/** @type {number} */ wanted = -1) {
  stop();
  const last = tree.written();
  if (!last?.origin || !last.parent) return continueHere();
  const { prompt, kept = 0 } = last.origin, { from, at, cut, text, tokens, ends } = startOf(last, kept);
  const same = from.children.filter(({ origin: one }) => one && one.prompt === prompt && one.seed === form.seed);
  const sample = wanted >= 0 ? wanted : Math.max(-1, ...same.map(({ origin: one }) => one?.sample ?? 0)) + 1;
  write({ from, at, cut, text, tokens, ends }, { ...origin(prompt, sample), kept });
}

/** A version as the beginning of another that shares its first characters. */
function startOf(/** @type {Version} */ version, /** @type {number} */ kept) {
  const count = firstAbove(version.ends, kept);
  return { from: /** @type {Version} */ (version.parent), at: version.at, cut: version.cut,
    text: version.text.slice(0, kept), tokens: version.tokens.slice(0, count), ends: version.ends.slice(0, count) };
}

/** A token chosen by the person, in the place of one that is there or at the cursor. */
async function choose(/** @type {Token["top"][0]} */ choice, /** @type {{start: number}|null} */ place) {
  stop();
  const here = before(editor.selection.end);
  const fork = place ? tree.fork(place.start)
    : { from: tree.current, at: here.at, cut: here.cut, text: "", tokens: [], ends: [] };
  const isEnd = /^<\|.*\|>$/.test(choice.text);
  const isPart = /\ufffd|^bytes:|<[0-9A-F]{2}[ >]/.test(choice.text); // of a character
  const added = isEnd || isPart ? "" : choice.text;
  const text = fork.text + added;
  const token = { ...choice, rank: 0, top: /** @type {Token["top"]} */ ([]) };
  const old = place ? tree.tokenAt(place.start)?.token : null;
  token.top = old?.top ?? next?.top.slice(0, 10) ?? [];
  token.rank = token.top.findIndex(({ id, text: one }) => (id === null ? one === choice.text : id === choice.id)) + 1
    || (old?.rank ?? 0);
  const start = { ...fork, text, tokens: [...fork.tokens, token], ends: [...fork.ends, text.length] };
  const prefix = tree.text.slice(0, place ? place.start : here.at);
  get("editor").focus({ preventScroll: true });
  editor.select(fork.at + text.length);
  if (isEnd || !get("go-on").checked) {
    tree.edit(start.at, start.cut, text, "model", { tokens: start.tokens, ends: start.ends }, start.from);
    editor.select(start.at + text.length);
    return probeSoon();
  }
  try {
    const prompt = isPart && choice.id !== null ? [...await tokenize(model(), prefix), choice.id] : prefix + added;
    const going = write(start, { ...origin(prefix + added), kept: text.length }, prompt);
    editor.select(start.at + text.length);
    await going;
  } catch (error) {
    tell(error, () => choose(choice, place));
  }
}

async function suggest() {
  if (writer.writing) return;
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking, { prompt } = before(editor.selection.end);
  try {
    const list = await complete({ ...wire(form.settings), ...cutOff(), model: model(), prompt,
      n: SUGGESTIONS, max_tokens: SHORT, seed: form.seed, logprobs: 10, return_token_ids: true }, signal);
    if (signal.aborted) return;
    suggestions.show(list.map((/** @type {any} */ one, /** @type {number} */ sample) => ({ ...one, sample })), editor.rectangle(editor.selection.end));
    speak(list.map((/** @type {any} */ { text }) => text.trim()).join(" / "));
  } catch (error) {
    if (!signal.aborted) tell(error, suggest);
  }
}

function takeSuggestion(/** @type {any} */ one, /** @type {number} */ taken) {
  const place = before(editor.selection.end), text = one.text.slice(0, taken);
  const { at, cut } = one.rest ? { at: editor.selection.end, cut: 0 } : place;
  const count = firstAbove(one.ends, taken);
  const made = one.rest ? null : { ...origin(place.prompt, one.sample ?? 0), settings: { ...form.settings, length: SHORT } };
  tree.edit(at, cut, text, "model", { origin: made, tokens: one.tokens.slice(0, count), ends: one.ends.slice(0, count) });
  editor.select(at + text.length);
  editor.reveal(at + text.length);
  if (taken < one.text.length) suggestions.goOn(one, taken, editor.rectangle(at + text.length));
}

// Back and forth.

function undo() {
  stop();
  tree.undo();
  follow();
}

function redo() {
  stop();
  tree.redo();
  follow();
}

function goTo(/** @type {Version} */ version) {
  stop();
  tree.go(version);
  follow();
}

function sibling(/** @type {number} */ step) {
  stop();
  if (!tree.sibling(step)) return speak(words.nothingMore);
  follow();
  speak(`${get("place-among").textContent} ${tree.branch().text.slice(0, 200)}`);
}

/** The cursor goes where the change was. */
function follow() {
  const end = Math.min(tree.text.length, tree.current.at + tree.current.text.length);
  editor.select(end);
  editor.reveal(end);
  refresh();
  probeSoon();
}

// What could have been.

/** The token of the model's, or of the person's as far as it was read. */
function tokenAt(/** @type {number} */ place) {
  const own = tree.tokenAt(place);
  if (own) return own;
  const n = firstAbove(reading.ends, place), token = reading.tokens[n];
  if (!token?.rank) return null;
  return { start: n ? reading.ends[n - 1] : 0, end: reading.ends[n], by: "person", token };
}

function* paint(/** @type {number} */ start, /** @type {number} */ end) {
  const kind = get("paint").value;
  for (const { start: from, end: to, by, token } of tree.parts(start, end)) {
    if (!token && by === "model") yield { start: from, end: to, name: "model" };
    if (token?.rank && kind !== "author") yield { start: from, end: to, name: paintName(kind, by, token) };
    if (token || by === "model" || kind === "author") continue;
    for (let n = firstAbove(reading.ends, Math.max(from, start)); n < reading.ends.length; n++) {
      const first = n ? reading.ends[n - 1] : 0;
      if (first >= Math.min(to, end)) break;
      if (reading.tokens[n].rank)
        yield { start: Math.max(first, from), end: Math.min(reading.ends[n], to), name: paintName(kind, by, reading.tokens[n]) };
    }
  }
}

/** Of the token at the cursor or, where there is none, of the next one. */
function showPlace() {
  const place = editor.selection.end;
  const found = tokenAt(place);
  if (found) return showFound(found);
  editor.mark(null);
  const { prompt } = before(place);
  if (next && next.prompt === prompt) {
    const settings = form.settings;
    choices.showNext(next.top, settings, next.settings === JSON.stringify(settings));
  } else choices.clear();
}

function showFound(/** @type {any} */ found) {
  editor.mark(found);
  choices.showToken(found);
}

function probeSoon() {
  clearTimeout(timer);
  timer = setTimeout(probe, CALM);
}

/** Asks for the next token's distribution at the cursor, if it is not known. */
async function probe() {
  const place = editor.selection.end, settings = form.settings;
  if (writer.writing || suggestions.open || tokenAt(place) || !get("choices").open || document.hidden) return;
  const { prompt } = before(place), key = JSON.stringify(settings);
  if (next?.prompt === prompt && next.settings === key) return;
  const long = prompt && window_ < Infinity && prompt.length > window_ * PER_TOKEN;
  const seen = long ? prompt.slice(-window_ * PER_TOKEN) : prompt;
  try {
    const [{ tokens: [token] }] = await complete({ ...wire(settings), stop: undefined, model: model(), prompt: seen, max_tokens: 1,
      logprobs: NEXT, return_token_ids: true, truncate_prompt_tokens: -1, ignore_eos: true });
    next = { prompt: /** @type {any} */ (prompt), settings: key, top: token.top };
  } catch {
    next = null; // it is said when the person asks for something
  }
  refreshSoon();
}

async function paintMine() {
  if (!tree.text) return show(words.empty);
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking, { text } = tree;
  hideMessage();
  try {
    const found = await readText(model(), window_, text, (share) => {
      get("figures").textContent = `${words.reading} ${Math.round(share * 100)}%`;
    }, signal);
    get("figures").textContent = "";
    if (signal.aborted || tree.text !== text) return;
    if (found.ends.at(-1) !== text.length) return show(words.unpainted);
    reading = found;
    if (get("paint").value === "author") get("paint").value = "rank";
    paintAgain();
  } catch (error) {
    if (!signal.aborted) tell(error, paintMine);
  }
}

function paintAgain() {
  editor.repaint();
  legend(get("legend"), get("paint").value);
  refreshSoon();
}

// Texts, kept and shared.

function open(/** @type {string} */ id, /** @type {Tree} */ found) {
  stop();
  store.flush(textId, tree);
  textId = id;
  const { text } = editor;
  tree = found;
  tree.changed = changed;
  writer = newWriter();
  reading = { tokens: [], ends: [] };
  next = null;
  onlyEnd = false;
  editor.replace(0, text.length, tree.text);
  editor.repaint();
  editor.select(tree.text.length);
  get("figures").textContent = "";
  refresh();
  probeSoon();
}

async function openTexts() {
  await store.flush(textId, tree);
  const rows = (await store.list()).map((/** @type {any} */ row) => {
    const item = document.createElement("li"), button = document.createElement("button"), remove = document.createElement("button");
    const title = document.createElement("bdi");
    title.textContent = String(row.title ?? "") || words.untitled;
    button.type = remove.type = "button";
    button.append(title, ` ${new Date(Number(row.time) || 0).toLocaleString()}`);
    button.addEventListener("click", async () => {
      get("texts").close();
      open(row.id, await store.load(row));
    });
    remove.textContent = words.remove;
    remove.ariaLabel = `${words.remove}: ${title.textContent}`;
    remove.disabled = row.id === textId;
    remove.addEventListener("click", async () => {
      await store.remove(row.id);
      item.remove();
    });
    item.append(button, remove);
    return item;
  });
  get("list").replaceChildren(...(rows.length ? rows : [words.noTexts]));
  get("texts").showModal();
}

async function openFile() {
  const [file] = get("file").files;
  get("file").value = "";
  if (!file) return;
  get("texts").close();
  const text = await file.text();
  try {
    const { versions, current } = JSON.parse(text);
    open(newId(), restored(versions, current));
    for (const version of tree.versions.values()) if (version !== tree.root) tree.unsaved.add(version);
  } catch {
    if (/\.json$/i.test(file.name)) return show(words.noFile);
    open(newId(), new Tree());
    tree.edit(0, 0, text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n"), "person");
  }
  store.keep(textId, tree);
}

function openShare() {
  const found = tree.written()?.origin ?? origin(before(tree.text.length).prompt);
  const made = { ...found, settings: settingsOf(found.settings) };
  get("seeded").textContent = words.seeded(made.seed, made.sample, made.model);
  get("link").value = `${location.origin}${location.pathname}#${fragmentOf(made)}`;
  get("command").value = commandOf(made);
  get("share").showModal();
}

function save(/** @type {string} */ name, /** @type {string} */ kind, /** @type {string} */ content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: `${kind};charset=utf-8` }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function saveTree() {
  const versions = [...tree.versions.values()].filter((one) => one !== tree.root).map(plain);
  save("text.json", "application/json",
    JSON.stringify({ made_by: "gpt2-sampler", text: tree.text, current: tree.current.id, versions }, null, 1));
}

/** What the address asks for; nothing of it stays there. */
function obeyFragment() {
  const { key, origin: asked } = readFragment(location.hash);
  if (key) sessionStorage.setItem("gpt2-sampler key", key);
  setKey(sessionStorage.getItem("gpt2-sampler key") ?? "");
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  return asked;
}

async function writeAsked(/** @type {Origin} */ asked) {
  open(newId(), new Tree());
  form.settings = /** @type {any} */ (asked.settings);
  form.seed = asked.seed;
  const known = [...get("model").options].map(({ value }) => value);
  const other = asked.model && !known.includes(asked.model);
  if (known.includes(asked.model)) get("model").value = asked.model;
  const prompt = asked.prompt?.replace(/\r\n?/g, "\n") ?? null;
  if (prompt) tree.edit(0, 0, prompt, "person");
  editor.select(tree.text.length);
  const wanted = { ...origin(prompt, asked.sample), settings: asked.settings };
  await write({ at: tree.text.length, cut: 0, text: "", tokens: [], ends: [] }, wanted);
  if (other) show(words.otherModel(asked.model, model()));
}

async function findModels() {
  try {
    const found = await models();
    get("model").replaceChildren(...found.map(({ id }) => new Option(id, id)));
    get("model").hidden = !found.length;
    get("model").onchange = () => {
      window_ = found.find(({ id }) => id === model())?.window ?? Infinity;
      next = null;
      probeSoon();
    };
    get("model").onchange();
  } catch (error) {
    tell(error, findModels);
  }
}

// What the person does.

/** @type {[string, string, () => void][]} */
const CLICKS = [
  ["continue", "click", continueHere], ["suggest", "click", () => { editor.focus(); suggest(); }], ["again", "click", () => again()],
  ["undo", "click", undo], ["redo", "click", redo], ["previous", "click", () => sibling(-1)], ["next", "click", () => sibling(1)],
  ["read", "click", paintMine], ["paint", "change", paintAgain], ["open-texts", "click", openTexts], ["open-share", "click", openShare],
  ["open-help", "click", () => get("help").showModal()], ["jump", "click", () => branches.jump(branches.selected)],
  ["open-branches", "click", () => { get("branches").showModal(); branches.show(tree); get("tree").focus(); }],
  ["new", "click", () => { get("texts").close(); open(newId(), new Tree()); editor.focus(); }],
  ["import", "click", () => get("file").click()], ["file", "change", openFile],
  ["save-text", "click", () => save("text.txt", "text/plain", tree.text)], ["save-tree", "click", saveTree],
  ["choices", "toggle", probeSoon],
];
for (const [id, event, work] of CLICKS) get(id).addEventListener(event, work);
for (const button of document.querySelectorAll("dialog .close"))
  button.addEventListener("click", () => button.closest("dialog")?.close());
get("message").querySelector(".close").addEventListener("click", hideMessage);
for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-copies]")))
  button.addEventListener("click", async () => {
    get(button.dataset.copies ?? "").select();
    await navigator.clipboard.writeText(get(button.dataset.copies ?? "").value).catch(() => document.execCommand("copy"));
    button.textContent = words.copied;
    setTimeout(() => { button.textContent = words.copy; }, 1500);
  });

get("editor").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.isComposing || event.keyCode === 229) return;
  if (suggestions.press(event)) return event.preventDefault();
  if (event.key === "Tab" && !event.shiftKey && !event.ctrlKey && !event.altKey && !leaving) {
    event.preventDefault();
    suggest();
  } else if (event.key === "Escape") leaving = true;
  else if (event.key !== "Tab" && event.key !== "Shift") leaving = false;
});
get("editor").addEventListener("blur", () => {
  leaving = false;
  suggestions.close();
});

document.addEventListener("keydown", (event) => {
  if (event.isComposing || document.querySelector("dialog[open]")) return;
  const control = event.ctrlKey || event.metaKey, inField = /** @type {HTMLElement} */ (event.target).matches("input, textarea, select");
  const key = [control && "Ctrl", event.altKey && "Alt", event.shiftKey && "Shift", event.key.length === 1 ? event.key.toLowerCase() : event.key]
    .filter(Boolean).join("+");
  const works = /** @type {Record<string, () => void>} */ ({
    "Ctrl+Enter": continueHere, "Ctrl+Shift+Enter": () => again(), Escape: () => {
      stop();
      if (!get("editor").contains(document.activeElement)) editor.focus();
    },
    "Alt+ArrowLeft": () => sibling(-1), "Alt+ArrowRight": () => sibling(1), "Alt+ArrowUp": () => sibling(-1), "Alt+ArrowDown": () => sibling(1),
    "Alt+Enter": () => {
      get("choices").open = true;
      choices.first?.focus();
    },
    ...(inField ? {} : { "Ctrl+z": undo, "Ctrl+Shift+z": redo, "Ctrl+y": redo }),
  });
  if (!(key in works)) return;
  event.preventDefault();
  works[key]();
});

get("choices").querySelector("table").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  const buttons = [...get("choices").querySelectorAll("table button")], at = buttons.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || event.altKey) return;
  event.preventDefault();
  buttons[(at + step + buttons.length) % buttons.length]?.focus();
});

document.addEventListener("selectionchange", () => {
  if (document.activeElement !== get("editor")) return;
  const { end } = editor.selection;
  if (end === tree.text.length || !tokenAt(end)) probeSoon();
  refreshSoon();
});

get("editor").addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
  if (event.pointerType === "touch") return;
  const place = editor.placeAt(event.clientX, event.clientY), found = place === null ? null : tokenAt(place);
  pointed = Boolean(found);
  if (found) showFound(found);
  else refreshSoon();
});
get("sheet").addEventListener("click", (/** @type {MouseEvent} */ event) => {
  if (event.target === get("sheet")) editor.focus();
});

addEventListener("pagehide", () => store.leave(textId, tree));
addEventListener("visibilitychange", () => document.hidden && store.flush(textId, tree));
addEventListener("beforeunload", (event) => {
  if (tree.unsaved.size && !get("message").hidden && get("message").firstChild.textContent === words.unsaved) event.preventDefault();
});
addEventListener("hashchange", () => {
  const asked = obeyFragment();
  if (asked) findModels().then(() => writeAsked(asked));
});

// The beginning.

get("editor").dataset.placeholder = words.placeholder;
get("keys").replaceChildren(...words.keys.flatMap(([keys, work]) => {
  const term = document.createElement("dt"), told = document.createElement("dd"), kbd = document.createElement("kbd");
  kbd.textContent = keys;
  term.append(kbd);
  told.textContent = work;
  return [term, told];
}));
if (matchMedia("(max-width: 56rem)").matches) get("choices").open = get("settings").open = false;
legend(get("legend"), get("paint").value);
choices.clear();
const asked = obeyFragment();
const kept = store.open().then(() => store.list()).catch(() => {
  show(words.unsaved, words.share, openShare);
  return [];
});
await findModels();
const [last] = await kept;
if (asked) await writeAsked(asked);
else if (last && !tree.text) open(last.id, await store.load(last));
refresh();
probeSoon();
document.documentElement.dataset.ready = "yes";
