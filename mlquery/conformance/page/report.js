"use strict";
// Everything that comes from a report enters the page as text: textContent, never markup.
const data = JSON.parse(document.getElementById("data").textContent);
const [OUTCOMES, WORDS] = [data.outcomes, data.words];
const WORST_FIRST = ["fail", "errored", "skipped", "refused-as-declared", "pass"].map((name) => OUTCOMES.indexOf(name));
const DECLARED = { yes: "The dialect has it.", no: "The dialect does not have it.", silent: "No source says what the dialect does." };
const STEP = 50;

const byId = (id) => document.getElementById(id);
const table = document.querySelector("table");
const rows = [...table.querySelectorAll("tr[data-line]")];
const chips = [...document.querySelectorAll(".chip")];
const dialog = byId("behind");
let shown = STEP;

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

function icon(outcome) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", "#is-" + OUTCOMES[outcome]);
  svg.append(use);
  return svg;
}

function badge(outcome) {
  return make("span", "badge " + OUTCOMES[outcome], icon(outcome), WORDS[outcome]);
}

function mark(report, outcome) {
  const element = make("span", "badge mark " + OUTCOMES[outcome], icon(outcome));
  element.title = report.name + ", " + report.dialect + ": " + WORDS[outcome];
  element.append(make("span", "hidden", element.title + ". "));
  return element;
}

// What fits the filter

const texts = data.cases.map((parts) => parts.join("\n").toLowerCase());
const lineTexts = data.lines.map(([title, id]) => (title + "\n" + id).toLowerCase());
const linesOf = data.cases.map(() => []);
data.lines.forEach(([, , positions], line) => positions.forEach((position) => linesOf[position].push(line)));

function wanted() {
  const outcomes = new Set(chips.filter((chip) => chip.ariaPressed === "true").map((chip) => Number(chip.dataset.outcome)));
  return { text: byId("text").value.trim().toLowerCase(), outcomes };
}

function fits(position, filter, line, columns) {
  const said = filter.text === "" || texts[position].includes(filter.text);
  const named = () => (line === undefined ? linesOf[position] : [line]).some((each) => lineTexts[each].includes(filter.text));
  return (said || named()) && columns.some((report) => filter.outcomes.has(report.outcomes[position]));
}

function severity(position, columns) {
  return Math.min(...columns.map((report) => WORST_FIRST.indexOf(report.outcomes[position])).filter((rank) => rank >= 0));
}

function worstFirst(positions, columns) {
  return positions.map((each) => [severity(each, columns), each]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((pair) => pair[1]);
}

const of = (some, all) => some.toLocaleString("en") + " of " + all.toLocaleString("en");

function apply() {
  const filter = wanted();
  let visible = 0;
  for (const row of rows) {
    const line = Number(row.dataset.line);
    row.hidden = !data.lines[line][2].some((position) => fits(position, filter, line, data.reports));
    visible += row.hidden ? 0 : 1;
  }
  for (const body of table.tBodies) body.hidden = ![...body.rows].some((row) => row.dataset.line && !row.hidden);
  const all = data.cases.map((_, position) => position);
  const found = worstFirst(all.filter((each) => fits(each, filter, undefined, data.reports)), data.reports);
  byId("list").replaceChildren(...found.slice(0, shown).map(listed));
  byId("more").hidden = found.length <= shown;
  byId("more").textContent = "Show more (" + (found.length - shown) + " left)";
  byId("status").textContent = of(visible, rows.length) + " lines, " + of(found.length, all.length) + " cases";
  byId("nothing").hidden = visible + found.length > 0;
  table.hidden = visible === 0;
  keepOneTabStop();
}

// Cases

function told(report, position) {
  return (report.details[position] || []).map((detail) => {
    if (typeof detail === "string") return make("p", "text", detail);
    const [expected, got] = detail;
    return make("dl", "", make("dt", "", "Expected"), make("dd", "", expected), make("dt", "", "Got"), make("dd", "", got));
  });
}

function listed(position) {
  const [id, title, query] = data.cases[position];
  const columns = data.reports.filter((report) => report.outcomes[position] >= 0);
  const marks = make("span", "badges", ...columns.map((report) => mark(report, report.outcomes[position])));
  const summary = make("summary", "", marks, make("span", "title", title), make("code", "id", id));
  const item = make("details", "case " + OUTCOMES[WORST_FIRST[severity(position, columns)]], summary, make("pre", "", query));
  for (const report of columns) {
    const outcome = report.outcomes[position];
    const who = make("p", "who", badge(outcome), report.name + " · " + report.dialect);
    item.append(make("div", "got " + OUTCOMES[outcome], who, ...told(report, position)));
  }
  return make("li", "", item);
}

function alone(report, position) {
  const [id, title, query] = data.cases[position];
  const outcome = report.outcomes[position];
  const about = make("div", "about", badge(outcome), make("span", "title", title), make("code", "id", id));
  const item = make("li", "case " + OUTCOMES[outcome], about, make("pre", "", query));
  const parts = told(report, position);
  if (parts.length) item.append(make("div", "got " + OUTCOMES[outcome], ...parts));
  return item;
}

function open(cell) {
  const line = Number(cell.closest("tr").dataset.line);
  const report = data.reports[Number(cell.dataset.column)];
  const [title, id, positions, declared] = data.lines[line];
  const own = positions.filter((each) => report.outcomes[each] >= 0);
  const found = own.filter((each) => fits(each, wanted(), line, [report]));
  byId("behind-of").textContent = report.name + " · " + report.dialect + " · " + report.target;
  byId("behind-title").textContent = title;
  const hidden = own.length - found.length;
  const count = found.length === 1 ? "1 case" : found.length + " cases";
  byId("behind-summary").textContent = [id + ": " + count + (hidden ? ", " + hidden + " hidden by the filter" : "") + ".", DECLARED[declared[Number(cell.dataset.column)]] || ""].join(" ");
  byId("behind-list").replaceChildren(...worstFirst(found, [report]).map((each) => alone(report, each)));
  dialog.showModal();
  dialog.scrollTop = 0;
}

// The grid: one stop for Tab, arrow keys inside

const visibleCells = () => rows.filter((row) => !row.hidden).map((row) => [...row.querySelectorAll(".cell")]).filter((cells) => cells.length);

function keepOneTabStop(cell) {
  const cells = visibleCells().flat();
  const stop = cell || cells.find((each) => each.tabIndex === 0) || cells[0];
  table.querySelectorAll(".cell").forEach((each) => { each.tabIndex = each === stop ? 0 : -1; });
}

function move(event) {
  const grid = visibleCells();
  const row = grid.findIndex((cells) => cells.includes(event.target));
  if (row < 0) return;
  const column = grid[row].indexOf(event.target);
  const last = grid.length - 1;
  const targets = {
    ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
    Home: [event.ctrlKey ? 0 : row, 0], End: [event.ctrlKey ? last : row, Infinity], PageUp: [row - 10, column], PageDown: [row + 10, column],
  };
  if (!(event.key in targets)) return;
  const [toRow, toColumn] = targets[event.key];
  const cells = grid[Math.max(0, Math.min(last, toRow))];
  const target = cells[Math.max(0, Math.min(cells.length - 1, toColumn))];
  event.preventDefault();
  keepOneTabStop(target);
  target.focus();
}

table.addEventListener("keydown", move);
table.addEventListener("focusin", (event) => { if (event.target.matches(".cell")) keepOneTabStop(event.target); });
table.addEventListener("click", (event) => { const cell = event.target.closest(".cell"); if (cell) open(cell); });
byId("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => { if (event.target === dialog && event.clientX < dialog.getBoundingClientRect().left) dialog.close(); });
byId("text").addEventListener("input", () => { shown = STEP; apply(); });
chips.forEach((chip) => chip.addEventListener("click", () => { chip.ariaPressed = String(chip.ariaPressed !== "true"); shown = STEP; apply(); }));
byId("more").addEventListener("click", () => { shown += 4 * STEP; apply(); });
byId("reset").addEventListener("click", () => { byId("text").value = ""; chips.forEach((chip) => { chip.ariaPressed = "true"; }); apply(); byId("text").focus(); });
window.addEventListener("beforeprint", () => { document.querySelectorAll("#list details.fail, #list details.errored").forEach((each) => { each.open = true; }); });
new ResizeObserver(() => document.documentElement.style.setProperty("--tools", document.querySelector(".tools").offsetHeight + "px")).observe(document.querySelector(".tools"));
apply();
