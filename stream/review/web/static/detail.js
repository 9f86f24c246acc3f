// One cell in full: what it is called and why, and on request maps, counterfactuals and the nearest known cells.
import { $, siteUrl, call, clock, h, number } from "./page.js";
import { inSentence, plural, sentence, t } from "./texts.js";

const KINDS = { wbc: inSentence(t("White cell")), platelet: inSentence(t("Platelet")), rbc: inSentence(t("Red cell")) };
const RESTS_MS = 250; // a person who stays on a cell for so long looks at it

export class Detail {
  constructor(box, slide, cells, on) {
    Object.assign(this, { box, slide, cells, on, asked: 0 });
    this.titles = new Map(slide.classes.map((c) => [c.name, c.title]));
  }

  /** Shows a cell; a later call replaces an earlier one. */
  async show(cell) {
    const asked = ++this.asked;
    clearTimeout(this.timer);
    this.left?.abort(); // what the cell before has asked for would keep a decision waiting: a browser has six connections
    this.left = new AbortController();
    if (!cell) return this.box.replaceChildren(h("p", { class: "dim" }, t("Choose a cell to see what it is called and why.")));
    await new Promise((done) => { this.timer = setTimeout(done, 120); }); // while a person moves through the gallery, only the last cell is loaded
    if (asked !== this.asked) return undefined;
    const says = await call("GET", `api/slides/${this.slide.slide_id}/cells/${cell.id}`, undefined, { signal: this.left.signal }).catch((error) => { if (asked === this.asked) throw error; });
    if (asked === this.asked) this.fill(cell, says);
    return undefined;
  }

  fill(cell, says) {
    const { verdict } = says;
    const reading = Boolean(this.cells.second);
    const decision = reading ? this.cells.decision(cell.id) : says.decision; // a second reader is blind to the first one
    const base = `api/slides/${this.slide.slide_id}/cells/${cell.id}`;
    const label = decision ? decision.label : verdict.label;
    const title = (name) => this.titles.get(name) ?? name;
    const mm = (px) => number((px * says.provenance.mpp) / 1000, 3);
    const facts = [
      [t("machine"), `${title(verdict.label)}, ${number(100 * verdict.scores[verdict.label], 1)} %${verdict.decided ? "" : `, ${t("undecided")}`}`],
      [t("people"), decision ? [t("{how} by {by}", { how: t(decision.how), by: decision.by }), decision.at && clock(decision.at)].filter(Boolean).join(", ") : t("not reviewed")],
      [t("anomaly"), `${number(verdict.anomaly.score, 3)}: ${sentence(verdict.anomaly.reason)}`],
      ...(verdict.marked_by ? [[t("marked"), t("by {by}: no run has found this cell", { by: verdict.marked_by })]] : []),
      [t("place"), `${says.cell.x_px0}, ${says.cell.y_px0} px (${mm(says.cell.x_px0)}; ${mm(says.cell.y_px0)} mm)`],
      [t("area"), `${number(says.cell.area_um2, 1)} \u00b5m\u00b2, ${KINDS[says.cell.kind] ?? says.cell.kind}`],
      [t("made by"), plural(verdict.draws, "model {model}, 1 draw", "model {model}, {count} draws", { model: says.provenance.model_id })],
    ];
    this.box.replaceChildren(
      h("div", { class: "face" },
        h("img", { src: siteUrl(`${base}/image?form=png`), alt: t("the cell, 36 µm wide: {name}", { name: title(label) }), width: 150, height: 150 }),
        h("div", {}, h("h2", {}, title(label)), h("p", { class: "looks" }, looksLike(verdict, title)))),
      this.on.mayDecide() ? h("div", { class: "acts" },
        h("button", { type: "button", onclick: () => this.on.act(cell, "confirm") }, t("Confirm"), " ", h("kbd", {}, "C")),
        h("button", { type: "button", onclick: () => this.on.act(cell, "unidentified") }, t("Unidentified"), " ", h("kbd", {}, "0")),
        h("button", { type: "button", onclick: () => this.on.comment(cell) }, t("Comment"), " ", h("kbd", {}, "M"))) : "",
      h("div", { id: "beside" }),
      this.probabilities(verdict.scores),
      h("dl", { class: "facts" }, facts.flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)])),
      h("div", { class: "acts" },
        h("button", { type: "button", disabled: !this.slide.reasons, onclick: (e) => this.reasons(base, e.target) }, t("Why this class?")),
        h("button", { type: "button", disabled: !this.slide.reasons, onclick: (e) => this.nearest(base, e.target) }, t("Nearest known cells"))),
      h("div", { id: "reasons" }),
      says.history.length && !reading ? h("h3", {}, t("History")) : "",
      h("ul", { class: "history" }, (reading ? [] : says.history).map((e) => h("li", {}, `${clock(e.at)} ${e.reviewer}: ${entryLine(e, title)}`))));
    const box = $("#beside");
    this.timer = setTimeout(() => this.on.beside(cell, label, box, this.left.signal), RESTS_MS);
  }

  probabilities(scores) {
    const rows = Object.entries(scores).sort((a, b) => b[1] - a[1]).slice(0, 6);
    return h("table", { class: "probs" }, h("caption", { class: "visually-hidden" }, t("Class probabilities")),
      h("tbody", {}, rows.map(([name, p]) => h("tr", {}, h("th", { scope: "row" }, this.titles.get(name) ?? name), h("td", { class: "n" }, `${number(100 * p, 1)} %`),
        h("td", {}, h("div", { class: "bar", "aria-hidden": "true" }, h("span", { style: { width: `${100 * p}%` } })))))));
  }

  async ask(path, button, draw) {
    const asked = this.asked;
    button.disabled = true;
    button.textContent = t("working\u2026");
    let made;
    try {
      made = draw(await call("GET", path, undefined, { signal: this.left.signal }));
    } catch (error) {
      made = [h("p", { class: "dim" }, error.message)];
    }
    if (asked !== this.asked) return;
    $("#reasons").append(...made);
    button.remove();
  }

  reasons(base, button) {
    return this.ask(`${base}/reasons`, button, (why) => [
      ...(why.words ? [h("p", { class: "words" }, sentence(why.words))] : []),
      h("h3", {}, t("Evidence for each class (red) and against it (blue)")),
      h("div", { class: "panels", tabindex: 0, role: "group", "aria-label": t("heat maps") }, h("figure", {}, h("img", { src: why.seen, alt: "" }), t("as the model sees it")),
        why.panels.map((p) => h("figure", {}, h("img", { src: p.heat, alt: t("heat map for {name}", { name: this.titles.get(p.label) }) }), this.titles.get(p.label)))),
      h("h3", {}, t("The cell as each class")),
      h("div", { class: "panels", tabindex: 0, role: "group", "aria-label": t("counterfactuals") }, why.panels.map((p) => h("figure", {}, h("img", { src: p.counterfactual, alt: t("the cell as {name}", { name: this.titles.get(p.label) }) }), this.titles.get(p.label)))),
      h("p", { class: "dim" }, t("by model {model}", { model: why.model_id }))]);
  }

  nearest(base, button) {
    return this.ask(`${base}/nearest`, button, (known) => [
      h("h3", {}, t("Nearest known cells")),
      h("div", { class: "panels", tabindex: 0, role: "group", "aria-label": t("nearest known cells") }, Object.entries(known.classes)
        .flatMap(([name, near]) => near.map((n) => ({ name, ...n }))).sort((a, b) => a.distance - b.distance).slice(0, 16)
        .map((n) => h("figure", {}, h("img", { src: n.picture, alt: t("a known {name}", { name: this.titles.get(n.name) ?? n.name }) }), `${this.titles.get(n.name) ?? n.name}, ${number(n.distance, 2)}`)))]);
  }
}

/** What the machine sees, in a sentence: the classes that it may be, and how unusual the cell is among normal ones. */
function looksLike(verdict, title) {
  const likely = Object.entries(verdict.scores).sort((a, b) => b[1] - a[1]).filter(([, p], place) => !place || p >= 0.05).slice(0, 3);
  const classes = likely.map(([name, p]) => `${inSentence(title(name))} ${number(100 * p)}\u00a0%`).join(", ");
  const of = Math.min(999, Math.floor(1000 * verdict.anomaly.score));
  return t("Looks like {classes}; more unusual than {of} of 1,000 normal cells.", { classes, of });
}

function entryLine(entry, title) {
  if (entry.action === "comment") return `\u201c${entry.comment}\u201d`;
  if (entry.action === "mark") return t("marked this cell");
  if (entry.action === "acknowledge") return t("acknowledged the alert");
  if (entry.action === "undo") return t("undid: {name}", { name: title(entry.label ?? "") });
  return `${t(entry.action)}: ${title(entry.was)} \u2192 ${title(entry.label)}`;
}
