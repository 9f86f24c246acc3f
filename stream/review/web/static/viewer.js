// The slide with its cells over it. Leaflet moves and zooms the picture; the boxes are drawn on one canvas.
/* global L */
import { Marking } from "./marking.js";
import { Overview } from "./overview.js";
import { $, h, number, siteUrl } from "./page.js";
import { t } from "./texts.js";

const BAR_PX = 120; // the scale bar is at most this wide
const RESTS_MS = 150;
const REACH_PX0 = 2048; // beyond the slide's edge, so that a cell at the edge can be in the middle of a large screen
const PIN_PX = 12; // a click within this of a pin is on it
const NAMED_FROM_PX = 46; // a box this wide on the screen has its label written beside it

export class Viewer {
  constructor(box, view, cells, slideId, on) {
    Object.assign(this, { cells, on, pins: [], view, active: null, goal: null, whole: true, mpp: view.mpp, shown: "all", points: null });
    this.scale = view.levels - 1;
    const corner = (x, y) => this.map.unproject([x, y], this.scale);
    this.map = L.map(box, { crs: L.CRS.Simple, minZoom: 0, maxZoom: this.scale + 2, zoomSnap: 0.5, attributionControl: false, zoomAnimation: !matchMedia("(prefers-reduced-motion: reduce)").matches });
    this.corner = corner;
    const bounds = L.latLngBounds(corner(0, view.height_px0), corner(view.width_px0, 0));
    const layer = L.tileLayer("", { tileSize: view.tile_px, maxNativeZoom: this.scale, maxZoom: this.scale + 2, bounds, noWrap: true, keepBuffer: 1 });
    layer.getTileUrl = ({ x, y, z }) => siteUrl(`api/slides/${slideId}/tiles/${z}/${x}/${y}`);
    layer.on("tileload", ({ tile }) => natural(tile, view.tile_px));
    layer.addTo(this.map);
    this.map.setMaxBounds(bounds.pad(Math.max(0.5, REACH_PX0 / Math.min(view.width_px0, view.height_px0))));
    this.bounds = bounds;
    this.fit();
    this.canvas = document.createElement("canvas");
    this.canvas.className = "boxes";
    this.canvas.setAttribute("aria-hidden", "true");
    box.append(this.canvas);
    this.map.on("move zoom zoomend moveend resize", () => this.soon());
    this.map.on("zoomanim", () => this.clear());
    this.map.on("dragstart zoomstart", () => this.leave());
    this.drawn = null; // the box of a cell that is being marked
    this.map.on("click", (event) => this.click(event.latlng));
    this.overview = new Overview(this, box, slideId);
    new ResizeObserver(() => this.resize()).observe(box);
    this.names = new Map(cells.classes.map((c) => [c.name, c]));
    this.addControls(box.parentElement);
  }

  /** The buttons of the viewer: fit, full screen, what is outlined, measuring, and how the picture is shown. */
  addControls(frame) {
    const shown = $("#outlined");
    shown.append(...this.cells.classes.map((c) => h("option", { value: c.name }, c.title)));
    shown.addEventListener("change", () => { this.shown = shown.value; this.soon(); });
    $("#fit").addEventListener("click", () => this.fit());
    $("#full").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : frame.requestFullscreen()));
    $("#measure").addEventListener("click", () => this.measuring(!this.points));
    frame.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      if (this.points) this.measuring(false);
      if (this.marking?.on) this.marking.switch(false);
      if (this.pinning) this.pin(false);
    });
    $("#pin").addEventListener("click", () => this.pin(!this.pinning));
    for (const slider of document.querySelectorAll("#picture input")) slider.addEventListener("input", () => this.tone());
    $("#plain").addEventListener("click", () => { $("#picture form").reset(); this.tone(); });
    $("#viewer-acts").hidden = false;
  }

  /** Brightness, contrast and gamma of what is on the screen; the pixels that are scored stay as they are. */
  tone() {
    const value = (name) => Number($(`#picture input[name=${name}]`).value);
    for (const channel of document.querySelectorAll("#gamma-filter [exponent]")) channel.setAttribute("exponent", 1 / value("gamma"));
    const plain = ["brightness", "contrast", "gamma"].every((name) => value(name) === 1);
    this.map.getPane("tilePane").style.filter = plain ? "" : `brightness(${value("brightness")}) contrast(${value("contrast")}) url(#gamma-filter)`;
  }

  /** Lets the person mark cells; `onMark` takes the box in level-0 px. */
  letMark(onMark) {
    this.marking = new Marking(this, onMark);
    $("#mark").hidden = false;
    $("#pin").hidden = false;
  }

  /** The place of a pointer in level-0 px. */
  placeOf(event) {
    const { x, y } = this.map.project(this.map.mouseEventToLatLng(event), this.scale);
    return [x, y];
  }

  measuring(on) {
    if (on) this.only("measure");
    this.points = on ? [] : null;
    $("#measure").setAttribute("aria-pressed", String(on));
    $("#map").classList.toggle("measuring", on);
    $("#length").textContent = on ? t("Click two points.") : "";
    this.soon();
  }

  /** Ends what else a click in the picture may mean. */
  only(act) {
    if (act !== "mark" && this.marking?.on) this.marking.switch(false);
    if (act !== "measure" && this.points) this.measuring(false);
    if (act !== "pin" && this.pinning) this.pin(false);
  }

  /** The next click says where a comment is pinned. */
  pin(on) {
    if (on) this.only("pin");
    this.pinning = on;
    $("#pin").setAttribute("aria-pressed", String(on));
    $("#map").classList.toggle("measuring", on);
    $("#length").textContent = on ? t("Click the place that the comment is about.") : "";
  }

  click(latlng) {
    if (this.marking?.on) return;
    if (this.points) { this.measure(latlng); return; }
    const { x, y } = this.map.project(latlng, this.scale);
    if (!this.pinning) { this.pick(x, y); return; }
    this.pin(false);
    this.on.pin(this.onSlide(x, y));
  }

  /** A place in whole level-0 px, on the slide. */
  onSlide(x, y) {
    return [[x, this.view.width_px0], [y, this.view.height_px0]].map(([place, size]) => Math.min(size - 1, Math.max(0, Math.round(place))));
  }

  /** The middle of the picture, for who has no pointer. */
  middle() {
    const { x, y } = this.map.project(this.map.getCenter(), this.scale);
    return this.onSlide(x, y);
  }

  /** Takes a point; the second one gives the length in um, the third begins anew. */
  measure(place) {
    const { x, y } = this.map.project(place, this.scale);
    this.points = this.points.length === 1 ? [...this.points, [x, y]] : [[x, y]];
    $("#length").textContent = this.points.length === 2 ? `${number(this.lengthUm())} \u00b5m` : t("Click the second point.");
    this.soon();
  }

  lengthUm() {
    const [[x0, y0], [x1, y1]] = this.points;
    return Math.hypot(x1 - x0, y1 - y0) * this.mpp;
  }

  soon() {
    if (!this.waiting) this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }

  /** The whole slide, also after the window has another size. */
  fit() {
    this.leave();
    this.map.fitBounds(this.bounds, { animate: false });
    this.whole = true;
    this.goal = null;
  }

  /** The person moves the picture: it is not moved to a cell that was chosen before. */
  leave() {
    clearTimeout(this.moving);
    this.whole = false;
  }

  /** The middle of the picture stays the middle. */
  resize() {
    this.map.invalidateSize();
    if (this.whole) this.fit();
    this.soon();
  }

  clear() {
    this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  draw() {
    const { x: width, y: height } = this.map.getSize();
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== width * ratio || this.canvas.height !== height * ratio) {
      Object.assign(this.canvas, { width: width * ratio, height: height * ratio });
      Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const origin = this.map.latLngToContainerPoint(this.corner(0, 0));
    const scale = this.map.getZoomScale(this.map.getZoom(), this.scale);
    const [left, top] = [-origin.x / scale, -origin.y / scale];
    const [right, bottom] = [left + width / scale, top + height / scale];
    pen.font = "11px system-ui, sans-serif";
    let drawn = 0;
    const outline = (cell) => {
      const [x0, y0, x1, y1] = cell.box;
      if (x1 < left || x0 > right || y1 < top || y0 > bottom) return;
      this.box(pen, cell, (x0 - left) * scale, (y0 - top) * scale, Math.max(3, (x1 - x0) * scale), Math.max(3, (y1 - y0) * scale));
      drawn += 1;
    };
    for (const cell of this.cells.byId.values()) if (cell.id !== this.active && this.isOutlined(cell)) outline(cell);
    const chosen = this.cells.byId.get(this.active);
    if (chosen) outline(chosen); // the last one, so that no other outline crosses its name
    this.canvas.dataset.boxes = drawn;
    this.map.getContainer().dataset.middle = this.isInMiddle(width, height) ? this.goal.id : "";
    this.pins.forEach(({ place_px0: [x, y] }, at) => pinAt(pen, (x - left) * scale, (y - top) * scale, at + 1));
    this.canvas.dataset.pins = this.pins.length;
    this.overview.show([left, top, right, bottom], scale);
    if (this.points?.length) this.line(pen, left, top, scale);
    if (this.drawn) this.frame(pen, this.drawn.map((place, n) => (place - (n % 2 ? top : left)) * scale));
    this.bar(pen, height, scale);
  }

  isOutlined(cell) {
    if (this.shown === "all" || cell.id === this.active) return true;
    if (this.shown === "alerts") return this.cells.alerts.has(cell.id);
    return this.shown === this.cells.label(cell);
  }

  /** A bar of a round length, 1, 2 or 5 times a power of ten of micrometres. */
  bar(pen, height, scale) {
    const um = BAR_PX * this.mpp / scale;
    const power = 10 ** Math.floor(Math.log10(um));
    const round = [5, 2, 1].find((n) => n * power <= um) * power;
    const width = (round * scale) / this.mpp;
    pen.fillStyle = "#fffc";
    pen.fillRect(8, height - 30, width + 12, 24);
    pen.fillStyle = "#000";
    pen.fillRect(14, height - 12, width, 3);
    pen.fillText(round < 1000 ? `${round} \u00b5m` : `${round / 1000} mm`, 14, height - 17);
  }

  frame(pen, [x0, y0, x1, y1]) {
    pen.lineWidth = 2;
    pen.strokeStyle = "#000";
    pen.setLineDash([5, 4]);
    pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
    pen.setLineDash([]);
  }

  line(pen, left, top, scale) {
    const at = this.points.map(([x, y]) => [(x - left) * scale, (y - top) * scale]);
    pen.lineWidth = 2;
    pen.strokeStyle = "#000";
    pen.fillStyle = "#ffe14d";
    if (at.length === 2) {
      pen.beginPath();
      pen.moveTo(...at[0]);
      pen.lineTo(...at[1]);
      pen.stroke();
    }
    for (const [x, y] of at) pen.fillRect(x - 3, y - 3, 6, 6);
  }

  box(pen, cell, x, y, w, tall) {
    const of = this.names.get(this.cells.label(cell));
    const here = cell.id === this.active;
    pen.lineWidth = here ? 4 : this.cells.alerts.has(cell.id) ? 3 : 1.5;
    pen.strokeStyle = here ? "#000" : of.colour;
    pen.strokeRect(x, y, w, tall);
    if (here) {
      pen.lineWidth = 2;
      pen.strokeStyle = "#ffe14d";
      pen.strokeRect(x, y, w, tall);
    }
    if (w < NAMED_FROM_PX && !here) return;
    const text = of.title;
    pen.fillStyle = "#000c";
    pen.fillRect(x, y - 15, pen.measureText(text).width + 8, 14);
    pen.fillStyle = "#fff";
    pen.fillText(text, x + 4, y - 4);
  }

  /** The comment that is pinned here, else the cell. */
  pick(x, y) {
    const reach = PIN_PX / this.map.getZoomScale(this.map.getZoom(), this.scale);
    const pinned = this.pins.find(({ place_px0: at }) => Math.hypot(at[0] - x, at[1] - y) < reach);
    if (pinned) { this.on.comment(pinned); return; }
    const inside = [...this.cells.byId.values()].filter((c) => x >= c.box[0] && x <= c.box[2] && y >= c.box[1] && y <= c.box[3]);
    const area = (c) => (c.box[2] - c.box[0]) * (c.box[3] - c.box[1]);
    const cell = inside.sort((a, b) => area(a) - area(b))[0];
    if (cell) this.on.pick(cell);
  }

  /** Whether the picture shows the cell that was chosen last in its middle. */
  isInMiddle(width, height) {
    if (!this.goal) return false;
    const { x, y } = this.map.latLngToContainerPoint(this.corner(this.goal.x, this.goal.y));
    return Math.hypot(x - width / 2, y - height / 2) < 2;
  }

  /** Marks the chosen cell and brings it into the middle once the person rests on it; without a cell the picture stays. */
  show(cell, restsMs = RESTS_MS) {
    this.active = cell?.id ?? null;
    this.soon();
    if (!cell) return;
    this.goal = cell;
    clearTimeout(this.moving); // while a person goes from cell to cell by keys, no tiles are asked for
    if (restsMs) this.moving = setTimeout(() => this.centre(), restsMs);
    else this.centre();
  }

  /** Brings a place in level-0 px into the middle. */
  goTo([x, y], closely = true) {
    this.leave();
    this.goal = null;
    this.map.setView(this.corner(x, y), closely ? Math.max(this.map.getZoom(), this.scale) : this.map.getZoom(), { animate: false });
  }

  centre() {
    this.map.setView(this.corner(this.goal.x, this.goal.y), Math.max(this.map.getZoom(), this.scale), { animate: false });
    this.whole = false;
  }
}

/** The mark of a pinned comment, with its number in the list. */
export function pinAt(pen, x, y, number) {
  pen.beginPath();
  pen.arc(x, y, 9, 0, 7);
  pen.fillStyle = "#0b3d91";
  pen.fill();
  pen.lineWidth = 2;
  pen.strokeStyle = "#fff";
  pen.stroke();
  pen.fillStyle = "#fff";
  pen.textAlign = "center";
  pen.fillText(String(number), x, y + 4);
  pen.textAlign = "start";
}

/** A tile at the edge of the slide has fewer pixels: it covers as much less, so that no pixel is drawn larger than others. */
function natural(tile, tilePx) {
  tile.style.width = `${(parseFloat(tile.style.width) * tile.naturalWidth) / tilePx}px`;
  tile.style.height = `${(parseFloat(tile.style.height) * tile.naturalHeight) / tilePx}px`;
}
