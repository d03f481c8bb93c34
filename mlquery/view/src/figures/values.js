// Columns of the page as numbers and categories that can be drawn. What is no finite number has a state of its own.

import { durationLabel, numberLabel, timeLabel, visible } from "./labels.js";

export const NUMBER = 0;
export const MISSING = 1;
export const NAN = 2;
export const MINUS_INFINITY = 3;
export const INFINITY = 4;

// Beyond this, differences of two values are infinite; MLflow stores infinity as the largest number that there is.
const LARGE = 1e300;
const NUMERIC = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const SPECIAL = { nan: NaN, inf: Infinity, "+inf": Infinity, "-inf": -Infinity, infinity: Infinity, "-infinity": -Infinity };

/** Return the number of rows of a column. */
export const sizeOf = (column) => (column.codes ?? column.values).length;

/** Return the value of a row: a string, a number, "NaN", "Infinity" or "-Infinity", null where it has none. */
export function valueAt(column, row) {
  if (column.kind !== "string") return column.values[row];
  return column.codes[row] < 0 ? null : column.table[column.codes[row]];
}

/** Return the value of a row as people read it; `name` is that of the column. */
export function textOf(column, row, name = "") {
  const value = valueAt(column, row);
  if (value === null) return "missing";
  return column.kind === "string" ? visible(value) : labelOf(name, column.kind)(Number(value));
}

/** Return how the numbers of a column are written. */
export function labelOf(name, kind) {
  if (kind === "time") return timeLabel;
  return name === "duration" ? durationLabel : numberLabel;
}

/** Return whether all values can be read as numbers: metrics, times, and params that hold nothing but numbers. */
export function isNumeric(column) {
  if (column.kind !== "string") return true;
  const used = column.table;
  return used.some((string) => NUMERIC.test(string)) && used.every((string) => !Number.isNaN(numberOf(string)) || isNan(string));
}

const isNan = (string) => string.toLowerCase() === "nan";

function numberOf(string) {
  return NUMERIC.test(string) ? Number(string) : (SPECIAL[string.toLowerCase()] ?? NaN);
}

/** Return `values` and `states` of a numeric column; a value counts only where the state is NUMBER. */
export function numbersOf(column) {
  const size = sizeOf(column);
  const values = new Float64Array(size);
  const states = new Uint8Array(size);
  const parsed = column.kind === "string" ? column.table.map(numberOf) : null;
  for (let row = 0; row < size; row += 1) {
    const given = parsed ? (column.codes[row] < 0 ? null : parsed[column.codes[row]]) : column.values[row];
    values[row] = Number(given);
    states[row] = stateOf(given, values[row]);
  }
  return { values, states };
}

function stateOf(given, value) {
  if (given === null || given === undefined) return MISSING;
  if (Number.isNaN(value)) return NAN;
  return value > LARGE ? INFINITY : value < -LARGE ? MINUS_INFINITY : NUMBER;
}

/** Return the smallest and the largest number, null if there is none; `admits` may leave values out. */
export function extentOf({ values, states }, admits = () => true) {
  let low = Infinity;
  let high = -Infinity;
  for (let row = 0; row < values.length; row += 1) {
    if (states[row] !== NUMBER || !admits(values[row])) continue;
    low = Math.min(low, values[row]);
    high = Math.max(high, values[row]);
  }
  return low <= high ? [low, high] : null;
}

const collator = new Intl.Collator("en", { numeric: true });

/** Return the distinct strings of a column that some row has, in the order in which people look for them. */
export function categoriesOf(column) {
  const used = new Set(column.codes);
  const found = column.table.filter((_, code) => used.has(code));
  return found.sort((a, b) => collator.compare(a, b) || (a < b ? -1 : 1));
}

/** Return the column as categories: `names` in order, and for each row the place of its own, -1 where it has none. */
export function categorical(column) {
  if (column.kind !== "string") return categorical(asStrings(column));
  const names = isNumeric(column) ? sortedByNumber(categoriesOf(column)) : categoriesOf(column);
  const places = new Map(names.map((name, place) => [name, place]));
  const ofCode = column.table.map((name) => places.get(name) ?? -1);
  return { names, places: Int32Array.from(column.codes, (code) => (code < 0 ? -1 : ofCode[code])) };
}

function sortedByNumber(names) {
  const rank = (name) => (isNan(name) ? Infinity : numberOf(name));
  return names.sort((a, b) => (rank(a) === rank(b) ? (a < b ? -1 : 1) : rank(a) - rank(b)));
}

function asStrings(column) {
  const table = [...new Set(column.values.filter((value) => value !== null).map(String))];
  const codes = new Map(table.map((string, code) => [string, code]));
  return { kind: "string", table, codes: column.values.map((value) => (value === null ? -1 : codes.get(String(value)))) };
}
