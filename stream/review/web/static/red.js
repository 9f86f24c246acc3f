// The page of a slide's red cells: gallery by kind, kinds with grades, sizes, and what the person decides.
import { Cells } from "./cells.js";
import { Gallery } from "./gallery.js";
import { $, call, clock, h, listen, me, number, say, siteUrl, trying } from "./page.js";
import { plural, sentence, t } from "./texts.js";

const { slideId } = document.body.dataset;
const base = `api/slides/${slideId}`;
const LAST_ROW = 2 ** 53; // of the journal: only what people decided is asked for
let person, red, cells, gallery, standing;
let answered = Promise.resolve();

const locked = () => Boolean(standing?.locked);
const mayDecide = () => person.role !== "viewer" && !locked();
const title = (name, count = 1) => red.classes.find((c) => c.name === name)?.[count === 1 ? "one" : "title"] ?? name;

/** What people have decided since, and the kinds and grades that follow. */
async function take(changes) {
  standing = changes.standing;
  const moved = cells.take({ cells: [], alerts: [], decisions: changes.decisions, standing });
  head();
  if (!moved) return;
  gallery.draw();
  show(cells.byId.get(gallery.active));
  figures(await call("GET", `${base}/red/figures`));
}

const sync = () => trying(async () => take(await call("GET", `${base}/changes?row=${LAST_ROW}&number=${cells.number}`)));

function head() {
  const signed = standing.signatures.at(-1);
  $("#signed").hidden = !signed;
  if (signed) {
    $("#signed").className = `chip ${locked() ? "signed" : "amending"}`;
    $("#signed").textContent = locked() ? `${t("v{version} signed by {by}", signed)}, ${clock(signed.at)}` : t("amending: v{version}", { version: standing.version });
  }
  $("#undo").hidden = !mayDecide();
  $("#undo").disabled = !standing.can_undo || !mayDecide();
  $("#sign").hidden = !mayDecide();
  $("#decide").hidden = !mayDecide();
}

/** Sends what the person wants when what was sent before is answered. */
function send(path, body, done) {
  answered = answered.then(async () => {
    try {
      await take(await call("POST", `${base}/${path}`, { saw: cells.number, row: LAST_ROW, ...body }));
      say(done);
    } catch (error) {
      say(error.message, true);
      if ([409, 423].includes(error.status)) await sync();
    }
  });
  return answered;
}

function decide(action, label, ids = [...gallery.selected]) {
  if (!mayDecide()) return;
  if (!ids.length) { say(t("choose a cell first")); return; }
  const isDone = (id) => cells.decision(id)?.by === person.name;
  gallery.goOn(gallery.after(ids, isDone));
  send("decisions", { action, cell_ids: ids, label: action === "reclassify" ? label : null },
    `${plural(ids.length, "1 cell", "{count} cells")}: ${action === "reclassify" ? title(label, ids.length) : action === "confirm" ? t("confirmed") : t("unidentified")}`);
}

const rename = (name, ids) => (name === "unidentified" ? decide(name, undefined, ids) : decide("reclassify", name, ids));
const undo = () => (mayDecide() && standing.can_undo ? send("undo", {}, t("undone")) : say(t("there is nothing of yours to undo")));

/** Makes an element a place where cells can be dropped. */
function target(node, name) {
  node.addEventListener("dragover", (event) => { if (mayDecide()) { event.preventDefault(); node.classList.add("over"); } });
  node.addEventListener("dragleave", () => node.classList.remove("over"));
  node.addEventListener("drop", (event) => {
    event.preventDefault();
    node.classList.remove("over");
    rename(name, event.dataTransfer.getData("text/plain").split(" ").filter((id) => cells.byId.has(id)));
  });
}

function figures(found) {
  $("#judged").textContent = t("{count} judged", { count: found.judged });
  const keys = new Map(red.classes.map((c) => [c.name, c]));
  $("#kind-rows").replaceChildren(...found.lines.map((line) => {
    const of = keys.get(line.name);
    const name = of
      ? h("button", { type: "button", class: "plain name", title: t("go to {name}", { name: t(line.title) }), onclick: () => { tab("cells"); gallery.toClass(line.name); } },
        h("kbd", {}, of.key ? of.key.toUpperCase() : "\u00a0"), h("span", { class: "dot", style: { background: of.colour } }), h("span", {}, t(line.title)))
      : h("span", { class: "name sum" }, t(line.title));
    const row = h("tr", { "data-class": line.name, class: line.count ? "" : "none" }, h("th", { scope: "row" }, name), h("td", { class: "n count-n" }, line.count),
      h("td", { class: "n percent" }, number(line.percent, 1)), h("td", { class: "n wide" }, `${number(line.low, 1)}\u2013${number(line.high, 1)}`),
      h("td", { class: "n grade" }, line.grade ? `${line.grade}+` : ""));
    if (of) target(row, line.name);
    return row;
  }));
  $("#sentences").replaceChildren(...found.sentences.map((text) => h("li", {}, sentence(text).replace(/ (?=%|\u00d7)|(?<=\u00d7) /g, "\u00a0"))));
}

const svg = (tag, props) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) made.setAttribute(name, value);
  return made;
};

/** The slide's red cells by diameter, its own normal ones over them, and the range of the laboratory's normal cells behind. */
function sizes({ edges_um: edges, cells: all, normal_cells: normal, normal_um: range }) {
  const [left, right, top, bottom] = [8, 352, 8, 126];
  const x = (um) => left + ((right - left) * (um - edges[0])) / (edges.at(-1) - edges[0]);
  const most = Math.max(...all, ...normal, 0.01);
  const y = (share) => bottom - (bottom - top) * (share / most);
  const bars = all.map((share, n) => svg("rect", { class: "all", x: x(edges[n]) + 0.5, y: y(share), width: x(edges[n + 1]) - x(edges[n]) - 1, height: bottom - y(share) }));
  const points = normal.flatMap((share, n) => [`${x(edges[n])},${y(share)}`, `${x(edges[n + 1])},${y(share)}`]).join(" ");
  const ticks = [];
  for (let um = Math.ceil(edges[0]); um <= edges.at(-1); um += 1) {
    const label = svg("text", { x: x(um), y: 144, "text-anchor": "middle" });
    label.textContent = String(um);
    ticks.push(label);
  }
  $("#sizes").replaceChildren(svg("rect", { class: "range", x: x(range[0]), y: top, width: x(range[1]) - x(range[0]), height: bottom - top }), ...bars,
    svg("polyline", { class: "normal", points }), svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }), ...ticks);
  $("#sizes-told").textContent = t("Bars: all judged cells. Line: those called normal. Behind: the laboratory's normal red cells, {low} to {high} µm.", { low: number(range[0]), high: number(range[1]) });
}

function show(cell) {
  if (!cell) { $("#detail").replaceChildren(h("p", { class: "dim" }, t("Choose a cell to see it large."))); return; }
  const [area, roundness, pallor] = cell.measures;
  const decision = cells.decision(cell.id);
  const machine = red.classes[cell.machine].one;
  const facts = [
    [t("machine"), `${machine}, ${number(100 * cell.sureness, 1)} %`],
    [t("people"), decision ? `${t("{how} by {by}", { how: t(decision.how), by: decision.by })}, ${clock(decision.at)}` : t("not reviewed")],
    [t("anomaly"), number(cell.anomaly, 3)],
    [t("diameter"), t("{um} µm (area {area} µm²)", { um: number(Math.sqrt((4 * area) / Math.PI), 1), area: number(area, 1) })],
    [t("roundness"), number(roundness, 2)],
    [t("pallor"), number(pallor, 2)],
    [t("place"), `${cell.x}, ${cell.y} px`],
  ];
  $("#detail").replaceChildren(
    h("div", { class: "face" }, h("img", { src: picture(cell), alt: t("the cell: {name}", { name: title(cells.label(cell)) }), width: 150, height: 150 }),
      h("h2", {}, title(cells.label(cell)))),
    h("dl", { class: "facts" }, facts.flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)])));
}

const picture = (cell) => siteUrl(`${base}/red/${cell.id}/image`);

function chosen(cell, selected) {
  $("#selected").textContent = selected.size ? t("{count} selected", { count: selected.size }) : "";
  for (const button of document.querySelectorAll("#decide button, #decide select")) button.disabled = !selected.size;
  show(cell);
}

function tab(name) {
  document.body.dataset.tab = name;
  for (const button of document.querySelectorAll("nav.tabs button")) button.setAttribute("aria-pressed", String(button.dataset.tab === name));
}

function keys(event) {
  if (event.target.closest("input, textarea, select, dialog")) return;
  const control = event.ctrlKey || event.metaKey;
  if (control && event.key === "z") { event.preventDefault(); if (!event.repeat) undo(); return; }
  if (control || event.altKey) return;
  const pressed = event.key.toLowerCase();
  const of = red.classes.find((c) => c.key === pressed);
  const act = of ? () => rename(of.name) : { c: () => decide("confirm"), u: () => rename("unidentified"), g: () => { tab("cells"); $("#gallery").focus(); } }[pressed];
  if (!act) return;
  event.preventDefault();
  if (!event.repeat) act(); // a key that is held down decides once
}

function addControls() {
  $("#to").append(...red.classes.map((c) => h("option", { value: c.name }, `${c.title}${c.key ? ` (${c.key})` : ""}`)));
  $("#to").addEventListener("change", () => { if ($("#to").value) rename($("#to").value); $("#to").value = ""; });
  $("#confirm").addEventListener("click", () => decide("confirm"));
  $("#unidentified").addEventListener("click", () => rename("unidentified"));
  $("#undo").addEventListener("click", undo);
  $("#order").addEventListener("change", () => { cells.order = $("#order").value; cells.sort(); gallery.draw(); });
  $("#filter").addEventListener("change", () => { cells.filter = $("#filter").value; cells.sort(); gallery.draw(); });
  $("#size").addEventListener("input", () => { gallery.size = Number($("#size").value); gallery.draw(); });
  for (const button of document.querySelectorAll("nav.tabs button")) button.addEventListener("click", () => tab(button.dataset.tab));
  addEventListener("keydown", keys);
}

async function begin() {
  person = await me();
  red = await call("GET", `${base}/red`);
  for (const of of red.classes) { of.one = t(of.title.replace(/s$/, "")); of.title = t(of.title); }
  document.title = `${red.name}: ${t("Red cells \u2013 cytostream")}`;
  $("#name").textContent = red.name;
  standing = red.standing;
  cells = new Cells(red.classes);
  cells.order = "worst";
  cells.take({ ...red, alerts: [] });
  red.cells.forEach((row, n) => { cells.byId.get(row[1]).measures = red.measures[n]; });
  gallery = new Gallery($("#gallery"), cells, slideId, { choose: chosen, target, picture, touching: () => matchMedia("(pointer: coarse)").matches, open: () => tab("detail") });
  gallery.size = Number($("#size").value);
  addControls();
  cells.sort();
  gallery.draw();
  figures(red.figures);
  sizes(red.sizes);
  head();
  chosen(null, gallery.selected);
  document.body.dataset.ready = "yes";
  listen((rows) => { if (rows.some((row) => row.slide_id === slideId)) sync(); }, sync);
}

trying(begin);
