// Parallel coordinates on a canvas: one axis for each column, one line for each run. Bounds on axes, set with the mouse
// or the keyboard, say which runs are meant.
//
// By hand because no library draws a thousand lines again within a tenth of a second; see docs/explanation.
// Lines of one colour are one path: a thousand strokes take seconds, thirty-three take milliseconds.

import { axisOf, spaced } from "./axis.js";
import { colouring, coloursOf } from "./colours.js";
import { contextOf, framed, legendOf, lineSample, living, make, nameOf } from "./figure.js";
import { counted, shortened, visible } from "./labels.js";
import { textOf } from "./values.js";

const HEIGHT = 340;
const ABOVE = 64;
const BELOW = 14;
const SIDE = 48;
const LEAST_GAP = 84;
const ROOM = 34;
const REACH = 8;
const TICK_GAP = 15;
const MANY = 300;
const SHARE = 64;
const INSIDE = 1e-6; // a bound between two values is called by the one that it admits

/**
 * Draw parallel coordinates.
 *
 * `data`: `{columns: {name: column}, names: [run names]}`, one row for each run.
 * `options`: `axes`, names of columns in order; `colour`, the name of one; `log`, which axes are logarithmic (`{name:
 * bool}`, by default those that suggest it); `bounds`, `{name: [low, high]}` from 0 to 1, to begin with;
 * `selected`, a set of rows to stress; `shown`, a set of rows, all others are left out;
 * `onBrush(rows, bounds)`, called with a set of rows, or null when no axis has bounds; `onPick(row)`.
 */
export function draw(element, data, options) {
  const frame = framed(element, "parallel");
  const canvas = make("canvas", { "aria-hidden": "true" });
  const marks = make("canvas", { "aria-hidden": "true", class: "figure-over" });
  const scroll = make("div", { class: "figure-scroll" });
  const state = { bounds: new Map(Object.entries(options?.bounds ?? {})), axes: [], current: 0, hovered: -1, frame: 0 };
  frame.plot.append(scroll);
  const stage = make("div", { class: "parallel-stage" });
  stage.append(canvas, marks);
  scroll.append(stage);
  const figure = { element, frame, canvas, marks, stage, state };
  listen(figure);
  return living(element, data, options, {
    paint: (given, wanted) => paint(figure, given, wanted),
    leave: () => cancelAnimationFrame(state.frame),
  });
}

function paint(figure, data, options) {
  const { state, frame, element } = figure;
  const names = options.axes ?? Object.keys(data.columns);
  for (const name of state.bounds.keys()) if (!names.includes(name)) state.bounds.delete(name);
  Object.assign(state, { data, options, size: data.names.length });
  state.axes = names.map((name) => axisOf(name, data.columns[name], { log: options.log?.[name] }));
  state.colours = coloursOf(frame.figure);
  const column = options.colour ? data.columns[options.colour] : null;
  state.colouring = colouring(column, state.colours);
  state.width = Math.max(element.clientWidth || 600, 2 * SIDE + ROOM + LEAST_GAP * (names.length - 1));
  state.gap = names.length > 1 ? (state.width - 2 * SIDE - ROOM) / (names.length - 1) : 0;
  figure.stage.style.width = `${state.width}px`;
  figure.stage.style.height = `${HEIGHT + ABOVE + BELOW}px`;
  figure.stage.style.position = "relative";
  for (const layer of [figure.canvas, figure.marks]) {
    layer.style.position = "absolute";
    layer.style.top = `${ABOVE}px`;
  }
  frame.legend(options.colour ? legendOf(options.colour, state.colouring, lineSample) : []);
  writeAxes(figure);
  redraw(figure);
}

const xOf = (state, place) => SIDE + place * state.gap;
const yOf = (place) => HEIGHT * (1 - place);

// Which runs are meant

/** Return for each row whether it is shown, and whether all bounds admit it. */
function admitted({ size, axes, bounds, options }) {
  const shown = new Uint8Array(size);
  for (let row = 0; row < size; row += 1) shown[row] = !options.shown || options.shown.has(row) ? 1 : 0;
  const active = shown.slice();
  for (const { name, places } of axes) {
    const [low, high] = bounds.get(name) ?? [-1, 2];
    for (let row = 0; row < size; row += 1) if (!(places[row] >= low && places[row] <= high)) active[row] = 0;
  }
  return { shown, active };
}

function tellBrush({ state }) {
  const { bounds, options, active, size } = state;
  if (!bounds.size) return options.onBrush?.(null, {});
  const rows = new Set();
  for (let row = 0; row < size; row += 1) if (active[row]) rows.add(row);
  return options.onBrush?.(rows, Object.fromEntries(bounds));
}

// Drawing

function redraw(figure) {
  const { state, canvas, frame } = figure;
  Object.assign(state, admitted(state));
  const context = contextOf(canvas, state.width, HEIGHT + BELOW);
  const count = state.active.reduce((sum, one) => sum + one, 0);
  const isMany = state.size > MANY;
  context.lineJoin = "round";
  context.globalAlpha = 0.25;
  stroke(context, state, fadedRows(state), state.colours.muted, [], 0.75);
  context.globalAlpha = isMany ? 0.5 : 0.85;
  const active = activeRows(state);
  state.colouring.buckets.forEach(({ colour, dash }, place) => {
    for (const rows of shares(active[place], isMany)) stroke(context, state, rows, colour, isMany ? [] : dash, isMany ? 1 : 1.5);
  });
  context.globalAlpha = 1;
  drawRules(context, state);
  drawMarks(figure);
  describe(figure, count);
  frame.note(noteOf(state, count));
}

const rowsWhere = (size, isIn) => Array.from({ length: size }, (_, row) => row).filter(isIn);

const fadedRows = ({ size, shown, active }) => rowsWhere(size, (row) => shown[row] && !active[row]);

/** Return the rows that are meant, for each bucket of the colouring. */
function activeRows({ size, active, colouring: { bucketOf, buckets } }) {
  const rows = buckets.map(() => []);
  for (let row = 0; row < size; row += 1) if (active[row]) rows[bucketOf ? bucketOf[row] : 0].push(row);
  return rows;
}

/** Yield rows in parts: a path is one layer of colour, and several of them show where many lines are. */
function* shares(rows, isMany) {
  const size = isMany ? SHARE : rows.length || 1;
  for (let start = 0; start < rows.length; start += size) yield rows.slice(start, start + size);
}

function stroke(context, state, rows, colour, dash, width) {
  if (!rows.length) return;
  const { axes } = state;
  const xs = axes.map((_, place) => xOf(state, place));
  context.beginPath();
  for (const row of rows) trace(context, axes, xs, row);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}

function trace(context, axes, xs, row) {
  context.moveTo(xs[0] - (axes.length === 1 ? 12 : 0), yOf(axes[0].places[row]));
  for (let place = 1; place < axes.length; place += 1) context.lineTo(xs[place], yOf(axes[place].places[row]));
  if (axes.length === 1) context.lineTo(xs[0] + 12, yOf(axes[0].places[row]));
}

function drawRules(context, state) {
  context.strokeStyle = state.colours.ink;
  context.lineWidth = 1;
  context.beginPath();
  state.axes.forEach((axis, place) => {
    const x = Math.round(xOf(state, place)) + 0.5;
    context.moveTo(x, 0);
    context.lineTo(x, HEIGHT);
    for (const tick of axis.spaced) {
      context.moveTo(x, yOf(tick.place));
      context.lineTo(x + 4, yOf(tick.place));
    }
  });
  context.stroke();
}

/** Draw the runs that are stressed: the selected ones and the one that is pointed at. */
function drawMarks({ state, marks }) {
  const context = contextOf(marks, state.width, HEIGHT + BELOW);
  const selected = state.options.selected ?? new Set();
  if (selected.size) stroke(context, state, rowsWhere(state.size, (row) => selected.has(row) && state.shown[row]), state.colours.ink, [6, 3], 2);
  if (state.hovered < 0) return;
  stroke(context, state, [state.hovered], state.colours.ground, [], 6);
  stroke(context, state, [state.hovered], state.colours.ink, [], 3);
}

function noteOf({ size, shown, bounds }, count) {
  const all = shown.reduce((sum, one) => sum + one, 0);
  const hint = "Drag along an axis to bound it; with the keyboard, Tab to a bound and use the arrow keys, Escape to clear.";
  return bounds.size ? `${count.toLocaleString("en")} of ${counted(all, "run")} within the bounds.` : `${counted(all, "run")}${all < size ? ` of ${size}` : ""}. ${hint}`;
}

function describe({ state, frame }, count) {
  const name = `Parallel coordinates of ${counted(count, "run")} over ${counted(state.axes.length, "axis").replace("axiss", "axes")}`;
  const rowOf = (axis) => [visible(axis.name), axis.isLog ? "logarithmic" : axis.kind, axis.summary, boundsText(state, axis)];
  frame.describe(name, ["axis", "kind", "values", "bounds"], state.axes, rowOf);
}

function boundsText({ bounds }, axis) {
  const found = bounds.get(axis.name);
  return found ? `${visible(axis.textAt(found[0] + INSIDE))} to ${visible(axis.textAt(found[1] - INSIDE))}` : "none";
}

// Axes: names, ticks and bounds, written as elements so that they wrap, have titles and take the keyboard

function writeAxes(figure) {
  const { state, stage } = figure;
  const room = Math.max(60, state.gap || 200);
  const names = shortened(state.axes.map((axis) => axis.name), Math.floor((room / 7) * 3));
  const focus = document.activeElement?.dataset?.bound;
  const elements = state.axes.map((axis, place) => axisElement(figure, axis, place, names[place], room));
  stage.replaceChildren(figure.canvas, figure.marks, ...elements);
  state.elements = elements;
  state.axes.forEach((_, place) => placeBounds(figure, place));
  if (focus) elements[state.current]?.querySelector(`[data-bound="${focus}"]`)?.focus();
}

function axisElement(figure, axis, place, name, room) {
  const { state } = figure;
  axis.spaced = [...spaced(axis.ticks, HEIGHT, TICK_GAP), ...axis.lanes];
  const label = make("div", { class: "parallel-name" }, ...nameParts(axis.name, name));
  label.style.width = `${room - 8}px`;
  const rest = axis.ticks.length + axis.lanes.length - axis.spaced.length;
  const ticks = shortened(axis.spaced.map((tick) => tick.label), Math.floor((room - 12) / 6.5));
  const written = axis.spaced.map((tick, rank) => tickElement(tick, ticks[rank], axis.lanes.includes(tick)));
  const more = rest > 0 && axis.kind === "category" ? [moreElement(rest)] : [];
  const thumbs = ["low", "high"].map((end) => thumbOf(figure, axis, place, end));
  const track = make("div", { class: "parallel-track", "data-axis": String(place) });
  const group = { class: "parallel-axis", role: "group", "aria-label": visible(axis.name), "data-axis": String(place) };
  const element = make("div", group, label, ...written, ...more, track, make("div", { class: "parallel-brush" }), ...thumbs);
  element.style.left = `${xOf(state, place)}px`;
  element.style.top = `${ABOVE}px`;
  element.style.height = `${HEIGHT}px`;
  return element;
}

/** Return a name with the kind of its field on a line of its own, where it was not cut. */
function nameParts(full, shown) {
  const [, kind, key] = shown.match(/^(params|metrics|tags)\.(.+)$/s) ?? [null, "", shown];
  const parts = key.split(/(?<=[_./-])/).flatMap((part) => [part, make("wbr")]);
  const name = nameOf(full, shown);
  name.replaceChildren(...(kind ? [make("span", { class: "parallel-kind" }, `${kind}.`), make("wbr")] : []), ...parts);
  return [name];
}

function tickElement(tick, label, isLane) {
  const element = make("div", { class: `parallel-tick${isLane ? " lane" : ""}`, "aria-hidden": "true" }, nameOf(tick.label, label));
  element.style.top = `${yOf(tick.place)}px`;
  return element;
}

function moreElement(rest) {
  const element = make("div", { class: "parallel-tick lane", "aria-hidden": "true" }, `${rest} more`);
  element.style.top = `${HEIGHT + 9}px`;
  return element;
}

function thumbOf({ state }, axis, place, end) {
  return make("div", {
    class: "parallel-thumb",
    role: "slider",
    "aria-orientation": "vertical",
    "aria-label": `${visible(axis.name)}, ${end === "low" ? "lower" : "upper"} bound`,
    "aria-valuemin": "0",
    "aria-valuemax": "100",
    "data-axis": String(place),
    "data-bound": end,
    tabindex: place === state.current ? "0" : "-1",
  });
}

function placeBounds({ state }, place) {
  const element = state.elements[place];
  const axis = state.axes[place];
  const bounds = state.bounds.get(axis.name);
  const [low, high] = bounds ?? [0, 1];
  element.classList.toggle("brushed", Boolean(bounds));
  const brush = element.querySelector(".parallel-brush");
  brush.hidden = !bounds;
  brush.style.top = `${yOf(high)}px`;
  brush.style.height = `${Math.max(2, yOf(low) - yOf(high))}px`;
  for (const thumb of element.querySelectorAll(".parallel-thumb")) {
    const at = thumb.dataset.bound === "low" ? low : high;
    const inside = thumb.dataset.bound === "low" ? low + INSIDE : high - INSIDE;
    thumb.style.top = `${yOf(at) - (thumb.dataset.bound === "low" ? 0 : 8)}px`;
    thumb.tabIndex = place === state.current ? 0 : -1;
    thumb.setAttribute("aria-valuenow", String(Math.round(at * 100)));
    thumb.setAttribute("aria-valuetext", bounds ? visible(axis.textAt(inside)).slice(0, 200) : "no bound");
  }
}

// Bounds by mouse and keyboard

/** Set or clear the bounds of an axis; what follows from it is drawn and told once a frame. */
function bound(figure, place, bounds) {
  const { state } = figure;
  const { name } = state.axes[place];
  if (bounds) state.bounds.set(name, bounds);
  else state.bounds.delete(name);
  placeBounds(figure, place);
  cancelAnimationFrame(state.frame);
  state.frame = requestAnimationFrame(() => {
    redraw(figure);
    tellBrush(figure);
  });
}

function listen(figure) {
  const { stage, frame } = figure;
  stage.addEventListener("pointerdown", (event) => beginDrag(figure, event));
  stage.addEventListener("pointermove", (event) => hover(figure, event));
  stage.addEventListener("pointerleave", () => pointAt(figure, -1));
  stage.addEventListener("click", () => figure.state.hovered >= 0 && figure.state.options.onPick?.(figure.state.hovered));
  stage.addEventListener("keydown", (event) => keyed(figure, event));
  stage.addEventListener("focusin", (event) => enter(figure, event.target));
  frame.say("");
}

const clamp = (place) => Math.min(1, Math.max(0, place));

function placeAt({ canvas }, event) {
  return clamp(1 - (event.clientY - canvas.getBoundingClientRect().top) / HEIGHT);
}

function beginDrag(figure, event) {
  const target = event.target.closest(".parallel-track, .parallel-thumb");
  if (!target || event.button !== 0) return;
  const { state } = figure;
  const axis = Number(target.dataset.axis);
  const old = state.bounds.get(state.axes[axis].name);
  const start = placeAt(figure, event);
  const near = old?.find((end) => Math.abs(end - start) * HEIGHT < REACH);
  const fixed = near === undefined ? start : old[0] === near ? old[1] : old[0];
  let moved = false;
  const drag = (motion) => {
    const at = placeAt(figure, motion);
    moved ||= Math.abs(at - start) * HEIGHT > 3;
    if (moved) bound(figure, axis, [Math.min(at, fixed), Math.max(at, fixed)]);
  };
  const stop = () => {
    target.removeEventListener("pointermove", drag);
    if (!moved) bound(figure, axis, null);
  };
  target.setPointerCapture(event.pointerId);
  target.addEventListener("pointermove", drag);
  target.addEventListener("lostpointercapture", stop, { once: true });
}

function enter(figure, target) {
  const axis = Number(target.dataset?.axis ?? NaN);
  if (Number.isNaN(axis) || axis === figure.state.current) return;
  const before = figure.state.current;
  figure.state.current = axis;
  for (const place of [before, axis]) if (figure.state.elements[place]) placeBounds(figure, place);
}

const MOVES = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 };

function keyed(figure, event) {
  const { bound: end, axis } = event.target.dataset ?? {};
  if (!end || event.ctrlKey || event.metaKey || event.altKey) return;
  const place = Number(axis);
  const { state } = figure;
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") go(figure, place + (event.key === "ArrowLeft" ? -1 : 1), end);
  else if (["Escape", "Delete", "Backspace"].includes(event.key)) bound(figure, place, null);
  else if (event.key === "Home" || event.key === "End") moveTo(figure, place, end, event.key === "Home" ? 0 : 1);
  else if (MOVES[event.key]) moveTo(figure, place, end, current(state, place, end) + MOVES[event.key] * state.axes[place].step);
  else return;
  event.preventDefault();
}

const current = (state, place, end) => (state.bounds.get(state.axes[place].name) ?? [0, 1])[end === "low" ? 0 : 1];

function moveTo(figure, place, end, wanted) {
  const [low, high] = figure.state.bounds.get(figure.state.axes[place].name) ?? [0, 1];
  const at = clamp(wanted);
  bound(figure, place, end === "low" ? [Math.min(at, high), high] : [low, Math.max(at, low)]);
}

function go(figure, place, end) {
  const element = figure.state.elements[place];
  if (element) element.querySelector(`[data-bound="${end}"]`).focus();
}

// What the pointer points at

function hover(figure, event) {
  const box = figure.canvas.getBoundingClientRect();
  pointAt(figure, nearest(figure.state, event.clientX - box.left, event.clientY - box.top));
}

/** Return the row whose line is nearest to a point, -1 if none is within reach. */
function nearest(state, x, y) {
  const { axes, active, size, gap } = state;
  const from = Math.min(axes.length - 2, Math.max(0, Math.floor((x - SIDE) / (gap || 1))));
  const [left, right] = [axes[from], axes[from + 1] ?? axes[from]];
  if (!left || y < 0 || y > HEIGHT || x < SIDE - REACH || x > state.width - SIDE + REACH) return -1;
  const share = clamp((x - SIDE - from * gap) / (gap || 1));
  let [found, least] = [-1, REACH];
  for (let row = 0; row < size; row += 1) {
    if (!active[row]) continue;
    const away = Math.abs(yOf(left.places[row] + (right.places[row] - left.places[row]) * share) - y);
    if (away < least) [found, least] = [row, away];
  }
  return found;
}

function pointAt(figure, row) {
  const { state, frame } = figure;
  if (state.hovered === row) return;
  state.hovered = row;
  drawMarks(figure);
  if (row < 0) return frame.say("");
  const values = state.axes.map((axis) => `${visible(axis.name)}: ${textOf(state.data.columns[axis.name], row, axis.name)}`);
  const [name, ...shown] = shortened([state.data.names[row] ?? `run ${row}`, ...values], 80);
  return frame.say(make("b", {}, make("bdi", {}, name)), ` ${shown.join(" · ")}`);
}
