"use strict";

// A place: [token, probability, rank, [[other token, its probability], ...]], first of each text null.
const texts = JSON.parse(document.getElementById("places").textContent);

function percent(share) {
  if (share > 0 && share < 0.0001) return "under 0.01%";
  return (share * 100).toFixed(share >= 0.1 ? 1 : 2) + "%";
}

function visible(token) {
  return token.replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));
}

function cell(row, text) {
  const made = row.insertCell();
  made.textContent = text;
  return made;
}

function fillChoices(table, [token, probability, rank, others]) {
  table.replaceChildren();
  const head = table.createTHead().insertRow();
  for (const name of ["token", "probability"]) {
    const made = document.createElement("th");
    made.textContent = name;
    head.append(made);
  }
  const shown = others.map(([other, share], n) => [other, share, n + 1 === rank]);
  if (rank > others.length) shown.push([token, probability, true]);
  const most = shown[0][1];
  const body = table.createTBody();
  for (const [other, share, written] of shown) {
    const row = body.insertRow();
    row.classList.toggle("written", written);
    cell(row, visible(other)).title = other;
    cell(row, percent(share));
    const bar = document.createElement("span");
    bar.className = "bar";
    bar.style.width = (100 * share) / most + "%";
    cell(row, "").append(bar);
  }
}

for (const section of document.querySelectorAll("section")) {
  const places = texts[Number(section.dataset.text)];
  const text = section.querySelector(".text");
  const tokens = [...text.querySelectorAll(".token")]; // of the places from 1 on
  const said = section.querySelector(".choices p");
  const table = section.querySelector(".choices table");
  const plot = section.querySelector("svg");
  const cursor = plot.querySelector(".cursor");
  if (!tokens.length) continue;
  let at = 0;

  function select(place, follow) {
    if (tokens[at - 1]) tokens[at - 1].classList.remove("here");
    at = Math.max(1, Math.min(tokens.length, place));
    tokens[at - 1].classList.add("here");
    if (follow) tokens[at - 1].scrollIntoView({ block: "nearest" });
    const [token, probability, rank] = places[at];
    said.textContent =
      `“${visible(token)}”, token ${at + 1}: ${percent(probability)}, rank ${rank.toLocaleString("en")}`;
    fillChoices(table, places[at]);
    const x = tokens.length > 1 ? (1000 * (at - 1)) / (tokens.length - 1) : 500;
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.removeAttribute("visibility");
  }

  function surprise(step) {
    let place = at + step;
    while (place > 1 && place < tokens.length && places[place][2] <= 100) place += step;
    return place;
  }

  const keys = {
    ArrowRight: () => at + 1,
    ArrowLeft: () => at - 1,
    ArrowDown: () => surprise(1),
    ArrowUp: () => surprise(-1),
    Home: () => 1,
    End: () => tokens.length,
  };

  function touched(event) {
    const token = event.target.closest(".token");
    if (token) select(tokens.indexOf(token) + 1, false);
  }

  text.addEventListener("mouseover", touched);
  text.addEventListener("click", touched);
  text.addEventListener("focus", () => at || select(1, false));
  text.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !(event.key in keys)) return;
    event.preventDefault();
    select(keys[event.key](), true);
  });

  function pointed(event) {
    const box = plot.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    select(1 + Math.round(share * (tokens.length - 1)), event.type === "click");
  }

  plot.addEventListener("mousemove", pointed);
  plot.addEventListener("click", pointed);
}
