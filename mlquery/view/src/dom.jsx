// Small parts that several views use: names of people's own making, buttons that open something, and what is loading.

import { useEffect, useRef, useState } from "preact/hooks";
import { visible } from "./figures/labels.js";

/** A name or value that somebody made up: it stays in its own direction, and hidden characters are seen. */
export function Name({ children, title, cut }) {
  const shown = visible(children);
  return <bdi title={title ?? (cut !== undefined && cut !== shown ? shown.slice(0, 2000) : undefined)}>{cut ?? shown}</bdi>;
}

/** A button with a panel below it that closes with Escape, or when the focus or a click goes elsewhere. */
export function Dropdown({ label, children, title, className = "" }) {
  const [isOpen, setOpen] = useState(false);
  const root = useRef(null);
  const button = useRef(null);
  useEffect(() => {
    if (!isOpen) return undefined;
    const leave = (event) => root.current.contains(event.target) || setOpen(false);
    addEventListener("pointerdown", leave);
    addEventListener("focusin", leave);
    return () => {
      removeEventListener("pointerdown", leave);
      removeEventListener("focusin", leave);
    };
  }, [isOpen]);
  const close = (event) => {
    if (event.key !== "Escape" || !isOpen) return;
    event.stopPropagation();
    setOpen(false);
    button.current.focus();
  };
  return (
    <div class={`dropdown ${className}`} ref={root} onKeyDown={close}>
      <button type="button" class="quiet" ref={button} title={title} aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {label}
        <span class="chevron" aria-hidden="true" />
      </button>
      {isOpen && <div class="panel">{children}</div>}
    </div>
  );
}

/** A choice of one of several. */
export function Choice({ label, value, options, onChange, hidden = false }) {
  return (
    <label class="choice">
      <span class={hidden ? "unseen" : ""}>{label}</span>
      <select value={value ?? ""} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([key, name]) => (
          <option key={key} value={key}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

/** A list of check boxes with a box that searches them. */
export function Checklist({ legend, items, chosen, onChange }) {
  const [text, setText] = useState("");
  const found = items.filter(({ label }) => label.toLowerCase().includes(text.toLowerCase()));
  const toggle = (key) => onChange(chosen.includes(key) ? chosen.filter((one) => one !== key) : [...chosen, key]);
  return (
    <fieldset class="checklist">
      <legend class="unseen">{legend}</legend>
      {items.length > 8 && (
        <input type="search" placeholder="Search" aria-label={`Search ${legend.toLowerCase()}`} value={text} onInput={(event) => setText(event.currentTarget.value)} />
      )}
      <div class="checks">
        {found.slice(0, 500).map(({ key, label, detail }) => (
          <label key={key}>
            <input type="checkbox" checked={chosen.includes(key)} onChange={() => toggle(key)} />
            <Name>{label}</Name>
            <small>{detail}</small>
          </label>
        ))}
        {!found.length && <p class="hint">Nothing has this in its name.</p>}
        {found.length > 500 && <p class="hint">{found.length - 500} more; search for them.</p>}
      </div>
    </fieldset>
  );
}

/** Something that could not be had. */
export function Problem({ error }) {
  return (
    <p class="problem" role="alert">
      {String(error?.message ?? error)}
    </p>
  );
}

/** Return the answer to a question that is asked again whenever `key` changes; the old answer stays meanwhile. */
export function useAnswer(ask, key) {
  const [state, setState] = useState({ answer: null, error: null, isLoading: false });
  useEffect(() => {
    if (key === null) return undefined;
    const control = new AbortController();
    setState((before) => ({ ...before, isLoading: true }));
    ask(control.signal).then(
      (answer) => control.signal.aborted || setState({ answer, error: null, isLoading: false, key }),
      (error) => control.signal.aborted || setState((before) => ({ ...before, error, isLoading: false })),
    );
    return () => control.abort();
  }, [key]);
  return state;
}
