// Unpacks the data of a report: base64 of deflated bytes becomes the value that mlquery/view/encoding.py packed.

const NAN = 65533;
const INFINITY = 65534;
const MINUS_INFINITY = 65535;
const LEVELS = 65532;

const TYPES = { int8: Int8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array, float64: Float64Array };

/** Return the value that a string of base64 holds, its arrays as typed arrays. */
export async function unpacked(base64) {
  const bytes = await inflated(bytesOf(base64));
  const size = new DataView(bytes.buffer).getUint32(0, true);
  const start = 4 + size;
  return restored(JSON.parse(new TextDecoder().decode(bytes.subarray(4, start))), bytes, start);
}

/** Return a value with its arrays in place of what stands for them, and its keys without the marks of ours. */
function restored(value, bytes, start) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.some((part) => typeof part === "object") ? value.map((part) => restored(part, bytes, start)) : value;
  if (value.$array) return arrayOf(value, bytes, start);
  const pairs = Object.entries(value);
  return Object.fromEntries(pairs.map(([key, part]) => [key.startsWith("$") ? key.slice(1) : key, restored(part, bytes, start)]));
}

function bytesOf(base64) {
  const string = atob(base64.trim());
  const bytes = new Uint8Array(string.length);
  for (let place = 0; place < bytes.length; place += 1) bytes[place] = string.charCodeAt(place);
  return bytes;
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Return an array whose bytes are sorted by significance. */
function arrayOf({ $array: type, at, size }, bytes, start) {
  const found = new TYPES[type](size);
  const target = new Uint8Array(found.buffer);
  const width = found.BYTES_PER_ELEMENT;
  for (let byte = 0; byte < width; byte += 1) {
    const from = start + at + byte * size;
    for (let place = 0; place < size; place += 1) target[place * width + byte] = bytes[from + place];
  }
  return found;
}

/** Return the values of a curve, which were rounded to levels and stored as differences. */
export function curveOf({ low, high, top, levels }) {
  const values = new Float64Array(levels.length);
  let code = 0;
  for (let place = 0; place < levels.length; place += 1) {
    code = (code + levels[place]) & 65535;
    values[place] = code <= LEVELS ? between(low, high, code / top) : special(code);
  }
  return values;
}

/** Return a value between two others; written so that the ends come out exactly and large ones do not overflow. */
function between(low, high, part) {
  return part === 0 ? low : part === 1 ? high : low * (1 - part) + high * part;
}

function special(code) {
  return code === NAN ? NaN : code === INFINITY ? Infinity : code === MINUS_INFINITY ? -Infinity : NaN;
}

/** Return the running sum of differences. */
export function summed(differences) {
  const values = new Float64Array(differences.length);
  let sum = 0;
  for (let place = 0; place < values.length; place += 1) values[place] = sum += differences[place];
  return values;
}

/** Return a column with its numbers as JSON has them: those that are not finite as strings, missing ones as null. */
export function columnOf(packedColumn) {
  if (packedColumn.kind === "string") return { ...packedColumn, codes: Array.from(packedColumn.codes) };
  const values = Array.from(packedColumn.values, (value) => (Number.isFinite(value) ? value : String(value)));
  for (const place of packedColumn.missing ?? []) values[place] = null;
  return { kind: packedColumn.kind, values };
}
