// The page: what it is about, the runs, the comparison of those that are chosen, and models. The address bar has the view.

import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { EVERYTHING } from "./address.js";
import { firstColumns, keepColumns, keptColumns, parted } from "./columns.js";
import { Comparison } from "./compare.jsx";
import { Checklist, Choice, Dropdown, Name, Problem, useAnswer } from "./dom.jsx";
import { counted, shortened } from "./figures/labels.js";
import { FilterBox } from "./filter.jsx";
import { Models } from "./models.jsx";
import { RunDetail } from "./run.jsx";
import { useRuns } from "./runs.js";
import { NeedsToken } from "./source.js";
import { RunsTable } from "./table.jsx";
import { ThemeSwitch } from "./theme.jsx";
import { useAddress } from "./use_address.js";

const VIEWS = [
  ["active", "Active"],
  ["deleted", "Deleted"],
  ["all", "All"],
];

/** The page with the data of a source. */
export function App({ source }) {
  const [tries, setTries] = useState(0);
  const { answer: about, error } = useAnswer((signal) => source.about({}, signal), `${tries}`);
  if (error instanceof NeedsToken) {
    const enter = (token) => {
      source.keepToken(token);
      setTries(tries + 1);
    };
    return <TokenForm isWrong={tries > 0} onToken={enter} />;
  }
  if (error) return <main class="alone"><Problem error={error} /></main>;
  if (!about) return <main class="alone" aria-busy="true"><p>Loading…</p></main>;
  return <Page source={source} about={about} onRefresh={() => setTries(tries + 1)} version={tries} />;
}

function TokenForm({ isWrong, onToken }) {
  const send = (event) => {
    event.preventDefault();
    onToken(event.currentTarget.elements.token.value);
  };
  return (
    <main class="alone">
      <h1>mlquery</h1>
      <form onSubmit={send} class="token">
        <label>
          Token of this server
          <input name="token" type="password" autocomplete="off" required aria-describedby="token-hint" />
        </label>
        <button type="submit" class="primary">Show the runs</button>
        <p id="token-hint" class="hint">It is what was given to the server as <code>--token</code>. It stays in this tab.</p>
        {isWrong && <Problem error="The server does not know this token." />}
      </form>
    </main>
  );
}

function Page({ source, about, onRefresh, version }) {
  const [view, change] = useAddress();
  const [chosenIds, setChosenIds] = useState(null);
  const experimentNames = useMemo(() => new Map(about.experiments.map(({ id, name }) => [id, name])), [about]);
  const columns = useColumns(about, view);
  const query = { filter: view.filter, experiments: view.experiments, view: view.view, order: view.order, columns };
  const runs = useRuns(source, query, version);
  const isEverything = view.select[0] === EVERYTHING;
  const selected = useMemo(() => new Set(view.select), [view.select]);
  const selectedCount = isEverything ? runs.total : selected.size;
  const isSelected = useCallback((id) => isEverything || selected.has(id), [isEverything, selected]);

  useEffect(() => {
    document.title = about.title === "mlquery" ? "mlquery" : `${about.title} – mlquery`;
  }, [about]);

  const idsOf = useCallback(
    async (first, last) => {
      const places = Array.from({ length: last - first + 1 }, (_, place) => runs.rowAt(first + place)?.id);
      if (places.every(Boolean)) return places;
      const answer = await source.runs({ ...query, columns: [], offset: first, limit: last - first + 1 });
      return answer.ids ?? [];
    },
    [runs.rowAt, JSON.stringify(query)],
  );
  const select = useCallback(
    async (first, last, on) => {
      const ids = await idsOf(first, last);
      const before = isEverything ? await idsOf(0, runs.total - 1) : view.select;
      const next = new Set(before);
      for (const id of ids) {
        if (on) next.add(id);
        else next.delete(id);
      }
      change({ select: [...next] }, true);
    },
    [idsOf, view.select, isEverything, runs.total],
  );
  const selectAll = (on) => change({ select: on ? [EVERYTHING] : [] }, true);
  const sort = (name, adds) => {
    const at = view.order.find(([column]) => column === name);
    const others = adds ? view.order.filter(([column]) => column !== name) : [];
    // First the way that is asked for most: the largest metric, but names from the start of the alphabet.
    const first = name.startsWith("metrics.") || name.endsWith("_time") || name === "duration";
    const next = !at ? [[name, first]] : at[1] === first ? [[name, !first]] : [];
    change({ order: [...others, ...next] });
  };

  useEffect(() => {
    if (view.tab !== "compare" || !isEverything) {
      setChosenIds(null);
      return undefined;
    }
    const control = new AbortController();
    source.runs({ ...query, columns: [], order: [], offset: 0, limit: null }, control.signal).then(
      (answer) => control.signal.aborted || setChosenIds(answer.ids ?? []),
      () => {},
    );
    return () => control.abort();
  }, [view.tab, isEverything, view.filter, JSON.stringify(view.experiments), view.view, version]);
  const compared = isEverything ? chosenIds : view.select;

  return (
    <>
      <Head about={about} view={view} change={change} onRefresh={onRefresh} selectedCount={selectedCount} />
      <main id="main" class={`tab-${view.tab}`}>
        {view.tab === "runs" && (
          <>
            <Tools source={source} about={about} view={view} change={change} runs={runs} columns={columns} />
            {runs.error && <Problem error={runs.error} />}
            <OrderNotice notice={runs.notice} />
            <RunsTable
              runs={runs}
              columns={columns}
              order={view.order}
              isSelected={isSelected}
              selectedCount={selectedCount}
              onSelect={select}
              onSelectAll={selectAll}
              onSort={sort}
              onOpen={(run) => change({ run })}
              experimentNames={experimentNames}
            />
            <SelectionBar count={selectedCount} isEverything={isEverything} total={runs.total} change={change} />
          </>
        )}
        {view.tab === "compare" && (
          <Comparison source={source} about={about} view={view} change={change} ids={compared} experimentNames={experimentNames} version={version} />
        )}
        {view.tab === "models" && <Models source={source} view={view} change={change} version={version} />}
      </main>
      {view.run && <RunDetail source={source} id={view.run} change={change} experimentNames={experimentNames} />}
    </>
  );
}

/** Return the columns of the table: those of the address, else those that this browser kept, else the first ones. */
function useColumns(about, view) {
  return useMemo(() => {
    const known = new Set(about.fields.map((field) => field.name));
    const isColumn = (name) => known.has(name) || parted(name).prefix !== "";
    const kept = view.columns?.filter(isColumn) ?? keptColumns()?.filter((name) => known.has(name));
    return kept?.length ? kept : firstColumns(about.fields);
  }, [about, JSON.stringify(view.columns)]);
}

function Head({ about, view, change, onRefresh, selectedCount }) {
  const tabs = [
    ["runs", "Runs", about.runs],
    ["compare", "Compare", selectedCount || undefined],
    ["models", "Models", undefined],
  ];
  const dialect = about.dialects.find(({ name }) => name === about.dialect);
  return (
    <header class="head">
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.querySelector("main [tabindex='0'], main input, main button")?.focus())}>
        Skip to the content
      </a>
      <h1>
        <Logo />
        <Name>{about.title}</Name>
      </h1>
      <nav aria-label="Views">
        {tabs.map(([tab, label, count]) => (
          <button key={tab} type="button" class="tab" aria-current={view.tab === tab ? "page" : undefined} onClick={() => change({ tab })}>
            {label}
            {count !== undefined && <span class="count">{count.toLocaleString("en")}</span>}
          </button>
        ))}
      </nav>
      <span class="room" />
      <span class="dialect" title={`Filters follow ${dialect?.title ?? about.dialect}`}>
        dialect <b>{about.dialect}</b>
      </span>
      {about.live && (
        <button type="button" class="quiet" onClick={onRefresh}>
          Refresh
        </button>
      )}
      <ThemeSwitch />
    </header>
  );
}

function Logo() {
  return (
    <svg class="logo" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
      <path d="M2 15 6 5l4 8 4-10 4 12" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linejoin="round" stroke-linecap="round" />
    </svg>
  );
}

function Tools({ source, about, view, change, runs, columns }) {
  const columnItems = about.fields.filter((field) => field.column !== false).map((field) => ({ key: field.name, label: field.name, detail: field.count.toLocaleString("en") }));
  const chooseColumns = (chosen) => {
    keepColumns(chosen);
    change({ columns: chosen }, true);
  };
  const experimentItems = about.experiments.map(({ id, name, runs: count }) => ({ key: id, label: name, detail: count.toLocaleString("en") }));
  const chosenNames = experimentItems.filter(({ key }) => view.experiments?.includes(key)).map(({ label }) => label);
  const experimentsLabel = !view.experiments ? "All experiments" : chosenNames.length === 1 ? <Name cut={shortened(chosenNames, 30)[0]}>{chosenNames[0]}</Name> : counted(chosenNames.length, "experiment");
  return (
    <div class="tools">
      <FilterBox filter={view.filter} asked={runs.asked} verdict={runs.verdict} about={about} source={source} onFilter={(filter) => change({ filter, ...(view.select[0] === EVERYTHING && { select: [] }) }, true)} />
      <div class="tool-row">
        <Dropdown label={experimentsLabel} title="Experiments to search">
          <div class="panel-head">
            <button type="button" class="quiet" onClick={() => change({ experiments: null })}>
              All experiments
            </button>
          </div>
          <Checklist legend="Experiments" items={experimentItems} chosen={view.experiments ?? []} onChange={(chosen) => change({ experiments: chosen.length ? chosen : null })} />
        </Dropdown>
        {about.live && <Choice label="Lifecycle stage" hidden value={view.view} options={VIEWS.map(([key, name]) => [key, `${name} runs`])} onChange={(next) => change({ view: next })} />}
        <Dropdown label={`Columns (${columns.length})`} className="right">
          <div class="panel-head">
            <button type="button" class="quiet" onClick={() => chooseColumns(firstColumns(about.fields))}>
              As at first
            </button>
            <button type="button" class="quiet" onClick={() => chooseColumns(columnItems.map(({ key }) => key))}>
              All
            </button>
          </div>
          <Checklist legend="Columns" items={columnItems} chosen={columns} onChange={(chosen) => chosen.length && chooseColumns(chosen)} />
        </Dropdown>
        <p class="found" role="status">
          {foundText(runs)}
        </p>
      </div>
    </div>
  );
}

function foundText({ isLoading, verdict, total }) {
  if (isLoading) return "Searching…";
  if (!verdict.refused) return `${counted(total, "run")} found`;
  return total ? `${counted(total, "run")} of the last filter that was accepted` : "No runs: the filter is refused";
}

/** Says why an order is refused, and what the page does instead. */
function OrderNotice({ notice }) {
  if (!notice) return null;
  return (
    <div class="notice" role="status">
      {notice.diagnostics.map((one) => (
        <p key={one.text}>
          {one.message}
          {one.feature && <code class="feature">{one.feature}</code>}
          {one.instead && (
            <>
              {" "}
              instead: <code>{one.instead}</code>
            </>
          )}
        </p>
      ))}
      <p>{notice.isOrderedHere ? "This page has loaded all runs found and ordered them itself." : "There are too many runs to order them here; they are in the default order."}</p>
    </div>
  );
}

function SelectionBar({ count, isEverything, total, change }) {
  if (!count) return null;
  return (
    <div class="selection" role="region" aria-label="Selection">
      <span role="status">{isEverything ? `All ${counted(total, "run")} found are selected` : `${counted(count, "run")} selected`}</span>
      <button type="button" class="primary" onClick={() => change({ tab: "compare" })}>
        Compare
      </button>
      <button type="button" onClick={() => change({ select: [] }, true)}>
        Clear
      </button>
    </div>
  );
}
