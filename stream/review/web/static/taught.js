// Classes that the laboratory teaches: named, marked on cells, taught, and switched on after a look at what is to be expected.
import { $, call, h, say } from "./page.js";

const percent = (share) => `${Math.round(1000 * share) / 10} %`;
const range = ([low, high]) => `${percent(low)} to ${percent(high)}`;

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
  const marked = `${one.marked_cells} cells on ${one.marked_slides} slides are called so by people.`;
  const figures = one.version ? [
    h("p", {}, `Version ${one.version} by ${one.by || "unknown"}, from ${one.cells} cells of ${one.slides || "unknown"} slides. Held out by ${one.held_out_by}:`),
    h("p", { class: "figures" }, `finds ${percent(one.sensitivity)} of its cells (${range(one.sensitivity_interval)}); calls ${percent(one.false_rate)} of other cells so (${range(one.false_rate_interval)}).`),
    ...one.warnings.map((text) => h("p", { class: "notice" }, text)),
  ] : [];
  const acts = may ? h("div", { class: "row" },
    h("button", { type: "button", class: "teach", disabled: !one.marked_cells, onclick: () => act(`${path}/lesson`, {}) }, one.version ? "Teach again" : "Teach"),
    one.version ? h("button", { type: "button", class: "switch", onclick: () => act(`${path}/switch`, { on: !one.is_on }) }, one.is_on ? "Switch off" : "Switch on") : null) : null;
  return h("li", { "data-taught": one.name }, h("h3", {}, one.name, " ", h("span", { class: "chip" }, one.is_on ? "on" : "off")), h("p", {}, marked), figures, acts);
}
