// The page of models: an admin chooses the one of new slides, or the one before, after a question.
import { $, call, trying } from "./page.js";

/** Asks in the dialog; true where the person says yes. */
function isSure(name) {
  const box = $("#choose-box");
  $("#chosen-name").textContent = name;
  box.returnValue = "";
  box.showModal();
  return new Promise((done) => { box.addEventListener("close", () => done(box.returnValue === "yes"), { once: true }); });
}

/** Sends the choice, and shows what is in use then. */
async function choose(name, path, body) {
  if (!(await isSure(name))) return;
  if (await trying(() => call("POST", path, body))) location.reload();
}

const use = $("#use");
use?.addEventListener("click", () => choose(use.dataset.name, "api/models/use", { name: use.dataset.name, model_id: use.dataset.modelId }));
for (const back of document.querySelectorAll("button.back")) {
  back.addEventListener("click", () => choose(back.dataset.name, "api/models/back", { kind: back.dataset.kind }));
}
