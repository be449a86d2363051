/** Texts -> what is kept of them, and what leaves the page: files, links, command lines. */

/** @import {Origin} from "./tree.js" */

import { commandOf, fragmentOf, readFragment } from "./again.js";
import { setKey } from "./api.js";
import { desk } from "./desk.js";
import { get, make } from "./elements.js";
import { show } from "./messages.js";
import { probeSoon } from "./seeing.js";
import { settingsOf } from "./settings.js";
import { Store } from "./store.js";
import { newId, plain, restored, Tree } from "./tree.js";
import { words } from "./words.js";
import { newWriter, stop, write } from "./writing.js";

const KEY = "gpt2-sampler key";

export const store = new Store((kept) => {
  if (!kept) warn();
});

let lossy = false; // whether something is not kept

export function warn() {
  lossy = true;
  show(words.unsaved, words.share, openShare);
}

/** Whether closing the page would lose something. */
export const wouldLose = () => lossy && desk.tree.text !== "";

/** Puts another text on the page; the one that was there is kept. */
export function open(/** @type {string} */ id, /** @type {Tree} */ tree) {
  stop();
  store.flush(desk.id, desk.tree);
  const { changed } = desk.tree, { editor } = desk;
  desk.lay(id, tree);
  tree.changed = changed;
  desk.writer = newWriter();
  editor.replace(0, editor.text.length, tree.text);
  editor.repaint();
  editor.select(tree.text.length);
  get("figures").textContent = "";
  probeSoon();
}

export const openNew = () => open(newId(), new Tree());

export async function openLast() {
  const [last] = await store.list();
  if (last && !desk.tree.text) open(last.id, await store.load(last));
}

export async function openTexts() {
  await store.flush(desk.id, desk.tree);
  const rows = (await store.list()).map(rowOf);
  get("list").replaceChildren(...(rows.length ? rows : [make("li", { textContent: words.noTexts })]));
  get("texts").showModal();
}

function rowOf(/** @type {any} */ row) {
  const title = String(row.title ?? "") || words.untitled;
  const opener = make("button", { type: "button" }, make("bdi", { textContent: title }),
    ` ${new Date(Number(row.time) || 0).toLocaleString()}`);
  opener.addEventListener("click", async () => {
    get("texts").close();
    open(row.id, await store.load(row));
  });
  const remover = make("button", { type: "button", textContent: words.remove, disabled: row.id === desk.id,
    ariaLabel: `${words.remove}: ${title}` });
  const item = make("li", {}, opener, remover);
  remover.addEventListener("click", async () => {
    await store.remove(row.id);
    item.remove();
  });
  return item;
}

/** A file that the person chose: a tree that was saved here, or a text. */
export async function openFile() {
  const [file] = get("file").files;
  get("file").value = "";
  if (!file) return;
  get("texts").close();
  const text = await file.text();
  try {
    const { versions, current } = JSON.parse(text);
    open(newId(), restored(versions, current));
    for (const version of desk.tree.versions.values()) if (version.parent) desk.tree.unsaved.add(version);
  } catch {
    if (/\.json$/i.test(file.name)) return show(words.noFile);
    openNew();
    desk.tree.edit(0, 0, text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n"), "person");
  }
  store.keep(desk.id, desk.tree);
}

export function openShare() {
  const { tree } = desk, found = tree.written()?.origin ?? desk.origin(desk.before(tree.text.length).prompt);
  const made = { ...found, settings: settingsOf(found.settings) };
  get("seeded").textContent = words.seeded(made.seed, made.sample, made.model);
  get("link").value = `${location.origin}${location.pathname}#${fragmentOf(made)}`;
  get("command").value = commandOf(made);
  get("share").showModal();
}

export async function copy(/** @type {HTMLElement} */ button) {
  const field = get(button.dataset.copies ?? "");
  field.select();
  await navigator.clipboard.writeText(field.value).catch(() => document.execCommand("copy"));
  button.textContent = words.copied;
  setTimeout(() => { button.textContent = words.copy; }, 1500);
}

function save(/** @type {string} */ name, /** @type {string} */ kind, /** @type {string} */ content) {
  const href = URL.createObjectURL(new Blob([content], { type: `${kind};charset=utf-8` }));
  make("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

export const saveText = () => save("text.txt", "text/plain", desk.tree.text);

export function saveTree() {
  const { tree } = desk, versions = [...tree.versions.values()].filter(({ parent }) => parent).map(plain);
  const content = { made_by: "gpt2-sampler", text: tree.text, current: tree.current.id, versions };
  save("text.json", "application/json", JSON.stringify(content, null, 1));
}

/** What the address asks for; nothing of it stays there. */
export function obeyFragment() {
  const { key, origin } = readFragment(location.hash);
  if (key) sessionStorage.setItem(KEY, key);
  setKey(sessionStorage.getItem(KEY) ?? "");
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  return origin;
}

/** Writes the text of a link, beside those that are here. */
export async function writeAsked(/** @type {Origin} */ { prompt, seed, sample, model, settings }) {
  openNew();
  const { form, tree, editor } = desk;
  form.settings = /** @type {any} */ (settings);
  form.seed = seed;
  const known = [...get("model").options].some(({ value }) => value === model);
  if (known) get("model").value = model;
  const text = prompt?.replace(/\r\n?/g, "\n") ?? "";
  if (text) tree.edit(0, 0, text, "person");
  editor.select(text.length);
  await write({ at: text.length, cut: 0, text: "", tokens: [], ends: [] },
    { ...desk.origin(text || null, sample), settings });
  if (model && !known) show(words.otherModel(model, desk.model));
}
