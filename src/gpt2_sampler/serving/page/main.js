/** The page: its parts put together, and which of them answers to which key and click. */

/** @import {Edit} from "./tree.js" */

import { models } from "./api.js";
import { Branches } from "./branches.js";
import { desk } from "./desk.js";
import { Editor } from "./editor.js";
import { get, make } from "./elements.js";
import { Form } from "./form.js";
import { copy, obeyFragment, openFile, openLast, openNew, openShare, openTexts, saveText, saveTree, store, warn,
  wouldLose, writeAsked } from "./keeping.js";
import { legend, paintSheet } from "./look.js";
import { hide, tell } from "./messages.js";
import { beginSeeing, openChoices, paint, paintAgain, paintMine, point, probeSoon, refreshSoon } from "./seeing.js";
import { translate, words } from "./words.js";
import { again, beginWriting, choose, continueHere, goTo, newWriter, redo, sibling, stop, suggest, suggestions, undo } from "./writing.js";

translate(document);
document.adoptedStyleSheets = [paintSheet()];
get("editor").dataset.placeholder = words.placeholder;
get("keys").append(...words.keys.flatMap(([keys, work]) =>
  [make("dt", {}, make("kbd", { textContent: keys })), make("dd", { textContent: work })]));
if (matchMedia("(max-width: 56rem)").matches) get("choices").open = get("settings").open = false;
legend(get("legend"), get("paint").value);

beginSeeing(choose);
beginWriting();
desk.editor = new Editor(get("editor"), get("sheet"), {
  edit: (at, cut, text) => {
    hide();
    desk.tree.type(at, cut, text);
  },
  undo, redo, paint,
});
desk.form = new Form(get("form"), probeSoon);
desk.tree.changed = (/** @type {Edit} */ edit) => {
  desk.editor.replace(edit.at, edit.cut, edit.text);
  desk.writer.changed(edit);
  desk.forget(edit.at);
  suggestions.close();
  store.keep(desk.id, desk.tree);
  probeSoon();
};
desk.writer = newWriter();
const branches = new Branches(get("tree"), get("preview"), (version) => {
  get("branches").close();
  goTo(version);
});

async function findModels() {
  try {
    const found = await models();
    get("model").replaceChildren(...found.map(({ id }) => new Option(id, id)));
    get("model").onchange = () => {
      desk.window = found.find(({ id }) => id === desk.model)?.window ?? Infinity;
      desk.next = null;
      probeSoon();
    };
    get("model").onchange();
  } catch (error) {
    tell(error, findModels);
  }
}

// What the person does.

const CLICKS = {
  continue: continueHere, again: () => again(), undo, redo, previous: () => sibling(-1), next: () => sibling(1),
  suggest: () => {
    desk.editor.focus();
    suggest();
  },
  read: paintMine, "open-texts": openTexts, "open-share": openShare, "open-help": () => get("help").showModal(),
  "open-branches": () => {
    get("branches").showModal();
    branches.show(desk.tree);
    get("tree").focus();
  },
  jump: () => branches.jump(branches.selected), "save-text": saveText, "save-tree": saveTree,
  new: () => {
    get("texts").close();
    openNew();
    desk.editor.focus();
  },
  import: () => get("file").click(),
};
for (const [id, work] of Object.entries(CLICKS)) get(id).addEventListener("click", work);
get("file").addEventListener("change", openFile);
get("paint").addEventListener("change", paintAgain);
get("choices").addEventListener("toggle", probeSoon);
get("message").querySelector(".close").addEventListener("click", hide);
for (const button of document.querySelectorAll("dialog .close"))
  button.addEventListener("click", () => button.closest("dialog")?.close());
for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-copies]")))
  button.addEventListener("click", () => copy(button));

/** @type {Record<string, () => void>} */
const KEYS = {
  "Ctrl+Enter": continueHere, "Ctrl+Shift+Enter": () => again(), "Alt+Enter": openChoices,
  "Alt+ArrowLeft": () => sibling(-1), "Alt+ArrowRight": () => sibling(1),
  "Alt+ArrowUp": () => sibling(-1), "Alt+ArrowDown": () => sibling(1),
  "Ctrl+z": undo, "Ctrl+Shift+z": redo, "Ctrl+y": redo,
  Escape: () => {
    stop();
    desk.editor.focus();
  },
};

function nameOf(/** @type {KeyboardEvent} */ { key, ctrlKey, metaKey, altKey, shiftKey }) {
  const held = [(ctrlKey || metaKey) && "Ctrl", altKey && "Alt", shiftKey && "Shift"];
  return [...held, key.length === 1 ? key.toLowerCase() : key].filter(Boolean).join("+");
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const name = nameOf(event), target = /** @type {HTMLElement} */ (event.target);
  if (!(name in KEYS) || (/[zy]$/.test(name) && target.matches("input, textarea"))) return;
  event.preventDefault();
  KEYS[name]();
});

let leaving = false; // whether Tab leaves the text

get("editor").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.isComposing || event.keyCode === 229) return; // an input method has it
  const name = nameOf(event);
  if (suggestions.press(event)) event.preventDefault();
  else if (name === "Tab" && !leaving) {
    event.preventDefault();
    suggest();
  } else if (name !== "Shift+Shift") leaving = name === "Escape" || (leaving && /Tab$/.test(name));
});
get("editor").addEventListener("blur", () => {
  leaving = false;
  suggestions.close();
});

get("choices").querySelector("table").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  const step = /** @type {Record<string, number>} */ ({ ArrowDown: 1, ArrowUp: -1 })[nameOf(event)];
  if (!step) return;
  event.preventDefault();
  const buttons = [...get("choices").querySelectorAll("table button")];
  buttons.at((buttons.indexOf(document.activeElement) + step) % buttons.length)?.focus();
});

document.addEventListener("selectionchange", () => {
  if (document.activeElement === get("editor")) probeSoon();
});
get("editor").addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
  if (event.pointerType !== "touch") point(event.clientX, event.clientY);
});
get("editor").addEventListener("pointerup", (/** @type {PointerEvent} */ { pointerType, clientX, clientY }) => {
  const place = pointerType === "touch" ? desk.editor.placeAt(clientX, clientY) : null;
  if (place !== null && desk.tokenAt(place)) get("choices").open = true;
});
get("sheet").addEventListener("click", (/** @type {MouseEvent} */ event) => {
  if (event.target === get("sheet")) desk.editor.focus();
});

addEventListener("pagehide", () => store.leave(desk.id, desk.tree));
addEventListener("visibilitychange", () => document.hidden && store.flush(desk.id, desk.tree));
addEventListener("beforeunload", (event) => wouldLose() && event.preventDefault());
addEventListener("hashchange", () => {
  const asked = obeyFragment();
  if (asked) writeAsked(asked);
});

// The beginning.

const asked = obeyFragment();
await Promise.all([findModels(), store.open().catch(warn)]);
if (asked) await writeAsked(asked);
else await openLast();
refreshSoon();
document.documentElement.dataset.ready = "yes";
