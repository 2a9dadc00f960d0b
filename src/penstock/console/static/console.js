// The console's entry: every page loads this and nothing else of ours but what the page itself asks for.
import "./theme.js";
import "./shell.js";
import "./keys.js";
import "./live.js";
import { localise } from "./time.js";
import { drawCharts } from "./charts.js";

function settle(root) {
  localise(root);
  drawCharts(root);
}

settle(document);
// htmx says so for whatever it puts into the page, by answers and by live streams alike.
document.addEventListener("htmx:load", (event) => settle(event.detail.elt));
