// Whose turn a slide is: what comes next for a person, by urgency and age.
const HELD_MS = 30 * 60 * 1000; // a slide on which somebody has decided so lately is in that person's hands

/** Whether another person has the slide in hand. */
export function isTaken(row, name) {
  const lately = row.in_review_at && Date.now() - Date.parse(row.in_review_at) < HELD_MS;
  return Boolean(row.assigned_to && row.assigned_to !== name) || Boolean(lately && row.in_review_by !== name);
}

export const isToSign = (row) => ["done", "failures"].includes(row.status) && row.review !== "signed";

/** In the order of work: what is waited for, then what has open alerts, then the oldest. */
export function byUrgency(a, b) {
  return b.stat - a.stat || (b.open_alerts > 0) - (a.open_alerts > 0) || (a.at ?? "").localeCompare(b.at ?? "");
}

/** The slide that a person should take next; undefined where there is none. */
export function nextSlide(rows, name, but) {
  return rows.filter((row) => row.slide_id !== but && isToSign(row) && !isTaken(row, name)).sort(byUrgency)[0];
}
