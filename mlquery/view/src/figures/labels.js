// Names and numbers as people read them: nothing invisible stays invisible, and no two labels are cut to the same one.

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const EDGES = /^ +| +$/g;

const escaped = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** Return a string whose control characters, marks of direction, lone surrogates and outer spaces are seen. */
export function visible(string) {
  const shown = String(string).replace(HIDDEN, escaped).replace(LONE, escaped);
  return shown === "" ? "(empty)" : shown.replace(EDGES, (spaces) => "\u2423".repeat(spaces.length));
}

/**
 * Return labels of at most `most` characters, cut in the middle.
 *
 * Different strings stay different: those that would become the same are numbered, which may add a few characters.
 */
export function shortened(strings, most) {
  const cut = strings.map((string) => cutInTheMiddle(visible(string), Math.max(3, most)));
  const owners = new Map();
  cut.forEach((label, place) => owners.set(label, (owners.get(label) ?? new Set()).add(strings[place])));
  return cut.map((label, place) => {
    const alike = [...owners.get(label)];
    return alike.length === 1 ? label : numbered(label, 1 + alike.indexOf(strings[place]), owners);
  });
}

function cutInTheMiddle(string, most) {
  if (string.length <= most) return string;
  const characters = Array.from(string.length > 4 * most ? string.slice(0, 2 * most) + string.slice(-2 * most) : string);
  if (characters.length <= most && string.length <= 4 * most) return string;
  const head = Math.ceil((most - 1) / 2);
  const tail = most - 1 - head;
  return `${characters.slice(0, head).join("")}…${tail ? characters.slice(-tail).join("") : ""}`;
}

function numbered(label, number, taken) {
  let found = `${label} (${number})`;
  while (taken.has(found)) found += "′";
  return found;
}

/** Return a label whose direction does not reach into what stands beside it. */
export const isolated = (label) => `\u2068${label}\u2069`;

/** Return a number in at most `digits` significant digits. */
export function numberLabel(value, digits = 5) {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const rounded = Number(value.toPrecision(digits));
  const size = Math.abs(rounded);
  const string = size !== 0 && (size >= 1e6 || size < 1e-4) ? exponential(rounded) : String(rounded);
  return string.replace("-", "−");
}

const exponential = (value) => value.toExponential().replace("e+", "e").replace(/(\.\d*?)0+e/, "$1e");

/** Return a time in ms UTC as people read it. */
export function timeLabel(time) {
  return new Date(time).toISOString().replace("T", " ").replace(/(:00)?\.\d+Z$/, "") + " UTC";
}

/** Return a length of time in ms. */
export function durationLabel(ms) {
  const seconds = ms / 1000;
  if (Math.abs(seconds) < 120) return `${numberLabel(seconds, 3)} s`;
  if (Math.abs(seconds) < 7200) return `${numberLabel(seconds / 60, 3)} min`;
  return `${numberLabel(seconds / 3600, 3)} h`;
}

/** Return a count with the noun that it counts. */
export const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
