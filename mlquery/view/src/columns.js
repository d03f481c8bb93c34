// Columns of runs as the page shows them: their names, values as text, order, and which ones to show at first.

import { durationLabel, numberLabel } from "./figures/labels.js";
import { valueAt } from "./figures/values.js";

const KEPT = "mlquery.columns";
const FIRST = ["run_name", "start_time", "duration", "status"];
const MOST_AT_FIRST = 10;
const collator = new Intl.Collator("en", { numeric: true });

/** Return what a column is a kind of ("metrics", "params", "tags" or "") and the rest of its name. */
export function parted(name) {
  const [, prefix = "", key = name] = name.match(/^(metrics|params|tags)\.(.*)$/s) ?? [];
  return { prefix, key };
}

export const isMetric = (name) => name.startsWith("metrics.");

/** Return the columns to show where nobody chose any: some attributes, and the metrics and params that most runs have. */
export function firstColumns(fields) {
  const known = new Set(fields.filter((field) => field.column !== false).map((field) => field.name));
  const most = (prefix, count) =>
    fields
      .filter((field) => field.name.startsWith(prefix) && field.column !== false)
      .sort((a, b) => b.count - a.count)
      .slice(0, count)
      .map((field) => field.name);
  const attributes = FIRST.filter((name) => known.has(name));
  const half = Math.floor((MOST_AT_FIRST - attributes.length + 1) / 2);
  return [...attributes, ...most("metrics.", half), ...most("params.", MOST_AT_FIRST - attributes.length - half)];
}

/** Return the columns that this browser kept, null if it kept none. */
export function keptColumns() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT));
    return Array.isArray(kept) && kept.every((name) => typeof name === "string") ? kept : null;
  } catch {
    return null; // there is no storage here, or something else in it
  }
}

export function keepColumns(names) {
  try {
    localStorage.setItem(KEPT, JSON.stringify(names));
  } catch {
    // the address keeps them too
  }
}

/** Return the text of a value of a column. */
export function textOf(name, kind, value) {
  if (value === null || value === undefined) return "";
  if (kind === "time") return new Date(value).toISOString().slice(0, 19).replace("T", " ");
  if (name === "duration") return durationLabel(value);
  if (kind === "number") return numberLabel(Number(value), 6);
  return value;
}

/** Return how rows compare by columns, each with whether it descends; missing values come last, as in MLflow. */
export function comparing(columns, order) {
  const keys = order.map(([name, descending]) => [columns[name], descending]);
  return (a, b) => {
    for (const [column, descending] of keys) {
      const found = compared(column && valueAt(column, a), column && valueAt(column, b), column?.kind, descending);
      if (found) return found;
    }
    return a - b;
  };
}

function compared(one, other, kind, descending) {
  const isMissing = (value) => value === null || value === undefined || (kind !== "string" && Number.isNaN(Number(value)));
  if (isMissing(one) || isMissing(other)) return isMissing(one) - isMissing(other);
  const found = kind === "string" ? collator.compare(one, other) || (one < other ? -1 : one > other ? 1 : 0) : Number(one) - Number(other);
  return descending ? -found : found;
}
