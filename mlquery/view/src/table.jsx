// The table of runs: only the rows in sight are in the page, and every cell is reached with the keyboard.

import { Component } from "preact";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { isMetric, parted, textOf } from "./columns.js";
import { Name } from "./dom.jsx";
import { shortened } from "./figures/labels.js";

const ROW = 30;
const MORE = 8; // rows beyond what is in sight
const BOX = 40;
const PADDING = 24;
const [NARROWEST, WIDEST] = [84, 300];
const HEADER = -1;

/**
 * The grid.
 *
 * `runs` is as of `useRuns`; `isSelected(id)`; `onSelect(first, last, on)` selects places; `onSelectAll(on)`, `onSort(name, adds)`
 * and `onOpen(id)` are told what was wanted. `names` maps experiment ids to names.
 */
export function RunsTable({ runs, columns, order, isSelected, selectedCount, onSelect, onSelectAll, onSort, onOpen, experimentNames }) {
  const grid = useRef(null);
  const [top, setTop] = useState(0);
  const [{ width, height }, setSize] = useState({ width: 1200, height: 600 });
  const [active, setActive] = useState({ row: HEADER, column: 1 });
  const anchor = useRef(0);
  const wantsFocus = useRef(false);
  const total = runs.total;

  const first = Math.max(0, Math.floor(top / ROW) - MORE);
  const last = Math.min(total - 1, Math.ceil((top + height) / ROW) + MORE);
  useEffect(() => {
    if (total && last >= first) runs.load(first, last);
  }, [first, last, total, runs.load]);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(() => setSize({ width: grid.current.clientWidth, height: grid.current.clientHeight }));
    watch.observe(grid.current);
    return () => watch.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (!wantsFocus.current) return;
    wantsFocus.current = false;
    grid.current.querySelector("[tabindex='0']")?.focus({ preventScroll: true });
  });
  useEffect(() => {
    if (active.row >= total) setActive({ ...active, row: total - 1 });
  }, [total]);

  const widths = useWidths(runs, columns, experimentNames);
  const template = [BOX, ...widths].map((width) => `${width}px`).join(" ");
  const whole = BOX + widths.reduce((sum, width) => sum + width, 0);

  const go = (row, column) => {
    const to = { row: Math.max(HEADER, Math.min(total - 1, row)), column: Math.max(0, Math.min(columns.length, column)) };
    wantsFocus.current = true;
    setActive(to);
    show(grid.current, to, widths);
  };
  const choose = useCallback(
    (place, isRange, on) => {
      const from = isRange ? anchor.current : place;
      if (!isRange) anchor.current = place;
      onSelect(Math.min(from, place), Math.max(from, place), on);
    },
    [onSelect],
  );
  const press = (event) => {
    const { row, column } = active;
    const page = Math.max(1, Math.floor(height / ROW) - 2);
    const whereTo = {
      ArrowDown: [row + 1, column],
      ArrowUp: [row - 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      PageDown: [Math.max(0, row) + page, column],
      PageUp: [Math.max(row - page, Math.min(row, 0)), column],
      Home: [event.ctrlKey ? 0 : row, 0],
      End: [event.ctrlKey ? total - 1 : row, columns.length],
    }[event.key];
    if (whereTo) {
      event.preventDefault();
      go(...whereTo);
      if (event.shiftKey && event.key.startsWith("Arrow") && whereTo[0] !== row && whereTo[0] >= 0 && whereTo[0] < total) choose(whereTo[0], true, true);
    } else if (event.key === " ") {
      event.preventDefault();
      if (row === HEADER && column === 0) onSelectAll(selectedCount < total);
      else if (row === HEADER) onSort(columns[column - 1], event.shiftKey);
      else choose(row, event.shiftKey, event.shiftKey || !isSelected(runs.rowAt(row)?.id));
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (row === HEADER && column === 0) onSelectAll(selectedCount < total);
      else if (row === HEADER) onSort(columns[column - 1], event.shiftKey);
      else if (runs.rowAt(row)) onOpen(runs.rowAt(row).id);
    } else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      onSelectAll(true);
    }
  };

  const focusIn = (event) => {
    const at = placeOf(event.target);
    if (at && (at.row !== active.row || at.column !== active.column)) setActive(at);
  };
  const click = (event) => {
    const at = placeOf(event.target);
    if (!at || at.column === 0) return;
    if (at.row === HEADER) onSort(columns[at.column - 1], event.shiftKey);
    else if (at.column === 1 && runs.rowAt(at.row)) onOpen(runs.rowAt(at.row).id);
  };

  const places = [];
  for (let place = first; place <= last; place += 1) places.push(place);
  if (active.row > last) places.push(active.row);
  else if (active.row >= 0 && active.row < first) places.unshift(active.row);

  return (
    <div
      class={`grid${runs.isLoading ? " is-loading" : ""}${whole > width ? " is-wide" : ""}`}
      role="grid"
      aria-label="Runs"
      aria-rowcount={total + 1}
      aria-colcount={columns.length + 1}
      aria-multiselectable="true"
      aria-busy={runs.isLoading}
      ref={grid}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      onKeyDown={press}
      onFocusIn={focusIn}
      onClick={click}
      style={{ "--template": template, "--whole": `${whole}px` }}
    >
      <div role="rowgroup" class="grid-head">
        <div role="row" aria-rowindex={1} class="grid-row">
          <div role="columnheader" aria-colindex={1} class="cell box" tabindex={active.row === HEADER && active.column === 0 ? 0 : -1}>
            <input
              type="checkbox"
              tabindex={-1}
              aria-label="Select all runs found"
              checked={total > 0 && selectedCount >= total}
              indeterminate={selectedCount > 0 && selectedCount < total}
              onChange={(event) => onSelectAll(event.currentTarget.checked)}
            />
          </div>
          {columns.map((name, place) => (
            <Header
              key={name}
              name={name}
              place={place + 1}
              order={order}
              isActive={active.row === HEADER && active.column === place + 1}
            />
          ))}
        </div>
      </div>
      <div role="rowgroup" class="grid-body" style={{ height: `${total * ROW}px` }}>
        {places.map((place) => (
          <Row
            key={place}
            place={place}
            run={runs.rowAt(place)}
            columns={columns}
            widths={widths}
            isSelected={isSelected(runs.rowAt(place)?.id)}
            active={active.row === place ? active.column : -1}
            onChoose={choose}
            experimentNames={experimentNames}
          />
        ))}
      </div>
    </div>
  );
}

/** Return the row and the column of the cell that an element is in, null if it is in none. */
function placeOf(element) {
  const cell = element.closest("[aria-colindex]");
  const row = cell?.closest("[aria-rowindex]");
  return row ? { row: Number(row.ariaRowIndex) - 2, column: Number(cell.ariaColIndex) - 1 } : null;
}

/** Scroll so that a cell is in sight, beside the columns that stay. */
function show(grid, { row, column }, widths) {
  if (row >= 0) {
    const head = grid.querySelector(".grid-head").offsetHeight;
    const [from, to] = [row * ROW, (row + 1) * ROW + head];
    if (from < grid.scrollTop) grid.scrollTop = from;
    else if (to > grid.scrollTop + grid.clientHeight) grid.scrollTop = to - grid.clientHeight;
  }
  if (column > 1) {
    const from = widths.slice(1, column - 1).reduce((sum, width) => sum + width, 0);
    const room = grid.clientWidth - BOX - widths[0];
    if (from < grid.scrollLeft) grid.scrollLeft = from;
    else if (from + widths[column - 1] > grid.scrollLeft + room) grid.scrollLeft = from + widths[column - 1] - room;
  }
}

/** Return how wide columns are for what they hold; they only grow while their names stay. */
function useWidths(runs, columns, experimentNames) {
  const kept = useRef(new Map());
  return useMemo(() => {
    return columns.map((name) => {
      let longest = Math.max(...labelLines(name).map((line) => line.length)) + 2;
      for (let place = 0; place < Math.min(runs.total, 60); place += 1) {
        const run = runs.rowAt(place);
        if (run) longest = Math.max(longest, cellText(run, name, experimentNames).length + (name === "status" ? 3 : 0));
      }
      const width = Math.max(kept.current.get(name) ?? 0, Math.min(WIDEST, Math.max(NARROWEST, Math.ceil(longest * characterWidth()) + PADDING)));
      kept.current.set(name, width);
      return width;
    });
  }, [runs.windows, columns, experimentNames]);
}

let measured = 0;

/** Return how wide a digit is, in pixels of CSS; most letters are narrower. */
function characterWidth() {
  if (!measured) {
    const context = document.createElement("canvas").getContext("2d");
    context.font = getComputedStyle(document.documentElement).font;
    measured = context.measureText("0000000000").width / 10;
  }
  return measured;
}

function labelLines(name) {
  const { prefix, key } = parted(name);
  return [prefix, key];
}

const isEnd = (kind) => kind === "number";

function cellText(run, name, experimentNames) {
  const value = run.value(name);
  if (name === "experiment_id") return experimentNames.get(value) ?? value ?? "";
  return textOf(name, run.kind(name), value);
}

function Header({ name, place, order, isActive }) {
  const { prefix, key } = parted(name);
  const at = order.findIndex(([column]) => column === name);
  const direction = at < 0 ? "none" : order[at][1] ? "descending" : "ascending";
  const sign = { none: "", ascending: "▲", descending: "▼" }[direction];
  return (
    <div
      role="columnheader"
      aria-colindex={place + 1}
      aria-sort={at > 0 ? "other" : direction}
      class={`cell${isMetric(name) || name === "duration" ? " end" : ""}${place === 1 ? " pinned" : ""}`}
      tabindex={isActive ? 0 : -1}
      title={name.slice(0, 2000)}
    >
      {prefix && <small>{prefix}</small>}
      <span class="label">
        <Name cut={shortened([key], 80)[0]}>{key}</Name>
        {sign && (
          <span class="sorted" aria-hidden="true">
            {sign}
            {order.length > 1 && at + 1}
          </span>
        )}
      </span>
    </div>
  );
}

class Row extends Component {
  shouldComponentUpdate(next) {
    return Object.keys(next).some((name) => next[name] !== this.props[name]);
  }

  render({ place, run, columns, widths, isSelected, active, onChoose, experimentNames }) {
    const name = run ? run.value("run_name") || run.id : "";
    return (
      <div role="row" aria-rowindex={place + 2} aria-selected={isSelected} class={`grid-row${isSelected ? " is-selected" : ""}`} style={{ top: `${place * ROW}px` }}>
        <div role="gridcell" aria-colindex={1} class="cell box" tabindex={active === 0 ? 0 : -1}>
          {run && (
            <input
              type="checkbox"
              tabindex={-1}
              aria-label={`Select ${name}`.slice(0, 200)}
              checked={isSelected}
              onClick={(event) => onChoose(place, event.shiftKey, event.currentTarget.checked)}
            />
          )}
        </div>
        {columns.map((column, at) => (
          <div
            key={column}
            role="gridcell"
            aria-colindex={at + 2}
            class={`cell${run && isEnd(run.kind(column)) ? " end" : ""}${at === 0 ? " pinned" : ""}`}
            tabindex={active === at + 1 ? 0 : -1}
            title={run && isEnd(run.kind(column)) ? String(run.value(column) ?? "") : undefined}
          >
            {run && contentOf(run, column, widths[at], experimentNames)}
          </div>
        ))}
      </div>
    );
  }
}

function contentOf(run, name, width, experimentNames) {
  const text = cellText(run, name, experimentNames);
  if (text === "" && run.value(name) !== "") return <span class="none">–</span>;
  if (name === "status") return <Status status={text} />;
  if (run.kind(name) !== "string") return text;
  return <Name cut={cutIn(name, Math.floor((width - PADDING) / characterWidth()), text)}>{text}</Name>;
}

const cuts = new Map();

/** Return the text of a cell cut to its room; no two texts of a column are cut to the same one. */
function cutIn(column, most, text) {
  const key = `${most} ${column}`;
  if (!cuts.has(key)) cuts.set(key, { labels: new Map(), owners: new Map() });
  const { labels, owners } = cuts.get(key);
  if (!labels.has(text)) {
    const plain = shortened([text], most)[0];
    let label = plain;
    for (let number = 2; owners.has(label); number += 1) label = `${plain} (${number})`;
    labels.set(text, label);
    owners.set(label, text);
  }
  return labels.get(text);
}

const SIGNS = { FINISHED: "✓", FAILED: "✕", KILLED: "■", RUNNING: "▶", SCHEDULED: "○" };

/** A status: a word, with a sign. */
export function Status({ status }) {
  return (
    <span class={`status ${status.toLowerCase()}`}>
      <span aria-hidden="true">{SIGNS[status] ?? "·"}</span> {status.toLowerCase()}
    </span>
  );
}
