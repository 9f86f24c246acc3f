// The cells of the slide as the page knows them, grouped by what people call them, each group in the chosen order.
const ORDERS = {
  sure: (a, b) => b.sureness - a.sureness || a.row - b.row,
  unsure: (a, b) => a.sureness - b.sureness || a.row - b.row,
  odd: (a, b) => b.anomaly - a.anomaly || a.row - b.row,
  worst: (a, b) => b.worst - a.worst || a.row - b.row,
  telling: (a, b) => a.rank - b.rank || a.row - b.row,
  found: (a, b) => a.row - b.row,
};

export class Cells {
  constructor(classes) {
    this.classes = classes; // in order; a cell's machine label is a place in it
    this.byId = new Map();
    this.decisions = new Map(); // cell id -> the decision that the server has saved
    this.pending = new Map(); // cell id -> a decision that the server has not answered yet
    this.refused = new Map(); // cell id -> why its last decision was refused
    this.second = null; // cell id -> what this person calls it as a second reader, while reading so
    this.alerts = new Map(); // cell id -> open or acknowledged
    this.groups = new Map(classes.map((c) => [c.name, []]));
    this.order = "sure";
    this.filter = "all";
    this.row = 0;
    this.number = 0;
  }

  /** The decision about a cell: the one that is being sent, else the one that the server has saved. */
  decision(id) {
    return this.pending.get(id) ?? (this.second ?? this.decisions).get(id);
  }

  /** Shows what a second reader calls the cells, blind to the first reader; null shows the count again. */
  readAs(labels, by) {
    const how = (id, label) => (this.classes[this.byId.get(id)?.machine]?.name === label ? "confirm" : "reclassify");
    this.second = labels && new Map(Object.entries(labels).map(([id, label]) => [id, { label, by, how: how(id, label), number: 0 }]));
    this.sort();
  }

  label(cell) {
    const decision = this.decision(cell.id);
    return decision ? decision.label : this.classes[cell.machine].name;
  }

  fits(cell) {
    if (this.filter === "all") return true;
    const decision = this.decision(cell.id);
    if (this.filter === "open") return !decision;
    if (this.filter === "alerts") return this.alerts.has(cell.id);
    return Boolean(decision) && decision.label !== this.classes[cell.machine].name;
  }

  /** Adds what the server has beyond what is here; returns whether a cell is new or has moved. */
  take(changes) {
    const fresh = changes.cells.filter((c) => !this.byId.has(c[1])).map((c) => ({
      row: c[0], id: c[1], machine: c[2], sureness: c[3] / 1000, anomaly: c[4] / 1000, x: c[5], y: c[6], box: c.slice(7, 11), markedBy: c[11] ?? "",
    }));
    for (const cell of fresh) cell.rank = Number.MAX_SAFE_INTEGER;
    for (const cell of fresh) cell.worst = this.classes[cell.machine].name === "normal" ? 1 - cell.sureness : cell.sureness; // how sure it is that it is not normal
    for (const id of changes.unmarked ?? []) this.remove(id);
    const moved = Object.entries(changes.decisions);
    for (const [id, decision] of moved) this.move(id, () => (decision ? this.decisions.set(id, decision) : this.decisions.delete(id)));
    for (const alert of changes.alerts) if (alert.cell_id) this.alerts.set(alert.cell_id, alert.seen_by ? "acknowledged" : "open");
    for (const cell of fresh) {
      this.byId.set(cell.id, cell);
      this.row = Math.max(this.row, cell.row);
    }
    this.number = Math.max(this.number, changes.standing.number);
    if (fresh.length > 200) this.sort();
    else fresh.forEach((cell) => this.put(cell));
    return fresh.length > 0 || moved.length > 0;
  }

  /** A marked cell that was taken back. */
  remove(id) {
    const cell = this.byId.get(id);
    if (!cell) return;
    this.drop(cell);
    this.byId.delete(id);
    this.decisions.delete(id);
  }

  /** Takes the server's order of what to review; cells that are not in it come last. */
  rank(ids) {
    for (const cell of this.byId.values()) cell.rank = ids.length;
    ids.forEach((id, place) => { if (this.byId.has(id)) this.byId.get(id).rank = place; });
    this.sort();
  }

  sort() {
    for (const name of this.groups.keys()) this.groups.set(name, []);
    for (const cell of this.byId.values()) if (this.fits(cell)) this.groups.get(this.label(cell))?.push(cell);
    for (const group of this.groups.values()) group.sort(ORDERS[this.order]);
  }

  place(group, cell) {
    const before = ORDERS[this.order];
    let low = 0;
    let high = group.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (before(group[middle], cell) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Puts a cell into its group and place after `change`. */
  move(id, change) {
    const cell = this.byId.get(id);
    if (cell) this.drop(cell);
    change();
    if (cell) this.put(cell);
  }

  /** Shows a decision before the server has answered; its `act` distinguishes it from others on the same cell. */
  showPending(id, decision) {
    this.refused.delete(id);
    this.move(id, () => this.pending.set(id, decision));
  }

  /** Ends an act: its cells are shown as the server has them, with the reason where it was refused. */
  settle(act, reason) {
    for (const [id, decision] of [...this.pending]) {
      if (decision.act !== act) continue;
      this.move(id, () => this.pending.delete(id));
      if (reason) this.refused.set(id, reason);
    }
  }

  put(cell) {
    const group = this.groups.get(this.label(cell));
    if (group && this.fits(cell)) group.splice(this.place(group, cell), 0, cell);
  }

  drop(cell) {
    const group = this.groups.get(this.label(cell));
    const at = group ? this.place(group, cell) : -1;
    if (group && group[at] === cell) group.splice(at, 1);
  }
}
