// The worklist: one row a slide, kept up to date by the server's messages.
import { $, siteUrl, call, clock, h, listen, me, say } from "./page.js";
import { plural, sentence, sentencesOf, t } from "./texts.js";
import { isTaken, isToSign, nextSlide } from "./work.js";

const WORDS = { failures: "done, with failures", seen: "waiting" };
const FILTERS = {
  all: () => true,
  running: (row) => row.status === "running",
  waiting: (row) => row.status === "seen",
  done: (row) => row.status === "done" || row.status === "failures",
  failed: (row) => row.status === "failed" || row.status === "interrupted",
  alerts: (row) => row.open_alerts > 0,
  stat: (row) => row.stat && row.review !== "signed",
  mine: (row) => row.assigned_to === name,
  "to sign": isToSign,
  signed: (row) => row.review === "signed",
};
const rows = new Map();
let refused = [];
let waiting = [];
let name = "";
let filter = localStorage.getItem("filter") ?? "all";
if (!(filter in FILTERS)) filter = "all";

const TITLES = [...document.querySelectorAll(".worklist thead th")].map((title) => title.textContent);

function glance(shares, running) {
  const words = shares.map((s) => `${t(s.title)} ${s.percent.toFixed(0)}\u00a0%`).join(", ");
  const parts = shares.map((s) => h("span", { style: { width: `${s.percent}%`, background: s.colour } }));
  return h("td", {}, h("div", { class: "glance", "aria-hidden": "true" }, parts), h("div", { class: "words" }, words || (running ? t("no white cells yet") : t("no white cells"))));
}

function progress(row) {
  const p = row.progress;
  const share = p.tiles ? p.tiles_done / p.tiles : 0;
  const bar = h("div", { class: "bar", role: "progressbar", "aria-label": `${row.name}: ${t("tiles read")}`, "aria-valuenow": Math.round(100 * share), "aria-valuemin": 0, "aria-valuemax": 100 },
    h("span", { style: { width: `${100 * share}%` } }));
  return h("td", {}, row.status === "running" ? bar : "", h("div", { class: `words ${row.status === "running" ? "" : "at"}` }, row.status === "running" ? t("{cells} cells, {done} of {tiles} tiles", { cells: p.cells, done: p.tiles_done, tiles: p.tiles }) : t("{seen} of {cells} seen", { seen: row.seen, cells: p.cells })));
}

function review(row) {
  if (row.review === "signed") return [h("span", { class: "chip signed" }, t("signed v{version}", { version: row.version })), h("div", { class: "words" }, `${row.signed_by}, ${clock(row.signed_at)}`)];
  if (row.review === "amending") return [h("span", { class: "chip amending" }, t("amending v{version}", { version: row.version })), row.in_review_by ? h("div", { class: "words" }, t("by {by}", { by: row.in_review_by })) : null];
  const held = isTaken(row, name);
  return [row.in_review_by ? h("span", { class: `chip ${held ? "warning" : ""}` }, t("in review by {by}", { by: row.in_review_by })) : h("span", { class: "dim" }, t("open")),
    row.assigned_to ? h("div", { class: "words" }, t("for {name}", { name: row.assigned_to })) : null];
}

function line(row) {
  const path = siteUrl(`slides/${row.slide_id}`);
  return h("tr", { onclick: (event) => event.target.closest("a") || location.assign(path) },
    h("td", {}, row.stat ? h("span", { class: "chip urgent" }, t("stat")) : null, row.stat ? " " : null, h("a", { href: path }, row.name), h("div", { class: "words" }, [row.patient, row.accession].filter(Boolean).join(", ")),
      row.identity === "conflict" ? h("div", {}, h("span", { class: "chip urgent" }, t("identity not settled"))) : null, h("div", { class: "words at" }, clock(row.at))),
    h("td", {}, h("span", { class: `chip ${row.status}` }, t(WORDS[row.status] ?? row.status)), row.reason ? h("div", { class: "words" }, sentencesOf(row.reason)) : null),
    progress(row),
    h("td", { "data-title": TITLES[3] }, row.open_alerts ? h("span", { class: "chip urgent" }, t("{count} open", { count: row.open_alerts })) : h("span", { class: "dim" }, row.progress.alerts ? t("{count} acknowledged", { count: row.progress.alerts }) : t("none"))),
    glance(row.glance, row.status === "running"),
    h("td", { "data-title": TITLES[5] }, review(row)));
}

function waitingLine(file) {
  const tried = file.tries ? t("tried {count} times", { count: file.tries }) : "";
  return h("tr", {}, h("td", {}, file.name), h("td", {}, h("span", { class: `chip ${file.state}` }, t(file.state)), h("div", { class: "words" }, [tried, sentence(file.reason)].filter(Boolean).join(": "))),
    h("td", {}), h("td", {}), h("td", {}), h("td", {}));
}

const urgent = (row) => row.stat && row.review !== "signed";

function draw() {
  const sought = $("#search").value.trim().toLowerCase();
  const fits = (row) => FILTERS[filter](row) && (!sought || [row.name, row.slide_id, row.signed_by ?? "", ...row.sought].join("\n").toLowerCase().includes(sought));
  const shown = [...rows.values()].filter(fits).sort((a, b) => urgent(b) - urgent(a) || (b.status === "running") - (a.status === "running") || (b.at ?? "").localeCompare(a.at ?? ""));
  const queue = ["all", "waiting", "failed"].includes(filter) ? waiting.filter((f) => (filter === "all" || f.state === filter) && (!sought || f.name.toLowerCase().includes(sought))) : [];
  const focused = document.activeElement.closest("#rows a")?.href;
  $("#rows").replaceChildren(...shown.map(line), ...queue.map(waitingLine));
  if (focused) [...document.querySelectorAll("#rows a")].find((link) => link.href === focused)?.focus(); // a row that is drawn anew keeps the focus
  $("#empty").hidden = shown.length + queue.length > 0;
  $("#empty").textContent = rows.size ? t("No slide matches this search.") : t("No slides yet: they appear here as soon as one is read.");
  const all = rows.size + waiting.length;
  $("#told").textContent = plural(all, "{shown} of 1 slide", "{shown} of {all} slides", { shown: shown.length + queue.length, all });
  for (const button of document.querySelectorAll("#filters button")) {
    const of = button.dataset.filter;
    const count = [...rows.values()].filter(FILTERS[of]).length + waiting.filter((f) => of === "all" || f.state === of).length;
    button.textContent = `${t(button.dataset.filter)} ${count}`;
    button.setAttribute("aria-pressed", String(button.dataset.filter === filter));
  }
  $("#refused").replaceChildren(...refused.map((f) => h("li", {}, [f.name, sentence(f.what), sentence(f.hint)].filter(Boolean).join(": "))));
  $("#refused-box").hidden = refused.length === 0;
}

/** Opens the slide that this person should take next. */
function goNext() {
  const next = nextSlide([...rows.values()], name);
  if (next) location.assign(siteUrl(`slides/${next.slide_id}`));
  else say(t("no slide is waiting for you"));
}

async function load() {
  name ||= (await me()).name;
  const list = await call("GET", "api/slides");
  rows.clear();
  for (const row of list.slides) rows.set(row.slide_id, row);
  refused = list.refused_files;
  waiting = list.waiting;
  draw();
}

for (const each of Object.keys(FILTERS)) {
  $("#filters").append(h("button", { type: "button", "data-filter": each, "aria-pressed": "false", onclick: () => { filter = each; localStorage.setItem("filter", each); draw(); } }, each));
}
$("#search").addEventListener("input", draw);
$("#next").addEventListener("click", goNext);
addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== $("#search")) { event.preventDefault(); $("#search").focus(); }
});
listen((changed) => { for (const row of changed) rows.set(row.slide_id, row); draw(); }, () => load().catch((e) => say(e.message, true)));
load().catch((e) => say(e.message, true));
