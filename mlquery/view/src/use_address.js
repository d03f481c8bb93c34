// Keeps the view in the address bar: a change becomes a new address, and going back or a pasted link changes the view.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { fragmentOf, viewOf } from "./address.js";

/** Put a fragment into the address bar. */
export function keep(fragment, quietly) {
  try {
    history[quietly ? "replaceState" : "pushState"](null, "", fragment);
  } catch {
    // the frame of a notebook has no address of its own
  }
}

/** Return the view and how to change parts of it; with `quietly`, going back does not stop at the view before. */
export function useAddress() {
  const [view, setView] = useState(() => viewOf(location.hash));
  const latest = useRef(view);
  useEffect(() => {
    const read = () => {
      latest.current = viewOf(location.hash);
      setView(latest.current);
    };
    addEventListener("popstate", read);
    addEventListener("hashchange", read);
    return () => {
      removeEventListener("popstate", read);
      removeEventListener("hashchange", read);
    };
  }, []);
  const change = useCallback((parts, quietly = false) => {
    const next = { ...latest.current, ...parts };
    if (fragmentOf(next) === fragmentOf(latest.current)) return;
    latest.current = next;
    keep(fragmentOf(next), quietly);
    setView(next);
  }, []);
  return [view, change];
}
