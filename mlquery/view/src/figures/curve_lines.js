// Strokes curves and fills bands on a canvas, in the scales of a uPlot. What is no finite number is a gap.

import { NUMBER } from "./values.js";

/** Yield curves in parts of a size. */
export function* shares(curves, size) {
  for (let start = 0; start < curves.length; start += size) yield curves.slice(start, start + size);
}

/** Return functions from values to pixels of CSS, without the checks that uPlot makes for every value. */
export function scalesOf(plot) {
  const { x, y } = plot.scales;
  const [width, height] = [plot.over.clientWidth, plot.over.clientHeight];
  const bend = y.distr === 3 ? Math.log10 : (value) => value;
  const [low, high] = [bend(y.min), bend(y.max)];
  return [(value) => ((value - x.min) / (x.max - x.min)) * width, (value) => height - ((bend(value) - low) / (high - low)) * height];
}

export function strokeAll(context, plot, curves, colour, dash, width) {
  const [xAt, yAt] = scalesOf(plot);
  context.beginPath();
  const alone = curves.flatMap((curve) => trace(context, curve, xAt, yAt, plot.scales.y.distr === 3));
  context.lineWidth = width;
  context.lineJoin = "bevel";
  context.strokeStyle = colour;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
  if (alone.length) drawDots(context, alone, colour);
}

function drawDots(context, points, colour) {
  context.beginPath();
  for (const [left, top] of points) {
    context.moveTo(left + 3, top);
    context.arc(left, top, 3, 0, 2 * Math.PI);
  }
  context.fillStyle = colour;
  context.fill();
}

/** Add a curve to the path; what cannot be drawn is a gap. Return the points between two gaps, which need a dot. */
function trace(context, { x, y }, xAt, yAt, isLog) {
  const alone = [];
  let length = 0;
  let [left, top] = [0, 0];
  const end = () => {
    if (length === 1) alone.push([left, top]);
    length = 0;
  };
  for (let place = 0; place < x.values.length; place += 1) {
    const value = y.values[place];
    if (y.states[place] !== NUMBER || x.states[place] !== NUMBER || (isLog && value <= 0)) {
      end();
      continue;
    }
    left = xAt(x.values[place]);
    top = yAt(value);
    if (length) context.lineTo(left, top);
    else context.moveTo(left, top);
    length += 1;
  }
  end();
  return alone;
}

export function fillBand(context, plot, { x, low, high }, colour) {
  const [xAt, yAt] = scalesOf(plot);
  const isLog = plot.scales.y.distr === 3;
  const floor = plot.scales.y.min;
  const places = [...x.values.keys()].filter((place) => low.states[place] === NUMBER && high.states[place] === NUMBER && (!isLog || high.values[place] > 0));
  if (!places.length) return;
  context.beginPath();
  for (const place of places) context.lineTo(xAt(x.values[place]), yAt(high.values[place]));
  for (const place of places.reverse()) context.lineTo(xAt(x.values[place]), yAt(isLog ? Math.max(low.values[place], floor / 10) : low.values[place]));
  context.closePath();
  context.fillStyle = colour;
  context.globalAlpha = 0.22;
  context.fill();
  context.globalAlpha = 1;
}
