// The texts of the page in the person's language: English texts are the keys of the catalogue that the page carries.
export const { lang: language } = document.documentElement;
const { texts, words, sentences } = JSON.parse(document.getElementById("texts")?.textContent ?? '{"texts":{},"words":{},"sentences":{}}');
const NUMBER = /^[-+]?[\d,]+(\.\d+)?$/;
const PLACE = /\{(\w+)\}/g;
const WRITTEN = ["by", "names", "reader", "reason"]; // what persons have written stays as it is
const CLASSES = ["label", "rival", "second"]; // of one cell: by their titles
const JOINED = /-(?=(?:neutrophil|lymphocyte|cell)s?\b)/g; // of the name of a class
const CODE = /\x60([^\x60]*)\x60/g;

const fill = (text, values) => text.replace(PLACE, (whole, name) => (name in values ? String(values[name]) : whole));

/** A text of the page; `values` take the places of names in braces. */
export function t(text, values = {}) {
  return fill(texts[text] ?? words[text] ?? sentences[text] ?? text, values);
}

/** The one text for a count of 1, the other for all others; both may name {count}. */
export const plural = (count, one, other, values = {}) => t(count === 1 ? one : other, { count, ...values });

/** The title of a class within a sentence: German keeps its capitals. */
export const inSentence = (title) => (language === "de" ? title : title.toLowerCase());

const patterns = Object.entries(sentences).map(([text, to]) => ({
  to, names: [...text.matchAll(PLACE)].map((found) => found[1]),
  shape: new RegExp(`^${text.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(PLACE, (_, name) => (name === "value" ? "([-+\\d.,]+)" : "(.+?)"))}$`, "s"),
})).sort((a, b) => b.shape.source.length - a.shape.source.length); // the most specific one fits

/** A sentence that the server has made, with its values, in the person's language; one that the catalogue has not stays as it is. */
export function sentence(said) {
  if (!said) return said;
  return language === "en" ? said.replace(JOINED, " ").replace(CODE, "\u201c$1\u201d") : translated(said).replace(CODE, "\u201e$1\u201c");
}

function translated(said) {
  const known = sentences[said] ?? words[said];
  if (known) return known;
  if (NUMBER.test(said)) return said.replace(/[.,]/g, (sign) => (sign === "." ? "," : "."));
  for (const { to, names, shape } of patterns) {
    const found = said.match(shape);
    if (found) return fill(to, Object.fromEntries(names.map((name, place) => [name, at(name, found[place + 1])])));
  }
  return said;
}

/** Several sentences that the server has put together. */
export const sentencesOf = (said) => said.split("; ").map(sentence).join("; ");

/** What stands at a place of a sentence; at `said`, another sentence. */
function at(name, said) {
  if (WRITTEN.includes(name)) return said;
  return CLASSES.includes(name) ? classTitle(said) : name === "said" ? sentence(said) : value(said);
}

/** The title of a class by its name: "band-neutrophil" as "Band neutrophil". */
function classTitle(name) {
  const title = name[0].toUpperCase() + name.slice(1).replaceAll("-", " ");
  return words[title] ?? words[name] ?? title;
}

/** A value within a sentence: a number, a name, or several. */
function value(said) {
  const parts = sentences[said] || words[said] || NUMBER.test(said) ? [said] : said.split(/(, (?!all)| or |\+)/);
  return parts.map((part) => (part === " or " ? " oder " : sentence(part))).join("");
}
