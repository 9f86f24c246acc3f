// The gallery: every cell in its class. Only what is in sight is in the document, so that it stays quick with any number of cells.
import { $, siteUrl, h } from "./page.js";
import { t } from "./texts.js";

const HEAD = 30;
const GAP = 6;
const PAD = 8;
const AHEAD = 400; // px beyond the visible part that are made ready

export class Gallery {
  constructor(box, cells, slideId, on) {
    Object.assign(this, { box, cells, slideId, on, size: 92, active: null, anchor: null, layout: [], shown: new Map(), heads: new Map() });
    if (matchMedia("(max-height: 340px)").matches) this.size = 60;
    this.selected = new Set();
    this.inner = h("div", { class: "inner", role: "presentation" });
    box.append(this.inner);
    box.addEventListener("scroll", () => this.soon(), { passive: true });
    box.addEventListener("click", (event) => this.click(event));
    box.addEventListener("dblclick", () => this.on.open());
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("dragstart", (event) => this.drag(event));
    new ResizeObserver(() => this.draw()).observe(box);
  }

  soon() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.paint(); });
  }

  /** Lays everything out again; the cell at the top stays where it is while others come in above it. */
  draw() {
    const held = this.topCell();
    const step = this.size + GAP;
    this.columns = Math.max(1, Math.floor((this.box.clientWidth - 2 * PAD + GAP) / step));
    let top = 0;
    this.layout = [];
    for (const c of this.cells.classes) {
      const group = this.cells.groups.get(c.name);
      if (!group.length) continue;
      const height = HEAD + 2 * PAD + Math.ceil(group.length / this.columns) * step - GAP;
      this.layout.push({ of: c, group, top, height });
      top += height;
    }
    this.inner.style.height = `${top}px`;
    $("#no-cells").hidden = this.layout.length > 0;
    if (held && this.box.scrollTop > 0) {
      const now = this.spot(held.cell);
      if (now) this.box.scrollTop = now.top - held.offset;
    }
    this.paint();
  }

  topCell() {
    const top = this.box.scrollTop;
    const part = this.layout.find((g) => g.top + g.height > top);
    if (!part) return null;
    const line = Math.max(0, Math.floor((top - part.top - HEAD - PAD) / (this.size + GAP)));
    const cell = part.group[Math.min(part.group.length - 1, line * this.columns)];
    const at = cell && this.spot(cell);
    return at ? { cell, offset: at.top - top } : null;
  }

  spot(cell) {
    const part = this.layout.find((g) => g.of.name === this.cells.label(cell));
    const at = part ? this.cells.place(part.group, cell) : -1;
    if (!part || part.group[at] !== cell) return null;
    return { part, at, ...this.corner(part, at) };
  }

  corner(part, at) {
    const step = this.size + GAP;
    return { top: part.top + HEAD + PAD + Math.floor(at / this.columns) * step, left: PAD + (at % this.columns) * step };
  }

  paint() {
    const from = this.box.scrollTop - AHEAD;
    const to = this.box.scrollTop + this.box.clientHeight + AHEAD;
    const step = this.size + GAP;
    const seen = this.layout.filter((part) => part.top + part.height >= from && part.top <= to).map((part) => {
      const first = Math.max(0, Math.floor((from - part.top - HEAD) / step)) * this.columns;
      const last = Math.min(part.group.length, Math.max(0, Math.ceil((to - part.top - HEAD) / step)) * this.columns);
      return { part, first, last };
    });
    const wanted = new Set(seen.flatMap(({ part, first, last }) => part.group.slice(first, last).map((cell) => cell.id)));
    const groups = new Set(seen.map(({ part }) => part.of.name));
    for (const [id, node] of this.shown) if (!wanted.has(id)) { node.remove(); this.shown.delete(id); }
    for (const [name, node] of this.heads) if (!groups.has(name)) { node.remove(); this.heads.delete(name); }
    for (const { part, first, last } of seen) {
      const holder = this.holder(part);
      let before = holder.firstChild; // the head; cells follow in their order, as a screen reader reads them
      for (let at = first; at < last; at++) before = this.thumb(part, at, holder, before);
    }
    if (this.active && this.shown.has(this.active)) this.box.setAttribute("aria-activedescendant", `cell-${this.active}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  holder(part) {
    let node = this.heads.get(part.of.name);
    if (!node) {
      node = h("div", { class: "group", role: "group", "aria-label": part.of.title, "data-class": part.of.name },
        h("div", { class: "head", role: "presentation" }, h("span", { class: "dot", style: { background: part.of.colour } }), h("span", {}, part.of.title), h("span", { class: "dim tally" })));
      this.heads.set(part.of.name, node);
      this.inner.append(node);
      this.on.target(node, part.of.name);
    }
    node.style.top = `${part.top}px`;
    node.style.height = `${part.height}px`;
    const tally = node.querySelector(".tally");
    if (tally.textContent !== String(part.group.length)) tally.textContent = part.group.length;
    return node;
  }

  thumb(part, at, holder, before) {
    const cell = part.group[at];
    let node = this.shown.get(cell.id);
    if (!node) {
      node = h("div", { class: "thumb", role: "option", id: `cell-${cell.id}`, "data-id": cell.id, draggable: true },
        h("img", { src: this.on.picture?.(cell) ?? siteUrl(`api/slides/${this.slideId}/cells/${cell.id}/image`), alt: "", decoding: "async", draggable: "false" }), h("span", { class: "tag" }));
      this.shown.set(cell.id, node);
    }
    if (before.nextSibling !== node) before.after(node);
    const { top, left } = this.corner(part, at);
    Object.assign(node.style, { top: `${top - part.top}px`, left: `${left}px`, width: `${this.size}px`, height: `${this.size}px` });
    this.decorate(node, cell, part, at);
    return node;
  }

  decorate(node, cell, part, at) {
    const decision = this.cells.decision(cell.id);
    const alert = this.cells.alerts.get(cell.id);
    const refused = this.cells.refused.get(cell.id);
    const state = `${part.of.name}|${decision?.number}|${decision?.how}|${refused}|${alert}|${this.selected.has(cell.id)}|${this.active === cell.id}|${at}|${part.group.length}`;
    if (node.dataset.state === state) return;
    node.dataset.state = state;
    node.querySelectorAll(".mark").forEach((mark) => mark.remove());
    if (alert) node.append(h("span", { class: alert === "open" ? "mark alert" : "mark alert", "aria-hidden": "true" }, alert === "open" ? "!" : "\u2713!"));
    if (cell.markedBy) node.append(h("span", { class: "mark by-hand", "aria-hidden": "true" }, "+"));
    if (refused) node.append(h("span", { class: "mark refused", "aria-hidden": "true" }, t("not saved")));
    else if (decision) node.append(h("span", { class: decision.act ? "mark sent" : "mark", "aria-hidden": "true" }, decision.how === "confirm" ? "\u2713" : "\u270e"));
    node.title = refused ? `${t("not saved")}: ${refused}` : "";
    node.querySelector(".tag").textContent = `${Math.round(100 * cell.sureness)}`;
    node.classList.toggle("active", this.active === cell.id);
    node.setAttribute("aria-selected", String(this.selected.has(cell.id)));
    node.setAttribute("aria-setsize", part.group.length);
    node.setAttribute("aria-posinset", at + 1);
    const words = [part.of.title, cell.markedBy && t("marked by {by}", { by: cell.markedBy }), t("{percent} per cent sure", { percent: Math.round(100 * cell.sureness) }), alert && t(`alert, ${alert}`), decision && t("{how} by {by}", { how: t(decision.how), by: decision.by }), refused && node.title];
    node.setAttribute("aria-label", words.filter(Boolean).join(", "));
  }

  /** A cell that is counted no more. */
  forget(id) {
    this.selected.delete(id);
    if (this.active === id) this.active = null;
    if (this.anchor === id) this.anchor = null;
    this.on.choose(null, this.selected);
  }

  click(event) {
    const node = event.target.closest(".thumb");
    if (!node) return;
    this.box.focus({ preventScroll: true });
    this.choose(node.dataset.id, event.shiftKey ? "range" : event.ctrlKey || event.metaKey || this.on.touching() ? "toggle" : "one");
  }

  drag(event) {
    const node = event.target.closest(".thumb");
    if (!node) return;
    if (!this.selected.has(node.dataset.id)) this.choose(node.dataset.id, "one");
    event.dataTransfer.setData("text/plain", [...this.selected].join(" "));
    event.dataTransfer.effectAllowed = "move";
  }

  /** Selects a cell: alone, added or taken away, or all from the anchor on. */
  choose(id, how = "one", bring = false) {
    const cell = this.cells.byId.get(id);
    if (!cell) return;
    if (how === "range" && this.anchor) this.range(this.anchor, id);
    else if (how === "toggle") this.selected.has(id) ? this.selected.delete(id) : this.selected.add(id);
    else if (how !== "walk") this.selected = new Set([id]);
    if (how !== "range") this.anchor = id;
    this.active = id;
    if (bring) this.bring(cell);
    this.paint();
    this.on.choose(cell, this.selected);
  }

  range(from, to) {
    const all = this.layout.flatMap((part) => part.group);
    const [a, b] = [from, to].map((id) => all.findIndex((cell) => cell.id === id)).sort((x, y) => x - y);
    this.selected = new Set(all.slice(Math.max(0, a), b + 1).map((cell) => cell.id));
  }

  bring(cell) {
    const at = this.spot(cell);
    if (!at) return;
    this.box.scrollIntoView({ block: "nearest" }); // in a low window the page itself scrolls
    const { scrollTop, clientHeight } = this.box;
    if (at.top < scrollTop + HEAD) this.box.scrollTop = at.top - HEAD - PAD;
    else if (at.top + this.size > scrollTop + clientHeight) this.box.scrollTop = at.top + this.size + PAD - clientHeight;
  }

  toClass(name) {
    const part = this.layout.find((g) => g.of.name === name);
    if (!part) return;
    this.box.scrollTop = part.top;
    this.choose(part.group[0].id);
    this.box.focus({ preventScroll: true });
  }

  key(event) {
    const far = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, Home: -1e9, End: 1e9, PageDown: this.columns * 4, PageUp: -this.columns * 4 }[event.key];
    if (far) {
      event.preventDefault();
      this.walk(far, event.shiftKey);
    } else if (event.key === " ") {
      event.preventDefault();
      if (this.active) this.choose(this.active, "toggle");
    } else if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.wholeClass();
    } else if (event.key === "Escape") {
      this.selected.clear();
      this.paint();
      this.on.choose(null, this.selected);
    } else if (event.key === "Enter") this.on.open();
  }

  walk(far, extend) {
    const all = this.layout.flatMap((part) => part.group);
    if (!all.length) return;
    const now = this.active ? all.findIndex((cell) => cell.id === this.active) : -1;
    const from = now >= 0 ? now : Math.abs(far) > 1e6 ? 0 : -far; // without an active cell, a step leads to the first
    const next = all[Math.min(all.length - 1, Math.max(0, from + far))];
    this.choose(next.id, extend ? "range" : "one", true);
  }

  wholeClass() {
    const cell = this.cells.byId.get(this.active);
    const part = cell && this.layout.find((g) => g.of.name === this.cells.label(cell));
    if (!part) return;
    this.selected = new Set(part.group.map((c) => c.id));
    this.paint();
    this.on.choose(cell, this.selected);
  }

  /** Ids of the cells of one class that are wholly in sight with their pictures: the chosen cell's class, else the topmost one. */
  inSight() {
    const { top, bottom } = this.box.getBoundingClientRect();
    const isWhole = (node) => { const at = node.getBoundingClientRect(); return at.top >= top && at.bottom <= bottom; };
    const isShown = ({ complete, naturalWidth }) => complete && naturalWidth > 0;
    const seen = (part) => part.group.map((cell) => cell.id).filter((id) => this.shown.has(id) && isShown(this.shown.get(id).querySelector("img")) && isWhole(this.shown.get(id)));
    const active = this.cells.byId.get(this.active);
    const own = active && this.layout.find((part) => part.of.name === this.cells.label(active));
    const parts = own ? [own, ...this.layout] : this.layout;
    return parts.map(seen).find((ids) => ids.length) ?? [];
  }

  /** Brings a cell to the top, so that the next ones are in sight. */
  toTop(id) {
    const at = this.spot(this.cells.byId.get(id));
    if (at) this.box.scrollTop = at.top - HEAD - PAD;
  }

  /** The cell to go on to after a decision on `ids`: the next in the gallery that `isDone` does not hold; undefined at the end. */
  after(ids, isDone) {
    const all = this.layout.flatMap((part) => part.group);
    const decided = new Set(ids);
    const from = decided.has(this.active) ? all.findIndex((cell) => cell.id === this.active) : all.findLastIndex((cell) => decided.has(cell.id));
    return all.slice(from + 1).find((cell) => !decided.has(cell.id) && !isDone(cell.id));
  }

  /** Goes on to a cell; without one nothing is selected, and the next key decides nothing. */
  goOn(cell) {
    if (cell) return this.choose(cell.id, "one", true);
    this.selected.clear();
    this.paint();
    return this.on.choose(this.cells.byId.get(this.active), this.selected);
  }
}
