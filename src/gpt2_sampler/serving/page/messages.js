/** What happens -> one line that can be seen, and sentences that can be heard. */

import { ServerError } from "./api.js";
import { get } from "./elements.js";
import { words } from "./words.js";

/** In the place of the last one, with a button if it has a label. */
export function show(/** @type {string} */ text, label = "", /** @type {() => void} */ action = () => {}) {
  const [said, button] = get("message").children;
  said.textContent = text;
  button.hidden = !label;
  button.textContent = label;
  button.onclick = () => {
    hide();
    action();
  };
  get("message").hidden = false;
}

export function hide() {
  get("message").hidden = true;
}

/** What went wrong, and what helps: the same again, or only the end of a text that is too long. */
export function tell(/** @type {any} */ error, /** @type {() => void} */ retry, /** @type {() => void} */ shorten = retry) {
  if (error?.name === "AbortError") return;
  if (!(error instanceof ServerError)) throw error;
  const { kind, wait, message } = error;
  if (kind === "window") show(`${words.window} ${message}`, words.onlyEnd, shorten);
  else if (kind === "busy") show(words.busy(wait), words.tryAgain, retry);
  else if (kind === "other") show(words.other(message), words.tryAgain, retry);
  else show(words[kind], kind === "gone" ? words.tryAgain : "", retry);
}

/** For a screen reader. */
export function speak(/** @type {string} */ text) {
  get("spoken").textContent = text;
}

const SENTENCES = /^[\s\S]*[.!?。！？\n]["”’)]*(?=\s|$|[^\x00-\x7f])/;
let unspoken = "";

/** A text that comes in parts is spoken in whole sentences. */
export function speakPart(/** @type {string} */ text) {
  unspoken += text;
  const [sentences] = unspoken.match(SENTENCES) ?? [""];
  if (!sentences) return;
  speak(sentences.trim());
  unspoken = unspoken.slice(sentences.length);
}

/** What is left of it, and how it ended. */
export function speakEnd(/** @type {string} */ said) {
  speak(`${unspoken} ${said}`.trim());
  unspoken = "";
}
