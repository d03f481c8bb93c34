// What can stand at a place in a filter: fields, operators, values or what joins clauses. Which of them exist, and which
// operators a dialect has, is given.

const TOKEN = /\s+|'(?:[^']|'')*'?|"(?:[^"]|"")*"?|[\p{L}\p{N}_.]*(?:`[^`]*`?|\.(?:"[^"]*"?|'[^']*'?))|[\p{L}\p{N}_.-]+|[!<>=]+|./gu;
const OPERATOR_WORDS = /^(not|in|like|ilike|rlike|is|null|between)$/i;
const JOINS = /^(and|or)$/i;
const MOST = 50;
const DEFAULT_LANGUAGE = {
  operators: { metric: [">", "<", ">=", "<=", "=", "!="], param: ["=", "!=", "LIKE"], tag: ["=", "!=", "LIKE"], attribute: ["=", "!=", "LIKE"], number: [">", "<", ">=", "<="] },
  joins: ["AND"],
  functions: [],
};

/** Return what a filter has before a place: what may come next, the word that is begun, and the field before it. */
export function placeIn(text, caret) {
  const end = caret + text.slice(caret).match(/^[\p{L}\p{N}_.]*/u)[0].length;
  const tokens = [...text.slice(0, caret).matchAll(TOKEN)].map((found) => ({ text: found[0], from: found.index }));
  let state = { wants: "field", field: null };
  let begun = null;
  tokens.forEach((token, place) => {
    const isLast = place === tokens.length - 1;
    if (isLast && isUnfinished(token.text, state.wants)) begun = token;
    else state = after(state, token.text);
  });
  // Right behind a value nothing is offered: it may go on, and a list would hide what is said of it.
  if (!begun && state.wants === "join" && /[^\s)]$/.test(text.slice(0, caret))) state = { ...state, wants: "nothing" };
  return { ...state, from: begun ? begun.from : caret, to: begun ? end : caret, begun: begun ? begun.text : "" };
}

const isUnfinished = (text, wants) => !/^\s|[(),]$/.test(text) && !(wants === "operator" && /^[!<>=]+$/.test(text)) && !(wants === "value" && /^('.*'|".*")$/.test(text));

function after(state, text) {
  if (/^\s/.test(text)) return state;
  switch (state.wants) {
    case "field":
      return /^(not|\()$/i.test(text) ? state : { wants: "operator", field: text };
    case "operator":
      if (text === "(") return { wants: "argument", field: state.field };
      if (/^null$/i.test(text)) return { wants: "join", field: state.field };
      return OPERATOR_WORDS.test(text) && !/^(in|like|ilike|rlike|between)$/i.test(text) ? state : { wants: "value", field: state.field };
    case "argument": // of a function of the history of a metric
      return text === ")" ? { wants: "operator", field: "metrics" } : state;
    case "value":
      return /^[(,]$/.test(text) ? state : { wants: "join", field: state.field };
    default:
      if (text === ",") return { wants: "value", field: state.field };
      return JOINS.test(text) ? { wants: "field", field: null } : state;
  }
}

/** Return the name of the column that a filter calls `written`, null if there is none. */
export function fieldOf(written, fields) {
  const plain = (written ?? "").toLowerCase();
  const found = fields.find((field) => (field.written ?? field.name).toLowerCase() === plain || field.name.toLowerCase() === plain);
  return found ?? null;
}

/**
 * Return what to offer at a place: the range that it replaces, and labels, texts and details.
 *
 * `known` are the values of the field at the place, the most frequent first.
 */
export function completions(place, fields, language, known) {
  const offered = offers(place, fields, { ...DEFAULT_LANGUAGE, ...language }, known);
  const begun = place.begun.toLowerCase();
  const bare = begun.replace(/^['"]/, "");
  const ranked = offered
    .map((offer) => ({ offer, at: offer.label.toLowerCase().indexOf(bare) }))
    .filter(({ offer, at }) => at >= 0 && offer.text !== place.begun)
    .sort((a, b) => Math.min(a.at, 1) - Math.min(b.at, 1));
  return ranked.slice(0, MOST).map(({ offer }) => offer);
}

function offers({ wants, field }, fields, language, known) {
  const column = fieldOf(field, fields);
  if (wants === "field") return [...fields.filter((one) => one.written !== null).map(fieldOffer), ...(language.functions ?? []).map(functionOffer)];
  if (wants === "argument") return fields.filter((one) => one.name.startsWith("metrics.") && one.written !== null).map((one) => ({ ...fieldOffer(one), end: field === "at" ? ", " : ") " }));
  if (wants === "operator") return operatorsOf(field, column, language).map((word) => ({ label: word, text: word, detail: "operator" }));
  if (wants === "value") return known.map(([value, count]) => ({ label: value, text: quoted(value), detail: `${count}` })).filter(({ text }) => text);
  if (wants === "nothing") return [];
  return language.joins.filter((join) => join !== "NOT").map((join) => ({ label: join, text: join, detail: "joins clauses" }));
}

const fieldOffer = (field) => ({ label: field.written ?? field.name, text: field.written ?? field.name, detail: field.kind, count: field.count });

const functionOffer = (name) => ({ label: `${name}(`, text: `${name}(`, detail: "of all points of a metric", end: "" });

function operatorsOf(written, column, { operators }) {
  const prefix = (written ?? "").split(".")[0].toLowerCase().replace(/s$/, "");
  if (prefix === "metric") return operators.metric;
  if (prefix === "param" || prefix === "parameter") return operators.param;
  if (prefix === "tag") return operators.tag;
  return column && column.kind !== "string" ? operators.number : operators.attribute;
}

/** Return a string in quotes that a filter can hold, null if there are none. */
export function quoted(string) {
  if (string.endsWith("\\")) return null;
  if (!string.includes("'")) return `'${string}'`;
  return string.includes('"') ? null : `"${string}"`;
}
