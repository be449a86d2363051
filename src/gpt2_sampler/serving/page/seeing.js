/** The text, the cursor and the pointer -> what the page shows of tokens, choices and buttons. */

import { complete } from "./api.js";
import { Choices } from "./choices.js";
import { desk } from "./desk.js";
import { get } from "./elements.js";
import { legend, paintName } from "./look.js";
import { hide, show, tell } from "./messages.js";
import { readText } from "./reading.js";
import { wire } from "./settings.js";
import { words } from "./words.js";

const CALM = 400; // milliseconds without a change, after which the next token is asked for
const NEXT = 50; // tokens of which the next one's distribution is known
const PER_TOKEN = 8; // characters, more than a token has on average

/** @type {Choices} */
let choices;
let pointed = false; // whether the pointer is on a token
let timer = 0, frame = 0;

export function beginSeeing(/** @type {(choice: any, place: any) => void} */ choose) {
  choices = new Choices(get("choices"), choose);
  choices.clear();
}

/** Shows what depends on the text, the cursor or the settings. */
export function refreshSoon() {
  frame ||= requestAnimationFrame(refresh);
}

function refresh() {
  frame = 0;
  const { tree, writer } = desk;
  get("continue").textContent = writer.writing ? words.stop : words.continue;
  get("continue").title = writer.writing ? "Esc" : "Ctrl+Enter";
  get("undo").disabled = !tree.canUndo;
  get("redo").disabled = !tree.canRedo;
  const { place, count } = tree.among();
  get("place-among").textContent = `${place + 1}/${count}`;
  get("previous").disabled = !place;
  get("next").disabled = place + 1 === count;
  if (!pointed && !writer.writing) showPlace();
}

/** The colours of a stretch of the text. */
export function* paint(/** @type {number} */ start, /** @type {number} */ end) {
  const kind = get("paint").value;
  for (const { start: from, end: to, by, token } of desk.tree.parts(start, end)) {
    if (token) {
      if (token.rank && kind !== "author") yield { start: from, end: to, name: paintName(kind, by, token) };
    } else if (by === "model") yield { start: from, end: to, name: "model" };
    else if (kind !== "author") for (const one of desk.read(Math.max(from, start), Math.min(to, end)))
      yield { start: one.start, end: one.end, name: paintName(kind, by, one.token) };
  }
}

export function paintAgain() {
  desk.editor.repaint();
  legend(get("legend"), get("paint").value);
  refreshSoon();
}

/** Of the token at the cursor or, where there is none, of the next one. */
function showPlace() {
  const place = desk.editor.selection.end, found = desk.tokenAt(place), { next, form } = desk;
  if (found) return showToken(found);
  desk.editor.mark(null);
  if (next && next.prompt === desk.before(place).prompt)
    choices.showNext(next.top, form.settings, next.settings === JSON.stringify(form.settings));
  else choices.clear();
}

function showToken(/** @type {any} */ found) {
  desk.editor.mark(found);
  choices.showToken(found);
}

/** The pointer is somewhere. When it leaves, the last token's choices stay: it is on its way to them. */
export function point(/** @type {number} */ x, /** @type {number} */ y) {
  const place = desk.editor.placeAt(x, y), found = place === null ? null : desk.tokenAt(place);
  pointed = Boolean(found);
  if (found) showToken(found);
  else refreshSoon();
}

export function openChoices() {
  get("choices").open = true;
  choices.first?.focus();
}

export function probeSoon() {
  clearTimeout(timer);
  timer = setTimeout(probe, CALM);
  refreshSoon();
}

/** Asks for the next token's distribution at the cursor, if it is not known. */
async function probe() {
  const place = desk.editor.selection.end, { settings } = desk.form, { prompt } = desk.before(place);
  const key = JSON.stringify(settings), seen = prompt?.slice(-desk.window * PER_TOKEN) ?? null;
  const unwanted = desk.writer.writing || !get("suggestions").hidden || !get("choices").open || document.hidden;
  if (unwanted || desk.tokenAt(place) || (desk.next?.prompt === prompt && desk.next.settings === key)) return;
  try {
    const [{ tokens: [token] }] = await complete({ ...wire(settings), stop: undefined, model: desk.model, prompt: seen,
      max_tokens: 1, logprobs: NEXT, return_token_ids: true, truncate_prompt_tokens: -1, ignore_eos: true });
    desk.next = { prompt, settings: key, top: token.top };
  } catch {
    desk.next = null; // it is said when the person asks for something
  }
  refreshSoon();
}

/** Paints what the person wrote. */
export async function paintMine() {
  const { text } = desk.tree, signal = desk.ask();
  if (!text) return show(words.empty);
  hide();
  try {
    const found = await readText(desk.model, desk.window, text, (share) => {
      get("figures").textContent = `${words.reading} ${Math.round(share * 100)}%`;
    }, signal);
    get("figures").textContent = "";
    if (signal.aborted) return;
    if (found.ends.at(-1) !== text.length) return show(words.unpainted);
    desk.reading = found;
    if (get("paint").value === "author") get("paint").value = "rank";
    paintAgain();
  } catch (error) {
    if (!signal.aborted) tell(error, paintMine);
  }
}
