// The filters of a report: comparisons of a field with a value, joined by AND. Everything else is refused by name: the
// languages of the dialects need a server.

const TOKENS = [
  ["space", /\s+/y],
  ["number", /[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?(?![\w.])/iy],
  ["string", /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/sy],
  ["name", /[A-Za-z_][\w]*(?:\.(?:`[^`]*`|"[^"]*"|[\w./-]*[\w/]))?|`[^`]+`/y],
  ["operator", /<=|>=|!=|=|<|>/y],
  ["other", /./suy],
];
const PREFIXES = { metric: "metrics", metrics: "metrics", param: "params", params: "params", parameter: "params", parameters: "params", tag: "tags", tags: "tags" };
const ATTRIBUTES = ["attribute", "attributes", "attr", "run"];
const ALIASES = { start: "start_time", created: "start_time", "run name": "run_name" };
const WORDS = ["LIKE", "ILIKE"];
const NUMERIC = ["<", "<=", ">", ">=", "=", "!="];
export const OPERATORS = { number: NUMERIC, string: ["=", "!=", "LIKE", "ILIKE"] };
const INSTEAD = "comparisons joined by AND, such as metrics.auc > 0.9 AND params.model = 'forest'; other filters need the page of mlquery view";

/** A filter is not one of a report; `start` and `stop` are where. */
export class Refused extends Error {
  constructor(message, start, stop, instead = INSTEAD) {
    super(message);
    Object.assign(this, { start, stop, instead });
  }
}

/**
 * Return the comparisons of a filter: `{field, operator, value}`, the field as the name of a column.
 *
 * `kindOf(name)` is the kind of a column, undefined if there is none.
 */
export function comparisonsOf(filter, kindOf) {
  const tokens = tokensOf(filter);
  const found = [];
  let at = 0;
  if (!tokens.length) return found;
  for (;;) {
    const [comparison, next] = comparisonAt(tokens, at, filter, kindOf);
    found.push(comparison);
    if (next === tokens.length) return found;
    const join = tokens[next];
    if (join.kind !== "name" || join.text.toUpperCase() !== "AND") throw refusedWord(join);
    at = next + 1;
  }
}

function tokensOf(filter) {
  const tokens = [];
  let at = 0;
  while (at < filter.length) {
    const found = TOKENS.map(([kind, pattern]) => ((pattern.lastIndex = at), [kind, pattern.exec(filter)])).find(([, match]) => match);
    const text = found[1][0];
    if (found[0] !== "space") tokens.push({ kind: found[0], text, start: at, stop: at + text.length });
    at += text.length;
  }
  return tokens;
}

function refusedWord({ text, start, stop }) {
  const word = text.toUpperCase();
  return new Refused(`A report does not have ${["OR", "NOT", "IN", "IS", "BETWEEN"].includes(word) ? word : `"${text}" here`}`, start, stop);
}

function comparisonAt(tokens, at, filter, kindOf) {
  const [name, sign, given] = tokens.slice(at, at + 3);
  if (!name) throw new Refused("A comparison is missing", filter.length, filter.length);
  if (name.kind !== "name" || ["NOT", "OR", "AND"].includes(name.text.toUpperCase())) throw refusedWord(name);
  const field = columnOf(name, kindOf);
  if (!sign) throw new Refused(`An operator is missing after ${name.text}`, name.stop, name.stop);
  const operator = sign.text.toUpperCase();
  const kind = kindOf(field);
  if (sign.kind !== "operator" && !WORDS.includes(operator)) throw refusedWord(sign);
  const allowed = OPERATORS[kind === "string" ? "string" : "number"];
  if (!allowed.includes(operator)) throw new Refused(`${name.text} is a ${kind}: it is compared by ${allowed.join(", ")}`, sign.start, sign.stop);
  if (!given) throw new Refused(`A value is missing after ${sign.text}`, sign.stop, sign.stop);
  return [{ field, operator, value: valueOf(given, kind, name.text) }, at + 3];
}

/** Return the name of the column that a field means. */
function columnOf({ text, start, stop }, kindOf) {
  const [, prefix, key] = text.match(/^([A-Za-z_]\w*)\.(.*)$/s) ?? [null, "attributes", text];
  const plain = unquoted(key);
  const kind = PREFIXES[prefix.toLowerCase()];
  const name = kind ? `${kind}.${plain}` : (ALIASES[plain.toLowerCase()] ?? plain);
  if (!kind && !ATTRIBUTES.includes(prefix.toLowerCase())) throw new Refused(`${prefix} is none of metrics, params, tags and attributes`, start, stop);
  if (kindOf(name) === undefined) throw new Refused(`None of the runs has ${name}`, start, stop);
  return name;
}

const unquoted = (key) => (/^(`[^`]*`|"[^"]*")$/s.test(key) ? key.slice(1, -1) : key);

function valueOf({ kind, text, start, stop }, columnKind, name) {
  if (columnKind === "string") {
    if (kind === "string") return text.slice(1, -1).replace(/\\(.)/gs, "$1");
    throw new Refused(`${name} is a string: quote the value`, start, stop, kind === "number" || kind === "name" ? `'${text}'` : INSTEAD);
  }
  if (kind === "number") return Number(text);
  throw new Refused(`${name} is a number: its value has no quotes`, start, stop);
}

/** Return a test of values of a column, as it is in `column.values` or as a string of its table; null fails each. */
export function testOf({ operator, value }) {
  if (WORDS.includes(operator)) return likeOf(value, operator === "ILIKE" ? "isu" : "su");
  const tests = {
    "=": (given) => given === value,
    "!=": (given) => given !== value,
    "<": (given) => given < value,
    "<=": (given) => given <= value,
    ">": (given) => given > value,
    ">=": (given) => given >= value,
  };
  return tests[operator];
}

function likeOf(pattern, flags) {
  const source = pattern.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&").replace(/%/g, ".*").replace(/_/g, ".");
  const expression = new RegExp(`^${source}$`, flags);
  return (given) => expression.test(given);
}
