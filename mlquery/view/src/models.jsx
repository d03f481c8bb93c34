// Logged models and registered versions: a table to choose from, and those that are chosen side by side.

import { useMemo } from "preact/hooks";
import { parted, textOf } from "./columns.js";
import { differs } from "./compare.jsx";
import { Name, Problem, useAnswer } from "./dom.jsx";
import { counted, shortened } from "./figures/labels.js";
import { valueAt } from "./figures/values.js";
import { LONGEST, OnlyWhatDiffers, SideBySide } from "./side_by_side.jsx";

const MOST = 500;
const KINDS = { logged: "logged model", version: "registered version" };

/** All models of the source; the chosen ones are in the view. */
export function Models({ source, view, change, version }) {
  const { answer, error } = useAnswer((signal) => source.models({}, signal), `${version}`);
  if (error) return <Problem error={error} />;
  if (!answer) return <p class="empty">Loading…</p>;
  if (!answer.ids.length) {
    return (
      <div class="empty">
        <h2>No models</h2>
        <p>Models that runs log, and versions that are registered, are listed here.</p>
      </div>
    );
  }
  return <Listed answer={answer} view={view} change={change} />;
}

function Listed({ answer, view, change }) {
  const columns = useMemo(() => {
    const named = ["name", "version", "kind", "status", "creation_time"].filter((name) => answer.columns[name]);
    return [...named, ...Object.keys(answer.columns).filter((name) => name.startsWith("metrics."))];
  }, [answer]);
  const chosen = answer.ids.map((id, row) => [id, row]).filter(([id]) => view.models.includes(id));
  const toggle = (id) => change({ models: view.models.includes(id) ? view.models.filter((one) => one !== id) : [...view.models, id] }, true);
  return (
    <div class="models">
      <section aria-labelledby="models-title">
        <h2 id="models-title">{counted(answer.ids.length, "model")}</h2>
        <p class="hint">Select models to put their params, metrics and tags side by side.</p>
        <div class="scroll" tabindex={0} role="region" aria-label="Models">
          <table class="records">
            <thead>
              <tr>
                <th scope="col">
                  <span class="unseen">Selected</span>
                </th>
                {columns.map((name) => (
                  <th key={name} scope="col" class={answer.columns[name].kind === "number" ? "end" : ""}>
                    <Name cut={shortened([parted(name).key], 60)[0]}>{parted(name).key}</Name>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {answer.ids.slice(0, MOST).map((id, row) => (
                <tr key={id} class={view.models.includes(id) ? "is-selected" : ""}>
                  <td>
                    <input type="checkbox" checked={view.models.includes(id)} aria-label={`Select ${titleOf(answer, row)}`.slice(0, 200)} onChange={() => toggle(id)} />
                  </td>
                  {columns.map((name) => (
                    <td key={name} class={answer.columns[name].kind === "number" ? "end" : ""}>
                      <ModelValue column={answer.columns[name]} name={name} row={row} />
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        {answer.ids.length > MOST && <p class="hint">The first {MOST} of {answer.ids.length.toLocaleString("en")}.</p>}
      </section>
      {chosen.length > 0 && <Chosen answer={answer} rows={chosen.map(([, row]) => row)} view={view} change={change} />}
    </div>
  );
}

/** Return what a model is called: a version has its number in its id, a logged model shares its name with others. */
function titleOf(answer, row) {
  const isVersion = valueAt(answer.columns.kind, row) === "version";
  return isVersion ? answer.ids[row] : valueAt(answer.columns.name, row) || answer.ids[row];
}

function ModelValue({ column, name, row }) {
  const value = column ? valueAt(column, row) : null;
  if (value === null || value === undefined) return <span class="none">–</span>;
  if (name === "kind") return KINDS[value] ?? value;
  const text = textOf(name, column.kind, value);
  return <Name cut={shortened([text], LONGEST)[0]}>{text}</Name>;
}

function Chosen({ answer, rows, view, change }) {
  const fields = Object.keys(answer.columns).filter((name) => view.all || differs(answer.columns[name], rows) || rows.length === 1);
  const headings = shortened(rows.map((row) => titleOf(answer, row)), 40);
  return (
    <section aria-labelledby="side-title">
      <h2 id="side-title">Side by side</h2>
      <div class="tool-row">
        <OnlyWhatDiffers view={view} change={change} />
      </div>
      <SideBySide
        label="Models side by side"
        fields={fields}
        rows={rows}
        headings={rows.map((row, place) => (
          <th key={answer.ids[row]} scope="col">
            <Name cut={headings[place]}>{titleOf(answer, row)}</Name>
          </th>
        ))}
        cellOf={(name, row) => (
          <td key={answer.ids[row]} class={answer.columns[name].kind === "number" ? "end" : ""}>
            <ModelValue column={answer.columns[name]} name={name} row={row} />
          </td>
        )}
      />
    </section>
  );
}
