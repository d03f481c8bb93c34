// A plain table of records, such as groups and tests: one row for each, one column for each of their fields.

import { useState } from "preact/hooks";
import { parted } from "./columns.js";
import { Name } from "./dom.jsx";
import { numberLabel, shortened } from "./figures/labels.js";

const NAMES = { low: "95 % from", high: "to", p_holm: "p (Holm)", effect: "kind of effect", effect_size: "effect size", n_baseline: "n of baseline" };
const AT_FIRST = 12;

const headOf = (field) => NAMES[field] ?? parted(field).key;

/** The table; fields in `left` are left out, and so are those that no record has. */
export function Records({ caption, rows, left = [], empty }) {
  const [isWhole, setWhole] = useState(false);
  if (!rows.length) return <p class="hint">{empty}</p>;
  const fields = [...new Set(rows.flatMap(Object.keys))].filter((field) => !left.includes(field) && rows.some((row) => row[field] !== null && row[field] !== undefined));
  const heads = shortened(fields.map(headOf), 60);
  const isNumber = (field) => rows.every((row) => row[field] === null || row[field] === undefined || typeof row[field] === "number" || /^(-?Infinity|NaN)$/.test(row[field]));
  return (
    <div class="scroll" tabindex={0} role="region" aria-label={caption}>
      <table class="records">
        <caption>{caption}</caption>
        <thead>
          <tr>
            {fields.map((field, place) => (
              <th key={field} scope="col" class={isNumber(field) ? "end" : ""}>
                <Name cut={heads[place]}>{headOf(field)}</Name>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, isWhole ? rows.length : AT_FIRST).map((row, place) => (
            <tr key={place}>
              {fields.map((field) => (
                <td key={field} class={isNumber(field) ? "end" : ""}>
                  <RecordValue value={row[field]} isNumber={isNumber(field)} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > AT_FIRST && !isWhole && (
        <button type="button" class="quiet" onClick={() => setWhole(true)}>
          Show all {rows.length.toLocaleString("en")}
        </button>
      )}
    </div>
  );
}

function RecordValue({ value, isNumber }) {
  if (value === null || value === undefined) return <span class="none">–</span>;
  if (isNumber) return <span title={String(value)}>{numberLabel(Number(value), 4)}</span>;
  if (typeof value === "boolean") return value ? "yes" : "no";
  return <Name cut={shortened([String(value)], 120)[0]}>{String(value)}</Name>;
}
