// The data of a report, which is in its file: answers like those of the live source, from what Python computed. Groups,
// tests and importance stay those of all its runs; columns and curves follow the runs that are asked for.

import { comparing } from "./columns.js";
import { comparisonsOf, OPERATORS, Refused, testOf } from "./plain_filter.js";
import { smoothed } from "./smoothing.js";
import { columnOf, curveOf, summed, unpacked } from "./unpacking.js";

const ROUNDED = "Curves are drawn through at most 200 points a run, whose values are rounded to 1/65,532 of the range of the curve and whose times to 1/4,095; smoothing works on these points. The table has exact values.";
const MOST_VALUES = 1000;

/** Return the source that reads the data inside the document. */
export async function embeddedSource(document) {
  return sourceOf(await unpacked(document.getElementById("mlquery-data").textContent));
}

/** Return the source of unpacked data, see mlquery/comparison/report_data.py. */
export function sourceOf(data) {
  const report = reportOf(data);
  return {
    about: async () => aboutOf(report),
    runs: async (details = {}) => runsOf(report, details),
    values: async (field) => valuesOf(report, field),
    compare: async (details) => comparisonOf(report, details),
    curves: async (details) => curvesOf(report, details),
    importance: async ({ run_ids: ids, metric }) => importanceOf(report, ids, metric),
    run: async (id) => runOf(report, id),
    models: async ({ run_ids: ids = null } = {}) => modelsOf(report, ids),
  };
}

function reportOf(data) {
  const columns = columnsOf(data.columns);
  const rowOf = new Map(data.run_ids.map((id, row) => [id, row]));
  return { ...data, columns, rowOf, size: data.run_ids.length };
}

const columnsOf = (packed) => Object.fromEntries(Object.entries(packed).map(([name, column]) => [name, columnOf(column)]));

const kindOf = (report, name) => report.columns[name]?.kind;

// What there is

function aboutOf(report) {
  const fields = Object.entries(report.columns).map(([name, column]) => ({
    name,
    kind: column.kind,
    count: (column.codes ?? column.values).filter((value) => value !== null && value !== -1).length,
    written: writtenOf(name),
    column: true,
  }));
  const operators = { metric: OPERATORS.number, param: OPERATORS.string, tag: OPERATORS.string, attribute: OPERATORS.string, number: OPERATORS.number };
  return { ...report.about, live: false, fixed: true, filter: "plain", fields, runs: report.size, language: { operators, joins: ["AND"] }, curves: report.curves.map((one) => one.metric), note: ROUNDED };
}

/** Return how a filter names a column, null if it cannot. */
function writtenOf(name) {
  const [, prefix, key] = name.match(/^(metrics|params|tags)\.(.*)$/s) ?? [];
  if (!prefix) return `attributes.${name}`;
  if (/^[\w/-]*\w(\.[\w/-]*\w)*$/.test(key)) return name;
  return key.includes("`") ? (key.includes('"') ? null : `${prefix}."${key}"`) : `${prefix}.\`${key}\``;
}

function valuesOf(report, field) {
  const column = report.columns[field];
  if (column?.kind !== "string") return { values: [], total: 0 };
  const counts = new Map();
  for (const code of column.codes) if (code >= 0) counts.set(code, (counts.get(code) ?? 0) + 1);
  const found = [...counts].map(([code, count]) => [column.table[code], count]).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return { values: found.slice(0, MOST_VALUES), total: found.length };
}

// Runs

function runsOf(report, { experiments = null, filter = "", order = [], view = "active", offset = 0, limit = 200, columns = [] }) {
  let rows;
  try {
    rows = found(report, filter, experiments, view);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { refused: [diagnosticOf(error, filter)], dialects: {} };
  }
  if (order.length) rows.sort(comparing(report.columns, order));
  const shown = limit === null ? rows.slice(offset) : rows.slice(offset, offset + limit);
  return { total: rows.length, offset, ids: shown.map((row) => report.run_ids[row]), columns: taken(report, shown, columns), warnings: [], dialects: {} };
}

function found(report, filter, experiments, view) {
  const comparisons = comparisonsOf(filter, (name) => kindOf(report, name));
  const tests = comparisons.map((comparison) => rowTest(report.columns[comparison.field], comparison));
  if (experiments) tests.push(rowTest(report.columns.experiment_id, null, (id) => experiments.includes(id)));
  if (view === "deleted") return []; // a report does not say which runs were deleted
  const rows = [];
  for (let row = 0; row < report.size; row += 1) if (tests.every((test) => test(row))) rows.push(row);
  return rows;
}

/** Return a test of rows; strings are tested once each. */
function rowTest(column, comparison, test = testOf(comparison)) {
  if (column.kind !== "string") return (row) => column.values[row] !== null && test(Number(column.values[row]));
  const passes = column.table.map(test);
  return (row) => column.codes[row] >= 0 && passes[column.codes[row]];
}

function diagnosticOf({ message, start, stop, instead }, filter) {
  const stopShown = Math.max(stop, start + 1);
  const text = `${message}\n  ${filter}\n  ${" ".repeat(start)}${"^".repeat(stopShown - start)}\n  instead: ${instead}`;
  return { message: `${message}.`, argument: "filter_string", start, stop: stopShown, severity: "error", feature: null, instead, fixed: null, text };
}

/** Return the named columns of some rows; a column that there is none of is missing in all. */
function taken(report, rows, names) {
  return Object.fromEntries(names.map((name) => [name, part(report.columns[name], rows)]));
}

function part(column, rows) {
  if (!column) return { kind: "string", table: [], codes: rows.map(() => -1) };
  if (column.kind !== "string") return { kind: column.kind, values: rows.map((row) => column.values[row]) };
  return { kind: "string", table: column.table, codes: rows.map((row) => column.codes[row]) };
}

function runOf(report, id) {
  const row = report.rowOf.get(id);
  if (row === undefined) throw new Error(`this report has no run ${id}`);
  const of = (prefix) => Object.keys(report.columns).filter((name) => name.startsWith(prefix) && valueOf(report.columns[name], row) !== null);
  const pairs = (prefix) => Object.fromEntries(of(prefix).map((name) => [name.slice(prefix.length), valueOf(report.columns[name], row)]));
  const names = ["experiment_id", "run_name", "status", "start_time", "end_time", "user_id"];
  const info = Object.fromEntries(names.map((name) => [name, report.columns[name] ? valueOf(report.columns[name], row) : null]));
  const parents = report.columns["tags.mlflow.parentRunId"];
  const children = parents ? report.run_ids.filter((_, other) => valueOf(parents, other) === id) : [];
  const experiment = report.about.experiments.find((one) => one.id === info.experiment_id);
  return {
    run_id: id,
    info: { run_id: id, ...info, experiment_name: experiment?.name ?? null },
    params: pairs("params."),
    metrics: pairs("metrics."),
    tags: pairs("tags."),
    datasets: [],
    models: [],
    artifacts: [],
    ...report.details[id],
    parent: parents ? valueOf(parents, row) : null,
    children: children.map((child) => ({ run_id: child, run_name: report.columns.run_name && valueOf(report.columns.run_name, report.rowOf.get(child)) })),
  };
}

const valueOf = (column, row) => (column.kind !== "string" ? column.values[row] : column.codes[row] < 0 ? null : column.table[column.codes[row]]);

// The comparison

const ofAll = (report) => `of all ${report.size.toLocaleString("en")} runs of the report`;

function comparisonOf(report, { run_ids: ids }) {
  const known = ids.filter((id) => report.rowOf.has(id));
  const warnings = [...report.comparison.warnings];
  if (known.length < report.size) warnings.push(`Groups, tests, bands and importance are ${ofAll(report)}, not of the ${known.length.toLocaleString("en")} chosen ones.`);
  const rows = known.map((id) => report.rowOf.get(id));
  return { ...report.comparison, run_ids: known, columns: taken(report, rows, Object.keys(report.columns)), warnings };
}

function importanceOf(report, ids, metric) {
  const found = report.importance.find((one) => one.metric === metric);
  if (!found) throw new Error(`this report has no importance for ${metric}`);
  if (ids.length === report.size) return found;
  return { ...found, warning: [found.warning, `Importance is ${ofAll(report)}.`].filter(Boolean).join(" ") };
}

function modelsOf(report, ids) {
  const columns = columnsOf(report.models.columns);
  const rows = report.models.ids.map((_, row) => row).filter((row) => ids === null || ids.includes(valueOf(columns.run_id, row)));
  const shown = Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, part(column, rows)]));
  return { ids: rows.map((row) => report.models.ids[row]), columns: shown };
}

// Curves

function curvesOf(report, { run_ids: ids, metric, x = "step", smoothing = 0 }) {
  const packed = report.curves.find((one) => one.metric === metric);
  if (packed?.refused) throw new Error(packed.refused);
  const wanted = new Set(ids);
  const runs = packed ? [...linesOf(packed)].map((line) => ({ ...line, run_id: report.run_ids[line.row] })).filter(({ run_id: id }) => wanted.has(id)) : [];
  const shown = runs.length ? runs : pointsOf(report, metric, ids);
  const bands = x === "step" && !smoothing ? report.bands.filter((band) => band.metric === metric).map(bandOf) : [];
  return { metric, x, runs: shown.map((line) => drawnOver(line, x, Number(smoothing))), bands };
}

/** Yield the lines of a metric: the row of the run, steps, times in ms and values. */
function* linesOf({ rows, sizes, steps, values, times }) {
  let start = 0;
  for (let line = 0; line < rows.length; line += 1) {
    const stop = start + sizes[line];
    const levels = (of) => curveOf({ low: of.low[line], high: of.high[line], top: of.top, levels: of.levels.subarray(start, stop) });
    yield { row: rows[line], steps: summed(steps.subarray(start, stop)), times: levels(times), values: levels(values) };
    start = stop;
  }
}

/** Return a point for each run, where no run has more than one. */
function pointsOf(report, metric, ids) {
  const column = report.columns[`metrics.${metric}`];
  const starts = report.columns.start_time;
  if (!column) return [];
  return ids
    .map((id) => [id, report.rowOf.get(id)])
    .filter(([, row]) => row !== undefined && column.values[row] !== null)
    .map(([id, row]) => ({ run_id: id, steps: [0], times: [Number(starts?.values[row] ?? 0)], values: [Number(column.values[row])] }));
}

const bandOf = ({ group, x, mean, low, high }) => ({ group, x: Array.from(summed(x)), mean: curveOf(mean), low: curveOf(low), high: curveOf(high) });

function drawnOver({ run_id: id, steps, times, values }, x, smoothing) {
  if (x === "step") return { run_id: id, x: steps, y: smoothed(values, smoothing) };
  const order = Array.from(times.keys()).sort((a, b) => times[a] - times[b]);
  const first = times[order[0]];
  const across = order.map((place) => (x === "relative" ? (times[place] - first) / 1000 : times[place]));
  return { run_id: id, x: across, y: smoothed(order.map((place) => values[place]), smoothing) };
}
