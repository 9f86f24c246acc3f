// Whose slide it is: the button that says so, and the dialog in which a person states it.
import { $, call, day, h, say } from "./page.js";
import { sentence, t } from "./texts.js";

const TITLES = { accession: t("Accession"), container: t("Container"), barcode: t("Barcode"), order: t("Order"), patient_id: t("Patient id"), patient_name: t("Patient"), birth_date: t("Born") };
const WORDS = { unknown: t("patient not known"), identified: t("no order fits"), matched: "", conflict: t("not settled"), signed: "" };
const SOURCES = { slide: t("the slide"), name: t("the file's name"), intake: t("the intake"), worklist: t("the worklist"), person: t("a person") };
const SHOWN = ["patient_name", "birth_date", "patient_id", "accession", "order", "container", "barcode"]; // as a report has them
/** The fields of an identity with their titles. */
export const inWords = (fields) => SHOWN.filter((name) => fields[name]).map((name) => `${TITLES[name]} ${name === "birth_date" ? day(fields[name]) : fields[name]}`).join(", ");

/** The button in the head of the page, from the row of the worklist. */
export function showIdentity({ row }, shown) {
  const button = $("#whose");
  button.hidden = !shown;
  button.className = { conflict: "bad", unknown: "warn", identified: "warn" }[row.identity] ?? "";
  button.textContent = [[row.patient, row.accession].filter(Boolean).join(", "), WORDS[row.identity]].filter(Boolean).join(": ") || t("Whose slide?");
}

/** Opens the dialog; `state` sends what the person has typed. */
export async function openIdentity(base, mayState, ask, state) {
  const said = await call("GET", `${base}/identity`).catch((error) => say(error.message, true));
  if (!said) return;
  const form = $("#whose-box form");
  const fill = (fields) => { for (const name of Object.keys(TITLES)) form.elements[name].value = fields[name] ?? ""; };
  $("#whose-told").replaceChildren(
    ...said.problems.map((text) => h("p", { class: "notice bad" }, sentence(text))),
    h("ul", {}, said.claims.map((claim) => h("li", {}, `${SOURCES[claim.source]}: ${inWords(claim.fields)}`))),
    ...(mayState ? said.orders.map((order) => h("button", { type: "button", onclick: () => fill(order) }, `${t("Order")}: ${inWords(order)}`)) : []));
  for (const name of Object.keys(TITLES)) form.elements[name].readOnly = !mayState;
  $("#whose-state").hidden = !mayState;
  const typed = await ask("#whose-box", Object.fromEntries(Object.keys(TITLES).map((name) => [name, said.fields[name] ?? ""])));
  if (typed && mayState) await state({ ...typed, saw: said.number });
}
