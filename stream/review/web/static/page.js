// What every page shares: elements without markup from data, calls to the API, messages, the theme.
const TRIES = 4;
const LONGEST_WAIT_S = 5;
const root = document.documentElement;
const kept = localStorage.getItem("theme");
if (kept) root.dataset.theme = kept;

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
    super([body.detail, body.hint].filter((part) => typeof part === "string" && part).join(": ") || `the server says ${status}`);
    this.status = status;
    this.kind = body.kind;
  }
}

let stamp;
export async function me() {
  const person = await call("GET", "/api/me");
  stamp = { [person.header]: person.csrf };
  return person;
}

export async function call(method, path, body) {
  if (method !== "GET" && !stamp) await me();
  const headers = { ...(method === "GET" ? {} : stamp), ...(body ? { "Content-Type": "application/json" } : {}) };
  const answer = await fetched(path, { method, headers, body: body && JSON.stringify(body) });
  if (answer.status === 401 && location.pathname !== "/login") location.assign("/login");
  if (!answer.ok) throw new Refusal(answer.status, await answer.json().catch(() => ({})));
  return answer.status === 204 ? null : answer.json();
}

/** Asks the server; where it has more requests than it takes, waits as long as it says and asks again. */
async function fetched(path, options) {
  for (let tries = 1; ; tries++) {
    let answer;
    try {
      answer = await fetch(path, options);
    } catch {
      throw new Refusal(0, { detail: "the server does not answer", hint: "try again when the connection is back" });
    }
    const wait = answer.status === 429 && Number(answer.headers.get("Retry-After"));
    if (!wait || wait > LONGEST_WAIT_S || tries >= TRIES) return answer;
    await new Promise((done) => { setTimeout(done, 1000 * wait); });
  }
}

let until = 0; // how long the message in sight stays before another that is less urgent
let leaving;
/** One line that changes; `bad` ones stay longer and interrupt a screen reader. */
export function say(text, bad = false) {
  if (!bad && performance.now() < until) return;
  const lasts = bad ? 8000 : 3500;
  until = bad ? performance.now() + lasts : 0;
  clearTimeout(leaving);
  $("#toast").replaceChildren(h("span", { class: bad ? "bad" : "", role: bad ? "alert" : "status", title: text }, text));
  leaving = setTimeout(() => $("#toast").replaceChildren(), lasts);
}

/** Runs an act of the person; what is refused is said. */
export async function trying(act) {
  try {
    return await act();
  } catch (error) {
    say(error.message, true);
    return undefined;
  }
}

/** Changes as they happen; `again` is called whenever the line was cut and is back. */
export function listen(onRows, again) {
  const line = new EventSource("/api/live");
  const cut = $("#cut");
  line.addEventListener("message", (event) => {
    const told = JSON.parse(event.data);
    if (cut) cut.hidden = true;
    if (told.all) again();
    else onRows(told.slides);
  });
  line.addEventListener("error", () => {
    if (cut) cut.hidden = false;
  });
  addEventListener("pagehide", () => line.close());
}

export function clock(iso) {
  if (!iso) return "";
  const at = new Date(iso);
  const two = (n) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

export function number(value, digits = 1) {
  return value === null || value === undefined ? "" : value.toFixed(digits);
}

const toggle = $("#theme");
if (toggle) {
  toggle.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
  });
}
const leave = $("#logout");
if (leave) leave.addEventListener("click", () => trying(async () => { await call("POST", "/api/logout"); location.assign("/login"); }));
