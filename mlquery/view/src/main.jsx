// Starts the page with its source: the data inside the file, or the server that sent it.

import { render } from "preact";
import { App } from "./app.jsx";
import { liveSource } from "./source.js";

render(<App source={liveSource()} />, document.getElementById("app"));
