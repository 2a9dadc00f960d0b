// The tree of a trace: arrows go, open and close as in any tree. Rows that are not here yet come from the server.
const level = (row) => Number(row.ariaLevel);

function below(row) {
  const found = [];
  for (let at = row.nextElementSibling; at && level(at) > level(row); at = at.nextElementSibling) found.push(at);
  return found;
}

function unfold(row, open) {
  row.ariaExpanded = String(open);
  const rows = below(row);
  if (open && rows.length === 0) htmx.trigger(row, "unfold");
  let shut = Infinity;
  for (const one of rows) {
    if (level(one) <= shut) shut = Infinity;
    one.hidden = !open || shut !== Infinity;
    if (one.ariaExpanded === "false") shut = Math.min(shut, level(one));
  }
}

function go(row) {
  if (!row) return;
  row.tabIndex = 0;
  row.focus();
  row.scrollIntoView({ block: "nearest" });
}

document.addEventListener("click", (event) => {
  const caret = event.target.closest("[data-unfold]");
  if (!caret || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const row = caret.closest("[role=row]");
  unfold(row, row.ariaExpanded !== "true");
});

document.addEventListener("keydown", (event) => {
  const row = event.target.closest?.("[data-tree] [role=row]");
  if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = [...row.parentElement.querySelectorAll("[role=row][aria-level]:not([hidden])")];
  const at = all.indexOf(row);
  const open = row.ariaExpanded;
  if (event.key === "ArrowDown") go(all[at + 1]);
  else if (event.key === "ArrowUp") go(all[at - 1]);
  else if (event.key === "Home") go(all[0]);
  else if (event.key === "End") go(all.at(-1));
  else if (event.key === "ArrowRight") open === "false" ? unfold(row, true) : open && go(all[at + 1]);
  else if (event.key === "ArrowLeft") open === "true" ? unfold(row, false) : go(all.slice(0, at).findLast((one) => level(one) < level(row)));
  else if (event.key === "Enter" && event.target === row) row.querySelector(".wf-name, a")?.click();
  else return;
  event.preventDefault();
});
