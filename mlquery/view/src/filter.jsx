// The filter box: completes fields and values, underlines what the dialect refuses, and says what to write instead.

import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { completions, fieldOf, placeIn } from "./completion.js";
import { Name } from "./dom.jsx";
import { shortened } from "./figures/labels.js";

const PAUSE = 120;
const FILTER = "filter_string";

/** The box; `verdict` is what the dialects say of the filter that was asked last, and `asked` is that filter. */
export function FilterBox({ filter, asked, verdict, about, source, onFilter }) {
  const [text, setText] = useState(filter);
  const [caret, setCaret] = useState(filter.length);
  const [isOpen, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const [known, setKnown] = useState({ field: null, values: [] });
  const box = useRef(null);
  const backdrop = useRef(null);
  const timer = useRef(null);
  const sent = useRef(filter);
  const id = useId();

  useEffect(() => {
    if (filter === sent.current) return;
    sent.current = filter;
    setText(filter);
  }, [filter]);

  const place = useMemo(() => placeIn(text, caret), [text, caret]);
  const column = place.wants === "value" ? fieldOf(place.field, about.fields) : null;
  useEffect(() => {
    if (!isOpen || !column || column.kind !== "string" || column.name === known.field) return undefined;
    const control = new AbortController();
    source.values(column.name, control.signal).then(
      (answer) => setKnown({ field: column.name, values: answer.values }),
      () => {}, // without known values, nothing is offered
    );
    return () => control.abort();
  }, [isOpen, column?.name]);
  const values = column && known.field === column.name ? known.values : [];
  const offered = useMemo(() => (isOpen ? completions(place, about.fields, about.language, values) : []), [isOpen, place, values]);
  const shown = isOpen && offered.length > 0;

  const send = (next) => {
    clearTimeout(timer.current);
    sent.current = next;
    onFilter(next);
  };
  const write = (next, at) => {
    setText(next);
    setCaret(at);
    setActive(-1);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => send(next), PAUSE);
  };
  const caretWanted = useRef(null);
  useLayoutEffect(() => {
    if (caretWanted.current === null) return;
    box.current.setSelectionRange(caretWanted.current, caretWanted.current);
    caretWanted.current = null;
    follow();
  });
  const follow = () => {
    backdrop.current.scrollLeft = box.current.scrollLeft;
  };
  const accept = (offer) => {
    const end = offer.end ?? " ";
    const rest = text.slice(place.to);
    const next = text.slice(0, place.from) + offer.text + end + (end.endsWith(" ") ? rest.replace(/^ /, "") : rest);
    caretWanted.current = place.from + offer.text.length + end.length;
    write(next, caretWanted.current);
    box.current.focus();
  };
  const replace = (next) => {
    caretWanted.current = next.length;
    write(next, next.length);
    send(next);
    setOpen(false);
    box.current.focus();
  };

  const diagnostics = asked === text ? (verdict.refused ?? verdict.warnings ?? []).filter((one) => one.argument === FILTER) : [];
  const fixed = diagnostics.find((one) => one.fixed)?.fixed;
  const press = (event) => {
    const { key } = event;
    if (key === "Enter" && event.altKey) {
      event.preventDefault();
      if (fixed) replace(fixed);
    } else if (shown && (key === "ArrowDown" || key === "ArrowUp")) {
      event.preventDefault();
      const step = key === "ArrowDown" ? 1 : -1;
      setActive((active + step + offered.length + (active < 0 && step < 0 ? 1 : 0)) % offered.length);
    } else if (key === "ArrowDown") {
      event.preventDefault();
      setOpen(true);
    } else if (shown && key === "Enter" && active >= 0) {
      event.preventDefault();
      accept(offered[active]);
    } else if (shown && key === "Tab" && !event.shiftKey && place.begun) {
      event.preventDefault();
      accept(offered[Math.max(active, 0)]);
    } else if (key === "Enter") {
      send(text);
      setOpen(false);
    } else if (key === "Escape" && shown) {
      event.stopPropagation();
      setOpen(false);
    }
  };

  return (
    <search class="filter">
      <div class={`filter-box${diagnostics.length ? " has-problem" : ""}`}>
        <Backdrop text={text} diagnostics={diagnostics} elementRef={backdrop} />
        <input
          ref={box}
          type="text"
          role="combobox"
          aria-label="Filter"
          aria-autocomplete="list"
          aria-haspopup="listbox"
          aria-expanded={shown}
          aria-controls={`${id}-list`}
          aria-activedescendant={shown && active >= 0 ? `${id}-${active}` : undefined}
          aria-invalid={Boolean(verdict.refused && diagnostics.length)}
          aria-describedby={`${id}-said`}
          placeholder={placeholderOf(about)}
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          value={text}
          onInput={(event) => {
            setOpen(true);
            write(event.currentTarget.value, event.currentTarget.selectionStart);
          }}
          onKeyDown={press}
          onKeyUp={(event) => setCaret(event.currentTarget.selectionStart)}
          onClick={(event) => setCaret(event.currentTarget.selectionStart)}
          onBlur={() => setOpen(false)}
          onScroll={follow}
        />
        {text && (
          <button type="button" class="clear" aria-label="Clear the filter" onClick={() => replace("")}>
            ×
          </button>
        )}
        <Offers id={id} offers={offered} active={active} isShown={shown} onAccept={accept} at={shown ? place.from - Math.round((box.current?.scrollLeft ?? 0) / 8) : 0} />
      </div>
      <div id={`${id}-said`} aria-live="polite" class="said">
        {diagnostics.map((one) => (
          <Diagnostic key={one.text} diagnostic={one} onFix={replace} isFirst={one.fixed === fixed} />
        ))}
        <Verdicts dialects={verdict.dialects} about={about} isCurrent={asked === text && text !== ""} />
      </div>
    </search>
  );
}

function placeholderOf(about) {
  if (about.filter === "plain") return "Plain comparisons joined with AND, such as metrics.auc > 0.9";
  const metric = about.fields.find((field) => field.name.startsWith("metrics.") && field.written);
  const param = about.fields.find((field) => field.name.startsWith("params.") && field.written);
  return `Filter, such as ${metric?.written ?? "metrics.auc"} > 0.9 AND ${param?.written ?? "params.model"} = 'forest'`;
}

/** The text once more below the box, without ink but with waves below what is wrong. */
function Backdrop({ text, diagnostics, elementRef }) {
  const characters = Array.from(text);
  const isWrong = characters.map(() => false);
  for (const { start, stop } of diagnostics) isWrong.fill(true, Math.min(start, characters.length - 1), Math.max(stop, start + 1));
  const pieces = [];
  characters.forEach((character, place) => {
    const last = pieces.at(-1);
    if (last && last.isWrong === isWrong[place]) last.text += character;
    else pieces.push({ isWrong: isWrong[place], text: character });
  });
  return (
    <div class="backdrop" aria-hidden="true" ref={elementRef}>
      {pieces.map((piece, place) => (piece.isWrong ? <span key={place} class="wrong">{piece.text}</span> : <span key={place}>{piece.text}</span>))}
      <span> </span>
    </div>
  );
}

/** The list below the character at the place `at`. */
function Offers({ id, offers, active, isShown, onAccept, at }) {
  const list = useRef(null);
  useEffect(() => list.current?.children[active]?.scrollIntoView({ block: "nearest" }), [active]);
  const labels = useMemo(() => shortened(offers.map(({ label }) => label), 60), [offers]);
  return (
    <ul id={`${id}-list`} role="listbox" aria-label="Completions" class="offers" hidden={!isShown} ref={list} style={{ "--at": String(Math.max(0, at)) }}>
      {offers.map((offer, place) => (
        <li
          key={`${offer.detail} ${offer.label}`}
          id={`${id}-${place}`}
          role="option"
          aria-selected={place === active}
          onPointerDown={(event) => {
            event.preventDefault();
            onAccept(offer);
          }}
        >
          <Name cut={labels[place]}>{offer.label}</Name>
          <small>{offer.count === undefined ? offer.detail : `${offer.detail}, ${offer.count.toLocaleString("en")} runs`}</small>
        </li>
      ))}
    </ul>
  );
}

function Diagnostic({ diagnostic, onFix, isFirst }) {
  const marked = diagnostic.text.split("\n").filter((line) => /^ {2}/.test(line) && !line.startsWith("  instead: "));
  const indent = Math.min(...marked.map((line) => line.search(/\S|$/)));
  return (
    <div class={`diagnostic ${diagnostic.severity ?? "error"}`}>
      <p>
        <strong>{diagnostic.severity === "warning" ? "Warning: " : "Refused: "}</strong>
        {diagnostic.message}
        {diagnostic.feature && <code class="feature">{diagnostic.feature}</code>}
      </p>
      {marked.length > 0 && (
        <pre tabindex={0} role="group" aria-label="Where it is wrong">
          {marked.map((line) => line.slice(indent)).join("\n")}
        </pre>
      )}
      {diagnostic.instead && (
        <p class="instead">
          <span>instead:</span> <code>{diagnostic.instead}</code>
          {diagnostic.fixed && (
            <button type="button" onClick={() => onFix(diagnostic.fixed)} aria-keyshortcuts={isFirst ? "Alt+Enter" : undefined}>
              Use it{isFirst && <kbd>Alt ⏎</kbd>}
            </button>
          )}
        </p>
      )}
    </div>
  );
}

/** What the other dialects would say, in one line that opens. */
function Verdicts({ dialects, about, isCurrent }) {
  const entries = Object.entries(dialects ?? {});
  if (!isCurrent || !entries.length) return null;
  const titles = Object.fromEntries(about.dialects.map(({ name, title }) => [name, title]));
  return (
    <div class="verdicts">
      <span>Other dialects:</span>
      {entries.map(([name, found]) => (
        <Verdict key={name} name={name} title={titles[name]} found={found} />
      ))}
    </div>
  );
}

function Verdict({ name, title, found }) {
  const isRefused = found.some((one) => (one.severity ?? "error") === "error");
  const word = isRefused ? "refuses" : found.length ? "warns" : "accepts";
  const sign = { refuses: "✕", warns: "!", accepts: "✓" }[word];
  const label = (
    <>
      <span class={`sign ${word}`} aria-hidden="true">
        {sign}
      </span>
      {name} {word}
    </>
  );
  if (!found.length) return <span class="verdict" title={title}>{label}</span>;
  return (
    <details class="verdict">
      <summary title={title}>{label}</summary>
      <pre tabindex={0} role="group" aria-label={`What ${name} says`}>
        {found.map((one) => one.text).join("\n")}
      </pre>
    </details>
  );
}
