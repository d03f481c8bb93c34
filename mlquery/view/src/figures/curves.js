// Curves of one metric over step or time, one for each run, and bands over groups. uPlot makes the axes, the grid and
// zooming; the curves are drawn here, on a canvas above its own, all of one colour and dash as one path: uPlot strokes
// every series for itself, which takes seconds for a thousand.

import uPlot from "uplot";
import { wide } from "./axis.js";
import { coloursOf, styleOf } from "./colours.js";
import { fillBand, scalesOf, shares, strokeAll } from "./curve_lines.js";
import { contextOf, framed, legendOf, lineSample, living, make, nameOf } from "./figure.js";
import { counted, durationLabel, numberLabel, shortened, timeLabel, visible } from "./labels.js";
import { extentOf, MISSING, NUMBER } from "./values.js";

const HEIGHT = 360;
const FEW = 24;
const MANY = 200;
const SHARE = 64;
const REACH = 40;
const LISTED = 12;
const X_NAMES = { step: "step", time: "time (UTC)", relative: "time since the start" };

/**
 * Draw curves.
 *
 * `data`: the page's `curves`: `{metric, x, runs: [{run_id, x, y}], bands: [{group, x, mean, low, high}]}`; values may be
 * "NaN", "Infinity" and "-Infinity".
 * `options`: `names`, a map of run ids to names; `groupOf(run_id)`, the label of the group that colours a run, or null;
 * `log`, whether y is logarithmic; `shown`, a set of run ids, all others are left out; `highlight`, a run id;
 * `onHighlight(run_id | null)`, called when another curve is pointed at; `onPick(run_id)`; `note`, a sentence more.
 */
export function draw(element, data, options) {
  const frame = framed(element, "curves");
  const layers = ["below", "above"].map((name) => make("canvas", { class: `curves-${name}`, "aria-hidden": "true" }));
  const figure = { element, frame, layers, state: { cursor: null, pointed: null, range: null, plot: null } };
  frame.plot.tabIndex = 0;
  frame.plot.setAttribute("role", "application");
  frame.plot.setAttribute("aria-roledescription", "line chart");
  frame.plot.addEventListener("keydown", (event) => keyed(figure, event));
  return living(element, data, options, {
    paint: (given, wanted) => paint(figure, given, wanted),
    leave: () => figure.state.plot?.destroy(),
  });
}

function paint(figure, data, options) {
  const { state, frame } = figure;
  const colours = coloursOf(frame.figure);
  const width = Math.max(240, figure.element.clientWidth || 600);
  const look = JSON.stringify([colours, width, options.log]);
  const isNew = state.data !== data || state.names !== options.names || state.groupOf !== options.groupOf;
  if (isNew) read(state, data, options);
  if (isNew || state.log !== options.log) state.range = null;
  Object.assign(state, { colours, width, options, log: options.log });
  state.curves = state.all.filter((curve) => !options.shown || options.shown.has(curve.id));
  if (!state.curves.includes(state.pointed)) state.pointed = null;
  state.buckets = bucketsOf(state);
  describe(figure);
  if (!isNew && look === state.look && state.plot) return drawCurves(figure, state.plot);
  state.look = look;
  return build(figure);
}

/** Read the data once: what is shown of it changes more often than it does. */
function read(state, data, options) {
  const { names, groupOf } = options;
  const all = data.runs.map((run) => curveOf(run, options));
  Object.assign(state, { data, names, groupOf, all, bands: (data.bands ?? []).map(bandOf) });
}

function curveOf(run, options) {
  const [x, y] = [numbers(run.x), numbers(run.y)];
  const hasGaps = y.states.some((state) => state !== NUMBER);
  return { id: run.run_id, name: options.names?.get(run.run_id) ?? run.run_id, group: options.groupOf?.(run.run_id) ?? null, x, y, hasGaps };
}

/** Return values and states of numbers as JSON has them. */
function numbers(given) {
  const values = given instanceof Float64Array ? given : Float64Array.from(given, Number);
  const states = new Uint8Array(values.length);
  for (let place = 0; place < values.length; place += 1) states[place] = given[place] !== null && Math.abs(values[place]) < 1e300 ? NUMBER : MISSING;
  return { values, states };
}

const bandOf = ({ group, x, mean, low, high }) => ({ group, x: numbers(x), mean: numbers(mean), low: numbers(low), high: numbers(high) });

function extent(all, admits) {
  const found = all.map((numbersOfOne) => extentOf(numbersOfOne, admits)).filter(Boolean);
  return found.length ? [Math.min(...found.map(([low]) => low)), Math.max(...found.map(([, high]) => high))] : null;
}

/** Return the curves by colour and dash: one for each run while they are few, else one for each group, else one. */
function bucketsOf({ all, curves, bands, colours }) {
  const groups = [...new Set([...bands.map((band) => band.group), ...all.map((curve) => curve.group)])].filter((group) => group !== null);
  if (groups.length) return byGroup(groups, curves, colours);
  if (all.length > FEW) return [{ colour: colours.hues[0], dash: [], label: null, curves }];
  const shown = new Set(curves);
  // By place among all runs, so that a run keeps its colour when others are left out.
  const buckets = all.map((curve, place) => ({ ...styleOf(place, colours), label: curve.name, curves: [curve] }));
  return buckets.filter((bucket) => shown.has(bucket.curves[0]));
}

function byGroup(groups, curves, colours) {
  const bucketOf = new Map(groups.map((group, place) => [group, { ...styleOf(place, colours), label: group, curves: [] }]));
  const rest = { colour: colours.muted, dash: [], label: "(no group)", curves: [] };
  for (const curve of curves) (bucketOf.get(curve.group) ?? rest).curves.push(curve);
  return [...bucketOf.values(), ...(rest.curves.length ? [rest] : [])];
}

// uPlot: axes, grid and zoom

function build(figure) {
  const { state, frame, layers } = figure;
  state.plot?.destroy();
  const [xs, ys] = extentsOf(state);
  if (!xs || !ys) {
    state.plot = null;
    frame.plot.replaceChildren();
    return frame.note(emptyNote(state));
  }
  const data = [wide(xs, false), wide(ys, state.log)];
  state.plot = new uPlot(optionsOf(figure, data), [data[0], data[1]], frame.plot);
  state.plot.over.prepend(...layers);
  if (state.range) state.plot.setScale("x", { min: state.range[0], max: state.range[1] });
  return undefined;
}

/** Return the ranges of all curves, those that are not shown too: axes stay while bounds are dragged. */
function extentsOf({ all, log }) {
  return [extent(all.map((curve) => curve.x)), extent(all.map((curve) => curve.y), log ? (value) => value > 0 : undefined)];
}

const emptyNote = ({ all, log }) =>
  log && all.some(isNotPositive) ? "No value is positive: a logarithmic axis cannot show them." : "No run has a finite value of this metric.";

/** Return the labels of times: the time of day, and the date where it changes. */
function timeLabels(_, values) {
  let before = "";
  const isDaily = values.length > 1 && values[1] - values[0] >= 86_400_000;
  return values.map((value) => {
    const [date, time] = new Date(value).toISOString().split("T");
    const isNew = date !== before;
    before = date;
    return isDaily ? date : `${time.slice(0, values[1] - values[0] < 60_000 ? 8 : 5)}${isNew ? `\n${date}` : ""}`;
  });
}

function optionsOf(figure, [, ys]) {
  const { state } = figure;
  const { colours, log, data, width } = state;
  const axis = { stroke: colours.ink, grid: { stroke: colours.grid, width: 1 }, ticks: { stroke: colours.quiet, width: 1, size: 5 }, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif", labelSize: 18 };
  const xLabel = data.x === "relative" ? (_, values) => values.map((value) => durationLabel(1000 * value)) : (_, values) => values.map((value) => numberLabel(value));
  const ofTime = data.x === "time";
  return {
    width,
    height: HEIGHT,
    ms: 1,
    tzDate: (time) => uPlot.tzDate(new Date(time), "Etc/UTC"),
    legend: { show: false },
    scales: { x: { time: ofTime, range: (_, low, high) => (low === high ? wide([low, high], false) : [low, high]) }, y: { distr: log ? 3 : 1, range: log ? ys : (_, low, high) => zoomedY(state, low, high, ys) } },
    axes: [
      { ...axis, label: X_NAMES[data.x] ?? data.x, values: ofTime ? timeLabels : xLabel, size: ofTime ? 44 : 32, space: 70 },
      { ...axis, label: shortened([data.metric], 50)[0], values: (_, values) => values.map((value) => (value === null ? "" : numberLabel(value, 4))), size: (plot, values) => Math.max(46, 14 + 7 * Math.max(0, ...(values ?? []).map((one) => one.length))) },
    ],
    series: [{}, { show: true, paths: () => null, points: { show: false } }],
    cursor: { points: { show: false }, drag: { x: true, y: false }, focus: { prox: -1 } },
    hooks: {
      draw: [(plot) => drawCurves(figure, plot)],
      setScale: [(plot, key) => key === "x" && rememberRange(state, plot)],
      setCursor: [(plot) => plot.cursor.left >= 0 && point(figure, plot.cursor.left, plot.cursor.top)],
      ready: [(plot) => plot.over.addEventListener("mouseleave", () => pointed(figure, null)), (plot) => plot.over.addEventListener("click", () => pick(state))],
    },
  };
}

const zoomedY = (state, low, high, ys) => ys ?? [low, high];

function rememberRange(state, plot) {
  const { min, max } = plot.scales.x;
  const [low, high] = plot.data[0];
  state.range = min > low || max < high ? [min, max] : null;
}

function pick({ pointed: curve, options }) {
  if (curve) options.onPick?.(curve.id);
}

// Drawing

function drawCurves(figure, plot) {
  const { state, layers } = figure;
  const [width, height] = [plot.over.clientWidth, plot.over.clientHeight];
  const context = contextOf(layers[0], width, height);
  const isMany = state.curves.length > MANY;
  for (const band of state.bands) fillBand(context, plot, band, styleOfGroup(state, band.group).colour);
  const underBands = state.bands.length > 0;
  context.globalAlpha = underBands ? 0.3 : isMany ? 0.25 : 0.9;
  for (const { colour, dash, curves } of state.buckets) {
    // A path is one layer of colour; several of them show where many curves are.
    for (const some of shares(curves, isMany ? SHARE : curves.length)) strokeAll(context, plot, some, colour, isMany || underBands ? [] : dash, isMany || underBands ? 1 : 1.75);
  }
  context.globalAlpha = 1;
  for (const band of state.bands) {
    const { colour, dash } = styleOfGroup(state, band.group);
    strokeAll(context, plot, [{ x: band.x, y: band.mean }], colour, dash, 2.5);
  }
  drawMarked(figure);
}

const styleOfGroup = ({ buckets, colours }, group) => buckets.find((bucket) => bucket.label === group) ?? { colour: colours.muted, dash: [] };

/** Draw the run that is pointed at or highlighted above all others, and a ring where the pointer is. */
function drawMarked({ state, layers }) {
  const { plot, colours, options } = state;
  const target = plot ?? null;
  if (!target) return;
  const context = contextOf(layers[1], target.over.clientWidth, target.over.clientHeight);
  const marked = [state.pointed, state.curves.find((curve) => curve.id === options.highlight)].filter((curve) => curve && state.curves.includes(curve));
  for (const curve of new Set(marked)) {
    strokeAll(context, target, [curve], colours.ground, [], 6);
    strokeAll(context, target, [curve], colours.ink, [], 3);
  }
  if (!state.pointed || state.cursor === null) return;
  const [xAt, yAt] = scalesOf(target);
  const place = nearestPlace(state.pointed.x.values, state.cursor);
  context.beginPath();
  context.arc(xAt(state.pointed.x.values[place]), yAt(state.pointed.y.values[place]), 4, 0, 2 * Math.PI);
  context.fillStyle = colours.ground;
  context.strokeStyle = colours.ink;
  context.lineWidth = 2;
  context.fill();
  context.stroke();
}

// What is pointed at

function point(figure, left, top) {
  const { state } = figure;
  const { plot, curves } = state;
  if (!plot) return;
  const x = plot.posToVal(left, "x");
  const [, yAt] = scalesOf(plot);
  let [found, least] = [null, REACH];
  for (const curve of curves) {
    const y = valueAt(curve, x);
    const away = Math.abs(yAt(y) - top);
    if (away < least) [found, least] = [curve, away];
  }
  pointed(figure, found, x);
}

function pointed(figure, curve, x = null) {
  const { state } = figure;
  const isNew = state.pointed !== curve;
  Object.assign(state, { pointed: curve, cursor: x });
  drawMarked(figure);
  tell(figure);
  if (isNew) state.options.onHighlight?.(curve?.id ?? null);
}

function nearestPlace(values, x) {
  let [low, high] = [0, values.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] <= x) low = middle;
    else high = middle;
  }
  return Math.abs(values[low] - x) <= Math.abs(values[high] - x) ? low : high;
}

/** Return the value of a curve at the nearest of its points, NaN outside of them. */
function valueAt({ x, y }, at) {
  const { values } = x;
  if (!values.length || at < values[0] - (values.at(-1) - values[0] || 1) * 0.05 || at > values.at(-1) + (values.at(-1) - values[0] || 1) * 0.05) return NaN;
  const place = nearestPlace(values, at);
  return y.states[place] === NUMBER ? y.values[place] : NaN;
}

const xText = ({ data }, x) => (data.x === "time" ? timeLabel(x) : data.x === "relative" ? durationLabel(1000 * x) : `step ${numberLabel(x, 6)}`);

function tell({ state, frame }) {
  const { pointed: curve, cursor, curves } = state;
  if (!curve || cursor === null) return frame.say("");
  const place = nearestPlace(curve.x.values, cursor);
  const head = `: ${numberLabel(curve.y.values[place])} at ${xText(state, curve.x.values[place])}`;
  const others = curves.length > LISTED ? [] : curves.filter((other) => other !== curve);
  const values = others.map((other) => [other.name, valueAt(other, cursor)]).filter(([, value]) => !Number.isNaN(value)).sort((a, b) => b[1] - a[1]);
  const names = shortened([curve.name, ...values.map(([name]) => name)], 60);
  const rest = values.flatMap(([name, value], rank) => [" · ", nameOf(name, names[rank + 1]), ` ${numberLabel(value)}`]);
  return frame.say(make("b", {}, nameOf(curve.name, names[0])), head, ...rest);
}

function keyed(figure, event) {
  const { state } = figure;
  const { plot, curves } = state;
  if (!plot || event.ctrlKey || event.metaKey || event.altKey) return;
  const { min, max } = plot.scales.x;
  const x = state.cursor ?? max;
  const step = (max - min) / 50;
  const actions = {
    ArrowLeft: () => toX(figure, Math.max(min, x - step)),
    ArrowRight: () => toX(figure, Math.min(max, x + step)),
    Home: () => toX(figure, min),
    End: () => toX(figure, max),
    ArrowUp: () => toNext(figure, 1),
    ArrowDown: () => toNext(figure, -1),
    "+": () => plot.setScale("x", { min: x - (x - min) / 2, max: x + (max - x) / 2 }),
    "-": () => plot.setScale("x", { min: Math.max(plot.data[0][0], min - (max - min) / 2), max: Math.min(plot.data[0][1], max + (max - min) / 2) }),
    0: () => plot.setScale("x", { min: plot.data[0][0], max: plot.data[0][1] }),
    Enter: () => pick(state),
    Escape: () => pointed(figure, null),
  };
  if (!actions[event.key] || !curves.length) return;
  event.preventDefault();
  actions[event.key]();
}

function toX(figure, x) {
  pointed(figure, figure.state.pointed ?? figure.state.curves[0], x);
}

/** Point at the curve that is above or below at the cursor. */
function toNext(figure, direction) {
  const { state } = figure;
  const x = state.cursor ?? state.plot.scales.x.max;
  const order = [...state.curves].sort((a, b) => (valueAt(a, x) || 0) - (valueAt(b, x) || 0));
  const place = order.indexOf(state.pointed);
  const next = place < 0 ? (direction > 0 ? 0 : order.length - 1) : place + direction;
  pointed(figure, order[Math.min(order.length - 1, Math.max(0, next))], x);
}

// What is written

function describe({ state, frame }) {
  const { data, curves, bands, buckets, options, log } = state;
  const notPositive = log ? curves.filter(isNotPositive).length : 0;
  const name = `Curves of ${visible(data.metric)} over ${X_NAMES[data.x] ?? data.x} of ${counted(curves.length, "run")}`;
  frame.plot.setAttribute("aria-label", `${name}. Left and right move along, up and down between runs, plus and minus zoom, 0 shows all.`);
  frame.describe(name, ["run", "points", "first", "last", "lowest", "highest"], curves, rowOf);
  const bucketOf = buckets.flatMap((bucket, place) => bucket.curves.map(() => place));
  const named = buckets.filter((bucket) => bucket.label !== null).length > 1;
  frame.legend(named ? legendOf(bands.length ? "group" : "run", { buckets, bucketOf: bands.length ? buckets.map((_, place) => place) : bucketOf }, lineSample) : []);
  const notes = [
    curves.length < data.runs.length ? `${curves.length} of ${counted(data.runs.length, "run")}.` : "",
    notPositive ? `${counted(notPositive, "run")} with values that are not positive: they are gaps on a logarithmic axis.` : "",
    gapNote(curves),
    options.note ?? "",
  ];
  frame.note(notes.filter(Boolean).join(" "));
}

const isNotPositive = ({ y }) => y.values.some((value) => value <= 0);

function gapNote(curves) {
  const count = curves.filter((curve) => curve.hasGaps).length;
  return count ? `${counted(count, "run")} with NaN or infinite values: they are gaps.` : "";
}

function rowOf({ name, x, y }) {
  const range = extentOf(y) ?? [NaN, NaN];
  const [first, last] = [y.values[0] ?? NaN, y.values.at(-1) ?? NaN];
  return [visible(name), x.values.length, ...[first, last, ...range].map((value) => numberLabel(value))];
}
