// The keyboard: ? for help, / for the filter, g and a letter to go somewhere, j and k through a table.
import { openDialog } from "./shell.js";
import { nextTheme } from "./theme.js";

const GO_WINDOW_MS = 1200;
let goSince = -Infinity;
/** The row that j or k went to last. */
let last = null;

function typing(target) {
  return target.closest?.("input, textarea, select, [contenteditable=true]") !== null;
}

function rows() {
  return [...document.querySelectorAll("table[data-rows] tbody tr")].filter((row) => row.offsetParent !== null);
}

/** Where the keyboard is: the focused row, or the one that has taken its place since the list was drawn anew. */
function position(all) {
  const focused = all.indexOf(document.activeElement?.closest("tr"));
  if (focused !== -1 || last === null) return focused;
  return all.findIndex((row) => row.dataset.href && row.dataset.href === last.dataset.href);
}

function move(step) {
  const all = rows();
  if (all.length === 0) return;
  const at = position(all);
  const to = at === -1 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step));
  last = all[to];
  last.tabIndex = -1;
  last.focus();
  last.scrollIntoView({ block: "nearest" });
}

// A live list replaces its rows under the reader's cursor: the cursor stays on the same call.
document.addEventListener("htmx:afterSettle", () => {
  if (last === null || last.isConnected || document.activeElement !== document.body) return;
  const all = rows();
  last = all[position(all)] ?? null;
  last?.focus({ preventScroll: true });
});
document.addEventListener("pointerdown", () => (last = null));

function goTo(letter) {
  const link = document.querySelector(`[data-goto="${CSS.escape(letter)}"]`);
  if (link) location.assign(link.href);
  return link !== null;
}

function follow(relation) {
  document.querySelector(`a[rel=${relation}]`)?.click();
}

const ACTIONS = {
  "?": () => openDialog("keys-help"),
  "/": () => {
    const field = document.querySelector("[data-filter-focus]");
    field?.focus();
    field?.select();
  },
  t: nextTheme,
  j: () => move(1),
  k: () => move(-1),
  n: () => follow("next"),
  p: () => follow("prev"),
  g: () => (goSince = performance.now()),
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event.target)) {
    if (event.key === "Escape" && event.target.matches("[data-filter-focus]")) event.target.blur();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && event.target.matches("tr[data-href]")) {
    location.assign(event.target.dataset.href);
    return;
  }
  if (performance.now() - goSince < GO_WINDOW_MS) {
    goSince = -Infinity;
    if (goTo(event.key)) event.preventDefault();
    return;
  }
  const action = ACTIONS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
