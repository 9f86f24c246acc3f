// The differential count: it changes with every cell and every decision, and cells can be dropped on its lines.
import { $, h, number } from "./page.js";
import { t } from "./texts.js";

export const FLAGS = { low: t("\u2193 L"), high: t("\u2191 H") };

export class Count {
  constructor(body, slide, on) {
    Object.assign(this, { body, on });
    this.lines = new Map(slide.classes.map((of) => [of.name, this.line(of)]));
    body.append(...this.lines.values());
    this.totals = new Map();
  }

  // a class of the classical differential that the model has in finer classes
  total(line) {
    const reference = line.low === null ? "" : `${line.low}\u2013${line.high}`;
    const row = h("tr", { "data-total": line.name }, h("th", { scope: "row" }, t(line.title)), h("td", { class: "n count-n" }), h("td", { class: "n percent" }),
      h("td", { class: "n per100" }), h("td", { class: "n reference" }, reference), h("td", { class: "flag" }));
    this.body.append(row);
    this.totals.set(line.name, row);
    return row;
  }

  line(of) {
    const name = h("button", { type: "button", class: "plain name", title: t("go to {name}", { name: of.title }), onclick: () => this.on.go(of.name) },
      of.key ? h("kbd", {}, of.key.toUpperCase()) : h("kbd", { "aria-hidden": "true" }, "\u00a0"), h("span", { class: "dot", style: { background: of.colour } }), h("span", {}, of.title));
    const reference = of.low === null ? "" : `${of.low}\u2013${of.high}`;
    const row = h("tr", { "data-class": of.name }, h("th", { scope: "row" }, name), h("td", { class: "n count-n" }), h("td", { class: "n percent" }),
      h("td", { class: "n per100" }), h("td", { class: "n reference" }, reference), h("td", { class: "flag" }));
    this.on.target(row, of.name);
    return row;
  }

  show(changes) {
    for (const line of changes.differential) this.put(this.lines.get(line.name), line);
    for (const line of changes.totals) this.put(this.totals.get(line.name) ?? this.total(line), line);
    $("#white").textContent = t("{white} white cells of {cells} cells", { white: changes.white_cells, cells: changes.row.progress.cells });
  }
  put(row, line) {
    const put = (selector, text) => { const cell = row.querySelector(selector); if (cell.textContent !== text) cell.textContent = text; };
    put(".count-n", String(line.count));
    put(".percent", number(line.percent));
    put(".per100", number(line.per_100));
    row.querySelector(".flag").title = line.flag ? t("{flag} against {low} to {high}", { flag: t(line.flag), low: line.low, high: line.high }) : "";
    put(".flag", line.count || line.flag === "low" ? FLAGS[line.flag] ?? "" : "");
    row.className = `${line.flag} ${line.count ? "" : "none"}`;
    if (line.interval) row.querySelector(".percent").title = t("95 % interval {low} to {high}", { low: number(line.interval[0]), high: number(line.interval[1]) });
  }
}
