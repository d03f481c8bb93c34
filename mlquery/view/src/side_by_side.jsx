// Fields side by side, kind by kind: a row for each field, a column for each run or model. What is in a cell is not known here.

import { parted } from "./columns.js";
import { Name } from "./dom.jsx";
import { shortened } from "./figures/labels.js";

/** The most characters of a value. */
export const LONGEST = 160;

const KINDS = [
  ["params", "Params"],
  ["metrics", "Metrics"],
  ["tags", "Tags"],
  ["", "Attributes"],
];

/** The table: headings in its head, and for each field and row of `rows` the cell, a `td`, that `cellOf(name, row)` gives. */
export function SideBySide({ label, headings, fields, rows, cellOf }) {
  return (
    <div class="scroll" tabindex={0} role="region" aria-label={label}>
      <table class="side-by-side">
        <thead>
          <tr>
            <th scope="col">Field</th>
            {headings}
          </tr>
        </thead>
        {KINDS.map(([prefix, title]) => (
          <Kind key={title} title={title} fields={fields.filter((name) => parted(name).prefix === prefix)} {...{ rows, cellOf }} />
        ))}
      </table>
    </div>
  );
}

function Kind({ title, fields, rows, cellOf }) {
  if (!fields.length) return null;
  return (
    <tbody>
      <tr class="kind">
        <th scope="rowgroup" colspan={rows.length + 1}>
          <span>{title}</span>
        </th>
      </tr>
      {fields.map((name) => (
        <tr key={name}>
          <th scope="row">
            <Name cut={shortened([parted(name).key], LONGEST)[0]}>{parted(name).key}</Name>
          </th>
          {rows.map((row) => cellOf(name, row))}
        </tr>
      ))}
    </tbody>
  );
}

/** The box that leaves out what is the same in all columns. */
export function OnlyWhatDiffers({ view, change }) {
  return (
    <label class="choice">
      <input type="checkbox" checked={!view.all} onChange={(event) => change({ all: event.currentTarget.checked ? "" : "1" })} /> Only what differs
    </label>
  );
}
