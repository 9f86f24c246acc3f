// What every page needs: elements whose texts are never markup, calls to the API, messages, the theme.
import { openStream } from "./stream.js";
import { language, sentence, t } from "./texts.js";

const BASE = new URL("..", import.meta.url); // also where a proxy serves the page under a path
const TRIES = 4;
const LONGEST_WAIT_S = 5;
const root = document.documentElement;
const kept = localStorage.getItem("theme");
if (kept) root.dataset.theme = kept;

/** The address of a path of this site, as "api/slides". */
export const siteUrl = (path) => new URL(path, BASE).href;

/** An element; text children are text, never markup. */
export function h(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name === "style") Object.assign(made.style, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return made;
}

export const $ = (selector) => document.querySelector(selector);

/** A refusal of the server: `status`, `kind`, and a message with the next step. */
export class Refusal extends Error {
  constructor(status, body) {
    super([body.detail, body.hint].filter((part) => typeof part === "string" && part).map(sentence).join(": ") || t("the server answered with status {status}", { status }));
    this.status = status;
    this.kind = body.kind;
  }
}

let stamp;
export async function me() {
  const person = await call("GET", "api/me");
  stamp = { [person.header]: person.csrf };
  return person;
}

/** Asks the API; `more` are further options of `fetch`. */
export async function call(method, path, body, more = {}) {
  if (method !== "GET" && !stamp) await me();
  const headers = { ...(method === "GET" ? {} : stamp), ...(body ? { "Content-Type": "application/json" } : {}) };
  const answer = await fetched(siteUrl(path), { method, headers, body: body && JSON.stringify(body), ...more });
  if (answer.status === 401 && location.href !== siteUrl("login")) location.assign(siteUrl("login"));
  if (!answer.ok) throw new Refusal(answer.status, await answer.json().catch(() => ({})));
  return answer.status === 204 ? null : answer.json();
}

/** Asks the server; where it has more requests than it takes, waits as long as it says and asks again. */
async function fetched(path, options) {
  for (let tries = 1; ; tries++) {
    let answer;
    try {
      answer = await fetch(path, options);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Refusal(0, { detail: "the server does not answer", hint: "try again when the connection is back" });
    }
    const wait = answer.status === 429 && Number(answer.headers.get("Retry-After"));
    if (!wait || wait > LONGEST_WAIT_S || tries >= TRIES) return answer;
    await new Promise((done) => { setTimeout(done, 1000 * wait); });
  }
}

let until = 0; // until when a less urgent message does not replace the one that is shown
let leaving;
/** Shows a message in one line; `bad` ones stay longer and interrupt a screen reader. */
export function say(text, bad = false) {
  if (!bad && performance.now() < until) return;
  const lasts = bad ? 8000 : 3500;
  until = bad ? performance.now() + lasts : 0;
  clearTimeout(leaving);
  $("#toast").replaceChildren(h("span", { class: bad ? "bad" : "", role: bad ? "alert" : "status", title: text }, text));
  leaving = setTimeout(() => $("#toast").replaceChildren(), lasts);
}

/** Runs an action of the person; a refusal is shown. */
export async function trying(act) {
  try {
    return await act();
  } catch (error) {
    say(error.message, true);
    return undefined;
  }
}

/** The stream of this page: through the worker that all tabs share, or of its own where the browser has none. Returns how to close it. */
function connect(onMessage) {
  if (!globalThis.SharedWorker) return openStream(onMessage);
  const { port } = new SharedWorker(siteUrl("static/stream_worker.js"), { type: "module", name: stamp ? Object.values(stamp)[0] : "" });
  port.addEventListener("message", (event) => onMessage(event.data));
  port.start();
  return () => { port.postMessage("closed"); port.close(); };
}

/** Changes as they happen; `again` is called when the connection is there, also after it was interrupted. */
export async function listen(onRows, again) {
  if (!stamp) await me().catch(() => null); // each session has its own stream
  const cut = $("#cut");
  const onMessage = (message) => {
    cut.hidden = !message.cut;
    document.body.dataset.live = message.cut ? "no" : "yes";
    if (message.all || message.refused) again(); // refused: perhaps the session has ended, and then this leads to the login
    else if (message.slides) onRows(message.slides);
  };
  let close = connect(onMessage);
  addEventListener("pagehide", () => close());
  addEventListener("pageshow", (event) => { if (event.persisted) close = connect(onMessage); }); // back from the browser's cache
}

export function clock(iso) {
  if (!iso) return "";
  const at = new Date(iso);
  const two = (n) => String(n).padStart(2, "0");
  if (language === "de") return `${two(at.getDate())}.${two(at.getMonth() + 1)}.${at.getFullYear()} ${two(at.getHours())}:${two(at.getMinutes())}`;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** A date, YYYY-MM-DD, as the language writes it. */
export const day = (date) => (language === "de" ? date.replace(/^(\d{4})-(\d\d)-(\d\d)$/, "$3.$2.$1") : date);

export function number(value, digits = 1) {
  return value === null || value === undefined ? "" : value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false });
}

const toggle = $("#theme");
if (toggle) {
  toggle.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
  });
}
const chosen = $("#language");
if (chosen) {
  chosen.addEventListener("change", () => trying(async () => {
    const kept = await call("GET", "api/preferences");
    await call("POST", "api/preferences", { ...kept, language: chosen.value });
    location.reload();
  }));
}
addEventListener("click", (event) => { // a menu closes once something else is clicked
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
const leave = $("#logout");
if (leave) leave.addEventListener("click", () => trying(async () => { await call("POST", "api/logout"); location.assign(siteUrl(leave.dataset.to)); }));
