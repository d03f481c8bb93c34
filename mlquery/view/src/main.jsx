// Starts the page with its source: the data inside the file, or the server that sent it.

import { render } from "preact";
import { App } from "./app.jsx";
import { embeddedSource } from "./embedded.js";
import { liveSource } from "./source.js";
import { keep } from "./use_address.js";

const start = (source) => render(<App source={source} />, document.getElementById("app"));

/** Let a report open on its figures; in the frame of a notebook, only the fragment of its address can be set. */
function openOnFigures() {
  const fragment = "#tab=compare&select=*";
  keep(fragment, true);
  if (!location.hash) location.hash = fragment;
}

if (document.getElementById("mlquery-data")) {
  if (!location.hash) openOnFigures();
  embeddedSource(document).then(start);
} else start(liveSource());
