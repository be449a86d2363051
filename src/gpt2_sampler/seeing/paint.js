/**
 * A token's rank and probability -> its class, its depth, and a table of choices with bars.
 *
 * Both pages have it: the one that gpt2-score writes, and the one that gpt2-serve answers with.
 */

const LIMITS = [10, 100, 1000]; // of the classes of ranks, as in ranks.py
const DEPTHS = 6; // of a colour, from 0 to this one, as in paint.css
const SURPRISE = 12; // bits, from which on a colour does not get deeper, as in paint.py
export const CLASSES = LIMITS.length + 1;

/** 0 for the top 10 to 3 for those beyond the top 1,000. */
export const rankClass = (rank) => LIMITS.filter((limit) => rank > limit).length;

/** How deep the colour of a token is. */
export const depth = (probability) =>
  Math.round((DEPTHS * Math.min(SURPRISE, -Math.log2(probability))) / SURPRISE);

export function percent(share) {
  if (share > 0 && share < 0.0001) return "<0.01%";
  return (share * 100).toFixed(share >= 0.1 ? 1 : 2) + "%";
}

/** A token with its spaces, breaks and directions made visible. */
export const visible = (token) => token
  .replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length))
  .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (one) => `U+${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`);

function make(parent, name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  parent.append(made);
  return made;
}

/** A token that does not reorder what is around it. */
function isolated(parent, token) {
  const made = make(parent, "bdi", visible(token));
  made.title = token;
  return made;
}

/**
 * Fills a table with choices: {text, shares, here, choose}. shares has a probability for each of
 * the heads after the first, null for none left; here marks the one that was taken; choose, if
 * given, is called when the person chooses it.
 */
export function fillChoices(table, heads, choices) {
  table.replaceChildren();
  const head = table.createTHead().insertRow();
  for (const name of heads) make(head, "th", name).scope = "col";
  const body = table.createTBody();
  const most = Math.max(...choices.flatMap(({ shares }) => shares.map((share) => share ?? 0)));
  for (const { text, shares, here, choose } of choices) {
    const row = body.insertRow();
    row.classList.toggle("here", Boolean(here));
    const name = make(row, "th");
    name.scope = "row";
    if (choose) {
      const button = make(name, "button");
      button.type = "button";
      isolated(button, text);
      button.addEventListener("click", choose);
    } else isolated(name, text);
    if (here) name.setAttribute("aria-current", "true");
    for (const share of shares) {
      const cell = make(row, "td");
      make(cell, "span", share === null ? "–" : percent(share)).className = "share";
      const bar = make(cell, "span");
      bar.className = "bar";
      bar.style.width = share ? `max(1px, ${(100 * share) / (most || 1)}%)` : "0";
    }
  }
}
