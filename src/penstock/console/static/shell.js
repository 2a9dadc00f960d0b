// The small behaviours of the shell: dialogs, tabs, copying, toasts, rows that lead somewhere, filter forms with tidy addresses.

/** Show a short message; `kind` is "ok", "info", "warn" or "bad". Messages of failure stay until dismissed. */
export function toast(text, kind = "ok") {
  const box = document.createElement("div");
  box.className = `toast tone-${kind}`;
  const words = document.createElement("span");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "text-button";
  close.textContent = "Dismiss";
  close.addEventListener("click", () => box.remove());
  box.append(words, close);
  document.getElementById("toasts")?.append(box);
  if (kind !== "bad") setTimeout(() => box.remove(), 6000);
}

// ---- dialogs
export function openDialog(id) {
  const dialog = document.getElementById(id);
  if (dialog instanceof HTMLDialogElement && !dialog.open) dialog.showModal();
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog-open]");
  if (opener) openDialog(opener.dataset.dialogOpen);
  if (event.target.closest("[data-dialog-close]")) event.target.closest("dialog")?.close();
  // A click on the dialog itself, not on anything inside it, is one on the backdrop.
  if (event.target instanceof HTMLDialogElement && event.target.open) {
    const box = event.target.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside) event.target.close();
  }
});

// ---- tabs
function selectTab(tab, focus) {
  const tabs = tab.closest("[data-tabs]");
  for (const other of tabs.querySelectorAll(":scope > .tab-list > [role=tab]")) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (focus) tab.focus();
}

function startTabs(root) {
  for (const tabs of root.querySelectorAll("[data-tabs]")) {
    const chosen = tabs.querySelector(":scope > .tab-list > [aria-selected=true]");
    if (chosen) selectTab(chosen, false);
  }
}

document.addEventListener("click", (event) => {
  const tab = event.target.closest("[data-tabs] [role=tab]");
  if (tab) selectTab(tab, false);
});

document.addEventListener("keydown", (event) => {
  const tab = event.target.closest?.("[data-tabs] [role=tab]");
  if (!tab) return;
  const all = [...tab.parentElement.children];
  const at = all.indexOf(tab);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  selectTab(all[(to + all.length) % all.length], true);
});

// ---- copying
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = button.dataset.copy || button.closest("[data-copy-scope]")?.querySelector("[data-copy-text]")?.textContent || "";
  const words = button.querySelector("span") ?? button;
  const before = words.textContent;
  try {
    await navigator.clipboard.writeText(text);
    words.textContent = "Copied";
  } catch {
    // Not allowed, or not a secure context: say so rather than pretend.
    words.textContent = "Select and copy by hand";
  }
  setTimeout(() => (words.textContent = before), 1600);
});

// ---- rows that lead somewhere
document.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-href]");
  if (!row || event.target.closest("a, button, input, select, label, summary")) return;
  // Someone who is selecting text does not want to leave.
  if (String(getSelection())) return;
  if (event.metaKey || event.ctrlKey) open(row.dataset.href, "_blank", "noopener");
  else location.assign(row.dataset.href);
});

// ---- filter forms: no empty fields in the address
document.addEventListener("htmx:configRequest", (event) => {
  if (!event.detail.elt.matches("form[data-filter]")) return;
  const { parameters } = event.detail;
  for (const name of [...parameters.keys()]) if (!parameters.get(name)) parameters.delete(name);
});

// ---- what answers ask for, and what goes wrong
document.addEventListener("toast", (event) => toast(event.detail.text ?? event.detail.value, event.detail.kind));
document.addEventListener("htmx:responseError", (event) => {
  const { status } = event.detail.xhr;
  if (status === 401) location.assign(`/console/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
  else toast(`The server answered ${status}. Nothing was changed on this page.`, "bad");
});
document.addEventListener("htmx:sendError", () => toast("The server could not be reached.", "bad"));
// A request that another one has replaced is no error; htmx would write it down as two. What is one has an event of its own.
if (globalThis.htmx) {
  htmx.logger = (_element, name, detail) => {
    if (name === "htmx:sendAbort" || name === "htmx:afterRequest") delete detail.error;
  };
}

startTabs(document);
document.addEventListener("htmx:load", (event) => startTabs(event.detail.elt));
