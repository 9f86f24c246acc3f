// Classes that the laboratory teaches: named, marked on cells, taught, and switched on after a look at what is to be expected.
import { $, call, h, number, say } from "./page.js";
import { sentence, t } from "./texts.js";

const percent = (share) => `${number(100 * share)} %`;
const range = ([low, high]) => t("{low} to {high}", { low: percent(low), high: percent(high) });

/** Opens the box of taught classes; `known` are the names that the page has, `may` whether the person may change anything. */
export async function openTaught(known, may) {
  const box = $("#taught-box");
  $("#taught-new").hidden = !may;
  const show = (classes) => $("#taught-list").replaceChildren(...classes.map((one) => line(one, may, act)));
  const act = async (path, body) => {
    try {
      const classes = await call("POST", `api/taught${path}`, body);
      show(classes);
      return classes;
    } catch (error) {
      say(error.message, true);
      return null;
    }
  };
  $("#taught-add").onclick = async () => {
    const classes = await act("", { name: $("#taught-name").value.trim() });
    if (!classes) return;
    $("#taught-name").value = "";
    if (classes.some((one) => !known.includes(one.name))) location.reload(); // with a line of the count and a key
  };
  show(await call("GET", "api/taught"));
  box.showModal();
}

function line(one, may, act) {
  const path = `/${encodeURIComponent(one.name)}`;
  const marked = t("{cells} cells on {slides} slides are called so by people.", { cells: one.marked_cells, slides: one.marked_slides });
  const figures = one.version ? [
    h("p", {}, t("Version {version} by {by}, from {cells} cells of {slides} slides. Held out by {held}:", { version: one.version, by: one.by || "?", cells: one.cells, slides: one.slides || "?", held: t(one.held_out_by) })),
    h("p", { class: "figures" }, t("finds {share} of its cells ({range}); calls {false} of other cells so ({range2}).", { share: percent(one.sensitivity), range: range(one.sensitivity_interval), false: percent(one.false_rate), range2: range(one.false_rate_interval) })),
    ...one.warnings.map((text) => h("p", { class: "notice" }, sentence(text))),
  ] : [];
  const acts = may ? h("div", { class: "row" },
    h("button", { type: "button", class: "teach", disabled: !one.marked_cells, onclick: () => act(`${path}/lesson`, {}) }, one.version ? t("Teach again") : t("Teach")),
    one.version ? h("button", { type: "button", class: "switch", onclick: () => act(`${path}/switch`, { on: !one.is_on }) }, one.is_on ? t("Switch off") : t("Switch on")) : null) : null;
  return h("li", { "data-taught": one.name }, h("h3", {}, one.name, " ", h("span", { class: "chip" }, one.is_on ? t("on") : t("off"))), h("p", {}, marked), figures, acts);
}
