// Light, dark, or whatever the system has; kept for this browser.
const KEY = "penstock-theme";
const ORDER = ["system", "light", "dark"];

export function currentTheme() {
  return document.documentElement.dataset.theme ?? "system";
}

export function setTheme(theme) {
  const root = document.documentElement;
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  label();
  document.dispatchEvent(new CustomEvent("penstock:theme"));
}

export function nextTheme() {
  setTheme(ORDER[(ORDER.indexOf(currentTheme()) + 1) % ORDER.length]);
}

function label() {
  for (const button of document.querySelectorAll("[data-theme-toggle]")) {
    button.setAttribute("aria-label", `Theme: ${currentTheme()}`);
    button.title = `Theme: ${currentTheme()} (t)`;
  }
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-theme-toggle]")) nextTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  document.dispatchEvent(new CustomEvent("penstock:theme"));
});
// Another tab changed it.
addEventListener("storage", (event) => {
  if (event.key === KEY) setTheme(event.newValue ?? "system");
});
label();
