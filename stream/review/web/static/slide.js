// The slide page: gallery, count, alerts, viewer and detail, and what the person decides.
import { Alerts } from "./alerts.js";
import { Compare } from "./compare.js";
import { Cells } from "./cells.js";
import { Count, FLAGS } from "./count.js";
import { Detail } from "./detail.js";
import { Gallery } from "./gallery.js";
import { inWords, openIdentity, showIdentity } from "./identity.js";
import { openTaught } from "./taught.js";
import { SecondReading, showVersions } from "./second.js";
import { isTaken, nextSlide } from "./work.js";
import { $, call, clock, h, listen, me, number, say, siteUrl, trying } from "./page.js";
import { plural, sentence, sentencesOf, t } from "./texts.js";

const { slideId, viewer: viewerWord } = document.body.dataset;
const base = `api/slides/${slideId}`;
const FINISHED = ["done", "failures"];
const WORDS = { failures: "done, with failures", seen: "waiting" };
let pins = []; // comments on places of the slide
let person, slide, cells, gallery, count, alerts, compare, second, viewer, detail, last;
const LIKE_AN_ALERT = 5; // look-alikes beside an alert
const KEY = "[1-9bdefhijklopqrstvwyzBDEFHIJKLOPQRSTVWYZ]"; // as the server takes them
let first = null; // the first page of cells, asked for before anything else is known
let asking = null; // resolves once the page has what the server had
let askAgain = false;
let answered = Promise.resolve(); // resolves once every request so far is answered

const locked = () => Boolean(last?.standing.locked);
const mayDecide = () => person.role !== "viewer" && (!locked() || second.on_now);
const title = (name) => slide.classes.find((c) => c.name === name)?.title ?? name;

/** Loads everything beyond what the page has, page by page. One request at a time. */
function sync() {
  askAgain = true;
  asking ??= load();
  return asking;
}

async function load() {
  try {
    while (askAgain) {
      askAgain = false;
      const changes = await (first ?? call("GET", `${base}/changes?row=${cells.row}&number=${cells.number}`));
      first = null;
      take(changes);
      askAgain ||= changes.more;
    }
  } catch (error) {
    first = null;
    say(error.message, true);
  } finally {
    asking = null;
  }
}

function take(changes) {
  if (last && changes.standing.number < last.standing.number) return; // an older answer that came later
  const fresh = Object.values(changes.decisions).find((decision) => decision && !slide.classes.some((c) => c.name === decision.label));
  if (fresh) { location.reload(); return; } // somebody has named a class since
  const openBefore = last ? locked() : null;
  last = changes;
  const gone = changes.unmarked.filter((id) => cells.byId.has(id));
  const moved = cells.take(changes) || gone.length > 0;
  second.take(changes.standing.second);
  for (const id of gone) gallery.forget(id);
  if (moved || openBefore !== locked()) gallery.draw();
  count.show(changes);
  tally();
  alerts.show(changes.alerts);
  if (moved) viewer?.soon();
  head(changes);
  if (gallery.active && (moved ? gallery.active in changes.decisions : openBefore !== null && openBefore !== locked())) detail.show(cells.byId.get(gallery.active));
}

/** Whose slide it is, looked at or stated; the page then asks for what is new. */
function whose() {
  return openIdentity(base, mayDecide(), ask, async (stated) => {
    await answered;
    await call("POST", `${base}/identity`, stated).then(() => say(t("patient and order saved")), (error) => say(error.message, true));
    await sync();
  });
}

function head({ row, standing, failures }) {
  showIdentity({ row }, slide.shows_identity);
  $("#status").className = `chip ${row.status}`;
  $("#status").textContent = t(WORDS[row.status] ?? row.status);
  const p = row.progress;
  $("#progress").hidden = row.status !== "running";
  $("#progress").setAttribute("aria-valuenow", p.tiles ? Math.round((100 * p.tiles_done) / p.tiles) : 0);
  $("#progress span").style.width = `${p.tiles ? (100 * p.tiles_done) / p.tiles : 0}%`;
  $("#told").textContent = row.status === "running" ? t("{cells} cells, {done} of {tiles} tiles", { cells: p.cells, done: p.tiles_done, tiles: p.tiles }) : "";
  const signed = standing.signatures.at(-1);
  $("#signed").hidden = !signed;
  if (signed) {
    $("#signed").className = `chip ${standing.locked ? "signed" : "amending"}`;
    $("#signed").textContent = standing.locked ? t("v{version} signed by {by}", signed) : t("amending: v{version}", { version: standing.version });
    $("#signed").title = `${t("v{version} signed by {by}", signed)}, ${clock(signed.at)}`;
  }
  $("#held").hidden = locked() || !isTaken(row, person.name);
  $("#held").textContent = row.assigned_to && row.assigned_to !== person.name ? t("for {name}", { name: row.assigned_to }) : t("in review by {by}", { by: row.in_review_by });
  $("#onward").hidden = !locked() || person.role === "viewer";
  $("#undo").hidden = $("#telling").hidden = !mayDecide();
  $("#undo").disabled = !standing.can_undo || !mayDecide();
  $("#sign").hidden = locked() || person.role === "viewer";
  $("#amend").hidden = !locked() || person.role === "viewer";
  $("#decide").hidden = !mayDecide();
  $("#sign").disabled = !FINISHED.includes(row.status);
  notice($("#late"), standing.late_cells > 0 && plural(standing.late_cells, "1 cell was found after the signature: amend to include it.", "{count} cells were found after the signature: amend to include them."));
  notice($("#failures"), failures.length > 0 ? `${plural(failures.length, "1 failure", "{count} failures")}: ${sentence(failures.at(-1).what)}. ${sentence(failures.at(-1).hint)}` : row.reason && sentencesOf(row.reason));
  $("#no-cells").textContent = cells.byId.size ? t("No cell is shown: choose All cells.") : ["running", "seen"].includes(row.status) ? t("No cells to show yet.") : t("No cells were found on this slide.");
  showComments(standing.comments.filter((c) => !c.cell_id));
}

/** The comments on the slide and its places; those of a place are numbered as on the map, and lead there. */
function showComments(comments) {
  pins = comments.filter((c) => c.place_px0);
  $("#comments").replaceChildren(...comments.map((c) => h("li", { id: `comment-${c.number}` }, `${clock(c.at)} ${c.by}: ${c.text} `,
    c.place_px0 ? h("button", { type: "button", class: "pin", onclick: () => toPlace(c) }, t("Place {count}", { count: pins.indexOf(c) + 1 })) : "")));
  $("#comments-box").hidden = comments.length === 0;
  if (!viewer) return;
  viewer.pins = pins;
  viewer.soon();
}

function toPlace(comment) {
  tab("slide");
  viewer?.goTo(comment.place_px0);
}

/** A pin on the map was clicked. */
function readComment(comment) {
  say(`${comment.by}: ${comment.text}`);
  $(`#comment-${comment.number}`)?.scrollIntoView({ block: "nearest" });
}

/** The number of white cells that people have verified, against the number that the person wants to reach. */
function tally() {
  const white = new Set(slide.classes.filter((c) => c.white).map((c) => c.name));
  const here = [...cells.byId.values()].filter((cell) => white.has(cells.label(cell)));
  const done = here.filter((cell) => cells.decision(cell.id)).length;
  const goal = Math.min(Number($("#goal").value) || here.length, here.length);
  $("#tally").textContent = t("{count} of", { count: done });
  $("#tally-bar").hidden = !goal;
  $("#tally-bar").setAttribute("aria-valuenow", goal ? Math.min(100, Math.round((100 * done) / goal)) : 0);
  $("#tally-bar span").style.width = `${goal ? Math.min(100, (100 * done) / goal) : 0}%`;
  if (goal && done >= goal && tally.before < goal) say(t("{count} white cells verified", { count: done }));
  tally.before = done;
}

function notice(box, text) {
  box.hidden = !text;
  if (text) box.textContent = text;
}

/** Sends a request once those before it are answered, so that a person's own requests never conflict with each other. */
function request(path, body, done) {
  answered = answered.then(() => send(path, body, done));
  return answered;
}

/** Null where it was done, else the reason; where somebody else has decided since, the page loads what is new. */
async function send(path, body, done) {
  try {
    const changes = await call("POST", `${base}/${path}`, { saw: cells.number, row: cells.row, ...body });
    take(changes);
    if (done) say(done);
    if (changes.more) sync();
    return null;
  } catch (error) {
    say(error.message, true);
    if ([409, 423].includes(error.status)) await sync();
    return error.message;
  }
}

/** Decides on cells at once: they move and the next is chosen; the server is asked in order, and what it refuses is undone. */
function decide(action, label, ids = [...gallery.selected]) {
  if (!mayDecide()) return;
  if (!ids.length) { say(t("choose a cell first")); return; }
  const mine = (id) => cells.decision(id)?.by === person.name;
  const fresh = ids.filter((id) => !(mine(id) && (action === "confirm" || cells.decision(id).label === label)));
  const next = gallery.after(ids, mine);
  if (fresh.length) queue(action, label, fresh);
  else say(t("you have decided on these cells already"));
  gallery.draw();
  gallery.goOn(next);
}

function queue(action, label, ids) {
  const reading = second.on_now;
  const act = Symbol(action);
  const known = new Map(ids.map((id) => [id, cells.decisions.get(id)]));
  for (const id of ids) cells.showPending(id, { act, how: action, by: person.name, label: label ?? cells.label(cells.byId.get(id)) });
  const what = action === "confirm" ? t("confirmed") : title(label);
  answered = answered.then(async () => {
    const reason = reading ? await send("second-reading", { cell_ids: ids, label: action === "confirm" ? null : label }, `${plural(ids.length, "1 cell", "{count} cells")}: ${what}`)
      : changedMeanwhile(known) || await send("decisions", { action, cell_ids: ids, label: action === "reclassify" ? label : null }, `${plural(ids.length, "1 cell", "{count} cells")}: ${what}`);
    cells.settle(act, reason);
    gallery.draw();
    if (ids.includes(gallery.active)) detail.show(cells.byId.get(gallery.active));
  });
}

/** Who else has decided on these cells since the key was pressed, as the reason why it is not sent. */
function changedMeanwhile(known) {
  for (const [id, then] of known) {
    const now = cells.decisions.get(id);
    const by = (now ?? then)?.by;
    if (now?.number === then?.number || by === person.name) continue;
    const reason = t("{by} has changed this cell since: look at it again", { by });
    say(reason, true);
    return reason;
  }
  return null;
}

const rename = (name, ids) => decide(name === "unidentified" ? name : "reclassify", name, ids);
const confirm = () => decide("confirm");

/** Confirms the cells of one class that are in sight and that this person has not decided on, as a group; the next ones come into sight. */
function confirmInSight() {
  const ids = gallery.inSight().filter((id) => cells.decision(id)?.by !== person.name);
  if (!ids.length) { say(t("nothing in sight is left to confirm")); return; }
  decide("confirm", undefined, ids);
  const [next] = gallery.selected;
  if (next) gallery.toTop(next);
}
const unidentified = () => rename("unidentified");

/** The chosen cells side by side, at most six; one alone beside reference cells. */
function sideBySide() {
  const ids = [...gallery.selected];
  if (ids.length > 6) return say(t("choose two to six cells to compare"));
  if (ids.length < 1) return say(t("choose two to six cells first"));
  return trying(() => compare.open(ids));
}

/** Makes an element a place where cells can be dropped. */
function target(node, name) {
  node.addEventListener("dragover", (event) => { if (mayDecide()) { event.preventDefault(); node.classList.add("over"); } });
  node.addEventListener("dragleave", () => node.classList.remove("over"));
  node.addEventListener("drop", (event) => { event.preventDefault(); node.classList.remove("over"); rename(name, dropped(event)); });
}

/** A button beside a cell is about that cell, and about the others that are chosen with it. */
function actOn(cell, action) {
  decide(action, action === "unidentified" ? action : undefined, gallery.selected.has(cell.id) ? [...gallery.selected] : [cell.id]);
}

const dropped = (event) => event.dataTransfer.getData("text/plain").split(" ").filter((id) => cells.byId.has(id));

function chosen(cell, selected) {
  $("#selected").textContent = selected.size ? t("{count} selected", { count: selected.size }) : "";
  for (const button of document.querySelectorAll("#decide button, #decide select")) button.disabled = !selected.size;
  detail.show(cell).catch((error) => say(error.message, true));
  viewer?.show(cell);
}

function goTo(id) {
  if (cells.filter !== "all" && !gallery.spot(cells.byId.get(id))) { $("#filter").value = cells.filter = "all"; cells.sort(); gallery.draw(); }
  gallery.choose(id, "one", true);
}

/** What an alert is about: the class of its cell, or the slide. */
function called(alert) {
  const cell = cells.byId.get(alert.cell_id);
  return cell ? title(cells.label(cell)) : t("The slide");
}

function tab(name) {
  document.body.dataset.tab = name;
  for (const button of document.querySelectorAll("nav.tabs button")) button.setAttribute("aria-pressed", String(button.dataset.tab === name));
}

/** Opens a dialog with these values; resolves with its fields, or null where it was left. */
function ask(id, values = {}) {
  const box = $(id);
  const form = box.querySelector("form");
  form.reset();
  for (const [name, value] of Object.entries(values)) form.elements[name].value = value;
  box.showModal();
  box.scrollTop = 0; // where the field with the focus lies below, what stands above it is read first
  return new Promise((answer) => {
    box.addEventListener("close", () => answer(box.returnValue === "yes" ? Object.fromEntries(new FormData(form)) : null), { once: true });
  });
}

/** Comments on a cell, on a place (x, y) of the slide, or on the slide. */
async function comment(cell, place = null) {
  const about = cell ? t("About the chosen cell ({name})", { name: title(cells.label(cell)) }) : place ? t("About a place of the slide") : t("About the slide");
  $("#comment-about").textContent = about;
  const answer = await ask("#comment-box");
  if (answer?.text) await request("comments", { text: answer.text, cell_id: cell?.id ?? null, place_px0: place }, t("comment saved"));
  if (cell) detail.show(cell);
}

/** A comment on the middle of the picture, for who has no pointer. */
const commentHere = () => (viewer ? comment(null, viewer.middle()) : undefined);

async function sign() {
  await answered;
  await viewer?.overview.keep();
  const saw = cells.number; // what is signed is what the box shows
  const before = await call("GET", `${base}/before-signing`).catch((error) => say(error.message, true));
  if (!before) return;
  const open = alerts.open().length;
  const unknown = last.differential.find((line) => line.name === "unidentified").count;
  $("#sign-told").replaceChildren(
    h("p", {}, t("{slide}: {cells} cells, {white} white. Version {version}, signed as {name}, now.", { slide: last.row.name, cells: last.row.progress.cells, white: last.white_cells, version: last.standing.version, name: person.name })),
    unknown ? h("p", {}, plural(unknown, "1 cell is unidentified and outside the hundred per cent.", "{count} cells are unidentified and outside the hundred per cent.")) : "",
    open ? h("p", { class: "notice bad" }, plural(open, "1 alert is not acknowledged.", "{count} alerts are not acknowledged.")) : "",
    inWords(before.identity) && h("p", {}, inWords(before.identity)),
    before.seen_share === null ? "" : h("p", {}, t("You have had {percent} % of the slide on the screen at 0.5 µm a pixel or closer.", { percent: number(100 * before.seen_share, 0) })),
    before.missing ? h("p", { class: "notice bad" }, t("This laboratory's rule is not met: {what}.", { what: sentence(before.missing) })) : "",
    ...before.warnings.map((text) => h("p", { class: "notice" }, sentence(text))),
    ...before.changes.map((text) => h("p", {}, sentence(text))));
  const lines = new Map(last.differential.map((line) => [line.name, line]));
  const row = (c, percent, flag = "") => h("tr", { class: flag }, h("th", { scope: "row" }, t(c.title)),
    h("td", { class: "n" }, number(percent)), h("td", { class: "flag" }, FLAGS[flag] ?? ""), [c.count, c.single, c.together, c.count - c.single - c.together].map((n) => h("td", { class: "n" }, String(n))));
  const judged = before.red_classes.reduce((sum, c) => sum + c.count, 0);
  $("#verified").replaceChildren(...before.classes.map((c) => row(c, lines.get(c.name).percent, lines.get(c.name).flag)),
    judged ? h("tr", {}, h("th", { scope: "colgroup", colspan: "7" }, t("Red cells"))) : "",
    ...before.red_classes.map((c) => row(c, (100 * c.count) / judged)));
  const conclusion = last.standing.signatures.at(-1)?.comment ?? ""; // an amendment begins with the conclusion before it
  const answer = await ask("#sign-box", { comment: conclusion });
  if (answer) await request("signatures", { saw, comment: answer.comment || null, password: answer.password ?? "", name: answer.name ?? "", identity: before.identity_digest }, t("signed: the slide is locked"));
}

/** Who is to review the slide, and whether somebody waits for it. */
async function assign() {
  const { slides } = await call("GET", "api/slides");
  const names = new Set([person.name, ...slides.flatMap((row) => [row.assigned_to, row.in_review_by, row.signed_by])].filter(Boolean));
  $("#known-names").replaceChildren(...[...names].map((name) => h("option", { value: name })));
  const asked = ask("#assign-box", { assignee: last.standing.assigned_to });
  $("#stat").checked = last.row.stat;
  const answer = await asked;
  if (answer) await request("assignment", { assignee: answer.assignee.trim(), stat: answer.stat === "yes" }, answer.assignee.trim() ? t("assigned to {name}", { name: answer.assignee.trim() }) : t("assigned to nobody"));
}

/** Opens the slide that this person should take next. */
async function goNext() {
  const { slides } = await call("GET", "api/slides");
  const next = nextSlide(slides, person.name, slideId);
  if (next) location.assign(siteUrl(`slides/${next.slide_id}`));
  else say(t("no other slide is waiting for you"));
}

/** Counts a cell that no run has found, and chooses it. */
async function mark(box) {
  say(t("the cell is being classified\u2026"));
  const known = new Set(cells.byId.keys());
  const refused = await request("marks", { box_px0: box });
  const fresh = [...cells.byId.values()].find((cell) => cell.markedBy && !known.has(cell.id));
  if (refused || !fresh) return;
  say(t("marked: {name}", { name: title(cells.label(fresh)) }));
  goTo(fresh.id);
}

async function amend() {
  const answer = await ask("#amend-box");
  if (answer?.reason) await request("amendments", { reason: answer.reason }, t("open for amendment: sign again when done"));
}

function keys(event) {
  const busy = event.target.closest("input, textarea, select, dialog");
  if (busy) return;
  const control = event.ctrlKey || event.metaKey;
  if (control && event.key === "z") { event.preventDefault(); if (!event.repeat) undo(); return; }
  if (control || event.altKey) return;
  const of = slide.classes.find((c) => c.key === event.key.toLowerCase());
  const acts = {
    c: event.shiftKey ? confirmInSight : confirm, u: unidentified, m: () => (event.shiftKey ? commentHere() : comment(cells.byId.get(gallery.active))), n: nextAlert, a: seeThis,
    "?": () => $("#help-box").showModal(), g: toGallery, x: sideBySide, "+": () => viewer?.marking?.switch(true),
  };
  const act = of ? () => rename(of.name) : acts[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  if (!event.repeat) act(); // a key that is held down decides once
}

const undo = () => (second.on_now ? say(t("call the cell again to change your second reading")) : mayDecide() && (last.standing.can_undo || cells.pending.size) ? request("undo", {}, t("undone")) : say(t("there is nothing of yours to undo")));
async function see(ids) {
  if (!mayDecide() || !ids.length) return;
  for (const id of ids) alerts.sent.add(id);
  await request("acknowledgements", { alert_ids: ids }, plural(ids.length, "1 alert acknowledged", "{count} alerts acknowledged"));
  for (const id of ids) alerts.sent.delete(id);
  alerts.show(last.alerts);
}
function toGallery() {
  tab("cells");
  $("#gallery").focus();
  const first = cells.byId.get(gallery.active) ?? cells.classes.flatMap((c) => cells.groups.get(c.name))[0];
  if (first && !gallery.selected.size) gallery.choose(first.id, "one", true);
}

function nextAlert() {
  const alert = alerts.next();
  if (!alert) return say(t("no open alert"));
  if (alert.cell_id) return goTo(alert.cell_id);
  gallery.selected.clear(); // an alert of the whole slide: no key must decide on a cell by mistake
  gallery.draw();
  return chosen(null, gallery.selected);
}

/** Acknowledges the alert that N has gone to, or those of the chosen cell. */
function seeThis() {
  const at = alerts.current();
  const mine = at && (!at.cell_id || at.cell_id === gallery.active) ? [at] : alerts.open().filter((a) => a.cell_id && a.cell_id === gallery.active);
  if (mine.length) see(mine.map((a) => a.alert_id));
}

/** Shows the cells in the chosen order; what to review first is asked of the server each time. */
async function reorder() {
  cells.order = $("#order").value;
  if (cells.order === "telling") cells.rank(await call("GET", `${base}/review-order`));
  else cells.sort();
  gallery.draw();
}

/** Goes to the cell that nobody has decided on and that a look would teach most about. */
async function nextTelling() {
  await answered;
  const [id] = await call("GET", `${base}/review-order`);
  if (id) goTo(id);
  else say(t("every cell that tells more than others is reviewed"));
}

function addControls() {
  const names = slide.classes.map((c) => h("option", { value: c.name }, `${c.title}${c.key ? ` (${c.key})` : ""}`));
  $("#to").append(...names);
  $("#to").addEventListener("change", () => { if ($("#to").value) rename($("#to").value); $("#to").value = ""; });
  $("#confirm").addEventListener("click", confirm);
  $("#unidentified").addEventListener("click", unidentified);
  $("#compare").addEventListener("click", sideBySide);
  $("#assign").addEventListener("click", () => trying(assign));
  $("#versions").addEventListener("click", () => trying(() => showVersions(slideId, clock)));
  for (const button of [$("#next"), $("#onward")]) button.addEventListener("click", () => trying(goNext));
  for (const button of document.querySelectorAll("details.more button")) button.addEventListener("click", () => { $("details.more").open = false; });
  $("#order").addEventListener("change", () => trying(reorder));
  $("#telling").addEventListener("click", () => trying(nextTelling));
  $("#filter").addEventListener("change", () => { cells.filter = $("#filter").value; cells.sort(); gallery.draw(); });
  if (![...$("#goal").options].some((option) => option.value === String(slide.goal))) $("#goal").prepend(h("option", {}, String(slide.goal)));
  $("#goal").value = slide.goal;
  $("#goal").addEventListener("change", () => { tally(); trying(() => prefer({ goal: Number($("#goal").value) })); });
  $("#size").addEventListener("input", () => { gallery.size = Number($("#size").value); gallery.draw(); });
  $("#undo").addEventListener("click", undo);
  $("#sign").addEventListener("click", sign);
  $("#amend").addEventListener("click", amend);
  $("#taught").addEventListener("click", () => trying(() => openTaught(slide.classes.map((c) => c.name), person.role !== "viewer")));
  const { model_id: model, calibration } = slide.provenance;
  $("#taught-calibration").textContent = calibration ? t("This slide was judged by model {model}, calibrated on {calibration}.", { model, calibration }) : t("This slide was judged by model {model}, without a calibration to the laboratory.", { model });
  $("#whose").addEventListener("click", whose);
  $("#remark").addEventListener("click", () => comment(null));
  $("#help").addEventListener("click", () => $("#help-box").showModal());
  for (const button of document.querySelectorAll("nav.tabs button")) button.addEventListener("click", () => tab(button.dataset.tab));
  for (const button of document.querySelectorAll("dialog [data-close]")) button.addEventListener("click", () => button.closest("dialog").close("no"));
  $("#class-keys").append(...slide.classes.map((c) => keyLine(c)));
  $("#own-keys").addEventListener("submit", (event) => { event.preventDefault(); trying(keepKeys); });
  $("#first-keys").addEventListener("click", () => trying(async () => { await prefer({ keys: {} }); location.reload(); }));
  addEventListener("keydown", keys);
  addEventListener("beforeunload", (event) => { if (cells.pending.size) event.preventDefault(); }); // decisions are still on their way
}

/** A class with its key, which the person can change. */
function keyLine(of) {
  const fixed = of.name === "unidentified";
  const key = fixed ? h("kbd", {}, "0") : h("input", { class: "key", name: of.name, value: of.key, maxlength: 1, size: 1, autocomplete: "off", autocapitalize: "off", pattern: KEY, title: t("a digit from 1 to 9, or a letter that no other act has") });
  return h("label", {}, key, h("span", { class: "dot", style: { background: of.colour } }), of.title);
}

/** Keeps the keys of the form on the server; two classes of one key are shown, and nothing is kept. */
async function keepKeys() {
  const keys = Object.fromEntries([...new FormData($("#own-keys"))].map(([name, key]) => [name, key.toLowerCase()]).filter(([, key]) => key));
  const twice = Object.entries(keys).find(([name, key]) => Object.entries(keys).some(([other, one]) => other !== name && one === key));
  $("#keys-told").textContent = twice ? t("The key {key} is given twice.", { key: twice[1].toUpperCase() }) : "";
  if (twice) return;
  await prefer({ keys });
  location.reload();
}

/** Changes some of what this person has chosen for the page. */
async function prefer(change) {
  await call("POST", "api/preferences", { ...await call("GET", "api/preferences"), ...change });
  Object.assign(slide, "keys" in change ? { own_keys: change.keys } : change);
}

function openViewer() {
  const absent = (text) => $("#viewer").append(h("p", { class: "absent" }, text));
  if (viewerWord !== "yes") return absent(t("The slide viewer is not installed on this machine: pip install xstatic-leaflet. Everything else works."));
  if (slide.view.changed) return absent(t("The slide file has changed since it was read, so only its cells can be shown."));
  if (!slide.view.available) return absent(t("The slide file is no longer where it was read, so only its cells can be shown."));
  return import("./viewer.js").then(({ Viewer }) => {
    viewer = new Viewer($("#map"), slide.view, cells, slideId, { pick: (cell) => goTo(cell.id), pin: (place) => comment(null, place), comment: readComment });
    viewer.pins = pins;
    if (person.role !== "viewer") viewer.letMark((box) => (mayDecide() ? mark(box) : say(t("the slide is signed: amend it to mark a cell"))));
    viewer.show(cells.byId.get(gallery.active), 0); // a cell may have been chosen while this module was loading
  });
}

async function begin() {
  first = call("GET", `${base}/changes`);
  first.catch(() => null); // it is said where it is awaited
  [person, slide] = await Promise.all([me(), call("GET", base)]);
  for (const of of slide.classes) of.title = t(of.title);
  document.title = `${slide.name} \u2013 cytostream`;
  $("#name").textContent = [slide.name, ...slide.other_names].join(" = ");
  cells = new Cells(slide.classes);
  const touching = () => matchMedia("(pointer: coarse)").matches;
  compare = new Compare(slide, cells, { rename: (cell, name) => rename(name, [cell.id]), mayDecide });
  second = new SecondReading(slide, cells, person, { draw: () => { head(last); gallery.draw(); tally(); chosen(cells.byId.get(gallery.active), gallery.selected); }, go: (id) => goTo(id), sendAll: () => answered, labels: () => last.standing.second });
  detail = new Detail($("#detail"), slide, cells, { act: actOn, comment, mayDecide, beside: (...about) => compare.beside(...about) });
  gallery = new Gallery($("#gallery"), cells, slideId, { choose: chosen, target, touching, open: () => tab("detail") });
  count = new Count($("#count-rows"), slide, { go: (name) => { tab("cells"); gallery.toClass(name); }, target });
  alerts = new Alerts(slideId, { go: (id) => goTo(id), see, mayDecide, called, alike: (id) => compare.alike(cells.byId.get(id), LIKE_AN_ALERT) });
  addControls();
  await sync();
  openViewer();
  if (cells.byId.has(location.hash.slice(1))) goTo(location.hash.slice(1));
  else chosen(null, gallery.selected);
  document.body.dataset.ready = "yes";
  listen((rows) => { if (rows.some((row) => row.slide_id === slideId)) sync(); }, sync);
}

trying(begin);
