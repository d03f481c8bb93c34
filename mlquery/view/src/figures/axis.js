// An axis: where the values of a column are on a line from 0 to 1, and what is written beside it. What has no place
// among the numbers – missing, NaN, infinite, or not positive on a logarithmic axis – has a lane of its own at an end.

import { scaleLinear, scaleLog, scaleUtc } from "d3-scale";
import { counted, timeLabel } from "./labels.js";
import { categorical, extentOf, INFINITY, isNumeric, labelOf, MINUS_INFINITY, MISSING, NAN, NUMBER, numbersOf } from "./values.js";

const NOT_POSITIVE = 5;
const LANE = 0.075;
const LANE_NAMES = { [MISSING]: "missing", [NAN]: "NaN", [NOT_POSITIVE]: "≤ 0", [MINUS_INFINITY]: "−∞", [INFINITY]: "+∞" };
const WIDE = 100;

/** Return whether numbers are better seen on a logarithmic axis: all positive, and of very different sizes. */
export function suggestsLog(column) {
  if (column.kind === "time" || !isNumeric(column)) return false;
  const extent = extentOf(numbersOf(column));
  return extent !== null && extent[0] > 0 && extent[1] / extent[0] >= WIDE;
}

/**
 * Return the axis of a column: `places` (n,) from 0 to 1, `ticks` and `lanes` with a label and a place, `textAt(place)`
 * in words, `step` for the keyboard, and `kind`, "number" or "category".
 */
export function axisOf(name, column, { log = suggestsLog(column), ticks = 6 } = {}) {
  return isNumeric(column) ? numberAxis(name, column, log, ticks) : categoryAxis(name, column);
}

/** Return the lanes that are used, and where the main part of the axis is between them. */
function lanesOf(states) {
  const used = new Set(states);
  const below = [MISSING, NAN, NOT_POSITIVE, MINUS_INFINITY].filter((state) => used.has(state));
  const above = used.has(INFINITY) ? [INFINITY] : [];
  const lanes = [
    ...below.map((state, rank) => ({ state, place: (rank + 0.5) * LANE })),
    ...above.map((state) => ({ state, place: 1 - 0.5 * LANE })),
  ].map((lane) => ({ ...lane, label: LANE_NAMES[lane.state] }));
  const hasMain = used.has(NUMBER);
  return { lanes, low: below.length * LANE + (below.length && hasMain ? 0.03 : 0), high: 1 - above.length * LANE - (above.length ? 0.03 : 0) };
}

function numberAxis(name, column, log, wantedTicks) {
  const { values, states } = numbersOf(column);
  const isLog = log && column.kind !== "time" && extentOf({ values, states }, (value) => value > 0) !== null;
  if (isLog) states.forEach((state, row) => (states[row] = state === NUMBER && values[row] <= 0 ? NOT_POSITIVE : state));
  const extent = extentOf({ values, states }) ?? [0, 0];
  const { lanes, low, high } = lanesOf(states);
  const scale = (isLog ? scaleLog() : column.kind === "time" ? scaleUtc() : scaleLinear()).domain(extent);
  const isFlat = extent[0] === extent[1];
  const part = (value) => low + (isFlat ? 0.5 : scale.range([0, 1])(value)) * (high - low);
  const laneOf = Object.fromEntries(lanes.map((lane) => [lane.state, lane.place]));
  const places = Float64Array.from(values, (value, row) => (states[row] === NUMBER ? part(value) : laneOf[states[row]]));
  const label = labelOf(name, column.kind);
  const textAt = (place) => {
    const lane = lanes.find((each) => Math.abs(each.place - place) <= LANE / 2);
    if (lane) return lane.label;
    const share = Math.min(1, Math.max(0, (place - low) / (high - low)));
    return label(isFlat ? extent[0] : Number(scale.invert(share)));
  };
  const hasNumbers = states.includes(NUMBER);
  const shown = !hasNumbers ? [] : isFlat ? [extent[0]] : ticksOf(scale, extent, isLog, wantedTicks);
  const ticks = shown.map((value) => ({ label: tickLabel(name, column.kind, scale, value), place: part(value) }));
  return { name, kind: "number", isLog, places, lanes, ticks, textAt, step: 0.02, summary: summaryOf(states, extent, label, hasNumbers) };
}

/** Return the ends and the round numbers between them, so that the range can be read exactly. */
function ticksOf(scale, extent, isLog, wanted) {
  const round = scale.ticks(wanted).map(Number);
  const powers = isLog ? round.filter((value) => Number.isInteger(Math.round(Math.log10(value) * 1e9) / 1e9)) : round;
  const inner = powers.length >= 2 || !isLog ? powers : round;
  const share = (value) => scale.copy().range([0, 1])(value);
  const apart = (value) => extent.every((end) => Math.abs(share(value) - share(end)) > 0.5 / wanted);
  const kept = inner.filter(apart);
  const every = Math.ceil(kept.length / (wanted + 1)) || 1;
  return [extent[0], ...kept.filter((_, place) => place % every === 0), extent[1]];
}

function tickLabel(name, kind, scale, value) {
  if (kind === "time") return scale.tickFormat()(new Date(value)) === "" ? timeLabel(value) : timeLabel(value).slice(0, 16);
  return labelOf(name, kind)(value, 4);
}

function summaryOf(states, extent, label, hasNumbers) {
  const others = states.reduce((count, state) => count + (state === NUMBER ? 0 : 1), 0);
  const range = hasNumbers ? `${label(extent[0])} to ${label(extent[1])}` : "no numbers";
  return others ? `${range}; ${counted(others, "run")} without a number on the axis` : range;
}

function categoryAxis(name, column) {
  const { names, places: ranks } = categorical(column);
  const states = Uint8Array.from(ranks, (rank) => (rank < 0 ? MISSING : NUMBER));
  const { lanes, low, high } = lanesOf(states);
  const part = (rank) => low + ((rank + 0.5) / names.length) * (high - low);
  const places = Float64Array.from(ranks, (rank) => (rank < 0 ? lanes[0].place : part(rank)));
  const textAt = (place) => {
    if (lanes.length && place < low - 0.02) return lanes[0].label;
    const rank = Math.floor(((place - low) / (high - low)) * names.length);
    return names[Math.min(names.length - 1, Math.max(0, rank))] ?? "missing";
  };
  const ticks = names.map((label, rank) => ({ label, place: part(rank) }));
  const missing = states.filter((state) => state === MISSING).length;
  const summary = `${names.length} values${missing ? `; ${counted(missing, "run")} without one` : ""}`;
  return { name, kind: "category", isLog: false, places, lanes, ticks, textAt, step: (high - low) / Math.max(1, names.length), summary };
}

/** Return the ticks that can be written `gap` apart on a length, the ends first; the others are left out whole. */
export function spaced(ticks, length, gap) {
  const order = [ticks[0], ticks.at(-1), ...ticks.slice(1, -1)].filter(Boolean);
  const kept = [];
  for (const tick of new Set(order)) {
    if (kept.every((other) => Math.abs(other.place - tick.place) * length >= gap)) kept.push(tick);
  }
  return kept;
}

/** Return a range with room around it, also for values that are all the same. */
export function wide([low, high], log) {
  if (log) return low === high ? [low / 2, high * 2] : [roundPower(low, Math.floor), roundPower(high, Math.ceil)];
  const room = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * 0.03;
  return [low - room, high + room];
}

/** Return 1, 2 or 5 times a power of ten, next to a value. */
function roundPower(value, round) {
  const power = 10 ** Math.floor(Math.log10(value));
  const steps = round === Math.floor ? [5, 2, 1] : [1, 2, 5, 10];
  const fits = round === Math.floor ? (step) => step * power <= value : (step) => step * power >= value;
  return (steps.find(fits) ?? 1) * power;
}
