// Starts the page with its source: the data inside the file, or the server that sent it.

import { render } from "preact";
import { App } from "./app.jsx";
import { embeddedSource } from "./embedded.js";
import { liveSource } from "./source.js";

const start = (source) => render(<App source={source} />, document.getElementById("app"));

if (document.getElementById("mlquery-data")) {
  if (!location.hash) history.replaceState(null, "", "#tab=compare&select=*"); // a report opens on its figures
  embeddedSource(document).then(start);
} else start(liveSource());
