// What the runs have side by side: a row for each field, a column for each run, and the distance to a baseline.

import { useMemo, useState } from "preact/hooks";
import { isMetric, textOf } from "./columns.js";
import { differs, directionOf } from "./compare.jsx";
import { Name } from "./dom.jsx";
import { numberLabel, shortened } from "./figures/labels.js";
import { valueAt } from "./figures/values.js";
import { LONGEST, OnlyWhatDiffers, SideBySide } from "./side_by_side.jsx";

const AT_FIRST = 12;
const MORE = 24;
const LARGE = 1e300;

/** The table; `shown` is the set of rows that a brush leaves, null for all. */
export function Differences({ view, change, answer, runs, shown, open, experimentNames }) {
  const [most, setMost] = useState(AT_FIRST);
  const isAll = Boolean(view.all);
  const base = answer.baseline ? runs.ids.indexOf(answer.baseline) : -1;
  const rows = useMemo(() => {
    const inSight = runs.ids.map((_, row) => row).filter((row) => (!shown || shown.has(row)) && row !== base);
    return base < 0 ? inSight : [base, ...inSight];
  }, [runs, shown, base]);
  const listed = rows.slice(0, most);
  const fields = useMemo(() => {
    const all = Object.keys(runs.columns).filter((name) => name !== "run_name");
    return isAll ? all : all.filter((name) => name !== "run_id" && differs(runs.columns[name], rows));
  }, [runs, rows, isAll]);
  const headings = shortened(listed.map((row) => runs.names[row]), 40);
  return (
    <>
      <div class="tool-row">
        <OnlyWhatDiffers view={view} change={change} />
        <span class="hint">
          {listed.length < rows.length && `${listed.length} of ${rows.length.toLocaleString("en")} runs. `}
          {base < 0 && "Choose a baseline to see distances from it."}
        </span>
        {listed.length < rows.length && (
          <button type="button" onClick={() => setMost(most + MORE)}>
            Show {Math.min(MORE, rows.length - listed.length)} more
          </button>
        )}
      </div>
      {!fields.length && <p class="hint">Nothing differs between these runs.</p>}
      {fields.length > 0 && (
        <SideBySide
          label="Runs side by side"
          fields={fields}
          rows={listed}
          headings={listed.map((row, place) => (
            <th key={runs.ids[row]} scope="col">
              <button type="button" class="link" onClick={() => open(row)}>
                <Name cut={headings[place]}>{runs.names[row]}</Name>
              </button>
              {row === base && <small>baseline</small>}
            </th>
          ))}
          cellOf={(name, row) => (
            <td key={runs.ids[row]} class={`${isMetric(name) ? "end" : ""}${row === base ? " base" : ""}`}>
              <Value column={runs.columns[name]} name={name} row={row} experimentNames={experimentNames} />
              {isMetric(name) && base >= 0 && row !== base && <Distance name={name} one={valueAt(runs.columns[name], row)} base={valueAt(runs.columns[name], base)} answer={answer} />}
            </td>
          )}
        />
      )}
    </>
  );
}

function Value({ column, name, row, experimentNames }) {
  const value = valueAt(column, row);
  if (value === null || value === undefined) return <span class="none">–</span>;
  const text = name === "experiment_id" ? (experimentNames.get(value) ?? value) : textOf(name, column.kind, value);
  if (column.kind !== "string") return <span title={String(value)}>{text}</span>;
  return <Name cut={shortened([text], LONGEST)[0]}>{text}</Name>;
}

/** How far a metric is from the baseline: with a sign, an arrow, and a colour for better and worse. */
function Distance({ name, one, base, answer }) {
  const delta = Number(one) - Number(base);
  // MLflow stores infinity as the largest number that there is; from there, no distance says anything.
  if (one === null || base === null || !(Math.abs(delta) < LARGE)) return null;
  if (delta === 0) return <span class="distance same">= 0</span>;
  const isBetter = directionOf(name, answer) === "max" ? delta > 0 : delta < 0;
  const relative = Number(base) === 0 ? "" : ` (${signed((100 * delta) / Math.abs(Number(base)), 3)} %)`;
  return (
    <span class={`distance ${isBetter ? "better" : "worse"}`}>
      <span aria-hidden="true">{delta > 0 ? "▲" : "▼"}</span> {signed(delta, 3)}
      {relative}
      <span class="unseen">, {isBetter ? "better" : "worse"}</span>
    </span>
  );
}

const signed = (value, digits) => (value > 0 ? "+" : "") + numberLabel(value, digits);
