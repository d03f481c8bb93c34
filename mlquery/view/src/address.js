// The view in the address bar: what is shown as a fragment that a link can carry. What a view means is not known here.

export const TABS = ["runs", "compare", "models"];

/** Every part of a view that a fragment can hold, with how it is written and what it is when it is left out. */
const PARTS = {
  tab: { first: "runs" },
  filter: { first: "" },
  experiments: { first: null, list: true },
  view: { first: "active" },
  order: { first: [], list: true, read: readOrder, write: ([column, descending]) => `${descending ? "-" : "+"}${column}` },
  columns: { first: null, list: true },
  select: { first: [], list: true },
  run: { first: null },
  value: { first: "last" },
  baseline: { first: null },
  group: { first: null, list: true },
  ignore: { first: [], list: true },
  all: { first: "" },
  curve: { first: null },
  x: { first: "step" },
  log: { first: "" },
  smooth: { first: "0" },
  band: { first: "" },
  axes: { first: null, list: true },
  color: { first: null },
  across: { first: null },
  up: { first: null },
  box: { first: null },
  target: { first: null },
  models: { first: [], list: true },
  brush: { first: null },
  dx: { first: null },
  dy: { first: null },
};

/** Everything found, instead of a list of chosen runs. */
export const EVERYTHING = "*";

export const NOTHING_CHOSEN = Object.freeze(Object.fromEntries(Object.entries(PARTS).map(([name, { first }]) => [name, first])));

function readOrder(text) {
  return [text.slice(1), text[0] === "-"];
}

/** Return the view that a fragment holds; what it does not say is as at first. */
export function viewOf(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const view = {};
  for (const [name, part] of Object.entries(PARTS)) {
    const values = given.getAll(name);
    if (!values.length) view[name] = part.first;
    else if (part.list) view[name] = values.filter((value) => value !== "").map(part.read ?? ((value) => value));
    else view[name] = values[0];
  }
  return { ...view, tab: TABS.includes(view.tab) ? view.tab : "runs" };
}

/** Return the fragment of a view, without what is as at first. */
export function fragmentOf(view) {
  const written = new URLSearchParams();
  for (const [name, part] of Object.entries(PARTS)) {
    const value = view[name];
    if (part.list && value !== null && value !== undefined) {
      if (!value.length && part.first === null) written.append(name, "");
      for (const one of value) written.append(name, part.write ? part.write(one) : one);
    } else if (!part.list && value !== part.first && value !== null) written.append(name, value);
  }
  return `#${written}`;
}
