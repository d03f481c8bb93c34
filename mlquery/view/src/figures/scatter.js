// A scatter plot of two columns, one mark for each run, and the trade-off front: the runs that no other run beats in both.

import { axisX, axisY, dot, gridX, gridY, line } from "@observablehq/plot";
import { suggestsLog, wide } from "./axis.js";
import { colouring, coloursOf } from "./colours.js";
import { framed, legendOf, living, make, nameOf } from "./figure.js";
import { frontOf } from "./front.js";
import { counted, isolated, shortened, visible } from "./labels.js";
import { pointable, svgOf, widthOf } from "./plotting.js";
import { isNumeric, labelOf, NUMBER, numbersOf, textOf } from "./values.js";

const HEIGHT = 380;

/**
 * Draw a scatter plot.
 *
 * `data`: `{columns: {name: column}, names: [run names]}`, one row for each run.
 * `options`: `x` and `y`, names of numeric columns; `colour`, the name of a column; `log`, `{x: bool, y: bool}`, by
 * default where the column suggests it; `front`, `{x: "min" | "max", y: "min" | "max"}` for the trade-off front;
 * `shown`, a set of rows, the others are faint; `selected`, a set of rows to stress; `onPick(row)`.
 */
export function draw(element, data, options) {
  const frame = framed(element, "scatter");
  return living(element, data, options, { paint: (given, wanted) => paint(frame, element, given, wanted) });
}

function paint(frame, element, data, options) {
  const names = [options.x, options.y];
  const words = names.filter((name) => !data.columns[name] || !isNumeric(data.columns[name]));
  if (words.length) return refuse(frame, words, data);
  const colours = coloursOf(frame.figure);
  const column = options.colour ? data.columns[options.colour] : null;
  const coloured = colouring(column, colours);
  const axes = names.map((name, place) => sideOf(name, data.columns[name], options.log?.[place ? "y" : "x"]));
  const { points, left } = pointsOf(data, axes, options);
  const front = options.front ? frontOf(points.filter((point) => point.isShown), options.front) : [];
  const labels = shortened(names, 60).map(isolated);
  const svg = svgOf(plotOf({ points, front, coloured, colours, axes, labels, selected: options.selected }, element));
  frame.plot.replaceChildren(svg);
  const name = `Scatter plot of ${visible(options.y)} over ${visible(options.x)}, ${counted(points.length, "run")}`;
  pointable(svg, placed(svg, points), name, {
    tell: (row) => frame.say(...(row === null ? [""] : readout(data, options, row, front))),
    pick: options.onPick,
  });
  frame.legend(options.colour ? legendOf(options.colour, coloured, markSample) : []);
  frame.note(noteOf(points, left, front, options));
  const onFront = new Set(front);
  const rowOf = (point) => [visible(data.names[point.row] ?? point.row), ...names.map((one) => textOf(data.columns[one], point.row, one)), onFront.has(point) ? "yes" : "no"];
  return frame.describe(name, ["run", ...names.map(visible), "on the front"], points.filter((point) => point.isShown), rowOf);
}

function refuse(frame, words, data) {
  frame.plot.replaceChildren();
  frame.legend([]);
  const reasons = words.map((name) => `${visible(String(name))} ${data.columns[name] ? "has values that are not numbers; boxes show them" : "is not a column here"}`);
  frame.note(`A scatter plot needs two columns of numbers: ${reasons.join("; ")}.`);
  frame.describe("Scatter plot without points", [], []);
}

function sideOf(name, column, log) {
  return { label: labelOf(name, column.kind), ...numbersOf(column), isLog: column.kind !== "time" && (log ?? suggestsLog(column)), kind: column.kind };
}

/** Return the runs that have a place on both axes, and how many have none. */
function pointsOf(data, [x, y], options) {
  const points = [];
  const fits = (side, row) => side.states[row] === NUMBER && (!side.isLog || side.values[row] > 0);
  for (let row = 0; row < data.names.length; row += 1) {
    if (fits(x, row) && fits(y, row)) {
      points.push({ row, x: x.values[row], y: y.values[row], isShown: !options.shown || options.shown.has(row) });
    }
  }
  points.sort((a, b) => a.x - b.x || a.y - b.y);
  return { points, left: data.names.length - points.length };
}

function plotOf({ points, front, coloured, colours, axes, labels, selected }, element) {
  const bucket = (point) => coloured.buckets[coloured.bucketOf ? coloured.bucketOf[point.row] : 0];
  const [fades, shown] = [points.filter((point) => !point.isShown), points.filter((point) => point.isShown)];
  const marked = shown.filter((point) => selected?.has(point.row));
  const dots = { x: "x", y: "y", r: points.length > 300 ? 3 : 4.5 };
  const scales = axes.map((axis, place) => scaleOf(axis, points, place ? "y" : "x", labels[place]));
  return {
    width: widthOf(element),
    height: HEIGHT,
    marginLeft: 62,
    marginBottom: 42,
    marginRight: 24,
    marginTop: 26,
    x: { ...scales[0], type: axes[0].kind === "time" ? "utc" : scales[0].type },
    y: { ...scales[1], type: axes[1].kind === "time" ? "utc" : scales[1].type },
    symbol: { legend: false },
    marks: [
      gridX({ stroke: colours.grid, strokeOpacity: 1, ...ticksOf(axes[0]) }),
      gridY({ stroke: colours.grid, strokeOpacity: 1 }),
      axisX({ anchor: "bottom", label: labels[0], ...ticksOf(axes[0]) }),
      axisY({ anchor: "left", label: labels[1], ...ticksOf(axes[1]) }),
      dot(fades, { ...dots, fill: colours.muted, fillOpacity: 0.25, symbol: "circle" }),
      front.length > 1 ? line(front, { x: "x", y: "y", stroke: colours.ink, strokeWidth: 1.5, strokeDasharray: "5 3", curve: "step-after" }) : null,
      ...groupsOf(shown, bucket).map(([{ colour, mark }, some]) => dot(some, { ...dots, ...inkOf(mark, colour), symbol: mark })),
      dot(front, { x: "x", y: "y", r: 7, stroke: colours.ink, strokeWidth: 1.5, symbol: "circle" }),
      dot(marked, { x: "x", y: "y", r: 8, stroke: colours.ink, strokeWidth: 3, symbol: "circle" }),
    ],
  };
}

const OPEN = new Set(["plus", "times", "asterisk"]);
const inkOf = (mark, colour) => (OPEN.has(mark) ? { stroke: colour, strokeWidth: 1.5 } : { fill: colour, fillOpacity: 0.8 });

/** Return a mark of Plot for each bucket, because one mark has one kind of ink. */
function groupsOf(points, bucket) {
  const groups = new Map();
  for (const point of points) {
    const own = bucket(point);
    if (!groups.has(own)) groups.set(own, []);
    groups.get(own).push(point);
  }
  return [...groups];
}

function scaleOf(axis, points, side, label) {
  const values = points.map((point) => point[side]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (!values.length) return { domain: [0, 1], type: "linear", label };
  return { type: axis.isLog ? "log" : "linear", domain: wide([low, high], axis.isLog), label };
}

function ticksOf({ kind, isLog, label }) {
  if (kind === "time") return {};
  return { tickFormat: (value) => (isLog && !isRound(value) ? "" : label(value)), tickSpacing: 80 };
}

/** Return whether a value is 1, 2 or 5 times a power of ten: labels of more would touch on a logarithmic axis. */
const isRound = (value) => [1, 2, 5].includes(Number(value.toExponential(6).split("e")[0]));

function placed(svg, points) {
  const [x, y] = [svg.scale("x"), svg.scale("y")];
  return points.filter((point) => point.isShown).map((point) => ({ x: x.apply(point.x), y: y.apply(point.y), row: point.row }));
}

function readout(data, options, row, front) {
  const shown = [options.x, options.y, ...(options.colour ? [options.colour] : [])];
  const labels = shortened(shown, 40);
  const values = shown.map((name, place) => `${labels[place]} ${shortened([textOf(data.columns[name], row, name)], 60)[0]}`);
  const isFirst = front.some((point) => point.row === row);
  const name = data.names[row] ?? `run ${row}`;
  return [make("b", {}, nameOf(name, shortened([name], 60)[0])), ` ${values.join(" · ")}${isFirst ? " · on the trade-off front" : ""}`];
}

function noteOf(points, left, front, { front: directions }) {
  const shown = points.filter((point) => point.isShown).length;
  const parts = [`${shown < points.length ? `${shown.toLocaleString("en")} of ` : ""}${counted(points.length, "run")}.`];
  if (directions) parts.push(`${counted(front.length, "run")} on the trade-off front (${directions.x} of x, ${directions.y} of y), ringed.`);
  if (left) parts.push(`${counted(left, "run")} left out: no finite number on both axes${points.length ? "" : ", or none that a logarithmic axis can show"}.`);
  return parts.join(" ");
}


function markSample({ colour, mark }) {
  const svg = svgOf({ width: 16, height: 12, margin: 0, axis: null, x: { domain: [0, 1] }, y: { domain: [0, 1] }, marks: [dot([0.5], { x: (d) => d, y: (d) => d, r: 4.5, symbol: mark, ...inkOf(mark, colour) })] });
  svg.removeAttribute("role");
  svg.setAttribute("aria-hidden", "true");
  return svg;
}
