// Loaded before the first paint, hence small and not a module: a chosen theme must not flash the other one.
(function () {
  var root = document.documentElement;
  root.setAttribute("data-scripts", "");
  try {
    var chosen = localStorage.getItem("penstock-theme");
    if (chosen === "light" || chosen === "dark") root.setAttribute("data-theme", chosen);
  } catch (error) {
    // Storage is refused in some private windows; the system's theme is then right.
  }
})();
