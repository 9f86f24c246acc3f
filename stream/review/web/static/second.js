// A second reading: one person calls the cells anew, blind to the first reader, and the agreement of the two.
import { $, call, h, number, siteUrl } from "./page.js";
import { plural, t } from "./texts.js";

const kappa = (value) => (value === null ? "" : number(value, 2));

export class SecondReading {
  /** `on.draw()` shows the cells again; `on.sendAll` resolves once all that was pressed is answered. */
  constructor(slide, cells, person, on) {
    Object.assign(this, { slide, cells, person, on });
    $("#second").addEventListener("click", () => this.begin());
    $("#second-end").addEventListener("click", () => this.end());
    $("#second-agree").addEventListener("click", () => this.agreement());
    $("#agreement").addEventListener("click", () => this.agreement());
  }

  get on_now() {
    return Boolean(this.cells.second);
  }

  begin() {
    if (this.person.role === "viewer") return;
    this.labels = this.on.labels();
    this.show();
  }

  async end() {
    await this.on.sendAll();
    this.labels = null;
    this.show();
  }

  /** What the server has of this person's second reading. */
  take(labels) {
    if (!this.on_now) return;
    this.labels = labels;
    this.cells.readAs(labels, this.person.name);
    this.tell();
  }

  show() {
    document.body.dataset.reading = this.labels ? "second" : "first";
    $("#second-bar").hidden = !this.labels;
    this.cells.readAs(this.labels, this.person.name);
    this.tell();
    this.on.draw();
  }

  tell() {
    if (this.labels) $("#second-told").textContent = plural(Object.keys(this.labels).length, "Second reading: your keys call the cells anew, the count stays. 1 cell read.", "Second reading: your keys call the cells anew, the count stays. {count} cells read.");
  }

  /** The agreement with the first reader, a table a second reader. */
  async agreement() {
    await this.on.sendAll();
    const said = await call("GET", `api/slides/${this.slide.slide_id}/agreement`);
    $("#agreed").replaceChildren(...(said.length ? said.map((one) => this.reader(one)) : [h("p", {}, t("Nobody has read this slide as a second reader yet."))]));
    $("#agree-box").showModal();
  }

  reader(one) {
    if (!one.cells) return h("p", {}, t("{reader}: no cell has been read by both yet.", { reader: one.reader }));
    const alike = t("{reader}: {alike} of {cells} cells that both have read are called alike", one);
    const head = one.kappa === null ? `${alike}.` : `${alike}; ${t("Cohen's kappa")} ${kappa(one.kappa)}.`;
    const rows = one.classes.map((c) => h("tr", {}, h("th", { scope: "row" }, t(c.title)), [c.first, c.second, c.both].map((n) => h("td", { class: "n" }, String(n))), h("td", { class: "n" }, kappa(c.kappa))));
    const names = [t("Class"), t("First"), t("Second"), t("Both"), t("Kappa")];
    return h("section", {}, h("p", {}, head),
      h("table", { class: "verified" }, h("thead", {}, h("tr", {}, names.map((name, place) => h("th", { scope: "col", class: place ? "n" : null }, name)))), h("tbody", {}, rows)),
      one.differ.length ? h("div", {}, h("h3", {}, t("Called differently")), h("div", { class: "panels", tabindex: 0, role: "group", "aria-label": t("cells that are called differently") }, one.differ.slice(0, 60).map((id) => h("button", { type: "button", class: "pick", "aria-label": t("show the cell"), onclick: () => { $("#agree-box").close(); this.on.go(id); } },
        h("img", { src: siteUrl(`api/slides/${this.slide.slide_id}/cells/${id}/image`), alt: "", loading: "lazy" }))))) : "");
  }
}

/** All versions of the count beside each other, with what differs from the one before in bold. */
export async function showVersions(slideId, clock) {
  const versions = (await call("GET", `api/slides/${slideId}/versions`)).slice(-4);
  const names = versions.at(-1).lines.filter((line) => versions.some((one) => count(one, line.name)));
  const head = (one) => h("th", { scope: "col", class: "n" }, h("a", { href: siteUrl(`slides/${slideId}/report?version=${one.version}`) }, `${t("Version")} ${one.version}`));
  const about = (title, text) => (versions.some(text) ? h("tr", {}, h("th", { scope: "row" }, title), versions.map((one) => h("td", { class: "n" }, text(one)))) : "");
  $("#versions-table").replaceChildren(h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("Class")), versions.map(head))),
    h("tbody", {}, names.map((line) => h("tr", {}, h("th", { scope: "row" }, t(line.title)), versions.map((one, place) => {
      const found = one.lines.find((each) => each.name === line.name);
      const changed = place > 0 && count(versions[place - 1], line.name) !== found.count;
      return h("td", { class: `n ${changed ? "changed" : ""}` }, `${found.count}${found.percent === null ? "" : ` (${number(found.percent)} %)`}`);
    }))),
    about(t("Signed"), (one) => (one.signed_by ? [`${one.signed_by}, `, h("span", { class: "at" }, clock(one.at))] : t("not signed"))),
    about(t("Opened by"), (one) => one.amended_by), about(t("Reason"), (one) => one.reason), about(t("Conclusion"), (one) => one.conclusion)));
  $("#versions-box").showModal();
}

const count = (version, name) => version.lines.find((line) => line.name === name)?.count ?? 0;
