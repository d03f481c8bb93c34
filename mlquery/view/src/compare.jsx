// The comparison of chosen runs: what it compares by, figures, differences, groups and tests. A brush on the parallel
// coordinates says which of the runs all other parts show.

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { isMetric, parted } from "./columns.js";
import { Differences } from "./differences.jsx";
import { Checklist, Choice, Dropdown, Name, Problem, useAnswer } from "./dom.jsx";
import { Figure, useNear } from "./figure.jsx";
import { draw as drawBoxes } from "./figures/boxes.js";
import { draw as drawCurves } from "./figures/curves.js";
import { draw as drawImportance } from "./figures/importance.js";
import { counted, shortened } from "./figures/labels.js";
import { draw as drawParallel } from "./figures/parallel.js";
import { draw as drawScatter } from "./figures/scatter.js";
import { isNumeric, valueAt } from "./figures/values.js";
import { Records } from "./records.jsx";

const VALUES = ["last", "best", "min", "max", "mean"];
const [MOST_PARAMS, MOST_METRICS] = [5, 3];
const MOST_LISTED = 200;

/** The comparison of the runs `ids`; null while they are not known. */
export function Comparison({ source, about, view, change, ids, experimentNames, version }) {
  const details = ids && { run_ids: ids, value: view.value, baseline: ids.includes(view.baseline) ? view.baseline : null, group_by: view.group, ignore: view.ignore };
  const key = ids?.length ? JSON.stringify([details, version]) : null;
  const { answer, error, isLoading } = useAnswer((signal) => source.compare(details, signal), key);
  if (ids && !ids.length) {
    return (
      <div class="empty">
        <h2>No runs to compare</h2>
        <p>Select runs in the table: with their boxes, with Space, or all that a filter finds.</p>
        <button type="button" class="primary" onClick={() => change({ tab: "runs" })}>
          Choose runs
        </button>
      </div>
    );
  }
  return (
    <div class="comparison" aria-busy={isLoading || !ids}>
      {error && <Problem error={error} />}
      {answer ? <Compared {...{ source, about, view, change, answer, experimentNames, isLoading }} /> : !error && <p class="empty">Comparing…</p>}
    </div>
  );
}

function Compared({ source, about, view, change, answer, experimentNames, isLoading }) {
  const [brushed, setBrushed] = useState(null);
  const bounds = useMemo(() => boundsIn(view.brush), []);
  const runs = useCompared(answer);
  const shown = brushed && brushed.size < runs.names.length ? brushed : null;
  const shownIds = useMemo(() => shown && new Set([...shown].map((row) => answer.run_ids[row])), [shown, answer]);
  const open = useCallback((row) => change({ run: answer.run_ids[row] }), [answer, change]);
  const brush = useCallback(
    (rows, newBounds) => {
      setBrushed(rows);
      change({ brush: newBounds && Object.keys(newBounds).length ? JSON.stringify(newBounds) : null }, true);
    },
    [change],
  );
  const sections = [
    ["parallel", "Parallel coordinates", <Parallel key="parallel" {...{ view, change, runs, bounds, brush, open }} />],
    ["curves", "Curves", <Curves key="curves" {...{ source, about, view, change, answer, runs, shownIds }} />],
    ["scatter", "Trade-off", <Scatter key="scatter" {...{ view, change, answer, runs, shown, open }} />],
    ["boxes", "Values of a param", <Boxes key="boxes" {...{ view, change, runs, shown, open }} />],
    ["importance", "Importance", <Importance key="importance" {...{ source, view, change, answer, runs }} />],
    ["groups", "Groups and tests", <Groups key="groups" {...{ view, change, answer, runs }} />],
    ["differences", "Differences", <Differences key="differences" {...{ view, change, answer, runs, shown, open, experimentNames }} />],
  ];
  return (
    <>
      <div class="comparison-head">
        {about.fixed ? <Fixed answer={answer} runs={runs} /> : <Options {...{ view, change, answer, runs }} />}
        <div class="tool-row">
        <nav aria-label="Parts of the comparison" class="parts">
          {sections.map(([id, title]) => (
            <button key={id} type="button" class="quiet" onClick={() => goTo(id)}>
              {title}
            </button>
          ))}
        </nav>
        <p class="found" role="status">
          {isLoading ? "Comparing…" : shown ? `${shown.size.toLocaleString("en")} of ${counted(runs.names.length, "run")} within the bounds` : `${counted(runs.names.length, "run")} compared`}
        </p>
        </div>
      </div>
      {answer.warnings?.map((warning) => (
        <p key={warning} class="notice">
          {warning}
        </p>
      ))}
      <div class="sections">
        {sections.map(([id, title, content]) => (
          <Section key={id} id={id} title={title}>
            {content}
          </Section>
        ))}
      </div>
      {about.note && <p class="hint note">{about.note}</p>}
    </>
  );
}

/** A part of the comparison, which asks for its data when it comes near the window or is printed. */
function Section({ id, title, children }) {
  const element = useRef(null);
  const isNear = useNear(element);
  return (
    <section id={id} class={`section section-${id}`} aria-labelledby={`${id}-title`} ref={element}>
      <h2 id={`${id}-title`} tabindex={-1}>
        {title}
      </h2>
      {isNear ? children : <div class="figure-place" />}
    </section>
  );
}

function goTo(id) {
  const title = document.getElementById(`${id}-title`);
  title.scrollIntoView({ block: "start" });
  title.focus({ preventScroll: true });
}

function boundsIn(text) {
  try {
    return JSON.parse(text ?? "{}") ?? {};
  } catch {
    return {}; // an address that somebody changed
  }
}

/** Return what figures are drawn of: columns, names of runs, and which columns are of which kind. */
function useCompared(answer) {
  return useMemo(() => {
    const { columns, run_ids: ids } = answer;
    const names = ids.map((id, row) => (columns.run_name && valueAt(columns.run_name, row)) || id);
    const all = Object.keys(columns);
    const metrics = all.filter(isMetric);
    const params = all.filter((name) => parted(name).prefix === "params");
    const varying = params.filter((name) => differs(columns[name]));
    const numeric = all.filter((name) => parted(name).prefix !== "tags" && !["run_id", "experiment_id", "run_name"].includes(name) && isNumeric(columns[name]));
    return { columns, names, ids, metrics, params, varying, numeric, byId: new Map(ids.map((id, row) => [id, names[row]])) };
  }, [answer]);
}

/** Return whether the runs have more than one value in a column; none is a value too. */
export function differs(column, rows) {
  const values = column.codes ?? column.values;
  const seen = new Set(rows ? rows.map((row) => values[row]) : values);
  return seen.size > 1;
}

const choices = (names) => {
  const labels = shortened(names, 48);
  return names.map((name, place) => [name, labels[place]]);
};

function Options({ view, change, answer, runs }) {
  const isStep = view.value.startsWith("step:");
  const baselines = useMemo(() => {
    const listed = runs.ids.slice(0, MOST_LISTED);
    if (view.baseline && !listed.includes(view.baseline) && runs.byId.has(view.baseline)) listed.unshift(view.baseline);
    const labels = shortened(listed.map((id) => `${runs.byId.get(id)} (${id.slice(0, 7)})`), 48);
    return [["", "No baseline"], ...listed.map((id, place) => [id, labels[place]])];
  }, [runs, view.baseline]);
  const items = runs.params.map((name) => ({ key: parted(name).key, label: parted(name).key, detail: "" }));
  const grouping = view.group === null ? "all params" : view.group.length === 0 ? "nothing" : counted(view.group.length, "param");
  return (
    <div class="tool-row">
      <Choice label="Value" value={isStep ? "step" : view.value} options={[...VALUES.map((name) => [name, name]), ["step", "at a step"]]} onChange={(value) => change({ value: value === "step" ? "step:0" : value })} />
      {isStep && (
        <label class="choice">
          <span>Step</span>
          <input type="number" value={view.value.slice(5)} onChange={(event) => change({ value: `step:${parseInt(event.currentTarget.value, 10) || 0}` })} />
        </label>
      )}
      <Choice label="Baseline" value={view.baseline ?? ""} options={baselines} onChange={(baseline) => change({ baseline: baseline || null })} />
      <Dropdown label={`Group by: ${grouping}`}>
        <div class="panel-head">
          <button type="button" class="quiet" onClick={() => change({ group: null })}>
            All params but those to ignore
          </button>
        </div>
        <Checklist legend="Group by" items={items} chosen={view.group ?? []} onChange={(group) => change({ group: group.length ? group : null })} />
      </Dropdown>
      <Dropdown label={`Ignore: ${view.ignore.length ? shortened([view.ignore.join(", ")], 30)[0] : "nothing"}`}>
        <Checklist legend="Params to ignore, such as the seed" items={items} chosen={view.ignore} onChange={(ignore) => change({ ignore })} />
      </Dropdown>
    </div>
  );
}

/** How a report compares, which was decided when it was written. */
function Fixed({ answer, runs }) {
  const { value, baseline, group_by: group, ignore } = answer;
  const facts = [
    ["Value", typeof value === "string" ? value : Object.entries(value).map(([metric, how]) => `${how} of ${metric}`).join(", ")],
    ["Baseline", baseline && (runs.byId.get(baseline) ?? baseline)],
    ["Grouped by", group?.join(", ")],
    ["Ignored", ignore?.join(", ")],
  ];
  return (
    <div class="tool-row">
      {facts.filter(([, fact]) => fact).map(([name, fact]) => (
        <span key={name} class="choice">
          {name}
          <b>
            <Name cut={shortened([fact], 60)[0]}>{fact}</Name>
          </b>
        </span>
      ))}
    </div>
  );
}

function Parallel({ view, change, runs, bounds, brush, open }) {
  const all = useMemo(() => [...runs.params, ...runs.metrics, ...(runs.columns.duration ? ["duration"] : [])], [runs]);
  const axes = useMemo(() => {
    const chosen = view.axes?.filter((name) => runs.columns[name]);
    if (chosen?.length) return chosen;
    const [params, metrics] = [runs.varying, runs.metrics.filter((name) => differs(runs.columns[name]))].map((names) => byPresence(names, runs));
    return [...params.slice(0, MOST_PARAMS), ...metrics.slice(0, MOST_METRICS)];
  }, [view.axes, runs]);
  const colour = view.color && runs.columns[view.color] ? view.color : (axes.findLast(isMetric) ?? null);
  const options = useMemo(() => ({ axes, colour, bounds, onBrush: brush, onPick: open }), [axes, colour, brush, open]);
  if (axes.length < 2) return <p class="hint">Fewer than two params or metrics differ between these runs. Choose axes to see them all the same.</p>;
  return (
    <>
      <div class="tool-row">
        <Dropdown label={`Axes (${axes.length})`}>
          <Checklist legend="Axes" items={all.map((name) => ({ key: name, label: name, detail: "" }))} chosen={axes} onChange={(chosen) => change({ axes: chosen.length ? chosen : null })} />
        </Dropdown>
        <Choice label="Color" value={colour ?? ""} options={choices(all)} onChange={(color) => change({ color })} />
        <span class="hint">Drag along an axis, or focus its ends and use the arrow keys: everything below follows.</span>
      </div>
      <Figure draw={drawParallel} data={runs} options={options} />
    </>
  );
}

/** Return names of columns, those first that most runs have a value in. */
function byPresence(names, { columns }) {
  const counts = new Map(names.map((name) => [name, (columns[name].codes ?? columns[name].values).filter((value) => value !== null && value !== -1).length]));
  return [...names].sort((a, b) => counts.get(b) - counts.get(a));
}

const X = [
  ["step", "step"],
  ["time", "time"],
  ["relative", "relative time"],
];

function Curves({ source, about, view, change, answer, runs, shownIds }) {
  const metrics = about.curves ?? runs.metrics.map((name) => parted(name).key);
  const metric = metrics.includes(view.curve) ? view.curve : (metrics.find((key) => LESS.test(key)) ?? metrics[0]); // losses have curves
  const details = { run_ids: answer.run_ids, metric, x: view.x, points: 500, smoothing: Number(view.smooth) || 0, group_by: view.group, ignore: view.ignore };
  const { answer: data, error, isLoading } = useAnswer((signal) => source.curves(details, signal), metric === undefined ? null : JSON.stringify(details));
  const groupOf = useMemo(() => groupsOf(answer), [answer]);
  const drawn = useMemo(() => data && (view.band ? data : { ...data, bands: [] }), [data, view.band]);
  const options = useMemo(
    () => ({ names: runs.byId, log: Boolean(view.log), shown: shownIds, groupOf: view.band && groupOf ? groupOf : undefined, onPick: (run) => change({ run }) }),
    [runs, view.log, view.band, shownIds, groupOf, change],
  );
  if (metric === undefined) return <p class="hint">These runs have no metrics.</p>;
  return (
    <>
      <div class="tool-row">
        <Choice label="Metric" value={metric} options={choices(metrics)} onChange={(curve) => change({ curve })} />
        <Choice label="Over" value={view.x} options={X} onChange={(x) => change({ x })} />
        <label class="choice">
          <input type="checkbox" checked={Boolean(view.log)} onChange={(event) => change({ log: event.currentTarget.checked ? "1" : "" })} /> Log scale
        </label>
        <label class="choice">
          <input type="checkbox" checked={Boolean(view.band)} onChange={(event) => change({ band: event.currentTarget.checked ? "1" : "" })} /> Bands of groups
        </label>
        <label class="choice">
          Smoothing
          <input type="range" min="0" max="0.99" step="0.01" value={view.smooth} onChange={(event) => change({ smooth: event.currentTarget.value }, true)} />
          <output>{view.smooth}</output>
        </label>
      </div>
      {error && <Problem error={error} />}
      <div aria-busy={isLoading}>{drawn && <Figure draw={drawCurves} data={drawn} options={options} />}</div>
    </>
  );
}

/** Return which group a run is in, where the answer says so. */
function groupsOf(answer) {
  const labels = new Map();
  for (const group of answer.groups ?? []) for (const id of group.run_ids ?? []) labels.set(id, group.group);
  return labels.size ? (id) => labels.get(id) ?? null : null;
}

function Scatter({ view, change, answer, runs, shown, open }) {
  const likely = useMemo(() => {
    const names = [...new Set(["duration", ...runs.metrics, ...runs.numeric])].filter((name) => runs.numeric.includes(name));
    return [...names.filter((name) => differs(runs.columns[name])), ...names];
  }, [runs]);
  const pick = (wanted, isFitting) => (runs.numeric.includes(wanted) ? wanted : likely.find(isFitting));
  const across = pick(view.across, () => true);
  const up = pick(view.up, (name) => name !== across);
  const colour = view.color && runs.columns[view.color] ? view.color : undefined;
  const directions = { x: directionOf(across, answer, view.dx), y: directionOf(up, answer, view.dy) };
  const options = useMemo(
    () => ({ x: across, y: up, colour, front: directions, shown: shown ?? undefined, onPick: open }),
    [across, up, colour, directions.x, directions.y, shown, open],
  );
  if (!across || !up) return <p class="hint">These runs have no two columns of numbers.</p>;
  const options_of_names = choices(runs.numeric);
  const better = [
    ["min", "less is better"],
    ["max", "more is better"],
  ];
  return (
    <>
      <div class="tool-row">
        <Choice label="Across" value={across} options={options_of_names} onChange={(next) => change({ across: next })} />
        <Choice label="What is better across" hidden value={directions.x} options={better} onChange={(dx) => change({ dx })} />
        <Choice label="Up" value={up} options={options_of_names} onChange={(next) => change({ up: next })} />
        <Choice label="What is better up" hidden value={directions.y} options={better} onChange={(dy) => change({ dy })} />
      </div>
      <Figure draw={drawScatter} data={runs} options={options} />
    </>
  );
}

const LESS = /(^|[^a-z])(loss|error|err|mae|mse|rmse|mape|perplexity|logloss|latency|brier|wer|duration|time)([^a-z]|$)/i;

/** Return "min" or "max": what is better of a column, as it was chosen, as the answer has it, or by its name. */
export function directionOf(name, answer, chosen) {
  if (chosen === "min" || chosen === "max") return chosen;
  return answer.directions?.[parted(name ?? "").key] ?? (LESS.test(name ?? "") ? "min" : "max");
}

function Boxes({ view, change, runs, shown, open }) {
  const bys = runs.params;
  const by = bys.includes(view.box) ? view.box : (runs.varying.find((name) => distinct(runs.columns[name]) <= 12) ?? runs.varying[0] ?? bys[0]);
  const metric = runs.metrics.includes(view.target) ? view.target : runs.metrics[0];
  const options = useMemo(() => ({ by, metric, shown: shown ?? undefined, onPick: open }), [by, metric, shown, open]);
  if (!by || !metric) return <p class="hint">Boxes need a param and a metric, which these runs do not have.</p>;
  return (
    <>
      <div class="tool-row">
        <Choice label="Param" value={by} options={choices(bys)} onChange={(box) => change({ box })} />
        <Choice label="Metric" value={metric} options={choices(runs.metrics)} onChange={(target) => change({ target })} />
      </div>
      <Figure draw={drawBoxes} data={runs} options={options} />
    </>
  );
}

const distinct = (column) => new Set(column.codes ?? column.values).size;

function Importance({ source, view, change, answer, runs }) {
  const metric = runs.metrics.includes(view.target) ? view.target : runs.metrics[0];
  const details = { run_ids: answer.run_ids, metric: parted(metric ?? "").key, value: view.value };
  const { answer: data, error, isLoading } = useAnswer((signal) => source.importance(details, signal), metric ? JSON.stringify(details) : null);
  const options = useMemo(() => ({ note: "Of all compared runs, whatever the bounds are." }), []);
  if (!metric) return <p class="hint">These runs have no metrics.</p>;
  return (
    <>
      <div class="tool-row">
        <Choice label="Metric" value={metric} options={choices(runs.metrics)} onChange={(target) => change({ target })} />
      </div>
      {error && <Problem error={error} />}
      <div aria-busy={isLoading}>{data && <Figure draw={drawImportance} data={data} options={options} />}</div>
    </>
  );
}

function Groups({ view, change, answer, runs }) {
  const metrics = runs.metrics.map((name) => parted(name).key);
  const metric = metrics.includes(parted(view.target ?? "").key) ? parted(view.target).key : metrics[0];
  const of = (rows) => (rows ?? []).filter((row) => row.metric === undefined || row.metric === metric);
  const groups = of(answer.groups);
  const tests = of(answer.tests);
  // What tells groups apart has columns of its own, which say more than the names of groups.
  const named = Object.keys(groups[0] ?? {}).filter((field) => field.includes("."));
  return (
    <>
      {metric !== undefined && (
        <div class="tool-row">
          <Choice label="Metric" value={metric} options={choices(metrics)} onChange={(key) => change({ target: `metrics.${key}` })} />
        </div>
      )}
      <Records caption="Groups of runs that agree" rows={groups} left={["metric", "run_ids", ...(named.length ? ["group"] : [])]} empty="There are no groups." />
      {answer.baseline ? (
        <Records caption="Each group against the baseline's, p-values corrected after Holm" rows={tests} left={["metric", "baseline"]} empty="There are no tests: there is no other group." />
      ) : (
        <p class="hint">Choose a baseline to test the groups against its group.</p>
      )}
    </>
  );
}
