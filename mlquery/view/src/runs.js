// The runs that a query finds, in windows: what was asked for is kept, and the old answer stays until the new one is here.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { comparing } from "./columns.js";
import { valueAt } from "./figures/values.js";

export const WINDOW = 200;
/** Where a dialect refuses the order, so many runs are still loaded at once to be ordered here. */
const MOST_ORDERED_HERE = 10_000;

const NOTHING = { total: 0, windows: new Map(), verdict: {}, asked: null, notice: null, order: null, error: null };

/**
 * Return the runs of a query and how to load more.
 *
 * `rowAt(place)` is a run as `{id, value(name)}`, null until it is loaded; `load(first, last)` asks for places.
 */
export function useRuns(source, query, version) {
  const [state, setState] = useState({ ...NOTHING, isLoading: true });
  const current = useRef({});
  const key = JSON.stringify([query, version]);

  useEffect(() => {
    const control = new AbortController();
    current.current = { control, asked: new Set([0]) };
    setState((before) => ({ ...before, isLoading: true }));
    firstAnswer(source, query, control.signal).then(
      (found) => control.signal.aborted || setState((before) => shown(before, found, query)),
      (error) => control.signal.aborted || setState((before) => ({ ...before, error, isLoading: false })),
    );
    return () => control.abort();
  }, [key]);

  const load = useCallback(
    (first, last) => {
      const { control, asked } = current.current;
      for (let window = Math.floor(first / WINDOW); window <= Math.floor(last / WINDOW); window += 1) {
        if (asked.has(window) || state.order || state.isLoading) continue;
        asked.add(window);
        source.runs({ ...query, offset: window * WINDOW, limit: WINDOW }, control.signal).then(
          (answer) => answer.refused || control.signal.aborted || setState((before) => ({ ...before, windows: new Map(before.windows).set(window, answer) })),
          () => asked.delete(window),
        );
      }
    },
    [key, state.order, state.isLoading],
  );

  const rowAt = useCallback(
    (place) => {
      const at = state.order ? state.order[place] : place;
      const size = state.order ? Infinity : WINDOW;
      const found = state.windows.get(state.order ? 0 : Math.floor(at / size));
      const row = state.order ? at : at % WINDOW;
      return !found || row >= found.ids.length ? null : rowOf(found, row);
    },
    [state.windows, state.order],
  );
  return { ...state, load, rowAt };
}

/** Ask for the first window; where only the order is refused, order a result that is small enough here. */
async function firstAnswer(source, query, signal) {
  const answer = await source.runs({ ...query, offset: 0, limit: WINDOW }, signal);
  const ofOrder = (answer.refused ?? []).filter((one) => one.argument.startsWith("order_by"));
  if (!ofOrder.length || ofOrder.length < answer.refused.length) return { answer, verdict: answer, notice: null };
  const plain = await source.runs({ ...query, order: [], offset: 0, limit: WINDOW }, signal);
  const notice = { diagnostics: ofOrder, isOrderedHere: !plain.refused && plain.total <= MOST_ORDERED_HERE };
  if (!notice.isOrderedHere) return { answer: plain, verdict: plain, notice };
  const columns = [...new Set([...query.columns, ...query.order.map(([name]) => name)])];
  const whole = await source.runs({ ...query, columns, order: [], offset: 0, limit: MOST_ORDERED_HERE }, signal);
  return { answer: whole, verdict: whole, notice };
}

function shown(before, { answer, verdict, notice }, query) {
  const asked = query.filter;
  if (answer.refused) return { ...before, verdict, asked, notice: null, isLoading: false, error: null };
  const order = notice?.isOrderedHere ? answer.ids.map((_, row) => row).sort(comparing(answer.columns, query.order)) : null;
  return { total: answer.total, windows: new Map([[0, answer]]), verdict, asked, notice, order, isLoading: false, error: null };
}

const rows = new WeakMap();

/** Return a run of a window, the same object every time, so that its row is not drawn again without need. */
function rowOf(window, row) {
  if (!rows.has(window)) rows.set(window, []);
  const made = rows.get(window);
  made[row] ??= {
    id: window.ids[row],
    value: (name) => (window.columns[name] ? valueAt(window.columns[name], row) : null),
    kind: (name) => window.columns[name]?.kind,
  };
  return made[row];
}
