// Colours, dashes and marks of figures. The colours are those of figures.css, which has a light and a dark look; they
// are told apart by colour-blind people, and dashes and marks say the same once more.

import { categorical, extentOf, isNumeric, numbersOf, NUMBER } from "./values.js";
import { numberLabel, timeLabel } from "./labels.js";

export const HUES = 8;
export const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
export const MARKS = ["circle", "square", "triangle", "diamond", "plus", "times", "triangle2", "asterisk"];
export const STEPS = 32;

/** Return the colours that an element would draw with, as strings of CSS. */
export function coloursOf(element) {
  const probe = element.ownerDocument.createElement("span");
  probe.hidden = true;
  element.append(probe);
  const read = (name) => {
    probe.style.color = `var(--figure-${name})`;
    return getComputedStyle(probe).color;
  };
  const hues = Array.from({ length: HUES }, (_, place) => read(place + 1));
  const named = ["ink", "quiet", "grid", "ground", "box", "muted", "low", "middle", "high"].map((name) => [name, read(name)]);
  probe.remove();
  const colours = Object.fromEntries(named);
  return { ...colours, hues, ramp: rampOf([colours.low, colours.middle, colours.high]) };
}

/** Return STEPS colours from the first to the last of some. */
function rampOf(stops) {
  const channels = stops.map((stop) => stop.match(/[\d.]+/g).slice(0, 3).map(Number));
  return Array.from({ length: STEPS }, (_, step) => {
    const at = (step / (STEPS - 1)) * (channels.length - 1);
    const from = Math.min(Math.floor(at), channels.length - 2);
    const mixed = channels[from].map((channel, i) => Math.round(channel + (channels[from + 1][i] - channel) * (at - from)));
    return `rgb(${mixed.join(", ")})`;
  });
}

/** Return whether the page is being printed: what is drawn on a canvas meanwhile does not come on paper. */
export const isPrinting = () => document.documentElement.hasAttribute("data-printing");

/** Call back whenever the look changes: light or dark, by the system or the page. On paper, the style turns the dark. */
export function watchLook(element, redraw) {
  const { defaultView: view, documentElement: root } = element.ownerDocument;
  const queries = ["(prefers-color-scheme: dark)", "(resolution: 1dppx)"].map((query) => view.matchMedia(query));
  const observer = new MutationObserver(redraw);
  observer.observe(root, { attributes: true, attributeFilter: ["class", "data-theme"] });
  const changed = () => isPrinting() || redraw();
  queries.forEach((query) => query.addEventListener("change", changed));
  const print = () => {
    if (isPrinting()) return;
    const ink = getComputedStyle(element).color;
    root.setAttribute("data-printing", "light");
    if (getComputedStyle(element).color !== ink) root.setAttribute("data-printing", "dark");
  };
  const printed = () => root.removeAttribute("data-printing");
  view.addEventListener("beforeprint", print);
  view.addEventListener("afterprint", printed);
  return () => {
    observer.disconnect();
    queries.forEach((query) => query.removeEventListener("change", changed));
    view.removeEventListener("beforeprint", print);
    view.removeEventListener("afterprint", printed);
  };
}

/**
 * Return how rows are coloured by a column: `bucketOf[row]` is a place in `buckets`, each with colour, dash and mark.
 *
 * Buckets of categories have a label; those of numbers are steps of a ramp between the labels of `range`. Rows without
 * a value, and categories after the seventh where there are more than eight, are in a bucket of their own.
 */
export function colouring(column, colours) {
  if (!column) return { buckets: [{ colour: colours.hues[0], dash: [], mark: MARKS[0], label: null }], bucketOf: null };
  return isNumeric(column) && !isFew(column) ? byNumber(column, colours) : byCategory(column, colours);
}

const isFew = (column) => column.kind === "string" && new Set(column.codes).size <= HUES;

function byNumber(column, colours) {
  const numbers = numbersOf(column);
  const [low, high] = extentOf(numbers) ?? [0, 0];
  const none = { colour: colours.muted, dash: DASHES[2], mark: "times", label: "no number" };
  const buckets = [...colours.ramp.map((colour) => ({ colour, dash: [], mark: MARKS[0], label: null })), none];
  const bucketOf = Uint8Array.from(numbers.values, (value, row) => {
    if (numbers.states[row] !== NUMBER) return STEPS;
    return high > low ? Math.min(STEPS - 1, Math.floor(((value - low) / (high - low)) * STEPS)) : STEPS - 1;
  });
  const label = column.kind === "time" ? timeLabel : numberLabel;
  return { buckets, bucketOf, range: [label(low), label(high)] };
}

function byCategory(column, colours) {
  const { names, places } = categorical(column);
  const own = names.length <= HUES ? names.length : HUES - 1;
  const buckets = names.slice(0, own).map((label, place) => ({ ...styleOf(place, colours), label }));
  const others = names.length - own;
  if (others) buckets.push({ colour: colours.muted, dash: DASHES[2], mark: "times", label: `${others} others`, isRest: true });
  buckets.push({ colour: colours.muted, dash: DASHES[1], mark: "plus", label: "(none)", isRest: true });
  const bucketOf = Uint8Array.from(places, (place) => (place < 0 ? buckets.length - 1 : Math.min(place, own)));
  return { buckets, bucketOf };
}

/** Return colour, dash and mark of one of several: colours repeat after eight, then with another dash. */
export function styleOf(place, colours) {
  const dash = DASHES[(place + Math.floor(place / HUES)) % DASHES.length];
  return { colour: colours.hues[place % HUES], dash, mark: MARKS[place % MARKS.length] };
}
