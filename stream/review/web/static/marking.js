// Marking a cell that no run has found: a click on it, or a box drawn around it, in the viewer.
import { $ } from "./page.js";
import { t } from "./texts.js";

const CLICK_PX = 6; // a pointer that moves less than this on the screen has clicked

export class Marking {
  /** `viewer` has the map and turns places into level-0 px; `onMark` takes the box [x0, y0, x1, y1]. */
  constructor(viewer, onMark) {
    Object.assign(this, { viewer, onMark, on: false, from: null, to: null });
    $("#mark").addEventListener("click", () => this.switch(!this.on));
    const pane = viewer.map.getContainer();
    pane.addEventListener("pointerdown", (event) => this.begin(event), true);
    pane.addEventListener("pointermove", (event) => this.move(event), true);
    pane.addEventListener("pointerup", (event) => this.end(event), true);
    pane.addEventListener("pointercancel", () => this.stop(), true);
  }

  switch(on) {
    if (on) this.viewer.only("mark");
    this.on = on;
    this.stop();
    $("#mark").setAttribute("aria-pressed", String(on));
    $("#map").classList.toggle("measuring", on);
    $("#length").textContent = on ? t("Click a cell, or draw a box around it.") : "";
    if (on) this.viewer.map.dragging.disable();
    else this.viewer.map.dragging.enable();
  }

  begin(event) {
    if (!this.on || event.button || event.target.closest(".leaflet-control")) return;
    this.from = event;
    this.to = event;
  }

  move(event) {
    if (!this.from) return;
    this.to = event;
    this.viewer.drawn = this.box();
    this.viewer.soon();
  }

  end(event) {
    if (!this.from) return;
    this.to = event;
    const box = this.box();
    this.stop();
    this.switch(false);
    this.onMark(box);
  }

  stop() {
    this.from = null;
    this.viewer.drawn = null;
    this.viewer.soon();
  }

  /** What was drawn, in whole level-0 px on the slide; without a size where it was a click. */
  box() {
    const moved = Math.hypot(this.to.clientX - this.from.clientX, this.to.clientY - this.from.clientY);
    const ends = [this.from, moved < CLICK_PX ? this.from : this.to].map((event) => this.viewer.placeOf(event));
    const low = [0, 1].map((axis) => Math.max(0, Math.round(Math.min(ends[0][axis], ends[1][axis]))));
    const high = [0, 1].map((axis) => Math.max(low[axis], Math.round(Math.max(ends[0][axis], ends[1][axis]))));
    return [...low, ...high];
  }
}
