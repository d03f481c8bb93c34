// What the figures made by Observable Plot share: its SVG without the style element that a strict content security policy
// would refuse, and points that the pointer and the keyboard can walk.

import { plot } from "@observablehq/plot";
import { makeSvg } from "./figure.js";

/** Return the SVG of a plot, with its own style replaced by `.plot-figure` of figures.css. */
export function svgOf(options) {
  const svg = plot({ className: "plot-figure", ...options });
  // The element has no effect before it is in the page, so the policy has nothing to report.
  for (const style of svg.querySelectorAll("style")) style.remove();
  // Only what has a role may have a name; what the marks are is said by the name of the whole.
  for (const mark of svg.querySelectorAll("g[aria-label]")) mark.removeAttribute("aria-label");
  svg.setAttribute("role", "img");
  return svg;
}

/** Return the width that a figure has for its plot. */
export const widthOf = (element) => Math.max(280, element.clientWidth || 640);

const REACH = 24;

/**
 * Let points of a plot be pointed at with the mouse, and walked with the arrow keys.
 *
 * `points`: `[{x, y, row}]` in pixels of the SVG, in the order of walking; `tell(row)` says what a row is, null for none.
 */
export function pointable(svg, points, name, { tell, pick }) {
  const ring = makeSvg("circle", { class: "plot-ring", r: 7, visibility: "hidden" });
  svg.append(ring);
  svg.setAttribute("tabindex", "0");
  svg.setAttribute("role", "application");
  svg.setAttribute("aria-roledescription", "chart");
  svg.setAttribute("aria-label", `${name}. Arrow keys walk from point to point.`);
  let at = -1;
  const go = (place) => {
    at = place;
    const point = points[at];
    ring.setAttribute("visibility", point ? "visible" : "hidden");
    if (point) {
      ring.setAttribute("cx", point.x);
      ring.setAttribute("cy", point.y);
    }
    tell(point ? point.row : null);
  };
  svg.addEventListener("pointermove", (event) => go(nearest(svg, points, event)));
  svg.addEventListener("pointerleave", () => go(-1));
  svg.addEventListener("click", () => points[at] && pick?.(points[at].row));
  svg.addEventListener("keydown", (event) => {
    const next = stepFrom(at, event.key, points.length);
    if (event.key === "Enter" && points[at]) pick?.(points[at].row);
    if (next === undefined) return;
    event.preventDefault();
    go(next);
  });
}

function stepFrom(at, key, size) {
  if (key === "ArrowRight" || key === "ArrowDown") return Math.min(size - 1, at + 1);
  if (key === "ArrowLeft" || key === "ArrowUp") return Math.max(0, at - 1);
  return { Home: 0, End: size - 1, Escape: -1 }[key];
}

function nearest(svg, points, event) {
  const box = svg.getBoundingClientRect();
  const scale = svg.viewBox.baseVal.width / box.width || 1;
  const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  let [found, least] = [-1, REACH];
  points.forEach((point, place) => {
    const away = Math.hypot(point.x - x, point.y - y);
    if (away < least) [found, least] = [place, away];
  });
  return found;
}
