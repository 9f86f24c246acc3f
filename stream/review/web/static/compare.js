// What a cell is looked at beside: other cells, reviewed ones that look like it, and reference cells of each class.
import { $, call, h, number, siteUrl } from "./page.js";
import { inSentence, sentence, t } from "./texts.js";

const MOST = 6;
const REFERENCE_ROWS = 4;

export class Compare {
  /** `on.rename(cell, name)` calls a cell by another class. */
  constructor(slide, cells, on) {
    Object.assign(this, { slide, cells, on, atlas: null });
    this.titles = new Map(slide.classes.map((c) => [c.name, c.title]));
  }

  title(name) {
    return this.titles.get(name) ?? name;
  }

  /** Which classes have reference cells; asked for once. */
  reference() {
    this.atlas ??= call("GET", "api/atlas").catch(() => ({ classes: {}, credit: "", generated: [] }));
    return this.atlas;
  }

  /** Reference cells of a class; nothing where there are none. */
  async row(name, most = MOST) {
    const { classes, credit, generated } = await this.reference();
    const count = Math.min(classes[name] ?? 0, most);
    if (!count) return "";
    return h("div", { class: "references" }, h("h3", {}, generated.includes(name) ? t("Generated likenesses, no photographs: {name}", { name: this.title(name) }) : t("Reference cells: {name}", { name: this.title(name) })),
      h("div", { class: "panels", tabindex: 0, role: "group", "aria-label": t("Reference cells: {name}", { name: this.title(name) }), title: credit },
        Array.from({ length: count }, (_, n) => h("img", { src: siteUrl(`api/atlas/${encodeURIComponent(name)}/${n}`), alt: this.title(name), loading: "lazy" }))));
  }

  /** Reviewed cells of all slides that look most like a cell, with what people called them. */
  async alike(cell, most = 10, more = {}) {
    const found = await call("GET", `api/slides/${this.slide.slide_id}/cells/${cell.id}/like?count=${most}`, undefined, more);
    if (!found.length) return "";
    const counts = new Map();
    for (const one of found) counts.set(one.label, (counts.get(one.label) ?? 0) + 1);
    const said = [...counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${this.title(name)} ${count}`).join(", ");
    return h("div", { class: "alike" }, h("h3", {}, t("Reviewed cells that look like it: {said}", { said })),
      h("div", { class: "panels", tabindex: 0, role: "group", "aria-label": t("reviewed cells that look like it") }, found.map((one) => h("a", { class: "figure", href: siteUrl(`slides/${one.slide_id}#${one.cell_id}`), title: t("{slide}, called so by {by}; distance {distance}", { slide: one.slide, by: one.by, distance: number(one.distance, 2) }) },
        h("img", { src: siteUrl(`api/slides/${one.slide_id}/cells/${one.cell_id}/image`), alt: "", loading: "lazy" }), this.title(one.label)))));
  }

  /** The words, look-alikes and reference cells beside a cell, as they come, until the person leaves it (`signal`). */
  async beside(cell, label, box, signal) {
    const words = call("GET", `api/slides/${this.slide.slide_id}/cells/${cell.id}/words`, undefined, { signal }).then((said) => (said.words ? h("p", { class: "words" }, sentence(said.words)) : ""));
    const reference = this.reference().then(({ generated }) => (generated.includes(label) ? "" : this.row(label))); // a coarse likeness helps nobody here
    const parts = [words, this.alike(cell, 10, { signal }), reference].map((part) => part.catch(() => "")); // what cannot be had is left out
    for (const part of parts) {
      const made = await part;
      if (!box.isConnected) return;
      box.append(made);
    }
  }

  /** Two to six cells side by side, each under the classes of which there are reference cells. */
  async open(ids) {
    const chosen = ids.slice(0, MOST).map((id) => this.cells.byId.get(id)).filter(Boolean);
    const said = await Promise.all(chosen.map((cell) => call("GET", `api/slides/${this.slide.slide_id}/cells/${cell.id}`)));
    $("#compared").replaceChildren(...chosen.map((cell, place) => this.column(cell, said[place].verdict)));
    $("#compared").style.setProperty("--columns", chosen.length);
    const rivals = said.flatMap(({ verdict }) => Object.entries(verdict.scores).sort((a, b) => b[1] - a[1]).slice(0, 2).map(([name]) => name));
    const names = [...new Set([...chosen.map((cell) => this.cells.label(cell)), ...rivals])].slice(0, REFERENCE_ROWS);
    $("#compared-references").replaceChildren(...await Promise.all(names.map((name) => this.row(name))));
    $("#atlas-credit").textContent = (await this.reference()).credit.split("\n").map(sentence).join(" ");
    $("#compare-box").showModal();
  }

  column(cell, verdict) {
    const label = this.cells.label(cell);
    const likely = Object.entries(verdict.scores).sort((a, b) => b[1] - a[1]).slice(0, 3);
    const to = h("select", { "aria-label": t("Reclassify to") }, h("option", { value: "" }, t("Reclassify\u2026")), this.slide.classes.map((c) => h("option", { value: c.name }, c.title)));
    const name = h("figcaption", {}, this.title(label));
    to.addEventListener("change", () => {
      if (!to.value) return;
      this.on.rename(cell, to.value);
      name.textContent = this.title(this.cells.label(cell));
      to.value = "";
    });
    return h("figure", {}, h("img", { src: siteUrl(`api/slides/${this.slide.slide_id}/cells/${cell.id}/image?form=png`), alt: t("the cell, 36 µm wide: {name}", { name: this.title(label) }) }), name,
      h("ul", {}, likely.map(([each, share]) => h("li", {}, `${this.title(each)} ${number(100 * share)}\u00a0%`))), this.on.mayDecide() ? to : "");
  }
}
