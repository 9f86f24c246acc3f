// The alerts, above everything else: each with its cell, its reason, and a button to acknowledge it.
import { $, siteUrl, h } from "./page.js";
import { sentence, t } from "./texts.js";

const WEIGHT = { urgent: 0, warning: 1, notice: 2 };

export class Alerts {
  constructor(slideId, on) {
    Object.assign(this, { slideId, on, all: [], known: "", sent: new Set(), at: null });
    $("#alerts-show").addEventListener("click", () => this.fold(!$("#alerts").classList.contains("folded")));
    $("#see-all").addEventListener("click", () => on.see(this.open().map((a) => a.alert_id)));
  }

  open() {
    return this.all.filter((a) => !a.seen_by && !this.sent.has(a.alert_id));
  }

  show(alerts) {
    const known = JSON.stringify(alerts.map((a) => [a.alert_id, a.seen_by]));
    if (known === this.known) return;
    this.known = known;
    this.all = [...alerts].sort((a, b) => Boolean(a.seen_by) - Boolean(b.seen_by) || WEIGHT[a.severity] - WEIGHT[b.severity] || Boolean(a.cell_id) - Boolean(b.cell_id) || b.score - a.score);
    $("#alerts").hidden = alerts.length === 0;
    $("#alerts-told").textContent = t("{open} open of {all}", { open: this.open().length, all: alerts.length });
    $("#alerts-told").classList.toggle("urgent", this.open().length > 0);
    this.fold(this.open().length === 0);
    $("#alerts-show").hidden = this.open().length > 0;
    $("#see-all").hidden = this.open().length === 0 || !this.on.mayDecide();
    $("#alert-strip").replaceChildren(...this.all.slice(0, 60).map((a) => this.card(a)));
    this.mark();
  }

  /** Alerts that have all been acknowledged leave their place to the cells. */
  fold(folded) {
    $("#alerts").classList.toggle("folded", folded);
    $("#alerts-show").textContent = folded ? t("Show") : t("Hide");
    $("#alerts-show").setAttribute("aria-expanded", String(!folded));
  }

  card(alert) {
    const reason = sentence(alert.reason);
    const picture = alert.cell_id ? h("button", { class: "pick", type: "button", "aria-label": `${t("show the cell")}: ${reason}`, onclick: () => this.goTo(alert) },
      h("img", { src: siteUrl(`api/slides/${this.slideId}/cells/${alert.cell_id}/image`), alt: "", loading: "lazy" })) : null;
    const act = alert.seen_by ? h("span", { class: "dim" }, t("acknowledged by {by}", { by: alert.seen_by }))
      : this.on.mayDecide() ? h("button", { type: "button", onclick: () => this.on.see([alert.alert_id]), "aria-label": `${t("Acknowledge")}: ${reason}` }, t("Acknowledge")) : null;
    return h("li", { class: `${alert.severity} ${alert.seen_by ? "seen" : ""} ${alert.cell_id ? "" : "whole"}`, "data-alert": alert.alert_id }, picture,
      h("div", { class: "about" }, h("div", { class: "who" }, h("span", {}, this.on.called(alert)), h("span", { class: `chip ${alert.severity}` }, t(alert.severity)), act), h("div", { class: "why", title: `${t(alert.severity)}: ${reason}` }, reason),
        alert.advice ? h("div", { class: "dim" }, sentence(alert.advice)) : null, this.evidence(alert)));
  }

  /** The cells that an alert of the slide rests on, the surest first; each leads to its place in the gallery. */
  evidence(alert) {
    if (!alert.cell_ids.length) return null;
    return h("div", { class: "evidence" }, alert.cell_ids.slice(0, 10).map((id) => h("button", { class: "pick", type: "button", "aria-label": t("show the cell"), onclick: () => this.on.go(id) },
      h("img", { src: siteUrl(`api/slides/${this.slideId}/cells/${id}/image`), alt: "", loading: "lazy" }))));
  }

  /** The open alert that N has gone to; null where it is none any more. */
  current() {
    return this.open().find((a) => a.alert_id === this.at) ?? null;
  }

  /** Goes to the next open alert, those of the whole slide too, and marks its card; undefined where there is none. */
  next() {
    const order = this.all.filter((a) => !a.seen_by);
    const place = order.findIndex((a) => a.alert_id === this.at);
    const open = new Set(this.open());
    const alert = [...order.slice(place + 1), ...order.slice(0, place + 1)].find((a) => open.has(a));
    this.at = alert?.alert_id;
    this.mark();
    return alert;
  }

  /** The alert of a cell that was chosen by its card. */
  goTo(alert) {
    this.at = alert.alert_id;
    this.mark();
    this.on.go(alert.cell_id);
  }

  /** Reviewed cells that look like the one of the alert, beside it; once a card. */
  async compare(card) {
    const alert = this.all.find((a) => a.alert_id === card.dataset.alert);
    if (!alert?.cell_id || card.dataset.compared) return;
    card.dataset.compared = "yes";
    const found = await this.on.alike(alert.cell_id).catch(() => ""); // what cannot be had is left out
    if (found) card.querySelector(".about").append(found);
    card.classList.toggle("wider", Boolean(found));
  }

  mark() {
    for (const card of document.querySelectorAll("#alert-strip li")) card.classList.toggle("at", card.dataset.alert === this.at);
    const at = document.querySelector("#alert-strip li.at");
    if (at) this.compare(at);
    document.querySelector("#alert-strip li.at")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}
