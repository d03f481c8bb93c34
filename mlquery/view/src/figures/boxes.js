// A box for each value of a column, with the runs behind it as points: the median, the quartiles, and how many there are.

import { axisX, axisY, boxX, dot, gridX } from "@observablehq/plot";
import { suggestsLog, wide } from "./axis.js";
import { coloursOf } from "./colours.js";
import { framed, living, make, nameOf } from "./figure.js";
import { counted, isolated, numberLabel, shortened, visible } from "./labels.js";
import { pointable, svgOf, widthOf } from "./plotting.js";
import { categorical, isNumeric, labelOf, NUMBER, numbersOf, textOf } from "./values.js";

const MOST = 40;
const ROW = 34;
// How far points are moved from the middle of their row, so that equal ones do not hide each other.
const SHIFTS = [0, -6, 6, -3, 3, -9, 9];
const NONE = "(none)";

/**
 * Draw boxes.
 *
 * `data`: `{columns: {name: column}, names: [run names]}`, one row for each run.
 * `options`: `by`, the name of the column whose values get a box; `metric`, the name of the numeric column; `log`, whether
 * its axis is logarithmic, by default where it suggests it; `shown`, a set of rows, all others are left out;
 * `onPick(row)`.
 */
export function draw(element, data, options) {
  const frame = framed(element, "boxes");
  return living(element, data, options, { paint: (given, wanted) => paint(frame, element, given, wanted) });
}

function paint(frame, element, data, options) {
  const [by, metric] = [data.columns[options.by], data.columns[options.metric]];
  if (!by || !metric || !isNumeric(metric)) return refuse(frame, `Boxes need a column of numbers and a column to group by: ${visible(String(metric ? options.by : options.metric))} is not one here.`);
  const { points, left } = pointsOf(by, metric, options, data.names.length);
  const groups = groupsOf(points, by);
  if (groups.length > MOST) return refuse(frame, `${visible(options.by)} has ${groups.length} values; boxes show at most ${MOST}. A scatter plot shows them all.`);
  if (!groups.length) return refuse(frame, `No run has a finite ${visible(options.metric)}.`);
  const colours = coloursOf(frame.figure);
  const width = widthOf(element);
  const svg = svgOf(plotOf({ points, groups, colours, width, label: isolated(shortened([options.metric], 60)[0]), write: labelOf(options.metric, metric.kind), isLog: logOf(metric, options) }));
  frame.plot.replaceChildren(svg);
  const name = `Boxes of ${visible(options.metric)} by ${visible(options.by)}, ${counted(points.length, "run")} in ${counted(groups.length, "group")}`;
  const [x, y] = [svg.scale("x"), svg.scale("y")];
  const places = points.map((point) => ({ x: x.apply(point.value), y: y.apply(point.label) + y.bandwidth / 2 + point.shift, row: point.row }));
  pointable(svg, places, name, { tell: (row) => frame.say(...(row === null ? [""] : readout(data, options, row))), pick: options.onPick });
  frame.note(`The box spans the quartiles, the line is the median, whiskers reach to the last run within 1.5 times the box.${left ? ` ${counted(left, "run")} left out: no finite number.` : ""}`);
  return frame.describe(name, [visible(options.by), "runs", "lowest", "median", "highest"], groups, rowOf);
}

function refuse(frame, reason) {
  frame.plot.replaceChildren();
  frame.note(reason);
  frame.describe("Boxes that cannot be drawn", [], []);
}

const logOf = (metric, options) => metric.kind !== "time" && (options.log ?? suggestsLog(metric));

function pointsOf(by, metric, options, size) {
  const { values, states } = numbersOf(metric);
  const { names, places } = categorical(by);
  const isLog = logOf(metric, options);
  const points = [];
  let left = 0;
  for (let row = 0; row < size; row += 1) {
    if (options.shown && !options.shown.has(row)) continue;
    if (states[row] !== NUMBER || (isLog && values[row] <= 0)) left += 1;
    else points.push({ row, value: values[row], group: places[row], full: places[row] < 0 ? null : names[places[row]] });
  }
  return { points, left };
}

/** Return the groups in the order of their values, those without one last, each with the label that its points get. */
function groupsOf(points, by) {
  const rank = (group) => (group < 0 ? Infinity : group);
  const found = new Map();
  for (const point of points) {
    if (!found.has(point.group)) found.set(point.group, []);
    found.get(point.group).push(point);
  }
  const groups = [...found].sort(([a], [b]) => rank(a) - rank(b)).map(([, some]) => some);
  const names = by.kind === "time" ? groups.map(([point]) => String(point.full)) : groups.map(([point]) => point.full ?? NONE);
  const labels = shortened(names, 26);
  groups.forEach((some, place) => {
    some.sort((a, b) => a.value - b.value);
    some.forEach((point, rankOfPoint) => Object.assign(point, { label: `${isolated(labels[place])}  ×${some.length}`, shift: SHIFTS[rankOfPoint % SHIFTS.length] }));
  });
  points.sort((a, b) => rank(a.group) - rank(b.group) || a.value - b.value);
  return groups;
}


function plotOf({ points, groups, colours, width, label, write, isLog }) {
  const labels = groups.map(([point]) => point.label);
  const values = points.map((point) => point.value);
  const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  const longest = Math.max(...labels.map((one) => one.length));
  return {
    width,
    height: 48 + ROW * groups.length,
    marginLeft: Math.min(width * 0.45, 22 + longest * 6.6),
    marginRight: 24,
    marginBottom: 38,
    marginTop: 4,
    x: { type: isLog ? "log" : "linear", domain: wide([low, high], isLog) },
    y: { domain: labels, type: "band", padding: 0.25 },
    marks: [
      gridX({ stroke: colours.grid, strokeOpacity: 1, tickSpacing: 80 }),
      axisX({ anchor: "bottom", label, tickFormat: (value) => write(value), tickSpacing: 80 }),
      axisY({ anchor: "left", label: null, tickSize: 0 }),
      boxX(points, { x: "value", y: "label", fill: colours.box, stroke: colours.ink, strokeWidth: 2, r: 0 }),
      ...SHIFTS.map((dy) => dot(points.filter((point) => point.shift === dy), { x: "value", y: "label", dy, r: points.length > 300 ? 2 : 3.2, fill: colours.hues[0], fillOpacity: 0.7 })),
    ],
  };
}

function rowOf(group) {
  const values = group.map((point) => point.value);
  const middle = values.length >> 1;
  const median = values.length % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return [visible(group[0].full ?? NONE), values.length, numberLabel(values[0]), numberLabel(median), numberLabel(values.at(-1))];
}

function readout(data, options, row) {
  const name = data.names[row] ?? `run ${row}`;
  const values = [options.metric, options.by].map((key) => `${shortened([key], 40)[0]} ${shortened([textOf(data.columns[key], row, key)], 60)[0]}`);
  return [make("b", {}, nameOf(name, shortened([name], 60)[0])), ` ${values.join(" · ")}`];
}
