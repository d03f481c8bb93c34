// The parts that all figures share: an element with a name, a note, what is read out, and a table for those who do not
// see the drawing; and when to draw again.

import { isPrinting, watchLook } from "./colours.js";
import { shortened, visible } from "./labels.js";

/** Return an element with properties and children; strings become text and nothing else. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** Return an element of SVG with attributes. */
export function makeSvg(tag, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

const TABLE_DELAY = 150; // while bounds are dragged, nobody reads the table

/**
 * Return the frame of a figure in an element.
 *
 * `plot` is where to draw; `describe(name, header, items, rowOf)` sets what the figure is called and, a little later, the
 * table that says the same, a row for each item;
 * `say(...parts)` tells what the pointer or the keyboard points at; `note(string)` is read by everyone.
 */
export function framed(element, kind) {
  const plot = make("div", { class: `figure-plot ${kind}-plot` });
  const legend = make("ul", { class: "figure-legend" });
  const notes = make("p", { class: "figure-note" });
  const readout = make("p", { class: "figure-readout", role: "status" });
  const table = make("div", { class: "figure-hidden" });
  const figure = make("figure", { class: `figure figure-${kind}` }, plot, legend, notes, readout, table);
  element.replaceChildren(figure);
  let waiting = 0;
  return {
    figure,
    plot,
    describe(name, header, items, rowOf) {
      figure.setAttribute("aria-label", name);
      clearTimeout(waiting);
      waiting = setTimeout(() => table.replaceChildren(tableOf(name, header, items, rowOf)), TABLE_DELAY);
    },
    note(string) {
      notes.textContent = string;
      notes.hidden = !string;
    },
    say: (...parts) => readout.replaceChildren(...parts),
    legend: (items) => {
      legend.replaceChildren(...items);
      legend.hidden = items.length === 0;
    },
  };
}

const MOST_ROWS = 100;

function tableOf(name, header, items, rowOf) {
  const shown = items.slice(0, MOST_ROWS).map((item) => make("tr", {}, ...rowOf(item).map((cell) => make("td", {}, String(cell)))));
  const head = make("tr", {}, ...header.map((cell) => make("th", { scope: "col" }, cell)));
  const more = items.length > MOST_ROWS ? ` The first ${MOST_ROWS} of ${items.length} rows; the others are in the table of runs.` : "";
  return make("table", {}, make("caption", {}, name + more), make("thead", {}, head), make("tbody", {}, ...shown));
}

/**
 * Return a figure that is drawn now, in the frame after an update, when its width changes and when the look changes. One
 * that nobody sees is not drawn before it is scrolled to, or printed.
 *
 * `paint(data, options)` draws; `leave()` lets go of what it holds.
 */
export function living(element, data, options, { paint, leave = () => {} }) {
  let given = [data, options ?? {}];
  let width = element.clientWidth;
  let [isNear, isStale, frame] = [true, false, 0];
  const redraw = () => {
    isStale = false;
    paint(...given);
  };
  const near = new IntersectionObserver((entries) => {
    isNear = entries.at(-1).isIntersecting;
    if (isNear && isStale) redraw();
  });
  const sizes = new ResizeObserver(() => {
    if (element.clientWidth === width || element.clientWidth === 0 || isPrinting()) return;
    width = element.clientWidth;
    redraw();
  });
  redraw();
  sizes.observe(element);
  near.observe(element);
  const stopWatching = watchLook(element, redraw);
  return {
    update(newData, newOptions) {
      given = [newData ?? given[0], newOptions ?? given[1]];
      isStale = true;
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => isNear && isStale && redraw());
    },
    destroy() {
      cancelAnimationFrame(frame);
      sizes.disconnect();
      near.disconnect();
      stopWatching();
      leave();
      element.replaceChildren();
    },
  };
}

/** Return a context of a canvas of a size in pixels of CSS, sharp on any screen, and cleared. */
export function contextOf(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  // A canvas that is read stays in memory: Chromium strokes a thousand paths there many times as fast as on a card.
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** Return the items of a legend: what each bucket of a colouring stands for. */
export function legendOf(title, { buckets, bucketOf, range }, drawSample) {
  if (!bucketOf) return [];
  const used = new Set(bucketOf);
  const named = buckets.filter((bucket, place) => bucket.label !== null && used.has(place));
  const labels = shortened(named.map(({ label }) => label), 60);
  const ramp = range ? [rampItem(buckets, range)] : [];
  const items = named.map((bucket, place) => make("li", {}, drawSample(bucket), nameOf(bucket.label, labels[place])));
  return [make("li", {}, make("b", {}, nameOf(title, shortened([title], 60)[0]))), ...ramp, ...items];
}

/** Return a name as it fits, with the whole of it as its title. */
export function nameOf(name, shown = visible(name)) {
  return make("bdi", shown === visible(name) ? {} : { title: visible(name) }, shown);
}

function rampItem(buckets, [low, high]) {
  const steps = buckets.filter((bucket) => bucket.label === null);
  const svg = makeSvg("svg", { width: 96, height: 10, "aria-hidden": "true" });
  steps.forEach(({ colour }, place) => svg.append(makeSvg("rect", { x: place * 3, width: 3.2, height: 10, fill: colour })));
  return low === high ? make("li", {}, low) : make("li", {}, low, svg, high);
}

/** Return a short line in the colour and dash of a bucket. */
export function lineSample({ colour, dash }) {
  const svg = makeSvg("svg", { width: 28, height: 10, "aria-hidden": "true" });
  const line = { x1: 0, x2: 28, y1: 5, y2: 5, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash.join(" ") };
  svg.append(makeSvg("line", line));
  return svg;
}
