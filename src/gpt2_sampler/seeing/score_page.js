import { depth, fillChoices, percent, rankClass, visible } from "./paint.js";

// What packed.py packed. Arrays begin with the second token where the first one is not scored.
const { looks, texts, blocks } = JSON.parse(document.getElementById("places").textContent);
const STEP = 2048, UNLIKELY = 65535; // as in packed.py
const ROWS = 500; // of the table, at a time
const HALF = /^<(?:[0-9A-F]{2} ?)+>$/;

function numbers(kind, packed) {
  const bytes = Uint8Array.from(atob(packed), (one) => one.charCodeAt(0));
  return new kind(bytes.buffer);
}

const share = (steps) => (steps === UNLIKELY ? 0 : Math.exp(-steps / STEP));

for (const section of document.querySelectorAll("section")) {
  const number = Number(section.dataset.text), packed = texts[number];
  const lengths = numbers(Uint16Array, packed.lengths), logprobs = numbers(Uint16Array, packed.logprobs);
  const ranks = numbers(Uint32Array, packed.ranks), shares = numbers(Uint16Array, packed.shares);
  const tops = numbers(packed.wide ? Uint32Array : Uint16Array, packed.tops), { width } = packed;
  const text = section.querySelector(".text"), elements = [...text.children], starts = blocks[number];
  const plain = elements.map(({ textContent }) => textContent);
  const said = section.querySelector(".panel p"), choices = section.querySelector("table.choices");
  const plot = section.querySelector("svg"), last = lengths.length - 1;
  if (!logprobs.length) continue;
  const first = lengths.length - logprobs.length;
  let at = -1;

  const blockOf = (token) => starts.findLastIndex((start) => start <= token);

  /** The tokens of a block, and their texts. */
  function pieces(n) {
    const end = starts[n + 1] ?? lengths.length, found = [];
    for (let token = starts[n], from = 0; token < end; from += lengths[token++])
      found.push([token, plain[n].slice(from, from + lengths[token])]);
    return found;
  }

  const pieceOf = (token) => pieces(blockOf(token)).find(([one]) => one === token)[1];

  function paint(n) {
    if (elements[n].firstElementChild) return;
    elements[n].replaceChildren(...pieces(n).map(([token, piece]) => {
      if (token < first) return piece;
      const made = document.createElement("span"), kind = rankClass(ranks[token - first]);
      made.className = `token class${kind}${HALF.test(piece) ? " raw" : ""}${/^\n+$/.test(piece) ? " line" : ""}`;
      made.style.backgroundColor = `var(--paint${kind}${depth(share(logprobs[token - first]))})`;
      made.textContent = piece;
      made.dataset.token = token;
      if (token === at) made.classList.add("here");
      return made;
    }));
  }

  function wash(n) {
    if (elements[n].firstElementChild) elements[n].textContent = plain[n];
  }

  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) (isIntersecting ? paint : wash)(elements.indexOf(target));
  }, { rootMargin: "100%" });
  for (const element of elements) watch.observe(element);
  addEventListener("beforeprint", () => elements.forEach((_, n) => paint(n)));

  const spanOf = (token) => text.querySelector(`[data-token="${token}"]`);

  function select(token, follow) {
    spanOf(at)?.classList.remove("here");
    at = Math.max(first, Math.min(last, token));
    paint(blockOf(at));
    spanOf(at).classList.add("here");
    if (follow) spanOf(at).scrollIntoView({ block: "nearest" });
    const piece = pieceOf(at), place = at - first, rank = ranks[place], own = share(logprobs[place]);
    const name = document.createElement("bdi");
    name.textContent = visible(piece);
    said.replaceChildren("“", name, `”, token ${at + 1}: ${percent(own)}, rank ${rank.toLocaleString("en")}`);
    const rows = Array.from({ length: width }, (_, n) => ({
      text: looks[tops[place * width + n]], shares: [share(shares[place * width + n])], here: n + 1 === rank }));
    if (rank > width) rows.push({ text: piece, shares: [own], here: true });
    fillChoices(choices, ["token", "probability"], rows);
    const x = last > first ? (1000 * place) / (last - first) : 500;
    const cursor = plot.querySelector(".cursor");
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.removeAttribute("visibility");
  }

  function surprise(step) {
    let token = at + step;
    while (token > first && token < last && ranks[token - first] <= 100) token += step;
    return token;
  }

  const keys = {
    ArrowRight: () => at + 1,
    ArrowLeft: () => at - 1,
    ArrowDown: () => surprise(1),
    ArrowUp: () => surprise(-1),
    Home: () => first,
    End: () => last,
  };

  function touched(event) {
    const token = event.target.closest(".token");
    if (token) select(Number(token.dataset.token), false);
  }

  text.addEventListener("mouseover", touched);
  text.addEventListener("click", touched);
  text.addEventListener("focus", () => at < 0 && select(first, false));
  text.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !(event.key in keys)) return;
    event.preventDefault();
    select(keys[event.key](), true);
  });

  function pointed(event) {
    const box = plot.getBoundingClientRect();
    select(first + Math.round(((event.clientX - box.left) / box.width) * (last - first)), event.type === "click");
  }

  plot.addEventListener("mousemove", pointed);
  plot.addEventListener("click", pointed);

  const details = section.querySelector("details"), table = details.querySelector("table");
  const more = details.querySelector("button");
  const body = table.createTBody();
  let shown = first - 1;

  function fillTable() {
    const end = Math.min(last, shown + ROWS);
    for (let n = blockOf(shown + 1); shown < end; n++) {
      for (const [token, piece] of pieces(n)) {
        if (token <= shown || shown >= end) continue;
        const row = body.insertRow(), place = token - first;
        const cells = [token + 1, visible(piece), percent(share(logprobs[place])), ranks[place].toLocaleString("en"),
          (logprobs[place] / STEP / Math.LN2).toFixed(2), visible(looks[tops[place * width]] ?? "")];
        for (const cell of cells) {
          const made = document.createElement("bdi");
          made.textContent = cell;
          row.insertCell().append(made);
        }
        shown = token;
      }
    }
    more.hidden = shown >= last;
  }

  details.addEventListener("toggle", () => {
    if (table.tHead) return;
    const head = table.createTHead().insertRow();
    for (const name of ["number", "token", "probability", "rank", "bits", "likeliest"]) {
      const made = document.createElement("th");
      made.scope = "col";
      made.textContent = name;
      head.append(made);
    }
    fillTable();
  });
  more.addEventListener("click", fillTable);
}
