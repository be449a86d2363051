/**
 * How a text was made -> an address and a command line that make it again, and back. Pure text.
 *
 * @import {Origin} from "./tree.js"
 */

import { changing, cleanSeed, settingsOf } from "./settings.js";

const quoted = (/** @type {string} */ text) => `'${text.replaceAll("'", "'\\''")}'`;
const escaped = (/** @type {string} */ text) =>
  text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\t", "\\t");

/** The command for a POSIX shell that writes the same text. */
export function commandOf(/** @type {Origin} */ { prompt, seed, sample, model, settings: given }) {
  const settings = settingsOf(given);
  const flags = [["model_name", model], ["seed", seed], ["length", settings.length], ...changing(settings)]
    .map(([name, value]) => `--${name} ${/^[\w.-]+$/.test(String(value)) ? value : quoted(String(value))}`);
  if (settings.stop) flags.push(`--stop ${quoted(escaped(settings.stop))}`);
  const rest = flags.join(" ");
  if (prompt === null) return `gpt2-generate --nsamples 1 --first ${sample} ${rest}`;
  // The command takes one line break off the end of a prompt.
  if (!sample) return `gpt2-interactive --prompt ${quoted(prompt.endsWith("\n") ? `${prompt}\n` : prompt)} ${rest}`;
  const line = quoted(JSON.stringify({ prompt }));
  return `printf '%s\\n' ${line} | gpt2-conditional --jsonl --first ${sample} ${rest}`;
}

/** The fragment of an address that writes the same text. */
export function fragmentOf(/** @type {Origin} */ { prompt, seed, sample, model, settings: given }) {
  const settings = settingsOf(given);
  const fields = new URLSearchParams({ prompt: prompt ?? "", seed: String(seed), first: String(sample),
    model, length: String(settings.length) });
  for (const [name, value] of changing(settings)) fields.set(name, String(value));
  if (settings.stop) fields.set("stop", settings.stop);
  return fields.toString();
}

/** What a fragment says: a key, and how to make a text, if it holds one. */
export function readFragment(/** @type {string} */ hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const key = fields.get("key");
  if (!fields.has("prompt")) return { key, origin: null };
  const neutral = { temperature: 1, top_k: 0, top_p: 1 };
  const settings = settingsOf({ ...neutral, ...Object.fromEntries(fields) });
  const origin = {
    prompt: fields.get("prompt") || null, seed: cleanSeed(fields.get("seed")),
    sample: cleanSeed(fields.get("first")), model: fields.get("model") ?? "", settings,
  };
  return { key, origin };
}
