// How much each param matters for a metric: permutation importance with its standard deviation, and Spearman's rank
// correlation beside it. The numbers come from Python.

import { axisX, axisY, barX, link, ruleX, text } from "@observablehq/plot";
import { coloursOf } from "./colours.js";
import { framed, living, make, nameOf } from "./figure.js";
import { counted, isolated, numberLabel, shortened, visible } from "./labels.js";
import { pointable, svgOf, widthOf } from "./plotting.js";

const ROW = 30;
const MOST = 30;

/**
 * Draw importance.
 *
 * `data`: the page's `importance`: `{metric, n, warning, rows: [{param, importance, std, spearman, p}]}`.
 * `options`: `note`, a sentence more, such as that it is of all runs.
 */
export function draw(element, data, options) {
  const frame = framed(element, "importance");
  return living(element, data, options, { paint: (given, wanted) => paint(frame, element, given, wanted) });
}

const sentence = (string) => (/[.!?]$/.test(string) ? string : `${string}.`);

const finite = (value) => (value === null || value === undefined || !Number.isFinite(Number(value)) ? NaN : Number(value));

function paint(frame, element, data, options) {
  const all = data.rows.map((row, place) => ({ ...row, place, importance: finite(row.importance), std: finite(row.std) || 0 }));
  const rows = all.filter((row) => !Number.isNaN(row.importance)).sort((a, b) => b.importance - a.importance).slice(0, MOST);
  const name = `Importance of params for ${visible(data.metric)}, ${counted(data.n, "run")}`;
  const rest = all.length - rows.length;
  frame.note([data.warning, rest ? `${rest} more params matter less` : "", options.note].filter(Boolean).map(sentence).join(" "));
  frame.describe(name, ["param", "importance", "standard deviation", "Spearman", "p"], all, cells);
  if (!rows.length) return frame.plot.replaceChildren();
  const labels = shortened(rows.map((row) => row.param), 28).map(isolated);
  rows.forEach((row, place) => (row.label = labels[place]));
  const svg = svgOf(plotOf(rows, coloursOf(frame.figure), widthOf(element)));
  frame.plot.replaceChildren(svg);
  const [x, y] = [svg.scale("x"), svg.scale("y")];
  const points = rows.map((row, place) => ({ x: x.apply(row.importance), y: y.apply(row.label) + y.bandwidth / 2, row: place }));
  return pointable(svg, points, name, { tell: (place) => frame.say(...(place === null ? [""] : readout(rows[place]))) });
}

function plotOf(rows, colours, width) {
  const low = Math.min(0, ...rows.map((row) => row.importance - row.std));
  const high = Math.max(0, ...rows.map((row) => row.importance + row.std));
  const longest = Math.max(...rows.map((row) => row.label.length));
  return {
    width,
    height: 56 + ROW * rows.length,
    marginLeft: Math.min(width * 0.4, 20 + longest * 6.6),
    marginRight: 118,
    marginBottom: 40,
    marginTop: 8,
    x: { domain: low === high ? [0, 1] : [low, high] },
    y: { domain: rows.map((row) => row.label), type: "band", padding: 0.3 },
    marks: [
      axisX({ anchor: "bottom", label: "permutation importance (line: standard deviation)", tickFormat: (value) => numberLabel(value), tickSpacing: 80 }),
      axisY({ anchor: "left", label: null, tickSize: 0 }),
      barX(rows, { x: "importance", y: "label", fill: colours.hues[0] }),
      link(rows, { x1: (row) => row.importance - row.std, x2: (row) => row.importance + row.std, y1: "label", y2: "label", stroke: colours.ink, strokeWidth: 2 }),
      ruleX([0], { stroke: colours.ink }),
      text(rows, { frameAnchor: "right", y: "label", text: correlation, textAnchor: "start", dx: 10, fill: colours.ink }),
    ],
  };
}

const correlation = ({ spearman, p }) => (Number.isNaN(finite(spearman)) ? "" : `ρ ${numberLabel(finite(spearman), 2)}${Number.isNaN(finite(p)) ? "" : `, p ${smallest(finite(p))}`}`);

const smallest = (p) => (p < 0.001 ? "< 0.001" : numberLabel(p, 2));

const orNone = (value) => (Number.isNaN(finite(value)) ? "none" : numberLabel(finite(value)));

const cells = (row) => [visible(row.param), ...[row.importance, row.std, row.spearman, row.p].map(orNone)];

function readout(row) {
  const parts = [`importance ${numberLabel(row.importance)} ± ${numberLabel(row.std)}`, `Spearman ${orNone(row.spearman)}`, `p ${orNone(row.p)}`];
  return [make("b", {}, nameOf(row.param, row.label)), ` ${parts.join(" · ")}`];
}
