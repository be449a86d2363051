/**
 * The server's API -> objects. Knows no page; what goes wrong is a ServerError.
 *
 * @import {Token} from "./tree.js"
 */

export class ServerError extends Error {
  /**
   * @param {"gone"|"key"|"forbidden"|"busy"|"window"|"other"} kind
   * @param {string} message the server's own, if it said something
   * @param {number} wait seconds, after which to try again
   */
  constructor(kind, message = "", wait = 0) {
    super(message);
    this.kind = kind;
    this.wait = wait;
  }
}

const KINDS = /** @type {const} */ ({ 401: "key", 403: "forbidden", 429: "busy", 503: "busy" });

let key = "";
/** Characters that no header can have are left out. */
export const setKey = (/** @type {string} */ given) => { key = given.replace(/[^\x21-\x7e]/g, ""); };

/** @returns {Promise<Response>} */
async function call(/** @type {string} */ address, /** @type {any} */ body, /** @type {AbortSignal} [signal] */ signal) {
  const headers = { ...(key && { Authorization: `Bearer ${key}` }), ...(body && { "Content-Type": "application/json" }) };
  let response;
  try {
    response = await fetch(address, { method: body ? "POST" : "GET", headers, signal, body: body && JSON.stringify(body) });
  } catch (error) {
    throw signal?.aborted ? error : new ServerError("gone");
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  throw failure(told.error, response.status, Number(response.headers.get("Retry-After")) || 0);
}

function failure(/** @type {any} */ error, /** @type {number} */ status, wait = 0) {
  const message = typeof error?.message === "string" ? error.message : "";
  if (error?.code === "context_length_exceeded") return new ServerError("window", message);
  return new ServerError(KINDS[status] ?? "other", message || String(status), wait);
}

/** The data of a stream of events, whatever pieces it comes in. */
async function* events(/** @type {Response} */ response) {
  const reader = /** @type {ReadableStream} */ (response.body).pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trim();
  }
}

/** The tokens of a choice, and where each ends in the choice's text. */
export function tokensOf(/** @type {any} */ choice) {
  const told = choice.logprobs;
  if (!told?.tokens) return { tokens: [], ends: [] };
  const start = told.text_offset?.[0] ?? 0, length = choice.text.length;
  const tokens = told.tokens.map((/** @type {string} */ text, /** @type {number} */ n) => ({
    text,
    id: told.token_ids?.[n] ?? null,
    logprob: told.token_logprobs?.[n] ?? -9999,
    filtered: told.filtered_logprobs?.[n] ?? null,
    rank: told.token_logprobs?.[n] == null ? 0 : told.ranks?.[n] ?? 0, // of a first token nothing is known
    top: topOf(told, n),
  }));
  const ends = tokens.map((/** @type {Token} */ _, /** @type {number} */ n) =>
    n + 1 < tokens.length ? Math.max(0, Math.min(length, told.text_offset[n + 1] - start)) : length);
  return { tokens, ends };
}

function topOf(/** @type {any} */ told, /** @type {number} */ n) {
  const full = told.top?.[n];
  if (full) return full.map((/** @type {any} */ { id, token, logprob, filtered_logprob }) =>
    ({ id, text: token, logprob, filtered: filtered_logprob ?? null }));
  return Object.entries(told.top_logprobs?.[n] ?? {})
    .map(([text, logprob]) => ({ id: null, text, logprob: Number(logprob), filtered: null }))
    .sort((a, b) => b.logprob - a.logprob);
}

/** The parts of a text as they are written: {text, tokens, ends, finish, seed}. */
export async function* stream(/** @type {any} */ request, /** @type {AbortSignal} */ signal) {
  const response = await call("v1/completions", { ...request, stream: true, stream_options: { include_usage: true } }, signal);
  try {
    for await (const data of events(response)) {
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      if (event.error) throw failure(event.error, Number(event.error.code) || 0);
      const [choice] = event.choices;
      if (choice) yield { text: choice.text, ...tokensOf(choice), finish: choice.finish_reason };
    }
  } catch (error) {
    throw signal.aborted || error instanceof ServerError ? error : new ServerError("gone");
  }
  throw new ServerError("gone"); // it ended without saying so
}

/** The choices of a request, whole: {text, tokens, ends} each. */
export async function complete(/** @type {any} */ request, /** @type {AbortSignal} [signal] */ signal) {
  const { choices } = await (await call("v1/completions", request, signal)).json();
  return choices.sort((/** @type {any} */ a, /** @type {any} */ b) => a.index - b.index)
    .map((/** @type {any} */ choice) => ({ text: choice.text, ...tokensOf(choice) }));
}

/** @returns {Promise<{id: string, window: number}[]>} */
export async function models() {
  const { data } = await (await call("v1/models", null)).json();
  return data.map((/** @type {any} */ { id, max_model_len }) => ({ id, window: max_model_len }));
}

/** @returns {Promise<number[]>} */
export async function tokenize(/** @type {string} */ model, /** @type {string} */ prompt, /** @type {AbortSignal} [signal] */ signal) {
  return (await (await call("tokenize", { model, prompt }, signal)).json()).tokens;
}
