// Everything about one run, in a dialog over the page.

import { useEffect, useRef } from "preact/hooks";
import { Name, Problem, useAnswer } from "./dom.jsx";
import { durationLabel, numberLabel, shortened, timeLabel } from "./figures/labels.js";
import { Status } from "./table.jsx";

const LONGEST = 400;

/** The run `id`; closing it changes the view. */
export function RunDetail({ source, id, change, experimentNames }) {
  const dialog = useRef(null);
  const { answer: run, error } = useAnswer((signal) => source.run(id, signal), id);
  useEffect(() => {
    if (!dialog.current.open) dialog.current.showModal();
  }, []);
  const close = () => change({ run: null });
  return (
    <dialog class="detail" ref={dialog} aria-labelledby="detail-title" onClose={close} onClick={(event) => event.target === dialog.current && dialog.current.close()}>
      <div class="detail-inner">
        <div class="detail-head">
          <h2 id="detail-title">
            <Name cut={run && shortened([run.info.run_name ?? id], 120)[0]}>{run?.run_id === id ? (run.info.run_name ?? id) : id}</Name>
          </h2>
          <button type="button" class="quiet" onClick={() => dialog.current.close()}>
            Close
          </button>
        </div>
        {error && <Problem error={error} />}
        {run && run.run_id === id && <Facts run={run} change={change} experimentNames={experimentNames} />}
      </div>
    </dialog>
  );
}

function Facts({ run, change, experimentNames }) {
  const { info } = run;
  const link = (other, name = other) => (
    <button type="button" class="link" onClick={() => change({ run: other })}>
      <Name cut={shortened([name], 60)[0]}>{name}</Name>
    </button>
  );
  const facts = [
    ["Run", <Name key="id">{run.run_id}</Name>],
    ["Status", <Status key="status" status={info.status ?? ""} />],
    ["Experiment", <Name key="experiment">{experimentNames.get(info.experiment_id) ?? info.experiment_id}</Name>],
    ["User", info.user_id && <Name key="user">{info.user_id}</Name>],
    ["Started", Number.isFinite(info.start_time) && timeLabel(info.start_time)],
    ["Took", Number.isFinite(info.end_time) && info.end_time !== null && durationLabel(info.end_time - info.start_time)],
    ["Stage", info.lifecycle_stage],
    ["Parent", run.parent && link(run.parent)],
    ["Children", run.children?.length > 0 && <span class="wrap">{run.children.slice(0, 50).map((child) => <span key={child.run_id}>{link(child.run_id, child.run_name ?? child.run_id)} </span>)}{run.children.length > 50 && `and ${run.children.length - 50} more`}</span>],
  ];
  return (
    <>
      <dl class="facts">
        {facts.filter(([, value]) => value).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Pairs title="Metrics" entries={Object.entries(run.metrics).map(([key, value]) => [key, metricText(value)])} isNumber />
      <Pairs title="Params" entries={Object.entries(run.params)} />
      <Pairs title="Tags" entries={Object.entries(run.tags)} />
      <Pairs title="Datasets" entries={(run.datasets ?? []).map((one) => [`${one.name}`, `${one.digest}${one.context ? `, ${one.context}` : ""}`])} />
      <Pairs title="Models" entries={(run.models ?? []).map((one) => [one.name ?? one.model_id, one.role])} />
      <Pairs title="Artifacts" entries={(run.artifacts ?? []).map((one) => [one.path, one.is_dir ? "folder" : sizeText(one.size)])} />
    </>
  );
}

const metricText = (value) => numberLabel(Number(value !== null && typeof value === "object" ? value.value : value), 10);

function sizeText(bytes) {
  if (bytes === null || bytes === undefined) return "";
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${numberLabel(bytes / 1e3, 3)} kB` : `${numberLabel(bytes / 1e6, 3)} MB`;
}

function Pairs({ title, entries, isNumber = false }) {
  if (!entries.length) return null;
  const names = shortened(entries.map(([name]) => name), LONGEST);
  return (
    <section>
      <h3>
        {title} <span class="count">{entries.length}</span>
      </h3>
      <table class="pairs">
        <tbody>
          {entries.map(([name, value], place) => (
            <tr key={place}>
              <th scope="row">
                <Name cut={names[place]}>{name}</Name>
              </th>
              <td class={isNumber ? "end" : ""}>
                <Name cut={shortened([String(value)], LONGEST)[0]}>{String(value)}</Name>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
