// The whole slide in a corner of the viewer: what of it this person has had on the screen closely enough, what is on it now, and where comments are pinned.
import { call, h, number, say, siteUrl } from "./page.js";
import { t } from "./texts.js";

const LONGEST_PX = 88;
const RESTS_MS = 400; // what is on the screen for less is not seen
const KEPT_MS = 2000; // what is new is sent to the server this often

export class Overview {
  /** `viewer` moves to a place; what was seen is the server's, and grows on it. */
  constructor(viewer, box, slideId) {
    Object.assign(this, { viewer, path: `api/slides/${slideId}/seen`, grid: null, seen: null, fresh: 0, at: null });
    const { width_px0: width, height_px0: height, levels, tile_px: tile } = viewer.view;
    this.size = [width, height].map((side) => Math.max(24, Math.round((LONGEST_PX * side) / Math.max(width, height))));
    this.scale = this.size[0] / width;
    const level = levels - 1 - Math.max(0, Math.ceil(Math.log2(Math.max(width, height) / tile))); // the whole slide in one tile
    this.canvas = h("canvas", { width: this.size[0], height: this.size[1], role: "img", "aria-label": t("The whole slide") });
    this.said = h("span", {});
    this.box = h("div", { class: "overview" }, h("img", { src: siteUrl(`api/slides/${slideId}/tiles/${Math.max(0, level)}/0/0`), alt: "", width: this.size[0], height: this.size[1] }), this.canvas, this.said);
    this.canvas.addEventListener("pointerdown", (event) => this.jump(event));
    box.parentElement.append(this.box);
    addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") this.keep(); });
    addEventListener("pagehide", () => this.keep());
    this.begun = this.begin().catch(() => this.box.classList.add("plain"));
  }

  async begin() {
    const said = await call("GET", this.path);
    this.grid = said;
    this.seen = bits(said.squares);
    this.shade = h("canvas", { width: said.columns, height: said.rows });
    this.shadow();
    this.tell(said.share);
    this.at = null; // what is on the screen by now counts from here on
    this.viewer.soon();
  }

  jump(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    this.viewer.goTo([(event.clientX - left) / this.scale, (event.clientY - top) / this.scale], false);
  }

  /** The viewer shows these level-0 px, `scale` px of the screen for each. */
  show(box, scale) {
    const now = [...box, scale].join(" ");
    if (now !== this.at) {
      this.at = now;
      clearTimeout(this.resting);
      if (this.grid) this.resting = setTimeout(() => this.look(box, scale), RESTS_MS);
    }
    this.draw(box);
  }

  /** The person rests on what is shown: its squares are seen, where it is shown closely enough. */
  look([left, top, right, bottom], scale) {
    if (scale < 1 && this.viewer.mpp / scale > this.grid.enough_um) return;
    const { side_px0: side, columns, rows } = this.grid;
    const first = (from) => Math.max(0, Math.ceil(from / side - 0.5)); // a square is seen with its middle
    const last = (to, count) => Math.min(count - 1, Math.floor(to / side - 0.5));
    let fresh = 0;
    for (let row = first(top); row <= last(bottom, rows); row++) {
      for (let column = first(left); column <= last(right, columns); column++) {
        const place = row * columns + column;
        const bit = 128 >> place % 8;
        if (!(this.seen[place >> 3] & bit)) fresh += 1;
        this.seen[place >> 3] |= bit;
      }
    }
    if (!fresh) return;
    this.fresh += fresh;
    this.shadow();
    this.viewer.soon();
    this.keeping ??= setTimeout(() => this.keep(), KEPT_MS);
  }

  /** Sends what is new to the server; returns once it is kept. */
  async keep() {
    clearTimeout(this.keeping);
    this.keeping = null;
    if (!this.fresh) return;
    this.fresh = 0;
    try {
      const { squares, share } = await call("POST", this.path, { squares: btoa(String.fromCharCode(...this.seen)) }, { keepalive: true });
      bits(squares).forEach((byte, place) => { this.seen[place] |= byte; });
      this.tell(share); // with what another window has shown
    } catch (error) {
      this.fresh += 1;
      say(error.message, true);
    }
  }

  tell(share) {
    this.said.textContent = t("{percent} % seen", { percent: number(100 * share, 0) });
    this.canvas.setAttribute("aria-label", t("The whole slide: {percent} % of it were on the screen closely enough", { percent: number(100 * share, 0) }));
    this.box.dataset.share = share.toFixed(3);
  }

  /** Makes the shade over what has not been seen. */
  shadow() {
    const { columns, rows } = this.grid;
    const pixels = new ImageData(columns, rows);
    for (let place = 0; place < columns * rows; place++) {
      if (!(this.seen[place >> 3] & (128 >> place % 8))) pixels.data[4 * place + 3] = 110;
    }
    this.shade.getContext("2d").putImageData(pixels, 0, 0);
  }

  draw([left, top, right, bottom]) {
    const pen = this.canvas.getContext("2d");
    const { side_px0: side, columns, rows } = this.grid ?? {};
    pen.clearRect(0, 0, ...this.size);
    pen.imageSmoothingEnabled = false;
    if (this.grid) pen.drawImage(this.shade, 0, 0, columns * side * this.scale, rows * side * this.scale);
    pen.lineWidth = 2;
    for (const { place_px0: [x, y] } of this.viewer.pins) {
      pen.fillStyle = "#0b3d91";
      pen.strokeStyle = "#fff";
      pen.beginPath();
      pen.arc(x * this.scale, y * this.scale, 3.5, 0, 7);
      pen.stroke();
      pen.fill();
    }
    const within = (place, most) => Math.min(most - 1, Math.max(1, place * this.scale));
    const [x0, y0] = [within(left, this.size[0]), within(top, this.size[1])];
    pen.strokeStyle = "#d6336c";
    pen.strokeRect(x0, y0, Math.max(3, within(right, this.size[0]) - x0), Math.max(3, within(bottom, this.size[1]) - y0));
  }
}

const bits = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
